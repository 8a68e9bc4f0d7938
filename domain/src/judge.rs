//! The judgement: gates, sign-offs, verdict, out of the facts. Pure and total; every unmet
//! condition is returned, not the first only.

use serde::{Deserialize, Serialize};

use crate::digest::digest_fields;
use crate::drift::{Drift, drift};
use crate::facts::{Acceptance, Choice, Decision, Facts, ShownRow, SignOff};
use crate::item::{Item, ItemState, Proof, Status, decision_gate, gate_owners, item_state, items};
use crate::release::ReleaseState;
use crate::role::Role;

/// The state of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateState {
    /// Something is missing.
    Open,
    /// Every criterion is satisfied; an owner may accept it once the gates before it are accepted.
    Ready,
    /// An owner accepted it on this release, and what was accepted still holds.
    Accepted,
}

/// How a gate stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateView {
    /// Its letter.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its state.
    pub state: GateState,
    /// Who may accept it.
    pub owners: Vec<Role>,
    /// Its items.
    pub items: Vec<ItemState>,
    /// Digest of its items as they stand now; an acceptance stores it.
    pub digest: String,
    /// The last acceptance on this release, valid or not.
    pub acceptance: Option<Acceptance>,
    /// It was accepted on this release and fell back since.
    pub fell_back: bool,
    /// The earlier gates that are not accepted yet; it cannot be accepted before they are.
    pub waits_for: Vec<String>,
    /// It is the gate where the decision falls.
    pub is_decision: bool,
}

impl GateView {
    /// How many items are satisfied.
    pub fn satisfied(&self) -> usize {
        self.items.iter().filter(|i| i.is_satisfied()).count()
    }

    /// Whether something in it was seen to be wrong.
    pub fn is_red(&self) -> bool {
        self.items.iter().any(ItemState::is_red)
    }
}

/// How one signing role stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOffView {
    /// The role as the runbook writes it.
    pub name: String,
    /// The role, when the word is a known one.
    pub role: Option<Role>,
    /// Its last sign-off on this release.
    pub last: Option<SignOff>,
    /// Why the last one does not count; empty when it does.
    pub stale: Vec<String>,
}

impl SignOffView {
    /// The word that counts, if one does.
    pub fn counts(&self) -> Option<Choice> {
        self.last.as_ref().filter(|_| self.stale.is_empty()).map(|s| s.choice)
    }
}

/// Something between here and Go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// Which kind of thing it is.
    pub kind: BlockerKind,
    /// What is wrong, one line.
    pub what: String,
    /// The particulars, one line each.
    pub details: Vec<String>,
    /// Whose it is.
    pub owners: Vec<String>,
}

/// Where a blocker belongs; pages link there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockerKind {
    /// The runbook or its configuration.
    Runbook,
    /// The release: none is open, or it is not deployed.
    Release,
    /// The engine, a service, drift.
    Stack,
    /// This gate.
    Gate(String),
    /// The sign-offs.
    SignOffs,
}

/// Go, or No-Go with the shortest list of blockers. Computed, never typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What stands between here and Go; empty means Go.
    pub blockers: Vec<Blocker>,
    /// Items let through by a waiver.
    pub waivers: usize,
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
}

/// Everything that the rules say about one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The gates in order.
    pub gates: Vec<GateView>,
    /// Checklist items that stand in no gate.
    pub loose_items: Vec<ItemState>,
    /// The signing roles in the runbook's order.
    pub sign_offs: Vec<SignOffView>,
    /// Digest of all that a signer is shown.
    pub digest: String,
    /// The rows behind it.
    pub shown: Vec<ShownRow>,
    /// What stands between here and Go, sign-offs left out: a Go signature needs it empty.
    pub before_signing: Vec<Blocker>,
    /// The verdict.
    pub verdict: Verdict,
    /// The decision on this release, if it is still about what is shown now.
    pub decision: Option<Decision>,
    /// What differs between the release and the stack and directory as they are.
    pub drift: Vec<Drift>,
}

impl Judgement {
    /// The gate `id`.
    pub fn gate(&self, id: &str) -> Option<&GateView> {
        self.gates.iter().find(|g| g.id == id)
    }

    /// The item `id`, wherever it stands.
    pub fn item(&self, id: &str) -> Option<&ItemState> {
        self.gates.iter().flat_map(|g| &g.items).chain(&self.loose_items).find(|i| i.item.id == id)
    }
}

