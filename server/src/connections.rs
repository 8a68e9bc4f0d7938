//! Accepts connections, and protects the board from slow and many clients. Headers have a time limit. The number of
//! connections is limited, in total and per address; at the limit, the connection that has waited longest for its
//! client is closed, so that a new one replaces those that were opened and left idle.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

/// Time limit for the headers of a request, and for a connection without a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest head of a request, bytes: what the server buffers before the client is known.
const MAX_HEAD: usize = 32 << 10;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// Files that the server and its runs need in addition to connections.
const RESERVED_FILES: u64 = 256;
/// Files per connection: the socket, and a file that is sent over it.
const FILES_OF_A_CONNECTION: u64 = 2;
/// Most connections; and the minimum when few files may be open.
const MAX_CONNECTIONS: u64 = 2_048;
const MIN_CONNECTIONS: u64 = 64;
/// Most connections of one address. Behind a proxy on this host all connections come from a loopback address, so
/// loopback addresses have no limit of their own.
const MAX_OF_AN_ADDRESS: usize = 256;
/// The limit of open files is raised to the hard limit, but not beyond this: runs inherit it, and some programs loop
/// over all numbers up to it.
const MAX_FILES: u64 = 65_536;
/// The pause after the system had no free file for a connection.
const NO_FILE_PAUSE: Duration = Duration::from_millis(50);
/// How often that is logged at most.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Raises the limit of open files, and returns how many connections it allows.
pub fn prepare() -> usize {
    let found = getrlimit(Resource::Nofile);
    let wanted = found.maximum.unwrap_or(MAX_FILES).min(MAX_FILES);
    let mut files = found.current.unwrap_or(MAX_FILES);
    if files < wanted {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: found.maximum }) {
            Ok(()) => files = wanted,
            Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
        }
    }
    let connections = (files.saturating_sub(RESERVED_FILES) / FILES_OF_A_CONNECTION)
        .clamp(MIN_CONNECTIONS, MAX_CONNECTIONS);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// Serves until `stop` is cancelled and the connections have ended.
