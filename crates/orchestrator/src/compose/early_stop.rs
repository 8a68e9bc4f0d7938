//! Stops services without data early.
//!
//! Compose creates the new container of a service before it stops the old one, one service after the other, and waits
//! for each until its grace period is over. Here, once Compose has begun to replace containers, all that will be
//! replaced get the stop signal at the same time, and those that ignore it are killed soon after.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{EventsOptions, KillContainerOptions};
use futures::StreamExt;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::docker::Docker;
use super::observe::PROJECT_LABEL;
use super::transport::MAX_EVENT_BYTES;
use crate::container::Container;

/// Grace period of a service without data between the stop signal and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);

/// Stops `old`, containers of `project`, as soon as Compose begins to replace any. Runs until dropped; if Compose
/// replaces nothing, nothing is stopped. Without events of the engine, only the speed-up is lost.
pub(super) async fn stop_early(docker: &Docker, project: &str, old: Vec<Container>) {
    if old.is_empty() {
        return;
    }
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("event".to_owned(), vec!["create".to_owned(), "kill".to_owned()]),
        ("label".to_owned(), vec![format!("{PROJECT_LABEL}={project}")]),
    ]);
    let options = EventsOptions { filters: Some(filters), ..EventsOptions::default() };
    let mut stream = Box::pin(docker.stream(MAX_EVENT_BYTES, |client| client.events(Some(options))));
    if !matches!(stream.next().await, Some(Ok(_))) {
        return;
    }
    let mut ending = JoinSet::new();
    for one in old.into_iter().filter(|one| one.is_running()) {
        let client = docker.client().clone();
        ending.spawn(async move {
            // The signal is the container's own, so the engine does not start it again. An error for a container
            // that has stopped in the meantime does not matter.
            let ask = KillContainerOptions { signal: one.stop_signal };
            let _ = client.kill_container(&one.id, Some(ask)).await;
            sleep(GRACE).await;
            let end = KillContainerOptions { signal: "SIGKILL".to_owned() };
            let _ = client.kill_container(&one.id, Some(end)).await;
        });
    }
    while ending.join_next().await.is_some() {}
}
