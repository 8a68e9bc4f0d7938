//! What checks say for each state of a container: an engine that describes exactly one container, and Compose for the
//! declared services. No real engine is needed, and none of these states can be produced there at will.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};

use domain::evidence::Outcome;
use serde_json::{Value, json};

use crate::support::probe::{Seen, Stack};

const ID: &str = "0123456789abcdef";

/// Answers as the engine's API for one container of the service `web`.
fn answer(mut stream: UnixStream, details: &Value) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
    let path = head.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let (status, body) = if path.ends_with("/version") {
        ("200 OK", json!({ "Version": "1.2.3", "ApiVersion": "1.44" }))
    } else if path.ends_with("/containers/json") {
        ("200 OK", json!([{ "Id": ID, "Labels": { "com.docker.compose.service": "web" } }]))
    } else if path.ends_with(&format!("/containers/{ID}/json")) {
        ("200 OK", details.clone())
    } else {
        ("404 Not Found", json!({ "message": "no such path" }))
    };
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// The result of a check on a stack of one service, whose container is described like this.
fn see(services: &str, details: Value, spec: Value) -> Seen {
    let mut stack = Stack::new();
    stack.project = Some("states".to_owned());
    stack.file("docker-compose.yml", services);
    let socket = stack.dir().join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &details);
        }
    });
    stack.docker_host = Some(format!("unix://{}", socket.display()));
    stack.see(spec)
}

const WEB: &str =
    "services:\n  web:\n    image: web:1\n  scaled-to-zero:\n    image: web:1\n    deploy: {replicas: 0}\n";

fn in_state(status: &str, health: Option<&str>, exit_code: i64) -> Value {
    let mut state = json!({ "Status": status, "ExitCode": exit_code, "StartedAt": "2020-03-01T09:30:00Z" });
    if let Some(health) = health {
        state["Health"] = json!({ "Status": health });
    }
    json!({ "Id": ID, "State": state, "HostConfig": {}, "Config": {}, "RestartCount": 0 })
}

#[test]
fn each_state_has_the_verdict_of_the_board() {
    use Outcome::{Fail, Inconclusive, Pass};
    for (status, health, exit_code, outcome, part) in [
        ("running", None, 0, Pass, "1 of 1 service running, none unhealthy"),
        ("running", Some("healthy"), 0, Pass, "1 of 1 service running"),
        ("running", Some("none"), 0, Pass, "1 of 1 service running"),
        ("running", Some("starting"), 0, Inconclusive, "still starting: web"),
        ("running", Some("unhealthy"), 0, Fail, "web is unhealthy"),
        // It may be started at any moment: the board shows it as starting.
        ("created", None, 0, Inconclusive, "still starting: web"),
        ("created", None, 127, Fail, "web could not be started (exit code 127)"),
        ("paused", Some("healthy"), 0, Fail, "web is paused"),
        ("restarting", None, 3, Fail, "web is restarting (exit code 3)"),
        ("removing", None, 0, Fail, "web is removing"),
        ("dead", None, 3, Fail, "web exited with code 3"),
        ("exited", None, 3, Fail, "web exited with code 3"),
        ("exited", None, 0, Inconclusive, "no service is running"),
        ("", None, 0, Fail, "web is in an unknown state"),
    ] {
        let spec = json!({ "kind": "compose", "assert": "healthy" });
        let seen = see(WEB, in_state(status, health, exit_code), spec);
        let case = format!("{status:?} with health {health:?}");
        assert_eq!(seen.finding.outcome, outcome, "{case}: {}\n{}", seen.finding.saw, seen.log);
        assert!(seen.finding.saw.contains(part), "{case}: {}", seen.finding.saw);
    }
}

#[test]
fn a_service_that_the_check_names_is_not_skipped_when_it_is_scaled_to_zero() {
    let running = || in_state("running", None, 0);
    let spec =
        |assert: &str| json!({ "kind": "compose", "assert": assert, "services": ["web", "scaled-to-zero"] });
    see(WEB, running(), spec("healthy")).fails("scaled-to-zero has no container");
    see(WEB, running(), spec("no_restarts")).unsure("no container: scaled-to-zero");
}

#[test]
fn logs_of_a_stack_without_an_expected_service_are_inconclusive() {
    let zero = "services:\n  web:\n    image: web:1\n    deploy: {replicas: 0}\n";
    for assert in ["fresh", "retention", "json"] {
        let spec = json!({ "kind": "logs", "source": "docker", "assert": assert });
        see(zero, in_state("exited", None, 0), spec).unsure("no service is expected to run");
    }
}

#[test]
fn a_container_that_has_not_started_yet_says_nothing_about_restarts() {
    let spec = json!({ "kind": "compose", "assert": "no_restarts" });
    see(WEB, in_state("created", None, 0), spec.clone()).unsure("not started yet: web");
    see(WEB, in_state("restarting", None, 3), spec).fails("web is restarting");
}

#[test]
fn published_ports_come_from_the_container_and_from_the_files() {
    let declared = "services:\n  web:\n    image: web:1\n    ports: [\"127.0.0.1:3000:80\", \"90\"]\n";
    let mut details = in_state("running", None, 0);
    details["NetworkSettings"] = json!({ "Ports": { "443/tcp": [
        { "HostIp": "0.0.0.0", "HostPort": "8443" },
        { "HostIp": "::", "HostPort": "8443" },
    ] } });
    let spec = |allowed: &[&str]| json!({ "kind": "compose", "assert": "ports", "allowed": allowed });
    see(declared, details.clone(), spec(&["127.0.0.1:*", "8443"])).passes("web 8443, web 127.0.0.1:3000");
    see(declared, details.clone(), spec(&["8443"])).fails("web publishes 127.0.0.1:3000");
    see(declared, details, spec(&["3000"])).fails("web publishes 8443");
}

#[test]
fn an_engine_that_answers_nonsense_is_inconclusive() {
    let spec = json!({ "kind": "compose", "assert": "healthy" });
    see(WEB, json!("nonsense"), spec).unsure("the Docker engine did not respond");
}
