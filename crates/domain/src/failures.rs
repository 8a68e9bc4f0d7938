//! How often checks did not pass. Sign-offs are bound to the number, so it is counted over all evidence of a
//! release, while other rules read only the newest evidence of each check.

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::evidence::{Evidence, Outcome};
use crate::release::{Release, ReleaseComponents};

/// How often one check did not pass on one release, with one declaration and one set of parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCount {
    /// The check.
    pub check: String,
    /// The release.
    pub release: i64,
    /// Digest of the check's declaration at the time.
    pub threshold_digest: String,
    /// The parts at the time. A part that differed from the release's may be absent.
    pub parts: ReleaseComponents,
    /// How often.
    pub count: u32,
}

/// Counts evidence that did not pass.
pub fn failure_counts<'a>(evidence: impl IntoIterator<Item = &'a Evidence>) -> Vec<FailureCount> {
    let mut counts: Vec<FailureCount> = Vec::new();
    for e in evidence.into_iter().filter(|e| e.finding.outcome != Outcome::Pass) {
        let same = |c: &&mut FailureCount| {
            c.check == e.check
                && c.release == e.release
                && c.threshold_digest == e.threshold_digest
                && c.parts == e.parts
        };
        match counts.iter_mut().find(same) {
            Some(known) => known.count += 1,
            None => counts.push(FailureCount {
                check: e.check.clone(),
                release: e.release,
                threshold_digest: e.threshold_digest.clone(),
                parts: e.parts.clone(),
                count: 1,
            }),
        }
    }
    counts
}

/// How often `check`, as currently declared, did not pass on `release` with the parts of the release.
pub fn failures_of(check: &Check, release: &Release, counts: &[FailureCount]) -> u32 {
    let declaration = check.declaration();
    counts
        .iter()
        .filter(|c| {
            c.check == check.id && c.release == release.id && declaration.matches(&c.threshold_digest)
        })
        .filter(|c| check.binds.iter().all(|part| check.agrees(&c.parts, &release.parts, *part)))
        .map(|c| c.count)
        .fold(0, u32::saturating_add)
}
