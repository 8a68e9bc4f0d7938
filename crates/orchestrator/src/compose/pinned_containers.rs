//! Each retained image is pinned by a container that is never started: `docker image prune -a` removes every image that
//! no container uses, whatever its tags.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptions, ListContainersOptions, RemoveContainerOptions};

use futures::StreamExt;

use super::docker::{Address, Docker};
use crate::error::{OrchestratorError, Result};
use crate::images::ImageInventory;

/// Requests at the same time.
const AT_ONCE: usize = 8;
/// On pin containers: the project that they belong to.
const PINNED_FOR: &str = "stagegate.keep";
/// Images that Compose builds pass its labels on to their containers; a pin container must not look like a service's.
const NOT_A_SERVICE: [(&str, &str); 3] = [
    ("com.docker.compose.project", "stagegate-keep"),
    ("com.docker.compose.service", ""),
    ("com.docker.compose.oneoff", "True"),
];

/// Looks for `ids`.
pub(crate) async fn find_images(engine: &Address, ids: &BTreeSet<String>) -> Result<ImageInventory> {
    let docker = Docker::connect(engine).await?;
    let mut found = ImageInventory::default();
    let ids: Vec<String> = ids.iter().cloned().collect();
    let asked = futures::stream::iter(ids.into_iter().map(|id| {
        let docker = docker.clone();
        async move {
            let image = docker.find(docker.client().inspect_image(&id)).await;
            (id, image)
        }
    }));
    let mut answers = asked.buffer_unordered(AT_ONCE);
    while let Some((id, image)) = answers.next().await {
        match image? {
            Some(image) => {
                let bytes = image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                found.bytes.insert(id, bytes);
            }
            None => drop(found.missing.insert(id)),
        }
    }
    Ok(found)
}

/// Creates and removes pin containers of `project`, so that exactly `ids` are pinned. Returns the images from which no
/// container can be created, so that they cannot be started either.
pub(crate) async fn pin_images(
    engine: &Address,
    project: &str,
    ids: &BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let docker = Docker::connect(engine).await?;
    let filters = HashMap::from([("label".to_owned(), vec![format!("{PINNED_FOR}={project}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let mut pinned = BTreeSet::new();
    for pin in docker.send(docker.client().list_containers(Some(options))).await? {
        let image = pin.image_id.unwrap_or_default();
        if ids.contains(&image) && pinned.insert(image) {
            continue;
        }
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        let id = pin.id.unwrap_or_default();
        docker.find(docker.client().remove_container(&id, Some(options))).await?;
    }
    let mut unusable = BTreeSet::new();
    for id in ids.difference(&pinned) {
        match pin(&docker, project, id).await {
            // If the name is taken, another process pins the same image at this moment.
            Ok(()) | Err(OrchestratorError::Refused { status: 409, .. }) => {}
            Err(OrchestratorError::Refused { status: 400 | 404, .. }) => drop(unusable.insert(id.clone())),
            // Other errors, such as a full disk, say nothing about the image.
            Err(error) => return Err(error),
        }
    }
    Ok(unusable)
}

async fn pin(docker: &Docker, project: &str, id: &str) -> Result<()> {
    let mut labels = NOT_A_SERVICE.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    labels.push((PINNED_FOR.to_owned(), project.to_owned()));
    let body = ContainerCreateBody {
        image: Some(id.to_owned()),
        labels: Some(labels.into_iter().collect()),
        // It is never started, and must not depend on a command of the image.
        entrypoint: Some(vec!["stagegate-holds-this-image".to_owned()]),
        network_disabled: Some(true),
        host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    let short: String = id.trim_start_matches("sha256:").chars().take(12).collect();
    let name = format!("stagegate-keep-{project}-{short}");
    let options = CreateContainerOptions { name: Some(name), ..CreateContainerOptions::default() };
    docker.send(docker.client().create_container(Some(options), body)).await.map(|_| ())
}
