//! The sign-off of one role: its state, why it is not valid, and the form to sign off.

use domain::action::Action;
use domain::facts::{Choice, ShownRow, SignOff};
use domain::judge::SignOffView;
use domain::role::Role;
use engine::view::{Permission, SignOffPage};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::acts::SignOff as SignOffForm;
use crate::ui::{
    Here, Icon, badge, code_text, confirm_form, envelope, form_name, hidden, icon, lines, note_field,
    offer_button, password_field, time,
};

/// The card of one sign-off role.
pub(super) fn sign_card(here: &Here, page: &SignOffPage, view: &SignOffView) -> AnyView {
    let (class, state) = match (view.counts(), &view.last) {
        (Some(Choice::Go), _) => ("sign sign--go", badge("go", Icon::Check, "Go")),
        (Some(Choice::NoGo), _) => ("sign sign--no-go", badge("no-go", Icon::Cross, "No-Go")),
        (None, Some(_)) => ("sign sign--stale", badge("stale", Icon::Clock, "No longer valid")),
        (None, None) => ("sign", badge("open", Icon::Circle, "Not signed")),
    };
    let release = page.release.as_ref().map(|r| r.name()).unwrap_or_default();
    let statement = match &view.last {
        Some(signed) => signed_lines(signed, &release),
        None => view! { <p class="small muted">"No sign-off for this release yet."</p> }.into_any(),
    };
    let stale = (!view.stale.is_empty()).then(|| {
        view! {
            <div class="small warn">
                <p>{icon(Icon::Clock)} " Sign-off no longer valid:"</p>
                {lines(&view.stale)}
            </div>
        }
    });
    let since = since_then(view);
    let form = match view.role {
        Some(role) => sign_form(here, page, role, &view.name, view.last.as_ref()),
        None => {
            let known = Role::ALL.map(Role::label).join(", ");
            let text = format!(
                "This role is not known to Stagegate (known roles: {known}). Correct its name in the runbook."
            );
            view! { <p class="small warn">{text}</p> }.into_any()
        }
    };
    let id = engine::view::sign_anchor(&view.name);
    view! {
        <article class=class id=id.clone() data-live=id.clone()>
            <div class="row row--between">
                <h3>{view.name.clone()}</h3>
                {state}
            </div>
            {statement} {stale} {since} <div class="no-print">{form}</div>
        </article>
    }
    .into_any()
}

/// Changes since the sign-off that do not make it invalid: measured values, and any change after a No-Go.
/// The reasons that make it invalid are shown separately.
fn since_then(view: &SignOffView) -> Option<AnyView> {
    let signed = view.last.as_ref()?;
    let more: Vec<&String> = view.changes.iter().filter(|c| !view.stale.contains(c)).collect();
    let changed = (!more.is_empty()).then(|| {
        view! {
            <div class="small">
                <p class="muted">"Changed since then:"</p>
                {lines(&more)}
            </div>
        }
    });
    let rows = signed.shown.iter().filter(|r| !r.title.is_empty()).map(shown_row).collect_view();
    let seen = signed.shown.iter().any(|r| !r.title.is_empty()).then(|| {
        view! {
            <details class="more no-print">
                <summary>{format!("Evidence shown to {}", signed.by_name)}</summary>
                <ul class="lines small">{rows}</ul>
            </details>
        }
    });
    Some(view! { {changed} {seen} }.into_any())
}

fn shown_row(row: &ShownRow) -> AnyView {
    let values: Vec<String> = row.values.iter().map(|v| format!("{} {}", v.check, v.value)).collect();
    let values = (!values.is_empty()).then(|| format!(" · {}", values.join(", ")));
    let state = row.state.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end().to_owned();
    view! {
        <li>
            <span class="mono muted">{row.item.clone()}</span>
            " "
            {code_text(&row.title)}
            ": "
            <strong>{state}</strong>
            {values}
        </li>
    }
    .into_any()
}

