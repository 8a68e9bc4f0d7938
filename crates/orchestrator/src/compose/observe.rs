//! The stack as the engine reports it: containers found by Compose's labels, one state for each service.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, ContainerSummary, HealthStatusEnum,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{EventsOptions, InspectContainerOptions, ListContainersOptions, LogsOptions};
use domain::observed::{Health, Orphan, Service};
use domain::time::Millis;
use futures::{Stream, StreamExt, TryStreamExt};

use super::docker::Docker;
use super::error::{ComposeError, Result};
use super::health_exec::HealthCommand;
use super::render::Rendered;
use super::transport::{MAX_EVENT_BYTES, MAX_OUTPUT_BYTES};
use system::clock::now;

pub(super) const PROJECT_LABEL: &str = "com.docker.compose.project";
const SERVICE_LABEL: &str = "com.docker.compose.service";
const ONE_OFF_LABEL: &str = "com.docker.compose.oneoff";
/// Inspections at the same time.
const AT_ONCE: usize = 8;
/// Longest part of a log line or health check output that is reported, in characters.
const LINE_CAP: usize = 400;

/// One container of a service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Instance {
    pub(super) service: String,
    pub(super) id: String,
    pub(super) health: Health,
    /// Image ID.
    pub(super) image: String,
    pub(super) tag: String,
    /// Its image tag has moved to another image or was removed.
    pub(super) moved: bool,
    /// The container's own name.
    pub(super) name: String,
    pub(super) restarts: u64,
    pub(super) exit_code: Option<i64>,
    pub(super) started_at: Option<Millis>,
    pub(super) ports: Vec<String>,
    /// When the last health check began, and its output.
    pub(super) checked_at: Option<Millis>,
    pub(super) check_said: String,
    /// Its process is running.
    pub(super) up: bool,
    /// The signal that asks it to stop.
    pub(super) stop_signal: String,
    /// Its health command.
    pub(super) check: Option<HealthCommand>,
}

/// The services of `rendered` as they are now, in its order. A service with more than one container has
/// the state of the worst of them.
pub async fn snapshot(docker: &Docker, rendered: &Rendered) -> Result<Vec<Service>> {
    Ok(services(rendered, &instances(docker, &rendered.name).await?))
}

/// The state that was read from the engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The services as in [`snapshot`].
    pub services: Vec<Service>,
    /// Services with a container whose image tag has moved to another image or was removed.
    pub moved_tags: Vec<String>,
    /// Containers of the project that belong to none of its services.
    pub orphans: Vec<Orphan>,
}

/// As [`snapshot`], with moved tags and orphans.
pub async fn look(docker: &Docker, rendered: &Rendered) -> Result<Seen> {
    let found = instances(docker, &rendered.name).await?;
    let is_service = |name: &str| rendered.expected().any(|expected| expected.name == name);
    let mut moved_tags: Vec<String> = found
        .iter()
        .filter(|one| one.moved && is_service(&one.service))
        .map(|one| one.service.clone())
        .collect();
    moved_tags.dedup();
    let orphans = found.iter().filter(|one| !is_service(&one.service)).map(|one| Orphan {
        container: one.name.clone(),
        service: one.service.clone(),
        image: one.image.clone(),
    });
    Ok(Seen { services: services(rendered, &found), moved_tags, orphans: orphans.collect() })
}

/// Image ID of each service that has a container.
pub fn image_ids(services: &[Service]) -> BTreeMap<String, String> {
    let known = services.iter().filter(|service| !service.image.is_empty());
    known.map(|service| (service.name.clone(), service.image.clone())).collect()
}

/// The state of each expected service, from its containers.
pub(super) fn services(rendered: &Rendered, instances: &[Instance]) -> Vec<Service> {
    rendered
        .expected()
        .map(|expected| {
            let own: Vec<_> = instances.iter().filter(|one| one.service == expected.name).collect();
            summary(&expected.name, &own)
        })
        .collect()
}

fn summary(name: &str, own: &[&Instance]) -> Service {
    let Some(worst) = own.iter().max_by_key(|one| rank(one.health)) else {
        return Service {
            name: name.to_owned(),
            health: Health::Missing,
            image: String::new(),
            tag: String::new(),
            restarts: 0,
            started_at: None,
            ports: Vec::new(),
            container: String::new(),
        };
    };
    let mut ports: Vec<String> = own.iter().flat_map(|one| one.ports.clone()).collect();
    ports.sort();
    ports.dedup();
    Service {
        name: name.to_owned(),
        health: worst.health,
        image: worst.image.clone(),
        tag: worst.tag.clone(),
        restarts: own.iter().map(|one| one.restarts).sum(),
        started_at: worst.started_at,
        ports,
        container: worst.id.chars().take(12).collect(),
    }
}

