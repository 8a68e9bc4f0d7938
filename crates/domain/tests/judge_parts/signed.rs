//! Gates, sign-offs, decisions: their order, and what invalidates them.

use super::*;

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
fn an_acceptance_is_withdrawn_when_a_check_fails_until_accepted_again() {
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
fn running_a_check_again_with_the_same_outcome_changes_nothing() {
    let mut w = World::signed();
    w.finds("unit", Outcome::Pass);
    assert!(w.judge().verdict.is_go());
}

#[test]
fn a_failure_makes_sign_offs_stale_even_after_it_passed_again() {
    let mut w = World::signed();
    w.finds("unit", Outcome::Fail);
    w.finds("unit", Outcome::Pass);
    w.accepts("A");
    let judged = w.judge();
    assert_eq!(whats(&judged), ["Sign-offs missing: Backend, QA, PO"]);
    assert_eq!(judged.sign_offs[0].stale, ["A.1 failed or was inconclusive in the meantime"]);
}

#[test]
fn a_person_counts_only_once() {
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
fn a_no_go_is_valid_until_its_signer_changes_it() {
    let mut w = World::signed();
    w.signs(Role::Qa, 2, Choice::NoGo);
    assert_eq!(whats(&w.judge()), ["QA signed No-Go"]);
    w.finds("unit", Outcome::Fail);
    assert!(whats(&w.judge()).contains(&"QA signed No-Go".to_owned()));
}

#[test]
fn a_decision_is_valid_only_for_what_was_shown() {
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
fn consequences_of_a_blocker_are_not_listed() {
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
fn changes_since_a_sign_off_are_listed_row_by_row() {
    let mut w = World::new();
    w.checks[0].want = Some(">= 65 %".parse().unwrap());
    w.finds("unit", Outcome::Pass);
    w.evidence.last_mut().unwrap().finding.value = Some(71.2);
    w.signs(Role::Qa, 2, Choice::Go);
    w.finds("unit", Outcome::Pass);
    w.evidence.last_mut().unwrap().finding.value = Some(66.1);
    let view = |w: &World| w.judge().sign_offs[1].clone();
    assert!(
        view(&w).stale.is_empty(),
        "a value that still meets its threshold does not invalidate a sign-off"
    );
    assert_eq!(view(&w).changes, ["A.1 unit was 71.2 %, is now 66.1 %"]);
    w.release.as_mut().unwrap().parts.images.insert("web".into(), "sha256:other".into());
    w.observed.parts = w.release.as_ref().unwrap().parts.clone();
    assert_eq!(view(&w).stale, ["the image of web changed"]);
    let signed = view(&w).last.unwrap();
    let row = signed.shown.iter().find(|r| r.item == "A.1").unwrap();
    assert_eq!((row.title.as_str(), row.state.as_str()), ("criterion 1 of A", "open"));
}

#[test]
fn an_invalid_decision_has_reasons_and_stays_invalid_with_other_signers() {
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
    assert_eq!(fallen.why, ["the verdict is now No-Go: web is exited"]);
    w.observed.services = vec![service(Health::Healthy)];
    assert!(w.judge().decision.is_some(), "the same verdict again");
    w.signs(Role::Qa, 5, Choice::Go);
    let judged = w.judge();
    assert!(judged.verdict.is_go() && judged.decision.is_none());
    assert_eq!(judged.fallen.unwrap().why, ["the sign-offs have changed since the decision"]);
}
