//! A recorded rollback drill. The drill itself is the evidence; this kind only defines how it is judged.

use domain::check::Check;
use domain::evidence::Finding;
use domain::time::human_span;

use super::finding::{judge_value, unknown};

/// Judges a drill whose rollback and return were both validated; the rollback took `away_ms`.
pub fn drilled(check: &Check, away_ms: u64) -> Finding {
    #[expect(clippy::cast_precision_loss, reason = "a drill takes less than 2^52 milliseconds")]
    let value = away_ms as f64;
    judge_value(
        check.want.as_ref(),
        value,
        "ms",
        format!("rollback took {}; validated, then returned to the release", human_span(away_ms)),
        "Read the log of the drill to find out what took so long.",
    )
}

/// The finding when the check itself is run: a check must not replace containers.
pub(super) fn probe() -> Finding {
    unknown(
        "a recorded drill",
        "no drill was run: a check cannot start one",
        "Start a drill on the Releases page. Its result is recorded for this check.",
    )
}
