//! What keeps an open page true: one event stream, regions that are exchanged when they differ, times
//! in the reader's zone, buttons that show life at once, the theme, and keys.
//!
//! It knows attributes (`data-live`, `data-t`, `data-since`, …), not pages. Without it every page still
//! reads and every form still works.

#![allow(missing_docs, reason = "the macro makes an undocumented struct of an island's arguments")]
#![expect(missing_docs, reason = "the island macro makes a struct of its own")]

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

/// How the page stands to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// What is shown is what is so.
    Live,
    /// The connection is being made, or made again.
    Waiting,
    /// The session is over; nothing is shown any more that happens now.
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

/// Keeps the page live; `run` is the run that the page is about, whose growth is told as well.
#[island]
pub fn Live(
    /// The run that the page is about.
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
    let keys = words::KEYS
        .iter()
        .map(|(keys, what)| view! { <dt><kbd>{*keys}</kbd></dt><dd>{*what}</dd> })
        .collect_view();
    view! {
        <span class=move || link.get().class() role="status">{move || link.get().word()}</span>
        {sign_in}
        <dialog id="keys" aria-label="Keys">
            <form class="stack" method="dialog">
                <h2>"Keys"</h2>
                <dl class="kv">{keys}</dl>
                <button class="btn">"Close"</button>
            </form>
        </dialog>
    }
}