/// Judges the facts.
pub fn judge(facts: &Facts<'_>) -> Judgement {
    let mut states: Vec<ItemState> = items(facts.runbook, facts.checks, facts.attest, facts.findings)
        .iter()
        .map(|i| item_state(i, facts))
        .collect();
    let decision_gate = decision_gate(facts.runbook);
    let mut gates = gate_views(facts, &states, decision_gate.as_deref());
    let accepted = gates.iter().filter(|g| !g.is_decision).all(|g| g.state == GateState::Accepted);
    settle(&mut states, &Proof::GatesAccepted, accepted);

    let shown: Vec<ShownRow> =
        states.iter().filter(|s| s.item.proof != Proof::SignOffs).map(ItemState::shown).collect();
    let fingerprint = facts.release.map(|r| r.parts.fingerprint()).unwrap_or_default();
    let digest = digest_rows(&fingerprint, &shown);
    let sign_offs = sign_off_views(facts, &digest, &shown);
    let all_go = !sign_offs.is_empty() && sign_offs.iter().all(|s| s.counts() == Some(Choice::Go));
    settle(&mut states, &Proof::SignOffs, all_go);

    let drift = drift(facts);
    let lines: Vec<String> = drift.iter().filter(|d| d.blocks).map(|d| d.what.clone()).collect();
    for gate in gates.iter_mut().filter(|g| g.is_decision) {
        gate.items = items_of(&states, &gate.id);
        if gate.items.iter().all(ItemState::is_satisfied) && gate.waits_for.is_empty() {
            gate.state = GateState::Ready;
        }
    }
    let loose_items: Vec<ItemState> =
        states.iter().filter(|s| gate_of(&s.item, &gates).is_none()).cloned().collect();
    let before_signing = blockers_before_signing(facts, &gates, &loose_items, &lines);
    let mut blockers = before_signing.clone();
    blockers.extend(sign_off_blockers(facts, &sign_offs));
    let waivers = states.iter().filter(|s| s.status == Status::Waived).count();
    let verdict = Verdict { blockers, waivers };
    let decision = facts
        .decisions
        .last()
        .filter(|d| facts.release.is_some_and(|r| r.id == d.release))
        .filter(|d| d.choice == Choice::NoGo || (verdict.is_go() && d.digest == digest))
        .cloned();
    if decision.as_ref().is_some_and(|d| d.choice == Choice::Go) {
        for gate in gates.iter_mut().filter(|g| g.is_decision) {
            gate.state = GateState::Accepted;
        }
    }
    Judgement { gates, loose_items, sign_offs, digest, shown, before_signing, verdict, decision, drift }
}

fn gate_of(item: &Item, gates: &[GateView]) -> Option<String> {
    item.gate.clone().filter(|g| gates.iter().any(|v| v.id == *g))
}

fn items_of(states: &[ItemState], gate: &str) -> Vec<ItemState> {
    states.iter().filter(|s| s.item.gate.as_deref() == Some(gate)).cloned().collect()
}

fn settle(states: &mut [ItemState], proof: &Proof, holds: bool) {
    for state in states.iter_mut().filter(|s| s.item.proof == *proof && s.waiver.is_none()) {
        if holds {
            state.status = Status::Derived;
        }
    }
}

fn digest_rows(head: &str, rows: &[ShownRow]) -> String {
    let fields = rows
        .iter()
        .flat_map(|r| [r.item.clone(), r.text_digest.clone(), r.state.clone(), r.failures.to_string()]);
    digest_fields(std::iter::once(head.to_owned()).chain(fields))
}

