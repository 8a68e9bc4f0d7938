//! Cleaning up after a supervisor that died without recording an outcome.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::dir::RunDir;
use super::error::{Result, RunnerError};
use super::lock::is_held;
use super::procs::{Scope, Tags, tag_dir};
use super::reader::Reader;
use super::status::{State, Status, write_json};
use system::files::off_thread;

/// Checks one run when the server starts. If its supervisor died without recording an outcome, its remaining processes
/// are ended and the run is marked [`State::Interrupted`] permanently. Other runs are not changed.
///
/// Returns the status of the run. Fails when it cannot be read, or its new state cannot be stored.
pub async fn reconcile(dir: &Path) -> Result<Status> {
    let path = dir.to_owned();
    let looked = off_thread(move || look(&path)).await;
    let lost = match looked.map_err(RunnerError::io("read the run", dir))?? {
        Look::As(status) => return Ok(status),
        Look::Lost(lost) => lost,
    };
    let left = lost.scope.end(lost.grace).await.len();
    let marked = off_thread(move || lost.mark(left)).await;
    marked.map_err(RunnerError::io("read the run", dir))?
}

enum Look {
    /// Nothing has to be done: this is its status.
    As(Status),
    Lost(Lost),
}

/// A run without a supervisor and without an outcome.
struct Lost {
    dir: RunDir,
    /// With this lock no late supervisor can start in the meantime.
    alive: File,
    scope: Scope,
    grace: Duration,
}

fn look(dir: &Path) -> Result<Look> {
    let reader = Reader::open(dir)?;
    let status = reader.status()?;
    if status.state != State::Interrupted {
        return Ok(Look::As(status));
    }
    let dir = RunDir::open(dir)?;
    let alive = File::open(dir.alive()).map_err(RunnerError::io("open a file of the run", &dir.alive()))?;
    if alive.try_lock().is_err() {
        return reader.status().map(Look::As);
    }
    let scope = Scope::Leftovers(Tags::new(&status.id, &tag_dir(dir.path())));
    let grace = Duration::from_millis(dir.plan().map_or(0, |plan| plan.grace_ms.min(2_000)));
    Ok(Look::Lost(Lost { dir, alive, scope, grace }))
}

impl Lost {
    /// Stores that the run is interrupted, and how many of its processes remain.
    fn mark(self, left: usize) -> Result<Status> {
        let Self { dir, alive, .. } = self;
        let mut status = dir.read_status()?;
        if status.state.is_over() {
            return Ok(status);
        }
        status.state = State::Interrupted;
        if left > 0 {
            let processes = if left == 1 { "1 process".to_owned() } else { format!("{left} processes") };
            status.note = Some(format!("{processes} of this run could not be stopped."));
        }
        write_json(&dir.status(), &status, "status")?;
        drop(alive);
        Ok(status)
    }
}

/// Whether the run has a supervisor, whatever its files contain.
pub fn is_supervised(dir: &RunDir) -> Result<bool> {
    match is_held(&dir.alive()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        held => held.map_err(RunnerError::io("read the run", &dir.alive())),
    }
}

/// Ends the remaining processes of a run without a supervisor whose files are damaged.
pub async fn end_leftovers(dir: &RunDir) {
    let Some(id) = dir.path().file_name().and_then(|name| name.to_str()) else { return };
    let path = dir.path().to_owned();
    let Ok(tag) = off_thread(move || tag_dir(&path)).await else { return };
    let left = Scope::Leftovers(Tags::new(id, &tag)).end(Duration::from_secs(2)).await;
    if !left.is_empty() {
        tracing::error!(run = id, count = left.len(), "processes of a run could not be stopped");
    }
}
