//! A small stack with random actions: four gates, a checklist, six signing roles, two releases.

use std::collections::BTreeMap;

use domain::check::{Check, CheckSpec, GitAssert};
use domain::evidence::{Evidence, Finding, Outcome};
use domain::facts::{Acceptance, Attestation, Choice, Decision, Facts, SignOff, Waiver};
use domain::failures::failure_counts;
use domain::judge::{Judgement, judge};
use domain::observed::{Health, Observed, Service};
use domain::release::{Release, ReleaseComponent, ReleaseComponents, ReleaseState};
use domain::role::Role;
use domain::rules::{ChecklistPart, Rules};
use domain::runbook::{ChecklistItem, Criterion, Gate, Runbook, SignoffRole};
use domain::time::{DAY_MS, Millis};

/// The roles that sign.
pub const SIGNERS: [Role; 6] =
    [Role::Backend, Role::Frontend, Role::Qa, Role::Security, Role::DevOps, Role::Po];
/// The criteria: A.1 by two checks, A.2 by an attestation, B.1 by a check, B.2 by a check and an attestation.
pub const CRITERIA: [(&str, &[&str], bool); 4] = [
    ("A.1", &["unit", "scan"], false),
    ("A.2", &[], true),
    ("B.1", &["scan"], false),
    ("B.2", &["smoke"], true),
];
/// How long an attestation of A.2 counts.
pub const WORD_MS: u64 = 3 * DAY_MS;
/// How long evidence counts.
pub const EVIDENCE_MS: u64 = 5 * DAY_MS;

/// Numbers from a seed (SplitMix64), so that a failing sequence can be repeated.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5354_4147_4547_4154)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// All facts, and the facts at the time of each sign-off.
pub struct World {
    pub now: Millis,
    runbook: Runbook,
    checks: Vec<Check>,
    attest: Vec<String>,
    rules: Rules,
    owners: BTreeMap<String, Vec<Role>>,
    pub release: Release,
    pub evidence: Vec<Evidence>,
    pub attestations: Vec<Attestation>,
    pub waivers: Vec<Waiver>,
    pub acceptances: Vec<Acceptance>,
    pub sign_offs: Vec<SignOff>,
    pub decisions: Vec<Decision>,
    pub observed: Observed,
    /// For each sign-off by id, the facts it was based on.
    pub signed_on: BTreeMap<i64, String>,
}

impl World {
    pub fn new() -> World {
        let line = |n: usize, text: &str| ChecklistItem {
            id: format!("H.c{n}"),
            text: text.into(),
            digest: text.into(),
            line: n,
            checked: true,
        };
        let gate = |id: &str, phase| Gate { id: id.into(), phase, title: id.into(), line: 1 };
        World {
            now: Millis(1_000_000),
            runbook: Runbook {
                gates: vec![gate("A", 1), gate("B", 2), gate("H", 3)],
                criteria: CRITERIA
                    .iter()
                    .map(|(id, _, _)| Criterion {
                        id: (*id).into(),
                        gate: id[..1].into(),
                        text: (*id).into(),
                        digest: (*id).into(),
                        line: 1,
                    })
                    .collect(),
                checklist: vec![
                    line(1, "Gates A-B accepted"),
                    line(2, "Tests green and the note read"),
                    line(3, "Stakeholder sign-offs"),
                ],
                signoff_roles: SIGNERS
                    .iter()
                    .map(|r| SignoffRole { role: r.label().into(), line: 1 })
                    .collect(),
                ..Runbook::default()
            },
            checks: ["unit", "scan", "smoke"].map(check).to_vec(),
            attest: vec!["B.2".into()],
            rules: Rules {
                attested_for_items: [("A.2".to_owned(), WORD_MS)].into(),
                checklist: [(
                    "H.c2".to_owned(),
                    vec![ChecklistPart::Criterion("A.2".into()), ChecklistPart::Check("unit".into())],
                )]
                .into(),
                ..Rules::default()
            },
            owners: BTreeMap::new(),
            release: release(1),
            evidence: vec![],
            attestations: vec![],
            waivers: vec![],
            acceptances: vec![],
            sign_offs: vec![],
            decisions: vec![],
            observed: Observed {
                services: vec![service(true)],
                parts: release(1).parts,
                ..Observed::default()
            },
            signed_on: BTreeMap::new(),
        }
    }

    /// Everything is satisfied, and both gates are accepted.
    pub fn accepted(_: &mut Dice) -> World {
        let mut w = World::new();
        for check in ["unit", "scan", "smoke"] {
            w.find(check, Outcome::Pass);
        }
        for item in ["A.2", "B.2"] {
            w.attest(item, true);
        }
        w.accept("A");
        w.accept("B");
        w
    }

