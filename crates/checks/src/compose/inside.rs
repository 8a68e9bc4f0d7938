//! Reachability: data stores only from inside the stack's network, and a process behind every mapped port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use domain::evidence::Finding;
use domain::observed::Health;
use orchestrator::{Container, HostPort};
use tokio::net::TcpStream;

use super::super::finding::{failed, names, passed, unknown, with_value};
use super::super::probe::Probe;
use super::look;
use super::ports::show;

/// Longest time for one connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Ports of PostgreSQL, Redis, MySQL, MongoDB, Elasticsearch, RabbitMQ, memcached, SQL Server, Cassandra.
const STORES: [u16; 9] = [5432, 6379, 3306, 27017, 9200, 5672, 11211, 1433, 9042];

/// The TCP ports that are mapped: on the host, and inside.
fn mapped(container: &Container) -> impl Iterator<Item = (&HostPort, u16)> {
    container.ports.iter().filter(|port| port.tcp).map(|port| (&port.host, port.container))
}

fn list(ports: &[u16]) -> String {
    names(ports.iter().map(u16::to_string))
}

/// Running containers of the services, with the ports that each listens on.
async fn looked_into(
    probe: &Probe<'_>,
    wanted: &str,
    covered: Vec<Container>,
) -> Result<Vec<(Container, Vec<u16>)>, Finding> {
    let mut seen = vec![];
    for container in covered {
        match probe.work.stack.listening_ports(&container).await {
            Ok(ports) => {
                let shown = if ports.is_empty() { "no port".to_owned() } else { list(&ports) };
                probe.say(&format!("{} listens on {shown}.", container.service));
                seen.push((container, ports));
            }
            Err(error) => {
                let saw =
                    format!("the open ports of {} cannot be read on this host ({error})", container.service);
                let next =
                    "Run Stagegate on the host of the Docker engine, as a user that can read its processes.";
                return Err(unknown(wanted, saw, next));
            }
        }
    }
    Ok(seen)
}

/// Data stores publish no port, are not reachable on an address of this host, and listen on the
/// stack's network, where the other services are.
pub(super) async fn internal(probe: &Probe<'_>, services: &[String]) -> Finding {
    let wanted = "data stores reachable only inside the stack's network";
    let (rendered, all) = match look(probe, wanted, services).await {
        Ok(seen) => seen,
        Err(found) => return found,
    };
    let covered: Vec<Container> =
        all.into_iter().filter(|c| rendered.service(&c.service).is_some() && c.is_running()).collect();
    if !services.is_empty() {
        let absent: Vec<&String> =
            services.iter().filter(|s| !covered.iter().any(|c| &c.service == *s)).collect();
        if !absent.is_empty() {
            return unknown(wanted, format!("not running: {}", names(absent)), "Deploy the stack.");
        }
    }
    let seen = match looked_into(probe, wanted, covered).await {
        Ok(seen) => seen,
        Err(found) => return found,
    };
    // Named services always count as data stores; otherwise those that listen on the port of a data store.
    let stores: Vec<&(Container, Vec<u16>)> = seen
        .iter()
        .filter(|(_, ports)| !services.is_empty() || STORES.iter().any(|port| ports.contains(port)))
        .collect();
    if stores.is_empty() {
        return unknown(
            wanted,
            "no running service listens on the port of a data store",
            "Set `services` in the check.",
        );
    }
    let mut bad = vec![];
    for declared in &rendered.services {
        let name = &declared.name;
        if stores.iter().any(|(c, _)| &c.service == name) {
            let ports = declared.ports.iter().map(|p| show(&p.host));
            bad.extend(ports.map(|port| format!("{name} publishes {port} in the Compose files")));
        }
    }
    let mut good = vec![];
    for (c, ports) in &stores {
        if c.host_network {
            bad.push(format!("{} uses the host network", c.service));
            continue;
        }
        bad.extend(
            mapped(c).map(|(host, inside)| format!("{} publishes {inside} on {}", c.service, show(host))),
        );
        if ports.is_empty() {
            let saw = format!("{} listens on no port that other containers can reach", c.service);
            return unknown(wanted, saw, "Check the log of the service: it must listen on its network.");
        }
        if c.addresses.is_empty() {
            return unknown(
                wanted,
                format!("{} is on no network", c.service),
                "Connect it to the stack's network.",
            );
        }
        let networks: Vec<&String> = c.addresses.keys().collect();
        good.push(format!("{} on port {} of network {}", c.service, list(ports), names(networks)));
    }
    if !bad.is_empty() {
        bad.sort();
        bad.dedup();
        let next =
            "Remove `ports` and `network_mode: host` from these services. Other services reach them by name.";
        return failed(wanted, names(bad), next);
    }
    for (c, ports) in &stores {
        for port in ports {
            // As other containers would connect: over its network. On another host there is no response.
            for address in c.addresses.values().filter_map(|a| a.parse::<IpAddr>().ok()) {
                let word = if connects(address, *port).await { "accepts" } else { "does not accept" };
                probe.say(&format!("{} {word} a connection to {address}:{port} on its network.", c.service));
            }
            if connects(IpAddr::V4(Ipv4Addr::LOCALHOST), *port).await {
                // According to the engine it is not this container.
                probe.say(&format!("Another program on this host listens on 127.0.0.1:{port}."));
            }
        }
    }
    with_value(passed(wanted, format!("not published: {}", names(good))), stores.len() as f64)
}

