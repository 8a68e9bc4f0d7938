//! Tests of the shared components.

use std::collections::BTreeMap;

use domain::evidence::Outcome;
use engine::FormField;
use engine::view::{Permission, RunState};
use leptos::prelude::*;

use super::samples::{self, NOW, here, html};
use super::snapshot::assert_references;
use super::*;
use crate::ssr::Flash;

#[test]
fn a_button_that_is_not_permitted_is_disabled_and_shows_the_reason() {
    let no = Permission::Denied("Only DevOps can <deploy>".into());
    let out = html(|| offer_button("Deploy", "btn--primary", &no));
    assert!(out.contains("disabled") && out.contains("Only DevOps can &lt;deploy&gt;"), "{out}");
    let out = html(|| offer_button("Deploy", "", &Permission::Allowed));
    assert!(!out.contains("disabled"), "{out}");
}

#[test]
fn a_confirmation_that_is_not_permitted_has_no_panel() {
    let out = html(|| {
        confirm("Deploy", "", &Permission::Denied("a run is in progress".into()), || "panel".into_any())
    });
    assert!(!out.contains("panel") && out.contains("a run is in progress"), "{out}");
}

#[test]
fn every_form_carries_a_fresh_key_its_page_and_its_name() {
    let place = here("/gates/A?x=1");
    let form = || html(|| envelope(&place, "attest:A.1"));
    let out = form();
    assert!(out.contains("name=\"back\" value=\"/gates/A?x=1\""), "{out}");
    assert!(out.contains("name=\"form\" value=\"attest:A.1\""), "{out}");
    assert_ne!(out, form());
    let key = random_key();
    assert!(key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
}

#[test]
fn entered_values_are_shown_again_escaped_and_only_in_their_own_form() {
    let mut place = here("/gates/A");
    place.flash = Some(Flash {
        ok: false,
        text: "too short".into(),
        form: "attest:A.1".into(),
        fields: BTreeMap::from([("note".to_owned(), "</textarea><script>x".to_owned())]),
        field: None,
    });
    let mine = html(|| note_field(&place, "attest:A.1", "note", "Note", "", true));
    assert!(mine.contains("&lt;/textarea&gt;&lt;script&gt;x</textarea>"), "{mine}");
    let other = html(|| note_field(&place, "attest:A.2", "note", "Note", "", true));
    assert!(!other.contains("script"), "{other}");
    let open = html(|| confirm_form(&place, "attest:A.1", "x", "", &Permission::Allowed, || ().into_any()));
    assert!(open.contains(" open"), "{open}");
    let shut = html(|| confirm_form(&place, "attest:A.2", "x", "", &Permission::Allowed, || ().into_any()));
    assert!(!shut.contains(" open"), "{shut}");
}

#[test]
fn a_field_refers_to_its_hint_and_to_the_message_that_is_about_it() {
    let mut place = here("/gates/A");
    let field = |place: &Here, form: &str, name: &'static str, hint: &str| {
        let out = html(|| text_field(place, form, name, "Link", hint, false));
        assert_references(&out);
        out
    };
    assert!(!field(&place, "attest:A.1", "link", "").contains("aria-"), "nothing describes it");
    let hinted = field(&place, "attest:A.1", "link", "Optional.");
    assert!(hinted.contains("aria-describedby=\"attest:A.1:link:hint\""), "{hinted}");
    assert!(!hinted.contains("aria-invalid"), "{hinted}");

    place.flash = Some(Flash {
        text: "A link must start with https://".into(),
        form: "attest:A.1".into(),
        field: Some(FormField::Link),
        ..Flash::default()
    });
    let refused = field(&place, "attest:A.1", "link", "Optional.");
    assert!(refused.contains("aria-describedby=\"notice-text attest:A.1:link:hint\""), "{refused}");
    assert!(refused.contains("aria-invalid=\"true\""), "{refused}");
    for (form, name) in [("attest:A.1", "note"), ("attest:A.2", "link")] {
        let other = field(&place, form, name, "");
        assert!(!other.contains("aria-"), "{form} {name}: {other}");
    }
    let password = html(|| password_field(&place, "attest:A.1"));
    assert!(!password.contains("aria-"), "{password}");
}

