//! The rules, by example and by random sequences of acts.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;

use domain::check::{Check, CheckSpec, GitAssert};
use domain::drift::DriftKind;
use domain::evidence::{Evidence, Finding, Outcome};
use domain::facts::{
    Acceptance, Attestation, Choice, Decision, Facts, Health, Observed, Service, SignOff, Waiver,
};
use domain::item::{Standing, Status};
use domain::judge::{BlockerKind, GateState, Judgement, judge};
use domain::release::{Part, Parts, Release, ReleaseState};
use domain::role::Role;
use domain::rules::{Piece, Rules};
use domain::runbook::{ChecklistItem, Criterion, Dri, Gate, Runbook, SignoffRole};
use domain::time::Millis;
use proptest::prelude::*;

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
            attestations: &self.attestations,
            waivers: &self.waivers,
            acceptances: &self.acceptances,
            sign_offs: &self.sign_offs,
            decisions: &self.decisions,
            observed: &self.observed,
            changes: &[],
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

    /// Accepts as the engine does: only a gate that is ready and whose turn it is.
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

    /// Everything done, up to the signatures.
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
        binds: vec![Part::Commit],
        images: vec![],
        schedule: Default::default(),
    }
}

fn release(id: i64) -> Release {
    Release {
        id,
        parts: Parts {
            values: [
                (Part::Commit, format!("commit {id}")),
                (Part::Env, "env".to_owned()),
                (Part::Config, "config".to_owned()),
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
fn what_preflight_finds_is_red_on_its_gate_until_it_is_gone_or_waived() {
    use domain::preflight::{Finding, Weight};
    let finding = |weight| Finding {
        gate: Some("B".into()),
        weight,
        kind: "script-missing".into(),
        file: "runbook.md".into(),
        line: 7,
        message: "step B.s1 runs npm run x, but package.json has no such script".into(),
        hint: "Add the script.".into(),
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
    // Something else at the same place is not what was let through.
    world.findings[0].message.push_str(" either");
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
            "Gate B: 1 of 1 criteria open",
            "Gate H: 1 of the checklist open",
            "Sign-offs missing: Backend, QA, PO",
        ]
    );
    assert!(judged.verdict.blockers.iter().all(|b| !b.owners.is_empty()));
}

#[test]
fn a_box_ticked_in_the_file_decides_nothing() {
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
fn an_item_needs_all_its_checks() {
    let mut w = World::new();
    w.finds("unit", Outcome::Pass);
    assert!(!w.judge().item("A.1").unwrap().is_satisfied());
    w.finds("scan", Outcome::Inconclusive);
    assert!(!w.judge().item("A.1").unwrap().is_satisfied());
    w.finds("scan", Outcome::Pass);
    assert_eq!(w.judge().item("A.1").unwrap().status, Status::Proved);
}

#[test]
fn a_word_does_not_replace_a_check() {
    let mut w = World::new();
    w.attests("A.1", true);
    assert!(!w.judge().item("A.1").unwrap().is_satisfied());
}

#[test]
fn a_check_that_sees_only_a_part_needs_a_word_besides() {
    let mut w = World::new();
    w.attest = vec!["B.1".into()];
    w.finds("scan", Outcome::Pass);
    assert!(!w.judge().item("B.1").unwrap().is_satisfied());
    w.attests("B.1", true);
    assert_eq!(w.judge().item("B.1").unwrap().status, Status::Proved);
    w.finds("scan", Outcome::Fail);
    assert!(!w.judge().item("B.1").unwrap().is_satisfied());
}

#[test]
fn an_attestation_ends_with_its_text_its_release_or_its_author() {
    let mut w = World::new();
    w.attests("A.2", true);
    assert_eq!(w.judge().item("A.2").unwrap().status, Status::Attested);
    w.runbook.criteria[1].digest = "reworded".into();
    assert!(!w.judge().item("A.2").unwrap().is_satisfied());
    w.runbook.criteria[1].digest = "digest A.2".into();
    w.release = Some(release(2));
    assert!(!w.judge().item("A.2").unwrap().is_satisfied());
    w.release = Some(release(1));
    w.attests("A.2", false);
    assert!(!w.judge().item("A.2").unwrap().is_satisfied());
}

#[test]
fn gates_go_in_order() {
    let mut w = World::new();
    w.finds("scan", Outcome::Pass);
    let judged = w.judge();
    assert_eq!(judged.gate("B").unwrap().state, GateState::Ready);
    assert_eq!(judged.gate("B").unwrap().waits_for, ["A"]);
    assert!(!w.accepts("B"));
}

#[test]
fn an_accepted_gate_falls_back_when_a_check_fails_and_stays_so_until_accepted_again() {
    let mut w = World::ready_to_sign();
    assert_eq!(w.judge().gate("A").unwrap().state, GateState::Accepted);
    w.finds("unit", Outcome::Fail);
    let judged = w.judge();
    let gate = judged.gate("A").unwrap();
    assert!(gate.state == GateState::Open && gate.fell_back && gate.is_red());
    w.finds("unit", Outcome::Pass);
    assert_eq!(w.judge().gate("A").unwrap().state, GateState::Ready);
    assert!(w.accepts("A"));
    assert_eq!(w.judge().gate("A").unwrap().state, GateState::Accepted);
}

#[test]
fn running_a_check_again_with_the_same_outcome_disturbs_nothing() {
    let mut w = World::signed();
    w.finds("unit", Outcome::Pass);
    assert!(w.judge().verdict.is_go());
}

#[test]
fn a_failure_makes_signatures_stale_even_after_it_passed_again() {
    let mut w = World::signed();
    w.finds("unit", Outcome::Fail);
    w.finds("unit", Outcome::Pass);
    w.accepts("A");
    let judged = w.judge();
    assert_eq!(whats(&judged), ["Sign-offs missing: Backend, QA, PO"]);
    assert_eq!(judged.sign_offs[0].stale, ["A.1 did not hold in between"]);
}

#[test]
fn evidence_of_another_commit_does_not_count_and_revives_after_a_return() {
    let mut w = World::signed();
    w.release = Some(release(2));
    w.observed.parts = release(2).parts;
    let judged = w.judge();
    assert!(!judged.verdict.is_go());
    let state = &judged.item("A.1").unwrap().checks[0];
    assert_eq!(state.standing, Standing::Stale);
    assert!(state.stale[0].reason().starts_with("the commit changed "), "{:?}", state.stale);
    w.finds("unit", Outcome::Fail);
    w.release = Some(release(1));
    w.observed.parts = release(1).parts;
    assert!(w.judge().verdict.is_go(), "the first release is as good as it was");
}

#[test]
fn evidence_ages() {
    let mut w = World::signed();
    w.now = w.now.plus(7 * DAY + 1);
    assert!(!w.judge().verdict.is_go());
}

#[test]
fn a_waiver_lets_through_until_it_ends_and_is_counted() {
    let mut w = World::signed();
    w.finds("scan", Outcome::Fail);
    assert!(!w.judge().verdict.is_go());
    w.waives("A.1", 2);
    w.waives("B.1", 2);
    assert!(w.accepts("A") && w.accepts("B"));
    for (role, by) in [(Role::Backend, 1), (Role::Qa, 2), (Role::Po, 3)] {
        w.signs(role, by, Choice::Go);
    }
    assert_eq!(w.judge().verdict.label(), "Go with 2 waivers");
    w.now = w.now.plus(2 * DAY);
    assert!(!w.judge().verdict.is_go());
}

#[test]
fn a_check_that_goes_on_failing_under_a_waiver_disturbs_nothing() {
    let mut w = World::ready_to_sign();
    w.finds("scan", Outcome::Fail);
    w.waives("A.1", 2);
    w.waives("B.1", 2);
    assert!(w.accepts("A") && w.accepts("B"));
    for (role, by) in [(Role::Backend, 1), (Role::Qa, 2), (Role::Po, 3)] {
        w.signs(role, by, Choice::Go);
    }
    w.finds("scan", Outcome::Inconclusive);
    assert_eq!(w.judge().verdict.label(), "Go with 2 waivers");
}

#[test]
fn nobody_counts_twice() {
    let mut w = World::ready_to_sign();
    w.signs(Role::Backend, 1, Choice::Go);
    w.signs(Role::Qa, 1, Choice::Go);
    w.signs(Role::Po, 3, Choice::Go);
    assert_eq!(whats(&w.judge()), ["Sign-offs missing: QA"]);
}

#[test]
fn whoever_deployed_cannot_be_the_only_signer() {
    let mut w = World::ready_to_sign();
    w.runbook.signoff_roles.truncate(1);
    w.signs(Role::Backend, 1, Choice::Go);
    assert_eq!(whats(&w.judge()), ["Only the person who deployed has signed"]);
    w.signs(Role::Backend, 2, Choice::Go);
    assert!(w.judge().verdict.is_go());
}

#[test]
fn a_no_go_stands_until_its_signer_changes_it() {
    let mut w = World::signed();
    w.signs(Role::Qa, 2, Choice::NoGo);
    assert_eq!(whats(&w.judge()), ["QA says No-Go"]);
    w.finds("unit", Outcome::Fail);
    assert!(whats(&w.judge()).contains(&"QA says No-Go".to_owned()));
}

#[test]
fn the_stack_counts_too() {
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
        w.judge().verdict.blockers[0].details.contains(&"web runs another image than the release".to_owned())
    );
    assert!(!w.judge().verdict.is_go());
    let mut w = go();
    w.observed.parts.values.insert(Part::Env, "edited".into());
    assert!(!w.judge().verdict.is_go());
    for state in [ReleaseState::Failed, ReleaseState::Opened, ReleaseState::RolledBackFrom] {
        let mut w = go();
        w.release.as_mut().unwrap().state = state;
        assert_eq!(w.judge().verdict.blockers[0].kind, BlockerKind::Release);
    }
}

#[test]
fn a_decision_holds_only_for_what_was_shown() {
    let mut w = World::signed();
    let digest = w.judge().digest;
    w.decisions.push(Decision {
        id: 1,
        release: 1,
        choice: Choice::Go,
        note: "ship".into(),
        digest,
        verdict: String::new(),
        shown: vec![],
        by: 3,
        by_name: "PO".into(),
        at: w.now,
    });
    let judged = w.judge();
    assert_eq!(judged.gate("H").unwrap().state, GateState::Accepted);
    assert!(judged.decision.is_some());
    w.observed.services = vec![service(Health::Exited)];
    assert!(w.judge().decision.is_none());
}

#[test]
fn a_runbook_without_gates_is_never_go() {
    let mut w = World::new();
    w.runbook = Runbook::default();
    assert!(!w.judge().verdict.is_go());
}

#[derive(Debug, Clone)]
enum Act {
    Find(usize, u8),
    Attest(bool, bool),
    Waive(bool),
    Accept(bool),
    Sign(u8, i64, bool),
    Wait(u8),
    Deploy(i64),
    Break(bool),
    Reword,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0usize..2, 0u8..6).prop_map(|(c, o)| Act::Find(c, o)),
        3 => (any::<bool>(), prop::bool::weighted(0.85)).prop_map(|(i, h)| Act::Attest(i, h)),
        1 => any::<bool>().prop_map(Act::Waive),
        4 => any::<bool>().prop_map(Act::Accept),
        6 => (0u8..3, 1i64..5, prop::bool::weighted(0.9)).prop_map(|(r, p, g)| Act::Sign(r, p, g)),
        1 => (0u8..10).prop_map(Act::Wait),
        1 => (1i64..3).prop_map(Act::Deploy),
        1 => any::<bool>().prop_map(Act::Break),
        1 => Just(Act::Reword),
    ];
    prop::collection::vec(act, 1..40)
}

fn perform(w: &mut World, act: &Act) {
    match act {
        Act::Find(check, outcome) => {
            let outcome = match outcome {
                0 => Outcome::Fail,
                1 => Outcome::Inconclusive,
                _ => Outcome::Pass,
            };
            w.finds(["unit", "scan"][*check], outcome);
        }
        Act::Attest(first, holds) => w.attests(if *first { "A.2" } else { "H.c2" }, *holds),
        Act::Waive(first) => w.waives(if *first { "A.1" } else { "B.1" }, 3),
        Act::Accept(first) => {
            w.accepts(if *first { "A" } else { "B" });
        }
        Act::Sign(role, by, go) => {
            let role = [Role::Backend, Role::Qa, Role::Po][usize::from(*role)];
            w.signs(role, *by, if *go { Choice::Go } else { Choice::NoGo });
        }
        Act::Wait(days) => w.now = w.now.plus(u64::from(*days) * DAY / 2),
        Act::Deploy(id) => {
            w.release = Some(release(*id));
            w.observed.parts = release(*id).parts;
        }
        Act::Break(bad) => {
            w.observed.services = vec![service(if *bad { Health::Unhealthy } else { Health::Healthy })];
        }
        Act::Reword => w.runbook.criteria[1].digest.push('x'),
    }
}

fn check_invariants(w: &World) -> Result<(), TestCaseError> {
    let judged = w.judge();
    for gate in &judged.gates {
        if gate.state == GateState::Accepted {
            prop_assert!(gate.items.iter().all(|i| i.is_satisfied()), "accepted with an unmet item");
        }
    }
    for signed in judged.sign_offs.iter().filter(|s| s.counts() == Some(Choice::Go)) {
        let last = signed.last.as_ref().unwrap();
        prop_assert_eq!(&last.digest, &judged.digest, "a stale signature is counted");
        prop_assert_eq!(last.release, w.release_id());
    }
    if judged.verdict.is_go() {
        let mut people: Vec<i64> = judged
            .sign_offs
            .iter()
            .filter(|s| s.counts() == Some(Choice::Go))
            .map(|s| s.last.as_ref().unwrap().by)
            .collect();
        people.sort_unstable();
        people.dedup();
        prop_assert_eq!(people.len(), 3, "Go without three roles by three people");
        let decided: Vec<_> = judged.gates.iter().filter(|g| !g.is_decision).collect();
        prop_assert!(decided.iter().all(|g| g.state == GateState::Accepted));
        prop_assert!(w.observed.services.iter().all(|s| s.health.is_good()));
        for item in judged.gates.iter().flat_map(|g| &g.items) {
            prop_assert!(item.is_satisfied(), "Go with {} open", item.item.id);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// From nothing, and from a board that is Go: no sequence of acts gets past the rules.
    #[test]
    fn no_sequence_of_acts_gets_past_the_rules(acts in acts(), from_go in any::<bool>()) {
        let mut w = if from_go { World::signed() } else { World::new() };
        for act in &acts {
            perform(&mut w, act);
            check_invariants(&w)?;
        }
    }
}

#[test]
fn an_attestation_ages_and_says_so() {
    let mut w = World::ready_to_sign();
    w.rules.attested_for_ms = Some(30 * DAY);
    w.rules.attested_for_items = [("H.c2".to_owned(), 60 * DAY)].into();
    w.now = w.now.plus(30 * DAY - 1);
    assert_eq!(w.judge().item("A.2").unwrap().status, Status::Attested);
    w.now = w.now.plus(DAY + 1);
    let judged = w.judge();
    let item = judged.item("A.2").unwrap();
    assert_eq!(item.status, Status::Open(vec!["attested 31 d ago, valid for 30 d".into()]));
    assert!(item.old_word.is_some() && item.attestation.is_none());
    assert!(judged.gate("A").unwrap().fell_back);
    assert_eq!(judged.item("H.c2").unwrap().status, Status::Attested);
    w.attests("A.2", true);
    assert_eq!(w.judge().item("A.2").unwrap().status, Status::Attested);
}

#[test]
fn a_checklist_item_holds_when_its_parts_do_and_is_no_blocker_of_its_own() {
    let mut w = World::new();
    w.rules.checklist =
        [("H.c2".to_owned(), vec![Piece::Criterion("A.2".into()), Piece::Check("scan".into())])].into();
    w.finds("scan", Outcome::Pass);
    let judged = w.judge();
    let item = judged.item("H.c2").unwrap();
    assert_eq!(item.status, Status::Open(vec!["A.2 is open".into()]));
    assert_eq!(item.pieces.iter().map(|p| p.word.as_str()).collect::<Vec<_>>(), ["open", "pass"]);
    assert!(!whats(&judged).iter().any(|b| b.starts_with("Gate H")), "{:?}", whats(&judged));
    w.finds("scan", Outcome::Fail);
    assert!(whats(&w.judge()).contains(&"Gate H: 1 of the checklist open".to_owned()));
    w.finds("scan", Outcome::Pass);
    w.attests("A.2", true);
    assert_eq!(w.judge().item("H.c2").unwrap().status, Status::Proved);
    w.attest = vec!["H.c2".into()];
    assert!(!w.judge().item("H.c2").unwrap().is_satisfied(), "a word is asked besides");
    w.attests("H.c2", true);
    assert!(w.judge().item("H.c2").unwrap().is_satisfied());
    w.rules.checklist.insert("H.c2".into(), vec![Piece::Check("gone".into())]);
    assert!(!w.judge().item("H.c2").unwrap().is_satisfied(), "what does not exist never holds");
}

#[test]
fn the_verdict_names_what_is_waived_with_the_last_day() {
    let mut w = World::signed();
    w.now = Millis(1_796_083_200_000); // 2026-12-01 00:00
    w.finds("unit", Outcome::Pass);
    w.finds("scan", Outcome::Fail);
    w.waives("A.1", 2);
    w.waives("B.1", 2);
    let judged = w.judge();
    assert_eq!(judged.verdict.label(), "No-Go");
    assert_eq!(judged.verdict.line(), "No-Go with 2 waivers: A.1 until 2 Dec, B.1 until 2 Dec");
}

#[test]
fn a_blocker_says_since_when_it_stands_there_where_the_facts_tell() {
    let mut w = World::new();
    let since = |w: &World, gate: &str| {
        let kind = BlockerKind::Gate(gate.to_owned());
        w.judge().verdict.blockers.iter().find(|b| b.kind == kind).and_then(|b| b.since)
    };
    assert_eq!(since(&w, "B"), Some(Millis(0)), "nothing was looked at since the release was opened");
    w.finds("scan", Outcome::Pass);
    assert_eq!(since(&w, "B"), Some(w.now), "ready since the last check passed");
    w.now = w.now.plus(5);
    w.finds("scan", Outcome::Fail);
    let failing = w.now;
    w.now = w.now.plus(5);
    w.finds("scan", Outcome::Inconclusive);
    assert_eq!(since(&w, "B"), Some(failing), "since it passed last");
    let found = w.now;
    w.now = w.now.plus(7 * DAY + 50);
    assert_eq!(since(&w, "B"), Some(found.plus(7 * DAY)), "since the evidence grew too old");
    w.release.as_mut().unwrap().parts.values.insert(Part::Commit, "other".into());
    assert_eq!(since(&w, "B"), None, "when the commit changed is not known");
}

#[test]
fn what_follows_from_a_blocker_is_no_blocker() {
    let mut w = World::new();
    w.release = None;
    assert_eq!(whats(&w.judge()), ["No release is open"]);
    let mut w = World::new();
    w.release.as_mut().unwrap().state = ReleaseState::RolledBackFrom;
    assert_eq!(whats(&w.judge()), ["This release was rolled back and is marked bad"]);
    let mut w = World::new();
    w.checks = vec![check("scan", &["A.1", "A.2"])];
    let judged = w.judge();
    let gate = judged.verdict.blockers.iter().find(|b| b.kind == BlockerKind::Gate("A".into())).unwrap();
    assert_eq!(gate.details, ["A.1, A.2: check “scan” has not run"]);
}

#[test]
fn a_no_go_says_what_would_change_it() {
    let mut w = World::signed();
    w.signs(Role::Qa, 2, Choice::NoGo);
    let judged = w.judge();
    assert_eq!(judged.verdict.blockers[0].details, ["person 2: because", "what would change it: a fix"]);
}

#[test]
fn a_page_can_say_what_changed_since_a_signature_row_by_row() {
    let mut w = World::new();
    w.checks[0].want = Some(">= 65 %".parse().unwrap());
    w.finds("unit", Outcome::Pass);
    w.evidence.last_mut().unwrap().finding.value = Some(71.2);
    w.signs(Role::Qa, 2, Choice::Go);
    w.finds("unit", Outcome::Pass);
    w.evidence.last_mut().unwrap().finding.value = Some(66.1);
    let view = |w: &World| w.judge().sign_offs[1].clone();
    assert!(view(&w).stale.is_empty(), "a value that stays as wanted ends no signature");
    assert_eq!(view(&w).changes, ["A.1 unit was 71.2 %, is 66.1 %"]);
    w.release.as_mut().unwrap().parts.images.insert("web".into(), "sha256:other".into());
    w.observed.parts = w.release.as_ref().unwrap().parts.clone();
    assert_eq!(view(&w).stale, ["the image of web changed"]);
    let signed = view(&w).last.unwrap();
    let row = signed.shown.iter().find(|r| r.item == "A.1").unwrap();
    assert_eq!((row.title.as_str(), row.state.as_str()), ("criterion 1 of A", "open"));
}

#[test]
fn a_decision_that_fell_says_why_and_does_not_come_back_with_other_signers() {
    let mut w = World::signed();
    let judged = w.judge();
    w.decisions.push(Decision {
        id: 1,
        release: 1,
        choice: Choice::Go,
        note: "ship".into(),
        digest: judged.digest,
        verdict: judged.verdict_digest,
        shown: judged.shown,
        by: 3,
        by_name: "PO".into(),
        at: w.now,
    });
    assert!(w.judge().decision.is_some() && w.judge().fallen.is_none());
    w.observed.services = vec![service(Health::Exited)];
    let fallen = w.judge().fallen.unwrap();
    assert_eq!(fallen.why, ["the verdict is No-Go now: web is exited"]);
    w.observed.services = vec![service(Health::Healthy)];
    assert!(w.judge().decision.is_some(), "the same verdict again");
    w.signs(Role::Qa, 5, Choice::Go);
    let judged = w.judge();
    assert!(judged.verdict.is_go() && judged.decision.is_none());
    assert_eq!(judged.fallen.unwrap().why, ["the sign-offs are others than were decided on"]);
}
