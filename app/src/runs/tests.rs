//! Runs as HTML.

use domain::evidence::Outcome;
use domain::log::{LogLine, Span, Stream};
use domain::paging::Pages;
use engine::view::{FailingService, Permission, RunKind, RunPage, RunState, RunsPage};
use leptos::prelude::*;

use super::tail::tail;
use super::{run_view, runs_view};
use crate::ui::samples::{self, here, html};
use crate::ui::snapshot::assert_page;

fn line(n: u64, text: &str, stream: Stream) -> LogLine {
    let span = Span { text: text.into(), fg: Some(1), bold: true, ..Span::default() };
    LogLine { n, at_ms: 1_250, stream, spans: vec![span], truncated: n == 9 }
}

fn page(kind: RunKind, state: RunState) -> RunPage {
    let mut run = samples::run(12, state);
    run.kind = kind;
    RunPage {
        run,
        command: "npm test && echo \"<done>\"".into(),
        exit: (state != RunState::Running).then(|| "exit 1".into()),
        pruned_at: None,
        lines: 10,
        tail: vec![line(8, "<script>alert(1)</script>", Stream::Out), line(9, "boom", Stream::Err)],
        evidence: vec![],
        failing: vec![],
        proof: vec![],
        cancel: Permission::Allowed,
        rollback: None,
        follow_ups: vec![],
    }
}

fn shown(page: &RunPage) -> String {
    // Islands need a reactive owner; the one of `html` is enough.
    html(|| run_view(&here("/runs/12"), page))
}

#[test]
fn a_log_line_shows_its_number_its_time_and_its_stream() {
    let lines = page(RunKind::Step, RunState::Failed).tail;
    let out = html(|| tail(12, 10, &lines));
    assert!(out.contains("&lt;script&gt;alert(1)") && !out.contains("<script>"), "{out}");
    for part in [
        "id=\"L9\"",
        "href=\"#L10\"",
        "0:01.250",
        "log-line log-line--err log-line--cut",
        "class=\"fg-1 bold\"",
        "Last 2 of 10 lines",
        "href=\"/runs/12/log\"",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn an_empty_log_has_a_message() {
    assert!(html(|| tail(12, 0, &[])).contains("No output yet"));
}

#[test]
fn a_running_command_can_be_cancelled_and_its_page_reloads_without_scripts() {
    let out = shown(&page(RunKind::Step, RunState::Running));
    assert!(out.contains("action=\"/api/cancel_run\"") && out.contains("name=\"run\" value=\"12\""), "{out}");
    assert!(out.contains("<noscript><meta http-equiv=\"refresh\" content=\"3\""), "{out}");
    assert!(out.contains("data-expected=\"8000\""), "{out}");
    let over = shown(&page(RunKind::Step, RunState::Passed));
    assert!(!over.contains("cancel_run") && !over.contains("http-equiv"), "{over}");
}

#[test]
fn a_denied_cancel_shows_the_reason() {
    let mut running = page(RunKind::Step, RunState::Running);
    running.cancel = Permission::Denied("Only DevOps can do this.".into());
    let out = shown(&running);
    assert!(out.contains("Only DevOps can do this.") && !out.contains("action=\"/api/cancel_run\""), "{out}");
}

#[test]
fn a_failed_deploy_shows_the_logs_of_the_services_and_the_rollback() {
    let mut failed = page(RunKind::Deploy, RunState::Failed);
    failed.failing = vec![FailingService {
        name: "backend".into(),
        health: "unhealthy".into(),
        last_lines: vec!["cannot reach <db>".into()],
    }];
    failed.rollback = Some(samples::rollback());
    let out = shown(&failed);
    for part in [
        "backend",
        "unhealthy",
        "cannot reach &lt;db&gt;",
        "Roll back to 3f2c9e1",
        "action=\"/api/roll_back\"",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    failed.rollback = None;
    assert!(shown(&failed).contains("no rollback target yet"));
}

#[test]
fn the_rollback_verification_names_the_service_with_a_different_image() {
    let mut back = page(RunKind::Rollback, RunState::Failed);
    back.proof = vec![
        ("api".into(), "sha256:1".into(), "sha256:1".into()),
        ("web".into(), "sha256:2".into(), String::new()),
    ];
    let out = shown(&back);
    assert!(out.contains("At least one service does not run"), "{out}");
    assert!(out.contains("not running") && out.contains("Same") && out.contains("Different"), "{out}");
}

#[test]
fn the_evidence_of_a_run_is_shown() {
    let mut checked = page(RunKind::Check, RunState::Failed);
    checked.evidence = vec![samples::evidence(Outcome::Fail, 50.0)];
    let out = shown(&checked);
    assert!(
        out.contains("50 % of lines") && out.contains("at least 65 %") && out.contains("1 check<"),
        "{out}"
    );
}

#[test]
fn the_terminal_is_outside_of_the_live_regions() {
    let out = shown(&page(RunKind::Step, RunState::Running));
    let island = out.find("<leptos-island").unwrap_or_else(|| panic!("no island in {out}"));
    let before = &out[..island];
    assert!(before.rfind("class=\"terminal\"") > before.rfind("</section>"), "{out}");
    assert!(before.rfind("</section>") > before.rfind("data-live"), "{out}");
    assert!(!out.contains("style="), "{out}");
}

#[test]
fn the_list_links_to_each_run_and_marks_the_kind() {
    let pages = Pages { newer: Some(7), older: Some(5) };
    let page = RunsPage { rows: vec![samples::run(7, RunState::Failed)], pages };
    let out = html(|| runs_view(Some(RunKind::Check), &page));
    assert_page("runs", &out);
    let none = RunsPage { rows: vec![], pages: Pages::default() };
    assert!(html(|| runs_view(None, &none).into_any()).contains("No runs to show"));
}

#[test]
fn a_removed_log_is_announced() {
    let mut pruned = page(RunKind::Check, RunState::Passed);
    pruned.pruned_at = Some(samples::NOW);
    let out = html(|| run_view(&here("/runs/12"), &pruned));
    assert!(out.contains("Log removed on ") && out.contains(" by log retention"), "{out}");
    assert!(!out.contains("/runs/12/log\"") && !out.contains("terminal__view"), "{out}");
}
