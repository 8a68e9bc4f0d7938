//! Errors of runs. The messages are for people; paths and causes are in the fields.

use std::io;
use std::path::{Path, PathBuf};

use secrets::EnvSourceError;
use secrets::redact::TooManySecrets;

/// Result of the runner's functions.
pub type Result<T> = std::result::Result<T, RunnerError>;

/// Why an operation on a run failed. The displayed text contains no path and no value.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// There is no run in that directory.
    #[error("the run was not found")]
    NotFound {
        /// The directory that was searched.
        dir: PathBuf,
    },
    /// An id that cannot be used as the name of a directory.
    #[error("a run id consists of 1 to 64 letters, digits, '-' or '_'")]
    BadId(String),
    /// The id is already in use.
    #[error("a run with the id {0} already exists")]
    Exists(String),
    /// The run already has a supervisor.
    #[error("the run already has a supervisor")]
    Supervised,
    /// The run has ended, or was not started in time, and can no longer be started.
    #[error("the run can no longer be started")]
    Over,
    /// An operation of the file system failed.
    #[error("could not {what}")]
    Io {
        /// The action, as the rest of a sentence beginning with "could not".
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file of the run has unexpected content.
    #[error("the {what} of the run cannot be understood")]
    Malformed {
        /// Which file.
        what: &'static str,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// The env source cannot be used.
    #[error("the env file cannot be used: {0}")]
    EnvSource(#[from] EnvSourceError),
    /// There are more secrets than can be masked.
    #[error(transparent)]
    Secrets(#[from] TooManySecrets),
}

impl RunnerError {
    /// Whether it may be temporary, such as a full disk or too many open files. Damage, missing files and missing
    /// permissions are not.
    pub fn is_transient(&self) -> bool {
        use io::ErrorKind::{
            InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied, UnexpectedEof,
        };
        let lasting = [InvalidData, IsADirectory, NotADirectory, NotFound, PermissionDenied, UnexpectedEof];
        matches!(self, Self::Io { source, .. } if !lasting.contains(&source.kind()))
    }

    /// Makes an I/O error into one of this kind: what was done, and where.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// Whether an error means that the disk is full.
pub(super) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
