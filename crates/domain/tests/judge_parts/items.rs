//! Criteria: proved by checks, attested, waived, and how all of that expires.

use super::*;

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
fn an_attestation_does_not_replace_a_check() {
    let mut w = World::new();
    w.attests("A.1", true);
    assert!(!w.judge().item("A.1").unwrap().is_satisfied());
}

#[test]
fn a_check_that_covers_only_a_part_needs_an_attestation_too() {
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
fn evidence_of_another_commit_does_not_count_until_a_rollback() {
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
fn a_waiver_counts_until_it_expires_and_is_listed() {
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
fn a_check_that_keeps_failing_under_a_waiver_changes_nothing() {
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
fn an_attestation_expires_with_a_reason() {
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
fn a_checklist_item_follows_its_parts_and_is_not_a_separate_blocker() {
    let mut w = World::new();
    w.rules.checklist = [(
        "H.c2".to_owned(),
        vec![ChecklistPart::Criterion("A.2".into()), ChecklistPart::Check("scan".into())],
    )]
    .into();
    w.finds("scan", Outcome::Pass);
    let judged = w.judge();
    let item = judged.item("H.c2").unwrap();
    assert_eq!(item.status, Status::Open(vec!["A.2 is open".into()]));
    assert_eq!(item.pieces.iter().map(|p| p.word.as_str()).collect::<Vec<_>>(), ["open", "pass"]);
    assert!(!whats(&judged).iter().any(|b| b.starts_with("Gate H")), "{:?}", whats(&judged));
    w.finds("scan", Outcome::Fail);
    assert!(whats(&w.judge()).contains(&"Gate H: 1 checklist item open".to_owned()));
    w.finds("scan", Outcome::Pass);
    w.attests("A.2", true);
    assert_eq!(w.judge().item("H.c2").unwrap().status, Status::Proved);
    w.attest = vec!["H.c2".into()];
    assert!(!w.judge().item("H.c2").unwrap().is_satisfied(), "an attestation is required too");
    w.attests("H.c2", true);
    assert!(w.judge().item("H.c2").unwrap().is_satisfied());
    w.rules.checklist.insert("H.c2".into(), vec![ChecklistPart::Check("gone".into())]);
    assert!(!w.judge().item("H.c2").unwrap().is_satisfied(), "a check that does not exist never passes");
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
fn a_blocker_shows_since_when_it_exists_if_known() {
    let mut w = World::new();
    let since = |w: &World, gate: &str| {
        let kind = BlockerKind::Gate(gate.to_owned());
        w.judge().verdict.blockers.iter().find(|b| b.kind == kind).and_then(|b| b.since)
    };
    assert_eq!(since(&w, "B"), Some(Millis(0)), "no check has run since the release was opened");
    w.finds("scan", Outcome::Pass);
    assert_eq!(since(&w, "B"), Some(w.now), "ready since the last check passed");
    w.now = w.now.plus(5);
    w.finds("scan", Outcome::Fail);
    let failing = w.now;
    w.now = w.now.plus(5);
    w.finds("scan", Outcome::Inconclusive);
    assert_eq!(since(&w, "B"), Some(failing), "since it last passed");
    let found = w.now;
    w.now = w.now.plus(7 * DAY + 50);
    assert_eq!(since(&w, "B"), Some(found.plus(7 * DAY)), "since the evidence grew too old");
    w.release.as_mut().unwrap().parts.values.insert(ReleaseComponent::Commit, "other".into());
    assert_eq!(since(&w, "B"), None, "the time of the change is not known");
}
