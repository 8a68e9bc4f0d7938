//! Runs: commands supervised, streamed, cancelled and redacted.
//!
//! Each run has its own directory and its own supervisor process, which owns the child processes, writes the log and
//! the outcome, and holds a lock until it ends. The server only reads that directory, so its restart or crash loses
//! nothing. This crate must not depend on gates, checks, Docker, SQL or HTTP: the work of a run is passed in as a value
//! and a function.

mod ansi;
pub mod bounded;
mod cancel;
mod child;
mod dir;
mod environment;
mod error;
mod follow;
mod index;
mod launch;
mod lock;
mod log_writer;
mod procs;
mod reader;
mod reconcile;
mod session;
mod status;
mod supervise;

pub use cancel::{Cancel, cancel};
pub use child::Cmd;
pub use dir::{LockSpec, Plan, RunDir, create};
pub use environment::base_environment;
pub use error::{Result, RunnerError};
pub use follow::{Tails, Tip, follow};
pub use launch::launch;
pub use lock::{Holder, lock_holder};
pub use reader::{FOLD_BYTES, Reader};
pub use reconcile::{end_leftovers, is_supervised, reconcile};
pub use session::{Outcome, Session};
pub use status::{Exit, State, Status};
pub use supervise::supervise;

/// Environment variable that every child of a run carries: the id of the run.
pub const RUN_TAG: &str = "STAGEGATE_RUN";
