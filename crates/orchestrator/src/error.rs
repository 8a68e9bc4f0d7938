//! Why the stack could not be read or changed. The texts name the tools that people know from the command line.

use std::io;
use std::path::PathBuf;

/// Shorthand of this crate.
pub type Result<T, E = OrchestratorError> = std::result::Result<T, E>;

/// Why the stack could not be read or changed. The texts are for people and contain no secrets.
#[derive(Debug, thiserror::Error)]
pub enum OrchestratorError {
    /// The stack's directory does not exist.
    #[error("the project directory {} does not exist", .dir.display())]
    DirectoryMissing {
        /// Where it should be.
        dir: PathBuf,
    },
    /// The declared env source does not exist.
    #[error("the env file {file} does not exist")]
    EnvFileMissing {
        /// Its name for people.
        file: String,
    },
    /// The env source cannot be read or understood.
    #[error("the env file {file} cannot be used: {why}")]
    EnvFileInvalid {
        /// Its name for people.
        file: String,
        /// What is wrong, without any value.
        why: String,
    },
    /// The tool does not accept the stack's files.
    #[error("the Compose file is not valid: {message}")]
    DefinitionInvalid {
        /// Its error message, secrets masked.
        message: String,
    },
    /// The command-line tool is not installed.
    #[error("`docker compose` is not installed on this host")]
    ToolMissing,
    /// The command-line tool wrote something else than was asked for.
    #[error("the output of `docker compose` cannot be used: {why}")]
    ToolOutput {
        /// What it is.
        why: String,
    },
    /// The command-line tool did not respond.
    #[error("`docker compose` did not respond: {why}")]
    ToolStuck {
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
    UnexpectedResponse {
        /// What was wrong with it.
        why: String,
    },
    /// The engine's response was not read to its end.
    #[error(
        "the response of the Docker engine is longer than {} MB and was not read; check that DOCKER_HOST is the \
         address of a Docker engine",
        .max_bytes >> 20
    )]
    ResponseTooLong {
        /// Most bytes of such a response.
        max_bytes: u64,
    },
    /// A tag or name that the engine would not accept.
    #[error("{name:?} cannot be used as {what}")]
    InvalidName {
        /// Its purpose.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A command inside of a container failed.
    #[error("the command in the container failed (exit code {code})")]
    CommandFailed {
        /// Its exit code.
        code: i64,
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

impl OrchestratorError {
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
