//! The connection to the Docker engine: one address, short time limits, typed errors.

use std::path::PathBuf;
use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::{API_DEFAULT_VERSION, BollardRequest};
use futures::{Stream, StreamExt};

use super::transport::{AnswerTooLong, Budget, Transport};
use crate::error::{OrchestratorError, Result};
use crate::stack_files::StackFiles;

/// Time limit of one request to the engine when a person waits for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a deploy or rollback: an engine that is busy building or removing images may be slow, and
/// aborting half way is worse than waiting.
pub(super) const LONG_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// Where the engine listens: `unix://…` or `tcp://…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// A given address. A bare path is a socket.
    pub(crate) fn new(address: &str) -> Self {
        if address.contains("://") { Self(address.to_owned()) } else { Self(format!("unix://{address}")) }
    }

    /// `DOCKER_HOST`, or the usual socket.
    pub(crate) fn from_env() -> Self {
        let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        Self::new(host.as_deref().unwrap_or(DEFAULT))
    }

    /// The address that is declared with the stack, or the one that the environment names.
    pub(crate) fn of(files: &StackFiles) -> Self {
        files.engine.as_deref().map_or_else(Self::from_env, Self::new)
    }

    /// Whether the engine is on this host.
    pub(crate) fn is_local(&self) -> bool {
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
pub(crate) struct Docker {
    client: bollard::Docker,
    address: Address,
    version: String,
    timeout: Duration,
}

impl Docker {
    /// Connects, negotiates the version of the API and reads the engine's version.
    ///
    /// # Errors
    /// [`OrchestratorError::Unreachable`]
    pub(crate) async fn connect(address: &Address) -> Result<Self> {
        Self::connect_within(address, TIMEOUT, TIMEOUT).await
    }

    /// As [`Docker::connect`], with other time limits for connecting and for each request afterwards.
    pub(super) async fn connect_within(
        address: &Address,
        connect: Duration,
        timeout: Duration,
    ) -> Result<Self> {
        let seconds = timeout.as_secs();
        let transport = match address.0.split_once("://") {
            Some(("unix", path)) => Transport::Unix(PathBuf::from(path)),
            Some(("tcp" | "http", host)) => Transport::tcp(host),
            _ => {
                let why = format!("{address} is neither a unix:// nor a tcp:// address");
                return Err(OrchestratorError::Unreachable { why });
            }
        };
        let send = move |request: BollardRequest| transport.clone().send(request);
        // The transport has the address; this one only gives requests their form.
        let form = Some("http://localhost");
        let made = bollard::Docker::connect_with_custom_transport(send, form, seconds, API_DEFAULT_VERSION);
        let greet = async {
            let client = made?.negotiate_version().await?;
            let version = client.version().await?.version.unwrap_or_default();
            Ok((client, version))
        };
        let (client, version) = within(connect, greet).await.map_err(|error| at(error, address))?;
        Ok(Self { client, address: address.clone(), version, timeout })
    }

    /// The engine's version, as reported when connecting.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether the engine is on this host, so that its paths are valid here.
    pub(crate) fn is_local(&self) -> bool {
        self.address.is_local()
    }

    /// Checks whether the engine responds.
    pub(crate) async fn ping(&self, timeout: Duration) -> Result<()> {
        within(timeout, self.client.ping()).await.map(|_| ()).map_err(|error| at(error, &self.address))
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn client(&self) -> &bollard::Docker {
        &self.client
    }

    /// A client for one stream. The stream ends with an error when more than `max_bytes` arrive before the budget is
    /// renewed.
    pub(super) fn metered(&self, max_bytes: u64) -> (bollard::Docker, Budget) {
        let budget = Budget::new(max_bytes);
        let own = budget.clone();
        let client = self.client.clone().with_request_modifier(move |mut request| {
            request.extensions_mut().insert(own.clone());
            request
        });
        (client, budget)
    }

    /// A stream of messages, each of at most `max_bytes`; the length of the stream is not limited.
    pub(super) fn stream<T, S, F>(
        &self,
        max_bytes: u64,
        open: F,
    ) -> impl Stream<Item = Result<T>> + use<T, S, F>
    where
        S: Stream<Item = Result<T, Bollard>>,
        F: FnOnce(bollard::Docker) -> S,
    {
        let (client, budget) = self.metered(max_bytes);
        open(client).map(move |message| match (message, budget.spent()) {
            (Ok(message), _) => {
                budget.renew();
                Ok(message)
            }
            (Err(_), Some(spent)) => Err(spent.into()),
            (Err(error), None) => Err(explain(error)),
        })
    }

    /// Waits for one response, within the time limit.
    pub(super) async fn send<T>(&self, request: impl Future<Output = Result<T, Bollard>>) -> Result<T> {
        within(self.timeout, request).await.map_err(|error| at(error, &self.address))
    }

    /// As [`Docker::send`]; what does not exist is `None`.
    pub(super) async fn find<T>(
        &self,
        request: impl Future<Output = Result<T, Bollard>>,
    ) -> Result<Option<T>> {
        match self.send(request).await {
            Ok(found) => Ok(Some(found)),
            Err(OrchestratorError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn within<T>(limit: Duration, request: impl Future<Output = Result<T, Bollard>>) -> Result<T> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer.map_err(explain),
        Err(_) => Err(OrchestratorError::Unreachable {
            why: format!("no response within {} s", limit.as_secs_f32()),
        }),
    }
}

/// Adds the address to a connection error.
fn at(error: OrchestratorError, address: &Address) -> OrchestratorError {
    match error {
        OrchestratorError::Unreachable { why } => {
            OrchestratorError::Unreachable { why: format!("{address}: {why}") }
        }
        other => other,
    }
}

impl From<AnswerTooLong> for OrchestratorError {
    fn from(error: AnswerTooLong) -> Self {
        Self::ResponseTooLong { max_bytes: error.max_bytes }
    }
}

pub(super) fn explain(error: Bollard) -> OrchestratorError {
    if let Some(too_long) = too_long(&error) {
        return too_long.into();
    }
    match error {
        Bollard::DockerResponseServerError { status_code, message } => {
            OrchestratorError::Refused { status: status_code, message }
        }
        Bollard::JsonDataError { message, .. } => OrchestratorError::UnexpectedResponse { why: message },
        Bollard::JsonSerdeError { err } => OrchestratorError::UnexpectedResponse { why: err.to_string() },
        Bollard::APIVersionParseError {} => {
            OrchestratorError::UnexpectedResponse { why: "its API version cannot be read".to_owned() }
        }
        Bollard::RequestTimeoutError => {
            OrchestratorError::Unreachable { why: "no response in time".to_owned() }
        }
        Bollard::SocketNotFoundError(_) => {
            OrchestratorError::Unreachable { why: "there is no such socket".to_owned() }
        }
        other => OrchestratorError::Unreachable { why: innermost(&other) },
    }
}

/// The exceeded limit, if that is the cause.
fn too_long(error: &(dyn std::error::Error + 'static)) -> Option<AnswerTooLong> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut of_io = causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()?.get_ref());
    of_io.find_map(|cause| cause.downcast_ref::<AnswerTooLong>().copied())
}

/// The last cause states what happened ("Connection refused"); those before it only where.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::transport::{MAX_ANSWER_BYTES, MAX_EVENT_BYTES, MAX_OUTPUT_BYTES};
    use super::*;

    #[tokio::test]
    async fn a_missing_engine_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let address = Address::new(dir.path().join("none.sock").to_str().unwrap());
        let error = Docker::connect(&address).await.err().unwrap();
        assert!(error.is_unreachable());
        assert!(error.to_string().contains("no such socket"), "{error}");
    }

    /// A server that answers `/version` as an engine does, and everything else without end.
    fn endless_engine(path: &Path, sent: &Arc<AtomicU64>) {
        let listener = UnixListener::bind(path).unwrap();
        let sent = sent.clone();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let sent = sent.clone();
                std::thread::spawn(move || {
                    let mut head = String::new();
                    let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
                    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                    let version = r#"{"Version":"1.2.3","ApiVersion":"1.44"}"#;
                    let (begin, filler): (Vec<u8>, u8) = match head.split(' ').nth(1).unwrap_or_default() {
                        path if path.ends_with("/version") => (version.into(), 0),
                        path if path.contains("/events") => {
                            // More than one event may have, in many of them, and then one without end.
                            let event = format!("{{\"Action\":\"{}\"}}\n", "e".repeat(1_000));
                            (format!("{}{{\"Action\":\"", event.repeat(3_000)).into(), b'e')
                        }
                        path if path.contains("/logs") => (vec![1, 0, 0, 0, 255, 255, 255, 255], b'l'),
                        _ => (b"[".to_vec(), b' '),
                    };
                    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").unwrap();
                    let _ = stream.write_all(&begin);
                    let filler = (filler != 0).then(|| vec![filler; 64 * 1024]);
                    while let Some(filler) = &filler
                        && stream.write_all(filler).is_ok()
                    {
                        sent.fetch_add(filler.len() as u64, Ordering::Relaxed);
                    }
                });
            }
        });
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_without_end_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("endless.sock");
        let sent = Arc::new(AtomicU64::new(0));
        endless_engine(&path, &sent);
        let docker = Docker::connect(&Address::new(path.to_str().unwrap())).await.unwrap();
        assert_eq!(docker.version(), "1.2.3");

        let listed = docker.send(docker.client().list_containers(None)).await.unwrap_err();
        assert!(
            matches!(listed, OrchestratorError::ResponseTooLong { max_bytes: MAX_ANSWER_BYTES }),
            "{listed}"
        );
        assert!(listed.to_string().contains("longer than 32 MB"), "{listed}");
        let read = sent.load(Ordering::Relaxed);
        assert!(read <= MAX_ANSWER_BYTES + (4 << 20), "{read} bytes were taken");

        let lines = docker.stream(MAX_OUTPUT_BYTES, |client| client.logs("x", None));
        let lines: Vec<_> = lines.collect().await;
        assert!(
            matches!(lines[..], [Err(OrchestratorError::ResponseTooLong { max_bytes: MAX_OUTPUT_BYTES })]),
            "{lines:?}"
        );

        let events = docker.stream(MAX_EVENT_BYTES, |client| client.events(None));
        let events: Vec<_> = events.collect().await;
        let (last, before) = events.split_last().unwrap();
        assert!(before.len() == 3_000 && before.iter().all(Result::is_ok), "{}, then {last:?}", before.len());
        assert!(
            matches!(last, Err(OrchestratorError::ResponseTooLong { max_bytes: MAX_EVENT_BYTES })),
            "{last:?}"
        );
    }

    #[tokio::test]
    async fn an_address_of_another_kind_is_refused() {
        let error = Docker::connect(&Address::new("ssh://host")).await.err().unwrap();
        assert!(error.is_unreachable(), "{error}");
    }

    #[tokio::test]
    async fn a_silent_engine_is_a_timeout() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("silent.sock");
        let _open = tokio::net::UnixListener::bind(&path).unwrap();
        let address = Address::new(path.to_str().unwrap());
        let began = std::time::Instant::now();
        let error =
            Docker::connect_within(&address, Duration::from_millis(300), TIMEOUT).await.err().unwrap();
        assert!(error.is_unreachable() && began.elapsed() < Duration::from_secs(2), "{error}");
    }
}
