//! A container as the engine's inspection describes it: the one place where its JSON gets a meaning.

use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, ContainerSummary, HealthStatusEnum,
    RestartPolicyNameEnum,
};
use domain::observed::Health;
use domain::time::Millis;

use crate::container::{Container, ContainerState, HealthCommand, HostPort, PublishedPort};

pub(super) const SERVICE_LABEL: &str = "com.docker.compose.service";
/// Longest part of a log line or health check output that is reported, in characters.
const LINE_CAP: usize = 400;
/// The engine's defaults for the time between two health checks, and for one of them, milliseconds.
const DEFAULT_HEALTH_MS: i64 = 30_000;

/// The container that `details` describe; `summary` is its entry in the engine's list.
pub(super) fn container(summary: &ContainerSummary, details: &ContainerInspectResponse) -> Container {
    let state = details.state.as_ref();
    let config = details.config.as_ref();
    let host = details.host_config.as_ref();
    let network = details.network_settings.as_ref();
    let log = host.and_then(|host| host.log_config.as_ref());
    let process = process_state(state.and_then(|state| state.status));
    let check = state.and_then(|state| state.health.as_ref());
    let last_check = check.and_then(|check| check.log.as_ref()).and_then(|log| log.last());
    let started_at = state.and_then(|state| state.started_at.as_deref()).and_then(parse_time);
    let image = summary.image.clone().unwrap_or_default();
    let declared_image = config.and_then(|config| config.image.clone()).unwrap_or_default();
    let exit_code = state.and_then(|state| state.exit_code);
    let ended = match process {
        ContainerState::Exited | ContainerState::Dead | ContainerState::Restarting => true,
        ContainerState::Created => exit_code.is_some_and(|code| code != 0),
        _ => false,
    };
    Container {
        service: summary.labels.as_ref().and_then(|l| l.get(SERVICE_LABEL)).cloned().unwrap_or_default(),
        name: details.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned(),
        id: details.id.clone().unwrap_or_default(),
        state: process,
        health: health(process, details),
        image: details.image.clone().unwrap_or_default(),
        // The engine shows an ID instead of the tag once the tag has moved to another image.
        tag_moved: is_bare_id(&image) && !declared_image.is_empty() && !is_bare_id(&declared_image),
        tag: if is_bare_id(&image) { String::new() } else { image },
        restarts: details.restart_count.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        exit_code: exit_code.filter(|_| ended),
        started_at,
        first_health_due_at: check
            .and(started_at)
            .map(|at| Millis(at.0.saturating_add(first_health_ms(details)))),
        health_checked_at: last_check.and_then(|last| last.start.as_deref()).and_then(parse_time),
        health_output: last_check
            .and_then(|last| last.output.as_deref())
            .map(|text| shorten(text.trim()))
            .unwrap_or_default(),
        ports: ports(details),
        host_network: host.and_then(|host| host.network_mode.as_deref()) == Some("host"),
        addresses: network
            .and_then(|network| network.networks.as_ref())
            .into_iter()
            .flatten()
            .filter_map(|(name, end)| Some((name.clone(), end.ip_address.clone()?)))
            .filter(|(_, address)| !address.is_empty())
            .collect(),
        log_driver: log.and_then(|log| log.typ.clone()).unwrap_or_default(),
        log_options: log.and_then(|log| log.config.clone()).unwrap_or_default().into_iter().collect(),
        pid: state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        stop_signal: config
            .and_then(|config| config.stop_signal.clone())
            .filter(|signal| !signal.is_empty())
            .unwrap_or_else(|| "SIGTERM".to_owned()),
        health_command: health_command(details),
    }
}

