//! The ownership log: every blank of the runbook's ownership section is a field with a history.

mod acts;
mod history;

#[cfg(test)]
mod tests;

use domain::action::Action;
use domain::pages::Page;
use domain::runbook::{Field, FieldKind, blanks};
use engine::view::{OwnershipFieldView, OwnershipLineView, OwnershipPage as OwnershipPageView, Permission};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

use self::acts::FillField;
pub use self::history::FieldHistoryPage;
use self::history::shown_value;
use crate::ssr::page;
use crate::ui::{
    FieldAttributes, Here, Icon, badge, code_text, empty, envelope, form_name, hidden, hint_id, icon,
    offer_button, page_head, post_button, time,
};

/// The page of the ownership log.
#[component]
pub fn OwnershipPage() -> impl IntoView {
    page(move |context| async move {
        let log = context.engine.ownership(context.actor()?).await?;
        Ok(ownership_view(&Here::from(&context), &log))
    })
}

/// Renders the log.
pub fn ownership_view(here: &Here, page: &OwnershipPageView) -> AnyView {
    let (done, all) = page.filled;
    let under = view! {
        <p class="muted num" data-live="own-state">{format!("{done} of {all} fields filled")}</p>
    };
    let export =
        view! { <a class="btn" href="/ownership.md" download="ownership.md">"Export as Markdown"</a> };
    let body = if page.lines.is_empty() {
        empty(
            "The runbook has no ownership log",
            view! {
                <p class="small">
                    "Add a section with “Ownership” in its heading and a list with blanks written as "
                    <code>"____"</code> "."
                </p>
            },
        )
    } else {
        page.lines.iter().map(|l| line(here, l, &page.fill)).collect_view().into_any()
    };
    view! {
        <Title text=Page::Ownership.title() />
        {page_head("Ownership log", under, export)}
        {body}
    }
    .into_any()
}

fn line(here: &Here, view: &OwnershipLineView, fill: &Permission) -> AnyView {
    let open = view.fields.iter().filter(|f| f.history.is_empty()).count();
    let state = if open == 0 {
        badge("pass", Icon::Check, "Filled")
    } else {
        badge("open", Icon::Circle, &format!("{open} open"))
    };
    let fields = view.fields.iter().map(|f| field(here, f, fill)).collect_view();
    let id = view.line.id.clone();
    view! {
        <section class="card" id=id.clone()>
            <div class="card__head">
                <h2 data-live=format!("line-{id}")>{code_text(&filled_text(view))}</h2>
                <span data-live=format!("line-state-{id}")>{state}</span>
            </div>
            <div class="card__body">
                <div class="own">{fields}</div>
            </div>
        </section>
    }
    .into_any()
}

/// The line of the runbook with its blanks filled in where values exist.
fn filled_text(view: &OwnershipLineView) -> String {
    let text = &view.line.text;
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (blank, field) in blanks(text).into_iter().zip(&view.fields) {
        out.push_str(text.get(from..blank.start).unwrap_or_default());
        out.push_str(field.history.first().map_or("____", |e| e.value.as_str()));
        from = blank.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

fn input_type(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Date => "date",
        _ => "text",
    }
}

fn hint(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Person => "A person's name.",
        FieldKind::Date => "A date.",
        FieldKind::Commit => "A commit hash, 7 to 40 hex digits.",
        FieldKind::Tags => "For example backend:1.4. Separate several tags with commas.",
        FieldKind::Duration => "For example 45 s, 3 min or 1 h 20 min.",
        FieldKind::Text => "",
    }
}

fn field(here: &Here, view: &OwnershipFieldView, fill: &Permission) -> AnyView {
    let field = &view.field;
    let form = form_name(Action::FillField, &field.id);
    let typed = here.draft(&form, "value");
    let now = view.history.first().map(|e| e.value.clone()).unwrap_or_default();
    let value = if typed.is_empty() { now.clone() } else { typed };
    let shown = view.history.first().map_or(0, |e| e.id).to_string();
    let label = label_of(field);
    let hint = hint(field.kind);
    let attributes = FieldAttributes::new(here, &form, "value", form.clone(), !hint.is_empty());
    let hint =
        (!hint.is_empty()).then(|| view! { <span class="field__hint" id=hint_id(&form)>{hint}</span> });
    let suggestion = view.suggestion.as_ref().filter(|s| **s != now).map(|suggestion| {
        let button = post_button(
            here,
            &form,
            FillField::url(),
            &[("field", &field.id), ("value", suggestion), ("shown", &shown)],
            "Use this value",
            "btn--small",
            fill,
        );
        let suggestion = suggestion.clone();
        view! {
            <div class="row small">
                <span class="wrap">"Suggested value: " <strong>{suggestion}</strong></span>
                {button}
            </div>
        }
    });
    view! {
        <div class="stack stack--tight" id=field.id.clone()>
            <form class="form" method="post" action=FillField::url()>
                {envelope(here, &form)}
                {hidden(&[("field", &field.id), ("shown", &shown)])}
                <div class="field">
                    <label for=form.clone()>{code_text(&label)}</label>
                    <div class="row">
                        <div class="grow">
                            <input
                                type=input_type(field.kind)
                                id=attributes.id
                                name="value"
                                value=value
                                required=true
                                maxlength="200"
                                disabled=fill.reason().is_some()
                                autocomplete="off"
                                aria-describedby=attributes.described_by
                                aria-invalid=attributes.invalid
                            />
                        </div>
                        {offer_button("Save", "", fill)}
                    </div>
                    {hint}
                </div>
            </form>
            <div class="stack stack--tight" data-live=format!("field-{}", field.id)>
                {suggestion} {history(view)}
            </div>
        </div>
    }
    .into_any()
}

/// The label of a field; its id if it has no label.
fn label_of(field: &Field) -> String {
    if field.label.is_empty() { field.id.clone() } else { field.label.clone() }
}

fn history(view: &OwnershipFieldView) -> Option<AnyView> {
    let last = view.history.first()?;
    let older = view
        .history
        .iter()
        .skip(1)
        .map(|e| {
            view! {
                <li class="wrap">{shown_value(&e.value)} ", " {e.by_name.clone()} ", " {time(e.at)}</li>
            }
        })
        .collect_view();
    let all = view.has_more.then(|| {
        let to = format!("/ownership/{}", view.field.id);
        view! { <a class="small" href=to>"All values"</a> }
    });
    let older = (view.history.len() > 1).then(|| {
        let summary = match view.history.len() - 1 {
            1 => "1 earlier value".to_owned(),
            n => format!("{n} earlier values"),
        };
        view! {
            <details class="more">
                <summary>{summary}</summary>
                <ul class="stack stack--tight">{older}</ul>
                {all}
            </details>
        }
    });
    Some(
        view! {
            <div class="small muted">
                {icon(Icon::Check)} " " {last.by_name.clone()} ", " {time(last.at)} {older}
            </div>
        }
        .into_any(),
    )
}