/// How bad a state is.
fn rank(health: Health) -> u8 {
    match health {
        Health::Done => 0,
        Health::Healthy => 1,
        Health::Running => 2,
        Health::Starting => 3,
        Health::Unhealthy => 4,
        Health::Restarting => 5,
        Health::Exited => 6,
        Health::Missing => 7,
    }
}

/// All containers of a project, except those of `docker compose run`.
pub(super) async fn instances(docker: &Docker, project: &str) -> Result<Vec<Instance>> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{PROJECT_LABEL}={project}")])]);
    let options =
        ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    let listed = docker.ask(docker.client().list_containers(Some(options))).await?;
    let found = futures::stream::iter(listed.into_iter().filter(is_of_a_service).map(|summary| async move {
        let id = summary.id.clone().unwrap_or_default();
        let details =
            docker.find(docker.client().inspect_container(&id, None::<InspectContainerOptions>)).await?;
        // A container that was removed between the two requests is ignored.
        Ok::<_, ComposeError>(details.map(|details| instance(&summary, &details)))
    }));
    let mut found: Vec<Instance> =
        found.buffer_unordered(AT_ONCE).try_filter_map(|one| async { Ok(one) }).try_collect().await?;
    found.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
    Ok(found)
}

/// Events of the project's containers and of image names. Running a health check is not one of them.
pub(super) fn events(docker: &Docker, project: &str) -> impl Stream<Item = Result<()>> + use<> {
    const ACTIONS: [&str; 13] = [
        "create",
        "start",
        "restart",
        "die",
        "stop",
        "kill",
        "oom",
        "destroy",
        "pause",
        "unpause",
        "rename",
        "update",
        "health_status",
    ];
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("label".to_owned(), vec![format!("{PROJECT_LABEL}={project}")]),
        ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
    ]);
    // From a moment ago: an event while the request is sent must not be missed.
    let since = (now().0 / 1_000).to_string();
    let options = EventsOptions { filters: Some(filters), since: Some(since), ..EventsOptions::default() };
    // Image events carry no label of the project, and are rare.
    let tags = HashMap::from([
        ("type".to_owned(), vec!["image".to_owned()]),
        (
            "event".to_owned(),
            ["tag", "untag", "delete", "load", "import", "pull"].map(str::to_owned).to_vec(),
        ),
    ]);
    let tags =
        EventsOptions { filters: Some(tags), since: options.since.clone(), ..EventsOptions::default() };
    // The end of either stream ends both: the engine is unreachable, or the streams have to be reopened.
    let stream = |options: EventsOptions| {
        let events = docker.stream(MAX_EVENT_BYTES, |client| client.events(Some(options)));
        events.map(Some).chain(futures::stream::iter([None])).boxed()
    };
    futures::stream::select(stream(options), stream(tags))
        .take_while(|event| std::future::ready(event.is_some()))
        .filter_map(std::future::ready)
        .map(|event| event.map(|_| ()))
}

fn is_of_a_service(summary: &ContainerSummary) -> bool {
    let label = |name: &str| summary.labels.as_ref().and_then(|labels| labels.get(name));
    label(SERVICE_LABEL).is_some() && label(ONE_OFF_LABEL).is_none_or(|value| value != "True")
}

