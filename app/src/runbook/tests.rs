//! The runbook's page as HTML.

use domain::runbook::{Problem, Severity, StepKind};
use engine::view::{Permission, RunbookPage};

use super::runbook_view;
use crate::ui::samples::{self, here, html};

fn book() -> RunbookPage {
    let mut back = samples::step(Permission::Allowed);
    back.step.id = "rollback.s1".into();
    back.step.kind = StepKind::Rollback;
    RunbookPage {
        runbook: samples::runbook(),
        path: "docs/runbook.md".into(),
        problems: vec![],
        loose_steps: vec![samples::step(Permission::Allowed), back],
    }
}

fn shown(page: &RunbookPage) -> String {
    html(|| runbook_view(&here("/runbook"), page))
}

#[test]
fn the_contents_of_the_runbook_are_counted_and_linked() {
    let out = shown(&book());
    for part in [
        "docs/runbook.md",
        "href=\"/gates/A\"",
        "Acceptance criteria",
        "href=\"/matrix\"",
        "No problems found",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn problems_are_sorted_by_severity_and_show_position_and_hint() {
    let problem = |severity, message: &str| Problem {
        file: None,
        line: 12,
        column: 3,
        severity,
        message: message.into(),
        hint: "write `(Gate X)`".into(),
    };
    let mut page = book();
    page.problems = vec![problem(Severity::Note, "small <i>"), problem(Severity::Error, "large")];
    let out = shown(&page);
    let at = |what: &str| out.find(what).unwrap_or_else(|| panic!("{what} in {out}"));
    assert!(at("large") < at("small &lt;i&gt;"));
    assert!(out.contains("runbook:12:3") && out.contains("<code>(Gate X)<"), "{out}");
    assert!(!out.contains("No problems found"), "{out}");
}

#[test]
fn rollback_commands_and_commands_outside_the_gates_can_be_run_one_at_a_time() {
    let out = shown(&book());
    assert_eq!(out.matches("action=\"/api/run_step\"").count(), 2, "{out}");
    let at = |what: &str| out.find(what).unwrap_or_else(|| panic!("{what} in {out}"));
    assert!(at("Rollback strategy") < at("Commands outside the gates"));
}
