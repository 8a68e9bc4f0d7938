//! A criterion: its state, its evidence, and the buttons that change it.

use domain::action::Action;
use domain::choice::AttestationChoice;
use domain::facts::{Attestation, Waiver};
use domain::item::{ItemState, Proof, Status};
use domain::time::{Millis, human_span};
use engine::view::{CheckView, GatePage, Permission};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::acts::{Attest, EndWaiver, Waive};
use super::check_card;
use crate::ui::{
    FieldAttributes, Here, Icon, code_text, confirm_form, envelope, field, form_name, hidden, icon,
    item_badge, note_field, offer_button, password_field, post_button, roles, text_field, time, web_link,
};

/// A criterion with its evidence and its buttons.
pub(super) fn criterion(here: &Here, page: &GatePage, state: &ItemState) -> AnyView {
    let class = match (&state.status, state.is_red()) {
        (Status::Open(_), true) => "card card--red",
        (Status::Waived, _) => "card card--amber",
        (Status::Open(_), false) => "card",
        _ => "card card--green",
    };
    let item = &state.item;
    let checks: Vec<&CheckView> = match &item.proof {
        Proof::Checks(ids) => page.checks.iter().filter(|c| ids.contains(&c.check.id)).collect(),
        Proof::Pieces(_) => {
            let mine = |c: &&CheckView| state.checks.iter().any(|s| s.check == c.check.id);
            page.checks.iter().filter(mine).collect()
        }
        _ => vec![],
    };
    let checks = checks.into_iter().map(|c| check_card(here, c, page.now)).collect_view();
    let owner = (!state.is_satisfied()).then(|| {
        view! { <span class="row small muted">"Owner" {roles(&page.gate.owners)}</span> }
    });
    view! {
        <section class=class id=item.id.clone() data-live=format!("item-{}", item.id)>
            <div class="card__body criterion">
                <div class="criterion__head">
                    <div class="grow">
                        <span class="mono small muted">{item.id.clone()}</span>
                        <h2 class="criterion__text">{code_text(&item.text)}</h2>
                    </div>
                    {item_badge(state)}
                </div>
                {item_words(state)} {ages(page, state)} {checks} {owner}
                <div class="row row--top no-print">
                    {attest_form(here, &page.attest, state)} {waive_form(here, page, state)}
                </div>
            </div>
        </section>
    }
    .into_any()
}

/// Who attested, who waived, or what is missing, as text.
pub fn item_words(state: &ItemState) -> AnyView {
    let attested = state.attestation.as_ref().map(attestation);
    let waived = state.waiver.as_ref().map(waiver);
    let open = match (&state.status, &state.item.proof) {
        // The check card shows expected and actual values.
        (Status::Open(_), Proof::Checks(_) | Proof::Pieces(_)) => {
            attestation_missing(state).map(|why| (why, None))
        }
        (_, Proof::Preflight { place, hint }) => return found(place, hint, waived),
        (Status::Open(why), Proof::SignOffs) => Some((why.join("; "), Some("/sign-offs"))),
        (Status::Open(why), _) => Some((why.join("; "), None)),
        _ => None,
    };
    let before =
        state.old_word.as_ref().filter(|w| w.holds && !state.is_satisfied()).map(previous_attestation);
    let open = open.map(|(why, link)| {
        let link = link.map(|href| view! { " " <a href=href>"Open sign-offs"</a> });
        view! { <p class="small">{icon(Icon::Circle)} " Open: " {why} "." {link}</p> }
    });
    view! { {attested} {waived} {open} {before} }.into_any()
}

/// The check cards show the evidence, but not that an attestation is missing as well.
fn attestation_missing(state: &ItemState) -> Option<String> {
    let Status::Open(why) = &state.status else { return None };
    (state.item.needs_word && state.attestation.is_none()).then(|| why.last().cloned()).flatten()
}

/// The previous attestation.
fn previous_attestation(attestation: &Attestation) -> AnyView {
    let link = (!attestation.link.is_empty()).then(|| view! { " " {web_link(&attestation.link)} });
    view! {
        <p class="small muted wrap">
            {format!("Previous attestation: “{}”, {}, ", attestation.note, attestation.by_name)}
            {time(attestation.at)} {link}
        </p>
    }
    .into_any()
}

/// How long the attestation is valid.
fn ages(page: &GatePage, state: &ItemState) -> Option<AnyView> {
    let attestation = state.attestation.as_ref()?;
    let valid = page.attested_for.get(&state.item.id)?;
    let left = Millis::since(attestation.at.plus(*valid), page.now);
    let text = format!("Valid for {}; expires in {}.", human_span(*valid), human_span(left));
    Some(view! { <p class="small muted">{icon(Icon::Clock)} " " {text}</p> }.into_any())
}

/// Where preflight found the problem, and how to fix it.
fn found(place: &str, hint: &str, waived: Option<AnyView>) -> AnyView {
    let (place, hint) = (place.to_owned(), hint.to_owned());
    view! {
        <div class="small stack stack--tight">
            <p class="wrap">{icon(Icon::Warning)} " Preflight finding: " <code>{place}</code></p>
            <p class="wrap">{code_text(&hint)}</p>
        </div>
        {waived}
    }
    .into_any()
}

