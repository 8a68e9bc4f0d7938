//! Keyboard shortcuts for pages: `g` and a letter; `?` lists them. The reader can turn them off, because single
//! characters may come from speech input or from a slip (WCAG 2.1.4).

use std::cell::Cell;

use domain::pages::Page;
use js_sys::{Date, Reflect};
use leptos::prelude::{document, window};
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, KeyboardEvent};

use super::js::{call, comes_from, flag, listen, store, stored};

/// How long after `g` a letter is accepted, milliseconds.
const TIMEOUT: f64 = 1_500.0;
/// The storage key of the choice: `off` or `on`; if it is absent, they are on.
const STORAGE_KEY: &str = "stagegate-shortcuts";
/// The id of the checkbox beside the list; it holds the choice while the page is open.
const CHECKBOX: &str = "keys-on";

/// Listens to the keyboard, to the checkbox and to the buttons that open the list.
pub(super) fn start() {
    show_choice();
    // Another tab has stored a choice.
    listen(&window(), "storage", |_| show_choice());
    listen(&document(), "change", |event| {
        if comes_from(&event, "#keys-on") {
            store(STORAGE_KEY, if is_on() { "on" } else { "off" });
        }
    });
    listen(&document(), "click", |event| {
        if comes_from(&event, "[data-keys-open]") {
            open_list();
        }
    });
    let leader_at = Cell::new(0.0);
    listen(&document(), "keydown", move |event| {
        let Some(press) = event.dyn_ref::<KeyboardEvent>() else { return };
        if press.ctrl_key() || press.meta_key() || press.alt_key() || is_typing(&event) || !is_on() {
            return;
        }
        let key = press.key();
        let follows = Date::now() - leader_at.replace(0.0) < TIMEOUT;
        if key == "g" {
            leader_at.set(Date::now());
        } else if key == "?" {
            open_list();
        } else if follows && let Some(page) = Page::with_key(&key) {
            let _ = window().location().set_href(page.href());
        }
    });
}

fn checkbox() -> Option<Element> {
    document().get_element_by_id(CHECKBOX)
}

fn show_choice() {
    if let Some(checkbox) = checkbox() {
        let is_on = stored(STORAGE_KEY).as_deref() != Some("off");
        let _ = Reflect::set(&checkbox, &"checked".into(), &is_on.into());
    }
}

fn is_on() -> bool {
    checkbox().is_none_or(|checkbox| flag(&checkbox, "checked"))
}

fn open_list() {
    if let Some(list) = document().get_element_by_id("keys")
        && !list.has_attribute("open")
    {
        call(&list, "showModal");
    }
}

/// Whether the key goes into a field.
fn is_typing(event: &Event) -> bool {
    comes_from(event, "input,textarea,select,[contenteditable]")
}
