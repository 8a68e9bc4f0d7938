//! Input and result of a deploy and of a rollback. Stored as `plan.json` and `result.json` of a run, which servers and
//! supervisors of other versions read: names of stored fields must not change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::observed::Service;
use secrets::EnvCopy;
use serde::{Deserialize, Serialize};

use crate::orchestrator::Orchestrator;
use crate::progress::{DeployPhase, FailingService};

/// The input of a deploy. Stored in the run's plan: no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployWork {
    /// The declared stack, and what runs it.
    #[serde(rename = "project")]
    pub stack: Orchestrator,
    /// Tag under which the images of this release are retained, `r7`.
    pub release_tag: String,
    /// Whether to build services that can be built.
    pub build: bool,
    /// The commit that was confirmed, as [`crate::PartsReader`] names it. If another commit is checked out, the deploy
    /// ends before anything is started.
    #[serde(default)]
    pub commit: Option<String>,
    /// Variables for the build only, such as `GIT_COMMIT`. Running containers must not depend on them.
    pub build_env: BTreeMap<String, String>,
    /// How long the services may take to become healthy, milliseconds.
    pub health_timeout_ms: u64,
    /// Command that prints the applied migrations, one name a line.
    pub migrations_cmd: Option<String>,
    /// Where the configuration and image IDs of this release are stored.
    #[serde(rename = "keep_dir")]
    pub snapshot_dir: PathBuf,
    /// How an encrypted copy of the env file is kept with them, if the stack is configured to do so.
    #[serde(default)]
    pub env_copy: Option<EnvCopy>,
}

/// The result of a deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployResult {
    /// The phase in which it ended.
    pub phase: DeployPhase,
    /// Whether every service is healthy and runs the pinned image.
    pub ok: bool,
    /// Image ID of each service, as pinned.
    pub images: BTreeMap<String, String>,
    /// The protective tags.
    pub tags: Vec<String>,
    /// The services that are not healthy.
    pub failing: Vec<FailingService>,
    /// All services as they were at the end.
    pub services: Vec<Service>,
    /// The migrations applied at the end, when they are known.
    pub migrations: Option<Vec<String>>,
    /// Whether the configuration was stored, so that a rollback can return to it.
    #[serde(rename = "config_kept")]
    pub config_stored: bool,
    /// How it ended, for people.
    pub message: String,
}

/// The target of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackTarget {
    /// The release's tag, `r7`.
    pub release_tag: String,
    /// Image ID of each service.
    pub images: BTreeMap<String, String>,
    /// Where its deploy stored the configuration.
    #[serde(rename = "keep_dir")]
    pub snapshot_dir: PathBuf,
}

/// What happens to the database when there are migrations in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "command", rename_all = "snake_case")]
pub enum DatabaseAction {
    /// The schema stays as it is.
    KeepSchema,
    /// This command undoes migrations. It runs first, while the services that know them still run.
    RollbackCommand(String),
    /// The database is recreated, after a backup.
    #[serde(rename = "fresh")]
    Recreate {
        /// The command that makes the backup.
        backup: String,
        /// The command that recreates the database with seed data.
        #[serde(rename = "fresh")]
        recreate: String,
    },
}

/// The names of the stack's own database commands in messages.
pub(crate) const BACKUP: &str = "The backup of the database";
pub(crate) const RECREATE: &str = "Recreating the database";

impl DatabaseAction {
    /// What runs while the image names still point to the running images: its name and the command.
    pub(crate) fn before_retagging(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::KeepSchema => None,
            Self::RollbackCommand(command) => Some(("Undoing the migrations", command)),
            Self::Recreate { backup, .. } => Some((BACKUP, backup)),
        }
    }

    /// What runs when the image names point to the target's images and no service has been changed, so that a
    /// container started from them migrates and seeds as the target does.
    pub(crate) fn after_retagging(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::KeepSchema | Self::RollbackCommand(_) => None,
            Self::Recreate { recreate, .. } => Some((RECREATE, recreate)),
        }
    }
}

/// What is removed before the target is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// Nothing: only what differs is replaced.
    #[default]
    Nothing,
    /// All containers and networks of the project; volumes are kept.
    Containers,
    /// The project's volumes as well, and so all data of the stack.
    Volumes {
        /// The command that makes a backup of the database before.
        backup: Option<String>,
        /// The command that recreates the database with seed data afterwards.
        #[serde(rename = "fill")]
        recreate: Option<String>,
    },
}

/// The input of a rollback. Stored in the run's plan: no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackWork {
    /// The declared stack, and what runs it.
    #[serde(rename = "project")]
    pub stack: Orchestrator,
    /// The target.
    pub target: RollbackTarget,
    /// How long the services may take to become healthy, milliseconds.
    pub health_timeout_ms: u64,
    /// The services whose images change, as shown to the person who confirmed.
    pub changed: Vec<String>,
    /// The services that store no data.
    pub stateless: Vec<String>,
    /// What happens to the database.
    #[serde(rename = "db")]
    pub database: DatabaseAction,
    /// What is removed first.
    #[serde(default, rename = "clean")]
    pub removal: Removal,
    /// How to open the copy of the target's env file, if that file is to be restored first.
    #[serde(default)]
    pub env: Option<EnvCopy>,
}

impl RollbackWork {
    /// Whether the database keeps its current schema.
    pub fn keeps_schema(&self) -> bool {
        self.database == DatabaseAction::KeepSchema && !matches!(self.removal, Removal::Volumes { .. })
    }
}

/// The verification of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The service.
    pub service: String,
    /// The expected image ID.
    #[serde(rename = "wanted")]
    pub expected: String,
    /// The actual image ID; several, separated by commas, when its containers differ; empty for none.
    #[serde(rename = "running")]
    pub actual: String,
}

impl Proof {
    /// Whether the two are the same.
    pub fn holds(&self) -> bool {
        self.expected == self.actual
    }
}

/// The result of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackResult {
    /// The phase in which it ended.
    pub phase: DeployPhase,
    /// Whether every service is healthy and runs the target's image.
    pub ok: bool,
    /// Services whose target image is no longer available; then nothing was done.
    pub missing: Vec<String>,
    /// Actual and expected images.
    pub proof: Vec<Proof>,
    /// Whether the configuration stored with the target was used, because the project's own files differ.
    #[serde(rename = "kept_config")]
    pub used_stored_config: bool,
    /// All services as they were at the end.
    pub services: Vec<Service>,
    /// The services that are not healthy.
    pub failing: Vec<FailingService>,
    /// The last log lines of every service before anything was replaced.
    #[serde(default, rename = "heard")]
    pub last_logs: Vec<FailingService>,
    /// Time from the first replaced container until all were healthy, milliseconds: an upper bound of the outage.
    /// `None` when they did not become healthy.
    pub outage_ms: Option<u64>,
    /// How it ended, for people.
    pub message: String,
}
