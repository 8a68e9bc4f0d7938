//! The messages for refusals and failures: the text of each variant of each typed error, compared with a committed copy
//! so that a changed text is visible in a review.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use auth::RetryAfter;
use auth::passwords::{PasswordError, Weak};
use auth::tokens::NoRandomness;
use domain::ownership::BadValue;
use domain::role::{Role, UnknownRole};
use engine::{Error, KeyError, StartError};
use orchestrator::OrchestratorError;
use runner::RunnerError;
use secrets::{EncryptionError, EnvSourceError, EnvSyntaxError};
use store::StoreError;
use store::audit::{Broken, UnreadableHead, VerifyError};
use store::invitations::InvitationError;
use store::links::LinkError;
use store::people::PersonError;

/// The texts of an enum's variants. A variant that is added does not compile until it is listed: the match has no other
/// arm.
macro_rules! texts {
    ($of:ident, $text:ident, $($pattern:pat => $value:expr),+ $(,)? $(; cannot be made: $other:pat)?) => {{
        fn _each_is_listed(error: &$of) {
            match error { $($pattern => (),)+ $($other => (),)? }
        }
        let mut lines = format!("{}\n", stringify!($of));
        $({
            let variant = stringify!($pattern).rsplit("::").next().unwrap_or_default();
            let name = variant.split(['(', '{']).next().unwrap_or_default().trim();
            lines.push_str(&format!("  {name}: {}\n", $text($value)));
        })+
        lines
    }};
}

fn as_it_is(error: impl Display) -> String {
    error.to_string()
}

/// The message that people see, with the kind, which determines the HTTP status.
fn public(error: impl Into<Error>) -> String {
    let error = error.into();
    let text = error.public();
    // The reference into the log differs each time.
    let text = match text.split_once(" under reference ") {
        Some((before, _)) => format!("{before} under reference [reference]."),
        None => text,
    };
    format!("[{:?}] {text}", error.kind())
}

/// As the command line prints it, and as pages show it.
fn console_and_public(error: StoreError) -> String {
    format!("{error}\n      {}", public(error.clone()))
}

fn denied() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

fn path() -> PathBuf {
    "/srv/stack/file".into()
}

fn sqlite() -> Arc<sqlx::Error> {
    Arc::new(sqlx::Error::RowNotFound)
}

fn json() -> serde_json::Error {
    serde_json::from_str::<u8>("x").unwrap_err()
}

#[test]
fn accounts_links_and_passwords() {
    let all = [
        texts!(PersonError, public,
            PersonError::LoginTaken(_) => PersonError::LoginTaken("ada".into()),
            PersonError::RolesChanged(_) => PersonError::RolesChanged(vec![Role::Qa, Role::Po]),
            PersonError::PasswordChanged => PersonError::PasswordChanged,
            PersonError::LastAdmin => PersonError::LastAdmin,
            PersonError::BadName => PersonError::BadName,
            PersonError::Unknown => PersonError::Unknown,
            PersonError::Store(_) => PersonError::Store(StoreError::Full),
        ),
        texts!(InvitationError, public,
            InvitationError::LoginTaken(_) => InvitationError::LoginTaken("ada".into()),
            InvitationError::AlreadyInvited(_) => InvitationError::AlreadyInvited("ada".into()),
            InvitationError::NotOpen(_) => InvitationError::NotOpen("Ada".into()),
            InvitationError::Store(_) => InvitationError::Store(StoreError::Busy),
        ),
        texts!(LinkError, public,
            LinkError::Unknown => LinkError::Unknown,
            LinkError::Used => LinkError::Used,
            LinkError::Withdrawn => LinkError::Withdrawn,
            LinkError::NotVouched { .. } => LinkError::NotVouched { link: 3 },
            LinkError::Expired => LinkError::Expired,
            LinkError::LoginTaken(_) => LinkError::LoginTaken("ada".into()),
            LinkError::Store(_) => LinkError::Store(StoreError::Closed),
        ),
        texts!(PasswordError, public,
            PasswordError::Busy => PasswordError::Busy,
            PasswordError::NoRandomness(_) => PasswordError::NoRandomness(NoRandomness),
            PasswordError::Hash(_) => PasswordError::Hash("damaged".into()),
        ),
        texts!(Weak, as_it_is,
            Weak::TooShort => Weak::TooShort,
            Weak::TooLong => Weak::TooLong,
            Weak::Guessable { .. } => Weak::Guessable { advice: "Add another word or two.".into() },
            Weak::OwnName => Weak::OwnName,
        ),
        format!("RetryAfter: {}; {}\n", RetryAfter { for_ms: 1_500 }, RetryAfter { for_ms: 300_000 }),
        format!("UnknownRole: {}\n", UnknownRole("king".into())),
    ];
    compare("accounts", &all.concat());
}