fn gate_views(facts: &Facts<'_>, states: &[ItemState], decision_gate: Option<&str>) -> Vec<GateView> {
    let mut views: Vec<GateView> = Vec::new();
    for gate in &facts.runbook.gates {
        let items = items_of(states, &gate.id);
        let rows: Vec<ShownRow> = items.iter().map(ItemState::shown).collect();
        let release = facts.release.map(|r| r.id);
        let digest = digest_rows(&format!("gate {} {release:?}", gate.id), &rows);
        let is_decision = decision_gate == Some(gate.id.as_str());
        let satisfied = items.iter().all(ItemState::is_satisfied);
        let acceptance =
            facts.acceptances.iter().rfind(|a| a.gate == gate.id && Some(a.release) == release).cloned();
        let holds = satisfied && acceptance.as_ref().is_some_and(|a| a.digest == digest);
        let state = match (release.is_some() && satisfied && !is_decision, holds && !is_decision) {
            (_, true) => GateState::Accepted,
            (true, false) => GateState::Ready,
            (false, false) => GateState::Open,
        };
        let waits_for =
            views.iter().filter(|v| v.state != GateState::Accepted).map(|v| v.id.clone()).collect();
        views.push(GateView {
            id: gate.id.clone(),
            title: gate.title.clone(),
            state,
            owners: if is_decision { vec![Role::Po] } else { gate_owners(&gate.id, facts) },
            items,
            digest,
            fell_back: acceptance.is_some() && !holds && !is_decision,
            acceptance,
            waits_for,
            is_decision,
        });
    }
    views
}

fn sign_off_views(facts: &Facts<'_>, digest: &str, shown: &[ShownRow]) -> Vec<SignOffView> {
    let release = facts.release.map(|r| r.id);
    let mut seen: Vec<i64> = Vec::new();
    let mut views = Vec::new();
    for name in &facts.runbook.signoff_roles {
        let role = Role::from_owner_word(&name.role).first().copied();
        let last =
            facts.sign_offs.iter().rfind(|s| Some(s.release) == release && Some(s.role) == role).cloned();
        let mut stale = Vec::new();
        if let Some(signed) = &last {
            // A No-Go stands until its signer takes it back; only a Go can go stale.
            if signed.choice == Choice::Go && signed.digest != digest {
                stale = what_changed(&signed.shown, shown);
            }
            if seen.contains(&signed.by) {
                stale.push(format!("{} already signs for another role", signed.by_name));
            }
            seen.push(signed.by);
        }
        views.push(SignOffView { name: name.role.clone(), role, last, stale });
    }
    views
}

/// What differs between what a signer saw and what stands now, one phrase for each row.
pub fn what_changed(then: &[ShownRow], now: &[ShownRow]) -> Vec<String> {
    let mut changes: Vec<String> = now
        .iter()
        .filter_map(|row| match then.iter().find(|t| t.item == row.item) {
            None => Some(format!("{} is new", row.item)),
            Some(t) if t.text_digest != row.text_digest => Some(format!("the text of {} changed", row.item)),
            Some(t) if t.state != row.state => {
                Some(format!("{} was {} and is {}", row.item, t.state, row.state))
            }
            Some(t) if t.failures != row.failures => Some(format!("{} did not hold in between", row.item)),
            Some(_) => None,
        })
        .collect();
    changes.extend(
        then.iter().filter(|t| !now.iter().any(|n| n.item == t.item)).map(|t| format!("{} is gone", t.item)),
    );
    if changes.is_empty() {
        changes.push("the release itself changed".to_owned());
    }
    changes
}

fn labels(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|r| r.label().to_owned()).collect()
}

