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
/// A forwarded port with nothing behind it hangs up about at once.
const HANG_UP: Duration = Duration::from_millis(250);

enum Tried {
    /// It accepts; milliseconds until then.
    Open(f64),
    /// It accepts and hangs up at once.
    Hollow,
    Refused,
    /// Nothing was seen: why, and what to do.
    Silent(String, &'static str),
}

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::Port { address, open } = &probe.work.check.spec else {
        return unknown("a port", "this check is about no port", "Correct the declaration.");
    };
    let open = open.unwrap_or(true);
    let correct = "Write the address as host:port, an IPv6 address as [::1]:port.";
    let address = match probe.names.fill(address) {
        Ok(filled) => filled.text,
        Err(error) => return unknown("an address", error.to_string(), correct),
    };
    let wanted = format!("{address} {}", if open { "accepts connections" } else { "refuses connections" });
    probe.say(&format!("Connects to {address}."));
    let addresses: Vec<SocketAddr> = match lookup_host(&address).await {
        Ok(found) => found.collect(),
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::InvalidInput => unknown(wanted, format!("{address} is no host:port"), correct),
                _ => unknown(
                    wanted,
                    format!("the host of {address} is not known"),
                    "Correct the address, or the name's entry in DNS.",
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
            let saw = format!("no answer within {} s, neither yes nor no", patience.as_secs_f64().ceil());
            return Tried::Silent(saw, "A firewall drops the packets, or the host is down: look at both.");
        }
    };
    let ms = began.elapsed().as_secs_f64() * 1_000.0;
    let mut byte = [0; 1];
    match tokio::time::timeout(HANG_UP, stream.read(&mut byte)).await {
        Ok(Ok(0) | Err(_)) => Tried::Hollow,
        // It waits for us to speak, or speaks first: somebody is there.
        Ok(Ok(_)) | Err(_) => Tried::Open(ms),
    }
}

fn no_way(error: &io::Error) -> Tried {
    let (saw, next) = match error.kind() {
        io::ErrorKind::HostUnreachable => {
            ("the host is unreachable".to_owned(), "Look whether the host is up, and at its firewall.")
        }
        io::ErrorKind::NetworkUnreachable => (
            "no route leads to its network".to_owned(),
            "Look at this machine's network; an IPv6 address needs IPv6 on the way.",
        ),
        io::ErrorKind::PermissionDenied => {
            ("this machine's own firewall forbids it".to_owned(), "Allow the connection, then run it again.")
        }
        kind => (kind.to_string(), "Look at the network and its firewalls."),
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
            Some(want) => judge_value(Some(want), ms, "ms", saw, "Look for what slows it down."),
            None => with_value(passed(wanted, saw), ms),
        };
    }
    if let Some((at, _)) = tried.iter().find(|(_, t)| matches!(t, Tried::Hollow)) {
        let saw = format!(
            "{at} accepts connections and hangs up at once: nobody listens behind the published port"
        );
        return failed(
            wanted,
            saw,
            "Compare the port that the service listens on with the one that is mapped.",
        );
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
        // Silence may be a firewall, a lost packet or a wrong address: nothing was seen.
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
