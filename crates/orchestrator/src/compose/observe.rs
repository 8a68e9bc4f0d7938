//! The stack as the engine reports it: containers found by Compose's labels, one state for each service.

use std::collections::{BTreeMap, HashMap};

use bollard::models::ContainerSummary;
use bollard::query_parameters::{EventsOptions, InspectContainerOptions, ListContainersOptions, LogsOptions};
use domain::observed::{Health, Orphan, Service};
use futures::{Stream, StreamExt, TryStreamExt};

use super::docker::{Address, Docker, LONG_TIMEOUT};
use super::inspection::{SERVICE_LABEL, container, shorten};
use super::transport::{MAX_EVENT_BYTES, MAX_OUTPUT_BYTES};
use crate::container::{Container, PublishedPort};
use crate::error::{OrchestratorError, Result};
use crate::rendered::Rendered;
use system::clock::now;

pub(super) const PROJECT_LABEL: &str = "com.docker.compose.project";
const ONE_OFF_LABEL: &str = "com.docker.compose.oneoff";
/// Inspections at the same time.
const AT_ONCE: usize = 8;

/// All containers of the stack, except those of `docker compose run`.
pub(crate) async fn containers(engine: &Address, rendered: &Rendered) -> Result<Vec<Container>> {
    let docker = Docker::connect_within(engine, LONG_TIMEOUT, LONG_TIMEOUT).await?;
    list_containers(&docker, &rendered.name).await
}

/// The state that was read from the engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// Every expected service, also one without a container.
    pub(super) services: Vec<Service>,
    /// Services with a container whose image tag has moved to another image or was removed.
    pub(super) moved_tags: Vec<String>,
    /// Containers of the project that belong to none of its services.
    pub(super) orphans: Vec<Orphan>,
}

/// Reads the state of the stack from the engine.
pub(super) async fn look(docker: &Docker, rendered: &Rendered) -> Result<Seen> {
    let found = list_containers(docker, &rendered.name).await?;
    let is_service = |name: &str| rendered.expected().any(|expected| expected.name == name);
    let mut moved_tags: Vec<String> = found
        .iter()
        .filter(|one| one.tag_moved && is_service(&one.service))
        .map(|one| one.service.clone())
        .collect();
    moved_tags.dedup();
    let orphans = found.iter().filter(|one| !is_service(&one.service)).map(|one| Orphan {
        container: one.name.clone(),
        service: one.service.clone(),
        image: one.image.clone(),
    });
    Ok(Seen { services: services(rendered, &found), moved_tags, orphans: orphans.collect() })
}

/// Image ID of each service that has a container.
pub(super) fn image_ids(services: &[Service]) -> BTreeMap<String, String> {
    let known = services.iter().filter(|service| !service.image.is_empty());
    known.map(|service| (service.name.clone(), service.image.clone())).collect()
}

/// The state of each expected service, from its containers.
pub(super) fn services(rendered: &Rendered, containers: &[Container]) -> Vec<Service> {
    rendered
        .expected()
        .map(|expected| {
            let own: Vec<_> = containers.iter().filter(|one| one.service == expected.name).collect();
            summary(&expected.name, &own)
        })
        .collect()
}

fn summary(name: &str, own: &[&Container]) -> Service {
    let Some(worst) = own.iter().max_by_key(|one| rank(one.health)) else {
        return Service {
            name: name.to_owned(),
            health: Health::Missing,
            image: String::new(),
            tag: String::new(),
            restarts: 0,
            started_at: None,
            ports: Vec::new(),
            container: String::new(),
        };
    };
    let mut ports: Vec<String> =
        own.iter().flat_map(|one| &one.ports).map(PublishedPort::to_string).collect();
    ports.sort();
    ports.dedup();
    Service {
        name: name.to_owned(),
        health: worst.health,
        image: worst.image.clone(),
        tag: worst.tag.clone(),
        restarts: own.iter().map(|one| one.restarts).sum(),
        started_at: worst.started_at,
        ports,
        container: worst.id.chars().take(12).collect(),
    }
}

/// How bad a state is.
fn rank(health: Health) -> u8 {
    match health {
        Health::Done => 0,
        Health::Healthy => 1,
        Health::Running => 2,
        Health::Starting => 3,
        Health::Unhealthy => 4,
        Health::Restarting => 5,
        Health::Exited => 6,
        Health::Missing => 7,
    }
}

