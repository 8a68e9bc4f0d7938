//! The requests of checks to the Docker engine and to Compose.
//!
//! All access of checks to Docker is in this module. It is read-only: nothing is changed, pulled or started.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use orchestrator::compose::{Address, ComposeError, Docker, Project, images_present};
use runner::{Cmd, Exit, Session};

/// Most bytes of a response.
const ANSWER: usize = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// A service as the Compose files declare it.
pub(super) struct Declared {
    /// Published ports, as far as they are fixed.
    pub(super) ports: Vec<Published>,
}

/// The Compose files as Compose reads them.
pub(super) struct Rendered {
    pub(super) project: String,
    pub(super) services: BTreeMap<String, Declared>,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Published {
    /// Address on the host; empty for all of them.
    pub(super) address: String,
    /// Port on the host, or a range of them.
    pub(super) port: String,
}

/// A container of the stack.
pub(super) struct Container {
    pub(super) service: String,
    /// The status of Docker: `running`, `exited`, `restarting`, …
    pub(super) status: String,
    /// The health status; empty without a health check.
    pub(super) health: String,
    pub(super) exit_code: i64,
    /// When the first health check result is known at the latest, milliseconds since 1970 UTC; `None` without a
    /// health check.
    pub(super) opinion_at_ms: Option<i64>,
    /// It exited with code 0 and is a one-shot container: no restart policy, no health check, no published port.
    pub(super) done: bool,
    pub(super) restarts: u64,
    /// When it started, milliseconds since 1970 UTC.
    pub(super) started_at_ms: Option<i64>,
    pub(super) ports: Vec<Published>,
    /// Whether it uses the host network, where publishing has no effect.
    pub(super) host_network: bool,
    /// Its ID.
    pub(super) id: String,
    /// Its main process ID on the host of the engine; 0 when it is not running.
    pub(super) pid: u32,
    /// TCP ports that are mapped: on the host, and inside.
    pub(super) mapped: Vec<(Published, u16)>,
    /// Its addresses, by network.
    pub(super) addresses: BTreeMap<String, String>,
}

/// Log lines of one service, and how they are retained.
#[derive(Debug, Default, Clone)]
pub(super) struct LogLines {
    /// The last lines of all its containers.
    pub(super) lines: Vec<String>,
    /// When the newest was written, milliseconds since 1970 UTC.
    pub(super) newest_ms: Option<u64>,
    /// When the oldest that is kept was written.
    pub(super) oldest_ms: Option<u64>,
    /// The log driver; empty when it has no container.
    pub(super) driver: String,
    /// Its options.
    pub(super) options: BTreeMap<String, String>,
}

/// Why there is no result.
pub(super) enum Silence {
    /// The engine or the program did not respond.
    NotAsked(String),
    /// Compose rejected the files.
    Invalid,
}

/// The output of `docker compose config`.
pub(super) async fn rendered(session: &Session, project: &Project) -> Result<Rendered, Silence> {
    let argv = project.argv(&["config", "--format", "json"]);
    let (exit, answer) = ask(session, Some(project), argv).await;
    match exit {
        Exit::Code(0) => {}
        // Codes from 125 on mean a missing program, smaller ones come from Compose itself.
        Exit::Code(code) if code < 125 => return Err(Silence::Invalid),
        other => return Err(Silence::NotAsked(format!("docker compose failed ({other})"))),
    }
    let config: Value = serde_json::from_slice(&answer)
        .map_err(|_| Silence::NotAsked("the output of docker compose is not JSON".to_owned()))?;
    let services = config.get("services").and_then(Value::as_object).into_iter().flatten();
    Ok(Rendered {
        project: text(&config, "/name"),
        services: services.map(|(name, s)| (name.clone(), Declared { ports: declared_ports(s) })).collect(),
    })
}

fn declared_ports(service: &Value) -> Vec<Published> {
    let ports = service.get("ports").and_then(Value::as_array).into_iter().flatten();
    ports
        .filter_map(|port| {
            let published = match port.get("published")? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let address = text(port, "/host_ip");
            // Without a number Docker selects a free port; the container has the selected port.
            (!published.is_empty() && published != "0")
                .then_some(Published { address: any(address), port: published })
        })
        .collect()
}

/// The containers of a project, one-off ones (`docker compose run`) left out.
pub(super) async fn containers(session: &Session, project: &str) -> Result<Vec<Container>, String> {
    let filter = format!("label={PROJECT}={project}");
    let (exit, ids) =
        ask(session, None, words(&["docker", "ps", "-aq", "--no-trunc", "--filter", &filter])).await;
    if !exit.is_success() {
        return Err(format!("the Docker engine did not respond ({exit})"));
    }
    let ids = String::from_utf8_lossy(&ids).into_owned();
    let ids: Vec<&str> = ids.split_whitespace().collect();
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let argv = words(&["docker", "inspect", "--type", "container"]).into_iter().chain(words(&ids)).collect();
    let (exit, answer) = ask(session, None, argv).await;
    // A container that is removed meanwhile makes the command fail; the next attempt reads the new state.
    let list: Vec<Value> = match (exit, serde_json::from_slice(&answer)) {
        (Exit::Code(0), Ok(list)) => list,
        (exit, _) => return Err(format!("the containers changed while they were being read ({exit})")),
    };
    Ok(list.iter().filter(|c| label(c, ONE_OFF) != "True").map(container).collect())
}

fn container(about: &Value) -> Container {
    let mut ports = vec![];
    let bound = about.pointer("/NetworkSettings/Ports").and_then(Value::as_object);
    for bindings in bound.into_iter().flatten().filter_map(|(_, list)| list.as_array()) {
        ports.extend(
            bindings
                .iter()
                .map(|b| Published { address: any(text(b, "/HostIp")), port: text(b, "/HostPort") }),
        );
    }
    ports.sort();
    ports.dedup();
    let status = text(about, "/State/Status");
    let exit_code = about.pointer("/State/ExitCode").and_then(Value::as_i64).unwrap_or(-1);
    Container {
        service: label(about, SERVICE),
        done: status == "exited" && exit_code == 0 && !meant_to_stay(about),
        status,
        health: text(about, "/State/Health/Status"),
        exit_code,
        restarts: about.get("RestartCount").and_then(Value::as_u64).unwrap_or(0),
        opinion_at_ms: unix_ms(&text(about, "/State/StartedAt"))
            .zip(first_opinion_ms(about))
            .map(|(at, ms)| at.saturating_add(ms)),
        started_at_ms: unix_ms(&text(about, "/State/StartedAt")),
        ports,
        host_network: text(about, "/HostConfig/NetworkMode") == "host",
        id: text(about, "/Id"),
        pid: about
            .pointer("/State/Pid")
            .and_then(Value::as_u64)
            .and_then(|p| u32::try_from(p).ok())
            .unwrap_or(0),
        mapped: mapped(about),
        addresses: keys(about, "/NetworkSettings/Networks")
            .map(|name| {
                let networks = about.pointer("/NetworkSettings/Networks").and_then(|n| n.get(name));
                (name.to_owned(), networks.map(|n| text(n, "/IPAddress")).unwrap_or_default())
            })
            .filter(|(_, address)| !address.is_empty())
            .collect(),
    }
}

/// How long after the start of a container its first health check result is known at the latest, with the engine's
/// defaults (30 s between two checks, 30 s for one); `None` without a health check.
fn first_opinion_ms(about: &Value) -> Option<i64> {
    about.pointer("/State/Health")?;
    let usual = 30_000;
    let of = |name: &str| {
        let ns = about.pointer(&format!("/Config/Healthcheck/{name}")).and_then(Value::as_i64);
        ns.map_or(0, |ns| ns / 1_000_000)
    };
    let or_usual = |ms: i64| if ms > 0 { ms } else { usual };
    Some(of("StartPeriod").saturating_add(or_usual(of("Interval"))).saturating_add(or_usual(of("Timeout"))))
}

/// The same rule as on the board: a container with a published port, a health check or a restart policy should run.
fn meant_to_stay(about: &Value) -> bool {
    let restart = text(about, "/HostConfig/RestartPolicy/Name");
    let check = text(about, "/Config/Healthcheck/Test/0");
    matches!(restart.as_str(), "always" | "unless-stopped")
        || keys(about, "/HostConfig/PortBindings").next().is_some()
        || !(check.is_empty() || check == "NONE")
}

fn keys<'v>(about: &'v Value, pointer: &str) -> impl Iterator<Item = &'v str> {
    about.pointer(pointer).and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str())
}

