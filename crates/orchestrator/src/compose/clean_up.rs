//! Removes obstacles for Compose: what a Compose that was killed while it replaced a container left behind, and paused
//! containers.
//!
//! Compose creates the new container as `<id of the old one>_<name>`, stops and removes the old one, and renames
//! the new one at last. Killed in between, it leaves the long name; the next `up` would take it as it is.

use std::collections::HashMap;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions, RenameContainerOptions};

use super::docker::Docker;
use super::observe::PROJECT_LABEL;
use crate::error::{OrchestratorError, Result};

/// What is done with one leftover.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remedy {
    /// The old container still exists: the new one, which is not used yet, is removed.
    Remove(String),
    /// The old container was removed: the new one gets the name.
    Rename(String, String),
}

/// The final name of the container, when `name` is one of the temporary names of Compose.
fn final_name(name: &str) -> Option<&str> {
    let (id, rest) = name.split_once('_')?;
    (id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))).then_some(rest)
}

/// Whether a container of this name was not finished by the Compose that made it.
pub(super) fn is_leftover(name: &str) -> bool {
    final_name(name).is_some()
}

fn remedies(names: &[String]) -> Vec<Remedy> {
    let mut taken: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut all = Vec::new();
    for name in names {
        let Some(rest) = final_name(name) else { continue };
        if taken.contains(&rest) {
            all.push(Remedy::Remove(name.clone()));
        } else {
            // A second leftover of the same service must not get the same name.
            taken.push(rest);
            all.push(Remedy::Rename(name.clone(), rest.to_owned()));
        }
    }
    all
}

/// Cleans up leftovers and resumes paused containers of the project; volumes are never changed. Returns what was done,
/// one sentence each. To be called only while holding the stack's lock.
pub(super) async fn clean_up(docker: &Docker, project: &str) -> Result<Vec<String>> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{PROJECT_LABEL}={project}")])]);
    let options =
        ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    let listed = docker.send(docker.client().list_containers(Some(options))).await?;
    let name = |one: &ContainerSummary| {
        let name = one.names.as_ref()?.first()?;
        Some(name.trim_start_matches('/').to_owned())
    };
    let mut said = Vec::new();
    for name in
        listed.iter().filter(|one| one.state == Some(ContainerSummaryStateEnum::PAUSED)).filter_map(name)
    {
        // Compose starts containers that do not run, and the engine refuses to start a paused container.
        match docker.find(docker.client().unpause_container(&name)).await {
            Ok(_) => said.push(format!("{name} was paused and was resumed.")),
            // It was resumed, or has stopped, in the meantime.
            Err(OrchestratorError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let mut names: Vec<String> = listed.iter().filter_map(name).collect();
    names.sort();
    for remedy in remedies(&names) {
        match remedy {
            Remedy::Remove(name) => {
                let options = RemoveContainerOptions { v: false, force: true, link: false };
                docker.find(docker.client().remove_container(&name, Some(options))).await?;
                said.push(format!("{name} was removed: an interrupted Docker Compose had left it behind."));
            }
            Remedy::Rename(name, rest) => {
                let options = RenameContainerOptions { name: rest.clone() };
                match docker.find(docker.client().rename_container(&name, options)).await {
                    Ok(_) => said.push(format!(
                        "{name} was renamed to {rest}: an interrupted Docker Compose had left it behind."
                    )),
                    // Another project's container has the name; then Compose reports it in more detail than we could.
                    Err(OrchestratorError::Refused { status: 409, .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_temporary_names_of_compose_are_leftovers() {
        assert_eq!(final_name("0123456789ab_shop-web-1"), Some("shop-web-1"));
        assert_eq!(final_name("0123456789ab_a_b"), Some("a_b"));
        for name in ["shop-web-1", "shop_web_1", "0123456789aB_shop", "0123456789abc_shop"] {
            assert_eq!(final_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_old_container_wins_while_it_is_there() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let long = "0123456789ab_shop-web-1".to_owned();
        assert_eq!(remedies(&names(&[&long, "shop-web-1"])), [Remedy::Remove(long.clone())]);
        assert_eq!(remedies(&names(&[&long])), [Remedy::Rename(long.clone(), "shop-web-1".into())]);
        let second = "1123456789ab_shop-web-1";
        assert_eq!(
            remedies(&names(&[&long, second])),
            [Remedy::Rename(long.clone(), "shop-web-1".into()), Remedy::Remove(second.into())]
        );
    }
}
