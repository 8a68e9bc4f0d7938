//! A short end for services that hold no data.
//!
//! Compose makes the new container of a service before it asks the old one to stop, one service after the other,
//! and waits for each as long as its grace lasts. Here, once Compose has begun to replace, all that will be
//! replaced are asked together, and those that ignore it are ended soon after.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{EventsOptions, KillContainerOptions};
use futures::StreamExt;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::docker::Docker;
use super::observe::{Instance, PROJECT_LABEL};
use super::transport::MAX_EVENT_BYTES;

/// What a service without data gets between being asked to stop and being ended.
const GRACE: Duration = Duration::from_millis(500);

/// Ends `old`, containers of `project`, as soon as Compose begins to replace any. Runs until dropped; where Compose
/// replaces nothing, nothing is stopped. An engine that cannot be heard only costs the speed.
pub(super) async fn stop_early(docker: &Docker, project: &str, old: Vec<Instance>) {
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
    for one in old.into_iter().filter(|one| one.up) {
        let client = docker.client().clone();
        ending.spawn(async move {
            // The signal is the container's own, so the engine does not start it again. One that has stopped
            // meanwhile cannot be killed, which is as well.
            let ask = KillContainerOptions { signal: one.stop_signal };
            let _ = client.kill_container(&one.id, Some(ask)).await;
            sleep(GRACE).await;
            let end = KillContainerOptions { signal: "SIGKILL".to_owned() };
            let _ = client.kill_container(&one.id, Some(end)).await;
        });
    }
    while ending.join_next().await.is_some() {}
}
