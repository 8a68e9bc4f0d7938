//! The light or dark theme: the reader's choice, stored in the browser.

use leptos::prelude::{document, window};

use super::js::{comes_from, listen, store};

/// The storage key of the choice; the head of the document reads it before the first paint.
const STORAGE_KEY: &str = "stagegate-theme";

/// Listens to every `[data-theme-toggle]`.
pub(super) fn start() {
    listen(&document(), "click", |event| {
        if comes_from(&event, "[data-theme-toggle]") {
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
    store(STORAGE_KEY, theme);
}