/// `3000/tcp` is 3000.
fn tcp(port: &str) -> Option<u16> {
    port.strip_suffix("/tcp")?.parse().ok()
}

fn mapped(about: &Value) -> Vec<(Published, u16)> {
    let bound = about.pointer("/NetworkSettings/Ports").and_then(Value::as_object);
    let mut all = vec![];
    for (inside, list) in bound.into_iter().flatten() {
        let Some(inside) = tcp(inside) else { continue };
        for binding in list.as_array().into_iter().flatten() {
            let host = Published { address: any(text(binding, "/HostIp")), port: text(binding, "/HostPort") };
            all.push((host, inside));
        }
    }
    all.sort();
    // IPv4 and IPv6 are mapped one by one.
    all.dedup();
    all
}

/// The TCP ports on which processes inside a container accept connections from outside of it: what the
/// kernel reports for the container's network, by its main process, else from inside the container.
pub(super) async fn listening(session: &Session, container: &Container) -> Result<Vec<u16>, String> {
    let local = Address::from_env().is_local() && container.pid > 0;
    let of_process = |name: &str| std::fs::read_to_string(format!("/proc/{}/net/{name}", container.pid));
    if local
        && is_of(container)
        && let Ok(four) = of_process("tcp")
    {
        let six = of_process("tcp6").unwrap_or_default();
        return Ok(listeners(&four, &six));
    }
    let ask_for = async |name: &str| {
        let path = format!("/proc/net/{name}");
        ask(session, None, words(&["docker", "exec", &container.id, "cat", &path])).await
    };
    let (exit, four) = ask_for("tcp").await;
    if !exit.is_success() {
        return Err(format!("the open ports of {} cannot be read on this host ({exit})", container.service));
    }
    let (exit, six) = ask_for("tcp6").await;
    let six = if exit.is_success() { six } else { vec![] };
    Ok(listeners(&String::from_utf8_lossy(&four), &String::from_utf8_lossy(&six)))
}