#[test]
fn the_store_and_the_audit_log() {
    let all = [
        texts!(StoreError, console_and_public,
            StoreError::NewerData { .. } => StoreError::NewerData { found: 2, known: 1 },
            StoreError::OldSqlite { .. } => StoreError::OldSqlite { found: "3.40.0".into() },
            StoreError::Directory { .. } => StoreError::Directory { source: Arc::new(denied()) },
            StoreError::Migrate(_) => StoreError::Migrate(Arc::new(sqlx::migrate::MigrateError::VersionMissing(1))),
            StoreError::Full => StoreError::Full,
            StoreError::Io(_) => StoreError::Io(sqlite()),
            StoreError::Busy => StoreError::Busy,
            StoreError::Refused(_) => StoreError::Refused("UNIQUE constraint failed: t.c".into()),
            StoreError::Damaged { .. } => StoreError::Damaged { what: "link.kind" },
            StoreError::Closed => StoreError::Closed,
            StoreError::BrokenOff => StoreError::BrokenOff,
            StoreError::Database(_) => StoreError::Database(sqlite()),
        ),
        texts!(VerifyError, as_it_is,
            VerifyError::Broken(_) => VerifyError::Broken(Broken { seq: 7, why: "it was changed".into() }),
            VerifyError::Store(_) => VerifyError::Store(StoreError::Busy),
        ),
        format!("UnreadableHead: {UnreadableHead}\n"),
        texts!(KeyError, as_it_is,
            KeyError::Io { .. } => KeyError::Io { path: path(), source: denied() },
            KeyError::Open { .. } => KeyError::Open { path: path(), mode: 0o644 },
            KeyError::Damaged { .. } => KeyError::Damaged { path: path(), lost: "what it protects is lost" },
        ),
        texts!(StartError, as_it_is,
            StartError::Config { .. } => StartError::Config { file: path(), problems: vec![] },
            StartError::Store(_) => StartError::Store(StoreError::Busy),
            StartError::Key(_) => StartError::Key(KeyError::Open { path: path(), mode: 0o644 }),
            StartError::Engine(_) => StartError::Engine(Error::not_found("run 12")),
        ),
        texts!(BadValue, as_it_is,
            BadValue::Empty => BadValue::Empty,
            BadValue::TooLong => BadValue::TooLong,
            BadValue::NoDate(_) => BadValue::NoDate("soon".into()),
            BadValue::NoCommit(_) => BadValue::NoCommit("main".into()),
            BadValue::NoDuration(_) => BadValue::NoDuration("long".into()),
            BadValue::NoTags(_) => BadValue::NoTags("!".into()),
        ),
    ];
    compare("store", &all.concat());
}

