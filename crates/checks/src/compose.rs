//! The running stack: health, restarts, published ports, versions, images to roll back to, valid files.

mod inside;

use std::time::Duration;

use domain::check::{CheckSpec, ComposeAssert};
use domain::evidence::Finding;
use domain::time::human_span;
use tokio::time::sleep;

use super::docker::{
    Container, Published, Rendered, Silence, compose_version, containers, engine_version, missing_images,
    rendered,
};
use super::finding::{failed, names, passed, unknown, with_value};
use super::probe::Probe;
use system::clock::now_ms;

/// Seconds without a restart when the check names none.
const USUAL_SECONDS: u64 = 60;
/// What is left of the check's time when it stops waiting.
const LAST_MOMENT: Duration = Duration::from_secs(2);
/// Time between two looks for an opinion.
const OPINION_EVERY: Duration = Duration::from_millis(250);
/// Rollback points whose images must be here.
const POINTS: usize = 2;
const ENGINE_NEXT: &str =
    "Start the Docker engine and make its socket reachable for Stagegate; see the run's log.";

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::Compose { assert, services, seconds, allowed, engine, compose } = &probe.work.check.spec
    else {
        return unknown("a stack", "this check is about no stack", "Correct the declaration.");
    };
    match assert {
        ComposeAssert::Versions => versions(probe, engine.as_deref(), compose.as_deref()).await,
        ComposeAssert::RollbackImages => rollback_images(probe).await,
        ComposeAssert::Valid => valid(probe).await,
        ComposeAssert::Healthy => healthy(probe, services).await,
        ComposeAssert::NoRestarts => no_restarts(probe, services, seconds.unwrap_or(USUAL_SECONDS)).await,
        ComposeAssert::Ports => ports(probe, services, allowed).await,
        ComposeAssert::Internal => inside::internal(probe, services).await,
        ComposeAssert::PortMapping => inside::port_mapping(probe, services).await,
    }
}

async fn valid(probe: &Probe<'_>) -> Finding {
    let wanted = "docker compose config accepts the files";
    probe.say("Asks Compose whether it accepts the files.");
    match rendered(probe.session, &probe.work.project).await {
        Ok(r) if r.services.is_empty() => {
            failed(wanted, "the files declare no service", "Correct the Compose files.")
        }
        Ok(r) => {
            let saw = format!("project {} with {} services", r.project, r.services.len());
            with_value(passed(wanted, saw), r.services.len() as f64)
        }
        Err(Silence::Invalid) => failed(
            wanted,
            "docker compose config refuses the files; its words stand in the run's log",
            "Correct the Compose files, or the env file that they are filled from.",
        ),
        Err(Silence::NotAsked(saw)) => unknown(wanted, saw, "Install Docker Compose v2; see the run's log."),
    }
}

/// The declared services that are meant, and all containers of the stack.
async fn look(
    probe: &Probe<'_>,
    wanted: &str,
    services: &[String],
) -> Result<(Rendered, Vec<Container>), Finding> {
    let rendered = match rendered(probe.session, &probe.work.project).await {
        Ok(mut rendered) => {
            let unknown_names: Vec<&String> =
                services.iter().filter(|s| !rendered.services.contains_key(*s)).collect();
            if !unknown_names.is_empty() {
                let saw = format!("the Compose files declare no service {}", names(unknown_names));
                return Err(unknown(wanted, saw, "Correct the services of the check."));
            }
            rendered.services.retain(|name, _| services.is_empty() || services.contains(name));
            rendered
        }
        Err(Silence::Invalid) => {
            let saw = "docker compose config refuses the files; its words stand in the run's log";
            return Err(unknown(wanted, saw, "Correct the Compose files first."));
        }
        Err(Silence::NotAsked(saw)) => return Err(unknown(wanted, saw, ENGINE_NEXT)),
    };
    if rendered.services.is_empty() {
        return Err(unknown(wanted, "the Compose files declare no service", "Correct the Compose files."));
    }
    match containers(probe.session, &rendered.project).await {
        Ok(all) => {
            for c in &all {
                let health = if c.health.is_empty() { String::new() } else { format!(", {}", c.health) };
                probe.say(&format!("{}: {}{health}, restarts {}", c.service, c.status, c.restarts));
            }
            Ok((rendered, all))
        }
        Err(saw) => Err(unknown(wanted, saw, ENGINE_NEXT)),
    }
}

