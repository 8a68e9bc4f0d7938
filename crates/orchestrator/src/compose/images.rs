//! Images: which exist, their names, and the tags that protect them.

use std::collections::HashMap;

use bollard::query_parameters::{ListImagesOptions, RemoveImageOptions, TagImageOptions};

use super::docker::{Address, Docker};
use crate::error::{OrchestratorError, Result};

const RETAINED: &str = "stagegate/keep";
const BEFORE: &str = "before-";

/// Returns those of `ids` (image IDs or names) that the engine does not have.
pub(super) async fn missing_images<S: AsRef<str>>(
    docker: &Docker,
    ids: impl IntoIterator<Item = S>,
) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for id in ids {
        if image_id(docker, id.as_ref()).await?.is_none() {
            missing.push(id.as_ref().to_owned());
        }
    }
    Ok(missing)
}

/// The ID of the image that `name` points to.
pub(super) async fn image_id(docker: &Docker, name: &str) -> Result<Option<String>> {
    if name.is_empty() {
        return Ok(None);
    }
    Ok(docker.find(docker.client().inspect_image(name)).await?.and_then(|image| image.id))
}

/// Points `name` to the image `id`.
pub(super) async fn tag(docker: &Docker, id: &str, name: &str) -> Result<()> {
    let (repo, tag) = split(name)
        .ok_or_else(|| OrchestratorError::InvalidName { what: "an image name", name: name.to_owned() })?;
    let options = TagImageOptions { repo: Some(repo.to_owned()), tag: Some(tag.to_owned()) };
    docker.send(docker.client().tag_image(id, Some(options))).await
}

/// Removes a name from its image. The layers are kept for later builds.
pub(super) async fn untag(docker: &Docker, name: &str) -> Result<()> {
    let options = RemoveImageOptions { noprune: true, ..RemoveImageOptions::default() };
    docker.find(docker.client().remove_image(name, Some(options), None)).await.map(drop)
}

/// Splits `repo:tag`; no tag means `latest`. `None` for what names an ID or a digest: it cannot be moved.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    if name.is_empty() || name.contains('@') || name.starts_with("sha256:") {
        return None;
    }
    match name.rsplit_once(':') {
        // A colon before the last slash belongs to a port.
        Some((repo, tag)) if !tag.contains('/') => Some((repo, tag)),
        _ => Some((name, "latest")),
    }
}

/// The protective tag of a service's image: `stagegate/keep/<project>/<service>:<release tag>`.
///
/// # Errors
/// [`OrchestratorError::InvalidName`] when `release_tag` cannot be a tag.
pub(super) fn retained_name(project: &str, service: &str, release_tag: &str) -> Result<String> {
    let fits = (1..=128).contains(&release_tag.len())
        && !release_tag.starts_with(['.', '-'])
        && release_tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !fits {
        return Err(OrchestratorError::InvalidName { what: "a release tag", name: release_tag.to_owned() });
    }
    Ok(format!("{RETAINED}/{}/{}:{release_tag}", component(project), component(service)))
}

/// A part of an image name. Names that Docker would not accept are written in hex.
fn component(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    let ends = bytes.first().is_some_and(|b| plain(*b)) && bytes.last().is_some_and(|b| plain(*b));
    let middle = bytes.iter().all(|b| plain(*b) || matches!(b, b'-' | b'_' | b'.'));
    let runs = name.contains("..")
        || name.contains("___")
        || name.contains("._")
        || name.contains("_.")
        || name.contains("-.")
        || name.contains(".-")
        || name.contains("-_")
        || name.contains("_-");
    if ends && middle && !runs && !name.starts_with("x0") {
        return name.to_owned();
    }
    bytes.iter().fold("x0".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The tag under which a rollback protects the images that ran before it.
pub(super) fn before(release_tag: &str) -> String {
    format!("{BEFORE}{release_tag}")
}

/// Removes the protective tags of `project` for which `retains` returns false, and the images that have no other name.
/// Images that ran before a rollback to a retained release are retained too, and so are images in use. Returns the removed
/// tags.
pub(crate) async fn prune_images(
    engine: &Address,
    project: &str,
    retains: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let docker = Docker::connect(engine).await?;
    let prefix = format!("{RETAINED}/{}/", component(project));
    let filters = HashMap::from([("reference".to_owned(), vec![format!("{prefix}*")])]);
    let options = ListImagesOptions { filters: Some(filters), ..ListImagesOptions::default() };
    let images = docker.send(docker.client().list_images(Some(options))).await?;
    let mut removed = Vec::new();
    for name in images.into_iter().flat_map(|image| image.repo_tags) {
        let Some((repo, tag)) = split(&name) else { continue };
        if !repo.starts_with(&prefix) || retains(tag.strip_prefix(BEFORE).unwrap_or(tag)) {
            continue;
        }
        let gone = docker.client().remove_image(&name, None::<RemoveImageOptions>, None);
        match docker.find(gone).await {
            Ok(_) => removed.push(name),
            // A container still uses it, and the tag is its only name: it is removed another time.
            Err(OrchestratorError::Refused { status: 409, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    removed.sort();
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_the_tag_and_not_at_a_port() {
        assert_eq!(split("app"), Some(("app", "latest")));
        assert_eq!(split("host:5000/app"), Some(("host:5000/app", "latest")));
        assert_eq!(split("host:5000/app:1.2"), Some(("host:5000/app", "1.2")));
        assert_eq!(split("app@sha256:00"), None);
        assert_eq!(split("sha256:00"), None);
    }

    #[test]
    fn names_that_docker_would_not_accept_are_written_in_hex() {
        assert_eq!(retained_name("shop", "web", "r7").unwrap(), "stagegate/keep/shop/web:r7");
        assert_eq!(retained_name("shop", "Web", "r7").unwrap(), "stagegate/keep/shop/x0576562:r7");
        assert_eq!(component("a__b-c.d"), "a__b-c.d");
        assert_ne!(component("x0576562"), component("Web"), "two services must never share a tag");
        for bad in ["", "-x", "a b", "a/b", "a:b"] {
            assert!(retained_name("shop", "web", bad).is_err(), "{bad:?}");
        }
    }
}
