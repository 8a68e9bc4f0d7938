//! The running stack: health, restarts, published ports, versions, images to roll back to, valid files.

mod inside;
mod ports;

use std::time::Duration;

use domain::check::{CheckSpec, ComposeAssert};
use domain::evidence::Finding;
use domain::observed::Health;
use domain::time::{Millis, human_span};
use tokio::time::sleep;

use super::finding::{count_of, failed, names, passed, unknown, with_value};
use super::probe::Probe;
use super::stack::{RenderFault, engine_fault, render, tool_fault};
use orchestrator::{Container, ContainerState, Rendered};
use system::clock::now;

/// Seconds without a restart when the check names none.
const DEFAULT_SECONDS: u64 = 60;
/// The check stops waiting when it has this much time left.
const RESERVED_TIME: Duration = Duration::from_secs(2);
/// Time between two reads of the health status.
const HEALTH_PAUSE: Duration = Duration::from_millis(250);
/// Rollback targets whose images must be on this host.
const POINTS: usize = 2;
const ENGINE_NEXT: &str =
    "Start the Docker engine and give Stagegate access to its socket. See the run's log for details.";

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::Compose { assert, services, seconds, allowed, engine, compose } = &probe.work.check.spec
    else {
        return unknown("a stack", "this is not a compose check", "Correct the check in stagegate.toml.");
    };
    match assert {
        ComposeAssert::Versions => versions(probe, engine.as_deref(), compose.as_deref()).await,
        ComposeAssert::RollbackImages => rollback_images(probe).await,
        ComposeAssert::Valid => valid(probe).await,
        ComposeAssert::Healthy => healthy(probe, services).await,
        ComposeAssert::NoRestarts => no_restarts(probe, services, seconds.unwrap_or(DEFAULT_SECONDS)).await,
        ComposeAssert::Ports => ports::ports(probe, services, allowed).await,
        ComposeAssert::Internal => inside::internal(probe, services).await,
        ComposeAssert::PortMapping => inside::port_mapping(probe, services).await,
    }
}

async fn valid(probe: &Probe<'_>) -> Finding {
    let wanted = "docker compose config accepts the files";
    probe.say("Running docker compose config.");
    match render(probe).await {
        Ok(r) if r.services.is_empty() => {
            failed(wanted, "the Compose files declare no service", "Correct the Compose files.")
        }
        Ok(r) => {
            let saw = format!("{} in project {}", count_of(r.services.len(), "service", "services"), r.name);
            with_value(passed(wanted, saw), r.services.len() as f64)
        }
        Err(RenderFault::Rejected) => failed(
            wanted,
            "docker compose config rejects the files; see the run's log for the error",
            "Correct the Compose files, or the env file that they use.",
        ),
        Err(RenderFault::Unavailable(saw)) => {
            unknown(wanted, saw, "Install Docker Compose v2. See the run's log for details.")
        }
    }
}

/// The declared services that the check covers, and all containers of the stack.
async fn look(
    probe: &Probe<'_>,
    wanted: &str,
    services: &[String],
) -> Result<(Rendered, Vec<Container>), Finding> {
    let rendered = match render(probe).await {
        Ok(mut rendered) => {
            let unknown_names: Vec<&String> =
                services.iter().filter(|name| rendered.service(name).is_none()).collect();
            if !unknown_names.is_empty() {
                let saw = format!("the Compose files declare no service {}", names(unknown_names));
                return Err(unknown(wanted, saw, "Correct the services of the check."));
            }
            rendered.services.retain(|one| services.is_empty() || services.contains(&one.name));
            rendered
        }
        Err(RenderFault::Rejected) => {
            let saw = "docker compose config rejects the files; see the run's log for the error";
            return Err(unknown(wanted, saw, "Correct the Compose files first."));
        }
        Err(RenderFault::Unavailable(saw)) => return Err(unknown(wanted, saw, ENGINE_NEXT)),
    };
    if rendered.services.is_empty() {
        return Err(unknown(wanted, "the Compose files declare no service", "Correct the Compose files."));
    }
    match probe.work.stack.containers(&rendered).await {
        Ok(all) => {
            for c in &all {
                let health = match c.health {
                    Health::Healthy | Health::Unhealthy | Health::Starting if c.is_running() => {
                        format!(", {}", c.health.label())
                    }
                    _ => String::new(),
                };
                probe.say(&format!("{}: {}{health}, restarts {}", c.service, c.state.label(), c.restarts));
            }
            Ok((rendered, all))
        }
        Err(error) => Err(unknown(wanted, engine_fault(&error), ENGINE_NEXT)),
    }
}