/// Behind every mapped port, a process listens on the container port.
pub(super) async fn port_mapping(probe: &Probe<'_>, services: &[String]) -> Finding {
    let wanted = "a process behind every mapped port";
    let (rendered, all) = match look(probe, wanted, services).await {
        Ok(seen) => seen,
        Err(found) => return found,
    };
    let covered: Vec<Container> = all
        .into_iter()
        .filter(|c| rendered.service(&c.service).is_some() && c.is_running() && mapped(c).next().is_some())
        .collect();
    let absent: Vec<&String> =
        services.iter().filter(|s| !covered.iter().any(|c| &c.service == *s)).collect();
    if covered.is_empty() || !absent.is_empty() {
        let saw = if absent.is_empty() {
            "no running service maps a port".to_owned()
        } else {
            format!("not running with a mapped port: {}", names(absent))
        };
        return unknown(wanted, saw, "Deploy the stack, or correct the services of the check.");
    }
    let seen = match looked_into(probe, wanted, covered).await {
        Ok(seen) => seen,
        Err(found) => return found,
    };
    let (mut bad, mut good, mut next) = (vec![], vec![], String::new());
    for (c, ports) in &seen {
        for (host, inside) in mapped(c) {
            let mapping = format!("host {} → container {inside}", show(host));
            if ports.contains(&inside) {
                good.push(format!("{} {mapping}", c.service));
                continue;
            }
            if c.health == Health::Starting {
                let saw = format!("{mapping}: {} is still starting", c.service);
                return unknown(wanted, saw, "Wait until it is running, then run the check again.");
            }
            // A port that is mapped and open belongs to another mapping.
            let free: Vec<u16> =
                ports.iter().copied().filter(|p| !mapped(c).any(|(_, inside)| inside == *p)).collect();
            let what = if free.is_empty() {
                "on no port that is reachable from outside".to_owned()
            } else {
                format!("on {}", list(&free))
            };
            bad.push(format!("{mapping}, but {} listens {what}", c.service));
            next = match free.first() {
                Some(port) => format!(
                    "Make {} listen on {inside} (PORT={inside} in its `environment`), or map {}:{port}.",
                    c.service, host.port
                ),
                None => format!("Make {} listen on 0.0.0.0:{inside}, or correct its `ports`.", c.service),
            };
        }
    }
    if bad.is_empty() {
        return with_value(passed(wanted, names(&good)), good.len() as f64);
    }
    with_value(failed(wanted, names(bad), next), good.len() as f64)
}

async fn connects(address: IpAddr, port: u16) -> bool {
    let connected = TcpStream::connect(SocketAddr::new(address, port));
    tokio::time::timeout(CONNECT_MAX, connected).await.is_ok_and(|stream| stream.is_ok())
}
