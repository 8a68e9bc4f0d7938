//! The acceptance of a gate: accepted, withdrawn, possible, or the reason why it is not possible.

use domain::action::Action;
use domain::gate::GateState;
use engine::view::GatePage;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;

use super::acts::AcceptGate;
use crate::ui::{
    Here, Icon, confirm_form, envelope, form_name, gate_badge, hidden, icon, note_field, offer_button, roles,
    time,
};

/// The card beside the criteria.
pub(super) fn accept_card(here: &Here, page: &GatePage) -> AnyView {
    let gate = &page.gate;
    let form = if gate.is_decision {
        view! {
            <p class="small">
                "The decision accepts this gate: every sign-off role signs Go, then the PO records Go."
            </p>
            <p>
                <a class="btn btn--primary" href="/sign-offs">"Open sign-offs"</a>
            </p>
        }
        .into_any()
    } else if gate.state == GateState::Accepted {
        ().into_any()
    } else {
        accept_form(here, page)
    };
    view! {
        <section class="card" id="acceptance">
            <div class="card__head">
                <h2>"Acceptance"</h2>
                <span data-live="accept-state">{gate_badge(gate)}</span>
            </div>
            <div class="card__body">
                <div class="stack" data-live="accept-why">{given(page)} {missing(page)}</div>
                <div data-live="accept-form">{form}</div>
            </div>
        </section>
    }
    .into_any()
}

/// The last acceptance on this release.
fn given(page: &GatePage) -> Option<AnyView> {
    let acceptance = page.gate.acceptance.as_ref()?;
    let withdrawn = page.gate.fell_back.then(|| {
        view! {
            <p class="small warn">
                {icon(Icon::Back)}
                " Acceptance withdrawn: the evidence has changed since it was accepted."
            </p>
        }
    });
    let note = acceptance.note.clone();
    Some(
        view! {
            <div class="stack stack--tight small">
                <p>
                    "Accepted by " <strong>{acceptance.by_name.clone()}</strong> ", " {time(acceptance.at)}
                </p>
                <p class="wrap">{note}</p>
                {withdrawn}
            </div>
        }
        .into_any(),
    )
}

/// What is missing for the acceptance: open criteria, earlier gates.
fn missing(page: &GatePage) -> Option<AnyView> {
    let gate = &page.gate;
    if gate.state == GateState::Accepted {
        return None;
    }
    let open = gate
        .items
        .iter()
        .filter(|i| !i.is_satisfied())
        .map(|i| {
            let id = i.item.id.clone();
            view! { <li>{icon(Icon::Circle)} " " <a href=format!("#{id}")>{id.clone()}</a> " is open"</li> }
        })
        .collect_view();
    let before = gate
        .waits_for
        .iter()
        .map(|id| {
            view! {
                <li>
                    {icon(Icon::Circle)} " " <a href=format!("/gates/{id}")>{format!("Gate {id}")}</a>
                    " is not accepted"
                </li>
            }
        })
        .collect_view();
    if gate.waits_for.is_empty() && gate.satisfied() == gate.items.len() {
        return None;
    }
    Some(
        view! {
            <div class="stack stack--tight small">
                <p class="strong">"Missing for acceptance"</p>
                <ul class="stack stack--tight">{open} {before}</ul>
            </div>
        }
        .into_any(),
    )
}

/// The button that opens the form with the note. Live updates leave an open form alone, so a note that is
/// being written is not lost.
fn accept_form(here: &Here, page: &GatePage) -> AnyView {
    let gate = &page.gate;
    let form = form_name(Action::AcceptGate, &gate.id);
    let label = format!("Accept gate {}", gate.id);
    let panel = || {
        view! {
            <form class="form" method="post" action=AcceptGate::url()>
                {envelope(here, &form)} {hidden(&[("gate", &gate.id), ("digest", &gate.digest)])}
                {note_field(
                    here,
                    &form,
                    "note",
                    "Note",
                    "What you checked. The note is shown with your name and the time.",
                    true,
                )} {offer_button("Accept", "btn--primary", &page.accept)}
            </form>
        }
        .into_any()
    };
    view! {
        <div class="stack stack--tight">
            <p class="row small muted">"Owner" {roles(&gate.owners)}</p>
            {confirm_form(
                here,
                &form,
                view! { {icon(Icon::Check)} {label} },
                "btn--primary",
                &page.accept,
                panel,
            )}
        </div>
    }
    .into_any()
}