pub async fn serve(listener: TcpListener, router: Router, most: usize, stop: CancellationToken) {
    let table = Table { most, connections: Arc::default() };
    let mut tasks = JoinSet::new();
    let mut told = None;
    loop {
        // Remove those that have ended.
        while tasks.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(ticket) = table.admit(peer.ip().to_canonical()) {
                    tasks.spawn(connection(stream, peer, router.clone(), ticket, stop.clone()));
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Anyone can cause this, so it is not logged every time.
                if told.is_none_or(|at: Instant| at.elapsed() > TELL_EVERY) {
                    tracing::error!(%error, "connections cannot be accepted; idle ones are closed");
                    told = Some(Instant::now());
                }
                table.close_oldest_part();
                tokio::time::sleep(NO_FILE_PAUSE).await;
            }
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    ticket: Ticket,
    stop: CancellationToken,
) {
    // Events are small and must be sent without delay.
    let _ = stream.set_nodelay(true);
    let ticket = Arc::new(ticket);
    let service = service_fn({
        let ticket = ticket.clone();
        move |request: Request<Incoming>| {
            let (mut router, serving) = (router.clone(), ticket.serve());
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                request.extensions_mut().insert(Client(serving.0.clone()));
                let response = router.call(request).await?;
                Ok::<_, Infallible>(response.map(|body| Guarded { body, serving }))
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection ended with an error");
                }
                return;
            }
            () = ticket.close.cancelled() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The connections that are open. Clones share them.
#[derive(Debug, Clone)]
struct Table {
    most: usize,
    connections: Arc<Mutex<Connections>>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    address: IpAddr,
    /// Since when it waits for its client; `None` while the server works for it.
    waiting_since: Option<Instant>,
    close: CancellationToken,
}

impl Table {
    /// A place for a connection; `None` when all connections are busy.
    fn admit(&self, address: IpAddr) -> Option<Ticket> {
        let mut connections = self.locked();
        if !address.is_loopback() {
            let of_address = connections.open.values().filter(|c| c.address == address).count();
            if of_address >= MAX_OF_AN_ADDRESS && !connections.close_oldest(Some(address)) {
                return None;
            }
        }
        if connections.open.len() >= self.most && !connections.close_oldest(None) {
            return None;
        }
        let (id, close) = (connections.next, CancellationToken::new());
        connections.next += 1;
        let connection = Connection { address, waiting_since: Some(Instant::now()), close: close.clone() };
        connections.open.insert(id, connection);
        Some(Ticket { table: self.clone(), id, close })
    }

    /// Makes room for several new connections at once.
    fn close_oldest_part(&self) {
        let mut connections = self.locked();
        for _ in 0..connections.open.len().div_ceil(8) {
            connections.close_oldest(None);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Connections {
    /// Closes the connection that has waited longest for its client, of one address or of all.
    fn close_oldest(&mut self, address: Option<IpAddr>) -> bool {
        let oldest = self
            .open
            .iter()
            .filter(|(_, c)| address.is_none_or(|a| a == c.address))
            .filter_map(|(id, c)| Some((c.waiting_since?, *id)))
            .min();
        let Some(connection) = oldest.and_then(|(_, id)| self.open.remove(&id)) else { return false };
        connection.close.cancel();
        true
    }
}

/// The place of one connection, freed when dropped.
#[derive(Debug)]
pub struct Ticket {
    table: Table,
    id: u64,
    close: CancellationToken,
}

impl Ticket {
    /// The server works for the connection from now until the value is dropped.
    fn serve(self: &Arc<Self>) -> Serving {
        self.wait_since(None);
        Serving(self.clone())
    }

    fn wait_since(&self, since: Option<Instant>) {
        if let Some(connection) = self.table.locked().open.get_mut(&self.id) {
            connection.waiting_since = since;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.table.locked().open.remove(&self.id);
    }
}

#[derive(Debug)]
struct Serving(Arc<Ticket>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.wait_since(Some(Instant::now()));
    }
}

/// The client of a request, as a handler sees it.
#[derive(Debug, Clone)]
pub struct Client(Arc<Ticket>);

impl Client {
    /// From now on the server waits for the client, as for the rest of a form; the connection may be closed for a new
    /// one.
    pub fn is_awaited(&self) {
        self.0.wait_since(Some(Instant::now()));
    }

    /// The client has sent what the server waited for.
    pub fn is_served(&self) {
        self.0.wait_since(None);
    }
}

/// A body whose connection counts as busy while the server produces its next piece, and as waiting while the client
/// receives the last one.
#[derive(Debug)]
struct Guarded {
    body: Body,
    serving: Serving,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.serving.0.wait_since(polled.is_ready().then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(most: usize) -> Table {
        Table { most, connections: Arc::default() }
    }

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn a_new_connection_replaces_the_one_that_waits_longest() {
        let table = table(3);
        let first = Arc::new(table.admit(ip(1)).unwrap());
        let busy = first.serve();
        let second = table.admit(ip(2)).unwrap();
        let third = table.admit(ip(3)).unwrap();
        let fourth = table.admit(ip(4)).unwrap();
        assert!(second.close.is_cancelled() && !third.close.is_cancelled() && !first.close.is_cancelled());
        drop(busy);
        let _fifth = table.admit(ip(5)).unwrap();
        assert!(third.close.is_cancelled(), "it waits longer than the one that was served just now");
        drop(fourth);
        assert_eq!(table.locked().open.len(), 2);
    }

    #[test]
    fn nothing_is_closed_for_a_new_connection_while_all_are_served() {
        let table = table(2);
        let tickets: Vec<_> = (0..2).map(|n| Arc::new(table.admit(ip(n)).unwrap())).collect();
        let busy: Vec<_> = tickets.iter().map(Ticket::serve).collect();
        assert!(table.admit(ip(9)).is_none());
        drop(busy);
        assert!(table.admit(ip(9)).is_some());
    }

    #[test]
    fn one_address_cannot_take_the_place_of_others() {
        let table = table(100_000);
        let other = table.admit(ip(1)).unwrap();
        let flood: Vec<_> = (0..1_000).map(|_| table.admit(ip(2)).unwrap()).collect();
        assert!(!other.close.is_cancelled());
        assert_eq!(flood.iter().filter(|t| !t.close.is_cancelled()).count(), MAX_OF_AN_ADDRESS);
        let local = IpAddr::from([127, 0, 0, 1]);
        let proxied: Vec<_> = (0..1_000).map(|_| table.admit(local).unwrap()).collect();
        assert!(
            proxied.iter().all(|t| !t.close.is_cancelled()),
            "a proxy has the connections of all clients"
        );
    }
}
