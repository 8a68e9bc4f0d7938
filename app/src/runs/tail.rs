//! The last lines of a log, rendered by the server: shown without WASM, and until WASM is loaded.

use domain::log::{LogLine, Stream};
use leptos::prelude::*;

use super::line::{SpanStyle, clock, line_class, span_class};

/// The id of the static tail; the terminal replaces it once it can show the same lines.
pub(super) const TAIL_ID: &str = "run-tail";

fn stream_word(stream: Stream) -> &'static str {
    match stream {
        Stream::Out => "out",
        Stream::Err => "err",
        Stream::Notice => "notice",
    }
}

fn line(line: &LogLine) -> AnyView {
    let number = line.n + 1;
    let spans = line
        .spans
        .iter()
        .map(|s| {
            let class = span_class(SpanStyle {
                colour: s.fg,
                bold: s.bold,
                dim: s.dim,
                italic: s.italic,
                underline: s.underline,
            });
            let text = s.text.clone();
            if class.is_empty() {
                text.into_any()
            } else {
                view! { <span class=class>{text}</span> }.into_any()
            }
        })
        .collect_view();
    view! {
        <div class=line_class(stream_word(line.stream), line.truncated) id=format!("L{number}")>
            <a class="log-n" href=format!("#L{number}")>{number.to_string()}</a>
            <span class="log-at">{clock(line.at_ms)}</span>
            <span class="log-t">{spans}</span>
        </div>
    }
    .into_any()
}

/// The tail of a log of `total` lines.
pub(super) fn tail(id: i64, total: u64, lines: &[LogLine]) -> AnyView {
    let earlier = lines.first().map_or(0, |l| l.n);
    let before = (earlier > 0).then(|| {
        view! {
            <p class="terminal__bar">
                <span>{format!("Last {} of {total} lines. ", lines.len())}</span>
                <a href=format!("/runs/{id}/log") download="">"Download the full log"</a>
            </p>
        }
    });
    let nothing = lines.is_empty().then(|| {
        view! { <p class="terminal__bar">"No output yet."</p> }
    });
    let rows = lines.iter().map(line).collect_view();
    view! {
        <div id=TAIL_ID>
            {before} {nothing}
            <div class="terminal__view terminal__view--short" tabindex="0" role="region" aria-label="Last lines of the log">
                {rows}
            </div>
        </div>
    }
    .into_any()
}
