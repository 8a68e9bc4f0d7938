//! Putting right what a supervisor left that died without a word.

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

/// Looks at one run when the server starts. Is its supervisor gone without an end, whatever it left running is
/// ended and the run is marked [`State::Interrupted`] for good. Other runs stay as they are.
///
/// Returns where the run stands. Fails when it cannot be read, or its new state cannot be stored.
pub async fn reconcile(dir: &Path) -> Result<Status> {
    let path = dir.to_owned();
    let looked = off_thread(move || look(&path)).await;
    let lost = match looked.map_err(RunnerError::io("look at the run", dir))?? {
        Look::As(status) => return Ok(status),
        Look::Lost(lost) => lost,
    };
    let left = lost.scope.end(lost.grace).await.len();
    let marked = off_thread(move || lost.mark(left)).await;
    marked.map_err(RunnerError::io("look at the run", dir))?
}

enum Look {
    /// Nothing is to be done: it stands like this.
    As(Status),
    Lost(Lost),
}

/// A run without a supervisor and without an end.
struct Lost {
    dir: RunDir,
    /// With this lock no late supervisor can begin meanwhile.
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
    /// Stores that the run is interrupted, with how many of its processes are left.
    fn mark(self, left: usize) -> Result<Status> {
        let Self { dir, alive, .. } = self;
        let mut status = dir.read_status()?;
        if status.state.is_over() {
            return Ok(status);
        }
        status.state = State::Interrupted;
        if left > 0 {
            status.note = Some(format!("{left} processes of this run could not be ended."));
        }
        write_json(&dir.status(), &status, "status")?;
        drop(alive);
        Ok(status)
    }
}

/// Whether a supervisor has the run, whatever its files say.
pub fn is_supervised(dir: &RunDir) -> Result<bool> {
    match is_held(&dir.alive()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        held => held.map_err(RunnerError::io("look at the run", &dir.alive())),
    }
}

/// Ends what a run without a supervisor left running, although its files cannot be understood.
pub async fn end_leftovers(dir: &RunDir) {
    let Some(id) = dir.path().file_name().and_then(|name| name.to_str()) else { return };
    let path = dir.path().to_owned();
    let Ok(tag) = off_thread(move || tag_dir(&path)).await else { return };
    let left = Scope::Leftovers(Tags::new(id, &tag)).end(Duration::from_secs(2)).await;
    if !left.is_empty() {
        tracing::error!(run = id, count = left.len(), "processes of a run could not be ended");
    }
}
