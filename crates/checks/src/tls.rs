//! A TLS certificate as a server shows it: chain, names, dates, and how many days are left.

mod certificate;
mod handshake;

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::check::{CheckSpec, TlsSpec};
use domain::evidence::Finding;
use reqwest::Url;
use rustls::pki_types::ServerName;

use super::finding::{failed, figure, judge_value, passed, unknown, with_value};
use super::probe::Probe;
use super::roots;
use certificate::{Judged, judge};
use handshake::{NoTls, shake_hands};

const DAY_MS: f64 = 86_400_000.0;

/// Where to connect, and for which name.
struct Place {
    host: String,
    port: u16,
    name: ServerName<'static>,
}

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::Tls(spec) = &probe.work.check.spec else {
        return unknown("a certificate", "this check is about no certificate", "Correct the declaration.");
    };
    let mut wanted = "a certificate of a known authority, for this name, valid now".to_owned();
    let place = match place(probe, spec) {
        Ok(place) => place,
        Err((saw, next)) => return unknown(wanted, saw, next),
    };
    let name = place.name.to_str().into_owned();
    wanted = match &probe.work.check.want {
        Some(want) => format!("a trusted certificate for {name}, valid now, {want} left"),
        None => format!("a trusted certificate for {name}, valid now"),
    };
    let roots = match roots::store(&probe.work.project.dir, spec.ca.as_deref()) {
        Ok(roots) => roots,
        Err(saw) => {
            let next = match spec.ca {
                Some(_) => "Correct `ca`, or put the file there.",
                None => "Install the system's root certificates, or name a file as `ca`.",
            };
            return unknown(wanted, saw, next);
        }
    };
    let at = if place.host.contains(':') {
        format!("[{}]:{}", place.host, place.port)
    } else {
        format!("{}:{}", place.host, place.port)
    };
    probe.say(&format!("Asks {at} for its certificate as {name}."));
    let chain = match shake_hands(&place.host, place.port, &place.name, probe.left()).await {
        Ok(chain) => chain,
        Err(NoTls::Unreachable(saw, next)) => return unknown(wanted, format!("{at}: {saw}"), next),
        Err(NoTls::Refused(saw, next)) => return failed(wanted, format!("{at}: {saw}"), next),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let judged = match judge(&chain, &place.name, &roots, now) {
        Ok(judged) => judged,
        Err(saw) => {
            return failed(wanted, format!("{at}: {saw}"), "Install a certificate of a known authority.");
        }
    };
    for line in &judged.about {
        probe.say(line);
    }
    verdict(probe, wanted, judged)
}

fn place(probe: &Probe<'_>, spec: &TlsSpec) -> Result<Place, (String, String)> {
    let correct = "Write `address` as host, host:port or https://host.";
    let fill = |text: &str| probe.names.fill(text).map_err(|error| (error.to_string(), correct.to_owned()));
    let address = fill(&spec.address)?.text;
    let url = match address.contains("://") {
        true => address.clone(),
        false => format!("https://{address}"),
    };
    let bad =
        || ("the address of the check is no host, host:port or https:// URL".to_owned(), correct.into());
    let url = Url::parse(&url).map_err(|_| bad())?;
    if url.scheme() == "http" {
        let next = "Give the address that is reached over https.";
        return Err(("the address is an http:// URL, which has no certificate".to_owned(), next.to_owned()));
    }
    let host = url.host_str().filter(|_| url.scheme() == "https").ok_or_else(bad)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let named = match &spec.server_name {
        Some(name) => fill(name)?.text,
        None => host.clone(),
    };
    let name = ServerName::try_from(named).map_err(|_| {
        ("the server name of the check is no host name".to_owned(), "Correct `server_name`.".to_owned())
    })?;
    Ok(Place { host, port: url.port().unwrap_or(443), name })
}

fn verdict(probe: &Probe<'_>, wanted: String, judged: Judged) -> Finding {
    let days = judged.left_ms / DAY_MS;
    if let Some((_, next)) = judged.faults.first() {
        let all: Vec<&str> = judged.faults.iter().map(|(saw, _)| saw.as_str()).collect();
        return with_value(failed(wanted, all.join("; "), *next), days);
    }
    let days_shown = figure((days * 10.0).floor() / 10.0);
    let saw = format!("{}; {days_shown} days left", judged.saw);
    let Some(want) = &probe.work.check.want else {
        return with_value(passed(wanted, saw), days);
    };
    let next = "Renew the certificate, and look at why that did not happen by itself.";
    Finding { wanted, ..judge_value(Some(want), days, "d", saw, next) }
}

/// The kind of an I/O error in words.
fn io_words(error: &io::Error) -> (String, &'static str) {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            ("nothing listens there".to_owned(), "Start the service, or correct the address.")
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ("no way leads there".to_owned(), "Look at the network between this machine and the service.")
        }
        io::ErrorKind::TimedOut => {
            ("no answer in time".to_owned(), "Look at the firewall between this machine and the service.")
        }
        kind => (kind.to_string(), "Look at the network between this machine and the service."),
    }
}