/// The services that must have a container: those that the check names, else those with at least one replica. A service
/// that was scaled to zero is not skipped where the check asks for it.
fn judged<'r>(rendered: &'r Rendered, named: &[String]) -> impl Iterator<Item = &'r String> {
    let named = !named.is_empty();
    rendered.services.iter().filter(move |service| named || service.replicas > 0).map(|service| &service.name)
}

/// What is wrong with a container, as text after its name. Its health is the board's; a container that has just been
/// created is starting.
fn fault(c: &Container) -> Option<String> {
    let code = c.exit_code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
    match (c.health, c.state) {
        (Health::Healthy | Health::Running | Health::Starting | Health::Done, _) => None,
        (Health::Unhealthy, ContainerState::Running) => Some("is unhealthy".to_owned()),
        (_, ContainerState::Created) => Some(format!("could not be started (exit code {code})")),
        (_, ContainerState::Exited | ContainerState::Dead) => Some(format!("exited with code {code}")),
        (_, ContainerState::Restarting) => Some(format!("is restarting (exit code {code})")),
        (_, other) => Some(format!("is {}", other.label())),
    }
}

/// Waits until the health checks of the engine have a result: after a deploy the engine reports a service as healthy
/// later than Stagegate does, by up to one health check interval.
async fn healthy(probe: &Probe<'_>, services: &[String]) -> Finding {
    loop {
        let (found, due_at) = healthy_now(probe, services).await;
        let over = probe.left() <= RESERVED_TIME || probe.session.cancelled().is_cancelled();
        if due_at.is_none_or(|at| at <= now()) || over {
            return found;
        }
        sleep(HEALTH_PAUSE).await;
    }
}

/// The finding now; and when only the first health check result is missing, the time by which it is known.
async fn healthy_now(probe: &Probe<'_>, services: &[String]) -> (Finding, Option<Millis>) {
    let wanted = "every service running, none unhealthy";
    let (rendered, all) = match look(probe, wanted, services).await {
        Ok(seen) => seen,
        Err(found) => return (found, None),
    };
    let (mut bad, mut starting, mut running, mut due_at) = (vec![], vec![], 0_u32, None);
    let expected: Vec<&String> = judged(&rendered, services).collect();
    for name in expected.iter().copied() {
        let own: Vec<&Container> = all.iter().filter(|c| &c.service == name).collect();
        if own.is_empty() {
            bad.push(format!("{name} has no container"));
        }
        bad.extend(own.iter().filter_map(|c| Some(format!("{name} {}", fault(c)?))));
        for c in own.iter().filter(|c| c.health == Health::Starting) {
            due_at = due_at.max(c.first_health_due_at);
            if !starting.contains(&name) {
                starting.push(name);
            }
        }
        running += u32::from(own.iter().any(|c| c.is_running()));
    }
    if !bad.is_empty() {
        let next = "Read docker compose logs of these services, fix the cause, then deploy again.";
        return (failed(wanted, names(bad), next), None);
    }
    if !starting.is_empty() {
        let saw = format!("still starting: {}", names(starting));
        return (
            unknown(wanted, saw, "Wait until the services are healthy, then run the check again."),
            due_at,
        );
    }
    if running == 0 {
        // Only one-shot containers: no service could be healthy.
        return (unknown(wanted, "no service is running", "Deploy the stack."), None);
    }
    let saw =
        format!("{running} of {} running, none unhealthy", count_of(expected.len(), "service", "services"));
    (with_value(passed(wanted, saw), f64::from(running)), None)
}

