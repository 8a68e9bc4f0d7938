//! The facts of one moment put together and judged.

use std::sync::Arc;

use domain::facts::{Actor, Facts, Observed};
use domain::judge::{Judgement, judge};
use domain::policy;
use domain::release::{Part, Parts, Release, ReleaseState, short_commit};
use domain::time::Millis;

use crate::Engine;
use crate::known::Known;
use crate::stack::Stack;
use crate::view::Offer;

/// One moment, judged.
pub(crate) struct Judged {
    pub now: Millis,
    pub stack: Arc<Stack>,
    pub known: Arc<Known>,
    pub observed: Arc<Observed>,
    /// What the audit log does not vouch for.
    pub integrity: Arc<Vec<String>>,
    pub judgement: Judgement,
}

/// How old a judgement may be when it is used again though nothing differs: waivers and evidence end by the clock.
const RENEW_MS: u64 = 1_000;

impl Engine {
    /// The judgement of this moment. Whoever asks again before anything differs gets the same one, for a second.
    pub(crate) fn judged(&self) -> Arc<Judged> {
        let (stack, known, observed, now) = (self.stack(), self.known(), self.observed(), self.now());
        let integrity = self.integrity_problems();
        let same = |j: &&Arc<Judged>| {
            Arc::ptr_eq(&j.stack, &stack)
                && Arc::ptr_eq(&j.known, &known)
                && Arc::ptr_eq(&j.observed, &observed)
                && j.integrity == integrity
                && j.now <= now
                && now.since(j.now) < RENEW_MS
        };
        // Held while judging: of many who ask at once, one judges.
        let mut last = self.0.judged.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(judged) = last.as_ref().filter(same) {
            return Arc::clone(judged);
        }
        let judged = Arc::new(Judged::of(now, stack, known, observed, integrity));
        *last = Some(Arc::clone(&judged));
        judged
    }

    pub(crate) fn judged_by(&self, observed: Arc<Observed>) -> Arc<Judged> {
        let integrity = self.integrity_problems();
        Arc::new(Judged::of(self.now(), self.stack(), self.known(), observed, integrity))
    }
}

fn facts<'a>(
    now: Millis,
    stack: &'a Stack,
    known: &'a Known,
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
        release: known.current(),
        evidence: &known.evidence,
        failures: &known.failures,
        attestations: &known.words.attestations,
        waivers: &known.words.waivers,
        acceptances: &known.words.acceptances,
        sign_offs: &known.words.sign_offs,
        decisions: &known.words.decisions,
        observed,
        changes: &known.changes,
        integrity,
    }
}

impl Judged {
    fn of(
        now: Millis,
        stack: Arc<Stack>,
        known: Arc<Known>,
        observed: Arc<Observed>,
        integrity: Arc<Vec<String>>,
    ) -> Judged {
        let judgement = judge(&facts(now, &stack, &known, &observed, &integrity));
        Judged { now, stack, known, observed, integrity, judgement }
    }

    /// The facts of this moment, for a rule.
    pub(crate) fn facts(&self) -> Facts<'_> {
        facts(self.now, &self.stack, &self.known, &self.observed, &self.integrity)
    }

    pub(crate) fn release(&self) -> Option<&Release> {
        self.known.current()
    }

    /// Whether the act is for this person, by the policy table.
    pub(crate) fn may(&self, actor: &Actor, act: &str) -> Offer {
        if policy::may(act, &actor.roles) {
            Offer::Yes
        } else {
            Offer::No(format!("This is for {}.", policy::who_may(act)))
        }
    }

    /// Whether this person owns the gate.
    pub(crate) fn owns(&self, actor: &Actor, gate: &str) -> Offer {
        match self.judgement.gate(gate) {
            Some(g) if actor.holds_any(&g.owners) => Offer::Yes,
            Some(g) => Offer::No(format!("This is for the gate's owners: {}.", names(&g.owners))),
            None => Offer::No(format!("There is no gate {gate}.")),
        }
    }

    /// The parts that new evidence is bound to: what lies on disk and what runs. While the release's
    /// own images run, the configuration they run under is the release's.
    pub(crate) fn parts_for_evidence(&self) -> Parts {
        let mut parts = self.observed.parts.clone();
        if let Some(release) = self.release()
            && !release.parts.images.is_empty()
            && release.parts.images == parts.images
            && let Some(config) = release.parts.values.get(&Part::Config)
        {
            parts.values.insert(Part::Config, config.clone());
        }
        parts
    }

    /// Whether the directory is another one than the release was opened from, and in which parts. What
    /// cannot be read now says nothing.
    pub(crate) fn moved_parts(&self) -> Vec<Part> {
        self.release().map(|release| moved_parts(release, &self.observed)).unwrap_or_default()
    }

    /// One sentence for the banner, when the directory has moved on.
    pub(crate) fn moved_on(&self) -> Option<String> {
        let release = self.release()?;
        let moved = self.moved_parts();
        if moved.is_empty() || !self.observed.faults.is_empty() {
            return None;
        }
        let head = short_commit(self.observed.parts.get(Part::Commit).as_deref());
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
pub(crate) fn moved_parts(release: &Release, observed: &Observed) -> Vec<Part> {
    [Part::Commit, Part::Config, Part::Env, Part::Runbook]
        .into_iter()
        .filter(|p| observed.parts.values.get(p).is_some_and(|now| release.parts.values.get(p) != Some(now)))
        .collect()
}

/// `Backend, QA`.
pub(crate) fn names(roles: &[domain::role::Role]) -> String {
    roles.iter().map(|r| r.label()).collect::<Vec<_>>().join(", ")
}

/// The first reason against, of several.
pub(crate) fn all(offers: impl IntoIterator<Item = Offer>) -> Offer {
    offers.into_iter().find(|o| o.reason().is_some()).unwrap_or(Offer::Yes)
}

/// Works only when `condition` holds.
pub(crate) fn when(condition: bool, else_why: impl FnOnce() -> String) -> Offer {
    if condition { Offer::Yes } else { Offer::No(else_why()) }
}

#[cfg(test)]
mod tests;