fn process_state(status: Option<Status>) -> ContainerState {
    match status.unwrap_or(Status::EMPTY) {
        Status::CREATED => ContainerState::Created,
        Status::RUNNING => ContainerState::Running,
        Status::PAUSED => ContainerState::Paused,
        Status::RESTARTING => ContainerState::Restarting,
        Status::STOPPING => ContainerState::Stopping,
        Status::REMOVING => ContainerState::Removing,
        Status::EXITED => ContainerState::Exited,
        Status::DEAD => ContainerState::Dead,
        Status::EMPTY => ContainerState::Unknown,
    }
}

/// The one rule of health, for the board, for deploys and for checks.
fn health(process: ContainerState, details: &ContainerInspectResponse) -> Health {
    let state = details.state.as_ref();
    let checked = state
        .and_then(|state| state.health.as_ref()?.status)
        .filter(|s| !matches!(s, HealthStatusEnum::EMPTY | HealthStatusEnum::NONE));
    let exit_code = state.and_then(|state| state.exit_code);
    match process {
        ContainerState::Running => match checked {
            None => Health::Running,
            Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
            Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
            Some(_) => Health::Starting,
        },
        ContainerState::Restarting => Health::Restarting,
        // The engine leaves a container whose start failed as created, with the code and the reason of the failure.
        ContainerState::Created if exit_code.is_some_and(|code| code != 0) => Health::Exited,
        ContainerState::Created => Health::Starting,
        ContainerState::Exited if exit_code == Some(0) && is_one_shot(details) => Health::Done,
        // A paused container does not respond.
        ContainerState::Paused => Health::Unhealthy,
        ContainerState::Unknown
        | ContainerState::Stopping
        | ContainerState::Removing
        | ContainerState::Exited
        | ContainerState::Dead => Health::Exited,
    }
}

/// Whether the container is meant to end: one that publishes a port, has a health check or is to be restarted is not.
fn is_one_shot(details: &ContainerInspectResponse) -> bool {
    let host = details.host_config.as_ref();
    let restart = host.and_then(|host| host.restart_policy.as_ref()).and_then(|policy| policy.name);
    let comes_back =
        matches!(restart, Some(RestartPolicyNameEnum::ALWAYS | RestartPolicyNameEnum::UNLESS_STOPPED));
    let publishes = host.and_then(|host| host.port_bindings.as_ref()).is_some_and(|ports| !ports.is_empty());
    let config = details.config.as_ref().and_then(|config| config.healthcheck.as_ref());
    let declares_check = config
        .and_then(|check| check.test.as_ref()?.first())
        .is_some_and(|kind| !kind.is_empty() && kind != "NONE");
    !comes_back && !publishes && !declares_check
}

/// How long after the start of a container its first health check result is known at the latest, milliseconds.
fn first_health_ms(details: &ContainerInspectResponse) -> i64 {
    let config = details.config.as_ref().and_then(|config| config.healthcheck.as_ref());
    let ms = |ns: Option<i64>| ns.map_or(0, |ns| ns / 1_000_000);
    let or_default = |ms: i64| if ms > 0 { ms } else { DEFAULT_HEALTH_MS };
    ms(config.and_then(|check| check.start_period))
        .saturating_add(or_default(ms(config.and_then(|check| check.interval))))
        .saturating_add(or_default(ms(config.and_then(|check| check.timeout))))
}

fn health_command(details: &ContainerInspectResponse) -> Option<HealthCommand> {
    let config = details.config.as_ref()?;
    let check = config.healthcheck.as_ref()?;
    let (kind, rest) = check.test.as_ref()?.split_first()?;
    let argv = match kind.as_str() {
        "CMD" => rest.to_vec(),
        "CMD-SHELL" => {
            let default_shell = || ["/bin/sh", "-c"].map(str::to_owned).to_vec();
            let mut argv =
                config.shell.clone().filter(|shell| !shell.is_empty()).unwrap_or_else(default_shell);
            argv.extend(rest.iter().cloned());
            argv
        }
        _ => return None,
    };
    let timeout = check.timeout.and_then(|ns| u64::try_from(ns).ok()).filter(|ns| *ns > 0);
    (!argv.is_empty()).then(|| HealthCommand { argv, timeout: timeout.map(Duration::from_nanos) })
}

