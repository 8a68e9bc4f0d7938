//! Tables. On a narrow screen each row is shown as a card, in which cells name their column by `data-label`.

use leptos::prelude::*;

/// A table with a row of headings.
pub fn table(headings: &[&'static str], rows: impl IntoView) -> AnyView {
    table_of("", headings, rows)
}

/// The same with an additional class.
pub fn table_of(class: &'static str, headings: &[&'static str], rows: impl IntoView) -> AnyView {
    let class = format!("table table--cards {class}").trim_end().to_owned();
    view! { <div class="table-wrap">{bare(class, headings, rows)}</div> }.into_any()
}

/// A table for printing. It is never shown as cards.
pub fn print_table(headings: &[&'static str], rows: impl IntoView) -> AnyView {
    bare("table".to_owned(), headings, rows)
}

fn bare(class: String, headings: &[&'static str], rows: impl IntoView) -> AnyView {
    let headings = headings.iter().map(|heading| view! { <th scope="col">{*heading}</th> }).collect_view();
    view! {
        <table class=class>
            <thead>
                <tr>{headings}</tr>
            </thead>
            <tbody>{rows.into_view()}</tbody>
        </table>
    }
    .into_any()
}