/// Whether the process with the container's process ID really belongs to the container: an engine in a virtual
/// machine (Docker Desktop) has its own process IDs.
fn is_of(container: &Container) -> bool {
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid)).unwrap_or_default();
    !container.id.is_empty() && groups.contains(&container.id)
}

/// Listening ports (state 0A) of /proc/net/tcp and tcp6, without those on the loopback address, which are not
/// reachable from outside the container.
fn listeners(four: &str, six: &str) -> Vec<u16> {
    let mut ports: Vec<u16> = four
        .lines()
        .chain(six.lines())
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, port) = fields.get(1)?.split_once(':')?;
            // Addresses are four-byte words in host byte order: 127.x.x.x ends in 7F.
            let loopback = match address.len() {
                8 => address.ends_with("7F"),
                _ => {
                    address == "00000000000000000000000001000000"
                        || (address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F"))
                }
            };
            let listens = fields.get(3) == Some(&"0A") && !loopback;
            u16::from_str_radix(port, 16).ok().filter(|_| listens)
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Which of these image IDs the engine does not have.
pub(super) async fn missing_images(ids: &[&str]) -> Result<Vec<String>, String> {
    images_present(&engine().await?, ids).await.map_err(|error| no_engine(&error))
}

/// Version of the engine.
pub(super) async fn engine_version() -> Result<String, String> {
    let version = engine().await?.version().to_owned();
    if version.is_empty() {
        Err("the Docker engine does not report its version".to_owned())
    } else {
        Ok(version)
    }
}

async fn engine() -> Result<Docker, String> {
    Docker::connect(&Address::from_env()).await.map_err(|error| no_engine(&error))
}

fn no_engine(error: &ComposeError) -> String {
    format!("the Docker engine did not respond ({error})")
}

/// Version of Compose.
pub(super) async fn compose_version(session: &Session) -> Result<String, String> {
    let (exit, answer) = ask(session, None, words(&["docker", "compose", "version", "--short"])).await;
    let answer = String::from_utf8_lossy(&answer).trim().to_owned();
    match exit {
        Exit::Code(0) if !answer.is_empty() => Ok(answer),
        exit => Err(format!("docker compose failed ({exit})")),
    }
}

async fn ask(session: &Session, project: Option<&Project>, argv: Vec<String>) -> (Exit, Vec<u8>) {
    let mut cmd = Cmd::new(argv);
    cmd.cwd = project.map(|p| p.dir.clone());
    cmd.timeout = Some(TIMEOUT);
    // Compose reads the env file itself; variables of the shell would override it.
    cmd.clear = true;
    session.capture(cmd, ANSWER).await
}

fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|word| (*word).to_owned()).collect()
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn label(container: &Value, name: &str) -> String {
    let labels = container.pointer("/Config/Labels");
    labels.and_then(|l| l.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// “All addresses” has several notations; it becomes the empty string.
fn any(address: String) -> String {
    if matches!(address.as_str(), "0.0.0.0" | "::") { String::new() } else { address }
}

/// Milliseconds since 1970 of a time as Docker writes it (`2026-03-01T09:30:00.25Z`, always UTC);
/// `None` for a container that never started (year 1).
fn unix_ms(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.splitn(3, ':').map(str::parse::<i64>);
    let (h, m, s) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let thousandths: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    if year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    // Years start in March in this calculation, so that the leap day is the last day of a year.
    let (y, shifted) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = y / 4 - y / 100 + y / 400;
    let days = y * 365 + leap_days + (153 * shifted + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + h) * 60 + m) * 60 + s) * 1_000 + thousandths)
}

