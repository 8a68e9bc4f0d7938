//! A short stop grace for services that hold no data.
//!
//! Compose keeps its order: it makes the new container before it asks the old one to stop. Where the old one
//! ignores that, Compose would wait for the whole grace; here it is ended soon after it was asked.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{EventsOptions, KillContainerOptions};
use futures::StreamExt;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::docker::Docker;
use super::observe::Instance;

/// What a service without data gets between being asked to stop and being ended.
const GRACE: Duration = Duration::from_millis(500);
/// SIGKILL as the engine's events spell it.
const KILLED: &str = "9";

/// Ends those of `old` that do not stop by themselves soon after they were asked to. Runs until dropped;
/// containers that nobody asks to stop are left alone. An engine that cannot be heard only costs the speed.
pub(super) async fn hurry(docker: &Docker, old: Vec<Instance>) {
    if old.is_empty() {
        return;
    }
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("event".to_owned(), vec!["kill".to_owned()]),
        ("container".to_owned(), old.iter().map(|one| one.id.clone()).collect()),
    ]);
    let options = EventsOptions { filters: Some(filters), ..EventsOptions::default() };
    let mut stream = Box::pin(docker.client().events(Some(options)));
    let mut ending = JoinSet::new();
    while let Some(Ok(event)) = stream.next().await {
        let Some(actor) = event.actor else { continue };
        let signal = actor.attributes.as_ref().and_then(|all| all.get("signal"));
        let Some(id) = actor.id.filter(|_| signal.is_some_and(|signal| signal != KILLED)) else { continue };
        let client = docker.client().clone();
        ending.spawn(async move {
            sleep(GRACE).await;
            let options = KillContainerOptions { signal: "SIGKILL".to_owned() };
            // One that has stopped meanwhile cannot be killed, which is as well.
            let _ = client.kill_container(&id, Some(options)).await;
        });
    }
}
