//! The terminal: shows a log of any length with at most a few hundred rows and follows its end while it grows.
//!
//! Its controls are signals; the browser part moves the rows. It does not depend on the page: it reads
//! lines by number, and [`crate::live`] reports new lines.

#![allow(missing_docs, reason = "the macro generates an undocumented struct from the arguments of an island")]
#![expect(missing_docs, reason = "the island macro generates a struct")]

pub mod geometry;
#[cfg(feature = "hydrate")]
mod rows;
#[cfg(feature = "hydrate")]
mod screen;

use leptos::prelude::*;

/// The state that the controls and the rows share.
#[derive(Clone, Copy)]
struct Controls {
    /// Number of lines of the log so far.
    total: RwSignal<u64>,
    /// The view follows the end of the log.
    following: RwSignal<bool>,
    /// The line to show, from 1; the screen clears it.
    wanted: RwSignal<Option<u64>>,
    /// The status message for the reader.
    message: RwSignal<String>,
}

/// The live terminal of a run. Hidden until it can show what the static tail shows.
#[island]
pub fn Terminal(
    /// The run's number.
    run: i64,
    /// Number of lines of its log when the page was rendered.
    lines: u64,
    /// Whether it was in progress then.
    running: bool,
) -> impl IntoView {
    let controls = Controls {
        total: RwSignal::new(lines),
        following: RwSignal::new(true),
        wanted: RwSignal::new(None),
        message: RwSignal::new(String::new()),
    };
    let times = RwSignal::new(true);
    let live = RwSignal::new(running);
    #[cfg(feature = "hydrate")]
    screen::start(run, lines, controls, live);

    let Controls { total, following, wanted, message } = controls;
    let count = move || {
        let grows = if live.get() { " so far" } else { "" };
        let noun = if total.get() == 1 { "line" } else { "lines" };
        format!("{} {noun}{grows}", geometry::grouped(total.get()))
    };
    let jump = move |event| wanted.set(event_target_value(&event).trim().parse().ok());
    view! {
        <div id="terminal" hidden=true class:terminal--times-off=move || !times.get()>
            <div class="terminal__bar">
                <button
                    type="button"
                    class="btn"
                    aria-pressed=move || following.get().to_string()
                    on:click=move |_| following.update(|f| *f = !*f)
                >
                    "Follow log"
                </button>
                <button
                    type="button"
                    class="btn"
                    aria-pressed=move || times.get().to_string()
                    on:click=move |_| times.update(|t| *t = !*t)
                >
                    "Timestamps"
                </button>
                <label class="row">
                    "Go to line"
                    <input type="number" min="1" inputmode="numeric" on:change=jump />
                </label>
                <span class="num">{count}</span>
                <span role="status">{message}</span>
            </div>
            <div
                class="terminal__view"
                id="terminal-view"
                tabindex="0"
                role="region"
                aria-label=format!("Log of run {run}")
            >
                <div class="terminal__spacer" id="terminal-spacer"></div>
                <div class="terminal__rows" id="terminal-rows"></div>
            </div>
        </div>
    }
}