#[test]
fn runs_and_the_stack() {
    let all = [
        texts!(RunnerError, as_it_is,
            RunnerError::NotFound { .. } => RunnerError::NotFound { dir: path() },
            RunnerError::BadId(_) => RunnerError::BadId("../x".into()),
            RunnerError::Exists(_) => RunnerError::Exists("7".into()),
            RunnerError::Supervised => RunnerError::Supervised,
            RunnerError::Over => RunnerError::Over,
            RunnerError::Io { .. } => RunnerError::Io { what: "write the log", path: path(), source: denied() },
            RunnerError::Malformed { .. } => RunnerError::Malformed { what: "status", source: json() },
            RunnerError::EnvSource(_) => RunnerError::EnvSource(EnvSyntaxError::NotText { line: 3 }.into()),
            ; cannot be made: RunnerError::Secrets(_)
        ),
        texts!(EnvSourceError, as_it_is,
            EnvSourceError::Missing => EnvSourceError::Missing,
            EnvSourceError::Unreadable(_) => EnvSourceError::Unreadable(denied()),
            EnvSourceError::Invalid(_) => EnvSourceError::Invalid(EnvSyntaxError::NotText { line: 3 }),
            EnvSourceError::ReadOnly => EnvSourceError::ReadOnly,
            EnvSourceError::NotWritten(_) => EnvSourceError::NotWritten(denied()),
        ),
        texts!(EnvSyntaxError, as_it_is,
            EnvSyntaxError::NotText { .. } => EnvSyntaxError::NotText { line: 3 },
            EnvSyntaxError::NoAssignment { .. } => EnvSyntaxError::NoAssignment { line: 3 },
            EnvSyntaxError::BadKey { .. } => EnvSyntaxError::BadKey { line: 3 },
            EnvSyntaxError::OpenQuote { .. } => EnvSyntaxError::OpenQuote { line: 3, key: "TOKEN".into() },
            EnvSyntaxError::AfterQuote { .. } => EnvSyntaxError::AfterQuote { line: 3, key: "TOKEN".into() },
            EnvSyntaxError::Nul { .. } => EnvSyntaxError::Nul { line: 3, key: "TOKEN".into() },
        ),
        texts!(OrchestratorError, as_it_is,
            OrchestratorError::DirectoryMissing { .. } => OrchestratorError::DirectoryMissing { dir: path() },
            OrchestratorError::EnvFileMissing { .. } => OrchestratorError::EnvFileMissing { file: path().display().to_string() },
            OrchestratorError::EnvFileInvalid { .. } =>
                OrchestratorError::EnvFileInvalid { file: path().display().to_string(), why: "line 3 has no '='".into() },
            OrchestratorError::DefinitionInvalid { .. } => OrchestratorError::DefinitionInvalid { message: "no services".into() },
            OrchestratorError::ToolMissing => OrchestratorError::ToolMissing,
            OrchestratorError::ToolOutput { .. } => OrchestratorError::ToolOutput { why: "not JSON".into() },
            OrchestratorError::ToolStuck { .. } => OrchestratorError::ToolStuck { why: "it was ended".into() },
            OrchestratorError::Unreachable { .. } => OrchestratorError::Unreachable { why: "connection refused".into() },
            OrchestratorError::Refused { .. } => OrchestratorError::Refused { status: 409, message: "in use".into() },
            OrchestratorError::UnexpectedResponse { .. } => OrchestratorError::UnexpectedResponse { why: "no id".into() },
            OrchestratorError::ResponseTooLong { .. } => OrchestratorError::ResponseTooLong { max_bytes: 64 << 20 },
            OrchestratorError::InvalidName { .. } => OrchestratorError::InvalidName { what: "a tag", name: "a b".into() },
            OrchestratorError::CommandFailed { .. } => OrchestratorError::CommandFailed { code: 1 },
            OrchestratorError::Io { .. } => OrchestratorError::Io { what: "read the env file", path: path(), source: denied() },
        ),
        texts!(EncryptionError, as_it_is,
            EncryptionError::Key(_) => EncryptionError::Key(KeyError::Open { path: path(), mode: 0o644 }),
            EncryptionError::File { .. } => EncryptionError::File { path: path(), source: denied() },
            EncryptionError::Sealed { .. } => EncryptionError::Sealed { path: path() },
            EncryptionError::Sealing => EncryptionError::Sealing,
        ),
    ];
    compare("runs", &all.concat());
}

fn compare(name: &str, texts: &str) {
    insta::with_settings!({
        snapshot_path => "../snapshots",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(format!("messages-{name}"), texts);
    });
}