#[test]
fn times_carry_the_instant_and_utc() {
    let out = html(|| time(NOW));
    assert!(out.contains("datetime=\"2026-03-01T09:30:00.000Z\""), "{out}");
    assert!(out.contains("title=\"2026-03-01 09:30 UTC\""), "{out}");
    assert!(out.contains(&format!("data-t=\"{}\"", NOW.0)), "{out}");
}

#[test]
fn backticks_become_code_and_markup_stays_text() {
    let out = html(|| code_text("run `a < b` now <i>"));
    assert!(out.contains("<code>a &lt; b<") && out.contains("now &lt;i&gt;"), "{out}");
    assert!(html(|| code_text("one ` alone")).contains("one ` alone"));
}

#[test]
fn evidence_shows_actual_and_expected_value_and_the_next_step() {
    let out = html(|| finding(&samples::evidence(Outcome::Fail, 50.0), NOW.plus(120_000)));
    for part in ["50 % of lines &lt;b&gt;", "at least 65 %", "Add tests", "2 min", "/runs/42"] {
        assert!(out.contains(part), "{part} in {out}");
    }
    let passed = html(|| finding(&samples::evidence(Outcome::Pass, 70.0), NOW));
    assert!(!passed.contains("Add tests"), "{passed}");
}

#[test]
fn a_plot_shows_values_against_the_threshold_and_needs_two() {
    let check = samples::check();
    let on = |release: i64, value: f64, outcome| {
        let mut e = samples::evidence(outcome, value);
        e.release = release;
        e
    };
    let one = on(3, 70.0, Outcome::Pass);
    assert!(!html(|| trend_plot(&check, &[], std::slice::from_ref(&one))).contains("svg"));
    let runs = html(|| trend_plot(&check, &[], &[one.clone(), one.clone()]));
    assert!(
        runs.contains("Values of the last runs: run 42 70 %, run 42 70 %, expected &gt;= 65 %"),
        "{runs}"
    );
    let list = [on(1, 60.0, Outcome::Fail), on(2, 66.5, Outcome::Pass), on(3, 70.0, Outcome::Pass)];
    let points = domain::flaky::trend("coverage", list.iter());
    let out = html(|| trend_plot(&check, &points, &[]));
    assert!(out.contains("Values by release: #1 60 %, #2 66.5 %, #3 70 %, expected &gt;= 65 %"), "{out}");
    for part in ["points=\"4.0,32.0 60.0,13.8 116.0,4.0\"", "plot__fail", "plot__want", "y1=\"18.0\""] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(!out.contains("style="), "the content security policy forbids it");
}

#[test]
fn a_check_shows_when_it_is_flaky_and_when_its_evidence_expires() {
    let list = [samples::evidence(Outcome::Fail, 50.0), samples::evidence(Outcome::Pass, 70.0)];
    let mut view = samples::check_view(&list);
    view.expires = Some(engine::view::Expiry { at: NOW.plus(3 * 3_600_000), soon: true });
    let out = html(|| crate::gates::check_card(&here("/gates/A"), &view, NOW));
    for part in
        ["flaky: 1 of the last 2 did not pass", "Expires in 3 h", "Run the check again before it expires"]
    {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn an_estimate_never_reaches_100_percent() {
    let run = samples::run(1, RunState::Running);
    let out = html(|| run_progress(&run, NOW.plus(1_000_000)));
    assert!(out.contains("value=\"97\""), "{out}");
}

#[test]
fn the_rollback_names_target_services_and_migrations_and_offers_the_database_choices() {
    let out = html(|| rollback_confirm(&here("/"), &samples::rollback(), ""));
    for part in [
        "Roll back to 3f2c9e1",
        "#2 · 3f2c9e1",
        "backend",
        "20260301_add_index",
        "1 migration between",
        "name=\"release\" value=\"2\"",
        "value=\"keep\" checked",
        "value=\"rollback\"",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    let mut plain = samples::rollback();
    plain.migrations = Some(vec![]);
    let out = html(|| rollback_confirm(&here("/"), &plain, ""));
    assert!(out.contains("no migrations between") && out.contains("name=\"database\" value=\"keep\""));
    assert!(!out.contains("value=\"rollback\""), "{out}");
}

#[test]
fn only_web_addresses_become_links() {
    assert!(!html(|| web_link("javascript:alert(1)")).contains("href"));
    assert!(html(|| web_link("https://example.org/x")).contains("href"));
}
