//! The judgement: gates, sign-offs, verdict, out of the facts. Pure and total; every unmet
//! condition is returned, not the first only.

use serde::{Deserialize, Serialize};

use crate::change::{part_changes, row_changes, value_changes, why_stale};
use crate::digest::digest_fields;
use crate::drift::{Drift, drift};
use crate::facts::{Acceptance, Choice, Decision, Facts, ShownRow, SignOff, Waiver};
use crate::item::{Item, ItemState, Proof, Status, decision_gate, gate_owners, item_states, items};
use crate::release::{Parts, ReleaseState};
use crate::role::Role;
use crate::since::gate_since;
use crate::time::Millis;

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
    /// What has changed since the last one was given, also where that does not end it: rows, parts of
    /// the release, measured values.
    pub changes: Vec<String>,
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
    /// Since when it is in the way, where the facts tell.
    pub since: Option<Millis>,
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
    /// The audit log, and the records that it vouches for.
    Audit,
}

/// Go, or No-Go with the shortest list of blockers. Computed, never typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What stands between here and Go; empty means Go.
    pub blockers: Vec<Blocker>,
    /// Items let through by a waiver.
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

/// A decision that no longer stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallenDecision {
    /// The decision.
    pub decision: Decision,
    /// Why it does not stand, one phrase each; never empty.
    pub why: Vec<String>,
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
    /// Digest of the verdict: the evidence, the sign-offs that count, the blockers. A decision stores it.
    pub verdict_digest: String,
    /// The decision on this release, if it is still about what is shown now.
    pub decision: Option<Decision>,
    /// The last decision on this release, if it no longer stands.
    pub fallen: Option<FallenDecision>,
    /// What differs between the release and the stack and directory as they are.
    pub drift: Vec<Drift>,
}

impl Judgement {
    /// The last decision on this release, whether it still stands or not.
    pub fn last_decision(&self) -> Option<&Decision> {
        self.decision.as_ref().or(self.fallen.as_ref().map(|f| &f.decision))
    }

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
    let all = items(facts.runbook, facts.checks, facts.attest, facts.findings, facts.rules);
    let mut states: Vec<ItemState> = item_states(&all, facts);
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
    let mut before_signing =
        without_consequences(blockers_before_signing(facts, &gates, &loose_items, &lines), facts);
    date_blockers(&mut before_signing, facts, &gates);
    let mut blockers = before_signing.clone();
    blockers.extend(without_consequences(sign_off_blockers(facts, &sign_offs), facts));
    let waived: Vec<Waiver> =
        states.iter().filter(|s| s.status == Status::Waived).filter_map(|s| s.waiver.clone()).collect();
    let verdict = Verdict { blockers, waivers: waived.len(), waived };
    let verdict_digest = verdict_digest(&digest, &sign_offs, &verdict);
    let last = facts.decisions.iter().rfind(|d| facts.release.is_some_and(|r| r.id == d.release)).cloned();
    let stands = |d: &Decision| {
        let same = if d.verdict.is_empty() { d.digest == digest } else { d.verdict == verdict_digest };
        d.choice == Choice::NoGo || (verdict.is_go() && same)
    };
    let (decision, fallen) = match last {
        Some(d) if stands(&d) => (Some(d), None),
        Some(d) => {
            let why = why_fallen(&d, &verdict, &digest, &shown);
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
        digest,
        shown,
        before_signing,
        verdict,
        verdict_digest,
        decision,
        fallen,
        drift,
    }
}

/// Digest of what a decision is about: the evidence, who signed what, whether it is Go.
fn verdict_digest(digest: &str, sign_offs: &[SignOffView], verdict: &Verdict) -> String {
    let signed = sign_offs.iter().flat_map(|s| {
        let word = s.last.as_ref().filter(|_| s.stale.is_empty());
        [s.name.clone(), word.map_or_else(String::new, |w| format!("{} {} {}", w.id, w.by, w.choice.slug()))]
    });
    let blockers = verdict.blockers.iter().map(|b| b.what.clone());
    // Decisions are stored with these words: they stay, whatever pages call a verdict.
    let words = match (verdict.is_go(), verdict.waivers) {
        (false, _) => "No-Go".to_owned(),
        (true, 0) => "Go".to_owned(),
        (true, 1) => "Go with 1 waiver".to_owned(),
        (true, n) => format!("Go with {n} waivers"),
    };
    let head = ["verdict".to_owned(), digest.to_owned(), words];
    digest_fields(head.into_iter().chain(signed).chain(blockers))
}

fn why_fallen(decision: &Decision, verdict: &Verdict, digest: &str, shown: &[ShownRow]) -> Vec<String> {
    let mut why = Vec::new();
    if !verdict.is_go() {
        let first = verdict.blockers.first().map_or("", |b| b.what.as_str());
        let more = match verdict.blockers.len() {
            0 | 1 => String::new(),
            n => format!(", and {} more", n - 1),
        };
        why.push(format!("the verdict is No-Go now: {first}{more}"));
    }
    if decision.digest != digest {
        let rows = if decision.shown.is_empty() { vec![] } else { row_changes(&decision.shown, shown) };
        if rows.is_empty() && verdict.is_go() {
            why.push("the evidence is another one than was decided on".to_owned());
        }
        why.extend(rows);
    } else if why.is_empty() {
        why.push("the sign-offs are others than were decided on".to_owned());
    }
    why
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

/// What a gate's digest begins with. Acceptances are stored with it: its spelling stays.
fn gate_head(gate: &str, release: Option<i64>) -> String {
    match release {
        Some(id) => format!("gate {gate} Some({id})"),
        None => format!("gate {gate} None"),
    }
}

fn gate_views(facts: &Facts<'_>, states: &[ItemState], decision_gate: Option<&str>) -> Vec<GateView> {
    let mut views: Vec<GateView> = Vec::new();
    for gate in &facts.runbook.gates {
        let items = items_of(states, &gate.id);
        let rows: Vec<ShownRow> = items.iter().map(ItemState::shown).collect();
        let release = facts.release.map(|r| r.id);
        let digest = digest_rows(&gate_head(&gate.id, release), &rows);
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
    let none = Parts::default();
    let parts = facts.release.map_or(&none, |r| &r.parts);
    let mut views = Vec::new();
    for name in &facts.runbook.signoff_roles {
        let role = Role::from_owner_word(&name.role).first().copied();
        let last =
            facts.sign_offs.iter().rfind(|s| Some(s.release) == release && Some(s.role) == role).cloned();
        let (mut stale, mut changes) = (Vec::new(), Vec::new());
        if let Some(signed) = &last {
            // A No-Go stands until its signer takes it back; only a Go can go stale.
            if signed.choice == Choice::Go && signed.digest != digest {
                stale = why_stale(&signed.shown, signed.parts.as_ref(), shown, parts);
            }
            changes = signed.parts.as_ref().map(|p| part_changes(p, parts)).unwrap_or_default();
            changes.extend(row_changes(&signed.shown, shown));
            changes.extend(value_changes(&signed.shown, shown));
            if seen.contains(&signed.by) {
                stale.push(format!("{} already signs for another role", signed.by_name));
            }
            seen.push(signed.by);
        }
        views.push(SignOffView { name: name.role.clone(), role, last, stale, changes });
    }
    views
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
        out.push(Blocker { kind, what, details, owners, since: None });
    };
    if !facts.integrity.is_empty() {
        let advice = "Restore the data directory from the last good backup, undo the change, or, if the change was \
                      meant, accept it with `stagegate verify --accept`; `stagegate verify` checks every record.";
        let details = facts.integrity.iter().cloned().chain([advice.to_owned()]).collect();
        push(
            BlockerKind::Audit,
            "The stored records do not match the audit log".into(),
            details,
            labels(&[Role::Admin]),
        );
    }
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
        let own = |i: &&ItemState| {
            !matches!(i.item.proof, Proof::SignOffs | Proof::GatesAccepted) && !i.only_follows()
        };
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

/// One line for each cause, with all the items that it keeps open: `A.1, A.3: check “x” has not run`.
fn complaints(items: &[&ItemState]) -> Vec<String> {
    let mut causes: Vec<(&String, Vec<&str>)> = Vec::new();
    for item in items {
        let Status::Open(why) = &item.status else { continue };
        for cause in why {
            match causes.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, ids)) => ids.push(&item.item.id),
                None => causes.push((cause, vec![&item.item.id])),
            }
        }
    }
    causes.into_iter().map(|(cause, ids)| format!("{}: {cause}", ids.join(", "))).collect()
}

