//! The way to the engine: one address, short patience, typed refusals.

use std::time::Duration;

use bollard::API_DEFAULT_VERSION;
use bollard::errors::Error as Bollard;

use super::error::{ComposeError, Result};

/// Longest time that one question to the engine may take when a person waits for the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a deploy or rollback: an engine that is busy building or removing images may be slow, and
/// giving up half way is worse than waiting.
pub(super) const LONG_PATIENCE: Duration = Duration::from_secs(30);
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// Where the engine listens: `unix://…` or `tcp://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// A given address. A bare path is a socket.
    pub fn new(address: &str) -> Self {
        if address.contains("://") { Self(address.to_owned()) } else { Self(format!("unix://{address}")) }
    }

    /// `DOCKER_HOST`, or the usual socket.
    pub fn from_env() -> Self {
        let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        Self::new(host.as_deref().unwrap_or(DEFAULT))
    }

    /// Whether the engine is on this machine.
    pub fn is_local(&self) -> bool {
        self.0.starts_with("unix://")
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An engine that answered. Cheap to clone.
#[derive(Clone)]
pub struct Docker {
    client: bollard::Docker,
    address: Address,
    version: String,
    patience: Duration,
}

impl Docker {
    /// Connects, agrees on the version of the API and learns the engine's own version.
    ///
    /// Fails with [`ComposeError::Unreachable`].
    pub async fn connect(address: &Address) -> Result<Self> {
        Self::connect_within(address, PATIENCE, PATIENCE).await
    }

    /// As [`Docker::connect`], with other patience for connecting and for each question afterwards.
    pub(super) async fn connect_within(
        address: &Address,
        connect: Duration,
        patience: Duration,
    ) -> Result<Self> {
        let seconds = patience.as_secs();
        let made = match address.0.split_once("://") {
            Some(("unix", _)) => bollard::Docker::connect_with_unix(&address.0, seconds, API_DEFAULT_VERSION),
            Some(("tcp" | "http", _)) => {
                bollard::Docker::connect_with_http(&address.0, seconds, API_DEFAULT_VERSION)
            }
            _ => {
                let why = format!("{address} is neither a unix:// nor a tcp:// address");
                return Err(ComposeError::Unreachable { why });
            }
        };
        let greet = async {
            let client = made?.negotiate_version().await?;
            let version = client.version().await?.version.unwrap_or_default();
            Ok((client, version))
        };
        let (client, version) = within(connect, greet).await.map_err(|error| at(error, address))?;
        Ok(Self { client, address: address.clone(), version, patience })
    }

    /// The engine's version, as it said when connecting.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the engine is on this machine, so that its paths are ours.
    pub fn is_local(&self) -> bool {
        self.address.is_local()
    }

    /// Asks whether the engine is alive.
    pub async fn ping(&self, patience: Duration) -> Result<()> {
        within(patience, self.client.ping()).await.map(|_| ()).map_err(|error| at(error, &self.address))
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn client(&self) -> &bollard::Docker {
        &self.client
    }

    /// Waits for one answer, not longer than it should take.
    pub(super) async fn ask<T>(&self, question: impl Future<Output = Result<T, Bollard>>) -> Result<T> {
        within(self.patience, question).await.map_err(|error| at(error, &self.address))
    }

    /// As [`Docker::ask`]; what does not exist is `None`.
    pub(super) async fn find<T>(
        &self,
        question: impl Future<Output = Result<T, Bollard>>,
    ) -> Result<Option<T>> {
        match self.ask(question).await {
            Ok(found) => Ok(Some(found)),
            Err(ComposeError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn within<T>(patience: Duration, question: impl Future<Output = Result<T, Bollard>>) -> Result<T> {
    match tokio::time::timeout(patience, question).await {
        Ok(answer) => answer.map_err(explain),
        Err(_) => {
            Err(ComposeError::Unreachable { why: format!("no answer within {} s", patience.as_secs_f32()) })
        }
    }
}

/// Adds the address to what went wrong on the way.
fn at(error: ComposeError, address: &Address) -> ComposeError {
    match error {
        ComposeError::Unreachable { why } => ComposeError::Unreachable { why: format!("{address}: {why}") },
        other => other,
    }
}

pub(super) fn explain(error: Bollard) -> ComposeError {
    match error {
        Bollard::DockerResponseServerError { status_code, message } => {
            ComposeError::Refused { status: status_code, message }
        }
        Bollard::JsonDataError { message, .. } => ComposeError::Strange { why: message },
        Bollard::JsonSerdeError { err } => ComposeError::Strange { why: err.to_string() },
        Bollard::APIVersionParseError {} => ComposeError::Strange { why: "its version".to_owned() },
        Bollard::RequestTimeoutError => ComposeError::Unreachable { why: "no answer in time".to_owned() },
        Bollard::SocketNotFoundError(_) => {
            ComposeError::Unreachable { why: "there is no such socket".to_owned() }
        }
        other => ComposeError::Unreachable { why: innermost(&other) },
    }
}

/// The last cause says what happened ("Connection refused"); those before it only where.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let address = Address::new(dir.path().join("none.sock").to_str().unwrap());
        let error = Docker::connect(&address).await.err().unwrap();
        assert!(error.is_unreachable());
        assert!(error.to_string().contains("no such socket"), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_kind_is_refused() {
        let error = Docker::connect(&Address::new("ssh://host")).await.err().unwrap();
        assert!(error.is_unreachable(), "{error}");
    }

    #[tokio::test]
    async fn a_silent_engine_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("silent.sock");
        let _open = tokio::net::UnixListener::bind(&path).unwrap();
        let address = Address::new(path.to_str().unwrap());
        let began = std::time::Instant::now();
        let error =
            Docker::connect_within(&address, Duration::from_millis(300), PATIENCE).await.err().unwrap();
        assert!(error.is_unreachable() && began.elapsed() < Duration::from_secs(2), "{error}");
    }
}