fn is_bare_id(image: &str) -> bool {
    let id = image.strip_prefix("sha256:").unwrap_or(image);
    id.len() >= 12 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The ports that are published now. IPv4 and IPv6 are published one by one, and become one port.
fn ports(details: &ContainerInspectResponse) -> Vec<PublishedPort> {
    let all = details.network_settings.as_ref().and_then(|network| network.ports.as_ref());
    let mut ports = Vec::new();
    for (inside, bindings) in all.into_iter().flatten() {
        let (number, protocol) = inside.split_once('/').unwrap_or((inside, "tcp"));
        let Ok(container) = number.parse() else { continue };
        for binding in bindings.iter().flatten() {
            let Some(port) = binding.host_port.as_deref().filter(|port| !port.is_empty()) else { continue };
            let host = HostPort::new(binding.host_ip.as_deref().unwrap_or_default(), port);
            ports.push(PublishedPort { host, container, tcp: protocol == "tcp" });
        }
    }
    ports.sort();
    ports.dedup();
    ports
}

/// Reads the engine's times, `2026-03-01T09:30:00.123456789Z`; its zero time is none.
pub(super) fn parse_time(text: &str) -> Option<Millis> {
    Millis::parse_rfc3339(text).filter(|at| at.0 >= 0)
}

pub(super) fn shorten(line: &str) -> String {
    let plain = line.chars().filter(|c| !c.is_control() || *c == '\t' || *c == '\n');
    plain.take(LINE_CAP).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn inspected(details: Value) -> Container {
        let summary = json!({ "Image": "shop-web", "Labels": { SERVICE_LABEL: "web" } });
        container(&serde_json::from_value(summary).unwrap(), &serde_json::from_value(details).unwrap())
    }

    /// A container in this state, with these further parts of its inspection.
    fn in_state(status: &str, health: Option<&str>, exit_code: i64, host: Value, config: Value) -> Container {
        let mut state =
            json!({ "Status": status, "ExitCode": exit_code, "StartedAt": "2026-03-01T09:30:00Z" });
        if let Some(health) = health {
            state["Health"] = json!({ "Status": health });
        }
        inspected(json!({ "Id": "0123", "State": state, "HostConfig": host, "Config": config }))
    }

    #[test]
    fn each_state_of_the_engine_has_one_health() {
        for (status, check, exit_code, expected) in [
            ("running", None, 0, Health::Running),
            ("running", Some(""), 0, Health::Running),
            ("running", Some("none"), 0, Health::Running),
            ("running", Some("starting"), 0, Health::Starting),
            ("running", Some("healthy"), 0, Health::Healthy),
            ("running", Some("unhealthy"), 0, Health::Unhealthy),
            ("created", None, 0, Health::Starting),
            ("created", Some("starting"), 0, Health::Starting),
            // Its start failed.
            ("created", None, 127, Health::Exited),
            ("paused", Some("healthy"), 0, Health::Unhealthy),
            ("restarting", Some("unhealthy"), 3, Health::Restarting),
            ("restarting", None, 0, Health::Restarting),
            ("stopping", None, 0, Health::Exited),
            ("removing", None, 0, Health::Exited),
            ("dead", None, 0, Health::Exited),
            ("", None, 0, Health::Exited),
            ("exited", None, 0, Health::Done),
            ("exited", None, 1, Health::Exited),
            ("exited", Some("healthy"), 0, Health::Done),
        ] {
            let one = in_state(status, check, exit_code, json!({}), json!({}));
            assert_eq!(one.health, expected, "{status:?} with health {check:?} and exit code {exit_code}");
        }
    }

    #[test]
    fn only_a_container_that_is_meant_to_end_is_done() {
        let ended = |host, config| in_state("exited", None, 0, host, config).health;
        let policy = |name: &str| json!({ "RestartPolicy": { "Name": name } });
        assert_eq!(ended(policy("no"), json!({})), Health::Done);
        assert_eq!(ended(policy("on-failure"), json!({})), Health::Done);
        assert_eq!(ended(policy("always"), json!({})), Health::Exited);
        assert_eq!(ended(policy("unless-stopped"), json!({})), Health::Exited);
        let bound = json!({ "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "8080" }] } });
        assert_eq!(ended(bound, json!({})), Health::Exited);
        assert_eq!(ended(json!({ "PortBindings": {} }), json!({})), Health::Done);
        let check = |test: Value| json!({ "Healthcheck": { "Test": test } });
        assert_eq!(ended(json!({}), check(json!(["CMD", "true"]))), Health::Exited);
        assert_eq!(ended(json!({}), check(json!(["NONE"]))), Health::Done);
        assert_eq!(ended(json!({}), check(json!([]))), Health::Done);
    }

    #[test]
    fn an_exit_code_belongs_to_a_process_that_has_ended() {
        let code = |status| in_state(status, None, 3, json!({}), json!({})).exit_code;
        assert_eq!(["exited", "dead", "restarting", "created"].map(code), [Some(3); 4]);
        assert_eq!(["running", "paused", "removing"].map(code), [None; 3]);
        assert_eq!(in_state("created", None, 0, json!({}), json!({})).exit_code, None);
    }

    #[test]
    fn the_first_health_result_is_due_after_start_period_interval_and_timeout() {
        let due = |health: Option<&str>, config| {
            in_state("running", health, 0, json!({}), config).first_health_due_at.map(|at| at.0)
        };
        let start = 1_772_357_400_000;
        assert_eq!(due(None, json!({})), None);
        assert_eq!(due(Some("starting"), json!({})), Some(start + 60_000), "the engine's defaults");
        let declared = json!({ "Healthcheck": {
            "Test": ["CMD", "true"], "StartPeriod": 5_000_000_000_i64, "Interval": 300_000_000, "Timeout": 0,
        } });
        assert_eq!(due(Some("starting"), declared), Some(start + 5_000 + 300 + 30_000));
    }

    #[test]
    fn ports_addresses_and_log_rotation_are_read() {
        let one = inspected(json!({
            "Id": "0123",
            "Name": "/shop-web-1",
            "State": { "Status": "running", "Pid": 42 },
            "RestartCount": 2,
            "HostConfig": {
                "NetworkMode": "shop_default",
                "LogConfig": { "Type": "json-file", "Config": { "max-size": "10m" } },
            },
            "NetworkSettings": {
                "Ports": {
                    "80/tcp": [
                        { "HostIp": "0.0.0.0", "HostPort": "8080" },
                        { "HostIp": "::", "HostPort": "8080" },
                    ],
                    "53/udp": [{ "HostIp": "127.0.0.1", "HostPort": "5353" }],
                    "90/tcp": null,
                },
                "Networks": { "shop_default": { "IPAddress": "172.18.0.2" }, "none": { "IPAddress": "" } },
            },
        }));
        let shown: Vec<_> = one.ports.iter().map(|port| (port.to_string(), port.tcp)).collect();
        assert_eq!(shown, [("0.0.0.0:8080→80".to_owned(), true), ("127.0.0.1:5353→53".to_owned(), false)]);
        assert_eq!(
            one.addresses.into_iter().collect::<Vec<_>>(),
            [("shop_default".to_owned(), "172.18.0.2".to_owned())]
        );
        assert_eq!((one.name.as_str(), one.pid, one.restarts), ("shop-web-1", Some(42), 2));
        assert_eq!(one.log_driver, "json-file");
        assert_eq!(one.log_options.get("max-size").map(String::as_str), Some("10m"));
        assert!(!one.host_network);
        let host = in_state("running", None, 0, json!({ "NetworkMode": "host" }), json!({}));
        assert!(host.host_network && host.ports.is_empty() && host.pid.is_none());
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
