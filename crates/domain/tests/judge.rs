//! The rules, by example. Random sequences of actions are in `model.rs`.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;

use domain::check::{Check, CheckSpec, GitAssert};
use domain::drift::DriftKind;
use domain::evidence::{Evidence, Finding, Outcome};
use domain::facts::{Acceptance, Attestation, Choice, Decision, Facts, SignOff, Waiver};
use domain::failures::failure_counts;
use domain::gate::GateState;
use domain::item::{Standing, Status};
use domain::judge::{BlockerKind, Judgement, judge};
use domain::observed::{Health, Observed, Service};
use domain::release::{Release, ReleaseComponent, ReleaseComponents, ReleaseState};
use domain::role::Role;
use domain::rules::{ChecklistPart, Rules};
use domain::runbook::{ChecklistItem, Criterion, Dri, Gate, Runbook, SignoffRole};
use domain::time::Millis;

#[path = "judge_parts/items.rs"]
mod items;
#[path = "judge_parts/signed.rs"]
mod signed;
#[path = "judge_parts/stored.rs"]
mod stored;

const DAY: u64 = 86_400_000;

/// A small world: two gates with criteria, a decision gate, three signing roles.
struct World {
    now: Millis,
    runbook: Runbook,
    checks: Vec<Check>,
    attest: Vec<String>,
    findings: Vec<domain::preflight::Finding>,
    rules: Rules,
    owners: BTreeMap<String, Vec<Role>>,
    release: Option<Release>,
    evidence: Vec<Evidence>,
    attestations: Vec<Attestation>,
    waivers: Vec<Waiver>,
    acceptances: Vec<Acceptance>,
    sign_offs: Vec<SignOff>,
    decisions: Vec<Decision>,
    observed: Observed,
}

impl World {
    fn new() -> World {
        let criterion = |gate: &str, n: usize| Criterion {
            id: format!("{gate}.{n}"),
            gate: gate.into(),
            text: format!("criterion {n} of {gate}"),
            digest: format!("digest {gate}.{n}"),
            line: n,
        };
        let gate = |id: &str, phase| Gate { id: id.into(), phase, title: id.into(), line: 1 };
        let item = |n: usize, text: &str| ChecklistItem {
            id: format!("H.c{n}"),
            text: text.into(),
            digest: text.into(),
            line: n,
            checked: true,
        };
        let role = |role: &str| SignoffRole { role: role.into(), line: 1 };
        World {
            now: Millis(1_000_000),
            runbook: Runbook {
                gates: vec![gate("A", 1), gate("B", 2), gate("H", 3)],
                criteria: vec![criterion("A", 1), criterion("A", 2), criterion("B", 1)],
                checklist: vec![
                    item(1, "Gate A\u{2011}B accepted and documented"),
                    item(2, "dashboards shown"),
                    item(3, "Stakeholder sign\u{2011}offs: Backend / QA / PO"),
                ],
                dris: vec![Dri { role: "DevOps".into(), duties: String::new(), line: 1 }],
                signoff_roles: vec![role("Backend"), role("QA"), role("PO")],
                ..Runbook::default()
            },
            checks: vec![check("unit", &["A.1"]), check("scan", &["A.1", "B.1"])],
            attest: vec![],
            findings: vec![],
            rules: Rules::default(),
            owners: BTreeMap::new(),
            release: Some(release(1)),
            evidence: vec![],
            attestations: vec![],
            waivers: vec![],
            acceptances: vec![],
            sign_offs: vec![],
            decisions: vec![],
            observed: Observed {
                services: vec![service(Health::Healthy)],
                parts: release(1).parts,
                ..Observed::default()
            },
        }
    }

    fn judge(&self) -> Judgement {
        judge(&Facts {
            now: self.now,
            runbook: &self.runbook,
            checks: &self.checks,
            attest: &self.attest,
            findings: &self.findings,
            rules: &self.rules,
            gate_owners: &self.owners,
            release: self.release.as_ref(),
            evidence: &self.evidence,
            failures: &failure_counts(&self.evidence),
            attestations: &self.attestations,
            waivers: &self.waivers,
            acceptances: &self.acceptances,
            sign_offs: &self.sign_offs,
            decisions: &self.decisions,
            observed: &self.observed,
            changes: &[],
            integrity: &[],
        })
    }

    fn release_id(&self) -> i64 {
        self.release.as_ref().map_or(0, |r| r.id)
    }