/// What is wrong with a container. A one-shot that exited 0 did its work.
fn ill(c: &Container) -> Option<String> {
    match (c.status.as_str(), c.health.as_str()) {
        ("running", "unhealthy") => Some("unhealthy".to_owned()),
        ("running", _) => None,
        _ if c.done => None,
        ("exited" | "dead", _) => Some(format!("exited with code {}", c.exit_code)),
        ("restarting", _) => Some(format!("restarting (exit code {})", c.exit_code)),
        (other, _) => Some(other.to_owned()),
    }
}

/// Looks until the engine's health checks have come to an opinion: after a deploy the engine says later than we do
/// that a service is well, by as much as lies between two of its checks.
async fn healthy(probe: &Probe<'_>, services: &[String]) -> Finding {
    loop {
        let (found, opinion_at_ms) = healthy_now(probe, services).await;
        let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        let over = probe.left() <= LAST_MOMENT || probe.session.cancelled().is_cancelled();
        if opinion_at_ms.is_none_or(|at| at <= now) || over {
            return found;
        }
        sleep(OPINION_EVERY).await;
    }
}

/// What one look finds; and where it lacks nothing but a first opinion, by when that is there.
async fn healthy_now(probe: &Probe<'_>, services: &[String]) -> (Finding, Option<i64>) {
    let wanted = "every service running, none unhealthy";
    let (rendered, all) = match look(probe, wanted, services).await {
        Ok(seen) => seen,
        Err(found) => return (found, None),
    };
    let (mut bad, mut starting, mut running, mut opinion_at) = (vec![], vec![], 0_u32, None);
    for name in rendered.services.keys() {
        let own: Vec<&Container> = all.iter().filter(|c| &c.service == name).collect();
        if own.is_empty() {
            bad.push(format!("{name} has no container"));
        }
        bad.extend(own.iter().filter_map(|c| Some(format!("{name} is {}", ill(c)?))));
        for c in own.iter().filter(|c| c.health == "starting" && c.status == "running") {
            opinion_at = opinion_at.max(c.opinion_at_ms);
            if !starting.contains(&name) {
                starting.push(name);
            }
        }
        running += u32::from(own.iter().any(|c| c.status == "running"));
    }
    if !bad.is_empty() {
        let next = "docker compose logs of the services named; then correct them and deploy again.";
        return (failed(wanted, names(bad), next), None);
    }
    if !starting.is_empty() {
        let saw = format!("the health check of {} has not agreed yet", names(starting));
        return (unknown(wanted, saw, "Wait until the services are up, then run it again."), opinion_at);
    }
    if running == 0 {
        // All one-shots: nothing is there that could be healthy.
        return (unknown(wanted, "no service is running", "Deploy the stack."), None);
    }
    let saw = format!("{running} of {} services running, none unhealthy", rendered.services.len());
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
        let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        let mut loops = vec![];
        let mut youngest = i64::MAX;
        let meant: Vec<&Container> =
            all.iter().filter(|c| rendered.services.contains_key(&c.service)).collect();
        for c in meant.iter().filter(|c| !c.done) {
            if let Some(ill) = ill(c).filter(|_| c.status != "running") {
                loops.push(format!("{} is {ill} after {} restarts", c.service, c.restarts));
                continue;
            }
            let Some(started) = c.started_at_ms else {
                let saw = format!("nobody knows since when {} runs", c.service);
                return unknown(wanted, saw, "Run it again.");
            };
            let age = now.saturating_sub(started).max(0);
            if age < needed_ms && c.restarts > 0 {
                let ago = human_span(age.unsigned_abs());
                loops.push(format!("{} restarted {} times, last {ago} ago", c.service, c.restarts));
            }
            youngest = youngest.min(age);
        }
        if !loops.is_empty() {
            return failed(
                wanted,
                names(loops),
                "docker compose logs of the services named: they keep ending.",
            );
        }
        if youngest == i64::MAX {
            return unknown(wanted, "no service is running", "Deploy the stack.");
        }
        let missing = rendered.services.keys().filter(|name| !meant.iter().any(|c| &&c.service == name));
        let missing: Vec<&String> = missing.collect();
        if !missing.is_empty() {
            return unknown(wanted, format!("{} has no container", names(missing)), "Deploy the stack.");
        }
        if youngest >= needed_ms {
            let saw = format!(
                "{} containers, the youngest up for {}",
                meant.len(),
                human_span(youngest.unsigned_abs())
            );
            return with_value(passed(wanted, saw), youngest as f64 / 1_000.0);
        }
        let rest = Duration::from_millis((needed_ms - youngest).unsigned_abs() + 100);
        if rest >= probe.left() {
            let saw =
                format!("the youngest container is up for only {}", human_span(youngest.unsigned_abs()));
            let next = format!(
                "Wait {} and run it again.",
                human_span(u64::try_from(rest.as_millis()).unwrap_or(0))
            );
            return unknown(wanted, saw, next);
        }
        probe.say(&format!("Started lately; looks again in {} s at the latest.", rest.as_secs().max(1)));
        // In between, so that a crash loop is seen as soon as it shows.
        sleep(rest.min(Duration::from_secs(5))).await;
    }
}

