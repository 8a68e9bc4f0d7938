//! When a check runs by itself, as `stagegate.toml` declares it.

use serde::{Deserialize, Serialize};

/// When a check runs by itself, and beside what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Schedule {
    /// Checks and steps that come before it when several are run.
    pub after: Vec<String>,
    /// It is run again when its last evidence is so old, milliseconds.
    pub every_ms: Option<u64>,
    /// Whether others may run at the same time; by its kind when not said.
    pub parallel: Option<bool>,
    /// It is run at once after each deploy and rollback.
    pub after_deploy: bool,
}
