//! The board as HTML.

use domain::facts::Waiver;
use domain::time::Millis;
use engine::view::{Permission, RunState, Todo, WaiverView};

use super::board_view;
use crate::ui::samples::{self, NOW, board, here, html};
use crate::ui::snapshot::assert_page;

fn page(board: &engine::view::BoardView) -> String {
    html(|| board_view(&here("/"), board))
}

#[test]
fn blockers_name_their_owners_and_link_to_the_page_that_resolves_them() {
    assert_page("board", &page(&board()));
}

#[test]
fn html_in_texts_is_escaped() {
    let out = page(&board());
    assert!(!out.contains("<script>") && !out.contains("<b>bold"), "{out}");
    assert!(out.contains("&lt;b&gt;bold"), "{out}");
}

#[test]
fn no_inline_style_is_written() {
    assert!(!page(&board()).contains("style="));
}

#[test]
fn an_empty_board_shows_the_buttons_to_start_with() {
    let mut empty = board();
    empty.release = None;
    empty.recent = vec![];
    empty.rollback = None;
    empty.judgement = samples::judgement(&[], None, &empty.observed);
    let out = page(&empty);
    assert!(out.contains("No runs yet. Start with this step"), "{out}");
    assert!(out.contains("action=\"/api/run_step\"") && out.contains("action=\"/api/deploy\""), "{out}");
    assert!(out.contains("value=\"step digest\""), "{out}");
}

#[test]
fn a_failed_deploy_is_shown_first_and_offers_the_rollback_before_a_deploy() {
    let mut failed = board();
    failed.failed_deploy = Some(samples::run(9, RunState::Failed));
    let out = page(&failed);
    let at = |what: &str| out.find(what).unwrap_or_else(|| panic!("{what} in {out}"));
    assert!(at("The deploy failed") < at("id=\"verdict\""));
    assert!(at("action=\"/api/roll_back\"") < at("action=\"/api/deploy\""));
    assert_eq!(out.matches("action=\"/api/roll_back\"").count(), 1, "offered once");
}

#[test]
fn a_docker_engine_that_does_not_respond_is_shown_with_the_time() {
    let mut lost = board();
    lost.observed.unreachable_since = Some(Millis(NOW.0 - 65_000));
    lost.observed.unreachable_why = "connection refused".into();
    let out = page(&lost);
    assert!(out.contains("1 min 05 s") && out.contains("connection refused"), "{out}");
}

#[test]
fn a_denied_deploy_shows_the_reason() {
    let mut held = board();
    held.deploy = Permission::Denied("Ada is rolling back".into());
    let out = page(&held);
    assert!(out.contains("Ada is rolling back") && !out.contains("action=\"/api/deploy\""), "{out}");
}

#[test]
fn a_running_command_shows_elapsed_and_expected() {
    let mut busy = board();
    busy.now = NOW.plus(4_000);
    busy.running = vec![samples::run(8, RunState::Running)];
    let out = page(&busy);
    assert!(out.contains("of about 8.0 s") && out.contains("data-since="), "{out}");
    assert!(out.contains("value=\"50\""), "{out}");
}

#[test]
fn live_regions_have_unique_ids() {
    let out = page(&board());
    let mut ids: Vec<&str> = out.split("data-live=\"").skip(1).filter_map(|s| s.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert!(all > 5 && ids.len() == all, "{ids:?}");
}

#[test]
fn the_printed_report_names_who_accepted_and_who_signed() {
    let out = page(&board());
    let report = out.split("data-live=\"report\"").nth(1).unwrap_or_default();
    assert!(report.contains("Gate A") && report.contains("not accepted"), "{report}");
    assert!(report.contains("not signed"), "{report}");
}

#[test]
fn to_dos_are_shown_before_the_verdict() {
    let mut busy = board();
    busy.todos = vec![Todo {
        what: "Accept gate A".into(),
        why: "every criterion <holds>".into(),
        href: "/gates/A#acceptance".into(),
    }];
    let out = page(&busy);
    let at = |what: &str| out.find(what).unwrap_or_else(|| panic!("{what} in {out}"));
    assert!(at("Waiting for you") < at("id=\"verdict\""));
    assert!(out.contains("href=\"/gates/A#acceptance\"") && out.contains("&lt;holds&gt;"), "{out}");
    assert!(!page(&board()).contains("Waiting for you"));
}

#[test]
fn a_waiver_is_listed_with_the_days_left_and_named_with_the_verdict() {
    let mut waived = board();
    let waiver = Waiver {
        id: 1,
        item: "A.1".into(),
        text_digest: String::new(),
        by: 5,
        by_name: "Sina".into(),
        reason: "a known <flake>".into(),
        at: NOW,
        until: NOW.plus(12 * 86_400_000),
        holds: true,
    };
    waived.judgement.verdict.waivers = 1;
    waived.judgement.verdict.waived = vec![waiver.clone()];
    waived.waivers = vec![WaiverView {
        ends: "on 13 Mar".into(),
        days_left: 12,
        needed: true,
        href: "/gates/A#A.1".into(),
        waiver,
    }];
    let out = page(&waived);
    for part in [
        "12 days left",
        "a known &lt;flake&gt;",
        "Waived by Sina",
        "Waived: ",
        "A.1 until 13 Mar",
        "No-Go with 1 waiver: A.1",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(out.contains("action=\"/api/end_waiver\""), "{out}");
}

#[test]
fn a_blocker_shows_its_button_and_how_long_it_has_waited() {
    let mut board = board();
    let gate = board.blockers.iter_mut().find(|b| b.href == "/gates/A").unwrap();
    gate.act = Some(("Attest A.2".into(), "/gates/A#A.2".into()));
    gate.blocker.since = Some(Millis(NOW.0 - 65_000));
    let out = page(&board);
    assert!(out.contains("href=\"/gates/A#A.2\"") && out.contains("Attest A.2"), "{out}");
    assert!(out.contains("1 min 05 s"), "{out}");
}

#[test]
fn the_printed_report_lists_every_criterion_with_its_evidence() {
    let out = page(&board());
    let report = out.split("data-live=\"report-items\"").nth(1).unwrap_or_default();
    for part in ["A.1", "A.2", "H.c1", "not attested for this release", "check “coverage” failed"] {
        assert!(report.contains(part), "{part} in {report}");
    }
}
