//! The TLS certificate of a server: chain, names, dates, and how many days are left.

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
        return unknown("a certificate", "this is not a TLS check", "Correct the check in stagegate.toml.");
    };
    let mut wanted = "a trusted certificate for this name, valid now".to_owned();
    let place = match place(probe, spec) {
        Ok(place) => place,
        Err((saw, next)) => return unknown(wanted, saw, next),
    };
    let name = place.name.to_str().into_owned();
    wanted = match &probe.work.check.want {
        Some(want) => format!("a trusted certificate for {name}, valid now, {want} left"),
        None => format!("a trusted certificate for {name}, valid now"),
    };
    let roots = match roots::store(probe.work.stack.dir(), spec.ca.as_deref()) {
        Ok(roots) => roots,
        Err(saw) => {
            let next = match spec.ca {
                Some(_) => "Correct `ca`, or add the file.",
                None => "Install the system's root certificates, or set `ca` to a file.",
            };
            return unknown(wanted, saw, next);
        }
    };
    let at = if place.host.contains(':') {
        format!("[{}]:{}", place.host, place.port)
    } else {
        format!("{}:{}", place.host, place.port)
    };
    probe.say(&format!("Reading the certificate of {at} for {name}."));
    let chain = match shake_hands(&place.host, place.port, &place.name, probe.left()).await {
        Ok(chain) => chain,
        Err(NoTls::Unreachable(saw, next)) => return unknown(wanted, format!("{at}: {saw}"), next),
        Err(NoTls::Refused(saw, next)) => return failed(wanted, format!("{at}: {saw}"), next),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let judged = match judge(&chain, &place.name, &roots, now) {
        Ok(judged) => judged,
        Err(saw) => {
            return failed(wanted, format!("{at}: {saw}"), "Install a certificate of a trusted authority.");
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
        || ("the address of the check is not a host, host:port or https:// URL".to_owned(), correct.into());
    let url = Url::parse(&url).map_err(|_| bad())?;
    if url.scheme() == "http" {
        let next = "Set `address` to the https address.";
        return Err(("the address is an http:// URL, which has no certificate".to_owned(), next.to_owned()));
    }
    let host = url.host_str().filter(|_| url.scheme() == "https").ok_or_else(bad)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let named = match &spec.server_name {
        Some(name) => fill(name)?.text,
        None => host.clone(),
    };
    let name = ServerName::try_from(named).map_err(|_| {
        ("the server name of the check is not a host name".to_owned(), "Correct `server_name`.".to_owned())
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
    let saw = format!("{days_shown} days left; {}", judged.saw);
    let Some(want) = &probe.work.check.want else {
        return with_value(passed(wanted, saw), days);
    };
    let next = "Renew the certificate, and find out why it was not renewed automatically.";
    Finding { wanted, ..judge_value(Some(want), days, "d", saw, next) }
}

/// An I/O error as text, and what to do.
fn io_words(error: &io::Error) -> (String, &'static str) {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            ("nothing listens on this address".to_owned(), "Start the service, or correct the address.")
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ("no route to this address".to_owned(), "Check the network between this host and the service.")
        }
        io::ErrorKind::TimedOut => {
            ("no response in time".to_owned(), "Check the firewall between this host and the service.")
        }
        kind => (kind.to_string(), "Check the network between this host and the service."),
    }
}
