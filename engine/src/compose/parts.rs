//! The parts of a release as they lie on disk now: commit, configuration, env file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use domain::digest::sha256_hex;
use domain::release::{Part, Parts};
use tokio::sync::Mutex;

use super::error::{ComposeError, Result};
use super::keyed::Key;
use super::project::Project;
use super::render::{Rendered, render};
use super::stamps::mode;
use super::tool::{Answer, Tool};

/// A rendering is asked for again after so long even if no known file changed: a Compose file may include
/// others that are not known here.
const RENDER_AGE: Duration = Duration::from_secs(30);

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartsSeen {
    /// Commit, config and env; those that could not be read are absent. Images and runbook are never here.
    pub parts: Parts,
    /// Subject line of the commit; empty when there is none.
    pub subject: String,
    /// The rendering; when the files are not valid now, the last one that was.
    pub rendered: Option<Arc<Rendered>>,
    /// What cannot be read, one sentence each.
    pub faults: Vec<String>,
    /// Permissions of the env file, when there is one.
    pub env_mode: Option<u32>,
}

/// Reads the parts of one project again and again, at little cost.
pub struct PartsReader {
    project: Project,
    key: Key,
    cache: Mutex<Option<Cached>>,
}

struct Cached {
    stamp: Stamp,
    at: Instant,
    result: Result<Arc<Rendered>, String>,
    last_good: Option<Arc<Rendered>>,
}

type Stamp = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

impl PartsReader {
    /// A reader for `project`. `key` belongs to this installation: it makes the digest of the env file, and of
    /// the secrets in the configuration, tell nothing.
    pub fn new(project: Project, key: Key) -> Self {
        Self { project, key, cache: Mutex::new(None) }
    }

    /// The project that is read.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Reads the parts. What cannot be read is absent and named among the faults.
    pub async fn read(&self) -> PartsSeen {
        let mut seen = PartsSeen::default();
        let (now, last_good) = self.rendering().await;
        match now {
            Ok(rendered) => {
                seen.parts.values.insert(Part::Config, rendered.digest.clone());
            }
            Err(fault) => seen.faults.push(fault),
        }
        seen.rendered = last_good;
        // Without a declared env file and without a `.env`, the empty text is what Compose reads.
        let env = match self.project.env_path() {
            Some(file) => tokio::fs::read(file).await.ok(),
            None => Some(Vec::new()),
        };
        seen.env_mode = self.project.env_path().and_then(|file| mode(&file));
        if let Some(env) = env {
            seen.parts.values.insert(Part::Env, self.key.digest(&env));
        }
        if let Some((commit, subject)) = commit(&self.project.dir).await {
            seen.parts.values.insert(Part::Commit, commit);
            seen.subject = subject;
        }
        seen
    }

    async fn rendering(&self) -> (Result<Arc<Rendered>, String>, Option<Arc<Rendered>>) {
        let mut cache = self.cache.lock().await;
        let stamp = self.stamp();
        if let Some(cached) = cache.as_ref()
            && cached.stamp == stamp
            && cached.at.elapsed() < RENDER_AGE
        {
            return (cached.result.clone(), cached.last_good.clone());
        }
        let result = render(&self.project, &self.key).await.map(Arc::new);
        // Compose that gave no answer once may give one next time: that is not remembered.
        let passing = matches!(result, Err(ComposeError::ComposeStuck { .. }));
        let result = result.map_err(|error| sentence(&error));
        let before = cache.take().and_then(|cached| cached.last_good);
        let last_good = result.as_ref().ok().cloned().or(before);
        let at = if passing { Instant::now().checked_sub(RENDER_AGE) } else { Some(Instant::now()) };
        *cache = Some(Cached {
            stamp,
            at: at.unwrap_or_else(Instant::now),
            result: result.clone(),
            last_good: last_good.clone(),
        });
        (result, last_good)
    }

    fn stamp(&self) -> Stamp {
        let mut paths = self.project.file_paths();
        paths.extend(self.project.env_path());
        paths.push(self.project.dir.clone());
        let of = |path: &Path| {
            let meta = std::fs::metadata(path).ok()?;
            // A directory's time changes with every file made in it; only whether it is there counts.
            let stamp = (meta.modified().ok()?, meta.len());
            Some(if meta.is_dir() { (SystemTime::UNIX_EPOCH, 0) } else { stamp })
        };
        paths.into_iter().map(|path| (path.clone(), of(&path))).collect()
    }
}

fn sentence(error: &ComposeError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// Commit and subject of the checkout that `dir` lies in. When tracked files below `dir` differ from the commit,
/// `+dirty:` and a digest of the difference follow it. `None` without git, or outside of a checkout.
async fn commit(dir: &Path) -> Option<(String, String)> {
    let head = git(dir, &["log", "-1", "--no-show-signature", "--format=%H%n%s"]).await?;
    let head = String::from_utf8_lossy(&head).into_owned();
    let (commit, subject) = head.split_once('\n')?;
    let status = git(dir, &["status", "--porcelain", "--untracked-files=no", "--", "."]).await?;
    if status.is_empty() {
        return Some((commit.to_owned(), subject.trim().to_owned()));
    }
    let mut changes = status;
    changes
        .extend(git(dir, &["diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--", "."]).await?);
    let digest: String = sha256_hex(&changes).chars().take(16).collect();
    Some((format!("{commit}+dirty:{digest}"), subject.trim().to_owned()))
}

async fn git(dir: &Path, words: &[&str]) -> Option<Vec<u8>> {
    // The checkout may belong to somebody else, and reading it must neither lock it nor run what it configures.
    const CAREFUL: [&str; 8] = [
        "git",
        "--no-optional-locks",
        "-c",
        "safe.directory=*",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
    ];
    let argv = CAREFUL.iter().chain(words).map(|word| (*word).to_owned()).collect();
    let Answer { exit, out, .. } = Tool::Direct.ask(argv, dir).await.ok()?;
    exit.is_success().then_some(out)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    fn run(dir: &Path, script: &str) {
        let identity =
            "-c user.name=T -c user.email=t@example.org -c init.defaultBranch=main -c commit.gpgsign=false";
        let script = script.replace("git ", &format!("git {identity} "));
        assert!(Command::new("sh").args(["-c", &script]).current_dir(dir).status().unwrap().success());
    }

    #[tokio::test]
    async fn a_changed_tracked_file_shows_and_an_untracked_one_does_not() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path();
        assert_eq!(commit(dir).await, None, "no checkout, no commit");
        fs::write(dir.join("a"), "1").unwrap();
        run(dir, "git init -q && git add a && git commit -qm 'First words'");
        let (clean, subject) = commit(dir).await.unwrap();
        assert_eq!((clean.len(), subject.as_str()), (40, "First words"));
        fs::write(dir.join("b"), "new").unwrap();
        assert_eq!(commit(dir).await.unwrap().0, clean);
        fs::write(dir.join("a"), "2").unwrap();
        let second = commit(dir).await.unwrap().0;
        assert!(second.starts_with(&format!("{clean}+dirty:")), "{second}");
        fs::write(dir.join("a"), "3").unwrap();
        let third = commit(dir).await.unwrap().0;
        assert_ne!(second, third, "another change is another release");
        fs::write(dir.join("a"), "1").unwrap();
        assert_eq!(commit(dir).await.unwrap().0, clean);
    }
}
