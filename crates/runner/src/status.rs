//! How a run stands, and the small JSON files that say so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::dir::RunDir;
use super::error::{Result, RunnerError, is_disk_full};

/// How a run, or one command of it, came to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Exit {
    /// It ended by itself with this exit code.
    Code(i32),
    /// A signal from elsewhere ended it.
    Signal(i32),
    /// It took longer than it may.
    Timeout,
    /// Somebody stopped it.
    Cancelled {
        /// Who did.
        by: String,
    },
    /// It wrote more than it may.
    OutputCap,
    /// The disk was full: its output could not be stored, so it was stopped.
    DiskFull,
    /// Its output could not be stored for another reason, so it was stopped.
    LogFailed(String),
    /// It never began; the text says why.
    NotStarted(String),
}

impl Exit {
    /// True for exit code 0 alone.
    pub fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Timeout => f.write_str("stopped: it took too long"),
            Self::Cancelled { by } => write!(f, "cancelled by {by}"),
            Self::OutputCap => f.write_str("stopped: it wrote more than it may"),
            Self::DiskFull => f.write_str("stopped: the disk is full"),
            Self::LogFailed(why) => write!(f, "stopped: its output could not be stored ({why})"),
            Self::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Its supervisor is about to begin.
    Starting,
    /// Its supervisor is at work.
    Running,
    /// It is over and its end is known.
    Ended {
        /// How it ended.
        exit: Exit,
        /// When, milliseconds since 1970 UTC.
        ended_at_ms: u64,
    },
    /// Its supervisor is gone without having said how it ended: the outcome is unknown, never passed.
    Interrupted,
}

impl State {
    /// True when nothing more will happen.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Interrupted)
    }
}

/// Everything the run says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The run's id.
    pub id: String,
    /// What it does, for people.
    pub title: String,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
    /// When it was asked for, milliseconds since 1970 UTC.
    pub created_at_ms: u64,
    /// When its supervisor began, milliseconds since 1970 UTC. Log times count from here.
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

/// Replaces a JSON file of the run: readers see the old or the new text, never a part.
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
        // A half-written spare file is of no use to anybody and may hold the last free blocks.
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

/// Room on disk, taken while there is some, in which the last status can be written when there is none.
pub(super) struct Reserve(File);

impl Reserve {
    const BYTES: u64 = 16 * 1024;

    /// Takes the room. Where the file system cannot reserve, zeros are written.
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
        take().map(Self).map_err(RunnerError::io("reserve room for the outcome", &path))
    }

    /// Makes `status` the last word on the run, from the reserved room.
    pub(super) fn finish(mut self, dir: &RunDir, status: &Status) -> Result<()> {
        let text =
            serde_json::to_vec(status).map_err(|source| RunnerError::Malformed { what: "status", source })?;
        let path = dir.status();
        let mut put = || -> io::Result<()> {
            self.0.write_all(&text)?;
            self.0.sync_all()?;
            fs::rename(dir.reserve(), &path)?;
            match sync_parent(&path) {
                // The rename is done; a directory that cannot be synced for lack of room must not undo it.
                Err(error) if is_disk_full(&error) => Ok(()),
                other => other,
            }
        };
        put().map_err(RunnerError::io("store the outcome of the run", &path))
    }
}
