//! The progress of a deploy or rollback while it runs.

use domain::observed::{Health, Service};
use domain::time::Millis;
use serde::{Deserialize, Serialize};

/// The phase of a deploy or rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeployPhase {
    /// Checking whether it can be done at all. Nothing has changed.
    Preflight,
    /// Building images. Running services are not changed.
    Building,
    /// Recording which images are to run and protecting them.
    Pinning,
    /// Restoring the target's env file (rollback, if requested).
    Restoring,
    /// Undoing database migrations, or backing up the database (rollback, if requested).
    Migrating,
    /// Pointing the image names to the images of the target (rollback).
    Retagging,
    /// Replacing containers.
    Starting,
    /// Waiting until every service is healthy.
    Probing,
    /// Completed successfully.
    Done,
}

impl DeployPhase {
    /// The text on pages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Preflight => "running preflight checks",
            Self::Building => "building images",
            Self::Pinning => "pinning images",
            Self::Restoring => "restoring the env file",
            Self::Migrating => "undoing migrations",
            Self::Retagging => "restoring image tags",
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
    /// The current phase.
    pub phase: DeployPhase,
    /// When this was published.
    pub at: Millis,
    /// Time since the beginning, milliseconds.
    pub elapsed_ms: u64,
    /// The services and their state, as soon as they are known.
    pub services: Vec<Service>,
}

/// A service that is not healthy, with its last output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingService {
    /// Its name.
    pub name: String,
    /// Its state.
    pub health: Health,
    /// Exit code of its container, if it has stopped.
    pub exit_code: Option<i64>,
    /// Its last log lines, secrets masked.
    pub last_lines: Vec<String>,
    /// Output of its last health check, secrets masked; empty for none.
    #[serde(rename = "check_said")]
    pub health_output: String,
}