fn attestation(attestation: &Attestation) -> AnyView {
    let link =
        (!attestation.link.is_empty()).then(|| view! { <p class="small">{web_link(&attestation.link)}</p> });
    view! {
        <div class="small stack stack--tight">
            <p>
                {icon(Icon::Person)} " Attested by " <strong>{attestation.by_name.clone()}</strong> ", "
                {time(attestation.at)}
            </p>
            <p class="wrap">{attestation.note.clone()}</p>
            {link}
        </div>
    }
    .into_any()
}

fn waiver(waiver: &Waiver) -> AnyView {
    view! {
        <div class="small stack stack--tight">
            <p class="warn">
                {icon(Icon::Flag)} " Waived by " <strong>{waiver.by_name.clone()}</strong> ", "
                {time(waiver.at)} ", until the end of " <span title=format!("{} UTC", waiver.until.short())>{waiver.last_day()}</span> " (UTC)"
            </p>
            <p class="wrap">{waiver.reason.clone()}</p>
        </div>
    }
    .into_any()
}

/// The form to attest, or to withdraw the attestation; only if no check decides, or if the checks cover only a part.
pub fn attest_form(here: &Here, offer: &Permission, state: &ItemState) -> Option<AnyView> {
    let item = &state.item;
    if !state.takes_word() {
        return None;
    }
    let form = form_name(Action::Attest, &item.id);
    let shown = state.last_word().map_or(0, |attestation| attestation.id).to_string();
    let given = state.attestation.is_some();
    let label = if given { "Withdraw attestation" } else { "Attest" };
    let class = if given { "btn--small" } else { "btn--small btn--primary" };
    let panel = || {
        let holds = if given { AttestationChoice::Withdraw } else { AttestationChoice::Attest };
        let fields = if given {
            view! {
                {hidden(&[("link", "")])}
                {note_field(here, &form, "note", "Reason for the withdrawal", "", true)}
            }
            .into_any()
        } else {
            view! {
                {note_field(
                    here,
                    &form,
                    "note",
                    "Note",
                    "What you checked and what you saw. The note is shown with your name and the time.",
                    true,
                )}
                {text_field(
                    here,
                    &form,
                    "link",
                    "Link",
                    "Optional: a web address, or a path on this server such as /runs/12.",
                    false,
                )}
            }
            .into_any()
        };
        let submit = if given { "Withdraw attestation" } else { "Attest" };
        view! {
            <form class="form" method="post" action=Attest::url()>
                {envelope(here, &form)}
                {hidden(&[
                    ("item", &item.id),
                    ("digest", &item.digest),
                    ("holds", holds.value()),
                    ("shown", &shown),
                ])}
                {fields} {offer_button(submit, "btn--primary", offer)}
            </form>
        }
        .into_any()
    };
    Some(confirm_form(here, &form, view! { {icon(Icon::Person)} {label} }, class, offer, panel))
}

/// The form to waive an open criterion until a day, or the button to end the waiver.
fn waive_form(here: &Here, page: &GatePage, state: &ItemState) -> Option<AnyView> {
    let item = &state.item;
    if let Some(waiver) = &state.waiver {
        let number = waiver.id.to_string();
        return Some(post_button(
            here,
            &form_name(Action::EndWaiver, &item.id),
            EndWaiver::url(),
            &[("item", &item.id), ("waiver", &number)],
            view! { {icon(Icon::Flag)} "End waiver" },
            "btn--small",
            &page.waive,
        ));
    }
    if state.is_satisfied() || matches!(item.proof, Proof::SignOffs | Proof::GatesAccepted) {
        return None;
    }
    let form = form_name(Action::Waive, &item.id);
    let own = page
        .not_waivable
        .iter()
        .find(|(id, _)| *id == item.id)
        .map(|(_, why)| Permission::Denied(why.clone()));
    let offer = match (&page.waive, own) {
        (Permission::Allowed, Some(no)) => no,
        (offer, _) => offer.clone(),
    };
    let until = |attributes: FieldAttributes| {
        view! {
            <input
                type="date"
                id=attributes.id
                name="until"
                min=page.now.date()
                max=page.waive_until.clone()
                value=here.draft(&form, "until")
                required=true
                aria-describedby=attributes.described_by
                aria-invalid=attributes.invalid
            />
        }
        .into_any()
    };
    let panel = || {
        view! {
            <form class="form" method="post" action=Waive::url()>
                {envelope(here, &form)} {hidden(&[("item", &item.id), ("digest", &item.digest)])}
                {note_field(
                    here,
                    &form,
                    "reason",
                    "Reason",
                    "The reason is shown with the verdict and your name.",
                    true,
                )}
                {field(here, &form, "until", "Last valid day (UTC)", "", until)}
                {password_field(here, &form)}
                {offer_button("Waive", "btn--primary", &offer)}
            </form>
        }
        .into_any()
    };
    Some(confirm_form(
        here,
        &form,
        view! { {icon(Icon::Flag)} "Waive" },
        "btn--small btn--quiet",
        &offer,
        panel,
    ))
}