async fn ports(probe: &Probe<'_>, services: &[String], allowed: &[String]) -> Finding {
    let mut rules = vec![];
    for text in allowed {
        match probe.names.fill(text).map(|f| rule(&f.text)) {
            Ok(Some(rule)) => rules.push(rule),
            Ok(None) => {
                let saw = format!("“{text}” is neither a port nor an address with a port");
                return unknown("allowed ports", saw, "Write allowed as 443 or 127.0.0.1:3000.");
            }
            Err(error) => {
                return unknown("allowed ports", error.to_string(), "Correct `allowed`, or the env file.");
            }
        }
    }
    let shown = rules.iter().map(show).collect::<Vec<_>>().join(", ");
    let wanted = if shown.is_empty() {
        "no published port".to_owned()
    } else {
        format!("published ports only {shown}")
    };
    let (rendered, all) = match look(probe, &wanted, services).await {
        Ok(seen) => seen,
        Err(found) => return found,
    };
    let meant: Vec<&Container> = all.iter().filter(|c| rendered.services.contains_key(&c.service)).collect();
    let running = meant.iter().filter(|c| c.status == "running").count();
    let mut published: Vec<(String, Published)> = vec![];
    for (name, declared) in &rendered.services {
        published.extend(declared.ports.iter().map(|p| (name.clone(), p.clone())));
    }
    for c in &meant {
        published.extend(c.ports.iter().map(|p| (c.service.clone(), p.clone())));
    }
    published.sort();
    published.dedup();
    let mut bad: Vec<String> = published
        .iter()
        .filter(|(_, p)| !rules.iter().any(|r| allows(r, p)))
        .map(|(name, p)| format!("{name} publishes {}", show(p)))
        .collect();
    bad.extend(
        meant.iter().filter(|c| c.host_network).map(|c| format!("{} uses the host's network", c.service)),
    );
    if !bad.is_empty() {
        return failed(
            wanted,
            names(bad),
            "Remove the ports from the Compose file, bind them to 127.0.0.1, or allow them.",
        );
    }
    if running == 0 {
        return unknown(wanted, "no service is running, so nothing is published yet", "Deploy the stack.");
    }
    let list: Vec<String> = published.iter().map(|(name, p)| format!("{name} {}", show(p))).collect();
    let saw = if list.is_empty() { "no port is published".to_owned() } else { names(list) };
    passed(wanted, saw)
}

/// `3000`, `127.0.0.1:3000`, `127.0.0.1:*`, `[::1]:3000`.
fn rule(text: &str) -> Option<Published> {
    let text = text.trim();
    let (address, port) = text.rsplit_once(':').unwrap_or(("", text));
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let fits = port.parse::<u16>().is_ok_and(|p| p > 0) || (port == "*" && !address.is_empty());
    let known = address.is_empty() || address.parse::<std::net::IpAddr>().is_ok();
    (fits && known).then(|| Published { address: address.to_owned(), port: port.to_owned() })
}

