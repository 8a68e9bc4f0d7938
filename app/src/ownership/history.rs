//! Everything that was written in one field of the ownership log.

use engine::view::OwnershipHistory;
use leptos::prelude::*;
use leptos_meta::Title;

use super::label_of;
use crate::ssr::page;
use crate::ui::{card, code_text, cursor, page_head, pager, param, time};

/// The page; `?before=` and `?after=` go on from an entry.
#[component]
pub fn FieldHistoryPage() -> impl IntoView {
    let (id, cursor) = (param("id"), cursor());
    page(move |context| async move {
        let history = context.engine.ownership_history(context.actor()?, &id, cursor).await?;
        Ok(history_view(&history))
    })
}

/// The history as it is laid out.
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
        view! { <p class="muted">"Nothing has been written in this field."</p> }.into_any()
    } else {
        view! { <ol class="lines">{rows}</ol> }.into_any()
    };
    let back = view! { <a class="small" href=format!("/ownership#{id}")>"Ownership log"</a> };
    view! {
        <Title text="History of a field" />
        {page_head("History of a field", view! { <p class="muted">{code_text(&label_of(&history.field))}</p> }, back)}
        {card("entries", "Newest first", (), body)}
        {pager(&format!("/ownership/{id}"), "Pages of the history", history.pages)}
    }
    .into_any()
}

/// A value as it is read; an empty one takes the one before back.
pub(super) fn shown_value(value: &str) -> String {
    if value.is_empty() { "(emptied)".to_owned() } else { value.to_owned() }
}
