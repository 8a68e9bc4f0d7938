//! The audit log as HTML.

use engine::view::{ActivityPage, ActivityRow};

use super::activity_view;
use crate::ui::samples::{NOW, html};

fn row(seq: i64, outcome: &str) -> ActivityRow {
    ActivityRow {
        seq,
        at: NOW,
        actor: "Ada <x>".into(),
        act: "gate.accept".into(),
        subject: "A".into(),
        release: Some(3),
        run: Some(42),
        outcome: outcome.into(),
        detail: "a <b>note".into(),
        hash: "0123456789abcdef".into(),
    }
}

fn log(chain: Result<String, String>) -> ActivityPage {
    ActivityPage { rows: vec![row(9, "refused"), row(8, "intent")], more_before: Some(8), chain }
}

#[test]
fn an_entry_says_who_did_what_where_and_with_what_outcome() {
    let out = html(|| activity_view(&log(Ok("The chain of 9 events is whole.".into())), false));
    for part in [
        "Ada &lt;x&gt;",
        "gate.accept",
        "Refused",
        "Begun",
        "/releases/3",
        "/runs/42",
        "a &lt;b&gt;note",
        "0123456789<",
        "The chain of 9 events is whole.",
        "href=\"/activity?before=8\"",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(!out.contains("Newest"), "{out}");
}

#[test]
fn a_broken_chain_is_loud() {
    let out = html(|| activity_view(&log(Err("entry 5 was changed".into())), true));
    assert!(out.contains("does not verify") && out.contains("entry 5 was changed"), "{out}");
    assert!(out.contains("role=\"alert\"") && out.contains("Newest"), "{out}");
}

#[test]
fn what_stagegate_did_itself_is_told_apart_from_people() {
    let mut own = log(Ok(String::new()));
    own.rows[0].actor.clear();
    assert!(html(|| activity_view(&own, false)).contains(">Stagegate<"));
}
