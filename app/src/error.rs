//! The one error that travels over the wire. Causes stay on the server.

use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

/// Why a server function did not do what it was asked. Short and without particulars: a plain form
/// post would carry it in a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AppError {
    /// Nobody is signed in, or not for this.
    #[error("please sign in")]
    SignedOut,
    /// Something went wrong on our side; `0` is the reference in the log.
    #[error("something went wrong on our side (reference {0})")]
    Internal(String),
    /// The request could not be read.
    #[error("the form could not be read; please reload the page")]
    Unreadable,
}

impl FromServerFnError for AppError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(_: ServerFnErrorErr) -> Self {
        AppError::Unreadable
    }
}

#[cfg(feature = "ssr")]
impl From<engine::Error> for AppError {
    fn from(error: engine::Error) -> AppError {
        match error.kind() {
            engine::ErrorKind::Internal => AppError::Internal(error.public()),
            _ => AppError::SignedOut,
        }
    }
}
