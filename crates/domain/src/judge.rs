//! The judgement: gates, sign-offs and verdict, computed from the facts. Pure and total; all unmet
//! conditions are returned, not only the first.

mod blockers;
mod digests;
mod gates;
mod signing;

use serde::{Deserialize, Serialize};

use self::blockers::{blockers_before_signing, date_blockers, sign_off_blockers, without_consequences};
use self::digests::{Digests, FirstNames, verdict_digest};
use self::gates::{gate_of, gate_views, items_of};
use self::signing::{sign_off_views, why_fallen};
use crate::drift::{Drift, drift};
use crate::facts::{Choice, Decision, Facts, ShownRow, SignOff, Waiver};
use crate::gate::{GateState, GateView};
use crate::item::{ItemState, Proof, Status, decision_gate, item_states, items};
use crate::role::Role;
use crate::time::Millis;

/// A signing role with its sign-off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOffView {
    /// The role as the runbook writes it.
    pub name: String,
    /// The role, if it is known to Stagegate.
    pub role: Option<Role>,
    /// Its last sign-off on this release.
    pub last: Option<SignOff>,
    /// Why the last sign-off is not valid; empty if it is.
    pub stale: Vec<String>,
    /// What has changed since the last sign-off, including changes that do not invalidate it: rows, parts of
    /// the release, measured values.
    pub changes: Vec<String>,
}

impl SignOffView {
    /// The choice of the sign-off, if it is valid.
    pub fn counts(&self) -> Option<Choice> {
        self.last.as_ref().filter(|_| self.stale.is_empty()).map(|s| s.choice)
    }
}

/// Something that prevents Go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// Its kind.
    pub kind: BlockerKind,
    /// What is wrong, one line.
    pub what: String,
    /// Details, one line each.
    pub details: Vec<String>,
    /// Who is responsible.
    pub owners: Vec<String>,
    /// Since when it blocks, if known.
    pub since: Option<Millis>,
}

/// The area that a blocker belongs to; pages link there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockerKind {
    /// The runbook or its configuration.
    Runbook,
    /// The release: none is open, or it is not deployed successfully.
    Release,
    /// The Docker engine, a service, drift.
    Stack,
    /// This gate.
    Gate(String),
    /// The sign-offs.
    SignOffs,
    /// The audit log and the records that it covers.
    Audit,
}

/// Go, or No-Go with the shortest list of blockers. Computed, never typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What prevents Go; empty means Go.
    pub blockers: Vec<Blocker>,
    /// Number of waived items.
    pub waivers: usize,
    /// Those items with their waivers, in the runbook's order.
    pub waived: Vec<Waiver>,
}

impl Verdict {
    /// Whether it is Go.
    pub fn is_go(&self) -> bool {
        self.blockers.is_empty()
    }

    /// `Go`, `Go with 1 waiver`, `No-Go`.
    pub fn label(&self) -> String {
        match (self.is_go(), self.waivers) {
            (false, _) => "No-Go".to_owned(),
            (true, 0) => "Go".to_owned(),
            (true, 1) => "Go with 1 waiver".to_owned(),
            (true, n) => format!("Go with {n} waivers"),
        }
    }

    /// The label with the waived items named: `Go with 1 waiver: A.3 until 30 Nov`.
    pub fn line(&self) -> String {
        if self.waived.is_empty() {
            return self.label();
        }
        let named: Vec<String> =
            self.waived.iter().map(|w| format!("{} until {}", w.item, w.last_day())).collect();
        let count = match (self.is_go(), self.waivers) {
            (true, _) => self.label(),
            (false, 1) => "No-Go with 1 waiver".to_owned(),
            (false, n) => format!("No-Go with {n} waivers"),
        };
        format!("{count}: {}", named.join(", "))
    }
}

/// A decision that is no longer valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallenDecision {
    /// The decision.
    pub decision: Decision,
    /// Why it is not valid, one phrase each; never empty.
    pub why: Vec<String>,
}

/// The result of all rules at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The gates in order.
    pub gates: Vec<GateView>,
    /// Checklist items outside of the gates.
    pub loose_items: Vec<ItemState>,
    /// The signing roles in the runbook's order.
    pub sign_offs: Vec<SignOffView>,
    /// Digest of everything that a signer is shown.
    pub digest: String,
    /// The rows behind it.
    pub shown: Vec<ShownRow>,
    /// What prevents Go apart from sign-offs. It must be empty for a Go sign-off.
    pub before_signing: Vec<Blocker>,
    /// The verdict.
    pub verdict: Verdict,
    /// Digest of the verdict: the evidence, the sign-offs that count, the blockers. A decision stores it.
    pub verdict_digest: String,
    /// The decision on this release, if it is still valid.
    pub decision: Option<Decision>,
    /// The last decision on this release, if it is no longer valid.
    pub fallen: Option<FallenDecision>,
    /// Differences between the release and the running stack or the directory.
    pub drift: Vec<Drift>,
}

