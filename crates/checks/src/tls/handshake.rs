//! Reads the certificates of a server without checking them: they are checked afterwards, to report all faults.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, SignatureScheme};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::io_words;

/// Longest time for one connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Longest time for the handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Why there are no certificates, and what to do.
pub(super) enum NoTls {
    /// No response.
    Unreachable(String, String),
    /// A response without a certificate.
    Refused(String, String),
}

/// The certificates that the server sends, its own first.
pub(super) async fn shake_hands(
    host: &str,
    port: u16,
    name: &ServerName<'static>,
    left: Duration,
) -> Result<Vec<CertificateDer<'static>>, NoTls> {
    let stream = connect(host, port, left).await?;
    let taker = Arc::new(Taker {
        algorithms: ring::default_provider().signature_verification_algorithms,
        taken: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| NoTls::Unreachable(error.to_string(), "Run the check again.".to_owned()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&taker) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let shaken = TlsConnector::from(Arc::new(config)).connect(name.clone(), stream);
    let done = tokio::time::timeout(left.min(HANDSHAKE_MAX), shaken).await;
    let taken = taker.taken.lock().map(|taken| taken.clone()).unwrap_or_default();
    match done {
        Err(_) => Err(NoTls::Unreachable(
            "the server accepts connections but does not respond to the TLS handshake".to_owned(),
            "Check the log of the service. It may expect another protocol.".to_owned(),
        )),
        // Errors after the certificates do not concern them: for example, a client certificate is required.
        Ok(_) if !taken.is_empty() && !matches!(&done, Ok(Err(error)) if is_forged(error)) => Ok(taken),
        Ok(Err(error)) => Err(no_tls(&error)),
        Ok(Ok(_)) => Err(NoTls::Refused(
            "the server sends no certificate".to_owned(),
            "Configure a certificate for this name.".to_owned(),
        )),
    }
}

async fn connect(host: &str, port: u16, left: Duration) -> Result<TcpStream, NoTls> {
    let unreachable = |(saw, next): (String, &str)| NoTls::Unreachable(saw, next.to_owned());
    let addresses = match tokio::time::timeout(left, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses,
        _ => {
            let next = "Correct the address, or the DNS entry of the host.";
            return Err(unreachable((format!("host name {host} does not resolve"), next)));
        }
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match tokio::time::timeout(left.min(CONNECT_MAX), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(unreachable(io_words(&last)))
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}

/// Whether the server could not prove that the certificate is its own.
fn is_forged(error: &io::Error) -> bool {
    matches!(tls_error(error), Some(Error::InvalidCertificate(_)))
}

fn no_tls(error: &io::Error) -> NoTls {
    let refused = |saw: String, next: &str| NoTls::Refused(saw, next.to_owned());
    match tls_error(error) {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType) | Error::InvalidMessage(_)) => refused(
            "the server does not use TLS on this port (plain HTTP?)".to_owned(),
            "Correct the port, or enable TLS in the server or its proxy.",
        ),
        Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => refused(
            "the server has no certificate for this name (alert: unrecognised name)".to_owned(),
            "Add the name to the server's configuration, or correct the name.",
        ),
        Some(Error::AlertReceived(alert)) => refused(
            format!("the server aborted the handshake (alert: {alert:?})"),
            "Check the TLS settings of the server: TLS 1.2 or later, and a certificate for this name.",
        ),
        Some(Error::PeerIncompatible(why)) => refused(
            format!("the server supports no secure TLS 1.2 or 1.3 ({why:?})"),
            "Enable TLS 1.2 or 1.3 in the server.",
        ),
        Some(error) => refused(
            format!("the TLS handshake failed: {error}"),
            "Check the TLS settings of the server, and its log.",
        ),
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                NoTls::Unreachable(
                    "the server closed the connection during the TLS handshake".to_owned(),
                    "Check the log of the server. Nothing may listen behind the port, or the port may not use TLS."
                        .to_owned(),
                )
            }
            _ => {
                let (saw, next) = io_words(error);
                NoTls::Unreachable(saw, next.to_owned())
            }
        },
    }
}

/// Stores the certificates and continues the handshake, so that all of them can be checked afterwards.
/// Only the handshake is sent over such a connection.
#[derive(Debug)]
struct Taker {
    algorithms: WebPkiSupportedAlgorithms,
    taken: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Taker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Ok(mut taken) = self.taken.lock() {
            *taken = std::iter::once(end_entity)
                .chain(intermediates)
                .map(|der| der.clone().into_owned())
                .collect();
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
