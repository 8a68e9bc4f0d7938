//! Finds all faults of a server's certificates: dates, name, chain.

use std::time::Duration;

use domain::time::{Millis, human_span};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::super::finding::{brief, names};

/// The result for the certificates.
pub(super) struct Judged {
    /// The actual value when there is no fault.
    pub(super) saw: String,
    /// What is wrong, each with what to do.
    pub(super) faults: Vec<(String, &'static str)>,
    /// Milliseconds until the chain expires; negative when it has expired.
    pub(super) left_ms: f64,
    /// Lines for the log.
    pub(super) about: Vec<String>,
}

/// The dates and names of one certificate.
struct Read {
    subject: String,
    issuer: String,
    own_issuer: bool,
    not_before: i64,
    not_after: i64,
    names: Vec<String>,
}

/// Judges `chain` (the server's own certificate first) for `name` at `now` (since 1970). Fails with a text
/// when it cannot be read.
pub(super) fn judge(
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    roots: &RootCertStore,
    now: Duration,
) -> Result<Judged, String> {
    let (own, others) = chain.split_first().ok_or("the server sends no certificate")?;
    let read: Vec<Read> = chain.iter().filter_map(|der| Read::of(der)).collect();
    let damaged = "the certificate cannot be read";
    let first = Read::of(own).ok_or(damaged)?;
    let parsed = ParsedCertificate::try_from(own).map_err(|_| damaged)?;
    let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let mut faults = vec![];
    if first.not_after < now_s {
        let ago = human_span(u64::try_from((now_s - first.not_after) * 1_000).unwrap_or(0));
        faults.push((
            format!("the certificate expired {ago} ago ({})", date(first.not_after)),
            "Renew the certificate, and find out why it was not renewed automatically.",
        ));
    } else if first.not_before > now_s {
        let in_ = human_span(u64::try_from((first.not_before - now_s) * 1_000).unwrap_or(0));
        faults.push((
            format!("the certificate is not valid before {} (in {in_})", date(first.not_before)),
            "Compare the clock of this host with that of the issuer, or wait.",
        ));
    }
    if verify_server_name(&parsed, name).is_err() {
        let made_for = match first.names.as_slice() {
            [] => "no host name".to_owned(),
            some => names(some),
        };
        faults.push((
            format!("the certificate is for {made_for}, not for {}", name.to_str()),
            "Configure the certificate for this name, or correct `server_name`.",
        ));
    }
    // Only the chain: dates were judged above, so it is checked at a time when the certificate is valid.
    let then = now_s.clamp(first.not_before, first.not_after.max(first.not_before));
    let mut end = first.not_after;
    let mut ends_first = String::new();
    match chained(&parsed, others, roots, then) {
        Err(error) => faults.push(chain_fault(&error, &first, others.len(), &read)),
        // An intermediate may expire earlier, and the chain with it.
        Ok(()) => {
            for other in read.iter().skip(1).filter(|other| other.not_after < first.not_after) {
                if other.not_after < end && chained(&parsed, others, roots, other.not_after + 1).is_err() {
                    end = other.not_after;
                    ends_first = format!(" (intermediate {} expires first)", other.subject);
                }
            }
        }
    }
    let about = read.iter().map(|one| {
        format!("{}, by {}, {} to {}", one.subject, one.issuer, date(one.not_before), date(one.not_after))
    });
    Ok(Judged {
        saw: format!(
            "trusted certificate for {} by {}, valid until {}{ends_first}",
            name.to_str(),
            first.issuer,
            date(end)
        ),
        faults,
        left_ms: (end as f64 - now.as_secs_f64()) * 1_000.0,
        about: about.collect(),
    })
}

/// Whether the chain ends at one of `roots` at a time (seconds since 1970).
fn chained(
    own: &ParsedCertificate<'_>,
    others: &[CertificateDer<'_>],
    roots: &RootCertStore,
    at: i64,
) -> Result<(), Error> {
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at).unwrap_or(0)));
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(own, roots, others, at, algorithms)
}

fn chain_fault(error: &Error, own: &Read, others: usize, all: &[Read]) -> (String, &'static str) {
    let Error::InvalidCertificate(why) = error else {
        return (format!("the certificate chain cannot be checked: {error}"), "Install a complete chain.");
    };
    match why {
        CertificateError::UnknownIssuer if own.own_issuer => (
            "the certificate is self-signed, not issued by a trusted authority".to_owned(),
            "Get a certificate of a trusted authority, or set `ca` to the file of the authority.",
        ),
        CertificateError::UnknownIssuer if others == 0 => (
            format!(
                "the issuer {} is not trusted, and the server sends no intermediate certificate",
                own.issuer
            ),
            "Configure the complete chain (certificate and intermediates), or set `ca` to the file of the authority.",
        ),
        CertificateError::UnknownIssuer => (
            format!(
                "the chain of {} certificates ends at {}, which is not trusted",
                others + 1,
                all.last().map_or(own.issuer.as_str(), |last| last.issuer.as_str())
            ),
            "Get a certificate of a trusted authority, or set `ca` to the file of the authority.",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "an intermediate certificate of the chain has expired".to_owned(),
            "Configure the current intermediate certificate of the authority.",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "an intermediate certificate of the chain is not yet valid".to_owned(),
            "Configure the current intermediate certificate of the authority.",
        ),
        CertificateError::BadSignature => (
            "a signature in the chain is not valid".to_owned(),
            "Configure the certificate with its own intermediates.",
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => (
            "the certificate is not valid for servers".to_owned(),
            "Get a certificate for server authentication.",
        ),
        other => (
            format!("the certificate is not accepted: {}", brief(&other.to_string(), 120)),
            "Get a certificate of a trusted authority.",
        ),
    }
}

impl Read {
    fn of(der: &CertificateDer<'_>) -> Option<Read> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let label = |name: &x509_parser::x509::X509Name<'_>| {
            let common = name.iter_common_name().next().and_then(|cn| cn.as_str().ok()).map(str::to_owned);
            brief(&common.unwrap_or_else(|| name.to_string()), 60)
        };
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let alternatives = alternatives.map_or(vec![], |all| {
            all.value
                .general_names
                .iter()
                .filter_map(|one| match one {
                    GeneralName::DNSName(name) => Some(brief(name, 60)),
                    GeneralName::IPAddress(bytes) => address(bytes),
                    _ => None,
                })
                .collect()
        });
        Some(Read {
            subject: label(certificate.subject()),
            issuer: label(certificate.issuer()),
            own_issuer: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            names: alternatives,
        })
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| std::net::Ipv6Addr::from(sixteen).to_string())
}

fn date(seconds: i64) -> String {
    Millis(seconds.saturating_mul(1_000)).date()
}
