//! Keyboard shortcuts for pages: `g` and a letter; `?` lists them.

use std::cell::Cell;

use domain::pages::Page;
use js_sys::Date;
use leptos::prelude::{document, window};
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, KeyboardEvent};

use super::js::{call, listen};

/// How long after `g` a letter is accepted, milliseconds.
const TIMEOUT: f64 = 1_500.0;

/// Listens to the keyboard.
pub(super) fn start() {
    let led = Cell::new(0.0);
    listen(&document(), "keydown", move |event| {
        let Some(press) = event.dyn_ref::<KeyboardEvent>() else { return };
        if press.ctrl_key() || press.meta_key() || press.alt_key() || is_typing(&event) {
            return;
        }
        let key = press.key();
        let follows = Date::now() - led.replace(0.0) < TIMEOUT;
        if key == "g" {
            led.set(Date::now());
        } else if key == "?" {
            if let Some(list) = document().get_element_by_id("keys")
                && !list.has_attribute("open")
            {
                call(&list, "showModal");
            }
        } else if follows && let Some(page) = Page::with_key(&key) {
            let _ = window().location().set_href(page.href());
        }
    });
}

/// Whether the key goes into a field.
fn is_typing(event: &Event) -> bool {
    event
        .target()
        .and_then(|t| t.dyn_into::<Element>().ok())
        .is_some_and(|e| e.matches("input,textarea,select,[contenteditable]").unwrap_or(false))
}