fn instance(summary: &ContainerSummary, details: &ContainerInspectResponse) -> Instance {
    let state = details.state.as_ref();
    let status = state.and_then(|state| state.status).unwrap_or(Status::EMPTY);
    let check = state.and_then(|state| state.health.as_ref());
    let checked = check
        .and_then(|check| check.status)
        .filter(|s| !matches!(s, HealthStatusEnum::EMPTY | HealthStatusEnum::NONE));
    let last = check.and_then(|check| check.log.as_ref()).and_then(|log| log.last());
    let exit_code = state.and_then(|state| state.exit_code);
    let restart =
        details.host_config.as_ref().and_then(|host| host.restart_policy.as_ref()).and_then(|p| p.name);
    let comes_back =
        matches!(restart, Some(RestartPolicyNameEnum::ALWAYS | RestartPolicyNameEnum::UNLESS_STOPPED));
    let publishes = details
        .host_config
        .as_ref()
        .and_then(|host| host.port_bindings.as_ref())
        .is_some_and(|bindings| !bindings.is_empty());
    let declares_check = details
        .config
        .as_ref()
        .and_then(|config| config.healthcheck.as_ref())
        .and_then(|check| check.test.as_ref())
        .is_some_and(|test| test.first().is_some_and(|word| word != "NONE"));
    // A container that publishes a port, has a health check or is to be restarted is not a one-shot job.
    let one_shot = !comes_back && !publishes && !declares_check;
    let health = match status {
        Status::RUNNING => match checked {
            None => Health::Running,
            Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
            Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
            Some(_) => Health::Starting,
        },
        Status::RESTARTING => Health::Restarting,
        Status::CREATED => Health::Starting,
        Status::EXITED if exit_code == Some(0) && one_shot => Health::Done,
        // A paused container does not respond.
        Status::PAUSED => Health::Unhealthy,
        Status::EMPTY | Status::REMOVING | Status::EXITED | Status::DEAD | Status::STOPPING => Health::Exited,
    };
    let ended = matches!(status, Status::EXITED | Status::DEAD | Status::RESTARTING);
    let image = summary.image.clone().unwrap_or_default();
    let asked = details.config.as_ref().and_then(|config| config.image.clone()).unwrap_or_default();
    Instance {
        service: summary.labels.as_ref().and_then(|l| l.get(SERVICE_LABEL)).cloned().unwrap_or_default(),
        id: details.id.clone().unwrap_or_default(),
        health,
        image: details.image.clone().unwrap_or_default(),
        // The engine shows an ID instead of the tag once the tag has moved to another image.
        moved: is_bare_id(&image) && !asked.is_empty() && !is_bare_id(&asked),
        name: details.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
        tag: if is_bare_id(&image) { String::new() } else { image },
        restarts: details.restart_count.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        exit_code: exit_code.filter(|_| ended),
        started_at: state.and_then(|state| state.started_at.as_deref()).and_then(parse_time),
        ports: ports(summary),
        checked_at: last.and_then(|last| last.start.as_deref()).and_then(parse_time),
        check_said: last
            .and_then(|last| last.output.as_deref())
            .map(|text| shorten(text.trim()))
            .unwrap_or_default(),
        up: status == Status::RUNNING,
        stop_signal: details
            .config
            .as_ref()
            .and_then(|config| config.stop_signal.clone())
            .filter(|signal| !signal.is_empty())
            .unwrap_or_else(|| "SIGTERM".to_owned()),
        check: health_command(details),
    }
}

fn health_command(details: &ContainerInspectResponse) -> Option<HealthCommand> {
    let config = details.config.as_ref()?;
    let check = config.healthcheck.as_ref()?;
    let (kind, rest) = check.test.as_ref()?.split_first()?;
    let argv = match kind.as_str() {
        "CMD" => rest.to_vec(),
        "CMD-SHELL" => {
            let usual = || ["/bin/sh", "-c"].map(str::to_owned).to_vec();
            let mut argv = config.shell.clone().filter(|shell| !shell.is_empty()).unwrap_or_else(usual);
            argv.extend(rest.iter().cloned());
            argv
        }
        _ => return None,
    };
    let patience = check.timeout.and_then(|ns| u64::try_from(ns).ok()).filter(|ns| *ns > 0);
    (!argv.is_empty()).then(|| HealthCommand { argv, patience: patience.map(Duration::from_nanos) })
}

