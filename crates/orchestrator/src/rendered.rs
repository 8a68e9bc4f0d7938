//! The declared configuration of a stack as the orchestrator interprets it.

use serde_json::Value;

use crate::container::PublishedPort;

/// A stack whose configuration the orchestrator accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The name that it has in the engine.
    pub name: String,
    /// Its services in order of name; those of inactive profiles are not among them.
    pub services: Vec<RenderedService>,
    /// Keyed digest of the whole: the same for the same configuration, wherever the checkout is located.
    pub digest: String,
    /// The configuration with secret values replaced by keyed digests: it can be stored and compared.
    pub shown: Value,
    /// Created containers only have to be started: no hook, provider or secret needs the tool between creation
    /// and start.
    pub(crate) plain_start: bool,
    /// Digest of what containers are created from. It does not include how images are built.
    pub(crate) run_digest: String,
}

/// One service of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedService {
    /// Its name.
    pub name: String,
    /// The image as written; `None` for a service that is only built.
    pub image: Option<String>,
    /// Whether it is built from source.
    pub build: bool,
    /// Published ports as declared. One for which the engine selects the port on the host is not among them.
    pub ports: Vec<PublishedPort>,
    /// Whether its definition gives it a health check (its image may have one as well).
    pub has_healthcheck: bool,
    /// The profiles it belongs to.
    pub profiles: Vec<String>,
    /// The expected number of containers.
    pub replicas: u64,
    /// Whether it mounts a volume or directory, so that it may store data.
    pub keeps_data: bool,
    /// The conditions for its start.
    pub dependencies: Vec<Dependency>,
}

impl Rendered {
    /// The service called `name`.
    pub fn service(&self, name: &str) -> Option<&RenderedService> {
        self.services.iter().find(|service| service.name == name)
    }

    /// The name under which the engine finds the image of `service`.
    pub fn image_name(&self, service: &RenderedService) -> String {
        service.image.clone().unwrap_or_else(|| format!("{}-{}", self.name, service.name))
    }

    /// The services that are expected to have containers.
    pub fn expected(&self) -> impl Iterator<Item = &RenderedService> {
        self.services.iter().filter(|service| service.replicas > 0)
    }
}

/// A condition for the start of a service: the values of `depends_on.*.condition` in the Compose specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The other has been started.
    ServiceStarted,
    /// The other is healthy.
    ServiceHealthy,
    /// The other has ended with exit code 0.
    ServiceCompletedSuccessfully,
}

/// One service that another waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The other service.
    pub service: String,
    /// The condition.
    pub condition: Condition,
}