    /// The same, and six people have signed Go.
    pub fn signed(dice: &mut Dice) -> World {
        let mut w = World::accepted(dice);
        w.all_sign();
        w
    }

    pub fn judge(&self) -> Judgement {
        judge(&Facts {
            now: self.now,
            runbook: &self.runbook,
            checks: &self.checks,
            changes: &[],
            integrity: &[],
            findings: &[],
            attest: &self.attest,
            rules: &self.rules,
            gate_owners: &self.owners,
            release: Some(&self.release),
            evidence: &self.evidence,
            failures: &failure_counts(&self.evidence),
            attestations: &self.attestations,
            waivers: &self.waivers,
            acceptances: &self.acceptances,
            sign_offs: &self.sign_offs,
            decisions: &self.decisions,
            observed: &self.observed,
        })
    }

    /// Executes a random action, without a permission check.
    pub fn act(&mut self, dice: &mut Dice) {
        match dice.below(28) {
            0..=5 => {
                let check = *dice.one(&["unit", "scan", "smoke"]);
                let outcome = *dice.one(&[
                    Outcome::Pass,
                    Outcome::Pass,
                    Outcome::Pass,
                    Outcome::Fail,
                    Outcome::Inconclusive,
                ]);
                self.find(check, outcome);
            }
            6..=8 => {
                let item = *dice.one(&["A.2", "B.2"]);
                self.attest(item, dice.below(6) > 0);
            }
            9 => {
                let item = *dice.one(&["A.1", "A.2", "B.1", "B.2"]);
                self.waive(item, dice.below(5) > 0);
            }
            10..=13 => {
                let gate = *dice.one(&["A", "B"]);
                self.accept(gate);
            }
            14..=18 => {
                let role = *dice.one(&SIGNERS);
                let person = 1 + i64::try_from(dice.below(7)).unwrap();
                self.sign(role, person, if dice.below(8) == 0 { Choice::NoGo } else { Choice::Go });
            }
            19 => {
                // All sign, each for their own role.
                self.all_sign();
            }
            20 | 21 => self.decide(if dice.below(5) == 0 { Choice::NoGo } else { Choice::Go }),
            22 => self.now = self.now.plus(dice.below(3) * DAY_MS / 2 + 1),
            23 => {
                self.release =
                    Release { id: self.release.id, ..release(1 + i64::try_from(dice.below(2)).unwrap()) }
            }
            24 => {
                let id = 1 + i64::try_from(dice.below(2)).unwrap();
                self.release = release(id);
                self.observed.parts = self.release.parts.clone();
            }
            25 => self.observed.services = vec![service(dice.below(2) == 0)],
            26 => {
                let at = usize::try_from(dice.below(CRITERIA.len() as u64)).unwrap();
                self.runbook.criteria[at].digest.push('x');
            }
            _ => self.observed.parts = self.release.parts.clone(),
        }
    }

    pub fn text_of(&self, item: &str) -> &str {
        &self.runbook.criteria.iter().find(|c| c.id == item).unwrap().digest
    }

    /// Whether the signed facts are equal to the current facts.
    pub fn same_as_shown(&self, signed: &SignOff) -> bool {
        self.signed_on_this(signed, &self.shown_now())
    }

    /// The same, with the current facts as an argument.
    pub fn signed_on_this(&self, signed: &SignOff, now: &str) -> bool {
        signed.release == self.release.id && self.signed_on.get(&signed.id).is_some_and(|then| then == now)
    }

    /// What a signer is shown, as plain facts: release and parts, and for each criterion its state and its
    /// attestation or waiver. Implemented here again, without the judge.
    pub fn shown_now(&self) -> String {
        let mut out = format!("{} {:?}", self.release.id, self.release.parts);
        for (id, checks, needs_word) in CRITERIA {
            let word = super::claims::word_counts(self, id).map(|a| a.id);
            let proved = !checks.is_empty() && checks.iter().all(|c| super::claims::passes(self, c));
            let state = match (proved, needs_word, word, super::claims::waiver_counts(self, id)) {
                (true, false, _, _) => "proved".to_owned(),
                (true, true, Some(word), _) => format!("proved, word {word}"),
                (_, _, _, Some(waiver)) => format!("waiver {}", waiver.id),
                (false, _, Some(word), None) if checks.is_empty() => format!("word {word}"),
                _ => "open".to_owned(),
            };
            out.push_str(&format!(" | {id} {} {state}", self.text_of(id)));
        }
        let holds = super::claims::satisfied(self, "A.2") && super::claims::passes(self, "unit");
        format!("{out} | c2 {holds}")
    }

