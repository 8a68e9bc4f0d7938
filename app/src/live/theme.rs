//! The light or dark theme: the reader's choice, stored in the browser.

use leptos::prelude::{document, window};
use wasm_bindgen::JsCast;
use web_sys::Element;

use super::js::listen;

/// The storage key of the choice; the head of the document reads it before the first paint.
const KEPT: &str = "stagegate-theme";

/// Listens to every `[data-theme-toggle]`.
pub(super) fn start() {
    listen(&document(), "click", |event| {
        let target = event.target().and_then(|t| t.dyn_into::<Element>().ok());
        if target.is_some_and(|t| t.closest("[data-theme-toggle]").is_ok_and(|b| b.is_some())) {
            toggle();
        }
    });
}

fn toggle() {
    let Some(root) = document().document_element() else { return };
    let is_dark = match root.get_attribute("data-theme") {
        Some(theme) => theme == "dark",
        None => window()
            .match_media("(prefers-color-scheme: dark)")
            .ok()
            .flatten()
            .is_some_and(|query| query.matches()),
    };
    let theme = if is_dark { "light" } else { "dark" };
    let _ = root.set_attribute("data-theme", theme);
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item(KEPT, theme);
    }
}
