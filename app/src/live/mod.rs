//! Keeps an open page up to date: one event stream, regions that are replaced when they change, times
//! in the reader's time zone, buttons that react at once, the theme, and keyboard shortcuts.
//!
//! It depends on attributes (`data-live`, `data-t`, `data-since`, …), not on pages. Without it, every page can
//! still be read and every form still works.

#![allow(missing_docs, reason = "the macro generates an undocumented struct from the arguments of an island")]
#![expect(missing_docs, reason = "the island macro generates a struct")]

#[cfg(feature = "hydrate")]
mod clock;
#[cfg(feature = "hydrate")]
mod forms;
#[cfg(feature = "hydrate")]
pub(crate) mod js;
#[cfg(feature = "hydrate")]
mod keys;
#[cfg(feature = "hydrate")]
mod stream;
#[cfg(feature = "hydrate")]
mod swap;
#[cfg(feature = "hydrate")]
mod theme;
pub mod words;

use leptos::prelude::*;

#[cfg(feature = "hydrate")]
pub(crate) use stream::on_run;

/// The state of the connection to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Connected: the page is up to date.
    Live,
    /// Connecting or reconnecting.
    Waiting,
    /// The session has ended; the page is no longer updated.
    SignedOut,
}

impl Link {
    fn class(self) -> &'static str {
        match self {
            Link::Live => "live live--on needs-js",
            Link::Waiting => "live live--off needs-js",
            Link::SignedOut => "live live--out needs-js",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Link::Live => "live",
            Link::Waiting => "connecting…",
            Link::SignedOut => "signed out",
        }
    }
}

/// Keeps the page live; `run` is the run of the page, whose new lines are reported as well.
#[island]
pub fn Live(
    /// The run that the page shows.
    run: Option<i64>,
) -> impl IntoView {
    let link = RwSignal::new(Link::Waiting);
    #[cfg(feature = "hydrate")]
    Effect::new(move |_| {
        theme::start();
        forms::start();
        keys::start();
        clock::start();
        stream::start(run, link);
    });
    #[cfg(not(feature = "hydrate"))]
    let _ = run;
    let sign_in =
        move || (link.get() == Link::SignedOut).then(|| view! { <a class="small" href="">"Sign in"</a> });
    let keys = words::shortcuts()
        .map(|(keys, what)| view! { <dt><kbd>{keys}</kbd></dt><dd>{what}</dd> })
        .collect_view();
    view! {
        <span class=move || link.get().class() role="status">{move || link.get().word()}</span>
        {sign_in}
        <dialog id="keys" aria-label="Keyboard shortcuts">
            <form class="stack" method="dialog">
                <h2>"Keyboard shortcuts"</h2>
                <dl class="kv">{keys}</dl>
                <label class="check">
                    <input type="checkbox" id="keys-on" checked=true autocomplete="off" />
                    <span>"Use these shortcuts in this browser"</span>
                </label>
                <button class="btn">"Close"</button>
            </form>
        </dialog>
    }
}