fn blockers_before_signing(
    facts: &Facts<'_>,
    gates: &[GateView],
    loose: &[ItemState],
    drift: &[String],
) -> Vec<Blocker> {
    let devops = || labels(&[Role::DevOps]);
    let mut out = Vec::new();
    let mut push = |kind, what: String, details: Vec<String>, owners| {
        out.push(Blocker { kind, what, details, owners });
    };
    if facts.runbook.gates.is_empty() {
        push(
            BlockerKind::Runbook,
            "The runbook names no gates, so there is nothing to pass".into(),
            vec![],
            labels(&[Role::Docs]),
        );
    }
    if facts.observed.unreachable_since.is_some() {
        push(
            BlockerKind::Stack,
            "The Docker engine cannot be reached".into(),
            vec![facts.observed.unreachable_why.clone()],
            devops(),
        );
    }
    match facts.release.map(|r| r.state) {
        None => push(BlockerKind::Release, "No release is open".into(), vec![], devops()),
        Some(ReleaseState::Opened) => {
            push(BlockerKind::Release, "The release is not deployed yet".into(), vec![], devops())
        }
        Some(ReleaseState::Failed) => {
            push(BlockerKind::Release, "The deploy of this release failed".into(), vec![], devops())
        }
        Some(ReleaseState::RolledBackFrom) => push(
            BlockerKind::Release,
            "This release was rolled back and is marked bad".into(),
            vec![],
            devops(),
        ),
        Some(ReleaseState::Deployed) => {
            let bad: Vec<String> = facts
                .observed
                .services
                .iter()
                .filter(|s| !s.health.is_good())
                .map(|s| format!("{} is {}", s.name, s.health.label()))
                .collect();
            if !bad.is_empty() && facts.observed.unreachable_since.is_none() {
                push(BlockerKind::Stack, bad.join(", "), vec![], devops());
            }
        }
    }
    if !drift.is_empty() {
        push(
            BlockerKind::Stack,
            "The stack is not the release that is judged".into(),
            drift.to_vec(),
            devops(),
        );
    }
    for gate in gates.iter().filter(|g| !g.is_decision && g.state != GateState::Accepted) {
        let open: Vec<&ItemState> = gate.items.iter().filter(|i| !i.is_satisfied()).collect();
        let what = if open.is_empty() {
            format!("Gate {} is ready and waits to be accepted", gate.id)
        } else {
            format!("Gate {}: {} of {} criteria open", gate.id, open.len(), gate.items.len())
        };
        push(BlockerKind::Gate(gate.id.clone()), what, complaints(&open), labels(&gate.owners));
    }
    // What the sign-offs and the other gates settle is told by those; one line is enough for the rest.
    let open_of = |items: &[ItemState]| -> Vec<ItemState> {
        let own = |i: &&ItemState| !matches!(i.item.proof, Proof::SignOffs | Proof::GatesAccepted);
        items.iter().filter(own).filter(|i| !i.is_satisfied()).cloned().collect()
    };
    let checklist_owners = || labels(&[Role::Qa, Role::Po]);
    for gate in gates.iter().filter(|g| g.is_decision) {
        let open = open_of(&gate.items);
        if !open.is_empty() {
            let what = format!("Gate {}: {} of the checklist open", gate.id, open.len());
            let details = complaints(&open.iter().collect::<Vec<_>>());
            push(BlockerKind::Gate(gate.id.clone()), what, details, checklist_owners());
        }
    }
    let open = open_of(loose);
    if !open.is_empty() {
        let what = format!("{} of the checklist open", open.len());
        let details = complaints(&open.iter().collect::<Vec<_>>());
        push(BlockerKind::SignOffs, what, details, checklist_owners());
    }
    out
}

fn complaints(items: &[&ItemState]) -> Vec<String> {
    items
        .iter()
        .flat_map(|i| match &i.status {
            Status::Open(why) => why.iter().map(|w| format!("{}: {w}", i.item.id)).collect::<Vec<_>>(),
            _ => vec![],
        })
        .collect()
}

fn sign_off_blockers(facts: &Facts<'_>, views: &[SignOffView]) -> Vec<Blocker> {
    let mut out = Vec::new();
    for view in views.iter().filter(|v| v.counts() == Some(Choice::NoGo)) {
        let Some(signed) = &view.last else { continue };
        out.push(Blocker {
            kind: BlockerKind::SignOffs,
            what: format!("{} says No-Go", view.name),
            details: vec![format!("{}: {}", signed.by_name, signed.comment)],
            owners: vec![view.name.clone()],
        });
    }
    let waiting: Vec<&SignOffView> = views.iter().filter(|v| v.counts().is_none()).collect();
    if !waiting.is_empty() {
        let details = waiting
            .iter()
            .filter(|v| !v.stale.is_empty())
            .map(|v| format!("{}: re-confirm, {}", v.name, v.stale.join("; ")))
            .collect();
        let names: Vec<String> = waiting.iter().map(|v| v.name.clone()).collect();
        out.push(Blocker {
            kind: BlockerKind::SignOffs,
            what: format!("Sign-offs missing: {}", names.join(", ")),
            details,
            owners: names,
        });
    }
    let signers: Vec<i64> =
        views.iter().filter(|v| v.counts().is_some()).filter_map(|v| Some(v.last.as_ref()?.by)).collect();
    let deployer = facts.release.and_then(|r| r.deployed_by);
    if waiting.is_empty() && !signers.is_empty() && signers.iter().all(|s| Some(*s) == deployer) {
        out.push(Blocker {
            kind: BlockerKind::SignOffs,
            what: "Only the person who deployed has signed".to_owned(),
            details: vec![],
            owners: views.iter().map(|v| v.name.clone()).collect(),
        });
    }
    out
}
