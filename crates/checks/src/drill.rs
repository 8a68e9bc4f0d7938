//! A rollback drill on record. The drill itself is the evidence; this kind only says how it is judged.

use domain::check::Check;
use domain::evidence::Finding;
use domain::time::human_span;

use super::finding::{judge_value, unknown};

/// Judges a drill that was proved at both ends, its way there having taken `away_ms`.
pub fn drilled(check: &Check, away_ms: u64) -> Finding {
    #[expect(clippy::cast_precision_loss, reason = "a drill takes less than 2^52 milliseconds")]
    let value = away_ms as f64;
    judge_value(
        check.want.as_ref(),
        value,
        "ms",
        format!("rolled back, proved and returned; the way back took {}", human_span(away_ms)),
        "Look in the drill's log at what took so long.",
    )
}

/// What the check says when it is run by itself: a check must not replace containers.
pub(super) fn probe() -> Finding {
    unknown(
        "a drill on record",
        "a check does not drill by itself",
        "Start a drill from the Releases page; it records its result here.",
    )
}
