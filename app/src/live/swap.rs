//! Exchanges the regions of the page that differ from a newer copy of it, and leaves alone what
//! somebody is using.

use leptos::prelude::document;
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlElement};

use super::clock;
use super::forms::BUSY;
use super::js::{call, elements, flag, random_hex, text};
use super::words::without_keys;

/// What takes the keyboard's focus.
const STOPS: &str = "a[href],button,summary,[tabindex]";
/// What is typed into or chosen from.
const FIELDS: &str = "input:not([type=hidden]),textarea,select";

/// Brings every `data-live` region of the page to what it is in `fresh`.
pub(super) fn swap(fresh: &Document) {
    let page = document();
    clock::dress(&page);
    clock::dress(fresh);
    if page.title() != fresh.title() {
        page.set_title(&fresh.title());
    }
    let regions: Vec<(String, Element)> = live(&page).collect();
    for (id, new) in live(fresh).collect::<Vec<_>>() {
        let Some((_, old)) = regions.iter().find(|(name, _)| *name == id) else { continue };
        // A region inside one that was exchanged has come with it.
        if !old.is_connected() || is_in_use(old, &page) {
            continue;
        }
        keep_open(old, &new);
        if without_keys(&old.outer_html()) != without_keys(&new.outer_html()) {
            exchange(old, &new, &page);
        }
    }
}

fn live(page: &Document) -> impl Iterator<Item = (String, Element)> + use<> {
    elements(page.query_selector_all("[data-live]")).filter_map(|e| Some((e.get_attribute("data-live")?, e)))
}

/// Whether somebody types in it, has it open to confirm something, or has just sent it.
fn is_in_use(region: &Element, page: &Document) -> bool {
    let has = |what: &str| region.query_selector(what).ok().flatten().is_some();
    if has("details[data-keep][open],dialog[open]") || has(&format!("[{BUSY}]")) {
        return true;
    }
    let typing = page
        .active_element()
        .is_some_and(|e| region.contains(Some(&e)) && e.matches(FIELDS).unwrap_or(false));
    typing
        || elements(region.query_selector_all(FIELDS)).any(|field| {
            // Selects have neither default; they are in use while they have the focus.
            text(&field, "value") != text(&field, "defaultValue") && !field.matches("select").unwrap_or(false)
                || flag(&field, "checked") != flag(&field, "defaultChecked")
        })
}

/// What the reader unfolded stays unfolded.
fn keep_open(old: &Element, new: &Element) {
    let folds = |region: &Element| elements(region.query_selector_all("details")).collect::<Vec<_>>();
    let (before, after) = (folds(old), folds(new));
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

fn exchange(old: &Element, new: &Element, page: &Document) {
    let focused = page.active_element().filter(|e| old.contains(Some(e)));
    let place = focused.and_then(|focused| {
        let at = elements(old.query_selector_all(STOPS)).position(|e| e == focused)?;
        Some((at, focused.text_content()))
    });
    own_keys(new);
    let _ = old.replace_with_with_node_1(new);
    if let Some((at, words)) = place
        && let Some(next) = elements(new.query_selector_all(STOPS)).nth(at)
        && next.text_content() == words
        && let Some(next) = next.dyn_ref::<HtmlElement>()
    {
        call(next, "focus");
    }
}

/// Gives each form a key of its own: the answer to a live read is the same for every page that this person has open.
fn own_keys(region: &Element) {
    for field in elements(region.query_selector_all("input[name=key]")) {
        if let Some(key) = random_hex::<16>() {
            let _ = field.set_attribute("value", &key);
        }
    }
}
