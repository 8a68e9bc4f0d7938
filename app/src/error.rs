//! The one error that travels over the wire. Causes stay on the server.

use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

/// Why a server function did not do what it was asked. Short and without particulars: a plain form
/// post would carry it in a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AppError {
    /// Nobody is signed in.
    #[error("please sign in")]
    SignedOut,
    /// The rules do not allow it.
    #[error("you are not allowed to do this; the page says who is")]
    Refused,
    /// There is no such thing.
    #[error("this does not exist any more; please reload the page")]
    NotFound,
    /// What was typed cannot be used.
    #[error("what was entered cannot be used; please check the form")]
    Invalid,
    /// It does not fit what happened in between.
    #[error("this has changed in the meantime; please reload the page")]
    Conflict,
    /// Too many tries.
    #[error("too many attempts; please wait a moment and try again")]
    Throttled,
    /// Something outside does not work right now.
    #[error("this does not work right now; please try again later")]
    Unavailable,
    /// Something went wrong on our side; `0` is what to tell an admin: it names the reference in the log.
    #[error("{0}")]
    Internal(String),
    /// The request could not be read.
    #[error("the form could not be read; please reload the page")]
    Unreadable,
}

impl FromServerFnError for AppError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Args(_)
            | ServerFnErrorErr::MissingArg(_)
            | ServerFnErrorErr::Deserialization(_)
            | ServerFnErrorErr::UnsupportedRequestMethod(_) => AppError::Unreadable,
            other => internal(&other),
        }
    }
}

#[cfg(feature = "ssr")]
fn internal(error: &ServerFnErrorErr) -> AppError {
    AppError::from(engine::Error::internal(error))
}

#[cfg(not(feature = "ssr"))]
fn internal(_: &ServerFnErrorErr) -> AppError {
    AppError::Internal("something went wrong; please try again".to_owned())
}

#[cfg(feature = "ssr")]
impl From<engine::Error> for AppError {
    fn from(error: engine::Error) -> AppError {
        use engine::ErrorKind;
        match error.kind() {
            ErrorKind::SignedOut => AppError::SignedOut,
            ErrorKind::Refused => AppError::Refused,
            ErrorKind::NotFound => AppError::NotFound,
            ErrorKind::Invalid => AppError::Invalid,
            ErrorKind::Conflict => AppError::Conflict,
            ErrorKind::Throttled => AppError::Throttled,
            ErrorKind::Unavailable => AppError::Unavailable,
            ErrorKind::Internal => AppError::Internal(error.public()),
        }
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use engine::Error;

    use super::*;

    #[test]
    fn each_kind_of_error_says_what_is_the_case() {
        for (error, want) in [
            (Error::signed_out(), "please sign in"),
            (Error::refused("x"), "you are not allowed"),
            (Error::not_found("x"), "does not exist"),
            (Error::invalid("x"), "cannot be used"),
            (Error::conflict("x"), "has changed"),
            (Error::throttled("x"), "too many attempts"),
            (Error::unavailable("x"), "does not work right now"),
            (Error::internal("x"), "the log has it under"),
        ] {
            let said = AppError::from(error).to_string();
            assert!(said.contains(want), "{said}");
        }
        let read = |error| AppError::from_server_fn_error(error);
        assert_eq!(read(ServerFnErrorErr::MissingArg("key".to_owned())), AppError::Unreadable);
        assert!(matches!(read(ServerFnErrorErr::ServerError("x".to_owned())), AppError::Internal(_)));
    }
}
