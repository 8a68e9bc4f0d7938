//! The audit log as HTML.

use domain::paging::Pages;
use engine::view::{ActionOutcome, ActivityPage, ActivityRow, Permission, Storage, Verification};

use super::activity_view;
use crate::ui::samples::{NOW, here, html};
use crate::ui::snapshot::assert_page;

fn row(seq: i64, outcome: ActionOutcome) -> ActivityRow {
    ActivityRow {
        seq,
        at: NOW,
        actor: "Ada <x>".into(),
        act: "gate.accept".into(),
        subject: "A".into(),
        release: Some(3),
        run: Some(42),
        outcome,
        detail: "a <b>note".into(),
        hash: "0123456789abcdef".into(),
    }
}

fn log(chain: Verification) -> ActivityPage {
    ActivityPage {
        rows: vec![row(9, ActionOutcome::Refused), row(8, ActionOutcome::Intent)],
        pages: Pages { newer: None, older: Some(8) },
        chain,
        verify: None,
        storage: None,
        retention: vec![],
    }
}

fn verified() -> Verification {
    Verification { head: Some("9:abc".into()), at: Some(NOW), whole_at: Some(NOW), ..Verification::default() }
}

#[test]
fn an_entry_shows_person_action_object_and_outcome() {
    let out = html(|| activity_view(&here("/activity"), &log(verified())));
    assert_page("activity", &out);
    assert!(!out.contains("Newest"), "{out}");
}

#[test]
fn a_broken_chain_is_shown_as_an_alert() {
    let mut page = log(Verification { problems: vec!["entry 5 was changed".into()], ..verified() });
    page.pages = Pages { newer: Some(9), older: None };
    let out = html(|| activity_view(&here("/activity"), &page));
    assert!(out.contains("do not match the audit log") && out.contains("entry 5 was changed"), "{out}");
    assert!(out.contains("role=\"alert\""), "{out}");
    assert!(out.contains("href=\"/activity\"") && out.contains("href=\"/activity?after=9\""), "{out}");
    assert!(!out.contains("before="), "{out}");
}

#[test]
fn actions_of_stagegate_itself_are_marked() {
    let mut own = log(Verification::default());
    own.rows[0].actor.clear();
    assert!(html(|| activity_view(&here("/activity"), &own)).contains(">Stagegate<"));
}

#[test]
fn disk_usage_and_retention_are_shown() {
    let mut page = log(verified());
    page.storage = Some(Storage { at: NOW, database_bytes: 12_400_000, run_bytes: 900, rollback_bytes: 0 });
    let out = html(|| activity_view(&here("/activity"), &page));
    assert!(out.contains("13 MB") && out.contains("no [retention]"), "{out}");
    page.retention = vec!["logs of runs after 90 d".into()];
    let out = html(|| activity_view(&here("/activity"), &page));
    assert!(out.contains("logs of runs after 90 d") && out.contains("stagegate prune --dry-run"), "{out}");
}

#[test]
fn a_full_verification_shows_its_state_and_only_admins_can_start_one() {
    let text = |chain: Verification, verify: Option<Permission>| {
        html(|| activity_view(&here("/activity"), &ActivityPage { verify, ..log(chain) }))
    };
    let running = Verification { running_since: Some(NOW), ..verified() };
    let busy = Permission::Denied("A full verification is already running.".into());
    let out = text(running.clone(), Some(busy));
    assert!(out.contains("running since") && out.contains("disabled"), "{out}");
    assert!(!out.contains("records verified: "), "an earlier result is not shown for the current run: {out}");
    let out = text(verified(), Some(Permission::Allowed));
    assert!(out.contains("records verified: ") && out.contains("action=\"/api/verify_everything\""), "{out}");
    assert!(!text(verified(), None).contains("Verify everything now"), "the button is for admins");
    let none = Verification { whole_at: None, ..verified() };
    assert!(text(none, None).contains("has not been verified completely"));
    let failed = Verification { failed: Some("The disk is broken.".into()), ..verified() };
    assert!(text(failed, None).contains("could not be completed: The disk is broken."));
    // Faults remain visible while a new verification runs.
    let faults = Verification { problems: vec!["entry 5 was changed".into()], ..running };
    let out = text(faults, None);
    assert!(out.contains("entry 5 was changed") && out.contains("running since"), "{out}");
}
