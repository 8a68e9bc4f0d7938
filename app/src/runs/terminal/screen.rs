//! The terminal in the browser: one frame at a time, one request at a time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Map};
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, HtmlElement, Response};

use super::Controls;
use super::geometry::{AROUND, Geometry, ROW};
use super::rows::Rows;
use crate::live::js::{listen, number};

/// The maximum number of lines per request.
const MOST: u64 = 600;
/// Lines are requested in blocks of this size, so that scrolling needs few requests.
const BLOCK: u64 = 200;
/// Lines kept in memory before distant ones are dropped.
const KEPT: u32 = 20_000;
/// Height assumed before the window is on the page, pixels.
const USUAL_HEIGHT: f64 = 700.0;
/// How long to wait after a request that failed, milliseconds.
const AGAIN_MS: i32 = 2_000;

struct Screen {
    run: i64,
    controls: Controls,
    view: HtmlElement,
    spacer: HtmlElement,
    place: HtmlElement,
    rows: RefCell<Rows>,
    /// Lines by number, as the server sent them.
    lines: Map,
    /// Lines laid out.
    laid: Cell<u64>,
    /// Lines that the server has.
    known: Cell<u64>,
    /// The line to put at the upper edge in the next frame.
    goal: Cell<Option<f64>>,
    /// The greatest scroll position, as last laid out.
    bottom: Cell<f64>,
    /// A frame is requested.
    framed: Cell<bool>,
    /// A request is in progress.
    asking: Cell<bool>,
    /// The static tail has been replaced.
    ready: Cell<bool>,
}

fn element(id: &str) -> Option<HtmlElement> {
    document().get_element_by_id(id)?.dyn_into().ok()
}

/// The line number in the address (`#L12`), from 1.
fn line_of_address() -> Option<u64> {
    window().location().hash().ok()?.strip_prefix("#L")?.parse().ok()
}

/// Starts the terminal once its elements are in the page.
pub(super) fn start(run: i64, lines: u64, controls: Controls, live: RwSignal<bool>) {
    Effect::new(move |_| {
        let (Some(view), Some(spacer), Some(place)) =
            (element("terminal-view"), element("terminal-spacer"), element("terminal-rows"))
        else {
            return;
        };
        let screen = Rc::new(Screen {
            run,
            controls,
            rows: RefCell::new(Rows::new(document(), place.clone())),
            view,
            spacer,
            place,
            lines: Map::new(),
            laid: Cell::new(lines),
            known: Cell::new(lines),
            goal: Cell::new(None),
            bottom: Cell::new(0.0),
            framed: Cell::new(false),
            asking: Cell::new(false),
            ready: Cell::new(false),
        });
        screen.attach(live);
        match line_of_address() {
            Some(line) => screen.go_to(line),
            None => screen.frame(),
        }
    });
}

impl Screen {
    fn attach(self: &Rc<Self>, live: RwSignal<bool>) {
        let screen = self.clone();
        listen(&self.view, "scroll", move |_| screen.scrolled());
        let screen = self.clone();
        listen(&window(), "resize", move |_| screen.frame());
        let screen = self.clone();
        listen(&window(), "hashchange", move |_| {
            if let Some(line) = line_of_address() {
                screen.go_to(line);
            }
        });
        let screen = self.clone();
        listen(&self.place, "click", move |event| {
            let target = event.target().and_then(|t| t.dyn_into::<Element>().ok());
            if let Some(link) = target.and_then(|t| t.closest("a.log-n").ok().flatten()) {
                screen.copy(&link);
            }
        });
        let screen = self.clone();
        crate::live::on_run(move |lines, over| {
            live.set(!over);
            screen.grew(lines);
        });
        let (screen, controls) = (self.clone(), self.controls);
        Effect::new(move |_| {
            if let Some(line) = controls.wanted.get() {
                screen.go_to(line);
            }
        });
        let screen = self.clone();
        Effect::new(move |_| {
            if controls.following.get() {
                screen.frame();
            }
        });
    }

    fn geometry(&self) -> Geometry {
        let height = f64::from(self.view.client_height());
        Geometry { total: self.laid.get(), height: if height > 0.0 { height } else { USUAL_HEIGHT } }
    }

    fn is_following(&self) -> bool {
        self.controls.following.get_untracked()
    }

    /// The log has `lines` lines now.
    fn grew(self: &Rc<Self>, lines: u64) {
        self.known.set(lines.max(self.known.get()));
        self.controls.total.set(self.known.get());
        // While the view follows the end, new lines are laid out as soon as they arrive. In a log that is taller
        // than a browser can scroll, they wait until the reader is at the end, so that visible lines do not move.
        let grown = Geometry { total: self.known.get(), ..self.geometry() };
        if !self.is_following() && !grown.is_scaled() {
            self.laid.set(self.known.get());
        }
        self.frame();
    }

    /// The reader scrolled: the view follows the log only if it is at the end.
    fn scrolled(self: &Rc<Self>) {
        let (geometry, scroll) = (self.geometry(), f64::from(self.view.scroll_top()));
        // Compare with what is laid out: newer lines may not be in the page yet.
        let at_end = scroll >= self.bottom.get() - 4.0;
        if at_end && !self.is_following() && self.known.get() > self.laid.get() {
            // Lines arrived while the reader was elsewhere: continue from the line being read.
            self.goal.set(Some(geometry.line_at(scroll)));
            self.laid.set(self.known.get());
        } else if self.is_following() != at_end {
            self.controls.following.set(at_end);
        }
        self.frame();
    }

