//! The sign-off page as HTML.

use domain::facts::{Choice, Decision, SignOff};
use domain::item::ChecklistPartState;
use domain::judge::FallenDecision;
use domain::role::Role;
use domain::rules::ChecklistPart;
use engine::view::{PartView, Permission};

use super::sign_offs_view;
use crate::ui::samples::{NOW, here, html, sign_offs};

#[test]
fn a_person_signs_off_only_for_a_role_they_have() {
    let out = html(|| sign_offs_view(&here("/sign-offs"), &sign_offs()));
    assert_eq!(out.matches("action=\"/api/sign_off\"").count(), 1, "{out}");
    assert!(out.contains("name=\"role\" value=\"qa\""), "{out}");
    assert!(out.contains("Only Security can do this."), "{out}");
    assert!(out.contains("type=\"password\""), "{out}");
}

#[test]
fn a_go_that_is_not_possible_is_disabled_and_shows_the_reason() {
    let out = html(|| sign_offs_view(&here("/sign-offs"), &sign_offs()));
    let go = out.find("value=\"go\"").map(|at| &out[at..]).unwrap_or_default();
    let label = go.split("</label>").next().unwrap_or_default();
    assert!(label.contains("disabled") && label.contains("Gate A is not accepted."), "{label}");
}

#[test]
fn the_sign_off_form_is_bound_to_the_evidence_shown() {
    let page = sign_offs();
    let out = html(|| sign_offs_view(&here("/sign-offs"), &page));
    assert!(out.contains(&format!("name=\"digest\" value=\"{}\"", page.judgement.digest)), "{out}");
}

#[test]
fn a_stale_sign_off_shows_what_changed() {
    let mut page = sign_offs();
    page.judgement.sign_offs[0].last = Some(SignOff {
        id: 1,
        release: 3,
        role: Role::Qa,
        by: 4,
        by_name: "Grace".into(),
        choice: Choice::Go,
        comment: "fine <img>".into(),
        would_change: String::new(),
        digest: String::new(),
        shown: vec![],
        parts: None,
        at: NOW,
    });
    page.judgement.sign_offs[0].stale = vec!["A.1 was proved and is open".into()];
    let out = html(|| sign_offs_view(&here("/sign-offs"), &page));
    for part in ["Grace", "No longer valid", "A.1 was proved and is open", "fine &lt;img&gt;", "#3"] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn the_decision_form_is_for_the_product_owner() {
    let mut page = sign_offs();
    let out = html(|| sign_offs_view(&here("/sign-offs"), &page));
    assert!(!out.contains("action=\"/api/decide\"") && out.contains("Only PO can do this."), "{out}");
    page.decide_no_go = Permission::Allowed;
    let out = html(|| sign_offs_view(&here("/sign-offs"), &page));
    assert!(out.contains("action=\"/api/decide\""), "{out}");
}

#[test]
fn a_no_go_shows_the_conditions_for_a_go_and_what_has_changed_since() {
    let mut page = sign_offs();
    page.judgement.sign_offs[0].last = Some(SignOff {
        id: 1,
        release: 3,
        role: Role::Qa,
        by: 4,
        by_name: "Grace".into(),
        choice: Choice::NoGo,
        comment: "too slow".into(),
        would_change: "p95 <600 ms".into(),
        digest: String::new(),
        shown: page.judgement.shown.clone(),
        parts: None,
        at: NOW,
    });
    page.judgement.sign_offs[0].changes = vec!["A.1 coverage was 71.2 %, is 66.1 %".into()];
    let out = html(|| sign_offs_view(&here("/sign-offs"), &page));
    for part in [
        "Conditions for a Go: ",
        "p95 &lt;600 ms",
        "Changed since then:",
        "A.1 coverage was 71.2 %, is 66.1 %",
        "Evidence shown to Grace",
        "name=\"would_change\"",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn a_decision_that_is_no_longer_valid_is_shown_with_the_reason() {
    let mut page = sign_offs();
    page.judgement.fallen = Some(FallenDecision {
        decision: Decision {
            id: 1,
            release: 3,
            choice: Choice::Go,
            note: "ship".into(),
            digest: String::new(),
            verdict: "abcdef0123456789".into(),
            shown: vec![],
            by: 6,
            by_name: "Pia".into(),
            at: NOW,
        },
        why: vec!["the verdict is now No-Go: web is exited".into()],
    });
    let out = html(|| sign_offs_view(&here("/sign-offs"), &page));
    for part in ["No longer valid", "Pia", "web is exited", "abcdef012345"] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn a_checklist_item_shows_its_parts_with_state_and_link() {
    let mut page = sign_offs();
    let id = page.checklist[0].item.id.clone();
    page.parts.insert(
        id,
        vec![PartView {
            state: ChecklistPartState {
                piece: ChecklistPart::Criterion("A.1".into()),
                holds: false,
                word: "open".into(),
                why: "check “coverage” has not run".into(),
            },
            title: "`npm test` <b>".into(),
            href: "/gates/A#A.1".into(),
        }],
    );
    let out = html(|| sign_offs_view(&here("/sign-offs"), &page));
    for part in ["href=\"/gates/A#A.1\"", "has not run", "&lt;b&gt;"] {
        assert!(out.contains(part), "{part} in {out}");
    }
}
