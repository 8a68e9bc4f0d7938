//! The rows in the page: built from the server's lines as text nodes, never as markup.

use std::collections::VecDeque;

use js_sys::{Array, Map};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, Element, HtmlElement};

use crate::live::js::{flag, number, text};
use crate::runs::line::{SpanStyle, clock, line_class, span_class};

struct Row {
    n: u64,
    element: Element,
    loaded: bool,
}

/// The rows in the page, in order and without gaps.
pub(super) struct Rows {
    document: Document,
    parent: HtmlElement,
    shown: VecDeque<Row>,
    /// The marked line, from 0.
    here: Option<u64>,
}

impl Rows {
    pub(super) fn new(document: Document, parent: HtmlElement) -> Rows {
        Rows { document, parent, shown: VecDeque::new(), here: None }
    }

    /// Marks one line.
    pub(super) fn mark(&mut self, here: Option<u64>) {
        self.here = here;
        self.clear();
    }

    fn clear(&mut self) {
        self.parent.set_text_content(None);
        self.shown.clear();
    }

    /// Lays out `first..last` and keeps existing rows; lines that are not loaded yet are
    /// empty rows.
    pub(super) fn show(&mut self, first: u64, last: u64, lines: &Map) {
        let apart = match (self.shown.front(), self.shown.back()) {
            (Some(a), Some(b)) => b.n < first || a.n >= last,
            _ => true,
        };
        if apart {
            self.clear();
        }
        while self.shown.front().is_some_and(|r| r.n < first) {
            self.shown.pop_front().inspect(|r| r.element.remove());
        }
        while self.shown.back().is_some_and(|r| r.n >= last) {
            self.shown.pop_back().inspect(|r| r.element.remove());
        }
        for i in 0..self.shown.len() {
            let (n, loaded) = (self.shown[i].n, self.shown[i].loaded);
            if !loaded && let Some(line) = known(lines, n) {
                let row = self.row(n, Some(&line));
                let _ = self.shown[i].element.replace_with_with_node_1(&row.element);
                self.shown[i] = row;
            }
        }
        let (from, to) = match (self.shown.front(), self.shown.back()) {
            (Some(a), Some(b)) => (a.n, b.n + 1),
            _ => (first, first),
        };
        for n in (first..from).rev() {
            let row = self.row(n, known(lines, n).as_ref());
            let _ = self.parent.prepend_with_node_1(&row.element);
            self.shown.push_front(row);
        }
        for n in to..last {
            let row = self.row(n, known(lines, n).as_ref());
            let _ = self.parent.append_child(&row.element);
            self.shown.push_back(row);
        }
    }

    /// The first and one past the last line that is laid out but not loaded.
    pub(super) fn missing(&self) -> Option<(u64, u64)> {
        let mut unknown = self.shown.iter().filter(|r| !r.loaded).map(|r| r.n);
        let first = unknown.next()?;
        Some((first, unknown.next_back().unwrap_or(first) + 1))
    }

    fn element(&self, tag: &str, class: &str) -> Option<Element> {
        let element = self.document.create_element(tag).ok()?;
        if !class.is_empty() {
            element.set_class_name(class);
        }
        Some(element)
    }

    fn row(&self, n: u64, line: Option<&JsValue>) -> Row {
        let mut class = line_class("", false).to_owned();
        if let Some(line) = line {
            class = line_class(&text(line, "s"), flag(line, "cut")).to_owned();
        }
        if self.here == Some(n) {
            class.push_str(" log-line--here");
        }
        let element = self.element("div", &class).unwrap_or_else(|| self.parent.clone().into());
        if let Some(link) = self.element("a", "log-n") {
            let number = (n + 1).to_string();
            let _ = link.set_attribute("href", &format!("#L{number}"));
            link.set_text_content(Some(&number));
            let _ = element.append_child(&link);
        }
        if let Some(line) = line {
            self.fill(&element, line);
        }
        Row { n, element, loaded: line.is_some() }
    }

    fn fill(&self, row: &Element, line: &JsValue) {
        if let Some(at) = self.element("span", "log-at") {
            at.set_text_content(Some(&clock(number(line, "at").unwrap_or_default() as u64)));
            let _ = row.append_child(&at);
        }
        let Some(body) = self.element("span", "log-t") else { return };
        let spans = js_sys::Reflect::get(line, &"p".into()).unwrap_or_default();
        for span in spans.dyn_ref::<Array>().map(|a| a.iter()).into_iter().flatten() {
            let class = span_class(SpanStyle {
                colour: number(&span, "f").map(|f| f as u8),
                bold: flag(&span, "b"),
                dim: flag(&span, "d"),
                italic: flag(&span, "i"),
                underline: flag(&span, "u"),
            });
            let content = text(&span, "t");
            if class.is_empty() {
                let _ = body.append_child(&self.document.create_text_node(&content));
            } else if let Some(part) = self.element("span", &class) {
                part.set_text_content(Some(&content));
                let _ = body.append_child(&part);
            }
        }
        let _ = row.append_child(&body);
    }
}

fn known(lines: &Map, n: u64) -> Option<JsValue> {
    let line = lines.get(&JsValue::from_f64(n as f64));
    (!line.is_undefined()).then_some(line)
}