impl Judgement {
    /// The last decision on this release, valid or not.
    pub fn last_decision(&self) -> Option<&Decision> {
        self.decision.as_ref().or(self.fallen.as_ref().map(|f| &f.decision))
    }

    /// The gate `id`.
    pub fn gate(&self, id: &str) -> Option<&GateView> {
        self.gates.iter().find(|g| g.id == id)
    }

    /// The item `id`, inside or outside of the gates.
    pub fn item(&self, id: &str) -> Option<&ItemState> {
        self.gates.iter().flat_map(|g| &g.items).chain(&self.loose_items).find(|i| i.item.id == id)
    }
}

/// Computes the judgement from the facts.
pub fn judge(facts: &Facts<'_>) -> Judgement {
    let all = items(facts.runbook, facts.checks, facts.attest, facts.findings, facts.rules);
    let mut states: Vec<ItemState> = item_states(&all, facts);
    let decision_gate = decision_gate(facts.runbook);
    let mut gates = gate_views(facts, &states, decision_gate.as_deref());
    let accepted = gates.iter().filter(|g| !g.is_decision).all(|g| g.state == GateState::Accepted);
    settle(&mut states, &Proof::GatesAccepted, accepted);

    let shown: Vec<ShownRow> =
        states.iter().filter(|s| s.item.proof != Proof::SignOffs).map(ItemState::shown).collect();
    let fingerprint = facts.release.map(|r| r.parts.fingerprint()).unwrap_or_default();
    let rows = states.iter().filter(|s| s.item.proof != Proof::SignOffs);
    let digests = Digests::of(&fingerprint, rows);
    let names = FirstNames::of(&states);
    let sign_offs = sign_off_views(facts, &digests, &shown, &names);
    let all_go = !sign_offs.is_empty() && sign_offs.iter().all(|s| s.counts() == Some(Choice::Go));
    settle(&mut states, &Proof::SignOffs, all_go);

    let drift = drift(facts);
    let lines: Vec<String> = drift.iter().filter(|d| d.blocks).map(|d| d.what.clone()).collect();
    complete_decision_gates(&mut gates, &states);
    let loose_items: Vec<ItemState> =
        states.iter().filter(|s| gate_of(&s.item, &gates).is_none()).cloned().collect();
    let mut before_signing =
        without_consequences(blockers_before_signing(facts, &gates, &loose_items, &lines), facts);
    date_blockers(&mut before_signing, facts, &gates);
    let mut blockers = before_signing.clone();
    blockers.extend(without_consequences(sign_off_blockers(facts, &sign_offs), facts));
    let waived: Vec<Waiver> =
        states.iter().filter(|s| s.status == Status::Waived).filter_map(|s| s.waiver.clone()).collect();
    let verdict = Verdict { blockers, waivers: waived.len(), waived };
    let verdicts = digests.map(|digest| verdict_digest(digest, &sign_offs, &verdict));
    let last = facts.decisions.iter().rfind(|d| facts.release.is_some_and(|r| r.id == d.release)).cloned();
    let (decision, fallen) = match last {
        Some(d) if is_valid(&d, &verdict, &digests, &verdicts) => (Some(d), None),
        Some(d) => {
            let why = why_fallen(&d, &verdict, &digests, &shown, &names);
            (None, Some(FallenDecision { decision: d, why }))
        }
        None => (None, None),
    };
    if decision.as_ref().is_some_and(|d| d.choice == Choice::Go) {
        for gate in gates.iter_mut().filter(|g| g.is_decision) {
            gate.state = GateState::Accepted;
        }
    }
    Judgement {
        gates,
        loose_items,
        sign_offs,
        digest: digests.now,
        shown,
        before_signing,
        verdict,
        verdict_digest: verdicts.now,
        decision,
        fallen,
        drift,
    }
}

/// The items of decision gates depend on the other gates and on the sign-offs, so they are added last.
fn complete_decision_gates(gates: &mut [GateView], states: &[ItemState]) {
    for gate in gates.iter_mut().filter(|g| g.is_decision) {
        gate.items = items_of(states, &gate.id);
        if gate.items.iter().all(ItemState::is_satisfied) && gate.waits_for.is_empty() {
            gate.state = GateState::Ready;
        }
    }
}

/// Whether a decision counts: a No-Go always, a Go as long as what was decided on is the same.
fn is_valid(decision: &Decision, verdict: &Verdict, evidence: &Digests, verdicts: &Digests) -> bool {
    let same = if decision.verdict.is_empty() {
        evidence.has(&decision.digest)
    } else {
        verdicts.has(&decision.verdict)
    };
    decision.choice == Choice::NoGo || (verdict.is_go() && same)
}

fn settle(states: &mut [ItemState], proof: &Proof, holds: bool) {
    for state in states.iter_mut().filter(|s| s.item.proof == *proof && s.waiver.is_none()) {
        if holds {
            state.status = Status::Derived;
        }
    }
}
