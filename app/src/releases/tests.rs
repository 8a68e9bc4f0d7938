//! Releases as HTML.

use domain::facts::{Choice, Decision};
use domain::paging::Pages;
use domain::release::{Release, ReleaseState};
use engine::view::{
    DrillFigures, DrillView, EnvSince, HeadView, Permission, ReleaseRow, ReleasesPage, RunState,
};

use super::{release_view, releases_view};
use crate::ssr::Flash;
use crate::ui::samples::{self, NOW, here, html};
use crate::ui::snapshot::assert_page;

fn row() -> ReleaseRow {
    ReleaseRow {
        release: Release {
            subject: "Faster <search>".into(),
            migrations: Some(vec!["20260301_add_index".into()]),
            ..samples::release()
        },
        opened_by: "Ada".into(),
        deployed_by: Some("Grace".into()),
        runs: vec![samples::run(7, RunState::Passed)],
        changed: vec!["backend".into()],
        decisions: vec![Decision {
            id: 1,
            release: 3,
            choice: Choice::NoGo,
            note: "search is slow".into(),
            digest: "d".into(),
            verdict: String::new(),
            shown: vec![],
            by: 2,
            by_name: "Linus".into(),
            at: NOW,
        }],
    }
}

fn releases() -> ReleasesPage {
    ReleasesPage {
        now: NOW,
        observed: samples::observed(),
        current: Some(samples::release()),
        releases: vec![row()],
        pages: Pages { newer: None, older: Some(3) },
        deploy: Permission::Allowed,
        backup: false,
        shown: samples::directory(),
        open: Permission::Denied("nothing has changed".into()),
        head: HeadView { commit: "3f2c9e1".into(), subject: "Add <b>".into(), changed: false },
        rollbacks: vec![samples::rollback()],
        running: None,
        failed_deploy: None,
        drill: DrillView {
            target: Some(Release { id: 2, ..samples::release() }),
            digest: "d5".into(),
            offer: Permission::Allowed,
            last: None,
            result: None,
        },
        restart: samples::restart(),
        incidents: vec![],
    }
}

fn shown(page: &ReleasesPage) -> String {
    html(|| releases_view(&here("/releases"), page))
}

#[test]
fn a_deploy_names_what_it_will_deploy() {
    let out = shown(&releases());
    assert_page("releases", &out);
    assert!(!out.contains("Tracked files differ"), "{out}");
}

#[test]
fn every_confirmation_sends_back_what_it_showed() {
    let mut page = releases();
    page.open = Permission::Allowed;
    let out = shown(&page);
    // Deploy, and opening a release.
    assert_eq!(out.matches("name=\"commit\" value=\"3f2c9e1aaaabbbb\"").count(), 2, "{out}");
    for (digest, times) in [("d0", 1), ("d1", 1), ("d2", 2), ("d5", 1)] {
        assert_eq!(
            out.matches(&format!("name=\"shown\" value=\"{digest}\"")).count(),
            times,
            "{digest} in {out}"
        );
    }
}

#[test]
fn a_refused_deploy_form_is_open_with_the_previous_choice() {
    let mut page = releases();
    page.backup = true;
    let mut here = here("/releases");
    here.flash = Some(Flash {
        ok: false,
        text: "HEAD has moved".into(),
        form: "deploy".into(),
        fields: [("without_backup".to_owned(), "true".to_owned())].into(),
        field: None,
    });
    let out = html(|| releases_view(&here, &page));
    assert!(out.contains("value=\"true\" checked"), "{out}");
}

#[test]
fn a_backup_before_a_deploy_is_announced_and_can_be_skipped() {
    let mut page = releases();
    assert!(!shown(&page).contains("without_backup"));
    page.backup = true;
    let out = shown(&page);
    assert!(
        out.contains("backed up first") && out.contains("name=\"without_backup\" value=\"true\""),
        "{out}"
    );
}

#[test]
fn changed_tracked_files_are_shown_before_a_deploy() {
    let mut page = releases();
    page.head.changed = true;
    assert!(shown(&page).contains("Tracked files differ from this commit"));
}

#[test]
fn denied_actions_are_disabled_and_show_the_reason() {
    let mut page = releases();
    page.deploy = Permission::Denied("Ada is deploying".into());
    let out = shown(&page);
    assert!(out.contains("Ada is deploying") && !out.contains("action=\"/api/deploy\""), "{out}");
    assert!(out.contains("nothing has changed") && !out.contains("action=\"/api/open_release\""), "{out}");
}

#[test]
fn after_a_failed_deploy_the_rollback_is_offered_first_and_once() {
    let mut page = releases();
    page.failed_deploy = Some(samples::run(9, RunState::Failed));
    let out = shown(&page);
    assert_eq!(out.matches("action=\"/api/roll_back\"").count(), 1, "{out}");
    let at = |what: &str| out.find(what).unwrap_or_else(|| panic!("{what} in {out}"));
    assert!(at("did not succeed") < at("action=\"/api/roll_back\""));
    assert!(at("action=\"/api/roll_back\"") < at("action=\"/api/deploy\""));
}

