//! The engine's error: a public message for people, separate from the private detail for the log.

use std::fmt::Display;

/// The kind of an error; the server maps it to an HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object does not exist.
    NotFound,
    /// The input cannot be used.
    Invalid,
    /// The user is not signed in.
    SignedOut,
    /// The rules do not allow it.
    Refused,
    /// It conflicts with a change that was made in the meantime.
    Conflict,
    /// Too many attempts.
    Throttled,
    /// A dependency (Docker engine, disk, directory) does not work right now.
    Unavailable,
    /// An internal error; the message has a reference into the log.
    Internal,
}

/// A field of a form that an error can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormField {
    /// What somebody has verified or decided.
    Note,
    /// Why something is waived.
    Reason,
    /// The last valid day of a waiver.
    Until,
    /// The link of an attestation.
    Link,
    /// The comment of a sign-off.
    Comment,
    /// The conditions under which a No-Go becomes a Go.
    Conditions,
    /// The value of a field of the ownership log.
    Value,
    /// The text of a cause or follow-up.
    Text,
    /// The stack's name, typed to confirm what cannot be undone.
    StackName,
    /// A person's name.
    Name,
    /// A person's login.
    Login,
    /// The password.
    Password,
    /// The password that is replaced by a new one.
    CurrentPassword,
    /// The new password, entered again.
    RepeatedPassword,
}

impl FormField {
    /// All fields.
    pub const ALL: [FormField; 14] = [
        FormField::Note,
        FormField::Reason,
        FormField::Until,
        FormField::Link,
        FormField::Comment,
        FormField::Conditions,
        FormField::Value,
        FormField::Text,
        FormField::StackName,
        FormField::Name,
        FormField::Login,
        FormField::Password,
        FormField::CurrentPassword,
        FormField::RepeatedPassword,
    ];

    /// The name under which forms send it.
    pub fn name(self) -> &'static str {
        match self {
            FormField::Note => "note",
            FormField::Reason => "reason",
            FormField::Until => "until",
            FormField::Link => "link",
            FormField::Comment => "comment",
            FormField::Conditions => "would_change",
            FormField::Value => "value",
            FormField::Text => "text",
            FormField::StackName => "typed",
            FormField::Name => "name",
            FormField::Login => "login",
            FormField::Password => "password",
            FormField::CurrentPassword => "old",
            FormField::RepeatedPassword => "again",
        }
    }
}

/// Why an action was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{public}")]
pub struct Error {
    kind: ErrorKind,
    public: String,
    field: Option<FormField>,
}

impl Error {
    fn new(kind: ErrorKind, public: impl Into<String>) -> Error {
        Error { kind, public: public.into(), field: None }
    }

    /// The object does not exist: `run 12 was not found`.
    pub fn not_found(what: impl Display) -> Error {
        Error::new(ErrorKind::NotFound, format!("{what} was not found"))
    }

    /// The input cannot be used; the message says what to enter instead.
    pub fn invalid(why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, why)
    }

    /// The rules do not allow it; the message says which rule.
    pub fn refused(why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Refused, why)
    }

    /// It conflicts with a change that was made in the meantime; the message says which one.
    pub fn conflict(why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Conflict, why)
    }

    /// Too many attempts.
    pub fn throttled(why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Throttled, why)
    }

    /// A dependency does not work right now; the message says which one and how to fix it.
    pub fn unavailable(why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unavailable, why)
    }

    /// The user is not signed in.
    pub fn signed_out() -> Error {
        Error::new(ErrorKind::SignedOut, "Please sign in.")
    }

    /// An internal error. The cause is written to the log with a reference; people see only the reference.
    pub fn internal(cause: impl Display) -> Error {
        let reference = auth::short_reference();
        tracing::error!(%reference, %cause, "internal error");
        Error::new(
            ErrorKind::Internal,
            format!(
                "An internal error occurred. The server log has the details under reference {reference}."
            ),
        )
    }

    /// The same error, about this field of the form.
    #[must_use]
    pub fn in_field(self, field: FormField) -> Error {
        Error { field: Some(field), ..self }
    }

    /// The field of the form that it is about, if it is about one.
    pub fn field(&self) -> Option<FormField> {
        self.field
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message for people; contains no secret and no command output.
    pub fn public(&self) -> String {
        self.public.clone()
    }
}

impl From<domain::choice::NotAChoice> for Error {
    fn from(error: domain::choice::NotAChoice) -> Error {
        Error::invalid(error.to_string())
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
            taken @ PersonError::LoginTaken(_) => {
                Error::invalid(sentence(&taken.to_string())).in_field(FormField::Login)
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
            taken @ InvitationError::LoginTaken(_) => {
                Error::refused(sentence(&taken.to_string())).in_field(FormField::Login)
            }
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

impl From<auth::RetryAfter> for Error {
    fn from(retry_after: auth::RetryAfter) -> Error {
        Error::throttled(sentence(&retry_after.to_string()))
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
