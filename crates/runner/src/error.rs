//! What can go wrong around a run. The messages are fit for people; paths and causes stay in the fields.

use std::io;
use std::path::{Path, PathBuf};

use secrets::env_file::EnvFileError;
use secrets::redact::TooManySecrets;

/// Result of the runner's functions.
pub type Result<T> = std::result::Result<T, RunnerError>;

/// Why something about a run could not be done. Displayed, it names no path and no value.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// There is no run in that directory.
    #[error("the run was not found")]
    NotFound {
        /// The directory that was looked at.
        dir: PathBuf,
    },
    /// An id that cannot name a directory safely.
    #[error("a run id consists of 1 to 64 letters, digits, '-' or '_'")]
    BadId(String),
    /// The id is taken.
    #[error("a run with the id {0} exists already")]
    Exists(String),
    /// Another supervisor has this run.
    #[error("the run is supervised already")]
    Supervised,
    /// The run has ended, or was never started in time, and cannot be started again.
    #[error("the run cannot be started any more")]
    Over,
    /// The disk, or the system, refused.
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
    /// A file of the run holds something else than it should.
    #[error("the {what} of the run cannot be understood")]
    Malformed {
        /// Which file.
        what: &'static str,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
    /// The env file cannot be used.
    #[error("the env file cannot be used: {0}")]
    EnvFile(#[from] EnvFileError),
    /// The secrets of the env file are more than the matcher can hold.
    #[error(transparent)]
    Secrets(#[from] TooManySecrets),
}

impl RunnerError {
    /// Whether it may go away by itself, such as a full disk or too many open files. Damage, missing files and missing
    /// rights do not.
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

/// Whether an error means that no more can be stored.
pub(super) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