fn no_go_words(signed: &SignOff) -> Vec<String> {
    let mut words = vec![format!("{}: {}", signed.by_name, signed.comment)];
    if !signed.would_change.is_empty() {
        words.push(format!("what would change it: {}", signed.would_change));
    }
    words
}

/// Fills in since when each blocker is in the way, where the facts tell.
fn date_blockers(blockers: &mut [Blocker], facts: &Facts<'_>, gates: &[GateView]) {
    for blocker in blockers.iter_mut().filter(|b| b.since.is_none()) {
        blocker.since = match &blocker.kind {
            BlockerKind::Gate(id) => gates.iter().find(|g| g.id == *id).and_then(|g| gate_since(g, facts)),
            BlockerKind::Stack => facts.observed.unreachable_since,
            BlockerKind::Release => {
                facts.release.filter(|r| r.state == ReleaseState::Opened).map(|r| r.opened_at)
            }
            BlockerKind::Runbook | BlockerKind::SignOffs | BlockerKind::Audit => None,
        };
    }
}

/// Leaves out what follows from another blocker: without a release nothing can be shown to hold, and
/// one that was rolled back is not repaired but replaced.
fn without_consequences(blockers: Vec<Blocker>, facts: &Facts<'_>) -> Vec<Blocker> {
    let moot = facts.release.is_none_or(|r| r.state == ReleaseState::RolledBackFrom);
    let follows = |b: &Blocker| matches!(b.kind, BlockerKind::Gate(_) | BlockerKind::SignOffs);
    blockers.into_iter().filter(|b| !(moot && follows(b))).collect()
}

fn sign_off_blockers(facts: &Facts<'_>, views: &[SignOffView]) -> Vec<Blocker> {
    let mut out = Vec::new();
    for view in views.iter().filter(|v| v.counts() == Some(Choice::NoGo)) {
        let Some(signed) = &view.last else { continue };
        out.push(Blocker {
            kind: BlockerKind::SignOffs,
            what: format!("{} says No-Go", view.name),
            details: no_go_words(signed),
            owners: vec![view.name.clone()],
            since: Some(signed.at),
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
            since: None,
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
            since: None,
        });
    }
    out
}