/// A rule without an address allows its port on every address.
fn allows(rule: &Published, found: &Published) -> bool {
    (rule.port == "*" || rule.port == found.port)
        && (rule.address.is_empty() || rule.address == found.address)
}

fn show(p: &Published) -> String {
    match (p.address.is_empty(), p.address.contains(':')) {
        (true, _) => p.port.clone(),
        (false, true) => format!("[{}]:{}", p.address, p.port),
        (false, false) => format!("{}:{}", p.address, p.port),
    }
}

async fn versions(probe: &Probe<'_>, engine: Option<&str>, compose: Option<&str>) -> Finding {
    let least = |who: &str, least: Option<&str>| match least {
        Some(version) => format!("{who} at least {version}"),
        None => format!("{who} of any version"),
    };
    let wanted = format!("{}, {}", least("Engine", engine), least("Compose", compose));
    probe.say("Asks for the versions of the engine and of Compose.");
    let seen = match (engine_version().await, compose_version(probe.session).await) {
        (Ok(engine), Ok(compose)) => (engine, compose),
        (Err(saw), _) | (_, Err(saw)) => return unknown(wanted, saw, ENGINE_NEXT),
    };
    let saw = format!("Engine {}, Compose {}", seen.0, seen.1);
    let pairs = [(engine, seen.0.as_str()), (compose, seen.1.as_str())];
    let newer: Option<Vec<bool>> = pairs
        .iter()
        .filter_map(|(least, found)| Some((numbers((*least)?), numbers(found))))
        .map(|(least, found)| Some(found? >= least?))
        .collect();
    match newer {
        None => unknown(
            wanted,
            format!("{saw}: not comparable with what is wanted"),
            "Write versions as 24.0 or 2.20.1.",
        ),
        Some(all) if all.iter().all(|ok| *ok) => passed(wanted, saw),
        Some(_) => failed(wanted, saw, "Update Docker on this machine."),
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
    let wanted = format!("the images of the last {POINTS} rollback points are here");
    let points = &probe.work.rollback_images;
    probe.say("Asks the engine for the images of the last rollback points.");
    let newest: Vec<_> = points.iter().take(POINTS).collect();
    if newest.len() < POINTS || newest.iter().any(|p| p.is_empty()) {
        let have = newest.iter().filter(|p| !p.is_empty()).count();
        let next = "Deploy and validate another release: each that passes Gate F becomes a rollback point.";
        return with_value(failed(wanted, format!("{have} rollback points with images"), next), have as f64);
    }
    let ids: Vec<&str> = newest.iter().flat_map(|p| p.values()).map(String::as_str).collect();
    let missing = match missing_images(&ids).await {
        Ok(missing) => missing,
        Err(saw) => return unknown(wanted, saw, ENGINE_NEXT),
    };
    let whole = newest.iter().filter(|p| p.values().all(|id| !missing.contains(id))).count();
    if missing.is_empty() {
        let saw = format!("all {} images of the last {POINTS} rollback points", ids.len());
        return with_value(passed(wanted, saw), whole as f64);
    }
    let lost = newest.iter().zip(1..).flat_map(|(point, n)| {
        let gone = point.iter().filter(|(_, id)| missing.contains(id));
        gone.map(move |(service, _)| format!("{service} of point {n}"))
    });
    let saw = format!("images are gone: {}", names(lost));
    let next = "Do not prune images on this machine; deploy again to make a new rollback point.";
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

    #[test]
    fn rules_for_ports_mean_all_addresses_or_one() {
        let at = |address: &str, port: &str| Published { address: address.into(), port: port.into() };
        let allowed = |text: &str, p: &Published| rule(text).is_some_and(|r| allows(&r, p));
        assert!(allowed("3000", &at("", "3000")) && allowed("3000", &at("127.0.0.1", "3000")));
        assert!(allowed("127.0.0.1:3000", &at("127.0.0.1", "3000")));
        assert!(!allowed("127.0.0.1:3000", &at("", "3000")) && !allowed("3000", &at("", "3001")));
        assert!(allowed("127.0.0.1:*", &at("127.0.0.1", "9")) && allowed("[::1]:80", &at("::1", "80")));
        for bad in ["", "x", "*", "0", "70000", "host:80", "80-90"] {
            assert!(rule(bad).is_none(), "{bad}");
        }
    }
}