    fn finds(&mut self, check: &str, outcome: Outcome) {
        let declared = self.checks.iter().find(|c| c.id == check).unwrap();
        self.evidence.push(Evidence {
            id: self.evidence.len() as i64 + 1,
            check: check.into(),
            finding: Finding {
                outcome,
                value: None,
                saw: "seen".into(),
                wanted: "wanted".into(),
                next: String::new(),
            },
            threshold_digest: declared.threshold_digest(),
            parts: self.observed.parts.clone(),
            release: self.release_id(),
            run: 1,
            by: 1,
            at: self.now,
        });
    }

    fn attests(&mut self, item: &str, holds: bool) {
        let digest = self.judge().item(item).unwrap().item.digest.clone();
        self.attestations.push(Attestation {
            id: self.attestations.len() as i64 + 1,
            item: item.into(),
            text_digest: digest,
            release: self.release_id(),
            by: 1,
            by_name: "Ada".into(),
            note: "looked".into(),
            link: String::new(),
            at: self.now,
            holds,
        });
    }

    fn waives(&mut self, item: &str, days: u64) {
        let digest = self.judge().item(item).unwrap().item.digest.clone();
        self.waivers.push(Waiver {
            id: self.waivers.len() as i64 + 1,
            item: item.into(),
            text_digest: digest,
            by: 1,
            by_name: "Sec".into(),
            reason: "known".into(),
            at: self.now,
            until: self.now.plus(days * DAY),
            holds: true,
        });
    }

    /// Accepts like the engine: only a gate that is ready and whose earlier gates are accepted.
    fn accepts(&mut self, gate: &str) -> bool {
        let judged = self.judge();
        let view = judged.gate(gate).unwrap();
        if view.state != GateState::Ready || !view.waits_for.is_empty() || view.is_decision {
            return false;
        }
        self.acceptances.push(Acceptance {
            id: self.acceptances.len() as i64 + 1,
            gate: gate.into(),
            release: self.release_id(),
            digest: view.digest.clone(),
            by: 1,
            by_name: "Ada".into(),
            note: String::new(),
            at: self.now,
        });
        true
    }

    fn signs(&mut self, role: Role, by: i64, choice: Choice) {
        let judged = self.judge();
        self.sign_offs.push(SignOff {
            id: self.sign_offs.len() as i64 + 1,
            release: self.release_id(),
            role,
            by,
            by_name: format!("person {by}"),
            choice,
            comment: "because".into(),
            would_change: "a fix".into(),
            digest: judged.digest.clone(),
            shown: judged.shown.clone(),
            parts: self.release.as_ref().map(|r| r.parts.clone()),
            at: self.now,
        });
    }

    /// Everything is done except the sign-offs.
    fn ready_to_sign() -> World {
        let mut w = World::new();
        w.finds("unit", Outcome::Pass);
        w.finds("scan", Outcome::Pass);
        w.attests("A.2", true);
        assert!(w.accepts("A"));
        assert!(w.accepts("B"));
        w.attests("H.c2", true);
        w
    }

    fn signed() -> World {
        let mut w = World::ready_to_sign();
        for (role, by) in [(Role::Backend, 1), (Role::Qa, 2), (Role::Po, 3)] {
            w.signs(role, by, Choice::Go);
        }
        w
    }
}

fn check(id: &str, proves: &[&str]) -> Check {
    Check {
        id: id.into(),
        title: id.into(),
        proves: proves.iter().map(|p| (*p).to_owned()).collect(),
        spec: CheckSpec::Git { assert: GitAssert::Clean, path: None, commit: None, branch: None, tag: None },
        want: None,
        timeout_ms: 1,
        retries: 0,
        valid_for_ms: Some(7 * DAY),
        binds: vec![ReleaseComponent::Commit],
        images: vec![],
        schedule: Default::default(),
    }
}