fn signed_lines(signed: &SignOff, release: &str) -> AnyView {
    let comment = (!signed.comment.is_empty())
        .then(|| view! { <p class="small sign__comment">{signed.comment.clone()}</p> });
    let would = (!signed.would_change.is_empty()).then(|| {
        view! {
            <p class="small sign__comment">
                <span class="muted">"Conditions for a Go: "</span>
                {signed.would_change.clone()}
            </p>
        }
    });
    let release = release.to_owned();
    view! {
        <p class="small">
            {signed.choice.label()} " by " <strong>{signed.by_name.clone()}</strong> ", "
            {time(signed.at)} ", on release " <span class="mono">{release}</span>
        </p>
        {comment}
        {would}
    }
    .into_any()
}

fn offer_of(offers: &[(Role, Permission)], role: Role) -> Permission {
    offers.iter().find(|(r, _)| *r == role).map_or_else(
        || Permission::Denied("The runbook has no sign-off for this role.".to_owned()),
        |(_, o)| o.clone(),
    )
}

/// The form of one role; for people who cannot sign off for it, the reason.
fn sign_form(here: &Here, page: &SignOffPage, role: Role, name: &str, last: Option<&SignOff>) -> AnyView {
    let go = offer_of(&page.go, role);
    let no_go = offer_of(&page.no_go, role);
    let either = match (&go, &no_go) {
        (Permission::Denied(_), Permission::Denied(why)) => Permission::Denied(why.clone()),
        _ => Permission::Allowed,
    };
    if let Some(why) = either.reason() {
        return view! { <p class="small muted">{why.to_owned()}</p> }.into_any();
    }
    let form = form_name(Action::SignOff, role.slug());
    let shown = last.map_or(0, |signed| signed.id).to_string();
    let label =
        if last.is_some() { format!("Sign off again as {name}") } else { format!("Sign off as {name}") };
    let panel = || {
        view! {
            <form class="form" method="post" action=SignOffForm::url()>
                {envelope(here, &form)}
                {hidden(&[
                    ("role", role.slug()),
                    ("digest", &page.judgement.digest),
                    ("shown", &shown),
                ])}
                {choices(here, &form, &go, &no_go)}
                {note_field(
                    here,
                    &form,
                    "comment",
                    "Comment",
                    "Required for a No-Go: enter the reason.",
                    false,
                )}
                {note_field(
                    here,
                    &form,
                    "would_change",
                    "Conditions for a Go",
                    "Required for a No-Go: what must change. Leave empty for a Go.",
                    false,
                )} {password_field(here, &form)}
                {offer_button(format!("Sign off as {name}"), "btn--primary", &either)}
            </form>
        }
        .into_any()
    };
    confirm_form(here, &form, view! { {icon(Icon::Person)} {label} }, "btn--primary", &either, panel)
}

/// Go or No-Go as two large choices; a choice that is not possible is disabled and shows the reason.
pub(super) fn choices(here: &Here, form: &str, go: &Permission, no_go: &Permission) -> AnyView {
    let before = here.draft(form, "choice");
    let one = |choice: Choice, offer: &Permission, class: &'static str, shape: Icon| {
        let why = offer.reason().map(|why| {
            let why = why.to_owned();
            view! { <span class="small">{why}</span> }
        });
        view! {
            <label class=class>
                <input
                    type="radio"
                    name="choice"
                    value=choice.slug()
                    required=true
                    disabled=offer.reason().is_some()
                    checked=before == choice.slug()
                />
                <span class="stack stack--tight">
                    <span class="strong">{icon(shape)} " " {choice.label()}</span>
                    {why}
                </span>
            </label>
        }
        .into_any()
    };
    view! {
        <fieldset class="fieldset">
            <legend>"Go or No-Go"</legend>
            <div class="choices">
                {one(Choice::Go, go, "choice choice--go", Icon::Check)}
                {one(Choice::NoGo, no_go, "choice choice--no-go", Icon::Cross)}
            </div>
        </fieldset>
    }
    .into_any()
}
