//! Criteria and checklist items: how each can be satisfied, and its state.

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::drift::{laxer_mode, parts_seen};
use crate::evidence::{Evidence, Outcome, Staleness, staleness};
use crate::facts::{Attestation, Facts, ShownRow, ShownValue, Waiver};
use crate::failures::failures_of;
use crate::observed_changes::{MODE_KEY, became, mode_text};
use crate::preflight::{Finding, Identity, Weight};
use crate::release::ReleaseComponents;
use crate::role::Role;
use crate::rules::{ChecklistPart, Rules};
use crate::runbook::Runbook;
use crate::time::human_span;

/// How an item can be satisfied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// By these checks, all of them.
    Checks(Vec<String>),
    /// By these criteria and checks, all of them; the checks bound to the item are among them.
    Pieces(Vec<ChecklistPart>),
    /// By an attestation.
    Attestation,
    /// By all gates before the decision being accepted.
    GatesAccepted,
    /// By the sign-offs of all signing roles.
    SignOffs,
    /// Cannot be satisfied: a preflight finding that would make a step or the deploy fail. It disappears when the cause
    /// is fixed.
    Preflight {
        /// Where: `docker-compose.yml:12`.
        place: String,
        /// How to fix it.
        hint: String,
    },
}

/// A criterion or checklist item of the runbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// `A.1`, `H.c2`.
    pub id: String,
    /// The gate it belongs to; a checklist outside any gate belongs to none.
    pub gate: Option<String>,
    /// Its text.
    pub text: String,
    /// Digest of the text; for a preflight finding, of its subject.
    pub digest: String,
    /// Its identity in attestations and sign-offs of earlier versions, if that is different.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Identity>,
    /// How it is satisfied.
    pub proof: Proof,
    /// It needs an attestation in addition to its checks.
    pub needs_word: bool,
    /// Line in the runbook, from 1.
    pub line: usize,
}

impl Item {
    /// Whether a stored attestation or waiver refers to it by this id, in the current or an earlier format.
    pub fn is_called(&self, id: &str) -> bool {
        self.id == id || self.first.as_ref().is_some_and(|first| first.id == id)
    }

    /// Whether a stored attestation or waiver refers to its current text.
    pub fn says(&self, digest: &str) -> bool {
        self.digest == digest || self.first.as_ref().is_some_and(|first| first.digest == digest)
    }
}

/// The items of a runbook in its order: preflight findings, criteria, then checklist. `attest` lists those
/// that need an attestation in addition to their checks.
pub fn items(
    runbook: &Runbook,
    checks: &[Check],
    attest: &[String],
    findings: &[Finding],
    rules: &Rules,
) -> Vec<Item> {
    let found = findings.iter().filter(|f| f.weight == Weight::Breaks).filter_map(|f| {
        let Identity { id, digest } = f.identity()?;
        Some(Item {
            id,
            gate: f.gate.clone(),
            text: f.message.clone(),
            digest,
            first: f.first_identity(),
            proof: Proof::Preflight { place: f.place(), hint: f.hint.clone() },
            needs_word: false,
            line: 0,
        })
    });
    let proof_of = |id: &str| {
        let bound: Vec<String> =
            checks.iter().filter(|c| c.proves.iter().any(|p| p == id)).map(|c| c.id.clone()).collect();
        if let Some(declared) = rules.checklist.get(id).filter(|d| !d.is_empty()) {
            let mut pieces = declared.clone();
            pieces.extend(bound.into_iter().map(ChecklistPart::Check).filter(|c| !declared.contains(c)));
            return Proof::Pieces(pieces);
        }
        if bound.is_empty() { Proof::Attestation } else { Proof::Checks(bound) }
    };
    let criteria = runbook.criteria.iter().map(|c| Item {
        id: c.id.clone(),
        gate: Some(c.gate.clone()),
        text: c.text.clone(),
        digest: c.digest.clone(),
        first: None,
        proof: proof_of(&c.id),
        needs_word: attest.contains(&c.id),
        line: c.line,
    });
    let decision_gate = decision_gate(runbook);
    let checklist = runbook.checklist.iter().map(|c| Item {
        id: c.id.clone(),
        gate: c.id.split_once('.').map(|(gate, _)| gate.to_owned()).or(decision_gate.clone()),
        text: c.text.clone(),
        digest: c.digest.clone(),
        first: None,
        proof: derived(&c.text, runbook).unwrap_or_else(|| proof_of(&c.id)),
        needs_word: attest.contains(&c.id),
        line: c.line,
    });
    found.chain(criteria).chain(checklist).collect()
}

