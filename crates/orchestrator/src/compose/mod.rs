//! The stack: its files as Compose interprets them, its state in the engine, deploy and rollback.
//!
//! The `docker compose` command is used for changes, the engine's API for observation. Nothing else in the product uses
//! Docker. This module must not depend on gates, evidence, people, SQL or HTTP.

mod clean_up;
mod deploy;
mod docker;
mod early_stop;
mod env_restore;
mod error;
mod file_times;
mod health_exec;
mod images;
mod journal;
mod lines;
mod observe;
mod parts;
mod pinned_containers;
mod probe;
mod progress;
mod project;
mod release_snapshot;
mod render;
mod rollback;
mod rollout;
mod start;
mod tool;
mod transport;
mod undo;
mod watcher;

pub use deploy::migrations;
pub use deploy::{DeployResult, DeployWork, deploy};
pub use docker::{Address, Docker};
pub use env_restore::open_replaced;
pub use error::{ComposeError, Result};
pub use file_times::FileTimes;
pub use images::{images_present, keep_name, prune_keep};
pub use journal::{Journal, JournalKind, read_journal};
pub use lines::{KeptLines, kept_lines};
pub use observe::{image_ids, service_logs, snapshot};
pub use parts::{PartsReader, PartsSeen};
pub use pinned_containers::{ImagesSeen, find_images, pin_images};
pub use progress::{DeployPhase, FailingService, Progress};
pub use project::Project;
pub use release_snapshot::{keep_dir, kept_project, tag_of};
pub use render::{Rendered, RenderedService, render};
pub use rollback::{Clean, DbChoice, Proof, RollbackResult, RollbackTarget, RollbackWork, rollback};
pub use start::{Condition, Need};
pub use undo::{TakenBack, Undo, UndoStack, take_back_journal};
pub use watcher::Watcher;
