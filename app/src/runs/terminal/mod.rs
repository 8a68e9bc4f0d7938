//! The terminal: a log of any length in at most a few hundred rows, following its end while it grows.
//!
//! Its controls are signals; the browser part moves the rows. It knows no page: it reads
//! lines by number and hears of growth from [`crate::live`].

#![allow(missing_docs, reason = "the macro makes an undocumented struct of an island's arguments")]
#![expect(missing_docs, reason = "the island macro makes a struct of its own")]

pub mod geometry;
#[cfg(feature = "hydrate")]
mod rows;
#[cfg(feature = "hydrate")]
mod screen;

use leptos::prelude::*;

/// What the controls and the rows tell each other.
#[derive(Clone, Copy)]
struct Knobs {
    /// Lines of the log so far.
    total: RwSignal<u64>,
    /// The end is kept in sight.
    following: RwSignal<bool>,
    /// The line to show, from 1; taken by the screen.
    wanted: RwSignal<Option<u64>>,
    /// What there is to say to the reader.
    said: RwSignal<String>,
}

/// The live terminal of a run. Hidden until it can show what the static tail shows.
#[island]
pub fn Terminal(
    /// The run's number.
    run: i64,
    /// Lines of its log when the page was made.
    lines: u64,
    /// Whether it went on then.
    running: bool,
) -> impl IntoView {
    let knobs = Knobs {
        total: RwSignal::new(lines),
        following: RwSignal::new(true),
        wanted: RwSignal::new(None),
        said: RwSignal::new(String::new()),
    };
    let times = RwSignal::new(true);
    let live = RwSignal::new(running);
    #[cfg(feature = "hydrate")]
    screen::start(run, lines, knobs, live);

    let Knobs { total, following, wanted, said } = knobs;
    let count = move || {
        let grows = if live.get() { " so far" } else { "" };
        format!("{} lines{grows}", geometry::grouped(total.get()))
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
                    "Follow the end"
                </button>
                <button
                    type="button"
                    class="btn"
                    aria-pressed=move || times.get().to_string()
                    on:click=move |_| times.update(|t| *t = !*t)
                >
                    "Times"
                </button>
                <label class="row">
                    "Line"
                    <input type="number" min="1" inputmode="numeric" on:change=jump />
                </label>
                <span class="num">{count}</span>
                <span role="status">{said}</span>
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
