//! The stack: what Compose makes of its files, how the engine sees it, how it is deployed and rolled back.
//!
//! The `docker compose` command acts, the engine's API observes. Nothing else in the product knows Docker.
//! This module must not know gates, evidence, people, SQL or HTTP.

mod deploy;
mod docker;
mod env_back;
mod error;
mod holders;
mod hurry;
mod images;
mod journal;
mod keep;
mod keyed;
mod lines;
mod observe;
mod own_probe;
mod parts;
mod probe;
mod progress;
mod project;
mod render;
mod rollback;
mod sealed;
mod stage;
mod stamps;
mod start;
mod tidy;
mod tool;
mod transport;
mod undo;
mod watcher;

pub(crate) use deploy::migrations;
pub use deploy::{DeployResult, DeployWork, deploy};
pub use docker::{Address, Docker};
pub use env_back::open_replaced;
pub use error::{ComposeError, Result};
pub use holders::{ImagesSeen, hold, look_for};
pub use images::{images_present, keep_name, prune_keep};
pub use journal::{Journal, JournalKind, read_journal};
pub use keep::kept_project;
pub use keyed::Key;
pub use lines::{KeptLines, kept_lines};
pub use observe::{image_ids, service_logs, snapshot};
pub use parts::{PartsReader, PartsSeen};
pub use progress::{DeployPhase, FailingService, Progress};
pub use project::Project;
pub use render::{Rendered, RenderedService, render};
pub use rollback::{Clean, DbChoice, Proof, RollbackResult, RollbackTarget, RollbackWork, rollback};
pub use sealed::{EnvCopy, SealError, has_env_copy};
pub use stamps::Stamps;
pub use start::{Condition, Need};
pub use undo::{TakenBack, Undo, UndoStack, take_back_journal};
pub use watcher::Watcher;