async fn no_restarts(probe: &Probe<'_>, services: &[String], seconds: u64) -> Finding {
    let wanted = format!("no restart within {seconds} s");
    let needed_ms = i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
    loop {
        let (rendered, all) = match look(probe, &wanted, services).await {
            Ok(seen) => seen,
            Err(found) => return found,
        };
        let now = now();
        let (mut loops, mut not_started) = (vec![], vec![]);
        let mut youngest = i64::MAX;
        let covered: Vec<&Container> =
            all.iter().filter(|c| rendered.service(&c.service).is_some()).collect();
        for c in covered.iter().filter(|c| c.health != Health::Done) {
            if let Some(fault) = fault(c).filter(|_| !c.is_running()) {
                loops.push(format!("{} {fault} after {}", c.service, restarts(c.restarts)));
                continue;
            }
            // It has not run yet, so it says nothing about restarts; another container may.
            if c.state == ContainerState::Created {
                not_started.push(&c.service);
                continue;
            }
            let Some(started) = c.started_at else {
                let saw = format!("the start time of {} is unknown", c.service);
                return unknown(wanted, saw, "Run the check again.");
            };
            let age = now.0.saturating_sub(started.0).max(0);
            if age < needed_ms && c.restarts > 0 {
                let ago = human_span(age.unsigned_abs());
                loops.push(format!("{}: {}, last {ago} ago", c.service, restarts(c.restarts)));
            }
            youngest = youngest.min(age);
        }
        if !loops.is_empty() {
            return failed(
                wanted,
                names(loops),
                "Read docker compose logs of these services: they keep exiting.",
            );
        }
        if !not_started.is_empty() {
            let saw = format!("not started yet: {}", names(not_started));
            return unknown(wanted, saw, "Wait until the services have started, then run the check again.");
        }
        if youngest == i64::MAX {
            return unknown(wanted, "no service is running", "Deploy the stack.");
        }
        let missing = judged(&rendered, services).filter(|name| !covered.iter().any(|c| &c.service == *name));
        let missing: Vec<&String> = missing.collect();
        if !missing.is_empty() {
            return unknown(wanted, format!("no container: {}", names(missing)), "Deploy the stack.");
        }
        if youngest >= needed_ms {
            let saw = format!(
                "{}, shortest uptime {}",
                count_of(covered.len(), "container", "containers"),
                human_span(youngest.unsigned_abs())
            );
            return with_value(passed(wanted, saw), youngest as f64 / 1_000.0);
        }
        let rest = Duration::from_millis((needed_ms - youngest).unsigned_abs() + 100);
        if rest >= probe.left() {
            let saw = format!("shortest uptime is only {}", human_span(youngest.unsigned_abs()));
            let next = format!(
                "Wait {}, then run the check again.",
                human_span(u64::try_from(rest.as_millis()).unwrap_or(0))
            );
            return unknown(wanted, saw, next);
        }
        probe.say(&format!("Started recently; checking again within {} s.", rest.as_secs().max(1)));
        // Checked in between, so that a crash loop is detected early.
        sleep(rest.min(Duration::from_secs(5))).await;
    }
}

fn restarts(count: u64) -> String {
    count_of(usize::try_from(count).unwrap_or(usize::MAX), "restart", "restarts")
}