    fn next(&self) -> i64 {
        let said = self.attestations.len() + self.waivers.len() + self.sign_offs.len() + self.decisions.len();
        i64::try_from(said + self.acceptances.len() + self.evidence.len()).unwrap() + 1
    }

    fn find(&mut self, check: &str, outcome: Outcome) {
        let declared = self.checks.iter().find(|c| c.id == check).unwrap();
        self.evidence.push(Evidence {
            id: self.next(),
            check: check.into(),
            finding: Finding {
                outcome,
                value: None,
                saw: String::new(),
                wanted: String::new(),
                next: String::new(),
            },
            threshold_digest: declared.threshold_digest(),
            parts: self.observed.parts.clone(),
            release: self.release.id,
            run: 1,
            by: 1,
            at: self.now,
        });
    }

    fn attest(&mut self, item: &str, holds: bool) {
        self.attestations.push(Attestation {
            id: self.next(),
            item: item.into(),
            text_digest: self.text_of(item).to_owned(),
            release: self.release.id,
            by: 1,
            by_name: "Ada".into(),
            note: String::new(),
            link: String::new(),
            at: self.now,
            holds,
        });
    }

    fn waive(&mut self, item: &str, holds: bool) {
        self.waivers.push(Waiver {
            id: self.next(),
            item: item.into(),
            text_digest: self.text_of(item).to_owned(),
            by: 1,
            by_name: "Sec".into(),
            reason: String::new(),
            at: self.now,
            until: self.now.plus(2 * DAY_MS),
            holds,
        });
    }

    fn accept(&mut self, gate: &str) {
        let digest = self.judge().gate(gate).unwrap().digest.clone();
        self.acceptances.push(Acceptance {
            id: self.next(),
            gate: gate.into(),
            release: self.release.id,
            digest,
            by: 1,
            by_name: "Ada".into(),
            note: String::new(),
            at: self.now,
        });
    }

    fn all_sign(&mut self) {
        // A sign-off does not change what the others are shown.
        let (judged, now) = (self.judge(), self.shown_now());
        for (role, person) in SIGNERS.into_iter().zip(1..) {
            self.put_signature(role, person, Choice::Go, &judged, &now);
        }
    }

    fn sign(&mut self, role: Role, by: i64, choice: Choice) {
        let (judged, now) = (self.judge(), self.shown_now());
        self.put_signature(role, by, choice, &judged, &now);
    }

    fn put_signature(&mut self, role: Role, by: i64, choice: Choice, judged: &Judgement, now: &str) {
        let id = self.next();
        self.signed_on.insert(id, now.to_owned());
        self.sign_offs.push(SignOff {
            id,
            release: self.release.id,
            role,
            by,
            by_name: format!("person {by}"),
            choice,
            comment: String::new(),
            would_change: String::new(),
            digest: judged.digest.clone(),
            shown: judged.shown.clone(),
            parts: Some(self.release.parts.clone()),
            at: self.now,
        });
    }

    fn decide(&mut self, choice: Choice) {
        let judged = self.judge();
        self.decisions.push(Decision {
            id: self.next(),
            release: self.release.id,
            choice,
            note: String::new(),
            digest: judged.digest,
            verdict: judged.verdict_digest,
            shown: judged.shown,
            by: 6,
            by_name: "PO".into(),
            at: self.now,
        });
    }
}

fn check(id: &str) -> Check {
    Check {
        id: id.into(),
        title: id.into(),
        proves: CRITERIA
            .iter()
            .filter(|(_, checks, _)| checks.contains(&id))
            .map(|(item, _, _)| (*item).to_owned())
            .collect(),
        images: vec![],
        schedule: Default::default(),
        spec: CheckSpec::Git { assert: GitAssert::Clean, path: None, commit: None, branch: None, tag: None },
        want: None,
        timeout_ms: 1,
        retries: 0,
        valid_for_ms: Some(EVIDENCE_MS),
        binds: vec![ReleaseComponent::Commit],
    }
}

fn release(id: i64) -> Release {
    Release {
        id,
        parts: ReleaseComponents {
            values: [(ReleaseComponent::Commit, format!("commit {id}"))].into(),
            images: [("web".to_owned(), format!("sha256:{id}"))].into(),
        },
        subject: String::new(),
        opened_by: 1,
        opened_at: Millis(0),
        deployed_by: Some(1),
        deployed_at: Some(Millis(0)),
        state: ReleaseState::Deployed,
        migrations: None,
        rollback_point_at: None,
    }
}

fn service(good: bool) -> Service {
    Service {
        name: "web".into(),
        health: if good { Health::Healthy } else { Health::Unhealthy },
        image: String::new(),
        tag: String::new(),
        restarts: 0,
        started_at: None,
        ports: vec![],
        container: String::new(),
    }
}