    /// Shows and marks `line`, from 1.
    fn go_to(self: &Rc<Self>, line: u64) {
        let line = line.clamp(1, self.known.get().max(1)) - 1;
        if line >= self.laid.get() {
            self.laid.set(self.known.get());
        }
        self.controls.following.set(false);
        self.rows.borrow_mut().mark(Some(line));
        let geometry = self.geometry();
        let top = geometry.line_at(f64::from(self.view.scroll_top()));
        let seen = top..top + geometry.height / ROW - 1.0;
        if !self.ready.get() || !seen.contains(&(line as f64)) {
            self.goal.set(Some(geometry.top_for(line)));
        }
        self.frame();
    }

    /// Requests a frame; several requests result in one frame.
    fn frame(self: &Rc<Self>) {
        if self.framed.replace(true) {
            return;
        }
        let screen = self.clone();
        request_animation_frame(move || {
            screen.framed.set(false);
            screen.lay_out();
            screen.ask();
        });
    }

    fn lay_out(&self) {
        let geometry = self.geometry();
        self.bottom.set(geometry.bottom());
        let _ = self.spacer.style().set_property("height", &format!("{}px", geometry.spacer()));
        // Nothing scrolls before the terminal is visible: keep the goal until then.
        let goal = if self.ready.get() { self.goal.take() } else { self.goal.get() };
        let wanted = match goal {
            Some(top) => Some(geometry.scroll_at(top)),
            None => self.is_following().then(|| geometry.bottom()),
        };
        let mut scroll = f64::from(self.view.scroll_top());
        if let Some(wanted) = wanted {
            if (wanted - scroll).abs() >= 1.0 {
                self.view.set_scroll_top(wanted.round() as i32);
            }
            scroll = if self.ready.get() { f64::from(self.view.scroll_top()) } else { wanted };
        }
        let top = geometry.line_at(scroll);
        let (first, last) = geometry.window(top);
        self.rows.borrow_mut().show(first, last, &self.lines);
        let offset = scroll - (top - first as f64) * ROW;
        let _ = self.place.style().set_property("top", &format!("{offset}px"));
    }

    /// Requests missing lines from the server: visible lines first, then new lines.
    fn ask(self: &Rc<Self>) {
        if self.asking.get() {
            return;
        }
        let missing = self.rows.borrow().missing();
        let (laid, known) = (self.laid.get(), self.known.get());
        let (from, n) = match missing {
            Some((first, past)) => {
                let first = first - first % BLOCK;
                (first, (past.next_multiple_of(BLOCK) - first).min(MOST))
            }
            None if self.is_following() && known > laid => {
                let seen = (self.geometry().height / ROW) as u64 + AROUND;
                // A little more than is known: the log grows during the request.
                (laid.max(known.saturating_sub(seen)), MOST)
            }
            None => {
                self.show();
                return;
            }
        };
        self.asking.set(true);
        let screen = self.clone();
        spawn_local(async move {
            let answer = screen.load(from, n).await;
            screen.asking.set(false);
            match answer {
                Ok(()) => {
                    screen.controls.message.set(String::new());
                    screen.frame();
                }
                Err(_) => {
                    screen.controls.message.set("The log cannot be loaded. Retrying.".to_owned());
                    let again = screen.clone();
                    crate::live::js::later(AGAIN_MS, move || again.frame());
                }
            }
        });
    }

    async fn load(&self, from: u64, n: u64) -> Result<(), JsValue> {
        let path = format!("/runs/{}/lines?from={from}&n={n}", self.run);
        let response: Response = JsFuture::from(window().fetch_with_str(&path)).await?.dyn_into()?;
        if !response.ok() {
            return Err(JsValue::NULL);
        }
        let answer = JsFuture::from(response.json()?).await?;
        let total = number(&answer, "total").unwrap_or_default() as u64;
        let lines: Array = js_sys::Reflect::get(&answer, &"lines".into())?.dyn_into()?;
        if self.lines.size() > KEPT {
            self.lines.clear();
        }
        let mut end = from;
        for line in lines.iter() {
            let n = number(&line, "n").unwrap_or_default();
            end = end.max(n as u64 + 1);
            self.lines.set(&JsValue::from_f64(n), &line);
        }
        // A log never shrinks; if lines are missing on the server, do not request them forever.
        self.known.set(if lines.length() == 0 { total } else { total.max(self.known.get()) });
        self.controls.total.set(self.known.get());
        let reached = if self.is_following() { end } else { 0 };
        self.laid.set(reached.max(self.laid.get()).min(self.known.get()));
        Ok(())
    }

    /// Replaces the static tail, once its lines are loaded.
    fn show(self: &Rc<Self>) {
        if self.ready.replace(true) {
            return;
        }
        if let Some(tail) = element("run-tail") {
            tail.remove();
        }
        if let Some(terminal) = element("terminal") {
            let _ = terminal.remove_attribute("hidden");
        }
        self.frame();
    }

    /// Copies the address of a line; the browser itself puts it into the address bar.
    fn copy(&self, link: &Element) {
        let Some(hash) = link.get_attribute("href") else { return };
        let navigator = window().navigator();
        let has = js_sys::Reflect::get(&navigator, &"clipboard".into()).is_ok_and(|c| c.is_object());
        let Ok(address) = window().location().href() else { return };
        let page = address.split('#').next().unwrap_or_default();
        if !has {
            return;
        }
        let copied = navigator.clipboard().write_text(&format!("{page}{hash}"));
        let message = self.controls.message;
        spawn_local(async move {
            if JsFuture::from(copied).await.is_ok() {
                message.set(format!("Link to line {} copied.", hash.trim_start_matches("#L")));
            }
        });
    }
}
