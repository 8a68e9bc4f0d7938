//! Times in the reader's time zone, running counters and progress bars.

use std::cell::Cell;

use domain::time::human_span;
use js_sys::Date;
use leptos::prelude::{document, window};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, Element};

use super::js::elements;
use super::words::{Local, relative_time};

thread_local! {
    /// How far the server's clock is ahead of this one, milliseconds.
    static AHEAD: Cell<f64> = const { Cell::new(0.0) };
}

/// Updates all times now, and the counters every second.
pub(super) fn start() {
    show_times(&document());
    let every = Closure::<dyn FnMut()>::new(|| {
        let page = document();
        if !page.hidden() {
            count(&page, now());
        }
    });
    let _ = window()
        .set_interval_with_callback_and_timeout_and_arguments_0(every.as_ref().unchecked_ref(), 1_000);
    every.forget();
}

/// Sets the server's time from a `Date` header, which has a resolution of one second.
pub(super) fn set_by(date: &str) {
    let ahead = Date::parse(date) - Date::now();
    if ahead.is_finite() {
        AHEAD.set(if ahead.abs() > 2_000.0 { ahead } else { 0.0 });
    }
}

fn now() -> f64 {
    Date::now() + AHEAD.get()
}

/// Writes the current values of all times and counters of a document. Applied to the page and to its newer
/// copy, it makes the two comparable.
pub(super) fn show_times(page: &Document) {
    let at = now();
    let today = local(at);
    for time in elements(page.query_selector_all("time[data-t]")) {
        if let Some(t) = attribute(&time, "data-t") {
            set_text(&time, &relative_time(local(t), today));
        }
    }
    count(page, at);
}

fn count(page: &Document, now: f64) {
    for counter in elements(page.query_selector_all("[data-since]")) {
        if let Some(from) = attribute(&counter, "data-since") {
            set_text(&counter, &human_span((now - from).max(0.0) as u64));
        }
    }
    for bar in elements(page.query_selector_all("progress[data-from]")) {
        if let (Some(from), Some(expected)) = (attribute(&bar, "data-from"), attribute(&bar, "data-expected"))
        {
            // An estimate must not reach 100 % before the run has ended.
            let share = ((now - from) * 100.0 / expected).clamp(0.0, 97.0).floor();
            let _ = bar.set_attribute("value", &share.to_string());
        }
    }
}

fn attribute(element: &Element, name: &str) -> Option<f64> {
    element.get_attribute(name)?.parse().ok()
}

/// Unchanged text is not rewritten: the reader may have selected it.
fn set_text(element: &Element, text: &str) {
    if element.text_content().as_deref() != Some(text) {
        element.set_text_content(Some(text));
    }
}

fn local(ms: f64) -> Local {
    let date = Date::new(&JsValue::from_f64(ms));
    let midnight = Date::utc(f64::from(date.get_full_year()), f64::from(date.get_month()));
    Local {
        day: (midnight / 86_400_000.0) as i64 + i64::from(date.get_date()),
        year: date.get_full_year(),
        month: date.get_month() + 1,
        date: date.get_date(),
        weekday: date.get_day(),
        hour: date.get_hours(),
        minute: date.get_minutes(),
    }
}
