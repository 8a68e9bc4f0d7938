//! Replaces the regions of the page that differ from a newer copy of it, except those that the reader
//! is using.

use leptos::prelude::document;
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlElement};

use super::clock;
use super::forms::BUSY;
use super::js::{call, elements, flag, random_hex, text};
use super::words::without_keys;

/// Elements that can have the keyboard focus.
const STOPS: &str = "a[href],button,summary,[tabindex]";
/// Fields for text or choices.
const FIELDS: &str = "input:not([type=hidden]),textarea,select";

/// Messages that screen readers announce when they appear.
const MESSAGES: &str = "[role=alert],[role=status]";
/// Messages that were announced before their region was replaced.
const ANNOUNCED: &str = "[data-announced]";

/// Updates every `data-live` region of the page to its content in `fresh`.
pub(super) fn swap(fresh: &Document) {
    let page = document();
    clock::show_times(&page);
    clock::show_times(fresh);
    if page.title() != fresh.title() {
        page.set_title(&fresh.title());
    }
    let regions: Vec<(String, Element)> = live(&page).collect();
    for (id, new) in live(fresh).collect::<Vec<_>>() {
        let Some((_, old)) = regions.iter().find(|(name, _)| *name == id) else { continue };
        // A region inside a replaced one was replaced with it.
        if !old.is_connected() || is_in_use(old, &page) {
            continue;
        }
        keep_open(old, &new);
        silence(old, &new, ANNOUNCED);
        if without_keys(&old.outer_html()) != without_keys(&new.outer_html()) {
            exchange(old, &new, &page);
        }
    }
}

fn live(page: &Document) -> impl Iterator<Item = (String, Element)> + use<> {
    elements(page.query_selector_all("[data-live]")).filter_map(|e| Some((e.get_attribute("data-live")?, e)))
}

/// Whether the reader types in it, has a confirmation open in it, or has just submitted it.
fn is_in_use(region: &Element, page: &Document) -> bool {
    let has = |what: &str| region.query_selector(what).ok().flatten().is_some();
    if has("details[data-keep][open],dialog[open],[data-refused]") || has(&format!("[{BUSY}]")) {
        return true;
    }
    let typing = page
        .active_element()
        .is_some_and(|e| region.contains(Some(&e)) && e.matches(FIELDS).unwrap_or(false));
    typing
        || elements(region.query_selector_all(FIELDS)).any(|field| {
            // A select has no default value; it is in use while it has the focus.
            text(&field, "value") != text(&field, "defaultValue") && !field.matches("select").unwrap_or(false)
                || flag(&field, "checked") != flag(&field, "defaultChecked")
        })
}

/// Details that the reader opened stay open.
fn keep_open(old: &Element, new: &Element) {
    let details = |region: &Element| elements(region.query_selector_all("details")).collect::<Vec<_>>();
    let (before, after) = (details(old), details(new));
    if before.len() != after.len() {
        return;
    }
    for (before, after) in before.iter().zip(&after) {
        let _ = if before.has_attribute("open") {
            after.set_attribute("open", "")
        } else {
            after.remove_attribute("open")
        };
    }
}

/// A message of `new` that the page shows already, as one of `shown` in `old`, is not announced again: it loses its
/// role.
fn silence(old: &Element, new: &Element, shown: &str) {
    for message in with_self(new, MESSAGES) {
        let text = message.text_content();
        if with_self(old, shown).any(|m| m.text_content() == text) {
            let _ = message.remove_attribute("role");
            let _ = message.set_attribute("data-announced", "");
        }
    }
}

/// The elements of a region that match, the region itself included.
fn with_self(region: &Element, selector: &str) -> impl Iterator<Item = Element> + use<> {
    let itself = region.matches(selector).unwrap_or(false).then(|| region.clone());
    itself.into_iter().chain(elements(region.query_selector_all(selector)))
}

fn exchange(old: &Element, new: &Element, page: &Document) {
    let focused = page.active_element().filter(|e| old.contains(Some(e)));
    let place = focused.and_then(|focused| {
        let at = elements(old.query_selector_all(STOPS)).position(|e| e == focused)?;
        Some((at, focused.text_content()))
    });
    renew_keys(new);
    silence(old, new, MESSAGES);
    let _ = old.replace_with_with_node_1(new);
    if let Some((at, label)) = place
        && let Some(next) = elements(new.query_selector_all(STOPS)).nth(at)
        && next.text_content() == label
        && let Some(next) = next.dyn_ref::<HtmlElement>()
    {
        call(next, "focus");
    }
}

/// Gives each form its own idempotency key: the answer to a live read is the same for all open pages of a user.
fn renew_keys(region: &Element) {
    for field in elements(region.query_selector_all("input[name=key]")) {
        if let Some(key) = random_hex::<16>() {
            let _ = field.set_attribute("value", &key);
        }
    }
}
