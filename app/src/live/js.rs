//! Browser functions that several modules need.

use js_sys::Reflect;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, Event, EventTarget, NodeList};

/// Listens to the event `name` on `target` until the page is closed.
pub(crate) fn listen(target: &EventTarget, name: &str, handler: impl FnMut(Event) + 'static) {
    let closure = Closure::<dyn FnMut(Event)>::new(handler);
    let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    closure.forget();
}

/// Whether the event comes from an element that matches `selector`, or from inside of one.
pub(crate) fn comes_from(event: &Event, selector: &str) -> bool {
    event
        .target()
        .and_then(|t| t.dyn_into::<Element>().ok())
        .is_some_and(|e| e.closest(selector).is_ok_and(|found| found.is_some()))
}

/// A choice of the reader that this browser has stored.
pub(crate) fn stored(key: &str) -> Option<String> {
    leptos::prelude::window().local_storage().ok()??.get_item(key).ok()?
}

/// Stores a choice of the reader in this browser, if it allows that.
pub(crate) fn store(key: &str, value: &str) {
    if let Ok(Some(storage)) = leptos::prelude::window().local_storage() {
        let _ = storage.set_item(key, value);
    }
}

/// Calls `then` after `ms` milliseconds.
pub(crate) fn later(ms: i32, then: impl FnOnce() + 'static) {
    let then = Closure::once_into_js(then);
    let _ = leptos::prelude::window()
        .set_timeout_with_callback_and_timeout_and_arguments_0(then.unchecked_ref(), ms);
}

/// The number under `key`.
pub(crate) fn number(of: &JsValue, key: &str) -> Option<f64> {
    Reflect::get(of, &key.into()).ok()?.as_f64()
}

/// The text under `key`; empty when there is none.
pub(crate) fn text(of: &JsValue, key: &str) -> String {
    Reflect::get(of, &key.into()).ok().and_then(|v| v.as_string()).unwrap_or_default()
}

/// Whether the value under `key` is truthy.
pub(crate) fn flag(of: &JsValue, key: &str) -> bool {
    Reflect::get(of, &key.into()).is_ok_and(|v| v.is_truthy())
}

/// Calls the method `name` without arguments, if there is one.
pub(crate) fn call(of: &JsValue, name: &str) {
    if let Ok(method) = Reflect::get(of, &name.into())
        && let Some(method) = method.dyn_ref::<js_sys::Function>()
    {
        let _ = method.call0(of);
    }
}

/// The elements of a list.
pub(crate) fn elements(list: Result<NodeList, JsValue>) -> impl Iterator<Item = Element> {
    let list = list.ok();
    let length = list.as_ref().map_or(0, NodeList::length);
    (0..length).filter_map(move |i| list.as_ref()?.item(i)?.dyn_into().ok())
}

/// `BYTES` random bytes in hex; `None` when the browser has none.
pub(crate) fn random_hex<const BYTES: usize>() -> Option<String> {
    let mut bytes = [0; BYTES];
    leptos::prelude::window().crypto().ok()?.get_random_values_with_u8_array(&mut bytes).ok()?;
    let mut hex = String::new();
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(digit.into(), 16)?);
        }
    }
    Some(hex)
}
