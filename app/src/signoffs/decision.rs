//! The Product Owner's decision.

use domain::action::Action;
use domain::facts::Choice;
use engine::view::{Permission, SignOffPage};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::acts::Decide;
use super::sign::choices;
use crate::ui::{
    Here, Icon, badge, confirm_form, envelope, hidden, icon, lines, note_field, offer_button, password_field,
    time,
};

const FORM: &str = Action::Decide.name();

/// The current decision, and the form to record one.
pub(super) fn decision_card(here: &Here, page: &SignOffPage) -> AnyView {
    let (class, state) = match page.judgement.decision.as_ref().map(|d| d.choice) {
        Some(Choice::Go) => ("card card--green", badge("go", Icon::Check, "Go")),
        Some(Choice::NoGo) => ("card card--red", badge("no-go", Icon::Cross, "No-Go")),
        None if page.judgement.fallen.is_some() => {
            ("card card--amber", badge("stale", Icon::Clock, "No longer valid"))
        }
        None => ("card", badge("open", Icon::Circle, "Not decided")),
    };
    let text = match &page.judgement.decision {
        Some(decision) => view! {
            <p>
                {decision.choice.label()} " by " <strong>{decision.by_name.clone()}</strong> ", "
                {time(decision.at)}
            </p>
            <p class="wrap small">{decision.note.clone()}</p>
            {bound(&decision.verdict)}
            <p class="small muted">{validity(decision.choice)}</p>
        }
        .into_any(),
        None if page.judgement.fallen.is_some() => fallen(page),
        None => view! {
            <p class="small muted">
                "The PO records the decision. Go is not possible while the verdict is No-Go."
            </p>
        }
        .into_any(),
    };
    view! {
        <section class=class id="decision" data-live="decision">
            <div class="card__head">
                <h2>"Decision"</h2>
                {state}
            </div>
            <div class="card__body">{text} <div class="no-print">{form(here, page)}</div></div>
        </section>
    }
    .into_any()
}

fn validity(choice: Choice) -> &'static str {
    match choice {
        Choice::Go => "Valid: nothing has changed since the decision.",
        Choice::NoGo => "Valid until another decision is recorded.",
    }
}

/// The digest of the verdict that the decision is bound to.
fn bound(verdict: &str) -> Option<AnyView> {
    let short: String = verdict.chars().take(12).collect();
    (!short.is_empty()).then(|| {
        let whole = verdict.to_owned();
        view! { <p class="small muted">"Verdict digest: " <code title=whole>{short}</code></p> }.into_any()
    })
}

/// A decision that is no longer valid, and why.
fn fallen(page: &SignOffPage) -> AnyView {
    let Some(fallen) = &page.judgement.fallen else { return ().into_any() };
    let decision = &fallen.decision;
    view! {
        <p>
            {decision.choice.label()} " by " <strong>{decision.by_name.clone()}</strong> ", "
            {time(decision.at)}
        </p>
        <p class="wrap small">{decision.note.clone()}</p>
        {bound(&decision.verdict)}
        <div class="small warn">
            <p>{icon(Icon::Clock)} " Decision no longer valid:"</p>
            {lines(&fallen.why)}
        </div>
    }
    .into_any()
}

fn form(here: &Here, page: &SignOffPage) -> AnyView {
    let either = match (&page.decide_go, &page.decide_no_go) {
        (Permission::Denied(_), Permission::Denied(why)) => Permission::Denied(why.clone()),
        _ => Permission::Allowed,
    };
    let shown = page.judgement.last_decision().map_or(0, |d| d.id).to_string();
    let panel = || {
        view! {
            <form class="form" method="post" action=Decide::url()>
                {envelope(here, FORM)}
                {hidden(&[("digest", &page.judgement.digest), ("shown", &shown)])}
                {choices(here, FORM, &page.decide_go, &page.decide_no_go)}
                {note_field(here, FORM, "note", "Note", "The reason, in one sentence.", true)}
                {password_field(here, FORM)} {offer_button("Record decision", "btn--primary", &either)}
            </form>
        }
        .into_any()
    };
    confirm_form(here, FORM, view! { {icon(Icon::Flag)} "Record decision" }, "btn--primary", &either, panel)
}
