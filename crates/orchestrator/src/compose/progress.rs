//! What a deploy or a rollback says about itself while it goes on.

use domain::observed::{Health, Service};
use domain::time::Millis;
use serde::{Deserialize, Serialize};

/// Where a deploy or rollback stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeployPhase {
    /// Looking whether it can be done at all. Nothing has changed.
    Preflight,
    /// Building images. What runs goes on untouched.
    Building,
    /// Recording which images shall run and protecting them.
    Pinning,
    /// Putting the target's env file back (rollback, when asked for).
    Restoring,
    /// Undoing database migrations, or backing the database up (rollback, when asked for).
    Migrating,
    /// Making the images' names mean those of the target (rollback).
    Retagging,
    /// Replacing containers.
    Starting,
    /// Waiting until every service is well.
    Probing,
    /// Over and well.
    Done,
}

impl DeployPhase {
    /// The words on pages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Preflight => "checking first",
            Self::Building => "building images",
            Self::Pinning => "pinning images",
            Self::Restoring => "putting the env file back",
            Self::Migrating => "undoing migrations",
            Self::Retagging => "moving tags back",
            Self::Starting => "starting services",
            Self::Probing => "waiting for health",
            Self::Done => "done",
        }
    }

    /// Whether services may have been stopped already.
    pub fn touches_services(self) -> bool {
        self >= Self::Starting
    }
}

/// The progress of a deploy or rollback, published at every change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Where it stands.
    pub phase: DeployPhase,
    /// When that was said.
    pub at: Millis,
    /// Time since the beginning, milliseconds.
    pub elapsed_ms: u64,
    /// The services and how they stand, as soon as they are known.
    pub services: Vec<Service>,
}

/// A service that is not well, with what it said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingService {
    /// Its name.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// Exit code of its container, when that ended.
    pub exit_code: Option<i64>,
    /// Its last log lines, secrets masked.
    pub last_lines: Vec<String>,
    /// What its last health check said, secrets masked; empty for nothing.
    pub check_said: String,
}
