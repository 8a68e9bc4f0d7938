//! The go/no-go page: checklist, sign-offs, decision. Designed for phones first.

mod acts;
mod decision;
mod sign;

#[cfg(test)]
mod tests;

use domain::facts::SignOff;
use domain::item::ItemState;
use domain::pages::Page;
use engine::view::SignOffPage;
use leptos::prelude::*;
use leptos_meta::Title;

use crate::gates::{attest_form, item_words};
use crate::ssr::page;
use crate::ui::{
    Here, Icon, badge, blocker_line, card, check_line, code_text, empty, item_badge, lines, page_head, time,
};

/// The page with checklist, sign-offs and decision.
#[component]
pub fn SignOffsPage() -> impl IntoView {
    page(move |context| async move {
        let data = context.engine.sign_offs(context.actor()?).await?;
        Ok(sign_offs_view(&Here::from(&context), &data))
    })
}

/// Renders the page.
pub fn sign_offs_view(here: &Here, page: &SignOffPage) -> AnyView {
    let verdict = &page.judgement.verdict;
    let state = if verdict.is_go() {
        badge("go", Icon::Check, &verdict.label())
    } else {
        badge("no-go", Icon::Cross, &verdict.label())
    };
    let release = page
        .release
        .as_ref()
        .map_or_else(|| "no release yet".to_owned(), |r| format!("release {}", r.name()));
    let under = view! {
        <div class="row" data-live="sheet-state">
            {state} <span class="mono small muted">{release}</span>
        </div>
    };
    let signs = if page.judgement.sign_offs.is_empty() {
        empty(
            "The runbook has no sign-off roles",
            view! {
                <p class="small">
                    "List them in a checklist item, for example “Stakeholder sign-offs: Backend / QA”."
                </p>
            },
        )
    } else {
        let cards = page.judgement.sign_offs.iter().map(|s| sign::sign_card(here, page, s)).collect_view();
        view! { <div class="signs">{cards}</div> }.into_any()
    };
    view! {
        <Title text=Page::SignOffs.title() />
        {page_head("Go / No-Go", under, ())}
        {before(page)}
        <section class="stack stack--tight" aria-labelledby="signs">
            <h2 id="signs">"Sign-offs"</h2>
            {signs}
        </section>
        {decision::decision_card(here, page)}
        {checklist(here, page)}
        {earlier(&page.earlier)}
    }
    .into_any()
}

/// The blockers that prevent a Go sign-off.
fn before(page: &SignOffPage) -> AnyView {
    let body = (!page.before.is_empty()).then(|| {
        let items = page
            .before
            .iter()
            .map(|b| view! { <li class="small">{blocker_line(b, page.now)}</li> })
            .collect_view();
        view! {
            <div class="notice notice--warn">
                <p class="notice__title">"To do before a Go sign-off"</p>
                <ul class="stack stack--tight">{items}</ul>
                <p class="small">"A No-Go sign-off is possible at any time."</p>
            </div>
        }
    });
    view! { <div data-live="before-signing">{body}</div> }.into_any()
}

/// The parts of a checklist item, each with its state and a link to it.
fn parts(page: &SignOffPage, state: &ItemState) -> Option<AnyView> {
    let parts = page.parts.get(&state.item.id)?;
    let items = parts
        .iter()
        .map(|part| {
            let badge = if part.state.holds {
                badge("pass", Icon::Check, &part.state.word)
            } else {
                badge("open", Icon::Circle, &part.state.word)
            };
            let id = part.state.piece.to_string();
            let href = part.href.clone();
            let why = (!part.state.why.is_empty()).then(|| {
                let why = part.state.why.clone();
                view! { <span class="small muted wrap">{why}</span> }
            });
            view! {
                <li class="part">
                    {badge}
                    <span class="grow">
                        <a class="mono small" href=href>{id}</a>
                        " "
                        {code_text(&part.title)}
                        " "
                        {why}
                    </span>
                </li>
            }
        })
        .collect_view();
    Some(view! { <ul class="parts small">{items}</ul> }.into_any())
}

fn checklist(here: &Here, page: &SignOffPage) -> AnyView {
    let body = if page.checklist.is_empty() {
        view! { <p class="muted">"The runbook has no checklist."</p> }.into_any()
    } else {
        let items = page.checklist.iter().map(|i| item(here, page, i)).collect_view();
        view! { <ul class="lines">{items}</ul> }.into_any()
    };
    let met = page.checklist.iter().filter(|i| i.is_satisfied()).count();
    let count = format!("{met} of {} met", page.checklist.len());
    view! {
        <section class="card">
            <div class="card__head">
                <h2>"Checklist"</h2>
                <span class="small muted num" data-live="checklist-count">{count}</span>
            </div>
            <div class="card__body">{body}</div>
        </section>
    }
    .into_any()
}

fn item(here: &Here, page: &SignOffPage, state: &ItemState) -> AnyView {
    let item = &state.item;
    let checks = state
        .checks
        .iter()
        .map(|c| {
            let id = c.check.clone();
            view! {
                <div class="stack stack--tight">
                    <span class="mono small muted">{id}</span>
                    {check_line(c, page.now)}
                </div>
            }
        })
        .collect_view();
    let checks = (!state.checks.is_empty()).then(|| {
        view! {
            <details class="more">
                <summary>"Evidence"</summary>
                <div class="stack">{checks}</div>
            </details>
        }
    });
    let gate = item.gate.clone().map(|gate| {
        let href = format!("/gates/{gate}#{}", item.id);
        view! { <a class="small" href=href>{format!("Gate {gate}")}</a> }
    });
    view! {
        <li id=item.id.clone() data-live=format!("item-{}", item.id)>
            <div class="stack stack--tight">
                <div class="row row--between row--top">
                    <span class="grow">
                        <span class="mono small muted">{item.id.clone()}</span>
                        " "
                        {code_text(&item.text)}
                    </span>
                    {item_badge(state)}
                </div>
                {parts(page, state)} {item_words(state)} {checks}
                <div class="row row--top no-print">
                    {attest_form(here, &page.attest, state)} {gate}
                </div>
            </div>
        </li>
    }
    .into_any()
}

/// Sign-offs that were replaced by later ones. They remain visible.
fn earlier(signed: &[SignOff]) -> Option<AnyView> {
    if signed.is_empty() {
        return None;
    }
    let items = signed
        .iter()
        .map(|s| {
            let comment = (!s.comment.is_empty()).then(|| lines([&s.comment]));
            view! {
                <li>
                    <p class="small">
                        <span class="strong">{s.role.label()}</span>
                        " "
                        {s.choice.label()}
                        " by "
                        {s.by_name.clone()}
                        ", "
                        {time(s.at)}
                    </p>
                    {comment}
                </li>
            }
        })
        .collect_view();
    Some(card("earlier", "Earlier sign-offs", (), view! { <ul class="lines">{items}</ul> }))
}
