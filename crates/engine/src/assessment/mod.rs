//! The facts of one moment, combined and judged.

pub(crate) mod permissions;
pub(crate) mod snapshot;

use std::sync::Arc;

use domain::action::Action;
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

/// The judgement of one moment, with the facts it was made from.
pub(crate) struct Assessment {
    pub now: Millis,
    pub stack: Arc<Stack>,
    pub snapshot: Arc<StoreSnapshot>,
    pub observed: Arc<Observed>,
    /// Records that do not match the audit log.
    pub integrity: Arc<Vec<String>>,
    pub judgement: Judgement,
}

/// How long a judgement is reused while no fact changes. It must be short: waivers and evidence expire with time.
const RENEW_MS: u64 = 1_000;

impl Engine {
    /// The judgement of this moment. As long as no fact changes, the same one is returned for a second.
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
        // Held while judging, so that concurrent requests share one judgement.
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

    /// Whether the policy table allows this person the action.
    pub(crate) fn may(&self, actor: &Actor, action: Action) -> Permission {
        if policy::may(action, &actor.roles) {
            Permission::Allowed
        } else {
            Permission::Denied(format!("Only {} can do this.", policy::who_may(action)))
        }
    }

    /// Whether this person owns the gate.
    pub(crate) fn owns(&self, actor: &Actor, gate: &str) -> Permission {
        match self.judgement.gate(gate) {
            Some(g) if actor.holds_any(&g.owners) => Permission::Allowed,
            Some(g) => {
                Permission::Denied(format!("Only the owners of this gate can do this: {}.", names(&g.owners)))
            }
            None => Permission::Denied(format!("There is no gate {gate}.")),
        }
    }

    /// The parts that new evidence is bound to: the files on disk and the running images. While the release's own
    /// images run, their configuration is that of the release.
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

    /// The parts of the checkout that have changed since the release was opened. Parts that cannot be read now are not
    /// included.
    pub(crate) fn moved_parts(&self) -> Vec<ReleaseComponent> {
        self.release().map(|release| moved_parts(release, &self.observed)).unwrap_or_default()
    }

    /// The text of the banner, if the checkout has changed since the release was opened.
    pub(crate) fn moved_on(&self) -> Option<String> {
        let release = self.release()?;
        let moved = self.moved_parts();
        if moved.is_empty() || !self.observed.faults.is_empty() {
            return None;
        }
        let head = short_commit(self.observed.parts.get(ReleaseComponent::Commit).as_deref());
        let labels: Vec<&str> = moved.iter().map(|p| p.label()).collect();
        let next = if release.state == ReleaseState::Opened {
            "The next run opens a new release."
        } else {
            "Deploy, or open a release, to show the current checkout."
        };
        let name = release.name();
        Some(format!(
            "The checkout has changed since release {name} was opened (changed: {}; HEAD is {head}). This board still shows release {name}. {next}",
            labels.join(", ")
        ))
    }
}

/// The parts of the checkout that have changed since `release` was opened.
pub(crate) fn moved_parts(release: &Release, observed: &Observed) -> Vec<ReleaseComponent> {
    [ReleaseComponent::Commit, ReleaseComponent::Config, ReleaseComponent::Env, ReleaseComponent::Runbook]
        .into_iter()
        .filter(|p| observed.parts.values.get(p).is_some_and(|now| release.parts.values.get(p) != Some(now)))
        .collect()
}

/// `Backend, DevOps or QA`.
pub(crate) fn names(roles: &[domain::role::Role]) -> String {
    let labels: Vec<&str> = roles.iter().map(|r| r.label()).collect();
    match labels.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => labels.concat(),
    }
}

/// The first refusal, or `Allowed`.
pub(crate) fn all(offers: impl IntoIterator<Item = Permission>) -> Permission {
    offers.into_iter().find(|o| o.reason().is_some()).unwrap_or(Permission::Allowed)
}

/// Allowed only if `condition` is true.
pub(crate) fn when(condition: bool, else_why: impl FnOnce() -> String) -> Permission {
    if condition { Permission::Allowed } else { Permission::Denied(else_why()) }
}

#[cfg(test)]
mod tests;
