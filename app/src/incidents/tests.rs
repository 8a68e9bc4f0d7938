//! Incidents as HTML.

use domain::incident::{Incident, LastWords, Moment, Note, NoteKind, Report};
use domain::paging::Pages;
use engine::view::{IncidentPage, IncidentRow, IncidentsPage, Permission};

use super::{incident_view, incidents_view};
use crate::ui::samples::{NOW, here, html};

fn row() -> IncidentRow {
    IncidentRow {
        incident: Incident {
            id: 4,
            run: 12,
            from: Some(2),
            to: 1,
            by: 1,
            by_name: "Dana".into(),
            at: NOW,
            report: Report {
                complete: true,
                message: "Rolled back to r1.".into(),
                timeline: vec![Moment { at: NOW, what: "Release #2 failed <to> deploy".into() }],
                failing: vec![LastWords {
                    service: "backend".into(),
                    health: "unhealthy".into(),
                    lines: vec!["boom <b>".into()],
                }],
                ..Report::default()
            },
        },
        from: Some("#2 · bbbbbbb".into()),
        to: "#1 · aaaaaaa".into(),
        cause: None,
        open_follow_ups: 1,
    }
}

fn list(rows: Vec<IncidentRow>) -> IncidentsPage {
    IncidentsPage { rows, pages: Pages { newer: None, older: Some(4) } }
}

fn note(id: i64, kind: NoteKind, text: &str) -> Note {
    Note { id, incident: 4, kind, text: text.into(), by: 1, by_name: "Bela".into(), at: NOW }
}

fn page(notes: Vec<Note>, note: Permission) -> String {
    html(|| incident_view(&here("/incidents/4"), &IncidentPage { row: row(), notes, note }))
}

#[test]
fn the_list_shows_which_incidents_have_no_cause_yet() {
    let out = html(|| incidents_view(&list(vec![row()])));
    for part in
        ["Incident 4", "#2 · bbbbbbb", "#1 · aaaaaaa", "The cause is not recorded", "1 open follow-up"]
    {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(out.contains("/incidents?before=4\""), "{out}");
    assert!(html(|| incidents_view(&list(vec![]))).contains("No incidents"));
}

#[test]
fn the_facts_are_escaped_and_the_report_can_be_exported() {
    let out = page(vec![], Permission::Allowed);
    for part in [
        "failed &lt;to&gt; deploy",
        "boom &lt;b&gt;",
        "/incidents/4/report.md",
        "/runs/12",
        "Nothing was measured",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn a_follow_up_is_done_once() {
    let open = vec![note(1, NoteKind::FollowUp, "test the migration")];
    assert!(page(open.clone(), Permission::Allowed).contains("/api/finish_follow_up"));
    let mut done = open;
    done.push(note(2, NoteKind::Done(1), ""));
    let out = page(done, Permission::Allowed);
    assert!(!out.contains("/api/finish_follow_up") && out.contains("Done, confirmed by"), "{out}");
}

#[test]
fn people_who_cannot_add_notes_see_the_reason() {
    let out = page(vec![], Permission::Denied("Only DevOps can do this.".into()));
    assert!(out.contains("Only DevOps can do this."), "{out}");
}