/// The gate of the Go/No-Go decision: the gate that contains the checklist, or the last gate if the checklist is
/// outside the gates. `None` without a checklist.
pub fn decision_gate(runbook: &Runbook) -> Option<String> {
    let gate = runbook
        .checklist
        .iter()
        .find_map(|c| c.id.split_once('.').map(|(gate, _)| gate.to_owned()))
        .or_else(|| {
        (!runbook.checklist.is_empty()).then(|| runbook.gates.last().map(|g| g.id.clone()))?
    })?;
    runbook.gates.iter().any(|g| g.id == gate).then_some(gate)
}

/// The proof of checklist items that Stagegate can derive itself: accepted gates and sign-offs.
fn derived(text: &str, runbook: &Runbook) -> Option<Proof> {
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|c| if matches!(c, '\u{2010}'..='\u{2015}') { '-' } else { c })
        .collect();
    if !runbook.signoff_roles.is_empty()
        && (plain.contains("sign-off") || plain.contains("signoff") || plain.contains("sign off"))
    {
        return Some(Proof::SignOffs);
    }
    let names_gates = plain.contains("gate ") || plain.contains("gates ");
    (names_gates && plain.contains("accepted") && !runbook.gates.is_empty()).then_some(Proof::GatesAccepted)
}

/// The state of one check for the current release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckState {
    /// The check's id.
    pub check: String,
    /// Its standing.
    pub standing: Standing,
    /// Its last evidence, stale or not.
    pub last: Option<Evidence>,
    /// Why the last evidence does not count.
    pub stale: Vec<Staleness>,
    /// The unit of its value; empty for counts.
    pub unit: String,
    /// How many times it did not pass on the parts of this release.
    pub failures: u32,
}

/// The standing of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Never run.
    Missing,
    /// Its last evidence no longer counts.
    Stale,
    /// Its evidence counts and passed.
    Pass,
    /// Its evidence counts and failed.
    Fail,
    /// Its evidence counts and is inconclusive.
    Inconclusive,
}

impl Standing {
    /// The name on pages.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Missing => "not run",
            Standing::Stale => "stale",
            Standing::Pass => "pass",
            Standing::Fail => "fail",
            Standing::Inconclusive => "inconclusive",
        }
    }
}

/// The state of a check by its newest evidence that counts. Older evidence of the same parts counts again
/// after a rollback; newer evidence of other parts does not hide it.
pub fn check_state(check: &Check, facts: &Facts<'_>) -> CheckState {
    let none = ReleaseComponents::default();
    let parts = facts.release.map_or(&none, |r| &r.parts);
    let mine = || facts.evidence.iter().filter(|e| e.check == check.id);
    let seen = facts.release.map(|r| parts_seen(r, &facts.observed.parts)).unwrap_or_default();
    // Evidence found on other parts than those of the release does not count. Neither does evidence found on the
    // release's parts while other parts are observed.
    let why_stale = |e: &Evidence| -> Vec<Staleness> {
        let reasons = staleness(e, check, parts, facts.now);
        let (reasons, by) = if reasons.is_empty() {
            (staleness(e, check, &seen, facts.now), &seen)
        } else {
            (reasons, parts)
        };
        let mut reasons: Vec<Staleness> = reasons.into_iter().map(|r| r.dated(facts.changes, by)).collect();
        if e.finding.outcome == Outcome::Pass
            && let Some(mode) = laxer_mode(check, facts.observed)
        {
            let mode = mode_text(mode);
            let at = became(facts.changes, MODE_KEY, &mode);
            reasons.push(Staleness::SeenOtherwise { what: format!("the env file now has mode {mode}"), at });
        }
        reasons
    };
    let counting = |e: &&Evidence| why_stale(e).is_empty();
    let failures = facts.release.map_or(0, |r| failures_of(check, r, facts.failures));
    let state = |standing, last: Option<&Evidence>, stale| CheckState {
        check: check.id.clone(),
        standing,
        last: last.cloned(),
        stale,
        unit: check.want.as_ref().map(|w| w.unit.clone()).unwrap_or_default(),
        failures,
    };
    if facts.release.is_none() {
        return state(Standing::Missing, mine().next_back(), vec![]);
    }
    if let Some(e) = mine().rfind(counting) {
        let standing = match e.finding.outcome {
            Outcome::Pass => Standing::Pass,
            Outcome::Fail => Standing::Fail,
            Outcome::Inconclusive => Standing::Inconclusive,
        };
        return state(standing, Some(e), vec![]);
    }
    match mine().next_back() {
        None => state(Standing::Missing, None, vec![]),
        Some(e) => state(Standing::Stale, Some(e), why_stale(e)),
    }
}

