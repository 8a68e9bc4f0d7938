//! Requests to stop a run. A request is a file, so it outlives the server that wrote it.

use serde::{Deserialize, Serialize};
use std::path::Path;

use super::dir::RunDir;
use super::error::Result;
use super::status::write_json;
use system::clock::now_ms;

/// The request that a run stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Who requested it.
    pub by: String,
    /// Since when, milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// Requests that the run in `dir` stops, in the name of `by`. Its supervisor notices within 50 ms; a run that has
/// ended is not changed. Fails when there is no such run or the request cannot be stored.
pub fn cancel(dir: &Path, by: &str) -> Result<()> {
    let dir = RunDir::open(dir)?;
    write_json(&dir.cancel(), &Cancel { by: by.to_owned(), at_ms: now_ms() }, "cancel request")
}
