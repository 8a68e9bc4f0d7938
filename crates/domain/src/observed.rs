//! The observed state of a stack at one moment: its services, its parts, and what cannot be read.

use serde::{Deserialize, Serialize};

use crate::release::ReleaseComponents;
use crate::time::Millis;

/// One service of the stack, as reported by the Docker engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name in the Compose file.
    pub name: String,
    /// Its health.
    pub health: Health,
    /// Image ID of the running container; empty when there is none.
    pub image: String,
    /// The image's tag, where it has one.
    pub tag: String,
    /// Restarts of the container since it was created.
    pub restarts: u64,
    /// When the container started; `None` when there is none.
    pub started_at: Option<Millis>,
    /// Published ports, `127.0.0.1:3000→3000`.
    pub ports: Vec<String>,
    /// The container's id, short; empty when there is none.
    pub container: String,
}

/// The health of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Running, and its health check passes.
    Healthy,
    /// Running, and it has no health check.
    Running,
    /// Its health check has not passed yet.
    Starting,
    /// Its health check fails.
    Unhealthy,
    /// Its container keeps restarting.
    Restarting,
    /// It has stopped; a one-shot service that exited with 0 is [`Health::Done`].
    Exited,
    /// A one-shot service that has finished successfully.
    Done,
    /// It has no container.
    Missing,
}

impl Health {
    /// Whether a service in this state has no problem.
    pub fn is_good(self) -> bool {
        matches!(self, Health::Healthy | Health::Running | Health::Done)
    }

    /// The name on pages.
    pub fn label(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Running => "running",
            Health::Starting => "starting",
            Health::Unhealthy => "unhealthy",
            Health::Restarting => "restarting",
            Health::Exited => "exited",
            Health::Done => "done",
            Health::Missing => "missing",
        }
    }
}

/// The current observed state of the stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Since when the Docker engine cannot be reached; `None` while it can.
    pub unreachable_since: Option<Millis>,
    /// Why the Docker engine cannot be reached.
    pub unreachable_why: String,
    /// Docker engine version, while it can be reached.
    pub engine_version: String,
    /// The services of the Compose file, in its order.
    pub services: Vec<Service>,
    /// The current parts, on disk and in the Docker engine.
    pub parts: ReleaseComponents,
    /// Subject line of the commit in the directory; empty when there is none.
    pub subject: String,
    /// What cannot be read (directory, Compose file, git), one sentence each.
    pub faults: Vec<String>,
    /// The stack's directory does not exist, so nothing can be run in it.
    #[serde(default)]
    pub directory_missing: bool,
    /// Permissions of the env file, when there is one.
    #[serde(default)]
    pub env_mode: Option<u32>,
    /// Services with a container whose image tag has moved to another image or was removed.
    #[serde(default)]
    pub moved_tags: Vec<String>,
    /// Containers of the project that belong to none of its services.
    #[serde(default)]
    pub orphans: Vec<Orphan>,
}

/// A container of the project that belongs to none of its services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The container's name.
    pub container: String,
    /// The service that it was created for.
    pub service: String,
    /// Its image ID.
    pub image: String,
}
