//! Starts the containers that Compose has created, in the same order as Compose, but without its pauses between checks.
//!
//! A container is started as soon as the conditions of its service's `depends_on` are met. Containers without open
//! conditions are started in parallel.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::docker::Docker;
use super::probe::Opinion;
use crate::container::Container;
use crate::error::{OrchestratorError, Result};
use crate::rendered::{Condition, Rendered, RenderedService};

/// Starts containers until every service has been started.
pub(super) struct Starter {
    docker: Docker,
    /// IDs of containers that were started, or found running.
    begun: BTreeSet<String>,
    /// IDs of those that are being started.
    asked: BTreeSet<String>,
    tasks: JoinSet<(String, String, Result<()>)>,
    failed: Vec<(String, String)>,
    wedged: BTreeSet<String>,
    done: bool,
}

impl Starter {
    pub(super) fn new(docker: &Docker) -> Self {
        Self {
            docker: docker.clone(),
            begun: BTreeSet::new(),
            asked: BTreeSet::new(),
            tasks: JoinSet::new(),
            failed: Vec::new(),
            wedged: BTreeSet::new(),
            done: false,
        }
    }

    /// Whether every service has been started.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether all containers of the service were started.
    pub(super) fn has_begun(&self, service: &str, found: &[Container]) -> bool {
        found.iter().filter(|one| one.service == service).all(|one| self.begun.contains(&one.id))
    }

    /// Services whose containers could not be started, and why.
    pub(super) fn failed(&self) -> &[(String, String)] {
        &self.failed
    }

    /// Services with a container that cannot be started, once no start is in progress: an engine that was killed while
    /// it started a container may report it as running forever. A recreated container starts.
    pub(super) fn wedged(&self) -> Option<&BTreeSet<String>> {
        Some(&self.wedged).filter(|wedged| self.tasks.is_empty() && !wedged.is_empty())
    }

    /// Starts what can be started now. `opinions` are the assessments of the services of `rendered`, in its order.
    pub(super) fn step(&mut self, rendered: &Rendered, found: &[Container], opinions: &[Opinion]) {
        self.begun.extend(found.iter().filter(|one| one.is_running()).map(|one| one.id.clone()));
        for service in rendered.expected() {
            if self.has_begun(&service.name, found) || !self.may_start(service, rendered, found, opinions) {
                continue;
            }
            for one in found.iter().filter(|one| one.service == service.name) {
                if !self.begun.contains(&one.id) && self.asked.insert(one.id.clone()) {
                    let (docker, id, name) = (self.docker.clone(), one.id.clone(), service.name.clone());
                    self.tasks.spawn(async move {
                        let begun = start(&docker, &id).await;
                        (name, id, begun)
                    });
                }
            }
        }
        self.done =
            self.tasks.is_empty() && rendered.expected().all(|service| self.has_begun(&service.name, found));
    }

    /// Waits for one of the starts in progress; never ends when there is none.
    pub(super) async fn next(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok((service, id, Ok(())))) => {
                tracing::debug!(service, id, "started");
                self.begun.insert(id);
            }
            // An unreachable engine is tried again.
            Some(Ok((_, id, Err(error)))) if error.is_unreachable() => drop(self.asked.remove(&id)),
            Some(Ok((service, _, Err(error)))) if is_wedged(&error) => drop(self.wedged.insert(service)),
            Some(Ok((service, _, Err(error)))) => {
                self.failed.push((service, format!("could not be started: {error}")));
            }
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }

    /// Whether nothing more can be started, because all others wait for one of `failing`.
    pub(super) fn is_stuck(
        &self,
        rendered: &Rendered,
        found: &[Container],
        failing: &[(String, String)],
    ) -> bool {
        if !self.tasks.is_empty() {
            return false;
        }
        let mut lost: BTreeSet<&str> = failing.iter().map(|(name, _)| name.as_str()).collect();
        loop {
            let more: Vec<&str> = rendered
                .expected()
                .filter(|service| !lost.contains(service.name.as_str()))
                .filter(|service| !self.has_begun(&service.name, found))
                .filter(|service| {
                    service.dependencies.iter().any(|need| lost.contains(need.service.as_str()))
                })
                .map(|service| service.name.as_str())
                .collect();
            if more.is_empty() {
                break;
            }
            lost.extend(more);
        }
        rendered
            .expected()
            .all(|service| self.has_begun(&service.name, found) || lost.contains(service.name.as_str()))
    }

    fn may_start(
        &self,
        service: &RenderedService,
        rendered: &Rendered,
        found: &[Container],
        opinions: &[Opinion],
    ) -> bool {
        service.dependencies.iter().all(|need| {
            let Some(at) = rendered.expected().position(|other| other.name == need.service) else {
                // Not part of this project now: Compose has reported it, or does not require it.
                return true;
            };
            let begun = self.has_begun(&need.service, found);
            match need.condition {
                Condition::ServiceStarted => begun,
                Condition::ServiceHealthy => begun && opinions.get(at) == Some(&Opinion::Good),
                Condition::ServiceCompletedSuccessfully => {
                    let mut own = found.iter().filter(|one| one.service == need.service);
                    begun && own.all(|one| !one.is_running() && one.exit_code == Some(0))
                }
            }
        })
    }
}

/// Whether the engine refuses to start a container because of leftovers of an earlier start.
fn is_wedged(error: &OrchestratorError) -> bool {
    let OrchestratorError::Refused { status: 500, message } = error else { return false };
    message.contains("task ") && message.contains("already exists")
}

/// Starts one container.
pub(super) async fn start(docker: &Docker, id: &str) -> Result<()> {
    let none = None::<bollard::query_parameters::StartContainerOptions>;
    match docker.send(docker.client().start_container(id, none)).await {
        // It is already running.
        Err(OrchestratorError::Refused { status: 304, .. }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leftovers_of_the_engine_are_a_reason_to_recreate_a_container() {
        let refused =
            |status, message: &str| OrchestratorError::Refused { status, message: message.to_owned() };
        let id = "bbc6a77385b60306ec8161ff8033dcb939dc6137621cefa6baa99ab6715536fa";
        assert!(is_wedged(&refused(500, &format!("task {id}: already exists"))));
        for other in [
            refused(409, &format!("task {id}: already exists")),
            refused(500, "driver failed programming external connectivity: port is already allocated"),
            refused(500, "network shop_default already exists"),
            refused(404, "no such container"),
        ] {
            assert!(!is_wedged(&other), "{other}");
        }
    }
}
