//! Times, durations and formatted text.

use domain::role::Role;
use domain::time::{Millis, human_span};
use leptos::prelude::*;

/// A point in time: rendered in UTC, shown in the viewer's time zone once scripts run, with UTC on hover.
pub fn time(at: Millis) -> AnyView {
    let utc = format!("{} UTC", at.short());
    view! {
        <time datetime=at.rfc3339() title=utc.clone() data-t=at.0.to_string()>{utc.clone()}</time>
    }
    .into_any()
}

/// The time since `from`; scripts keep it up to date. If the time of rendering is not known, the start time is shown
/// until scripts run.
pub fn since(from: Millis, now: impl Into<Option<Millis>>) -> AnyView {
    let text = match now.into() {
        Some(now) => human_span(now.since(from)),
        None => format!("since {} UTC", from.short()),
    };
    view! { <span class="num" data-since=from.0.to_string()>{text}</span> }.into_any()
}

/// A duration in milliseconds as text.
pub fn span(ms: u64) -> AnyView {
    view! { <span class="num">{human_span(ms)}</span> }.into_any()
}

/// Text of the runbook. Parts between backticks are shown as code; everything is escaped.
pub fn code_text(text: &str) -> AnyView {
    if text.matches('`').count() % 2 == 1 {
        return text.to_owned().into_any();
    }
    text.split('`')
        .enumerate()
        .filter(|(_, part)| !part.is_empty())
        .map(|(i, part)| {
            let part = part.to_owned();
            if i % 2 == 1 { view! { <code>{part}</code> }.into_any() } else { part.into_any() }
        })
        .collect_view()
        .into_any()
}

/// Labels such as owners, services or tags as chips.
pub fn chips<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> AnyView {
    let chips =
        words.into_iter().map(|w| view! { <span class="chip">{w.as_ref().to_owned()}</span> }).collect_view();
    view! { <span class="chips">{chips}</span> }.into_any()
}

/// A plain list with one line per item; empty when there are no items.
pub fn lines<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> AnyView {
    let items: Vec<String> = items.into_iter().map(|i| i.as_ref().to_owned()).collect();
    if items.is_empty() {
        return ().into_any();
    }
    let items = items.into_iter().map(|i| view! { <li>{code_text(&i)}</li> }).collect_view();
    view! { <ul class="stack stack--tight small">{items}</ul> }.into_any()
}

/// Roles as chips.
pub fn roles(roles: &[Role]) -> AnyView {
    chips(roles.iter().map(|r| r.label()))
}

/// An address that a person entered: a link if it is a web address or a path of this site, otherwise text.
pub fn web_link(address: &str) -> AnyView {
    let address = address.to_owned();
    let path = address.starts_with('/') && !address.starts_with("//") && !address.contains('\\');
    if path || address.starts_with("https://") || address.starts_with("http://") {
        view! {
            <a class="wrap" href=address.clone() rel="noopener noreferrer nofollow">
                {address.clone()}
            </a>
        }
        .into_any()
    } else {
        view! { <span class="wrap">{address}</span> }.into_any()
    }
}

/// Text with markup characters escaped, for the two places that the view layer does not escape: the content of a
/// textarea and of the title.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
