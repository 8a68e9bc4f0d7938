//! Asking a run to stop. The wish is a file, so it outlives the server that wrote it.

use serde::{Deserialize, Serialize};
use std::path::Path;

use super::dir::RunDir;
use super::error::Result;
use super::status::write_json;
use system::clock::now_ms;

/// The wish that a run stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Who wishes it.
    pub by: String,
    /// Since when, milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// Asks the run in `dir` to stop, in the name of `by`. Its supervisor notices within 50 ms; a run that has
/// ended is not changed. Fails when there is no such run or the wish cannot be stored.
pub fn cancel(dir: &Path, by: &str) -> Result<()> {
    let dir = RunDir::open(dir)?;
    write_json(&dir.cancel(), &Cancel { by: by.to_owned(), at_ms: now_ms() }, "cancel wish")
}