impl CheckState {
    /// The value that counts, with its unit.
    pub fn shown_value(&self) -> Option<ShownValue> {
        if matches!(self.standing, Standing::Missing | Standing::Stale) {
            return None;
        }
        let number = self.last.as_ref()?.finding.value?;
        // Two decimal places are enough for people to compare.
        let number = (number * 100.0).round() / 100.0;
        let value = if self.unit.is_empty() { number.to_string() } else { format!("{number} {}", self.unit) };
        Some(ShownValue { check: self.check.clone(), value })
    }
}

/// An item with its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemState {
    /// The item.
    pub item: Item,
    /// Satisfied how, or why not.
    pub status: Status,
    /// Its checks, in the order declared.
    pub checks: Vec<CheckState>,
    /// The parts of a checklist item, in the order declared; empty for other items.
    pub pieces: Vec<ChecklistPartState>,
    /// The attestation that counts.
    pub attestation: Option<Attestation>,
    /// The last attestation on this release, when it no longer counts.
    pub old_word: Option<Attestation>,
    /// The waiver in force.
    pub waiver: Option<Waiver>,
}

/// The state of one part of a checklist item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecklistPartState {
    /// The part.
    pub piece: ChecklistPart,
    /// Whether it is satisfied.
    pub holds: bool,
    /// Its state in one word: `proved`, `waived`, `open`, `pass`.
    pub word: String,
    /// Why it is not satisfied; empty if it is.
    pub why: String,
}

/// Whether and how an item is satisfied. Missing information never satisfies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status", content = "why")]
pub enum Status {
    /// All its checks pass.
    Proved,
    /// A valid attestation exists.
    Attested,
    /// Waived until a date.
    Waived,
    /// Derived by Stagegate from gates or sign-offs.
    Derived,
    /// Not satisfied; one sentence for each thing missing.
    Open(Vec<String>),
}

impl ItemState {
    /// The last attestation on this release, whether it counts or not.
    pub fn last_word(&self) -> Option<&Attestation> {
        self.attestation.as_ref().or(self.old_word.as_ref())
    }

    /// Whether it is satisfied.
    pub fn is_satisfied(&self) -> bool {
        !matches!(self.status, Status::Open(_))
    }

    /// Whether it is open because a check has failed (and not only because one has not run yet) or because of a
    /// preflight finding.
    pub fn is_red(&self) -> bool {
        let seen_to_fail = || self.checks.iter().any(|c| c.standing == Standing::Fail);
        !self.is_satisfied() && (matches!(self.item.proof, Proof::Preflight { .. }) || seen_to_fail())
    }

    /// Whether it is open only because of open criteria, which are listed with their own gates.
    pub fn only_follows(&self) -> bool {
        !self.is_satisfied()
            && self.pieces.iter().any(|p| !p.holds)
            && self.pieces.iter().all(|p| p.holds || matches!(p.piece, ChecklistPart::Criterion(_)))
            && (self.attestation.is_some() || !self.item.needs_word)
    }

    /// Whether it can be attested.
    pub fn takes_word(&self) -> bool {
        self.item.proof == Proof::Attestation || self.item.needs_word
    }

