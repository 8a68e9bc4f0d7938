//! The parts of a release as they are on disk now: commit, configuration, env file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use domain::release::{ReleaseComponent, ReleaseComponents};
use tokio::sync::Mutex;

use crate::error::{OrchestratorError, Result};
use crate::file_times::mode;
use crate::orchestrator::Orchestrator;
use crate::rendered::Rendered;
use crate::stack_files::StackFiles;
use secrets::{EnvSourceError, EnvVersion, Key};
use system::files::off_thread;

/// The configuration is read again after this time even if no known file has changed: a file may include
/// files that are not known here.
const RENDER_AGE: Duration = Duration::from_secs(30);

/// The parts that were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartsSeen {
    /// Commit, config and env; those that could not be read are absent. Images and runbook are never here.
    pub parts: ReleaseComponents,
    /// Subject line of the commit; empty when there is none.
    pub subject: String,
    /// The configuration; when the files are not valid now, the last valid one.
    pub rendered: Option<Arc<Rendered>>,
    /// What cannot be read, one sentence each.
    pub faults: Vec<String>,
    /// The directory does not exist.
    pub directory_missing: bool,
    /// Permissions of the env file, if the values are in one.
    pub env_mode: Option<u32>,
}

/// Reads the parts of one stack repeatedly, at little cost.
pub struct PartsReader {
    stack: Orchestrator,
    key: Key,
    cache: Mutex<Option<Cached>>,
    /// Git runs for one reader at a time, however many people act at the same moment.
    asking: Mutex<()>,
}

struct Cached {
    stamp: Stamp,
    at: Instant,
    result: Result<Arc<Rendered>, String>,
    last_good: Option<Arc<Rendered>>,
}

/// What the configuration is made from.
#[derive(Default, PartialEq)]
struct Stamp {
    files: Vec<(PathBuf, Option<(SystemTime, u64)>)>,
    env: Option<EnvVersion>,
}

impl PartsReader {
    /// A reader for `stack`. `key` belongs to this installation: with it the digests of the env file, and of the
    /// secrets in the configuration, reveal nothing.
    pub(crate) fn new(stack: Orchestrator, key: Key) -> Self {
        Self { stack, key, cache: Mutex::new(None), asking: Mutex::new(()) }
    }

    /// The stack that is read.
    pub(crate) fn stack(&self) -> &Orchestrator {
        &self.stack
    }

    /// Reads the parts. A part that cannot be read is absent and reported in `faults`.
    pub async fn read(&self) -> PartsSeen {
        let mut seen = PartsSeen::default();
        let dir = self.stack.dir().to_owned();
        seen.directory_missing = off_thread(move || !dir.is_dir()).await.unwrap_or_default();
        let (now, last_good) = self.rendering().await;
        match now {
            Ok(rendered) => {
                seen.parts.values.insert(ReleaseComponent::Config, rendered.digest.clone());
            }
            Err(fault) => seen.faults.push(fault),
        }
        seen.rendered = last_good;
        // Without a declared env file and without a `.env`, Compose reads an empty text.
        let (env, env_mode) = read_env(self.stack.files().clone()).await;
        seen.env_mode = env_mode;
        match env {
            Ok(Some(env)) => drop(seen.parts.values.insert(ReleaseComponent::Env, self.key.digest(&env))),
            // A missing file is reported where it is needed.
            Ok(None) => {}
            Err(fault) => seen.faults.push(fault),
        }
        let commit = {
            let _one = self.asking.lock().await;
            git::see(self.stack.dir()).await
        };
        match commit {
            Ok(Some(found)) => {
                seen.parts.values.insert(ReleaseComponent::Commit, found.commit);
                seen.subject = found.subject;
                seen.faults.extend(found.faults);
            }
            Ok(None) => {}
            Err(fault) => seen.faults.push(format!("The commit cannot be read: {fault}.")),
        }
        seen
    }

    async fn rendering(&self) -> (Result<Arc<Rendered>, String>, Option<Arc<Rendered>>) {
        let mut cache = self.cache.lock().await;
        let project = self.stack.files().clone();
        let stamp = off_thread(move || stamp_of(&project)).await.unwrap_or_default();
        if let Some(cached) = cache.as_ref()
            && cached.stamp == stamp
            && cached.at.elapsed() < RENDER_AGE
        {
            return (cached.result.clone(), cached.last_good.clone());
        }
        let result = self.stack.render(&self.key).await.map(Arc::new);
        // A timeout of the tool may be temporary: it is not cached.
        let passing = matches!(result, Err(OrchestratorError::ToolStuck { .. }));
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
}

fn stamp_of(project: &StackFiles) -> Stamp {
    let mut paths = project.file_paths();
    paths.push(project.dir.clone());
    let of = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        // A directory's time changes with every file created in it; only its existence counts.
        let stamp = (meta.modified().ok()?, meta.len());
        Some(if meta.is_dir() { (SystemTime::UNIX_EPOCH, 0) } else { stamp })
    };
    let files = paths.into_iter().map(|path| (path.clone(), of(&path))).collect();
    Stamp { files, env: project.env_in_use().map(|source| source.version()) }
}

/// The text of the env source, `None` when there is none; and the permissions of its file.
async fn read_env(project: StackFiles) -> (Result<Option<Vec<u8>>, String>, Option<u32>) {
    let read = off_thread(move || match project.env_in_use() {
        Some(source) => (source.text(), source.own_file().and_then(mode), source.describe()),
        None => (Ok(Vec::new()), None, String::new()),
    });
    let (text, mode, shown) =
        read.await.unwrap_or_else(|error| (Err(EnvSourceError::Unreadable(error)), None, String::new()));
    let text = match text {
        Ok(text) => Ok(Some(text)),
        Err(EnvSourceError::Missing) => Ok(None),
        Err(error) => Err(format!("The env file {shown} cannot be read: {}.", io::Error::from(error))),
    };
    (text, mode)
}

fn sentence(error: &OrchestratorError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
