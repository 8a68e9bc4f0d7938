//! The repository: a clean working tree, the commit that is checked out, files that must never have been committed.

use std::path::Path;

use domain::check::{CheckSpec, GitAssert};
use domain::evidence::Finding;

use super::changed_files::TrackedFiles;
use super::finding::{brief, count_of, failed, names, passed, unknown};
use super::probe::Probe;
use git::{Caller, Git};

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::Git { assert, path, commit, branch, tag } = &probe.work.check.spec else {
        return unknown("a repository", "this is not a git check", "Correct the check in stagegate.toml.");
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
                "Add one of `commit`, `branch` and `tag` to the check.",
            ),
        },
        GitAssert::Untracked => match path {
            Some(path) => never_committed(probe, Path::new(path), path).await,
            None => unknown(
                "a file that was never committed",
                "the check names no file",
                "Add `path` to the check.",
            ),
        },
    }
}

const NO_REPOSITORY: &str = "the stack directory is not in a git repository, or git failed";
const CLONE: &str = "Clone the repository instead of copying its files. The run's log has the output of git.";

/// The repository that contains the stack's directory; `None` when there is none, or git fails.
async fn repository<'a>(probe: &Probe<'a>, dir: &Path) -> Option<Git<'a>> {
    Git::open(Caller::Run(probe.session), dir).await.ok()?
}

async fn clean(probe: &Probe<'_>) -> Finding {
    let dir = probe.work.stack.dir();
    let wanted = "a commit, and no tracked file differs from it";
    probe.say("Asking git for the commit and for modified tracked files.");
    let Some(files) = TrackedFiles::of(probe.session, dir).await else {
        return unknown(wanted, NO_REPOSITORY, CLONE);
    };
    let Some(git) = repository(probe, dir).await else { return unknown(wanted, NO_REPOSITORY, CLONE) };
    let Ok(head) = git.ask(&["rev-parse", "--verify", "--short=7", "HEAD"]).await else {
        return failed(wanted, "the repository has no commit", "Commit the files to release.");
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
                "{head}; not compared: {} (they use a git filter, which is not run by this check)",
                names(&unsure)
            ),
            "Run git status in the directory as its owner, then run the check again.",
        );
    }
    failed(
        wanted,
        format!(
            "{head}, {}: {}",
            count_of(paths.len(), "tracked file differs", "tracked files differ"),
            names(&paths)
        ),
        "Commit the changes, or discard them with git restore.",
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

    /// The references under which git may have it, local first.
    fn places(self, name: &str) -> Vec<String> {
        match self {
            Pin::Commit => vec![name.to_owned()],
            Pin::Branch => vec![format!("refs/heads/{name}"), format!("refs/remotes/origin/{name}")],
            Pin::Tag => vec![format!("refs/tags/{name}")],
        }
    }

    /// Whether a name is safe to pass to git: it must not be an option or a range.
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

/// Whether HEAD is the commit that the check names.
async fn at(probe: &Probe<'_>, pin: Pin, declared: &str) -> Finding {
    let dir = probe.work.stack.dir();
    let kind = pin.label();
    let name = match probe.names.fill(declared) {
        Ok(filled) => filled.text,
        Err(error) => {
            return unknown(
                format!("the declared {kind}"),
                error.to_string(),
                "Correct the check in stagegate.toml.",
            );
        }
    };
    let wanted = format!("{kind} {name} checked out");
    if !pin.accepts(&name) {
        let next = match pin {
            Pin::Commit => "Write at least 7 hexadecimal digits of the commit.",
            _ => "Write the plain name, such as main or v1.2.0.",
        };
        return unknown(wanted, format!("“{}” is not a {kind} name", brief(&name, 60)), next);
    }
    probe.say(&format!("Asking git which commit is checked out, and for {kind} {name}."));
    let Some(git) = repository(probe, dir).await else { return unknown(wanted, NO_REPOSITORY, CLONE) };
    let resolve = async |what: &str| {
        let what = format!("{what}^{{commit}}");
        let args = ["rev-parse", "--verify", "--quiet", &what];
        let answer = git.ask_if(&args).await.ok()??;
        Some(String::from_utf8_lossy(&answer).trim().to_owned())
    };
    let Some(head) = resolve("HEAD").await else {
        return failed(wanted, "the repository has no commit", "Check out the release.");
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
            failed(wanted, saw, format!("Run git checkout {name}, then deploy."))
        }
        // Not the commit that is checked out, even if it is unknown.
        None if pin == Pin::Commit && !head.starts_with(&name.to_lowercase()) => failed(
            wanted,
            format!("{} is checked out; {name} does not exist in this repository", short(&head)),
            format!("Run git fetch, then git checkout {name}."),
        ),
        None => unknown(
            wanted,
            format!("{kind} {name} does not exist in this repository"),
            "Run git fetch --tags, or correct the name.",
        ),
    }
}

/// Whether `path` (relative to the stack's directory, or absolute) is neither tracked nor in any commit.
pub(super) async fn never_committed(probe: &Probe<'_>, path: &Path, shown: &str) -> Finding {
    let dir = probe.work.stack.dir();
    let wanted = format!("{shown} is not tracked by git and is not in any commit");
    probe.say(&format!("Asking git whether {shown} is or was tracked."));
    let Some(git) = repository(probe, dir).await else { return unknown(wanted, NO_REPOSITORY, CLONE) };
    let Ok(root) = git.top().await else { return unknown(wanted, NO_REPOSITORY, CLONE) };
    let Some(inside) = within(&root, &dir.join(path)) else {
        return passed(wanted, format!("{shown} is outside the repository"));
    };
    let spec = format!(":(top,literal){inside}");
    let ask = async |args: &[&str]| {
        let answer = git.ask(args).await.ok()?;
        Some(String::from_utf8_lossy(&answer).trim().to_owned())
    };
    let Some(tracked) = ask(&["ls-files", "--", &spec]).await else {
        return unknown(wanted, "git could not list the tracked files", CLONE);
    };
    if !tracked.is_empty() {
        let next =
            format!("Run git rm --cached {shown}, commit, and replace every secret that was in the file.");
        return failed(wanted, format!("{shown} is tracked by git"), next);
    }
    let log = ["log", "--all", "--full-history", "-1", "--format=%h", "--", &spec];
    let Some(commit) = ask(&log).await else {
        return unknown(wanted, "git could not read the history", CLONE);
    };
    if !commit.is_empty() {
        let next = "Replace every secret that was in the file. Remove it from the history if possible.";
        return failed(wanted, format!("{shown} was committed in {commit}"), next);
    }
    if ask(&["rev-parse", "--is-shallow-repository"]).await.as_deref() != Some("false") {
        let saw = format!("{shown} is not tracked, but the repository has only a part of the history");
        return unknown(wanted, saw, "Run git fetch --unshallow, then run the check again.");
    }
    passed(wanted, format!("{shown} is not tracked and is not in any commit"))
}

/// The path of a file relative to a directory that contains it; `None` when it is outside. Neither the file
/// nor its parent directories need to exist.
fn within(root: &Path, path: &Path) -> Option<String> {
    let root = root.canonicalize().ok()?;
    // The file itself may be a link; git tracks the link, so only its parent directories are resolved.
    let existing = path.ancestors().skip(1).find_map(|a| Some((a, a.canonicalize().ok()?)));
    let (ancestor, resolved) = existing?;
    let whole = resolved.join(path.strip_prefix(ancestor).ok()?);
    let inside = whole.strip_prefix(root).ok()?;
    inside.to_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
