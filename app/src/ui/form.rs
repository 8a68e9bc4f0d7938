//! Forms: the hidden fields that every form sends, and buttons that show why an action is not possible.

use std::fmt::Display;

use domain::action::Action;
use domain::digest::sha256_hex;
use engine::view::Permission;
use leptos::nonce::Nonce;
use leptos::prelude::*;

use super::frame::{Here, Place};

/// 128 random bits in hex: an idempotency key.
pub fn random_key() -> String {
    let mut key = sha256_hex(Nonce::new().as_bytes());
    key.truncate(32);
    key
}

/// The name of a form whose page has several for the same action: `attest:A.1`. A form that is the only one of its
/// action has the action's name.
pub fn form_name(action: Action, subject: impl Display) -> String {
    format!("{}:{subject}", action.name())
}

/// The hidden fields that every form sends: idempotency key, the page to return to, the form's name.
pub fn envelope(place: &impl Place, form: &str) -> AnyView {
    // A refused form holds what was typed as if it were its own text: it must not be replaced by a live read.
    let refused = place.flash().is_some_and(|flash| !flash.ok && flash.form == form);
    view! {
        <input type="hidden" name="key" value=random_key() data-refused=refused.then_some("") />
        <input type="hidden" name="back" value=place.path().to_owned() />
        <input type="hidden" name="form" value=form.to_owned() />
    }
    .into_any()
}

/// Hidden fields of a form.
pub fn hidden(fields: &[(&str, &str)]) -> AnyView {
    fields
        .iter()
        .map(|(name, value)| {
            view! { <input type="hidden" name=(*name).to_owned() value=(*value).to_owned() /> }
        })
        .collect_view()
        .into_any()
}

/// A submit button. When the action is not permitted, the button is disabled and the reason is shown beside it. `class`
/// holds the modifiers, such as `btn--primary`.
pub fn offer_button(label: impl IntoView, class: &str, offer: &Permission) -> AnyView {
    let class = format!("btn {class}");
    match offer {
        Permission::Allowed => {
            view! { <button type="submit" class=class>{label.into_view()}</button> }.into_any()
        }
        Permission::Denied(why) => {
            let why = why.clone();
            view! {
                <span class="offer">
                    <button type="submit" class=class disabled=true title=why.clone()>
                        {label.into_view()}
                    </button>
                    <span class="offer__why">{why}</span>
                </span>
            }
            .into_any()
        }
    }
}

/// A form that consists of one button: it posts `fields` and the envelope to `action`.
pub fn post_button(
    place: &impl Place,
    form: &str,
    action: &'static str,
    fields: &[(&str, &str)],
    label: impl IntoView,
    class: &str,
    offer: &Permission,
) -> AnyView {
    if matches!(offer, Permission::Denied(_)) {
        return offer_button(label, class, offer);
    }
    view! {
        <form class="inline" method="post" action=action>
            {envelope(place, form)}
            {hidden(fields)}
            {offer_button(label, class, offer)}
        </form>
    }
    .into_any()
}

/// A confirmation that works without scripts: a button that opens a panel. The button is disabled, with the reason,
/// when the action is not permitted.
pub fn confirm(
    label: impl IntoView,
    class: &str,
    offer: &Permission,
    panel: impl FnOnce() -> AnyView,
) -> AnyView {
    reveal(false, label, class, offer, panel)
}

/// Like [`confirm`], for the named form. The panel is open if that form was just refused, so that the entered values
/// are visible.
pub fn confirm_form(
    here: &Here,
    form: &str,
    label: impl IntoView,
    class: &str,
    offer: &Permission,
    panel: impl FnOnce() -> AnyView,
) -> AnyView {
    reveal(here.refused(form), label, class, offer, panel)
}

fn reveal(
    open: bool,
    label: impl IntoView,
    class: &str,
    offer: &Permission,
    panel: impl FnOnce() -> AnyView,
) -> AnyView {
    if matches!(offer, Permission::Denied(_)) {
        return offer_button(label, class, offer);
    }
    view! {
        <details class="confirm" data-keep="" open=open>
            <summary class=format!("btn {class}")>{label.into_view()}</summary>
            <div class="confirm__panel">{panel()}</div>
        </details>
    }
    .into_any()
}

/// Radio buttons, each a value and its label (one or two sentences). The first one is selected by default.
pub fn choices(here: &Here, form: &str, name: &'static str, all: &[(&'static str, &'static str)]) -> AnyView {
    let before = here.draft(form, name);
    let first = all.first().map_or("", |(value, _)| value);
    let chosen = all.iter().map(|(value, _)| *value).find(|value| *value == before).unwrap_or(first);
    let one = |(value, label): &(&'static str, &'static str)| {
        let (value, label) = (*value, *label);
        view! {
            <label class="choice">
                <input type="radio" name=name value=value checked=value == chosen />
                <span>{label}</span>
            </label>
        }
    };
    view! { <div class="choices choices--lines">{all.iter().map(one).collect_view()}</div> }.into_any()
}
