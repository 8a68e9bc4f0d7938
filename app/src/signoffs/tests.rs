//! The sign-off page as HTML.

use domain::facts::{Choice, SignOff};
use domain::role::Role;
use engine::view::Offer;

use super::sign_offs_view;
use crate::ui::samples::{NOW, here, html, sign_offs};

#[test]
fn somebody_signs_only_for_the_role_they_hold() {
    let out = html(|| sign_offs_view(&here("/sign-offs"), &sign_offs()));
    assert_eq!(out.matches("action=\"/api/sign_off\"").count(), 1, "{out}");
    assert!(out.contains("name=\"role\" value=\"qa\""), "{out}");
    assert!(out.contains("you do not hold Security"), "{out}");
    assert!(out.contains("type=\"password\""), "{out}");
}

#[test]
fn a_go_that_would_be_refused_is_disabled_and_says_why() {
    let out = html(|| sign_offs_view(&here("/sign-offs"), &sign_offs()));
    let go = out.find("value=\"go\"").map(|at| &out[at..]).unwrap_or_default();
    let label = go.split("</label>").next().unwrap_or_default();
    assert!(label.contains("disabled") && label.contains("gate A is not accepted"), "{label}");
}

#[test]
fn what_somebody_signs_is_the_evidence_that_is_shown() {
    let page = sign_offs();
    let out = html(|| sign_offs_view(&here("/sign-offs"), &page));
    assert!(out.contains(&format!("name=\"digest\" value=\"{}\"", page.judgement.digest)), "{out}");
}

#[test]
fn a_stale_sign_off_says_what_changed() {
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
    for part in ["Grace", "Re-confirm", "A.1 was proved and is open", "fine &lt;img&gt;", "#3"] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn the_decision_form_is_for_the_product_owner() {
    let mut page = sign_offs();
    let out = html(|| sign_offs_view(&here("/sign-offs"), &page));
    assert!(!out.contains("action=\"/api/decide\"") && out.contains("only the PO decides"), "{out}");
    page.decide_no_go = Offer::Yes;
    let out = html(|| sign_offs_view(&here("/sign-offs"), &page));
    assert!(out.contains("action=\"/api/decide\""), "{out}");
}