/// All containers of a project, except those of `docker compose run`.
pub(super) async fn list_containers(docker: &Docker, project: &str) -> Result<Vec<Container>> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{PROJECT_LABEL}={project}")])]);
    let options =
        ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    let listed = docker.send(docker.client().list_containers(Some(options))).await?;
    let found = futures::stream::iter(listed.into_iter().filter(is_of_a_service).map(|summary| async move {
        let id = summary.id.clone().unwrap_or_default();
        let details =
            docker.find(docker.client().inspect_container(&id, None::<InspectContainerOptions>)).await?;
        // A container that was removed between the two requests is ignored.
        Ok::<_, OrchestratorError>(details.map(|details| container(&summary, &details)))
    }));
    let mut found: Vec<Container> =
        found.buffer_unordered(AT_ONCE).try_filter_map(|one| async { Ok(one) }).try_collect().await?;
    found.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
    Ok(found)
}

/// Events of the project's containers and of image names. Running a health check is not one of them.
pub(super) fn events(docker: &Docker, project: &str) -> impl Stream<Item = Result<()>> + use<> {
    const ACTIONS: [&str; 13] = [
        "create",
        "start",
        "restart",
        "die",
        "stop",
        "kill",
        "oom",
        "destroy",
        "pause",
        "unpause",
        "rename",
        "update",
        "health_status",
    ];
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("label".to_owned(), vec![format!("{PROJECT_LABEL}={project}")]),
        ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
    ]);
    // From a moment ago: an event while the request is sent must not be missed.
    let since = (now().0 / 1_000).to_string();
    let options = EventsOptions { filters: Some(filters), since: Some(since), ..EventsOptions::default() };
    // Image events carry no label of the project, and are rare.
    let tags = HashMap::from([
        ("type".to_owned(), vec!["image".to_owned()]),
        (
            "event".to_owned(),
            ["tag", "untag", "delete", "load", "import", "pull"].map(str::to_owned).to_vec(),
        ),
    ]);
    let tags =
        EventsOptions { filters: Some(tags), since: options.since.clone(), ..EventsOptions::default() };
    // The end of either stream ends both: the engine is unreachable, or the streams have to be reopened.
    let stream = |options: EventsOptions| {
        let events = docker.stream(MAX_EVENT_BYTES, |client| client.events(Some(options)));
        events.map(Some).chain(futures::stream::iter([None])).boxed()
    };
    futures::stream::select(stream(options), stream(tags))
        .take_while(|event| std::future::ready(event.is_some()))
        .filter_map(std::future::ready)
        .map(|event| event.map(|_| ()))
}

fn is_of_a_service(summary: &ContainerSummary) -> bool {
    let label = |name: &str| summary.labels.as_ref().and_then(|labels| labels.get(name));
    label(SERVICE_LABEL).is_some() && label(ONE_OFF_LABEL).is_none_or(|value| value != "True")
}

/// The last `n` lines of a service's containers, each passed through `redact`, which masks secrets.
pub(super) async fn service_logs(
    docker: &Docker,
    project: &str,
    service: &str,
    n: usize,
    redact: impl Fn(&str) -> String,
) -> Result<Vec<String>> {
    let own = list_containers(docker, project).await?.into_iter().filter(|one| one.service == service);
    let Some(worst) = own.max_by_key(|one| rank(one.health)) else { return Ok(Vec::new()) };
    container_logs(docker, &worst.id, n, redact).await
}

/// The last `n` lines of one container, passed through `redact`.
pub(super) async fn container_logs(
    docker: &Docker,
    id: &str,
    n: usize,
    redact: impl Fn(&str) -> String,
) -> Result<Vec<String>> {
    let options = LogsOptions { stdout: true, stderr: true, tail: n.to_string(), ..LogsOptions::default() };
    let lines = docker.stream(MAX_OUTPUT_BYTES, |client| client.logs(id, Some(options)));
    let bytes = tokio::time::timeout(docker.timeout(), super::lines::last_bytes(lines)).await;
    let bytes = bytes.map_err(|_| OrchestratorError::Unreachable {
        why: "its logs did not arrive in time".to_owned(),
    })??;
    // Masked as a whole first: a secret may span several lines.
    let text = redact(&String::from_utf8_lossy(&bytes));
    let lines: Vec<String> = text.lines().map(shorten).collect();
    Ok(lines.into_iter().rev().take(n).rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::HostPort;

    fn one(service: &str, health: Health) -> Container {
        let host = HostPort::new("127.0.0.1", "1");
        let ports = vec![PublishedPort { host, container: 1, tcp: true }];
        Container {
            restarts: 2,
            ports,
            ..Container::of(service, &format!("{service}-0123456789abcdef"), health)
        }
    }

    #[test]
    fn a_service_has_the_state_of_its_worst_container() {
        let (a, b) = (one("web", Health::Healthy), one("web", Health::Unhealthy));
        let web = summary("web", &[&a, &b]);
        assert_eq!((web.health, web.restarts, web.ports.len()), (Health::Unhealthy, 4, 1));
        assert_eq!(summary("db", &[]).health, Health::Missing);
    }
}
