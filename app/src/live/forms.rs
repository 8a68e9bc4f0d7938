//! A pressed button shows at once that it is busy, and a form is submitted only once.

use leptos::prelude::{document, window};
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlButtonElement, SubmitEvent};

use super::js::{elements, flag, later, listen};

/// Marks a form that is being submitted.
pub(super) const BUSY: &str = "data-busy";

/// Listens to the forms of the page.
pub(super) fn start() {
    listen(&document(), "submit", sent);
    // The back button restores the page as it was left, with its busy forms.
    listen(&window(), "pageshow", |event| {
        if flag(&event, "persisted") {
            reset();
        }
    });
}

fn sent(event: Event) {
    let form = event.target().and_then(|t| t.dyn_into::<Element>().ok());
    let Some(form) = form.filter(|f| f.get_attribute("method").as_deref() != Some("dialog")) else {
        return;
    };
    if event.default_prevented() {
        return;
    }
    if form.has_attribute(BUSY) {
        event.prevent_default();
        return;
    }
    let _ = form.set_attribute(BUSY, "");
    let pressed = event
        .dyn_ref::<SubmitEvent>()
        .and_then(SubmitEvent::submitter)
        .map(Element::from)
        .or_else(|| form.query_selector("button[type=submit]").ok().flatten());
    let Some(button) = pressed.and_then(|b| b.dyn_into::<HtmlButtonElement>().ok()) else { return };
    let _ = button.set_attribute("aria-busy", "true");
    // If it were disabled at once, its value would not be submitted.
    later(0, move || button.set_disabled(true));
}

fn reset() {
    for form in elements(document().query_selector_all("form[data-busy]")) {
        let _ = form.remove_attribute(BUSY);
    }
    for button in elements(document().query_selector_all("button[aria-busy]")) {
        let _ = button.remove_attribute("aria-busy");
        let _ = button.remove_attribute("disabled");
    }
}
