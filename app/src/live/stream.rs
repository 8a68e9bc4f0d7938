//! The event stream of this tab, which reloads the page's content when something has changed.
//!
//! The stream is closed while the tab is hidden: browsers allow six connections per host for all tabs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use leptos::prelude::{RwSignal, Set, document, window};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DomParser, Event, EventSource, Headers, MessageEvent, RequestInit, Response, SupportedType};

use super::Link;
use super::js::{flag, later, listen, number};
use super::{clock, swap};

/// Changes within this time after the first one cause one read, milliseconds.
const BURST_MS: i32 = 150;
/// Pause before a refused connection is retried, milliseconds.
const RETRY_MS: i32 = 3_000;

/// Is called with the number of lines of a run and whether it has ended.
type Listener = Box<dyn Fn(u64, bool)>;

thread_local! {
    static LISTENERS: RefCell<Vec<Listener>> = const { RefCell::new(Vec::new()) };
}

/// Calls `listener` whenever the run of the page has new lines or has ended.
pub(crate) fn on_run(listener: impl Fn(u64, bool) + 'static) {
    LISTENERS.with_borrow_mut(|listeners| listeners.push(Box::new(listener)));
}

struct Stream {
    path: String,
    link: RwSignal<Link>,
    source: RefCell<Option<EventSource>>,
    /// A change may have been missed since the last read.
    missed: Cell<bool>,
    /// A read is due soon.
    due: Cell<bool>,
    /// A read is in progress.
    reading: Cell<bool>,
    /// Something changed during the read.
    again: Cell<bool>,
    /// The session has ended.
    over: Cell<bool>,
}

/// Opens the stream and keeps the page up to date.
pub(super) fn start(run: Option<i64>, link: RwSignal<Link>) {
    let path = run.map_or_else(|| "/events".to_owned(), |id| format!("/events?run={id}"));
    let stream = Rc::new(Stream {
        path,
        link,
        source: RefCell::new(None),
        missed: Cell::new(false),
        due: Cell::new(false),
        reading: Cell::new(false),
        again: Cell::new(false),
        over: Cell::new(false),
    });
    let here = stream.clone();
    listen(
        &document(),
        "visibilitychange",
        move |_| {
            if document().hidden() { here.close() } else { here.open() }
        },
    );
    let here = stream.clone();
    listen(&window(), "pagehide", move |_| here.close());
    let here = stream.clone();
    listen(&window(), "pageshow", move |event| {
        if flag(&event, "persisted") {
            here.open();
        }
    });
    stream.open();
}

impl Stream {
    fn close(&self) {
        if let Some(source) = self.source.take() {
            source.close();
            self.missed.set(true);
        }
    }

    fn open(self: &Rc<Self>) {
        if self.over.get() || document().hidden() || self.source.borrow().is_some() {
            return;
        }
        let Ok(source) = EventSource::new(&self.path) else { return };
        let here = self.clone();
        listen(&source, "open", move |_| {
            here.link.set(Link::Live);
            if here.missed.replace(false) {
                here.read_soon();
            }
        });
        let here = self.clone();
        listen(&source, "error", move |_| here.lost());
        let here = self.clone();
        listen(&source, "changed", move |_| here.read_soon());
        let here = self.clone();
        listen(&source, "run", move |event| here.run_moved(&event));
        *self.source.borrow_mut() = Some(source);
    }

    /// The connection was lost. The browser reconnects automatically unless the server refused it.
    fn lost(self: &Rc<Self>) {
        self.missed.set(true);
        self.link.set(Link::Waiting);
        let refused = self.source.borrow().as_ref().is_some_and(|s| s.ready_state() == EventSource::CLOSED);
        if refused {
            self.close();
            let here = self.clone();
            later(RETRY_MS, move || {
                // The answer shows whether the session has ended.
                here.read_soon();
                here.open();
            });
        }
    }

    fn run_moved(self: &Rc<Self>, event: &Event) {
        let data = event.dyn_ref::<MessageEvent>().and_then(|m| m.data().as_string());
        let Some(tip) = data.and_then(|d| js_sys::JSON::parse(&d).ok()) else { return };
        let (lines, over) = (number(&tip, "lines").unwrap_or_default() as u64, flag(&tip, "over"));
        LISTENERS.with_borrow(|listeners| listeners.iter().for_each(|listener| listener(lines, over)));
        if over {
            self.read_soon();
        }
    }

    /// Reads the page again soon: one read at a time, one for several changes, and one more if something changed
    /// during the read.
    fn read_soon(self: &Rc<Self>) {
        if self.over.get() || self.due.get() {
            return;
        }
        if self.reading.get() {
            self.again.set(true);
            return;
        }
        self.due.set(true);
        let here = self.clone();
        later(BURST_MS, move || {
            here.due.set(false);
            if document().hidden() {
                here.missed.set(true);
                return;
            }
            here.reading.set(true);
            spawn_local(async move {
                // Retry a failed read: after a reconnect, or soon if the connection was not lost.
                if here.read().await.is_err() {
                    here.missed.set(true);
                    let again = here.clone();
                    later(RETRY_MS, move || {
                        if again.missed.replace(false) {
                            again.read_soon();
                        }
                    });
                }
                here.reading.set(false);
                if here.again.replace(false) {
                    here.read_soon();
                }
            });
        });
    }

    async fn read(&self) -> Result<(), JsValue> {
        let address = window().location().href()?;
        let page = address.split('#').next().unwrap_or_default();
        let headers = Headers::new()?;
        headers.set("X-Stagegate-Live", "own-keys")?;
        let options = RequestInit::new();
        options.set_headers(&headers);
        let answer = JsFuture::from(window().fetch_with_str_and_init(page, &options)).await?;
        let response: Response = answer.dyn_into()?;
        if let Ok(Some(date)) = response.headers().get("date") {
            clock::set_by(&date);
        }
        if response.redirected() && response.url().contains("/sign-in") {
            self.over.set(true);
            self.close();
            self.link.set(Link::SignedOut);
            return Ok(());
        }
        if response.status() >= 500 {
            return Err(JsValue::NULL);
        }
        if !response.ok() {
            return Ok(());
        }
        let html = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
        let fresh = DomParser::new()?.parse_from_string(&html, SupportedType::TextHtml)?;
        swap::swap(&fresh);
        Ok(())
    }
}
