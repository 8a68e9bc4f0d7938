//! Whether a command left files of the repository changed that git knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use domain::evidence::{Finding, Outcome};

use super::finding::names;
use git::{Caller, Git};
use runner::Session;

/// Most submodules that are looked into.
const SUBMODULES: usize = 64;

/// The tracked files that differ from the commit, each with how it differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackedFiles {
    files: BTreeMap<String, Difference>,
    unsure: BTreeSet<String>,
    submodules: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Difference {
    /// Git's two letters.
    code: String,
    /// Size and time, so that a second change to a changed file is seen.
    stamp: Option<(u64, Option<SystemTime>)>,
}

impl TrackedFiles {
    /// Looks at the repository around `dir`, and at the submodules in it. `None` when there is none, or git does
    /// not answer.
    pub async fn of(session: &Session, dir: &Path) -> Option<TrackedFiles> {
        let mut all = TrackedFiles::default();
        let git = Git::open(Caller::Run(session), dir).await.ok()??;
        let top = git.top().await.ok()?;
        let mut places = vec![(top, String::new())];
        while let Some((place, prefix)) = places.pop() {
            let git = Git::open(Caller::Run(session), &place).await.ok()??;
            let changed = git.changed().await.ok()?;
            for (code, path) in changed.files {
                let stamp = fs::symlink_metadata(place.join(&path)).ok();
                let stamp = stamp.map(|m| (m.len(), m.modified().ok()));
                all.files.insert(format!("{prefix}{path}"), Difference { code, stamp });
            }
            all.unsure.extend(changed.unsure.iter().map(|path| format!("{prefix}{path}")));
            for path in git.submodules().await.ok()? {
                let inner = place.join(&path);
                if inner.join(".git").symlink_metadata().is_ok() && all.submodules < SUBMODULES {
                    all.submodules += 1;
                    places.push((inner, format!("{prefix}{}/", path.display())));
                }
            }
        }
        Some(all)
    }

    /// The paths of which nothing can be said, because they pass through a filter that is not run.
    pub fn unsure(&self) -> impl Iterator<Item = &str> {
        self.unsure.iter().map(String::as_str)
    }

    /// The paths that differ.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The paths that stand otherwise than in `before`, in order.
    pub fn changed_since(&self, before: &TrackedFiles) -> Vec<String> {
        let mut paths: Vec<&String> = self.files.keys().chain(before.files.keys()).collect();
        paths.sort();
        paths.dedup();
        paths.into_iter().filter(|p| self.files.get(*p) != before.files.get(*p)).cloned().collect()
    }

    /// The sentence for people about files that a command changed since `before`; `None` when it
    /// changed none.
    pub fn remark(&self, before: &TrackedFiles) -> Option<String> {
        let changed = self.changed_since(before);
        (!changed.is_empty()).then(|| format!("it changed tracked files: {}", names(&changed)))
    }
}

/// A finding about a command that left tracked files changed (`remark` of [`TrackedFiles::remark`]): what
/// was judged was not what the commit holds, so it is no pass.
pub fn with_remark(finding: Finding, remark: &str) -> Finding {
    let saw = format!("{}; {remark}", finding.saw);
    if finding.outcome != Outcome::Pass {
        return Finding { saw, ..finding };
    }
    Finding {
        outcome: Outcome::Inconclusive,
        saw,
        wanted: format!("{}, and no tracked file changed", finding.wanted),
        next: "Look at git diff: make the command leave tracked files alone, or commit what it writes or \
               untrack it; then run it again."
            .to_owned(),
        ..finding
    }
}
