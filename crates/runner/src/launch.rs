//! Starting a supervisor. From then on the server is only a reader.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::RUN_TAG;
use super::dir::RunDir;
use super::error::{Result, RunnerError};
use super::procs::{COMMAND_TAG, DIR_TAG};
use super::status::{Exit, State, private, write_json};
use system::clock::now_ms;

/// Starts `exe supervise <dir>` and reaps it in a separate task; it keeps running when this process ends.
///
/// Must be called inside a Tokio runtime. Fails with [`RunnerError::Over`] for a run that was started before,
/// and when the supervisor cannot be started; the run then ends as [`Exit::NotStarted`].
pub fn launch(exe: &Path, dir: &RunDir) -> Result<()> {
    let mut status = dir.read_status()?;
    if status.state != State::Starting || status.pid.is_some() {
        return Err(RunnerError::Over);
    }
    // The time limit for the start counts from here, however long ago the run was planned.
    status.created_at_ms = now_ms();
    write_json(&dir.status(), &status, "status")?;
    let spawned = private(&dir.supervisor_err()).and_then(|errors| {
        Command::new(exe)
            .arg("supervise")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(errors))
            .env_remove(RUN_TAG)
            .env_remove(DIR_TAG)
            .env_remove(COMMAND_TAG)
            .kill_on_drop(false)
            .spawn()
    });
    match spawned {
        Ok(mut child) => {
            tokio::spawn(async move { child.wait().await });
            Ok(())
        }
        Err(error) => {
            let why = "the supervisor could not be started".to_owned();
            status.state = State::Ended { exit: Exit::NotStarted(why), ended_at_ms: now_ms() };
            write_json(&dir.status(), &status, "status")?;
            Err(RunnerError::io("start the supervisor", exe)(error))
        }
    }
}
