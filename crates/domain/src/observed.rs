//! What is seen of a stack at one moment: its services, its parts, and what cannot be read.

use serde::{Deserialize, Serialize};

use crate::release::ReleaseComponents;
use crate::time::Millis;

/// One service of the stack, as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name in the Compose file.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// Image ID of the running container; empty when there is none.
    pub image: String,
    /// The image's tag, where it has one.
    pub tag: String,
    /// Restarts of the container since it was made.
    pub restarts: u64,
    /// When the container started; `None` when there is none.
    pub started_at: Option<Millis>,
    /// Published ports, `127.0.0.1:3000→3000`.
    pub ports: Vec<String>,
    /// The container's id, short; empty when there is none.
    pub container: String,
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Running, and its health check agrees.
    Healthy,
    /// Running, and it has no health check.
    Running,
    /// Its health check has not agreed yet.
    Starting,
    /// Its health check disagrees.
    Unhealthy,
    /// Its container keeps ending.
    Restarting,
    /// It ended; a one-shot service that exited 0 is [`Health::Done`].
    Exited,
    /// A one-shot service that ended well.
    Done,
    /// It has no container.
    Missing,
}

impl Health {
    /// Whether nothing is wrong with a service that stands so.
    pub fn is_good(self) -> bool {
        matches!(self, Health::Healthy | Health::Running | Health::Done)
    }

    /// The word on pages.
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

/// What is observed of the stack right now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Since when the engine cannot be reached; `None` while it answers.
    pub unreachable_since: Option<Millis>,
    /// What the engine said when it could not be reached.
    pub unreachable_why: String,
    /// Engine version, when it answers.
    pub engine_version: String,
    /// The services of the Compose file, in its order.
    pub services: Vec<Service>,
    /// The parts as they are on disk and in the engine now.
    pub parts: ReleaseComponents,
    /// Subject line of the commit in the directory; empty when there is none.
    pub subject: String,
    /// What cannot be read (directory, Compose file, git), one sentence each.
    pub faults: Vec<String>,
    /// The stack's directory is not there, so nothing can be run in it.
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
    /// The service that it was made for.
    pub service: String,
    /// Its image ID.
    pub image: String,
}
