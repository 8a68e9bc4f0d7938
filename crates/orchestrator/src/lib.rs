//! Renders, observes, deploys and rolls back the stack. The only crate that uses Docker.
//!
//! [`Orchestrator`] is the declared stack together with what runs it, and the interface of this crate. Docker Compose is
//! the only implementation (`compose`); nothing outside of it names a type of Compose or of the engine's API. This crate
//! must not depend on gates, evidence, people, SQL or HTTP.

mod compose;
mod container;
mod error;
mod file_times;
mod images;
mod journal;
mod migrations;
mod orchestrator;
mod parts;
mod progress;
mod release_files;
mod rendered;
mod stack_files;
#[cfg(test)]
mod stored_forms;
mod undo;
mod watcher;
mod work;

pub use container::{Container, ContainerState, HostPort, LogLines, PublishedPort};
pub use error::{OrchestratorError, Result};
pub use file_times::FileTimes;
pub use images::ImageInventory;
pub use journal::{Journal, JournalKind, read_journal};
pub use migrations::applied_migrations;
pub use orchestrator::Orchestrator;
pub use parts::{PartsReader, PartsSeen};
pub use progress::{DeployPhase, FailingService, Progress};
pub use release_files::{open_replaced_env, release_tag, snapshot_dir};
pub use rendered::{Condition, Dependency, Rendered, RenderedService};
pub use stack_files::StackFiles;
pub use undo::{EncryptedCopy, TakenBack, Undo, UndoStack};
pub use watcher::Watcher;
pub use work::{
    DatabaseAction, DeployResult, DeployWork, Proof, Removal, RollbackResult, RollbackTarget, RollbackWork,
};
