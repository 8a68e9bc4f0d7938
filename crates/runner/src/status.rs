//! The status of a run, and the small JSON files in which it is stored.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::dir::RunDir;
use super::error::{Result, RunnerError, is_disk_full};

/// How a run, or one command of it, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Exit {
    /// It ended by itself with this exit code.
    Code(i32),
    /// A signal from elsewhere ended it.
    Signal(i32),
    /// It exceeded its time limit.
    Timeout,
    /// A person stopped it.
    Cancelled {
        /// That person.
        by: String,
    },
    /// It exceeded its output limit.
    OutputCap,
    /// The disk was full: its output could not be stored, so it was stopped.
    DiskFull,
    /// Its output could not be stored for another reason, so it was stopped.
    LogFailed(String),
    /// It was not started; the text is the reason.
    NotStarted(String),
}

impl Exit {
    /// True only for exit code 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Timeout => f.write_str("stopped: time limit exceeded"),
            Self::Cancelled { by } => write!(f, "cancelled by {by}"),
            Self::OutputCap => f.write_str("stopped: output limit exceeded"),
            Self::DiskFull => f.write_str("stopped: the disk is full"),
            Self::LogFailed(why) => write!(f, "stopped: the output could not be stored ({why})"),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Its supervisor is about to start.
    Starting,
    /// Its supervisor is active.
    Running,
    /// It has ended and its outcome is known.
    Ended {
        /// How it ended.
        exit: Exit,
        /// When, milliseconds since 1970 UTC.
        ended_at_ms: u64,
    },
    /// Its supervisor died without recording how it ended: the outcome is unknown, never passed.
    Interrupted,
}

impl State {
    /// True when nothing more will happen.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Interrupted)
    }
}

/// The stored status of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The run's id.
    pub id: String,
    /// What it does, for people.
    pub title: String,
    /// Its state.
    #[serde(flatten)]
    pub state: State,
    /// When it was requested, milliseconds since 1970 UTC.
    pub created_at_ms: u64,
    /// When its supervisor began, milliseconds since 1970 UTC. Log times are relative to this.
    pub started_at_ms: Option<u64>,
    /// Process id of its supervisor.
    pub pid: Option<u32>,
    /// A remark for people, such as a result that could not be stored.
    pub note: Option<String>,
}

/// Reads a JSON file of the run; `None` when there is none yet.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(
    path: &Path,
    what: &'static str,
) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|source| RunnerError::Malformed { what, source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RunnerError::Io { what: "read a file of the run", path: path.to_owned(), source }),
    }
}

/// Replaces a JSON file of the run: readers see the old or the new text, never a part of it.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T, what: &'static str) -> Result<()> {
    let text = serde_json::to_vec(value).map_err(|source| RunnerError::Malformed { what, source })?;
    let tmp = path.with_extension(format!("tmp{}", std::process::id()));
    let put = || -> io::Result<()> {
        let mut file = private(&tmp)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&tmp, path)?;
        sync_parent(path)
    };
    put().map_err(|error| {
        // A half-written temporary file is useless and may occupy the last free blocks.
        let _ = fs::remove_file(&tmp);
        RunnerError::io("store a file of the run", path)(error)
    })
}

/// Opens a file for writing that only its owner may read.
pub(super) fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Disk space that is reserved in advance, so that the last status can be written when the disk is full.
pub(super) struct Reserve(File);

impl Reserve {
    const BYTES: u64 = 16 * 1024;

    /// Reserves the space. Zeros are written if the file system cannot reserve.
    pub(super) fn take(dir: &RunDir) -> Result<Self> {
        let path = dir.reserve();
        let take = || -> io::Result<File> {
            let mut file = private(&path)?;
            let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
            if rustix::fs::fallocate(&file, flags, 0, Self::BYTES).is_err() {
                file.write_all(&[0; Self::BYTES as usize])?;
                file.set_len(0)?;
                io::Seek::rewind(&mut file)?;
            }
            file.sync_all()?;
            Ok(file)
        };
        take().map(Self).map_err(RunnerError::io("reserve disk space for the outcome", &path))
    }

    /// Stores `status` as the final status of the run, in the reserved space.
    pub(super) fn finish(mut self, dir: &RunDir, status: &Status) -> Result<()> {
        let text =
            serde_json::to_vec(status).map_err(|source| RunnerError::Malformed { what: "status", source })?;
        let path = dir.status();
        let mut put = || -> io::Result<()> {
            self.0.write_all(&text)?;
            self.0.sync_all()?;
            fs::rename(dir.reserve(), &path)?;
            match sync_parent(&path) {
                // The rename is done; a directory that cannot be synced because the disk is full must not undo it.
                Err(error) if is_disk_full(&error) => Ok(()),
                other => other,
            }
        };
        put().map_err(RunnerError::io("store the outcome of the run", &path))
    }
}