fn is_bare_id(image: &str) -> bool {
    let id = image.strip_prefix("sha256:").unwrap_or(image);
    id.len() >= 12 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

fn ports(summary: &ContainerSummary) -> Vec<String> {
    let mut ports: Vec<String> = summary
        .ports
        .iter()
        .flatten()
        .filter_map(|port| {
            let host = port.ip.as_deref().unwrap_or("0.0.0.0");
            // The engine lists the IPv6 twin of a port that is open to all.
            if host == "::" {
                return None;
            }
            Some(format!("{host}:{}→{}", port.public_port?, port.private_port))
        })
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

/// Reads the engine's times, `2026-03-01T09:30:00.123456789Z`; its zero time is none.
pub(super) fn parse_time(text: &str) -> Option<Millis> {
    let (date, clock) = text.split_once('T')?;
    let mut date = date.splitn(3, '-');
    let year: i32 = date.next()?.parse().ok()?;
    let month: u8 = date.next()?.parse().ok()?;
    let day: u8 = date.next()?.parse().ok()?;
    let at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at_checked(at)?;
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut whole = whole.splitn(3, ':');
    let hour: u8 = whole.next()?.parse().ok()?;
    let minute: u8 = whole.next()?.parse().ok()?;
    let second: u8 = whole.next()?.parse().ok()?;
    let millis: u16 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let date = time::Date::from_calendar_date(year, time::Month::try_from(month).ok()?, day).ok()?;
    let clock = time::Time::from_hms_milli(hour, minute, second, millis).ok()?;
    let offset = match zone.as_bytes() {
        [] | [b'Z'] => 0,
        [sign, rest @ ..] => {
            let rest = std::str::from_utf8(rest).ok()?;
            let (hours, minutes) = rest.split_once(':')?;
            let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            if *sign == b'-' { -minutes } else { minutes }
        }
    };
    let stamp = time::PrimitiveDateTime::new(date, clock).assume_utc();
    let ms = i64::try_from(stamp.unix_timestamp_nanos() / 1_000_000).ok()? - offset * 60_000;
    (year > 1).then_some(Millis(ms))
}

/// The last `n` lines of a service's containers, each passed through `redact`, which masks secrets.
pub async fn service_logs(
    docker: &Docker,
    project: &str,
    service: &str,
    n: usize,
    redact: impl Fn(&str) -> String,
) -> Result<Vec<String>> {
    let own = instances(docker, project).await?.into_iter().filter(|one| one.service == service);
    let Some(worst) = own.max_by_key(|one| rank(one.health)) else { return Ok(Vec::new()) };
    container_logs(docker, &worst.id, n, redact).await
}

/// The last `n` lines of one container, passed through `redact`.
pub(super) async fn container_logs(
    docker: &Docker,
    id: &str,
    n: usize,
    redact: impl Fn(&str) -> String,
) -> Result<Vec<String>> {
    let options = LogsOptions { stdout: true, stderr: true, tail: n.to_string(), ..LogsOptions::default() };
    let lines = docker.stream(MAX_OUTPUT_BYTES, |client| client.logs(id, Some(options)));
    let bytes = tokio::time::timeout(docker.patience(), super::lines::last_bytes(lines)).await;
    let bytes = bytes
        .map_err(|_| ComposeError::Unreachable { why: "its logs did not arrive in time".to_owned() })??;
    // Masked as a whole first: a secret may span several lines.
    let text = redact(&String::from_utf8_lossy(&bytes));
    let lines: Vec<String> = text.lines().map(shorten).collect();
    Ok(lines.into_iter().rev().take(n).rev().collect())
}

fn shorten(line: &str) -> String {
    let plain = line.chars().filter(|c| !c.is_control() || *c == '\t' || *c == '\n');
    plain.take(LINE_CAP).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(service: &str, health: Health) -> Instance {
        Instance {
            service: service.to_owned(),
            id: format!("{service}-0123456789abcdef"),
            health,
            image: "sha256:1".to_owned(),
            tag: String::new(),
            moved: false,
            name: String::new(),
            restarts: 2,
            exit_code: None,
            started_at: None,
            ports: vec!["127.0.0.1:1→1".to_owned()],
            checked_at: None,
            check_said: String::new(),
            up: false,
            stop_signal: String::new(),
            check: None,
        }
    }

    #[test]
    fn a_service_has_the_state_of_its_worst_container() {
        let (a, b) = (one("web", Health::Healthy), one("web", Health::Unhealthy));
        let web = summary("web", &[&a, &b]);
        assert_eq!((web.health, web.restarts, web.ports.len()), (Health::Unhealthy, 4, 1));
        assert_eq!(summary("db", &[]).health, Health::Missing);
    }

    #[test]
    fn the_engines_times_are_read() {
        assert_eq!(parse_time("2024-02-28T23:59:59.999999999Z"), Some(Millis(1_709_164_799_999)));
        assert_eq!(parse_time("2024-02-29T01:59:59.9+02:00"), Some(Millis(1_709_164_799_900)));
        assert_eq!(parse_time("1970-01-01T00:00:00Z"), Some(Millis(0)));
        assert_eq!(parse_time("0001-01-01T00:00:00Z"), None);
        assert_eq!(parse_time("yesterday"), None);
    }

    #[test]
    fn an_id_is_not_a_tag() {
        assert!(is_bare_id("sha256:0123456789abcdef") && is_bare_id("0123456789ab"));
        assert!(!is_bare_id("shop-web") && !is_bare_id("cafe"));
    }
}
