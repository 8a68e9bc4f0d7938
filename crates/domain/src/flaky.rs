//! The history of a check: whether it is flaky, and the trend of its value.

use crate::check::Check;
use crate::evidence::{Evidence, Outcome};
use crate::time::Millis;

/// How many of the last outcomes are considered.
pub const LAST: usize = 10;
/// How many releases a trend shows.
const RELEASES: usize = 12;

/// A check that both failed and passed on the same parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaky {
    /// How many of the outcomes did not pass.
    pub not_passed: usize,
    /// How many outcomes on the same parts were considered.
    pub of: usize,
}

impl Flaky {
    /// `flaky: 2 of the last 10 did not pass`.
    pub fn label(&self) -> String {
        format!("flaky: {} of the last {} did not pass", self.not_passed, self.of)
    }
}

/// Whether a check is flaky, based on its evidence, oldest first. Only outcomes on the parts of the newest one count,
/// and only those of the current declaration. A check that depends on no part has no "same parts".
pub fn flaky<'a>(check: &Check, evidence: impl DoubleEndedIterator<Item = &'a Evidence>) -> Option<Flaky> {
    if check.binds.is_empty() {
        return None;
    }
    let declaration = check.declaration();
    let mut newest_first =
        evidence.rev().filter(|e| e.check == check.id && declaration.matches(&e.threshold_digest));
    let newest = newest_first.next()?;
    let same = |e: &&Evidence| check.binds.iter().all(|part| check.agrees(&e.parts, &newest.parts, *part));
    let last: Vec<Outcome> = std::iter::once(newest)
        .chain(newest_first.filter(same))
        .take(LAST)
        .map(|e| e.finding.outcome)
        .collect();
    let both = last.contains(&Outcome::Pass) && last.contains(&Outcome::Fail);
    let not_passed = last.iter().filter(|o| **o != Outcome::Pass).count();
    both.then_some(Flaky { not_passed, of: last.len() })
}

/// The measured value on one release.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrendPoint {
    /// The release.
    pub release: i64,
    /// The last value measured on it.
    pub value: f64,
    /// The outcome at the time.
    pub outcome: Outcome,
    /// When.
    pub at: Millis,
}

/// The value of a check on each of the newest twelve releases that have one, by release number.
pub fn trend<'a>(check: &str, evidence: impl Iterator<Item = &'a Evidence>) -> Vec<TrendPoint> {
    let mut points: Vec<TrendPoint> = Vec::new();
    for e in evidence.filter(|e| e.check == check) {
        let Some(value) = e.finding.value.filter(|v| v.is_finite()) else { continue };
        let point = TrendPoint { release: e.release, value, outcome: e.finding.outcome, at: e.at };
        match points.iter_mut().find(|p| p.release == e.release) {
            Some(known) => *known = point,
            None => points.push(point),
        }
    }
    points.sort_by_key(|p| p.release);
    points.split_off(points.len().saturating_sub(RELEASES))
}
