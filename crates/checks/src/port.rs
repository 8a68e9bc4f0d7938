//! A TCP port: does it accept connections, or refuse them?

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use domain::check::CheckSpec;
use domain::evidence::Finding;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, lookup_host};

use super::finding::{failed, judge_value, names, passed, unknown, with_value};
use super::probe::Probe;

/// Longest time for one connection.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// A forwarded port without a service behind it closes the connection almost at once.
const HANG_UP: Duration = Duration::from_millis(250);

enum Tried {
    /// The connection was accepted after so many milliseconds.
    Open(f64),
    /// The connection was accepted and closed at once.
    Hollow,
    Refused,
    /// No result: why, and what to do.
    Silent(String, &'static str),
}

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::Port { address, open } = &probe.work.check.spec else {
        return unknown("a port", "this is not a port check", "Correct the check in stagegate.toml.");
    };
    let open = open.unwrap_or(true);
    let correct = "Write the address as host:port, an IPv6 address as [::1]:port.";
    let address = match probe.names.fill(address) {
        Ok(filled) => filled.text,
        Err(error) => return unknown("an address", error.to_string(), correct),
    };
    let wanted = format!("{address} {}", if open { "accepts connections" } else { "refuses connections" });
    probe.say(&format!("Connecting to {address}."));
    let addresses: Vec<SocketAddr> = match lookup_host(&address).await {
        Ok(found) => found.collect(),
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::InvalidInput => {
                    unknown(wanted, format!("{address} is not host:port"), correct)
                }
                _ => unknown(
                    wanted,
                    format!("the host of {address} does not resolve"),
                    "Correct the address, or the DNS entry of the host.",
                ),
            };
        }
    };
    let mut tried = vec![];
    for address in addresses {
        tried.push((address, connect(address, probe.left().min(CONNECT_MAX)).await));
    }
    if open { judge_open(probe, wanted, &tried) } else { judge_closed(wanted, &tried) }
}

async fn connect(address: SocketAddr, patience: Duration) -> Tried {
    let began = Instant::now();
    let mut stream = match tokio::time::timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Tried::Refused,
        Ok(Err(error)) => return no_way(&error),
        Err(_) => {
            let saw = format!(
                "no response within {} s: neither accepted nor refused",
                patience.as_secs_f64().ceil()
            );
            return Tried::Silent(saw, "A firewall drops the packets, or the host is down. Check both.");
        }
    };
    let ms = began.elapsed().as_secs_f64() * 1_000.0;
    let mut byte = [0; 1];
    match tokio::time::timeout(HANG_UP, stream.read(&mut byte)).await {
        Ok(Ok(0) | Err(_)) => Tried::Hollow,
        // The service waits for the client to send, or sends first: it is running.
        Ok(Ok(_)) | Err(_) => Tried::Open(ms),
    }
}

fn no_way(error: &io::Error) -> Tried {
    let (saw, next) = match error.kind() {
        io::ErrorKind::HostUnreachable => {
            ("the host is unreachable".to_owned(), "Check that the host is up, and check its firewall.")
        }
        io::ErrorKind::NetworkUnreachable => (
            "no route to its network".to_owned(),
            "Check the network of this host. An IPv6 address needs IPv6 on the whole route.",
        ),
        io::ErrorKind::PermissionDenied => (
            "the firewall of this host forbids it".to_owned(),
            "Allow the connection, then run the check again.",
        ),
        kind => (kind.to_string(), "Check the network and its firewalls."),
    };
    Tried::Silent(saw, next)
}

fn judge_open(probe: &Probe<'_>, wanted: String, tried: &[(SocketAddr, Tried)]) -> Finding {
    let opened = tried.iter().find_map(|(at, t)| match t {
        Tried::Open(ms) => Some((at, *ms)),
        _ => None,
    });
    if let Some((at, ms)) = opened {
        let saw = format!("{at} accepts connections ({ms:.1} ms)");
        return match &probe.work.check.want {
            Some(want) => judge_value(Some(want), ms, "ms", saw, "Find out what slows the service down."),
            None => with_value(passed(wanted, saw), ms),
        };
    }
    if let Some((at, _)) = tried.iter().find(|(_, t)| matches!(t, Tried::Hollow)) {
        let saw = format!(
            "{at} accepts connections and closes them at once: no process listens behind the published port"
        );
        return failed(wanted, saw, "Compare the port that the service listens on with the mapped port.");
    }
    if let Some((at, why, next)) = silent(tried) {
        return unknown(wanted, format!("{at}: {why}"), next);
    }
    match tried.first() {
        Some(_) => {
            let saw = format!("nothing listens on {}", all(tried));
            failed(wanted, saw, "Start the service, or correct the port.")
        }
        None => unknown(wanted, "the host has no address", "Correct the address."),
    }
}

fn judge_closed(wanted: String, tried: &[(SocketAddr, Tried)]) -> Finding {
    if let Some((at, _)) = tried.iter().find(|(_, t)| matches!(t, Tried::Open(_) | Tried::Hollow)) {
        let saw = format!("{at} accepts connections");
        return failed(wanted, saw, "Stop publishing the port, or close it in the firewall.");
    }
    if let Some((at, why, next)) = silent(tried) {
        // No response may mean a firewall, a lost packet or a wrong address: there is no result.
        return unknown(wanted, format!("{at}: {why}"), next);
    }
    match tried.first() {
        Some(_) => passed(wanted, format!("{} refuses connections", all(tried))),
        None => unknown(wanted, "the host has no address", "Correct the address."),
    }
}

/// The addresses that were tried; a name may have several.
fn all(tried: &[(SocketAddr, Tried)]) -> String {
    names(tried.iter().map(|(at, _)| at.to_string()))
}

fn silent(tried: &[(SocketAddr, Tried)]) -> Option<(&SocketAddr, &str, &'static str)> {
    tried.iter().find_map(|(at, t)| match t {
        Tried::Silent(why, next) => Some((at, why.as_str(), *next)),
        _ => None,
    })
}
