//! These tests need a Docker engine with Compose; without one they fail with a message.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::probe::{Stack, command};

const IMAGE: &str = "stagegate-test/busybox:1";

/// A Compose project until it is dropped.
struct Live(Stack);

impl Live {
    fn declare(services: &str) -> Live {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        image();
        let mut stack = Stack::new();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        stack.project = Some(format!("sgchecks{}x{number}", std::process::id()));
        stack.file("docker-compose.yml", &format!("services:\n{services}"));
        Live(stack)
    }

    fn up(services: &str) -> Live {
        let live = Live::declare(services);
        live.compose(&["up", "-d", "--no-build", "--pull", "never"]);
        live
    }

    fn compose(&self, args: &[&str]) {
        let file = self.0.dir().join("docker-compose.yml").display().to_string();
        let project = self.0.project.as_deref().unwrap();
        docker(&[&["compose", "-p", project, "-f", &file], args].concat());
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // The file is restored, so that Compose can read it.
        let project = self.0.project.as_deref().unwrap_or_default();
        self.0.file("docker-compose.yml", "services: {}\n");
        let _ = command("docker", &["compose", "-p", project, "down", "-v", "--remove-orphans", "-t", "0"])
            .current_dir(self.0.dir())
            .output();
    }
}

fn docker(args: &[&str]) -> String {
    let out = command("docker", args).output().expect("these tests need the docker program");
    assert!(out.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// Makes the image from the static busybox of this host when the engine does not have it.
fn image() {
    if !docker(&["images", "-q", IMAGE]).is_empty() {
        return;
    }
    let script = format!("tar -C / -c bin/busybox | docker import - {IMAGE}");
    let out = command("bash", &["-o", "pipefail", "-c", &script]).output().unwrap();
    assert!(
        out.status.success(),
        "no image without busybox-static: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

fn service(name: &str, command: &str, more: &str) -> String {
    format!(
        "  {name}:\n    image: {IMAGE}\n    stop_grace_period: 0s\n    command: [\"/bin/busybox\", \"sh\", \"-c\", \"{command}\"]\n{more}"
    )
}

fn ask(assert: &str) -> serde_json::Value {
    json!({ "kind": "compose", "assert": assert })
}

/// Repeats the check until it passes, for as long as the engine may take.
fn until_passes(stack: &Stack, spec: &serde_json::Value) -> crate::support::probe::Seen {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = stack.see(spec.clone());
        if seen.finding.outcome == domain::evidence::Outcome::Pass || Instant::now() > until {
            return seen;
        }
    }
}

#[test]
fn a_healthy_stack_passes_until_a_service_is_unhealthy() {
    let health = "    healthcheck:\n      test: [\"CMD\", \"/bin/busybox\", \"test\", \"!\", \"-e\", \"/ill\"]\n      interval: 300ms\n      retries: 1\n";
    let live = Live::up(&(service("web", "sleep 600", health) + &service("once", "exit 0", "")));
    until_passes(&live.0, &ask("healthy")).passes("1 of 2 services running, none unhealthy");
    live.compose(&["exec", "-T", "web", "/bin/busybox", "touch", "/ill"]);
    let until = Instant::now() + Duration::from_secs(20);
    let mut seen = live.0.see(ask("healthy"));
    while seen.finding.outcome == domain::evidence::Outcome::Pass && Instant::now() < until {
        seen = live.0.see(ask("healthy"));
    }
    seen.fails("web is unhealthy");
    live.compose(&["rm", "-sf", "web"]);
    live.0.see(ask("healthy")).fails("web has no container");
    let other = json!({ "kind": "compose", "assert": "healthy", "services": ["wen"] });
    live.0.see(other).unsure("declare no service wen");
}

#[test]
fn a_starting_service_is_inconclusive() {
    let health = "    healthcheck:\n      test: [\"CMD\", \"/bin/busybox\", \"true\"]\n      interval: 60s\n";
    let live = Live::up(&service("slow", "sleep 600", health));
    live.0.see(ask("healthy")).unsure("starting: slow");
}

#[test]
fn a_long_running_service_that_exited_with_0_fails() {
    let stays = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let live = Live::up(
        &(service("web", stays, "    restart: unless-stopped\n") + &service("other", "sleep 600", "")),
    );
    until_passes(&live.0, &ask("healthy")).passes("2 of 2 services running");
    live.compose(&["stop", "-t", "10", "web"]);
    live.0.see(ask("healthy")).fails("web exited with code 0");
    let spec = json!({ "kind": "compose", "assert": "no_restarts", "seconds": 1 });
    live.0.see(spec).fails("web exited with code 0");
}

#[test]
fn a_crash_loop_is_detected_and_a_stable_stack_passes() {
    let live = Live::up(
        &(service("web", "sleep 600", "") + &service("loop", "sleep 1; exit 3", "    restart: always\n")),
    );
    let spec = |service: &str, seconds: u32| json!({ "kind": "compose", "assert": "no_restarts", "services": [service], "seconds": seconds });
    let seen = live.0.see(spec("web", 4)).passes("shortest uptime");
    assert!(seen.finding.value.unwrap() >= 4.0);
    live.0.see(spec("web", 600)).unsure("shortest uptime is only");
    live.0.see(spec("loop", 10)).fails("loop");
}

#[test]
fn only_allowed_ports_may_be_published() {
    let port = crate::support::web::nobody().port();
    let mut live = Live::up(&service("web", "sleep 600", &format!("    ports: [\"127.0.0.1:{port}:80\"]\n")));
    live.0.env(&format!("PORT={port}\n"));
    let spec = |allowed: &[&str]| json!({ "kind": "compose", "assert": "ports", "allowed": allowed });
    live.0.see(spec(&["${PORT}"])).passes(&format!("web 127.0.0.1:{port}"));
    live.0.see(spec(&["127.0.0.1:*"])).passes(&port.to_string());
    live.0.see(spec(&["80", "443"])).fails(&format!("web publishes 127.0.0.1:{port}"));
    live.0.see(spec(&["${NONE}"])).unsure("${NONE}");
    live.0.see(spec(&["http"])).unsure("is not a port");
    // Declared in the file but not yet deployed: it counts.
    live.0.file(
        "docker-compose.yml",
        &format!("services:\n{}", service("web", "sleep 600", "    ports: [\"6379:6379\"]\n")),
    );
    live.0.see(spec(&["${PORT}"])).fails("web publishes 6379");
    live.compose(&["down", "-t", "0"]);
    live.0.see(spec(&["${PORT}", "6379"])).unsure("no service is running");
}

#[test]
fn versions_are_compared() {
    let stack = Live::declare(&service("web", "true", ""))
        .0
        .see(json!({ "kind": "compose", "assert": "versions", "engine": "1.0", "compose": "2.0.0" }));
    stack.passes("Docker engine ");
    let live = Live::declare(&service("web", "true", ""));
    let spec = |engine: &str| json!({ "kind": "compose", "assert": "versions", "engine": engine });
    live.0.see(spec("999")).fails("Docker engine ");
    live.0.see(spec("new")).unsure("cannot be compared");
}

#[test]
fn files_that_compose_rejects_fail() {
    let live = Live::declare(&service("web", "true", ""));
    live.0.see(ask("valid")).passes("1 service in project");
    live.0.file("docker-compose.yml", "services:\n  web:\n    imagine: x\n");
    let seen = live.0.see(ask("valid")).fails("rejects the files");
    assert!(seen.log.contains("imagine"), "{}", seen.log);
    live.0.see(ask("healthy")).unsure("rejects the files");
}

#[test]
fn the_images_of_two_rollback_targets_must_exist() {
    let mut live = Live::declare(&service("web", "true", ""));
    let id = docker(&["image", "inspect", "--format", "{{.Id}}", IMAGE]);
    let point = |id: &str| [("web".to_owned(), id.to_owned())].into();
    live.0.points = vec![point(&id)];
    live.0.see(ask("rollback_images")).fails("1 rollback target with");
    live.0.points.push(point(&id));
    live.0.see(ask("rollback_images")).passes("all 2 images");
    live.0.points[1] = point(&format!("sha256:{}", "0".repeat(64)));
    live.0.see(ask("rollback_images")).fails("web of rollback target 2");
}

#[test]
fn without_an_engine_checks_are_inconclusive() {
    let mut live = Live::declare(&service("web", "true", ""));
    live.0.docker_host = Some("unix:///nowhere/docker.sock".to_owned());
    let two = [("web".to_owned(), "sha256:1".to_owned())].into();
    live.0.points = vec![two, [("web".to_owned(), "sha256:2".to_owned())].into()];
    for assert in ["healthy", "no_restarts", "ports", "versions", "rollback_images"] {
        live.0.see(ask(assert)).unsure("did not respond");
    }
}

#[test]
fn the_process_behind_a_mapped_port_must_listen_on_it() {
    let port = crate::support::web::nobody().port();
    let ports = format!("    ports: [\"127.0.0.1:{port}:3000\"]\n");
    let on = |inside: u16| service("backend", &format!("exec /bin/busybox httpd -f -p {inside}"), &ports);
    let live = Live::up(&(on(3001) + &service("quiet", "sleep 600", "")));
    let seen = live
        .0
        .see(ask("port_mapping"))
        .fails(&format!("host 127.0.0.1:{port} → container 3000, but backend listens on 3001"));
    let next = format!("(PORT=3000 in its `environment`), or map {port}:3001.");
    assert!(seen.finding.next.contains(&next), "{}", seen.finding.next);
    let quiet = json!({ "kind": "compose", "assert": "port_mapping", "services": ["quiet"] });
    live.0.see(quiet).unsure("not running with a mapped port: quiet");
    let again = |services: &str| {
        live.0.file("docker-compose.yml", &format!("services:\n{services}"));
        live.compose(&["up", "-d", "--no-build", "--pull", "never"]);
    };
    again(&on(3000));
    until_passes(&live.0, &ask("port_mapping"))
        .passes(&format!("backend host 127.0.0.1:{port} → container 3000"));
    // On the loopback of the container it is not reachable.
    again(&service("backend", "exec /bin/busybox httpd -f -p 127.0.0.1:3000", &ports));
    live.0.see(ask("port_mapping")).fails("listens on no port that is reachable from outside");
    live.compose(&["down", "-t", "0"]);
    live.0.see(ask("port_mapping")).unsure("no running service maps a port");
}

#[test]
fn data_stores_must_not_be_published() {
    let store = |more: &str| service("cache", "exec /bin/busybox httpd -f -p 6379", more);
    let live = Live::up(&(store("") + &service("web", "sleep 600", "")));
    until_passes(&live.0, &ask("internal")).passes("not published: cache on port 6379 of ");
    let web = json!({ "kind": "compose", "assert": "internal", "services": ["web"] });
    live.0.see(web).unsure("web listens on no port that other containers can reach");
    let port = crate::support::web::nobody().port();
    live.0.file(
        "docker-compose.yml",
        &format!("services:\n{}", store(&format!("    ports: [\"{port}:6379\"]\n"))),
    );
    // Declared but not yet deployed: it counts.
    live.0.see(ask("internal")).fails(&format!("cache publishes {port} in the Compose files"));
    live.compose(&["up", "-d", "--no-build", "--pull", "never"]);
    live.0.see(ask("internal")).fails(&format!("cache publishes 6379 on {port}"));
    live.0.file(
        "docker-compose.yml",
        &format!("services:\n{}", store("    network_mode: host\n").replace("6379", &port.to_string())),
    );
    live.compose(&["up", "-d", "--no-build", "--pull", "never"]);
    let named = json!({ "kind": "compose", "assert": "internal", "services": ["cache"] });
    live.0.see(named.clone()).fails("cache uses the host network");
    live.compose(&["stop", "-t", "0"]);
    live.0.see(named).unsure("not running: cache");
    live.0.see(ask("internal")).unsure("no running service listens on the port of a data store");
}
