//! The engine's error: a public message for people apart from the private detail for the log.

use std::fmt::Display;

/// What kind of error it is; the server makes an HTTP status of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such thing.
    NotFound,
    /// What was typed cannot be used.
    Invalid,
    /// Nobody is signed in.
    SignedOut,
    /// The rules do not allow it.
    Refused,
    /// It does not fit what happened in between.
    Conflict,
    /// Too many tries.
    Throttled,
    /// Something outside (engine, disk, directory) does not work right now.
    Unavailable,
    /// A fault of our own; the message holds a reference into the log.
    Internal,
}

/// Why something was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{public}")]
pub struct Error {
    kind: ErrorKind,
    public: String,
}

impl Error {
    fn new(kind: ErrorKind, public: impl Into<String>) -> Error {
        Error { kind, public: public.into() }
    }

    /// There is no such thing: `run 12 was not found`.
    pub fn not_found(what: impl Display) -> Error {
        Error::new(ErrorKind::NotFound, format!("{what} was not found"))
    }

    /// What was typed cannot be used; say what to type instead.
    pub fn invalid(why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, why)
    }

    /// The rules do not allow it; say which rule.
    pub fn refused(why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Refused, why)
    }

    /// It does not fit what happened in between; say what.
    pub fn conflict(why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Conflict, why)
    }

    /// Too many tries.
    pub fn throttled(why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Throttled, why)
    }

    /// Something outside does not work right now; say what and how to mend it.
    pub fn unavailable(why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unavailable, why)
    }

    /// Nobody is signed in.
    pub fn signed_out() -> Error {
        Error::new(ErrorKind::SignedOut, "Please sign in.")
    }

    /// A fault of our own. The cause goes to the log under a reference, the reference to people.
    pub fn internal(cause: impl Display) -> Error {
        let reference = auth::short_reference();
        tracing::error!(%reference, %cause, "internal error");
        Error::new(
            ErrorKind::Internal,
            format!("Something went wrong on our side; the log has it under {reference}."),
        )
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message for people; holds no secret and no command output.
    pub fn public(&self) -> String {
        self.public.clone()
    }
}

impl From<store::StoreError> for Error {
    fn from(error: store::StoreError) -> Error {
        use store::StoreError;
        match &error {
            StoreError::Full | StoreError::Busy | StoreError::Io(_) | StoreError::Closed => {
                tracing::error!(error = ?error, "the store is not available");
                Error::unavailable(sentence(&error.to_string()))
            }
            _ => Error::internal(format!("{error:?}")),
        }
    }
}

impl From<store::people::PersonError> for Error {
    fn from(error: store::people::PersonError) -> Error {
        use store::people::PersonError;
        match error {
            PersonError::Store(e) => e.into(),
            changed @ (PersonError::RolesChanged(_) | PersonError::PasswordChanged) => {
                Error::conflict(sentence(&changed.to_string()))
            }
            last @ PersonError::LastAdmin => Error::refused(sentence(&last.to_string())),
            other => Error::invalid(sentence(&other.to_string())),
        }
    }
}

impl From<store::invitations::InvitationError> for Error {
    fn from(error: store::invitations::InvitationError) -> Error {
        use store::invitations::InvitationError;
        match error {
            InvitationError::Store(e) => e.into(),
            taken @ InvitationError::LoginTaken(_) => Error::refused(sentence(&taken.to_string())),
            other => Error::conflict(sentence(&other.to_string())),
        }
    }
}

impl From<store::links::LinkError> for Error {
    fn from(error: store::links::LinkError) -> Error {
        match error {
            store::links::LinkError::Store(e) => e.into(),
            taken @ store::links::LinkError::LoginTaken(_) => Error::conflict(sentence(&taken.to_string())),
            other => Error::new(ErrorKind::NotFound, sentence(&other.to_string())),
        }
    }
}

impl From<auth::passwords::PasswordError> for Error {
    fn from(error: auth::passwords::PasswordError) -> Error {
        match error {
            auth::passwords::PasswordError::Busy => Error::throttled(sentence(&error.to_string())),
            other => Error::internal(format!("{other:?}")),
        }
    }
}

impl From<runner::RunnerError> for Error {
    fn from(error: runner::RunnerError) -> Error {
        Error::internal(format!("{error:?}"))
    }
}

/// With a capital and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let head: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    format!("{head}{}.", chars.as_str().trim_end_matches('.'))
}