#[test]
fn a_target_with_missing_images_is_denied_and_names_them() {
    let mut page = releases();
    page.rollbacks[0].missing_images = vec!["backend sha256:11".into()];
    page.rollbacks[0].offer = Permission::Denied("1 image is missing".into());
    let out = shown(&page);
    assert!(out.contains("backend sha256:11") && !out.contains("action=\"/api/roll_back\""), "{out}");
}

#[test]
fn a_fresh_database_needs_the_typed_name_and_a_stack_that_can_create_one() {
    let mut page = releases();
    assert!(!shown(&page).contains("value=\"fresh\""));
    page.rollbacks[0].can_make_database_anew = true;
    let out = shown(&page);
    for part in ["value=\"fresh\"", "name=\"typed\"", "type Sample to confirm", "value=\"keep\" checked"] {
        assert!(out.contains(part), "{part} in {out}");
    }
    page.rollbacks[0].migrations = Some(vec![]);
    assert!(!shown(&page).contains("value=\"fresh\""), "no migrations between");
}

#[test]
fn the_clean_restart_names_its_release_and_needs_a_confirmation_for_the_volumes() {
    let mut page = releases();
    let out = shown(&page);
    for part in [
        "action=\"/api/clean_restart\"",
        "with release #",
        "name=\"volumes\" value=\"keep\" checked",
        "name=\"volumes\" value=\"remove\"",
        "all stored data is lost, without a backup",
        "type Sample to confirm",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    page.restart.backup = true;
    page.restart.fill = true;
    assert!(shown(&page).contains("the database is backed up, then recreated"));
    page.restart.target = None;
    page.restart.offer = Permission::Denied("No release was deployed and healthy on this host yet.".into());
    let out = shown(&page);
    assert!(!out.contains("action=\"/api/clean_restart\"") && out.contains("on this host yet"), "{out}");
}

#[test]
fn choices_and_typed_text_are_kept_after_a_refusal() {
    let page = releases();
    let mut here = here("/releases");
    let fields = [("volumes", "remove"), ("typed", "Sampel")];
    here.flash = Some(crate::ssr::Flash {
        ok: false,
        text: "To confirm, type the name".into(),
        form: "clean_restart".into(),
        fields: fields.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        field: None,
    });
    let out = html(|| releases_view(&here, &page));
    for part in ["value=\"remove\" checked", "value=\"Sampel\"", "value=\"keep\">"] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn a_changed_env_file_is_shown_and_can_be_restored_only_from_a_copy() {
    let mut page = releases();
    assert!(!shown(&page).contains("env file"));
    page.rollbacks[0].env = EnvSince::Changed;
    let out = shown(&page);
    assert!(out.contains("there is no copy of the earlier one") && !out.contains("name=\"env\""), "{out}");
    page.rollbacks[0].env = EnvSince::Kept;
    let out = shown(&page);
    for part in ["name=\"env\" value=\"keep\" checked", "name=\"env\" value=\"back\""] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn without_rollback_targets_the_page_explains_how_to_get_one() {
    let mut page = releases();
    page.rollbacks.clear();
    assert!(shown(&page).contains("No rollback target yet"));
}

#[test]
fn history_shows_who_deployed_what_and_the_decisions() {
    let out = shown(&releases());
    for part in
        ["Faster &lt;search&gt;", "Ada", "Grace", "No-Go by Linus", "search is slow", "Current", "/runs/7"]
    {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn a_release_shows_images_migrations_and_unreadable_parts() {
    let out = html(|| release_view(&row()));
    for part in ["sha256:11", "20260301_add_index", "could not be read", "search is slow", "new<"] {
        assert!(out.contains(part), "{part} in {out}");
    }
    let mut opened = row();
    opened.release.state = ReleaseState::Opened;
    opened.release.parts.images.clear();
    opened.release.migrations = None;
    opened.runs.clear();
    let out = html(|| release_view(&opened));
    assert!(out.contains("Not deployed yet") && out.contains("Not recorded"), "{out}");
}

#[test]
fn a_drill_shows_its_target_and_the_last_result() {
    let mut page = releases();
    let out = shown(&page);
    assert!(out.contains("No drill recorded yet") && out.contains("action=\"/api/drill\""), "{out}");
    assert!(out.contains("Roll back to release #2"), "{out}");
    page.drill.last = Some(samples::run(11, RunState::Passed));
    page.drill.result = Some(DrillFigures {
        away_ms: 9_400,
        back_ms: 8_000,
        outages: vec![domain::incident::Outage {
            what: "API health".into(),
            asked: 90,
            missed: 20,
            longest_ms: 1_100,
            answers_now: true,
        }],
    });
    page.drill.offer = Permission::Denied("Ada is deploying".into());
    let out = shown(&page);
    assert!(out.contains("/runs/11") && out.contains("20 of 90 probes failed"), "{out}");
    assert!(out.contains("Ada is deploying") && !out.contains("action=\"/api/drill\""), "{out}");
}

#[test]
fn the_history_has_pages() {
    let out = shown(&releases());
    assert!(out.contains("href=\"/releases?before=3\"") && !out.contains("after="), "{out}");
}
