//! Connections to the Docker engine with a size limit. A server at the address may answer without end; such a response
//! ends with an error instead of filling the memory.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bollard::BollardRequest;
use bollard::errors::Error as Bollard;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Most bytes of one response. Lists of thousands of containers or images have a few MB.
pub(super) const MAX_ANSWER_BYTES: u64 = 32 << 20;
/// Most bytes of one message of a stream of log lines or of a command's output. The engine cuts log lines long before.
pub(super) const MAX_OUTPUT_BYTES: u64 = 4 << 20;
/// Most bytes of one event. Each event carries the labels of its container.
pub(super) const MAX_EVENT_BYTES: u64 = 1 << 20;

/// Most bytes that are read at once. Several such pieces may have been read before the first message in them is
/// parsed, and together they must stay far below the limit of one message.
const READ_AHEAD_BYTES: usize = 64 << 10;

/// A response, or one message of a stream, was longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {max_bytes} bytes were received")]
pub(super) struct AnswerTooLong {
    pub(super) max_bytes: u64,
}

/// How much may still be read. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Meter>);

#[derive(Debug)]
struct Meter {
    read_bytes: AtomicU64,
    max_bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(MAX_ANSWER_BYTES)
    }
}

impl Budget {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self(Arc::new(Meter { read_bytes: AtomicU64::new(0), max_bytes }))
    }

    /// A message of a stream is complete: the next one may be as long again.
    pub(super) fn renew(&self) {
        self.0.read_bytes.store(0, Ordering::Relaxed);
    }

    /// The error of a spent budget.
    pub(super) fn spent(&self) -> Option<AnswerTooLong> {
        let max_bytes = self.0.max_bytes;
        (self.0.read_bytes.load(Ordering::Relaxed) > max_bytes).then_some(AnswerTooLong { max_bytes })
    }

    fn spend(&self, bytes: usize) -> Result<(), AnswerTooLong> {
        self.0.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.spent().map_or(Ok(()), Err)
    }
}

/// Where the engine listens. Each request has its own connection, with the [`Budget`] among its extensions or the
/// default one.
#[derive(Debug, Clone)]
pub(super) enum Transport {
    /// A Unix socket.
    Unix(PathBuf),
    /// A host and port.
    Tcp(String),
}

impl Transport {
    /// The transport for `host[:port][/…]`.
    pub(super) fn tcp(address: &str) -> Self {
        let host = address.split('/').next().unwrap_or_default();
        // The colons of an IPv6 address are in brackets.
        let has_port = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
        Self::Tcp(if has_port { host.to_owned() } else { format!("{host}:80") })
    }

    /// Sends a request; the body of the response is read on demand.
    pub(super) async fn send(self, request: BollardRequest) -> Result<Response<Incoming>, Bollard> {
        match self {
            Self::Unix(path) => match UnixStream::connect(&path).await {
                Ok(stream) => exchange(stream, HeaderValue::from_static("localhost"), request).await,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err(Bollard::SocketNotFoundError(path.display().to_string()))
                }
                Err(error) => Err(error.into()),
            },
            Self::Tcp(address) => {
                let stream = TcpStream::connect(&address).await?;
                let host =
                    HeaderValue::try_from(address).map_err(|error| Bollard::from(io::Error::other(error)))?;
                exchange(stream, host, request).await
            }
        }
    }
}

/// Sends a request over its own connection.
async fn exchange<S>(
    stream: S,
    host: HeaderValue,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, Bollard>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let budget = request.extensions_mut().remove::<Budget>().unwrap_or_default();
    let io = TokioIo::new(Metered { stream, budget });
    let (mut sender, connection) =
        hyper::client::conn::http1::Builder::new().max_buf_size(READ_AHEAD_BYTES).handshake(io).await?;
    // It ends with the body, or with the stream that the connection becomes. The reader sees its error too.
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    request.headers_mut().insert(HOST, host);
    Ok(sender.send_request(request).await?)
}

/// A connection that stops being read when its budget is spent.
struct Metered<S> {
    stream: S,
    budget: Budget,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        Poll::Ready(self.budget.spend(read).map_err(io::Error::other))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_once_and_renewed_by_each_message() {
        let budget = Budget::new(10);
        assert_eq!((budget.spend(6), budget.spend(4), budget.spent()), (Ok(()), Ok(()), None));
        budget.renew();
        assert_eq!(budget.clone().spend(10), Ok(()));
        assert_eq!(budget.spend(1), Err(AnswerTooLong { max_bytes: 10 }));
        assert!(budget.spent().is_some());
    }

    #[test]
    fn an_address_without_a_port_has_the_usual_one() {
        let tcp = |text| match Transport::tcp(text) {
            Transport::Tcp(address) => address,
            Transport::Unix(_) => String::new(),
        };
        assert_eq!(tcp("docker:2375"), "docker:2375");
        assert_eq!(tcp("docker"), "docker:80");
        assert_eq!(tcp("[::1]:2375/"), "[::1]:2375");
        assert_eq!(tcp("[::1]"), "[::1]:80");
    }
}
