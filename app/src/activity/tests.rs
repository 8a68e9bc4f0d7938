//! The audit log as HTML.

use domain::page::Pages;
use engine::view::{ActivityPage, ActivityRow, Storage, Verification};

use super::activity_view;
use crate::ui::samples::{NOW, html};
use crate::ui::snapshot::assert_page;

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

fn log(chain: Verification) -> ActivityPage {
    ActivityPage {
        rows: vec![row(9, "refused"), row(8, "intent")],
        pages: Pages { newer: None, older: Some(8) },
        chain,
        storage: None,
        retention: vec![],
    }
}

fn verified() -> Verification {
    Verification { problems: vec![], head: Some("9:abc".into()), at: Some(NOW), whole: true }
}

#[test]
fn an_entry_says_who_did_what_where_and_with_what_outcome() {
    let out = html(|| activity_view(&log(verified())));
    assert_page("activity", &out);
    assert!(!out.contains("Newest"), "{out}");
}

#[test]
fn a_broken_chain_is_loud() {
    let mut page = log(Verification { problems: vec!["entry 5 was changed".into()], ..verified() });
    page.pages = Pages { newer: Some(9), older: None };
    let out = html(|| activity_view(&page));
    assert!(out.contains("do not match the audit log") && out.contains("entry 5 was changed"), "{out}");
    assert!(out.contains("role=\"alert\""), "{out}");
    assert!(out.contains("href=\"/activity\"") && out.contains("href=\"/activity?after=9\""), "{out}");
    assert!(!out.contains("before="), "{out}");
}

#[test]
fn what_stagegate_did_itself_is_told_apart_from_people() {
    let mut own = log(Verification::default());
    own.rows[0].actor.clear();
    assert!(html(|| activity_view(&own)).contains(">Stagegate<"));
}

#[test]
fn the_room_that_the_data_takes_and_what_is_removed_are_told() {
    let mut page = log(verified());
    page.storage = Some(Storage { at: NOW, database_bytes: 12_400_000, run_bytes: 900, rollback_bytes: 0 });
    let out = html(|| activity_view(&page));
    assert!(out.contains("13 MB") && out.contains("no [retention]"), "{out}");
    page.retention = vec!["logs of runs after 90 d".into()];
    let out = html(|| activity_view(&page));
    assert!(out.contains("logs of runs after 90 d") && out.contains("stagegate prune --dry-run"), "{out}");
}