fn release(id: i64) -> Release {
    Release {
        id,
        parts: ReleaseComponents {
            values: [
                (ReleaseComponent::Commit, format!("commit {id}")),
                (ReleaseComponent::Env, "env".to_owned()),
                (ReleaseComponent::Config, "config".to_owned()),
            ]
            .into(),
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

fn service(health: Health) -> Service {
    Service {
        name: "web".into(),
        health,
        image: "sha256:1".into(),
        tag: "web:1".into(),
        restarts: 0,
        started_at: None,
        ports: vec![],
        container: String::new(),
    }
}

fn whats(judged: &Judgement) -> Vec<String> {
    judged.verdict.blockers.iter().map(|b| b.what.clone()).collect()
}

#[test]
fn a_preflight_finding_blocks_its_gate_until_fixed_or_waived() {
    use domain::preflight::{Finding, Weight};
    let finding = |weight| Finding {
        gate: Some("B".into()),
        weight,
        kind: "script-missing".into(),
        file: "runbook.md".into(),
        line: 7,
        message: "step B.s1 runs npm run x, but package.json has no such script".into(),
        hint: "Add the script.".into(),
        about: vec!["step:B.s1".into(), "npm run".into(), "x".into()],
    };
    let mut world = World::new();
    world.finds("scan", Outcome::Pass);
    assert_eq!(world.judge().gate("B").unwrap().state, GateState::Ready);
    world.findings = vec![finding(Weight::Note)];
    assert_eq!(world.judge().gate("B").unwrap().state, GateState::Ready, "a note blocks nothing");
    world.findings = vec![finding(Weight::Breaks)];
    let judged = world.judge();
    let gate = judged.gate("B").unwrap();
    assert!(gate.is_red() && gate.state == GateState::Open);
    let item = gate.items[0].item.clone();
    assert!(item.id.starts_with("B.p-") && matches!(gate.items[0].status, Status::Open(_)), "{item:?}");
    world.waivers.push(Waiver {
        id: 1,
        item: item.id.clone(),
        text_digest: item.digest.clone(),
        by: 9,
        by_name: "Sec".into(),
        reason: "known".into(),
        at: world.now,
        until: world.now.plus(DAY),
        holds: true,
    });
    assert_eq!(world.judge().gate("B").unwrap().state, GateState::Ready);
    // A different problem at the same place is not waived.
    world.findings[0].about.push("either".into());
    assert_eq!(world.judge().gate("B").unwrap().state, GateState::Open);
    world.findings.clear();
    assert_eq!(world.judge().gate("B").unwrap().state, GateState::Ready);
}

#[test]
fn an_empty_board_is_no_go_and_names_every_owner() {
    let judged = World::new().judge();
    assert!(!judged.verdict.is_go());
    assert_eq!(
        whats(&judged),
        [
            "Gate A: 2 of 2 criteria open",
            "Gate B: 1 of 1 criterion open",
            "Gate H: 1 checklist item open",
            "Sign-offs missing: Backend, QA, PO",
        ]
    );
    assert!(judged.verdict.blockers.iter().all(|b| !b.owners.is_empty()));
}

#[test]
fn a_ticked_box_in_the_file_has_no_effect() {
    let judged = World::new().judge();
    assert!(!judged.item("H.c2").unwrap().is_satisfied());
}

#[test]
fn everything_done_and_signed_is_go() {
    let judged = World::signed().judge();
    assert_eq!(whats(&judged), Vec::<String>::new());
    assert_eq!(judged.verdict.label(), "Go");
    assert_eq!(judged.gate("H").unwrap().state, GateState::Ready);
    assert_eq!(judged.item("H.c1").unwrap().status, Status::Derived);
    assert_eq!(judged.item("H.c3").unwrap().status, Status::Derived);
}

#[test]
fn the_state_of_the_stack_blocks_too() {
    let go = World::signed;
    let mut w = go();
    w.observed.services = vec![service(Health::Unhealthy)];
    assert_eq!(whats(&w.judge()), ["web is unhealthy"]);
    let mut w = go();
    w.observed.unreachable_since = Some(Millis(1));
    assert_eq!(whats(&w.judge()), ["The Docker engine cannot be reached"]);
    let mut w = go();
    w.observed.parts.images.insert("web".into(), "sha256:other".into());
    let drift = w.judge().drift;
    assert_eq!((drift.len(), drift[0].kind), (1, DriftKind::Image));
    assert!(
        w.judge().verdict.blockers[0]
            .details
            .contains(&"web runs a different image than the release".to_owned())
    );
    assert!(!w.judge().verdict.is_go());
    let mut w = go();
    w.observed.parts.values.insert(ReleaseComponent::Env, "edited".into());
    assert!(!w.judge().verdict.is_go());
    for state in [ReleaseState::Failed, ReleaseState::Opened, ReleaseState::RolledBackFrom] {
        let mut w = go();
        w.release.as_mut().unwrap().state = state;
        assert_eq!(w.judge().verdict.blockers[0].kind, BlockerKind::Release);
    }
}

#[test]
fn a_runbook_without_gates_is_never_go() {
    let mut w = World::new();
    w.runbook = Runbook::default();
    assert!(!w.judge().verdict.is_go());
}
