//! The repository: a clean tree on a commit, the commit that is checked out, and files that must never have been committed.

use std::path::Path;

use domain::check::{CheckSpec, GitAssert};
use domain::evidence::Finding;

use super::changed_files::TrackedFiles;
use super::finding::{brief, failed, names, passed, unknown};
use super::probe::Probe;
use git::{Caller, Git};

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::Git { assert, path, commit, branch, tag } = &probe.work.check.spec else {
        return unknown("a repository", "this check is about no repository", "Correct the declaration.");
    };
    match assert {
        GitAssert::Clean => clean(probe).await,
        GitAssert::At => match (commit, branch, tag) {
            (Some(commit), None, None) => at(probe, Pin::Commit, commit).await,
            (None, Some(branch), None) => at(probe, Pin::Branch, branch).await,
            (None, None, Some(tag)) => at(probe, Pin::Tag, tag).await,
            _ => unknown(
                "a declared commit, branch or tag",
                "the check does not name exactly one commit, branch or tag",
                "Give the check one of `commit`, `branch` and `tag`.",
            ),
        },
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

/// The repository around the stack's directory; `None` when there is none, or git does not answer.
async fn repository<'a>(probe: &Probe<'a>, dir: &Path) -> Option<Git<'a>> {
    Git::open(Caller::Run(probe.session), dir).await.ok()?
}

async fn clean(probe: &Probe<'_>) -> Finding {
    let dir = &probe.work.project.dir;
    let wanted = "a commit, and no tracked file that differs from it";
    probe.say("Asks git for the commit and for tracked files that differ.");
    let Some(files) = TrackedFiles::of(probe.session, dir).await else {
        return unknown(wanted, NO_REPOSITORY, CLONE);
    };
    let Some(git) = repository(probe, dir).await else { return unknown(wanted, NO_REPOSITORY, CLONE) };
    let Ok(head) = git.ask(&["rev-parse", "--verify", "--short=7", "HEAD"]).await else {
        return failed(wanted, "the repository has no commit", "Commit what is to be released.");
    };
    let head = String::from_utf8_lossy(&head).trim().to_owned();
    let paths: Vec<&str> = files.paths().collect();
    if paths.is_empty() {
        return passed(wanted, format!("{head}, no tracked file differs"));
    }
    let unsure: Vec<&str> = files.unsure().collect();
    if unsure.len() == paths.len() {
        return unknown(
            wanted,
            format!(
                "{head}; whether {} differ is unknown: they pass through a Git filter, which is not run here",
                names(&unsure)
            ),
            "Run git status in the directory as its owner, then run this check again.",
        );
    }
    failed(
        wanted,
        format!("{head}, and {} tracked files differ: {}", paths.len(), names(&paths)),
        "Commit the changes, or undo them with git restore.",
    )
}

/// What HEAD is compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pin {
    Commit,
    Branch,
    Tag,
}

impl Pin {
    fn label(self) -> &'static str {
        match self {
            Pin::Commit => "commit",
            Pin::Branch => "branch",
            Pin::Tag => "tag",
        }
    }

    /// Where git may know it, the nearest first.
    fn places(self, name: &str) -> Vec<String> {
        match self {
            Pin::Commit => vec![name.to_owned()],
            Pin::Branch => vec![format!("refs/heads/{name}"), format!("refs/remotes/origin/{name}")],
            Pin::Tag => vec![format!("refs/tags/{name}")],
        }
    }

    /// Whether a name may be given to git: it must be no option and no range.
    fn accepts(self, name: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+' | '@');
        match self {
            Pin::Commit => (7..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_hexdigit()),
            _ => {
                !name.starts_with('-') && !name.contains("..") && !name.is_empty() && name.chars().all(plain)
            }
        }
    }
}

/// Whether HEAD is the commit that a declaration names.
async fn at(probe: &Probe<'_>, pin: Pin, declared: &str) -> Finding {
    let dir = &probe.work.project.dir;
    let kind = pin.label();
    let name = match probe.names.fill(declared) {
        Ok(filled) => filled.text,
        Err(error) => {
            return unknown(format!("the declared {kind}"), error.to_string(), "Correct the declaration.");
        }
    };
    let wanted = format!("{kind} {name} checked out");
    if !pin.accepts(&name) {
        let next = match pin {
            Pin::Commit => "Write at least 7 hexadecimal digits of the commit.",
            _ => "Write the plain name, such as main or v1.2.0.",
        };
        return unknown(wanted, format!("“{}” is no {kind}", brief(&name, 60)), next);
    }
    probe.say(&format!("Asks git which commit is checked out, and which one {kind} {name} is."));
    let Some(git) = repository(probe, dir).await else { return unknown(wanted, NO_REPOSITORY, CLONE) };
    let resolve = async |what: &str| {
        let what = format!("{what}^{{commit}}");
        let args = ["rev-parse", "--verify", "--quiet", &what];
        let answer = git.ask_if(&args).await.ok()??;
        Some(String::from_utf8_lossy(&answer).trim().to_owned())
    };
    let Some(head) = resolve("HEAD").await else {
        return failed(wanted, "the repository has no commit", "Check the release out.");
    };
    let mut pinned = None;
    for place in pin.places(&name) {
        if let Some(commit) = resolve(&place).await {
            pinned = Some((place, commit));
            break;
        }
    }
    let short = |commit: &str| commit.chars().take(7).collect::<String>();
    match pinned {
        Some((_, commit)) if commit == head => passed(wanted, format!("{} is checked out", short(&head))),
        Some((place, commit)) => {
            let from = if place.starts_with("refs/remotes/") { " (as last fetched)" } else { "" };
            let saw = format!("{} is checked out; {kind} {name} is {}{from}", short(&head), short(&commit));
            failed(wanted, saw, format!("git checkout {name}, then deploy what it holds."))
        }
        // Another commit than the one checked out, whatever it is.
        None if pin == Pin::Commit && !head.starts_with(&name.to_lowercase()) => failed(
            wanted,
            format!("{} is checked out; {name} is not known in this repository", short(&head)),
            format!("git fetch, then git checkout {name}."),
        ),
        None => unknown(
            wanted,
            format!("no {kind} {name} is known in this repository"),
            "git fetch --tags, or correct the name.",
        ),
    }
}

/// Whether `path` (relative to the stack's directory, or absolute) is neither tracked nor in any commit.
pub(super) async fn never_committed(probe: &Probe<'_>, path: &Path, shown: &str) -> Finding {
    let dir = &probe.work.project.dir;
    let wanted = format!("{shown} is not tracked by git and in no commit");
    probe.say(&format!("Asks git whether {shown} is or was ever tracked."));
    let Some(git) = repository(probe, dir).await else { return unknown(wanted, NO_REPOSITORY, CLONE) };
    let Ok(root) = git.top().await else { return unknown(wanted, NO_REPOSITORY, CLONE) };
    let Some(inside) = within(&root, &dir.join(path)) else {
        return passed(wanted, format!("{shown} lies outside the repository"));
    };
    let spec = format!(":(top,literal){inside}");
    let ask = async |args: &[&str]| {
        let answer = git.ask(args).await.ok()?;
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
