//! Whether a command changed tracked files of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use domain::evidence::{Finding, Outcome};

use super::finding::names;
use git::{Caller, Git};
use runner::Session;

/// Most submodules that are read.
const SUBMODULES: usize = 64;

/// The tracked files that differ from the commit, and how each differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackedFiles {
    files: BTreeMap<String, Difference>,
    unsure: BTreeSet<String>,
    submodules: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Difference {
    /// The two-letter status of git.
    code: String,
    /// Size and time, to detect a second change to a changed file.
    stamp: Option<(u64, Option<SystemTime>)>,
}

impl TrackedFiles {
    /// Reads the repository that contains `dir`, and its submodules. `None` when there is no repository, or git
    /// fails.
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

    /// The paths that could not be compared, because they use a git filter that is not run.
    pub fn unsure(&self) -> impl Iterator<Item = &str> {
        self.unsure.iter().map(String::as_str)
    }

    /// The paths that differ.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The paths that differ from `before`, sorted.
    pub fn changed_since(&self, before: &TrackedFiles) -> Vec<String> {
        let mut paths: Vec<&String> = self.files.keys().chain(before.files.keys()).collect();
        paths.sort();
        paths.dedup();
        paths.into_iter().filter(|p| self.files.get(*p) != before.files.get(*p)).cloned().collect()
    }

    /// A text for display about the files that a command changed since `before`; `None` when it
    /// changed none.
    pub fn remark(&self, before: &TrackedFiles) -> Option<String> {
        let changed = self.changed_since(before);
        (!changed.is_empty()).then(|| format!("the command changed tracked files: {}", names(&changed)))
    }
}

/// A finding about a command that changed tracked files (`remark` of [`TrackedFiles::remark`]): what
/// was judged is not what the commit contains, so it cannot pass.
pub fn with_remark(finding: Finding, remark: &str) -> Finding {
    let saw = format!("{}; {remark}", finding.saw);
    if finding.outcome != Outcome::Pass {
        return Finding { saw, ..finding };
    }
    Finding {
        outcome: Outcome::Inconclusive,
        saw,
        wanted: format!("{}, and no tracked file changed", finding.wanted),
        next: "Check git diff. Change the command so that it does not modify tracked files, or commit or \
               untrack those files. Then run the check again."
            .to_owned(),
        ..finding
    }
}
