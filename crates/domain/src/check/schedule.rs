//! When a check runs automatically, as declared in `stagegate.toml`.

use serde::{Deserialize, Serialize};

/// When a check runs automatically, and whether other checks may run at the same time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Schedule {
    /// Checks and steps that run before it when several are run together.
    pub after: Vec<String>,
    /// It runs again when its last evidence has this age, milliseconds.
    pub every_ms: Option<u64>,
    /// Whether others may run at the same time; decided by its kind when absent.
    pub parallel: Option<bool>,
    /// It runs immediately after each deploy and rollback.
    pub after_deploy: bool,
}