/// The last `n` log lines of each service, from Docker's own log driver.
pub(super) async fn log_lines(
    session: &Session,
    project: &Project,
    services: &[String],
    n: usize,
) -> Result<BTreeMap<String, LogLines>, String> {
    let unseen = |error: ComposeError| format!("the Docker engine did not respond ({error})");
    let docker = Docker::connect(&Address::from_env()).await.map_err(unseen)?;
    let name = match rendered(session, project).await {
        Ok(rendered) => rendered.project,
        Err(_) => return Err("the name of the Compose project is unknown".to_owned()),
    };
    let mut all = BTreeMap::new();
    for service in services {
        let kept = orchestrator::compose::kept_lines(&docker, &name, service, n).await.map_err(unseen)?;
        all.insert(
            service.clone(),
            LogLines {
                lines: kept.lines,
                newest_ms: kept.newest.and_then(|t| u64::try_from(t.0).ok()),
                oldest_ms: kept.oldest.and_then(|t| u64::try_from(t.0).ok()),
                driver: kept.driver,
                options: kept.options,
            },
        );
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reachable_listening_ports_are_read() {
        let head = "  sl  local_address rem_address   st tx_queue\n";
        let four = format!(
            "{head}   0: 00000000:0BB8 00000000:0000 0A x\n   1: 0B00007F:A2C1 00000000:0000 0A x\n   2: 020011AC:0BB9 0100007F:0001 01 x\n"
        );
        let six = format!(
            "{head}   0: 00000000000000000000000000000000:1538 0:0 0A x\n   1: 00000000000000000000000001000000:0050 0:0 0A x\n"
        );
        assert_eq!(listeners(&four, &six), [3000, 5432]);
        assert!(listeners("", "nonsense\n").is_empty());
    }

    #[test]
    fn the_times_of_docker_are_read() {
        assert_eq!(unix_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(unix_ms("2000-02-29T12:00:00.5Z"), Some(951_825_600_500));
        assert_eq!(unix_ms("2026-11-23T20:51:41.123456789Z"), Some(1_795_467_101_123));
        assert_eq!(unix_ms("2024-03-01T00:00:00Z"), Some(1_709_251_200_000));
        for bad in ["", "0001-01-01T00:00:00Z", "2026-11-23", "2026-13-01T00:00:00Z", "x"] {
            assert_eq!(unix_ms(bad), None, "{bad}");
        }
    }
}
