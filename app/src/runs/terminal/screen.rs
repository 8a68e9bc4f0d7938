//! The terminal in the browser: one frame at a time, one request at a time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Map};
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, HtmlElement, Response};

use super::Knobs;
use super::geometry::{AROUND, Geometry, ROW};
use super::rows::Rows;
use crate::live::js::{listen, number};

/// Most lines asked for at once.
const MOST: u64 = 600;
/// Lines are asked for in blocks of this many, so that scrolling asks seldom.
const BLOCK: u64 = 200;
/// Lines kept in memory before the far ones are let go.
const KEPT: u32 = 20_000;
/// Height assumed before the window is on the page, pixels.
const USUAL_HEIGHT: f64 = 700.0;
/// How long to wait after a request that failed, milliseconds.
const AGAIN_MS: i32 = 2_000;

struct Screen {
    run: i64,
    knobs: Knobs,
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
    /// A frame is asked for.
    framed: Cell<bool>,
    /// A request is under way.
    asking: Cell<bool>,
    /// The static tail has been replaced.
    ready: Cell<bool>,
}

fn element(id: &str) -> Option<HtmlElement> {
    document().get_element_by_id(id)?.dyn_into().ok()
}

/// The line that the address names (`#L12`), from 1.
fn line_of_address() -> Option<u64> {
    window().location().hash().ok()?.strip_prefix("#L")?.parse().ok()
}

/// Brings the terminal to life once its elements are in the page.
pub(super) fn start(run: i64, lines: u64, knobs: Knobs, live: RwSignal<bool>) {
    Effect::new(move |_| {
        let (Some(view), Some(spacer), Some(place)) =
            (element("terminal-view"), element("terminal-spacer"), element("terminal-rows"))
        else {
            return;
        };
        let screen = Rc::new(Screen {
            run,
            knobs,
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
        let (screen, knobs) = (self.clone(), self.knobs);
        Effect::new(move |_| {
            if let Some(line) = knobs.wanted.get() {
                screen.go_to(line);
            }
        });
        let screen = self.clone();
        Effect::new(move |_| {
            if knobs.following.get() {
                screen.frame();
            }
        });
    }

    fn geometry(&self) -> Geometry {
        let height = f64::from(self.view.client_height());
        Geometry { total: self.laid.get(), height: if height > 0.0 { height } else { USUAL_HEIGHT } }
    }

    fn is_following(&self) -> bool {
        self.knobs.following.get_untracked()
    }

    /// The log has `lines` lines now.
    fn grew(self: &Rc<Self>, lines: u64) {
        self.known.set(lines.max(self.known.get()));
        self.knobs.total.set(self.known.get());
        // While the end is followed, new lines are laid out when they have come. In a log too tall to be
        // scrolled as it is they wait until the reader comes to the end, or what is read would move.
        let grown = Geometry { total: self.known.get(), ..self.geometry() };
        if !self.is_following() && !grown.is_scaled() {
            self.laid.set(self.known.get());
        }
        self.frame();
    }

    /// The reader scrolled: at the end the end is followed, elsewhere not.
    fn scrolled(self: &Rc<Self>) {
        let (geometry, scroll) = (self.geometry(), f64::from(self.view.scroll_top()));
        // Against what was laid out: lines may have come since that are not in the page yet.
        let at_end = scroll >= self.bottom.get() - 4.0;
        if at_end && !self.is_following() && self.known.get() > self.laid.get() {
            // Lines came while the reader was elsewhere: on they go, from where they read.
            self.goal.set(Some(geometry.line_at(scroll)));
            self.laid.set(self.known.get());
        } else if self.is_following() != at_end {
            self.knobs.following.set(at_end);
        }
        self.frame();
    }

    /// Shows and marks `line`, from 1.
    fn go_to(self: &Rc<Self>, line: u64) {
        let line = line.clamp(1, self.known.get().max(1)) - 1;
        if line >= self.laid.get() {
            self.laid.set(self.known.get());
        }
        self.knobs.following.set(false);
        self.rows.borrow_mut().mark(Some(line));
        let geometry = self.geometry();
        let top = geometry.line_at(f64::from(self.view.scroll_top()));
        let seen = top..top + geometry.height / ROW - 1.0;
        if !self.ready.get() || !seen.contains(&(line as f64)) {
            self.goal.set(Some(geometry.top_for(line)));
        }
        self.frame();
    }

    /// Asks for a frame; any number of wishes make one.
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
        // Before the terminal is on the page nothing scrolls: the goal is kept until then.
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

    /// Asks the server for what is missing: lines in sight first, then lines that came since.
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
                // A little more than is known of: the log grows while we ask.
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
                    screen.knobs.said.set(String::new());
                    screen.frame();
                }
                Err(_) => {
                    screen.knobs.said.set("The log cannot be read right now; trying again.".to_owned());
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
        // A log never shrinks; one that does not hold what it should is not asked for it for ever.
        self.known.set(if lines.length() == 0 { total } else { total.max(self.known.get()) });
        self.knobs.total.set(self.known.get());
        let reached = if self.is_following() { end } else { 0 };
        self.laid.set(reached.max(self.laid.get()).min(self.known.get()));
        Ok(())
    }

    /// Takes the place of the static tail, once what it shows is there.
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
        let said = self.knobs.said;
        spawn_local(async move {
            if JsFuture::from(copied).await.is_ok() {
                said.set(format!("Link to line {} copied.", hash.trim_start_matches("#L")));
            }
        });
    }
}
