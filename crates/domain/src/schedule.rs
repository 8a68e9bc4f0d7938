//! When and in which order checks run, and which may run at the same time.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::{Check, CheckSpec};
use crate::evidence::Evidence;
use crate::time::Millis;

impl Check {
    /// Whether other checks may run at the same time. Other checks disturb requests that are counted or timed, and
    /// commands may change the same files, so those run alone unless declared otherwise.
    pub fn runs_beside_others(&self) -> bool {
        let counted = matches!(
            &self.spec,
            CheckSpec::Http { requests, measure, .. } if requests.is_some_and(|n| n > 1) || measure.is_some()
        );
        self.schedule.parallel.unwrap_or(self.spec.only_reads() && !counted)
    }
}

/// Sorts checks into the order in which they run: a check runs after the checks in its `after`. Apart from that, checks
/// of a step come first, in the order of the runbook's `steps`, then the others as declared. Ids in `after` that are
/// not among the checks are ignored.
pub fn in_order(checks: &[Check], steps: &[String]) -> Vec<Check> {
    let place = |check: &Check| {
        let step = check.spec.step().and_then(|step| steps.iter().position(|s| s == step));
        step.unwrap_or(steps.len())
    };
    let mut waiting: Vec<&Check> = checks.iter().collect();
    waiting.sort_by_key(|c| place(c));
    let mut done: Vec<Check> = Vec::new();
    while !waiting.is_empty() {
        let names: BTreeSet<&str> = waiting.iter().map(|c| c.id.as_str()).collect();
        // A cycle is rejected when the file is read; here it must only not cause an endless loop.
        let free = |c: &&Check| !c.schedule.after.iter().any(|a| *a != c.id && names.contains(a.as_str()));
        let next = waiting.iter().position(free).unwrap_or(0);
        done.push(waiting.remove(next).clone());
    }
    done
}

/// A cycle of `after`, if there is one: its ids, in order.
pub fn circle(checks: &[Check]) -> Option<Vec<String>> {
    let after: BTreeMap<&str, Vec<&str>> = checks
        .iter()
        .map(|c| (c.id.as_str(), c.schedule.after.iter().map(String::as_str).collect()))
        .collect();
    for start in after.keys() {
        let mut path = vec![*start];
        if walk(&after, start, &mut path, &mut BTreeSet::new()) {
            return Some(path.into_iter().map(str::to_owned).collect());
        }
    }
    None
}

/// Whether `start` can be reached again from the end of `path`; if so, `path` is the cycle.
fn walk<'a>(
    after: &BTreeMap<&'a str, Vec<&'a str>>,
    start: &str,
    path: &mut Vec<&'a str>,
    seen: &mut BTreeSet<&'a str>,
) -> bool {
    let Some(here) = path.last().copied() else { return false };
    for next in after.get(here).into_iter().flatten() {
        if *next == start {
            return true;
        }
        if seen.insert(next) {
            path.push(next);
            if walk(after, start, path, seen) {
                return true;
            }
            path.pop();
        }
    }
    false
}

/// When the first of the scheduled checks is due; `None` when none is scheduled.
pub fn next_due(checks: &[Check], evidence: &[Evidence], tried: &BTreeMap<String, Millis>) -> Option<Millis> {
    checks.iter().filter_map(|check| due_at(check, evidence, tried)).min()
}

/// When a scheduled check is due: its interval after it last ran or was tried; immediately if it never ran.
fn due_at(check: &Check, evidence: &[Evidence], tried: &BTreeMap<String, Millis>) -> Option<Millis> {
    let every = check.schedule.every_ms?;
    let last_found = evidence.iter().filter(|e| e.check == check.id).map(|e| e.at).max();
    let last = last_found.max(tried.get(&check.id).copied());
    Some(last.map_or(Millis(i64::MIN), |at| at.plus(every)))
}

/// The scheduled checks that are due: neither run nor tried within their interval. Each is due only once, however
/// long it has not run.
pub fn due<'a>(
    checks: &'a [Check],
    evidence: &[Evidence],
    tried: &BTreeMap<String, Millis>,
    now: Millis,
) -> Vec<&'a Check> {
    checks.iter().filter(|check| due_at(check, evidence, tried).is_some_and(|at| at <= now)).collect()
}