    /// The state in one word.
    pub fn word(&self) -> &'static str {
        match self.status {
            Status::Proved => "proved",
            Status::Attested => "attested",
            Status::Waived => "waived",
            Status::Derived => "derived",
            Status::Open(_) => "open",
        }
    }

    /// The row as it was in stored digests of versions before 0.2.
    pub fn shown_first(&self) -> ShownRow {
        let mut row = self.shown();
        if let Some(Identity { id, digest }) = self.item.first.clone() {
            (row.item, row.text_digest) = (id, digest);
        }
        row
    }

    /// The row that signers see.
    pub fn shown(&self) -> ShownRow {
        let state = match &self.status {
            Status::Proved => match &self.attestation {
                Some(word) if self.item.needs_word => format!("proved and attested {}", word.id),
                _ => "proved".to_owned(),
            },
            Status::Attested => {
                format!("attested {}", self.attestation.as_ref().map_or(0, |a| a.id))
            }
            Status::Waived => format!("waived {}", self.waiver.as_ref().map_or(0, |w| w.id)),
            Status::Derived => "derived".to_owned(),
            Status::Open(_) => "open".to_owned(),
        };
        ShownRow {
            item: self.item.id.clone(),
            text_digest: self.item.digest.clone(),
            state,
            // A waived item may continue to fail; the person who waived it knew that.
            failures: match self.status {
                Status::Waived => 0,
                _ => self.checks.iter().map(|c| c.failures).sum(),
            },
            title: self.item.text.clone(),
            values: self.checks.iter().filter_map(CheckState::shown_value).collect(),
            saw: self
                .checks
                .iter()
                .filter_map(|c| Some((c, c.last.as_ref()?)))
                .map(|(c, e)| format!("{}: {}", c.check, e.finding.saw))
                .collect(),
        }
    }
}

/// The states of all items. Items made of parts come last, because their parts are other items.
pub fn item_states(items: &[Item], facts: &Facts<'_>) -> Vec<ItemState> {
    let mut states: Vec<ItemState> = items.iter().map(|i| item_state(i, facts, &[])).collect();
    let made = |s: &ItemState| matches!(s.item.proof, Proof::Pieces(_));
    let whole: Vec<ItemState> = states.iter().filter(|s| !made(s)).cloned().collect();
    for state in states.iter_mut().filter(|s| made(s)) {
        *state = item_state(&state.item, facts, &whole);
    }
    states
}

fn piece_state(piece: &ChecklistPart, checks: &[CheckState], others: &[ItemState]) -> ChecklistPartState {
    let open = |word: &str, why: String| ChecklistPartState {
        piece: piece.clone(),
        holds: false,
        word: word.into(),
        why,
    };
    let holds = |word: &str| ChecklistPartState {
        piece: piece.clone(),
        holds: true,
        word: word.into(),
        why: String::new(),
    };
    match piece {
        ChecklistPart::Criterion(id) => match others.iter().find(|o| o.item.id == *id) {
            None => open("unknown", format!("criterion {id} does not exist in the runbook")),
            Some(other) => match &other.status {
                Status::Open(why) => open(other.word(), why.join("; ")),
                _ => holds(other.word()),
            },
        },
        ChecklistPart::Check(id) => match checks.iter().find(|c| c.check == *id) {
            None => open("unknown", format!("check “{id}” does not exist")),
            Some(check) => match check_complaint(check) {
                Some(why) => open(check.standing.word(), why),
                None => holds(check.standing.word()),
            },
        },
    }
}

/// The state of an item by its checks, parts, attestation and waiver. The caller, which knows the gates and the
/// sign-offs, sets the two derived proofs.
fn item_state(item: &Item, facts: &Facts<'_>, others: &[ItemState]) -> ItemState {
    let checks: Vec<CheckState> = match &item.proof {
        Proof::Checks(ids) => {
            facts.checks.iter().filter(|c| ids.contains(&c.id)).map(|c| check_state(c, facts)).collect()
        }
        Proof::Pieces(pieces) => facts
            .checks
            .iter()
            .filter(|c| pieces.iter().any(|p| matches!(p, ChecklistPart::Check(id) if *id == c.id)))
            .map(|c| check_state(c, facts))
            .collect(),
        _ => vec![],
    };
    let pieces: Vec<ChecklistPartState> = match &item.proof {
        Proof::Pieces(pieces) => pieces.iter().map(|p| piece_state(p, &checks, others)).collect(),
        _ => vec![],
    };
    let waiver = facts
        .waivers
        .iter()
        .rfind(|w| item.is_called(&w.item))
        .filter(|w| w.holds && item.says(&w.text_digest) && facts.now < w.until)
        .cloned();
    let last_attestation = facts
        .attestations
        .iter()
        .rfind(|a| a.item == item.id && facts.release.is_some_and(|r| r.id == a.release));
    let invalid_because = last_attestation.and_then(|a| why_attestation_ended(item, a, facts));
    let attestation = last_attestation.filter(|_| invalid_because.is_none()).cloned();
    let old_word = last_attestation.filter(|_| invalid_because.is_some()).cloned();
    let proved = match &item.proof {
        Proof::Pieces(_) => pieces.iter().all(|p| p.holds),
        _ => !checks.is_empty() && checks.iter().all(|c| c.standing == Standing::Pass),
    };
    let is_attested = attestation.is_some() || !item.needs_word;
    let status = if proved && is_attested {
        Status::Proved
    } else if waiver.is_some() {
        Status::Waived
    } else if item.proof == Proof::Attestation && attestation.is_some() {
        Status::Attested
    } else {
        Status::Open(why_open(item, &checks, &pieces, is_attested, invalid_because))
    };
    ItemState { item: item.clone(), status, checks, pieces, attestation, old_word, waiver }
}

