//! The error that is sent to the browser. Causes stay on the server.

use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

/// Why a server function refused a request. Short and without details, because a plain form post
/// would put it into a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AppError {
    /// The user is not signed in.
    #[error("you are not signed in; sign in and try again")]
    SignedOut,
    /// The rules do not allow it.
    #[error("you are not allowed to do this; the page shows who can do it")]
    Refused,
    /// The object does not exist.
    #[error("this was not found; reload the page")]
    NotFound,
    /// The input is not valid.
    #[error("the input is not valid; check the form")]
    Invalid,
    /// The state has changed since the page was shown.
    #[error("this has changed since the page was shown; reload the page")]
    Conflict,
    /// Too many attempts.
    #[error("too many attempts; wait a moment and try again")]
    Throttled,
    /// An external dependency is not available.
    #[error("this is not available at the moment; try again later")]
    Unavailable,
    /// An internal error; `0` is the message for the user, with the reference in the log.
    #[error("{0}")]
    Internal(String),
    /// The request could not be read.
    #[error("the form could not be read; reload the page")]
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
    AppError::Internal("an internal error occurred; try again".to_owned())
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
    fn each_kind_of_error_has_its_own_message() {
        for (error, want) in [
            (Error::signed_out(), "you are not signed in"),
            (Error::refused("x"), "you are not allowed"),
            (Error::not_found("x"), "was not found"),
            (Error::invalid("x"), "is not valid"),
            (Error::conflict("x"), "has changed"),
            (Error::throttled("x"), "too many attempts"),
            (Error::unavailable("x"), "not available at the moment"),
            (Error::internal("x"), "under reference"),
        ] {
            let message = AppError::from(error).to_string();
            assert!(message.contains(want), "{message}");
        }
        let read = |error| AppError::from_server_fn_error(error);
        assert_eq!(read(ServerFnErrorErr::MissingArg("key".to_owned())), AppError::Unreadable);
        assert!(matches!(read(ServerFnErrorErr::ServerError("x".to_owned())), AppError::Internal(_)));
    }
}
