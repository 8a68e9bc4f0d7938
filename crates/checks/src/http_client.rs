//! Asking one HTTP question: no redirects, no proxy, a bounded body, a bounded time.

use std::error::Error as _;
use std::io;
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Method, Url, redirect};
use rustls::pki_types::CertificateDer;

/// Most bytes of a body that are kept.
pub(super) const BODY_MAX: usize = 64 * 1024;
/// Longest time for one request, unless less is left of the check's own.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// What came back.
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether the body was longer than what is kept.
    pub(super) cut: bool,
    /// From sending to the last byte kept, milliseconds.
    pub(super) ms: f64,
}

/// Why nothing came back: a phrase, and what to do.
#[derive(Clone)]
pub(super) struct NoAnswer {
    pub(super) saw: String,
    pub(super) next: String,
}

/// A client for one check that trusts the authorities `roots`, else those of this machine. Fails with a
/// phrase for people.
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
        // Plain requests must work on machines without any root certificates.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| format!("no HTTP client could be set up ({})", reason(&error)))
}

/// Sends one request and reads the answer.
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
            saw: format!("no complete answer from {} within {} ms", place(url), patience.as_millis()),
            next: "Look at the service's log: it accepts requests but does not answer them.".to_owned(),
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
            "Start the stack, or correct the URL of the check; then run it again.",
        ),
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) => (
            format!("{place} hung up without an answer"),
            "Look at the service's log: the port is published, but what is behind it does not answer.",
        ),
        _ if said.contains("dns") || said.contains("lookup") => (
            format!("the name {} does not resolve", url.host_str().unwrap_or_default()),
            "Correct the URL, or the name's entry in DNS.",
        ),
        _ if said.to_lowercase().contains("certificate") => (
            format!("the certificate of {place} is not accepted: {said}"),
            "Renew or correct the certificate, or name its authority's file as `ca`; a check of the kind tls says more.",
        ),
        _ if error.is_timeout() => (
            format!("{place} did not accept a connection in time"),
            "Look at the firewall between this machine and the service.",
        ),
        _ if error.is_connect() => (
            format!("no connection to {place}: {said}"),
            "Look at the network between this machine and the service.",
        ),
        _ => (
            format!("no usable answer from {place}: {said}"),
            "Look at the service's log; it may have ended, or speak something else than HTTP.",
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

/// The innermost reason of an error: the outer ones repeat the URL, which may hold a secret.
fn reason(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut text = "the request could not be sent".to_owned();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    super::finding::brief(&text, 160)
}
