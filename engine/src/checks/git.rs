//! The repository: a clean tree on a commit, and files that must never have been committed.

use std::path::{Path, PathBuf};

use domain::check::{CheckSpec, GitAssert};
use domain::evidence::Finding;

use super::finding::{failed, names, passed, unknown};
use super::probe::Probe;
use super::tree::{TrackedFiles, git};

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::Git { assert, path } = &probe.work.check.spec else {
        return unknown("a repository", "this check is about no repository", "Correct the declaration.");
    };
    match assert {
        GitAssert::Clean => clean(probe).await,
        GitAssert::Untracked => match path {
            Some(path) => never_committed(probe, Path::new(path), path).await,
            None => unknown(
                "a file that was never committed",
                "the check names no file",
                "Give the check a `path`.",
            ),
        },
    }
}

const NO_REPOSITORY: &str = "the stack's directory is in no git repository, or git does not answer";
const CLONE: &str = "Clone the repository instead of copying its files; see the run's log for git's words.";

async fn clean(probe: &Probe<'_>) -> Finding {
    let dir = &probe.work.project.dir;
    let wanted = "a commit, and no tracked file that differs from it";
    probe.say("Asks git for the commit and for tracked files that differ.");
    let Some(files) = TrackedFiles::of(probe.session, dir).await else {
        return unknown(wanted, NO_REPOSITORY, CLONE);
    };
    let Ok(head) = git(probe.session, dir, &["rev-parse", "--verify", "--short=7", "HEAD"]).await else {
        return failed(wanted, "the repository has no commit", "Commit what is to be released.");
    };
    let head = String::from_utf8_lossy(&head).trim().to_owned();
    let paths: Vec<&str> = files.paths().collect();
    if paths.is_empty() {
        return passed(wanted, format!("{head}, no tracked file differs"));
    }
    failed(
        wanted,
        format!("{head}, and {} tracked files differ: {}", paths.len(), names(&paths)),
        "Commit the changes, or undo them with git restore.",
    )
}

/// Whether `path` (relative to the stack's directory, or absolute) is neither tracked nor in any commit.
pub(super) async fn never_committed(probe: &Probe<'_>, path: &Path, shown: &str) -> Finding {
    let dir = &probe.work.project.dir;
    let wanted = format!("{shown} is not tracked by git and in no commit");
    probe.say(&format!("Asks git whether {shown} is or was ever tracked."));
    let Ok(root) = git(probe.session, dir, &["rev-parse", "--show-toplevel"]).await else {
        return unknown(wanted, NO_REPOSITORY, CLONE);
    };
    let root = PathBuf::from(String::from_utf8_lossy(&root).trim_end_matches('\n'));
    let Some(inside) = within(&root, &dir.join(path)) else {
        return passed(wanted, format!("{shown} lies outside the repository"));
    };
    let spec = format!(":(top,literal){inside}");
    let ask = async |args: &[&str]| {
        let answer = git(probe.session, &root, args).await.ok()?;
        Some(String::from_utf8_lossy(&answer).trim().to_owned())
    };
    let Some(tracked) = ask(&["ls-files", "--", &spec]).await else {
        return unknown(wanted, "git could not list its files", CLONE);
    };
    if !tracked.is_empty() {
        let next = format!("git rm --cached {shown}, commit, and replace every secret that was in it.");
        return failed(wanted, format!("{shown} is tracked by git"), next);
    }
    let log = ["log", "--all", "--full-history", "-1", "--format=%h", "--", &spec];
    let Some(commit) = ask(&log).await else {
        return unknown(wanted, "git could not read its history", CLONE);
    };
    if !commit.is_empty() {
        let next = "Replace every secret that was in it; cut it out of the history where that is possible.";
        return failed(wanted, format!("{shown} was committed: commit {commit} touched it"), next);
    }
    if ask(&["rev-parse", "--is-shallow-repository"]).await.as_deref() != Some("false") {
        let saw = format!("{shown} is not tracked, but only a part of the history is here");
        return unknown(wanted, saw, "git fetch --unshallow, then run it again.");
    }
    passed(wanted, format!("{shown} is not tracked and stands in no commit"))
}

/// The path of a file relative to a directory around it; `None` when it lies outside. Neither the file
/// nor the directories towards it need exist any more.
fn within(root: &Path, path: &Path) -> Option<String> {
    let root = root.canonicalize().ok()?;
    // The file itself may be a link; git tracks the link, so only what leads to it is resolved.
    let existing = path.ancestors().skip(1).find_map(|a| Some((a, a.canonicalize().ok()?)));
    let (ancestor, resolved) = existing?;
    let whole = resolved.join(path.strip_prefix(ancestor).ok()?);
    let inside = whole.strip_prefix(root).ok()?;
    inside.to_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
