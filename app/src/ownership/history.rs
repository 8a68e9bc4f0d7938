//! All values of one field of the ownership log.

use domain::pages::Page;
use engine::view::OwnershipHistory;
use leptos::prelude::*;
use leptos_meta::Title;

use super::label_of;
use crate::ssr::page;
use crate::ui::{card, code_text, cursor, page_head, pager, param, time};

/// The page; `?before=` and `?after=` select the page of the history.
#[component]
pub fn FieldHistoryPage() -> impl IntoView {
    let (id, cursor) = (param("id"), cursor());
    page(move |context| async move {
        let history = context.engine.ownership_history(context.actor()?, &id, cursor).await?;
        Ok(history_view(&history))
    })
}

/// Renders the history.
pub fn history_view(history: &OwnershipHistory) -> AnyView {
    let id = history.field.id.clone();
    let rows = history
        .entries
        .iter()
        .map(|entry| {
            let value = shown_value(&entry.value);
            view! {
                <li class="wrap">
                    {value}
                    " "
                    <span class="small muted">{entry.by_name.clone()} ", " {time(entry.at)}</span>
                </li>
            }
        })
        .collect_view();
    let body = if history.entries.is_empty() {
        view! { <p class="muted">"This field has no values yet."</p> }.into_any()
    } else {
        view! { <ol class="lines">{rows}</ol> }.into_any()
    };
    let back = view! { <a class="small" href=format!("/ownership#{id}")>"Ownership log"</a> };
    view! {
        <Title text=Page::FieldHistory.title() />
        {page_head("Field history", view! { <p class="muted">{code_text(&label_of(&history.field))}</p> }, back)}
        {card("entries", "Newest first", (), body)}
        {pager(&format!("/ownership/{id}"), "Pages of the history", history.pages)}
    }
    .into_any()
}

/// A value as text. An empty value means that the field was cleared.
pub(super) fn shown_value(value: &str) -> String {
    if value.is_empty() { "(cleared)".to_owned() } else { value.to_owned() }
}
