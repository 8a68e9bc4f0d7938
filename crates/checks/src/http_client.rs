//! Sends one HTTP request: no redirects, no proxy, a limited body, a limited time.

use std::error::Error as _;
use std::io;
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Method, Url, redirect};
use rustls::pki_types::CertificateDer;

/// Most bytes of a body that are kept.
pub(super) const BODY_MAX: usize = 64 * 1024;
/// Longest time for one request, unless the check has less time left.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// An HTTP response.
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether the body was longer than what is kept.
    pub(super) cut: bool,
    /// Time from sending to the last byte kept, milliseconds.
    pub(super) ms: f64,
}

/// Why there is no response, and what to do.
#[derive(Clone)]
pub(super) struct NoAnswer {
    pub(super) saw: String,
    pub(super) next: String,
}

/// A client for one check that trusts the authorities `roots`, else those of this host. Fails with a
/// text for display.
pub(super) fn client(url: &Url, roots: Option<Vec<CertificateDer<'static>>>) -> Result<Client, String> {
    // The first caller in the process decides; every caller here decides the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_MAX)
        .user_agent(concat!("stagegate/", env!("CARGO_PKG_VERSION")));
    if let Some(roots) = roots {
        let parsed: Result<Vec<_>, _> = roots.iter().map(|der| Certificate::from_der(der)).collect();
        let parsed = parsed.map_err(|error| format!("a certificate cannot be used ({})", reason(&error)))?;
        builder = builder.tls_certs_only(parsed);
    } else if url.scheme() == "http" {
        // Plain requests must work on hosts without any root certificates.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| format!("no HTTP client could be set up ({})", reason(&error)))
}

/// Sends one request and reads the response.
pub(super) async fn ask(
    client: &Client,
    method: &Method,
    url: &Url,
    headers: &HeaderMap,
    patience: Duration,
) -> Result<Answer, NoAnswer> {
    let patience = patience.min(REQUEST_MAX);
    let began = Instant::now();
    let exchange = async {
        let request = client.request(method.clone(), url.clone()).headers(headers.clone());
        let mut response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let (mut body, mut cut) = (Vec::new(), false);
        while let Some(chunk) = response.chunk().await? {
            let room = BODY_MAX - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                cut = true;
                break;
            }
        }
        Ok::<_, reqwest::Error>(Answer {
            status,
            headers,
            body,
            cut,
            ms: began.elapsed().as_secs_f64() * 1_000.0,
        })
    };
    match tokio::time::timeout(patience, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(no_answer(url, &error)),
        Err(_) => Err(NoAnswer {
            saw: format!("no complete response from {} within {} ms", place(url), patience.as_millis()),
            next: "Check the log of the service: it accepts requests but does not respond.".to_owned(),
        }),
    }
}

/// `host:port` of an address.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn no_answer(url: &Url, error: &reqwest::Error) -> NoAnswer {
    let place = place(url);
    let said = reason(error);
    let (saw, next) = match io_kind(error) {
        Some(io::ErrorKind::ConnectionRefused) => (
            format!("nothing listens on {place}"),
            "Start the stack or correct the URL of the check, then run the check again.",
        ),
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) => (
            format!("{place} closed the connection without a response"),
            "Check the log of the service: the port is published, but the service behind it does not respond.",
        ),
        _ if said.contains("dns") || said.contains("lookup") => (
            format!("host name {} does not resolve", url.host_str().unwrap_or_default()),
            "Correct the URL, or the DNS entry of the host.",
        ),
        _ if said.to_lowercase().contains("certificate") => (
            format!("the certificate of {place} is not accepted: {said}"),
            "Renew or correct the certificate, or set `ca` to its authority's file. A `tls` check shows details.",
        ),
        _ if error.is_timeout() => (
            format!("{place} did not accept a connection in time"),
            "Check the firewall between this host and the service.",
        ),
        _ if error.is_connect() => (
            format!("no connection to {place}: {said}"),
            "Check the network between this host and the service.",
        ),
        _ => (
            format!("no valid response from {place}: {said}"),
            "Check the log of the service. It may have stopped, or use a protocol other than HTTP.",
        ),
    };
    NoAnswer { saw, next: next.to_owned() }
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    let mut found = None;
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>()
            && io.kind() != io::ErrorKind::Other
        {
            found = Some(io.kind());
        }
        source = inner.source();
    }
    found
}

/// The innermost reason of an error: the outer ones repeat the URL, which may contain a secret.
fn reason(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut text = "the request could not be sent".to_owned();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    super::finding::brief(&text, 160)
}