async fn versions(probe: &Probe<'_>, engine: Option<&str>, compose: Option<&str>) -> Finding {
    let least = |who: &str, least: Option<&str>| match least {
        Some(version) => format!("{who} {version} or later"),
        None => format!("{who} in any version"),
    };
    let wanted = format!("{}, {}", least("Docker engine", engine), least("Compose", compose));
    probe.say("Reading the versions of the Docker engine and of Compose.");
    let stack = &probe.work.stack;
    let seen = match (stack.engine_version().await, stack.tool_version(probe.session).await) {
        (Ok(engine), _) if engine.is_empty() => {
            return unknown(wanted, "the Docker engine does not report its version", ENGINE_NEXT);
        }
        (Ok(engine), Ok(compose)) => (engine, compose),
        (Err(error), _) => return unknown(wanted, engine_fault(&error), ENGINE_NEXT),
        (_, Err(error)) => return unknown(wanted, tool_fault(&error), ENGINE_NEXT),
    };
    let saw = format!("Docker engine {}, Compose {}", seen.0, seen.1);
    let pairs = [(engine, seen.0.as_str()), (compose, seen.1.as_str())];
    let newer: Option<Vec<bool>> = pairs
        .iter()
        .filter_map(|(least, found)| Some((numbers((*least)?), numbers(found))))
        .map(|(least, found)| Some(found? >= least?))
        .collect();
    match newer {
        None => unknown(
            wanted,
            format!("{saw}: cannot be compared with the expected versions"),
            "Write versions as 24.0 or 2.20.1.",
        ),
        Some(all) if all.iter().all(|ok| *ok) => passed(wanted, saw),
        Some(_) => failed(wanted, saw, "Update Docker on this host."),
    }
}

/// The numbers of a version, trailing zeros dropped: `v2.40.3-desktop.1` is 2.40.3.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let text = text.trim().trim_start_matches('v');
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let mut parts =
        text[..end].trim_end_matches('.').split('.').map(|p| p.parse().ok()).collect::<Option<Vec<u64>>>()?;
    while parts.last() == Some(&0) && parts.len() > 1 {
        parts.pop();
    }
    Some(parts)
}

async fn rollback_images(probe: &Probe<'_>) -> Finding {
    let wanted = format!("the images of the last {POINTS} rollback targets are on this host");
    let points = &probe.work.rollback_images;
    probe.say("Asking the Docker engine for the images of the last rollback targets.");
    let newest: Vec<_> = points.iter().take(POINTS).collect();
    if newest.len() < POINTS || newest.iter().any(|p| p.is_empty()) {
        let have = newest.iter().filter(|p| !p.is_empty()).count();
        let next =
            "Deploy and validate another release. Passing the validation gate makes it a rollback target.";
        return with_value(
            failed(
                wanted,
                format!("{} with images", count_of(have, "rollback target", "rollback targets")),
                next,
            ),
            have as f64,
        );
    }
    let ids: Vec<String> = newest.iter().flat_map(|p| p.values()).cloned().collect();
    let missing = match probe.work.stack.find_images(&ids.iter().cloned().collect()).await {
        Ok(found) => found.missing,
        Err(error) => return unknown(wanted, engine_fault(&error), ENGINE_NEXT),
    };
    let whole = newest.iter().filter(|p| p.values().all(|id| !missing.contains(id))).count();
    if missing.is_empty() {
        let saw = format!("all {} images of the last {POINTS} rollback targets", ids.len());
        return with_value(passed(wanted, saw), whole as f64);
    }
    let lost = newest.iter().zip(1..).flat_map(|(point, n)| {
        let gone = point.iter().filter(|(_, id)| missing.contains(*id));
        gone.map(move |(service, _)| format!("{service} of rollback target {n}"))
    });
    let saw = format!("missing images: {}", names(lost));
    let next = "Do not prune images on this host. Deploy again to create a new rollback target.";
    with_value(failed(wanted, saw, next), whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("20.10.24+dfsg1") >= numbers("20.10"));
        assert!(numbers("v2.40.3") > numbers("2.9.9"));
        assert_eq!(numbers("24.0.0"), numbers("24"));
        assert!(numbers("dev").is_none() && numbers("").is_none());
    }
}