/// Why an attestation on this release no longer counts; `None` if it counts.
fn why_attestation_ended(item: &Item, attestation: &Attestation, facts: &Facts<'_>) -> Option<String> {
    if !attestation.holds {
        return Some(format!("{} withdrew the attestation", attestation.by_name));
    }
    if attestation.text_digest != item.digest {
        return Some("its text has changed since it was attested".to_owned());
    }
    let (age, valid) = (facts.now.since(attestation.at), facts.rules.attested_for(&item.id)?);
    (age >= valid).then(|| format!("attested {} ago, valid for {}", human_span(age), human_span(valid)))
}

fn why_open(
    item: &Item,
    checks: &[CheckState],
    pieces: &[ChecklistPartState],
    is_attested: bool,
    invalid_because: Option<String>,
) -> Vec<String> {
    let attestation_missing = || {
        invalid_because.clone().unwrap_or_else(|| "the part that no check covers is not attested".to_owned())
    };
    match &item.proof {
        Proof::Checks(_) => {
            let mut why: Vec<String> = checks.iter().filter_map(check_complaint).collect();
            if !is_attested {
                why.push(attestation_missing());
            }
            why
        }
        Proof::Pieces(_) => {
            let mut why: Vec<String> = pieces
                .iter()
                .filter(|p| !p.holds)
                .map(|p| match &p.piece {
                    ChecklistPart::Criterion(id) => format!("{id} is {}", p.word),
                    ChecklistPart::Check(_) => p.why.clone(),
                })
                .collect();
            if !is_attested {
                why.push(attestation_missing());
            }
            why
        }
        Proof::Attestation => {
            vec![invalid_because.unwrap_or_else(|| "not attested for this release".to_owned())]
        }
        Proof::GatesAccepted => vec!["not all earlier gates are accepted".to_owned()],
        Proof::SignOffs => vec!["not all roles have signed Go".to_owned()],
        Proof::Preflight { place, hint } => vec![format!("{place}: {hint}")],
    }
}

fn check_complaint(state: &CheckState) -> Option<String> {
    let saw = state.last.as_ref().map_or("", |e| e.finding.saw.as_str());
    match state.standing {
        Standing::Pass => None,
        Standing::Missing => Some(format!("check “{}” has not run", state.check)),
        Standing::Stale => {
            let reasons: Vec<String> = state.stale.iter().map(Staleness::reason).collect();
            Some(format!("check “{}” is stale: {}", state.check, reasons.join("; ")))
        }
        Standing::Fail => Some(format!("check “{}” failed: {saw}", state.check)),
        Standing::Inconclusive => Some(format!("check “{}” was inconclusive: {saw}", state.check)),
    }
}

/// The roles that own a gate: the declared owners, else all DRIs of the runbook, else DevOps.
pub fn gate_owners(gate: &str, facts: &Facts<'_>) -> Vec<Role> {
    if let Some(owners) = facts.gate_owners.get(gate)
        && !owners.is_empty()
    {
        return owners.clone();
    }
    let mut dris: Vec<Role> =
        facts.runbook.dris.iter().flat_map(|d| Role::from_owner_word(&d.role)).collect();
    dris.sort();
    dris.dedup();
    if dris.is_empty() { vec![Role::DevOps] } else { dris }
}
