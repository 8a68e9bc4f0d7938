//! All calls of git. The checked repository is not trusted: programs in its configuration and attributes (filters,
//! hooks, file system monitors, diff drivers, pagers, credential helpers, transports) are switched off, and every call
//! is limited in time and output.

mod ignored;
mod off;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use runner::bounded;
use runner::{Cmd, Exit, Session};
use system::files::off_thread;

pub use ignored::Ignored;
pub use tree::see;

/// Time limit of one call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of output.
const ANSWER_CAP: usize = 16 << 20;

/// The caller.
#[derive(Clone, Copy)]
pub enum Caller<'a> {
    /// The server itself.
    Server,
    /// A run: its supervisor must know every process.
    Run(&'a Session),
}

/// Why git failed; for people, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub(crate) String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A checkout, and the programs in its configuration.
pub struct Git<'a> {
    caller: Caller<'a>,
    dir: PathBuf,
    env: BTreeMap<String, String>,
    /// The filters that the configuration defines.
    filters: Vec<String>,
}

impl<'a> Git<'a> {
    /// The checkout that contains `dir`, if any.
    ///
    /// # Errors
    /// When git cannot be run, or the configuration cannot be read.
    pub async fn open(caller: Caller<'a>, dir: &Path) -> Result<Option<Git<'a>>, Fault> {
        let git_dirs: Vec<PathBuf> = dir.ancestors().map(|place| place.join(".git")).collect();
        if !looked_up(move || git_dirs.iter().any(|git| git.symlink_metadata().is_ok())).await? {
            return Ok(None);
        }
        let mut git = Git { caller, dir: dir.to_owned(), env: off::env(&[]), filters: Vec::new() };
        let listed = git.ask(&["config", "--list", "-z", "--name-only"]).await?;
        let listed = String::from_utf8_lossy(&listed);
        let keys: Vec<&str> = listed.split('\0').filter(|key| !key.is_empty()).collect();
        git.filters = off::filters(&keys);
        git.env = off::env(&keys);
        Ok(Some(git))
    }

    /// The output of git.
    ///
    /// # Errors
    /// When it fails, takes too long or writes too much.
    pub async fn ask(&self, args: &[&str]) -> Result<Vec<u8>, Fault> {
        let (exit, out, err) = self.call(args).await?;
        match exit {
            Exit::Code(0) => Ok(out),
            exit => Err(Fault(refusal(args, &exit, &err))),
        }
    }

    /// The output of git; `None` when it ends with a code other than 0, as it does for "no".
    ///
    /// # Errors
    /// When it takes too long or writes too much.
    pub async fn ask_if(&self, args: &[&str]) -> Result<Option<Vec<u8>>, Fault> {
        let (exit, out, err) = self.call(args).await?;
        match exit {
            Exit::Code(0) => Ok(Some(out)),
            Exit::Code(_) => Ok(None),
            exit => Err(Fault(refusal(args, &exit, &err))),
        }
    }

    async fn call(&self, args: &[&str]) -> Result<(Exit, Vec<u8>, String), Fault> {
        match self.caller {
            Caller::Server => {
                let mut out = Vec::new();
                let (exit, err) =
                    self.stream(args, ANSWER_CAP as u64, |piece| out.extend_from_slice(piece)).await?;
                Ok((exit, out, err))
            }
            Caller::Run(session) => {
                let mut cmd = Cmd::new(off::argv(args));
                cmd.cwd = Some(self.dir.clone());
                cmd.clear = true;
                cmd.timeout = Some(TIMEOUT);
                cmd.env.extend(self.env.clone());
                let (exit, out) = session.capture(cmd, ANSWER_CAP).await;
                let exit = if out.len() >= ANSWER_CAP { Exit::OutputCap } else { exit };
                Ok((exit, out, String::new()))
            }
        }
    }

    /// As [`Git::ask`], for the server, piece by piece.
    async fn stream(
        &self,
        args: &[&str],
        cap: u64,
        piece: impl FnMut(&[u8]),
    ) -> Result<(Exit, String), Fault> {
        let argv = off::argv(args);
        let mut command = tokio::process::Command::new("git");
        command.args(&argv[1..]).current_dir(&self.dir).env_clear().envs(off::base_env()).envs(&self.env);
        let answer = bounded::stream(command, TIMEOUT, cap, piece).await;
        let answer = answer.map_err(|error| Fault(format!("git cannot be run ({})", error.kind())))?;
        Ok((answer.exit, answer.err))
    }
}

/// Reads from the file system, off the async threads.
async fn looked_up<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    off_thread(look).await.map_err(|error| Fault(format!("the directory cannot be read ({error})")))
}

fn refusal(args: &[&str], exit: &Exit, err: &str) -> String {
    let what = args.iter().find(|arg| !arg.starts_with('-')).unwrap_or(&"");
    match exit {
        Exit::Timeout => format!("git {what} did not respond within {} seconds", TIMEOUT.as_secs()),
        Exit::OutputCap => format!("the output of git {what} is larger than {} MB", ANSWER_CAP >> 20),
        exit => {
            let line = err.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
            let line: String = line.trim_start_matches("fatal: ").chars().take(200).collect();
            if line.is_empty() {
                format!("git {what} failed ({exit})")
            } else {
                format!("git {what}: {line}")
            }
        }
    }
}

/// The commit that is checked out in `dir`; `None` outside of a checkout.
///
/// # Errors
/// When git fails, or there is no commit yet.
pub async fn head(caller: Caller<'_>, dir: &Path) -> Result<Option<String>, Fault> {
    let Some(git) = Git::open(caller, dir).await? else { return Ok(None) };
    let out = git.ask(&["rev-parse", "--verify", "--end-of-options", "HEAD^{commit}"]).await?;
    Ok(Some(String::from_utf8_lossy(&out).trim().to_owned()))
}

/// Whether git ignores `path`. A failure counts as no.
#[cfg(test)]
pub(crate) fn is_ignored(root: &Path, path: &Path) -> bool {
    Ignored::new(root).holds(path)
}

#[cfg(test)]
mod tests;
