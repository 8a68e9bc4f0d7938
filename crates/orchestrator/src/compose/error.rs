//! Errors of Docker Compose and the Docker engine.

use std::io;
use std::path::PathBuf;

/// Shorthand of this module.
pub type Result<T, E = ComposeError> = std::result::Result<T, E>;

/// Why the stack could not be read or changed. The texts are for people and contain no secrets.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The project's directory does not exist.
    #[error("the project directory {} does not exist", .dir.display())]
    DirectoryMissing {
        /// Where it should be.
        dir: PathBuf,
    },
    /// The declared env file does not exist.
    #[error("the env file {} does not exist", .file.display())]
    EnvFileMissing {
        /// Where it should be.
        file: PathBuf,
    },
    /// The env file cannot be read or understood.
    #[error("the env file {} cannot be used: {why}", .file.display())]
    EnvFileInvalid {
        /// Which file.
        file: PathBuf,
        /// What is wrong, without any value.
        why: String,
    },
    /// Compose does not accept the project's files.
    #[error("the Compose file is not valid: {message}")]
    ComposeInvalid {
        /// The error message of Compose, secrets masked.
        message: String,
    },
    /// The `docker` command, or its `compose` plugin, is not installed.
    #[error("`docker compose` is not installed on this host")]
    ComposeMissing,
    /// Compose did not respond.
    #[error("`docker compose` did not respond: {why}")]
    ComposeStuck {
        /// How it ended.
        why: String,
    },
    /// The engine does not answer.
    #[error("the Docker engine cannot be reached: {why}")]
    Unreachable {
        /// What was tried and the result.
        why: String,
    },
    /// The engine refused the request.
    #[error("the Docker engine refused the request ({status}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its message.
        message: String,
    },
    /// The engine sent a response that cannot be interpreted.
    #[error("the Docker engine sent an unexpected response: {why}")]
    Strange {
        /// What was wrong with it.
        why: String,
    },
    /// The engine's response was not read to its end.
    #[error(
        "the response of the Docker engine is longer than {} MB and was not read; check that DOCKER_HOST is the \
         address of a Docker engine",
        .max_bytes >> 20
    )]
    TooLong {
        /// Most bytes of such a response.
        max_bytes: u64,
    },
    /// A tag or name that Docker would not accept.
    #[error("{name:?} cannot be used as {what}")]
    BadName {
        /// Its purpose.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A file of ours could not be read or written.
    #[error("could not {what}: {}", .source.kind())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Which file; not part of the public text.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ComposeError {
    /// Whether the engine did not respond at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Makes an I/O error into one of this kind: what was done, and where.
    pub fn io(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
