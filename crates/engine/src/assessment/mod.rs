//! The facts of one moment put together and judged.

pub(crate) mod permissions;
pub(crate) mod snapshot;

use std::sync::Arc;

use domain::facts::{Actor, Facts};
use domain::judge::{Judgement, judge};
use domain::observed::Observed;
use domain::policy;
use domain::release::{Release, ReleaseComponent, ReleaseComponents, ReleaseState, short_commit};
use domain::time::Millis;

use crate::Engine;
use crate::assessment::snapshot::StoreSnapshot;
use crate::stack::Stack;
use crate::view::Permission;

/// One moment, judged.
pub(crate) struct Assessment {
    pub now: Millis,
    pub stack: Arc<Stack>,
    pub snapshot: Arc<StoreSnapshot>,
    pub observed: Arc<Observed>,
    /// What the audit log does not vouch for.
    pub integrity: Arc<Vec<String>>,
    pub judgement: Judgement,
}

/// How old a judgement may be when it is used again though nothing differs: waivers and evidence end by the clock.
const RENEW_MS: u64 = 1_000;

impl Engine {
    /// The judgement of this moment. Whoever asks again before anything differs gets the same one, for a second.
    pub(crate) fn assessment(&self) -> Arc<Assessment> {
        let (stack, snapshot, observed, now) = (self.stack(), self.snapshot(), self.observed(), self.now());
        let integrity = self.integrity_problems();
        let same = |j: &&Arc<Assessment>| {
            Arc::ptr_eq(&j.stack, &stack)
                && Arc::ptr_eq(&j.snapshot, &snapshot)
                && Arc::ptr_eq(&j.observed, &observed)
                && j.integrity == integrity
                && j.now <= now
                && now.since(j.now) < RENEW_MS
        };
        // Held while judging: of many who ask at once, one judges.
        let mut last = self.0.assessment.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(assessment) = last.as_ref().filter(same) {
            return Arc::clone(assessment);
        }
        let assessment = Arc::new(Assessment::of(now, stack, snapshot, observed, integrity));
        *last = Some(Arc::clone(&assessment));
        assessment
    }

    pub(crate) fn assess(&self, observed: Arc<Observed>) -> Arc<Assessment> {
        let integrity = self.integrity_problems();
        Arc::new(Assessment::of(self.now(), self.stack(), self.snapshot(), observed, integrity))
    }
}

fn facts<'a>(
    now: Millis,
    stack: &'a Stack,
    snapshot: &'a StoreSnapshot,
    observed: &'a Observed,
    integrity: &'a [String],
) -> Facts<'a> {
    Facts {
        now,
        runbook: &stack.runbook,
        checks: &stack.checks,
        attest: &stack.attest,
        findings: &stack.preflight.findings,
        rules: &stack.rules,
        gate_owners: &stack.gate_owners,
        release: snapshot.current(),
        evidence: &snapshot.evidence,
        failures: &snapshot.failures,
        attestations: &snapshot.words.attestations,
        waivers: &snapshot.words.waivers,
        acceptances: &snapshot.words.acceptances,
        sign_offs: &snapshot.words.sign_offs,
        decisions: &snapshot.words.decisions,
        observed,
        changes: &snapshot.changes,
        integrity,
    }
}

impl Assessment {
    fn of(
        now: Millis,
        stack: Arc<Stack>,
        snapshot: Arc<StoreSnapshot>,
        observed: Arc<Observed>,
        integrity: Arc<Vec<String>>,
    ) -> Assessment {
        let judgement = judge(&facts(now, &stack, &snapshot, &observed, &integrity));
        Assessment { now, stack, snapshot, observed, integrity, judgement }
    }

    /// The facts of this moment, for a rule.
    pub(crate) fn facts(&self) -> Facts<'_> {
        facts(self.now, &self.stack, &self.snapshot, &self.observed, &self.integrity)
    }

    pub(crate) fn release(&self) -> Option<&Release> {
        self.snapshot.current()
    }

    /// Whether the action is for this person, by the policy table.
    pub(crate) fn may(&self, actor: &Actor, act: &str) -> Permission {
        if policy::may(act, &actor.roles) {
            Permission::Allowed
        } else {
            Permission::Denied(format!("This is for {}.", policy::who_may(act)))
        }
    }

    /// Whether this person owns the gate.
    pub(crate) fn owns(&self, actor: &Actor, gate: &str) -> Permission {
        match self.judgement.gate(gate) {
            Some(g) if actor.holds_any(&g.owners) => Permission::Allowed,
            Some(g) => Permission::Denied(format!("This is for the gate's owners: {}.", names(&g.owners))),
            None => Permission::Denied(format!("There is no gate {gate}.")),
        }
    }

    /// The parts that new evidence is bound to: what lies on disk and what runs. While the release's
    /// own images run, the configuration they run under is the release's.
    pub(crate) fn parts_for_evidence(&self) -> ReleaseComponents {
        let mut parts = self.observed.parts.clone();
        if let Some(release) = self.release()
            && !release.parts.images.is_empty()
            && release.parts.images == parts.images
            && let Some(config) = release.parts.values.get(&ReleaseComponent::Config)
        {
            parts.values.insert(ReleaseComponent::Config, config.clone());
        }
        parts
    }

    /// Whether the directory is another one than the release was opened from, and in which parts. What
    /// cannot be read now says nothing.
    pub(crate) fn moved_parts(&self) -> Vec<ReleaseComponent> {
        self.release().map(|release| moved_parts(release, &self.observed)).unwrap_or_default()
    }

    /// One sentence for the banner, when the directory has moved on.
    pub(crate) fn moved_on(&self) -> Option<String> {
        let release = self.release()?;
        let moved = self.moved_parts();
        if moved.is_empty() || !self.observed.faults.is_empty() {
            return None;
        }
        let head = short_commit(self.observed.parts.get(ReleaseComponent::Commit).as_deref());
        let words: Vec<&str> = moved.iter().map(|p| p.label()).collect();
        let next = if release.state == ReleaseState::Opened {
            "The next run opens a new release from it."
        } else {
            "Deploy to judge what lies there now."
        };
        Some(format!(
            "The directory has moved on (changed: {}; HEAD is {head}): this board still judges release {}. {next}",
            words.join(", "),
            release.name()
        ))
    }
}

/// The parts in which the directory is another one than `release` was opened from.
pub(crate) fn moved_parts(release: &Release, observed: &Observed) -> Vec<ReleaseComponent> {
    [ReleaseComponent::Commit, ReleaseComponent::Config, ReleaseComponent::Env, ReleaseComponent::Runbook]
        .into_iter()
        .filter(|p| observed.parts.values.get(p).is_some_and(|now| release.parts.values.get(p) != Some(now)))
        .collect()
}

/// `Backend, QA`.
pub(crate) fn names(roles: &[domain::role::Role]) -> String {
    roles.iter().map(|r| r.label()).collect::<Vec<_>>().join(", ")
}

/// The first reason against, of several.
pub(crate) fn all(offers: impl IntoIterator<Item = Permission>) -> Permission {
    offers.into_iter().find(|o| o.reason().is_some()).unwrap_or(Permission::Allowed)
}

/// Works only when `condition` holds.
pub(crate) fn when(condition: bool, else_why: impl FnOnce() -> String) -> Permission {
    if condition { Permission::Allowed } else { Permission::Denied(else_why()) }
}

#[cfg(test)]
mod tests;
