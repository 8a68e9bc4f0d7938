//! Whether a command left files of the repository changed that git knows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use domain::evidence::{Finding, Outcome};

use super::finding::names;
use crate::runner::{Cmd, Exit, Session};

/// Most bytes of git's answer that are looked at.
const ANSWER: usize = 8 << 20;

/// The tracked files that differ from the commit, each with how it differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedFiles(BTreeMap<String, Difference>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Difference {
    /// Git's two letters.
    code: String,
    /// Size and time, so that a second change to a changed file is seen.
    stamp: Option<(u64, Option<SystemTime>)>,
}

impl TrackedFiles {
    /// Looks at the repository around `dir`. `None` when there is none, or git does not answer.
    pub async fn of(session: &Session, dir: &Path) -> Option<TrackedFiles> {
        let root = git(session, dir, &["rev-parse", "--show-toplevel"]).await.ok()?;
        let root = PathBuf::from(String::from_utf8(root).ok()?.trim_end_matches('\n'));
        let args = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=no"];
        let answer = git(session, &root, &args).await.ok()?;
        let answer = String::from_utf8_lossy(&answer);
        let files = answer.split('\0').filter_map(|entry| {
            let (code, path) = entry.split_at_checked(2)?;
            let path = path.trim_start().to_owned();
            let stamp = fs::symlink_metadata(root.join(&path)).ok();
            let stamp = stamp.map(|m| (m.len(), m.modified().ok()));
            Some((path, Difference { code: code.to_owned(), stamp }))
        });
        Some(TrackedFiles(files.collect()))
    }

    /// The paths that differ.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The paths that stand otherwise than in `before`, in order.
    pub fn changed_since(&self, before: &TrackedFiles) -> Vec<String> {
        let mut paths: Vec<&String> = self.0.keys().chain(before.0.keys()).collect();
        paths.sort();
        paths.dedup();
        paths.into_iter().filter(|p| self.0.get(*p) != before.0.get(*p)).cloned().collect()
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

/// Runs git in `dir` and returns what it answers. Fails with how it ended.
pub(super) async fn git(session: &Session, dir: &Path, args: &[&str]) -> Result<Vec<u8>, Exit> {
    // The directory may belong to another user than the one that Stagegate runs as.
    let argv = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.quotepath=false"];
    let mut cmd = Cmd::new(argv.iter().chain(args).map(|arg| (*arg).to_owned()));
    cmd.cwd = Some(dir.to_owned());
    cmd.clear = true;
    cmd.timeout = Some(Duration::from_secs(30));
    // Looking must not write the index while somebody works in the tree.
    cmd.env.insert("GIT_OPTIONAL_LOCKS".to_owned(), "0".to_owned());
    let (exit, answer) = session.capture(cmd, ANSWER).await;
    if exit.is_success() { Ok(answer) } else { Err(exit) }
}
