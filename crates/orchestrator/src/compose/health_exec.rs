//! Runs the health commands of services far more often than the engine does.
//!
//! The engine reports a service as healthy at the first success of its health command, which it runs every few seconds.
//! Here the same command is run in the same container every 50 ms, so that the same result is known earlier. Only
//! services that are starting are checked, and a result of the engine itself is never overruled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecOptions};
use domain::observed::Health;
use domain::time::Millis;
use futures::StreamExt;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::docker::Docker;
use super::transport::MAX_OUTPUT_BYTES;
use crate::container::{Container, HealthCommand};

/// Time between two attempts.
const AGAIN: Duration = Duration::from_millis(50);
/// Time limit of an attempt if the service sets none, as in the engine.
const TIMEOUT: Duration = Duration::from_secs(30);
/// After this many refusals in a row, only the engine's own checks count.
const REFUSALS: u32 = 20;

/// One start of one container.
type Start = (String, Option<Millis>);

/// The active probes. They end when this is dropped.
pub(super) struct HealthExecs {
    docker: Docker,
    asked: BTreeMap<String, Option<Millis>>,
    well: BTreeSet<Start>,
    tasks: JoinSet<Option<Start>>,
}

impl HealthExecs {
    pub(super) fn new(docker: &Docker) -> Self {
        Self { docker: docker.clone(), asked: BTreeMap::new(), well: BTreeSet::new(), tasks: JoinSet::new() }
    }

    /// Begins to check containers that are starting and have not been checked since their start.
    pub(super) fn watch(&mut self, found: &[Container]) {
        for one in found.iter().filter(|one| one.is_running() && one.health == Health::Starting) {
            let Some(command) = &one.health_command else { continue };
            if self.asked.get(&one.id) == Some(&one.started_at) {
                continue;
            }
            self.asked.insert(one.id.clone(), one.started_at);
            let (docker, command) = (self.docker.clone(), command.clone());
            let start = (one.id.clone(), one.started_at);
            self.tasks.spawn(async move { agrees(&docker, &start.0, &command).await.then_some(start) });
        }
    }

    /// Whether the health command of this start of the container has succeeded.
    pub(super) fn is_healthy(&self, one: &Container) -> bool {
        self.well.contains(&(one.id.clone(), one.started_at))
    }

    /// Waits until a probe has ended; never ends when none is active.
    pub(super) async fn next(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(Some(start))) => drop(self.well.insert(start)),
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// Runs the command until it succeeds. `false` when it cannot be run in the container.
async fn agrees(docker: &Docker, id: &str, command: &HealthCommand) -> bool {
    let mut refused = 0;
    while refused < REFUSALS {
        match timeout(command.timeout.unwrap_or(TIMEOUT), once(docker, id, &command.argv)).await {
            Ok(Ok(Some(0))) => return true,
            Ok(Err(_)) => refused += 1,
            Ok(Ok(_)) | Err(_) => refused = 0,
        }
        sleep(AGAIN).await;
    }
    false
}

/// One run of the command as the container's own user: its exit code.
async fn once(docker: &Docker, id: &str, argv: &[String]) -> Result<Option<i64>, bollard::errors::Error> {
    let options = CreateExecOptions {
        cmd: Some(argv.to_vec()),
        attach_stdout: Some(true),
        ..CreateExecOptions::default()
    };
    let exec = docker.client().create_exec(id, options).await?.id;
    let (client, budget) = docker.metered(MAX_OUTPUT_BYTES);
    let started = client.start_exec(&exec, None::<StartExecOptions>).await?;
    if let bollard::exec::StartExecResults::Attached { mut output, .. } = started {
        while output.next().await.is_some() {
            budget.renew();
        }
    }
    Ok(docker.client().inspect_exec(&exec).await?.exit_code)
}
