//! One container as the engine describes it: the only description in the product, for the board, for deploys and for
//! checks.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::observed::Health;
use domain::time::Millis;

/// One container of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// The service that it belongs to.
    pub service: String,
    /// The container's own name.
    pub name: String,
    /// Its ID.
    pub id: String,
    /// The state of its process.
    pub state: ContainerState,
    /// Its health, by the one rule that the board uses as well.
    pub health: Health,
    /// Image ID.
    pub image: String,
    /// The image's tag, where it has one.
    pub tag: String,
    /// Its image tag has moved to another image or was removed.
    pub tag_moved: bool,
    /// Restarts since it was created.
    pub restarts: u64,
    /// Exit code, once its process has ended.
    pub exit_code: Option<i64>,
    /// When it started last; `None` before the first start.
    pub started_at: Option<Millis>,
    /// When the first result of its health check is known at the latest; `None` without a health check.
    pub first_health_due_at: Option<Millis>,
    /// When the last health check began.
    pub health_checked_at: Option<Millis>,
    /// Output of the last health check, shortened; it may contain secrets.
    pub health_output: String,
    /// Its published ports, sorted.
    pub ports: Vec<PublishedPort>,
    /// Whether it uses the host's network, where publishing has no effect.
    pub host_network: bool,
    /// Its IP addresses, by network.
    pub addresses: BTreeMap<String, String>,
    /// The log driver.
    pub log_driver: String,
    /// Its options, such as `max-size`.
    pub log_options: BTreeMap<String, String>,
    /// Its main process on the host of the engine; `None` when it does not run.
    pub pid: Option<u32>,
    /// The signal that asks it to stop.
    pub(crate) stop_signal: String,
    /// Its health command.
    pub(crate) health_command: Option<HealthCommand>,
}

impl Container {
    /// Whether its process is running.
    pub fn is_running(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// A container for tests: running, with this health.
    #[cfg(test)]
    pub(crate) fn of(service: &str, id: &str, health: Health) -> Self {
        Self {
            service: service.to_owned(),
            name: String::new(),
            id: id.to_owned(),
            state: ContainerState::Running,
            health,
            image: String::new(),
            tag: String::new(),
            tag_moved: false,
            restarts: 0,
            exit_code: None,
            started_at: None,
            first_health_due_at: None,
            health_checked_at: None,
            health_output: String::new(),
            ports: Vec::new(),
            host_network: false,
            addresses: BTreeMap::new(),
            log_driver: String::new(),
            log_options: BTreeMap::new(),
            pid: None,
            stop_signal: String::new(),
            health_command: None,
        }
    }
}

/// The state of a container's process, as the engine names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// It was created and not started yet.
    Created,
    /// Its process runs.
    Running,
    /// Its process is suspended.
    Paused,
    /// Its process has ended and is started again.
    Restarting,
    /// It is being stopped.
    Stopping,
    /// It is being removed.
    Removing,
    /// Its process has ended.
    Exited,
    /// It could not be removed completely.
    Dead,
    /// The engine names no state.
    Unknown,
}

impl ContainerState {
    /// The engine's word for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Unknown => "in an unknown state",
        }
    }
}

/// A port on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// Address on the host; empty for all of them.
    pub address: String,
    /// Port on the host, or a range of them.
    pub port: String,
}

impl HostPort {
    /// A port on an address. “All addresses” has several notations; it becomes the empty address.
    pub fn new(address: &str, port: &str) -> Self {
        let address = if matches!(address, "0.0.0.0" | "::") { "" } else { address };
        Self { address: address.to_owned(), port: port.to_owned() }
    }
}

/// A port of a container that is published on the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedPort {
    /// On the host.
    pub host: HostPort,
    /// Inside of the container.
    pub container: u16,
    /// Whether it is a TCP port.
    pub tcp: bool,
}

impl std::fmt::Display for PublishedPort {
    /// `127.0.0.1:3000→3000`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = if self.host.address.is_empty() { "0.0.0.0" } else { &self.host.address };
        write!(f, "{address}:{}→{}", self.host.port, self.container)
    }
}

/// The log lines that the engine keeps of one service, and how they are retained.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LogLines {
    /// The last lines of all its containers, not masked.
    pub lines: Vec<String>,
    /// When the newest of them was written.
    pub newest: Option<Millis>,
    /// When the oldest line that is still there was written.
    pub oldest: Option<Millis>,
    /// The log driver; empty when the service has no container.
    pub driver: String,
    /// The driver's options, such as `max-size`.
    pub options: BTreeMap<String, String>,
}

/// A health command and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthCommand {
    pub(crate) argv: Vec<String>,
    pub(crate) timeout: Option<Duration>,
}
