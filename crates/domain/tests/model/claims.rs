//! What must be true of a judgement, derived from the facts.

use domain::evidence::Outcome;
use domain::facts::{Attestation, Choice, SignOff, Waiver};
use domain::gate::GateState;
use domain::judge::Judgement;
use domain::release::ReleaseComponent;

use super::world::{CRITERIA, EVIDENCE_MS, SIGNERS, WORD_MS, World};

/// A claim that a judgement may violate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// A gate is accepted with an unmet criterion, or without an acceptance on this release.
    AcceptedUnmet,
    /// A stale sign-off is counted.
    StaleCounted,
    /// A person's sign-off is counted for two roles.
    TwoRoles,
    /// Go without a Go by each of the six roles, from six people.
    GoUnsigned,
    /// Go with a gate that is not accepted or a criterion that is not met.
    GoUnaccepted,
    /// Go while a service is unhealthy or a different image runs.
    GoUnwell,
    /// Only the person who deployed has signed.
    OnlyDeployer,
    /// A Go decision is valid while the verdict is No-Go.
    DecisionOnNoGo,
    /// A criterion is shown as satisfied but is not, or the other way round.
    Satisfied,
}

/// The newest finding of a check on these parts that is not too old.
pub fn passes(w: &World, check: &str) -> bool {
    let commit = w.release.parts.get(ReleaseComponent::Commit);
    w.evidence
        .iter()
        .filter(|e| e.check == check && e.parts.get(ReleaseComponent::Commit) == commit && commit.is_some())
        .filter(|e| w.now.0 - e.at.0 <= i64::try_from(EVIDENCE_MS).unwrap())
        .max_by_key(|e| e.id)
        .is_some_and(|e| e.finding.outcome == Outcome::Pass)
}

/// The last attestation of an item on this release, unless it was withdrawn, is for another text, or expired.
pub fn word_counts<'a>(w: &'a World, item: &str) -> Option<&'a Attestation> {
    let last =
        w.attestations.iter().filter(|a| a.item == item && a.release == w.release.id).max_by_key(|a| a.id)?;
    let fresh = item != "A.2" || w.now.0 - last.at.0 < i64::try_from(WORD_MS).unwrap();
    (last.holds && fresh && last.text_digest == w.text_of(item)).then_some(last)
}

/// The last waiver of an item, unless it was ended, expired, or is for another text.
pub fn waiver_counts<'a>(w: &'a World, item: &str) -> Option<&'a Waiver> {
    let last = w.waivers.iter().filter(|x| x.item == item).max_by_key(|x| x.id)?;
    (last.holds && w.now.0 < last.until.0 && last.text_digest == w.text_of(item)).then_some(last)
}

/// Whether a criterion is met.
pub fn satisfied(w: &World, item: &str) -> bool {
    let (_, checks, needs_word) = CRITERIA.iter().find(|(id, _, _)| *id == item).unwrap();
    let by_machine = checks.iter().all(|c| passes(w, c));
    let by_word = !needs_word || word_counts(w, item).is_some();
    (by_machine && by_word) || waiver_counts(w, item).is_some()
}

/// The last sign-off of each role on this release, in the runbook's order.
fn last_words(w: &World) -> Vec<Option<&SignOff>> {
    SIGNERS
        .iter()
        .map(|role| {
            w.sign_offs.iter().filter(|s| s.role == *role && s.release == w.release.id).max_by_key(|s| s.id)
        })
        .collect()
}

/// The first claim that the judgement violates.
pub fn broken(w: &World, judged: &Judgement) -> Option<Claim> {
    for (item, _, _) in CRITERIA {
        if judged.item(item).unwrap().is_satisfied() != satisfied(w, item) {
            return Some(Claim::Satisfied);
        }
    }
    let met = |gate: &str| {
        CRITERIA.iter().filter(|(id, _, _)| id.starts_with(gate)).all(|(id, _, _)| satisfied(w, id))
    };
    for gate in ["A", "B"] {
        let said = w.acceptances.iter().any(|a| a.gate == gate && a.release == w.release.id);
        if judged.gate(gate).unwrap().state == GateState::Accepted && !(met(gate) && said) {
            return Some(Claim::AcceptedUnmet);
        }
    }
    let now = w.shown_now();
    let counted: Vec<&SignOff> =
        judged.sign_offs.iter().filter(|v| v.counts().is_some()).filter_map(|v| v.last.as_ref()).collect();
    if counted.iter().any(|s| s.choice == Choice::Go && !w.signed_on_this(s, &now)) {
        return Some(Claim::StaleCounted);
    }
    let mut people: Vec<i64> = counted.iter().map(|s| s.by).collect();
    people.sort_unstable();
    people.dedup();
    if people.len() != counted.len() {
        return Some(Claim::TwoRoles);
    }
    if judged.verdict.is_go() {
        let words = last_words(w);
        let mut signers: Vec<i64> =
            words.iter().flatten().filter(|s| s.choice == Choice::Go).map(|s| s.by).collect();
        signers.sort_unstable();
        signers.dedup();
        if signers.len() != SIGNERS.len() {
            return Some(Claim::GoUnsigned);
        }
        if signers.iter().all(|s| Some(*s) == w.release.deployed_by) {
            return Some(Claim::OnlyDeployer);
        }
        let met = met("A") && met("B") && satisfied(w, "A.2") && passes(w, "unit");
        let accepted = ["A", "B"].iter().all(|g| judged.gate(g).unwrap().state == GateState::Accepted);
        if !met || !accepted {
            return Some(Claim::GoUnaccepted);
        }
        let well = w.observed.services.iter().all(|s| s.health.is_good());
        if !well || w.observed.parts.images != w.release.parts.images {
            return Some(Claim::GoUnwell);
        }
        if words.iter().flatten().any(|s| !w.signed_on_this(s, &now)) {
            return Some(Claim::StaleCounted);
        }
    }
    let go = judged.decision.as_ref().filter(|d| d.choice == Choice::Go);
    if go.is_some_and(|d| !judged.verdict.is_go() || d.release != w.release.id) {
        return Some(Claim::DecisionOnNoGo);
    }
    None
}
