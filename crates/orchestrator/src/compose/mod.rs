//! Docker Compose: the stack's files as Compose interprets them, its state in the engine, deploy and rollback.
//!
//! The `docker compose` command is used for changes, the engine's API for observation.

mod clean_up;
mod command_line;
mod deploy;
mod docker;
mod early_stop;
mod env_restore;
mod health_exec;
mod images;
mod inspection;
mod lines;
mod listening;
mod observe;
mod pinned_containers;
mod probe;
mod release_snapshot;
mod render;
mod rollback;
mod rollout;
mod start;
mod tool;
mod transport;
mod undo;
mod watcher;

pub(crate) use deploy::deploy;
pub(crate) use docker::{Address, Docker};
pub(crate) use images::prune_images;
pub(crate) use lines::log_lines;
pub(crate) use listening::listening_ports;
pub(crate) use observe::containers;
pub(crate) use pinned_containers::{find_images, pin_images};
pub(crate) use release_snapshot::stored_name;
pub(crate) use render::{render, render_in};
pub(crate) use rollback::rollback;
pub(crate) use tool::version as tool_version;
pub(crate) use undo::take_back_journal;
pub(crate) use watcher::Look;
