//! The ownership log as HTML.

use domain::paging::Pages;
use domain::runbook::OwnershipLine;
use engine::view::{
    OwnershipEntry, OwnershipFieldView, OwnershipHistory, OwnershipLineView, OwnershipPage, Permission,
};

use super::history::history_view;
use super::{filled_text, ownership_view};
use crate::ui::samples::{NOW, here, html};

fn log(fill: Permission) -> OwnershipPage {
    let line = OwnershipLine::read("own.1".into(), "Host set up by: ____  on: ____".into(), 3);
    let entry = |value: &str| OwnershipEntry { id: 7, value: value.into(), by_name: "Ada".into(), at: NOW };
    let mut fields: Vec<OwnershipFieldView> = line
        .fields
        .iter()
        .map(|f| OwnershipFieldView { field: f.clone(), history: vec![], has_more: false, suggestion: None })
        .collect();
    fields[0].history = vec![entry("Grace"), entry("Linus")];
    fields[1].suggestion = Some("2026-03-01".into());
    OwnershipPage { lines: vec![OwnershipLineView { line, fields }], fill, filled: (1, 2) }
}

#[test]
fn fields_are_typed_and_show_their_history_and_suggested_value() {
    let out = html(|| ownership_view(&here("/ownership"), &log(Permission::Allowed)));
    for part in [
        "1 of 2 fields filled",
        "type=\"date\"",
        "value=\"Grace\"",
        "Linus",
        "Suggested value",
        "name=\"value\" value=\"2026-03-01\"",
        "Use this value",
        "href=\"/ownership.md\"",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn a_field_with_more_values_than_shown_links_to_its_history() {
    let mut log = log(Permission::Allowed);
    assert!(!html(|| ownership_view(&here("/ownership"), &log)).contains("All values"));
    let field = &mut log.lines[0].fields[0];
    field.has_more = true;
    let (field, entries) = (field.field.clone(), field.history.clone());
    let to = format!("href=\"/ownership/{}\"", field.id);
    assert!(html(|| ownership_view(&here("/ownership"), &log)).contains(&to));
    let pages = Pages { newer: None, older: Some(7) };
    let out = html(|| history_view(&OwnershipHistory { field: field.clone(), entries, pages }));
    let older = format!("href=\"/ownership/{}?before=7\"", field.id);
    for part in ["Grace", "Linus", "Ada", "Older", older.as_str()] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn the_line_is_that_of_the_runbook_with_its_blanks_filled() {
    assert_eq!(filled_text(&log(Permission::Allowed).lines[0]), "Host set up by: Grace  on: ____");
}

#[test]
fn people_who_cannot_fill_fields_see_the_reason() {
    let out = html(|| {
        ownership_view(
            &here("/ownership"),
            &log(Permission::Denied("Only DevOps can fill in this field.".into())),
        )
    });
    assert!(out.contains("Only DevOps can fill in this field.") && out.contains("disabled"), "{out}");
}
