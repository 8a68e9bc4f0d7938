//! Attempts within the last hour, and how long to wait for the next one. Shared by the limits of sign-ins and of
//! confirmations.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use domain::time::Millis;

/// The span in which attempts are counted, milliseconds.
pub(crate) const HOUR_MS: u64 = 60 * 60 * 1000;
/// The wait after the first wrong attempt; it doubles with each.
const FIRST_WAIT_MS: u64 = 500;
/// The longest such wait.
const LONGEST_WAIT_MS: u64 = 5 * 60 * 1000;
/// Most accounts, addresses and pairs in memory, each; beyond that the oldest are removed.
pub(crate) const MAX_ENTRIES: usize = 20_000;

/// An attempt is refused for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; try again in {}", whole_seconds(*for_ms))]
pub struct RetryAfter {
    /// For how long, milliseconds.
    pub for_ms: u64,
}

/// Rounded up, so that a retry after this time is accepted.
fn whole_seconds(for_ms: u64) -> String {
    match for_ms.div_ceil(1_000) {
        s @ 0..60 => format!("{s} s"),
        s => domain::time::human_span(s * 1_000),
    }
}

/// The attempts of the last hour, oldest first.
pub(crate) fn recent(times: Option<&VecDeque<Millis>>, now: Millis) -> Vec<Millis> {
    times.into_iter().flatten().copied().filter(|at| now.since(*at) < HOUR_MS).collect()
}

/// How long until there are fewer than `limit` attempts in the last hour.
pub(crate) fn limit_reached(times: &[Millis], limit: usize, now: Millis) -> Option<u64> {
    let leaving = times.get(times.len().checked_sub(limit)?)?;
    Some(leaving.plus(HOUR_MS).since(now))
}

/// The remaining wait after the last wrong attempt.
pub(crate) fn backoff(times: &[Millis], now: Millis) -> Option<u64> {
    let last = times.last()?;
    let doublings = u32::try_from(times.len() - 1).unwrap_or(u32::MAX).min(20);
    let wait = (FIRST_WAIT_MS << doublings).min(LONGEST_WAIT_MS);
    let left = last.plus(wait).since(now);
    (left > 0).then_some(left)
}

/// Adds an attempt, and removes expired ones.
pub(crate) fn add(times: &mut VecDeque<Millis>, now: Millis) {
    while times.front().is_some_and(|at| now.since(*at) >= HOUR_MS) {
        times.pop_front();
    }
    times.push_back(now);
}

/// Removes the attempt that was made at a time.
pub(crate) fn remove(times: Option<&mut VecDeque<Millis>>, at: Millis) {
    if let Some(times) = times
        && let Some(place) = times.iter().rposition(|t| *t == at)
    {
        times.remove(place);
    }
}

/// Removes expired entries if there are too many, and then the oldest.
pub(crate) fn prune<K: Eq + Hash>(map: &mut HashMap<K, VecDeque<Millis>>, now: Millis) {
    if map.len() <= MAX_ENTRIES {
        return;
    }
    map.retain(|_, times| times.back().is_some_and(|at| now.since(*at) < HOUR_MS));
    if map.len() > MAX_ENTRIES {
        // Down to three quarters, so that this is rarely done.
        let mut last: Vec<Millis> = map.values().filter_map(|t| t.back().copied()).collect();
        last.sort();
        let border = last.get(last.len().saturating_sub(MAX_ENTRIES / 4 * 3)).copied();
        map.retain(|_, times| times.back().copied() >= border);
    }
}
