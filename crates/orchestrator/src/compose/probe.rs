//! Waiting until every service is healthy, and failing as soon as one cannot become healthy.
//!
//! Compose's own `--wait` treats a one-shot service that ended successfully as a failure, so it is not used.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use domain::observed::{Health, Service};
use domain::time::Millis;
use futures::StreamExt;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::docker::Docker;
use super::health_exec::HealthExecs;
use super::observe::{events, list_containers, services};
use super::start::Starter;
use crate::container::Container;
use crate::rendered::Rendered;
use system::clock::now;

/// A service without a health check counts as healthy once it has run for this long without a restart.
const SETTLE: Duration = Duration::from_secs(2);
/// A stopped container may be about to be started again.
const ENDED_TIMEOUT: Duration = Duration::from_secs(1);
/// A missing container may be about to be created.
const MISSING_TIMEOUT: Duration = Duration::from_secs(3);
/// This many restarts while we wait are a restart loop.
const LOOP: u64 = 3;
/// Time between two checks when no event arrives.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Starting may wait for services that others depend on; this is the time limit in addition to their health.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Events within this time are handled together.
const BURST: Duration = Duration::from_millis(20);
/// An engine that is unreachable for longer has failed.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(30);

/// How the waiting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waited {
    /// Every service is healthy.
    Ready,
    /// These are not healthy and will not be: name and reason.
    Failing(Vec<(String, String)>),
    /// These did not become healthy in time.
    TimedOut(Vec<String>),
    /// These cannot be started until their containers are recreated.
    Wedged(Vec<String>),
    /// A stop of the run was requested.
    Stopped,
    /// The engine became unreachable.
    EngineGone(String),
}

/// Starts created containers with `starter`, and waits for the services of `rendered`. `before` are the containers as
/// they were before anything was started: an old health result of a container that was kept does not count. `changed`
/// is called at every change. A requested stop is handled once everything was started: no service is left stopped.
pub(super) async fn wait_ready(
    docker: &Docker,
    rendered: &Rendered,
    before: &[Container],
    mut starter: Option<Starter>,
    timeout: Duration,
    stop: CancellationToken,
    mut changed: impl FnMut(Vec<Service>),
) -> Waited {
    let began = Instant::now();
    // The time limit for health counts from the start of the last service.
    let mut started_at = starter.is_none().then_some(began);
    let mut judge = Judge::new(before);
    let mut probes = HealthExecs::new(docker);
    let mut told = Vec::new();
    let mut silent_since = None;
    let mut stream = Box::pin(events(docker, &rendered.name));
    let mut streaming = true;
    loop {
        let (mut failing, mut waiting) = (Vec::new(), Vec::new());
        match list_containers(docker, &rendered.name).await {
            Ok(found) => {
                silent_since = None;
                let now = services(rendered, &found);
                if now != told {
                    told.clone_from(&now);
                    changed(now);
                }
                probes.watch(&found);
                let mut opinions = Vec::new();
                for expected in rendered.expected() {
                    let begun =
                        starter.as_ref().is_none_or(|starter| starter.has_begun(&expected.name, &found));
                    let opinion = match begun {
                        true => judge.service(
                            &expected.name,
                            expected.replicas,
                            &found,
                            |one| probes.is_healthy(one),
                            began.elapsed(),
                        ),
                        false => Opinion::Wait,
                    };
                    match &opinion {
                        Opinion::Good => {}
                        Opinion::Wait => waiting.push(expected.name.clone()),
                        Opinion::Bad(why) => failing.push((expected.name.clone(), why.clone())),
                    }
                    opinions.push(opinion);
                }
                if let Some(starter) = &mut starter {
                    starter.step(rendered, &found, &opinions);
                    failing.extend(starter.failed().iter().cloned());
                }
                if let Some(wedged) = starter.as_ref().and_then(Starter::wedged) {
                    return Waited::Wedged(wedged.iter().cloned().collect());
                }
                // Services that do not depend on a failing one are started nevertheless.
                let settled = starter
                    .as_ref()
                    .is_none_or(|starter| starter.is_done() || starter.is_stuck(rendered, &found, &failing));
                if !failing.is_empty() && settled {
                    return Waited::Failing(failing);
                }
                if waiting.is_empty() {
                    return Waited::Ready;
                }
            }
            Err(error) => {
                let since = *silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() > ENGINE_TIMEOUT {
                    return Waited::EngineGone(error.to_string());
                }
            }
        }
        let starting = starter.as_ref().is_some_and(|starter| !starter.is_done());
        if !starting {
            started_at.get_or_insert_with(Instant::now);
        }
        let deadline = started_at.map_or(began + timeout + START_TIMEOUT, |at| at + timeout);
        if Instant::now() >= deadline {
            return if failing.is_empty() { Waited::TimedOut(waiting) } else { Waited::Failing(failing) };
        }
        let start = async {
            match &mut starter {
                Some(starter) => starter.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled(), if !starting => return Waited::Stopped,
            () = sleep_until(deadline.min(Instant::now() + LOOK_AGAIN)) => {}
            () = start => {}
            () = probes.next() => {}
            event = stream.next(), if streaming => match event {
                // Bursts of events are one change.
                Some(Ok(())) => sleep(BURST).await,
                _ => streaming = false,
            },
        }
    }
}

/// The assessment of a service or container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opinion {
    /// It is healthy.
    Good,
    /// It may become healthy.
    Wait,
    /// It is not healthy and will not be: the reason.
    Bad(String),
}

/// State that is kept between two checks.
struct Judge {
    /// Restarts, time of the last health check and of the start, of containers that were there before.
    before: BTreeMap<String, (u64, Option<Millis>, Option<Millis>)>,
    /// Since when a container has been in its current state, counted from when the waiting began.
    since: HashMap<String, (Health, Option<Millis>, Duration)>,
}

impl Judge {
    fn new(before: &[Container]) -> Self {
        let before = before
            .iter()
            .map(|one| (one.id.clone(), (one.restarts, one.health_checked_at, one.started_at)))
            .collect();
        Self { before, since: HashMap::new() }
    }

    fn service(
        &mut self,
        name: &str,
        replicas: u64,
        found: &[Container],
        healthy: impl Fn(&Container) -> bool,
        elapsed: Duration,
    ) -> Opinion {
        let own: Vec<_> = found.iter().filter(|one| one.service == name).collect();
        if (own.len() as u64) < replicas {
            let why = "container missing".to_owned();
            return if elapsed > MISSING_TIMEOUT { Opinion::Bad(why) } else { Opinion::Wait };
        }
        let mut all = Opinion::Good;
        for one in own {
            match self.container(one, elapsed) {
                Opinion::Wait if one.health == Health::Starting && healthy(one) => {}
                Opinion::Bad(why) => return Opinion::Bad(why),
                Opinion::Wait => all = Opinion::Wait,
                Opinion::Good => {}
            }
        }
        all
    }

    fn container(&mut self, one: &Container, elapsed: Duration) -> Opinion {
        let entry = self.since.entry(one.id.clone()).or_insert((one.health, one.started_at, elapsed));
        if (entry.0, entry.1) != (one.health, one.started_at) {
            *entry = (one.health, one.started_at, elapsed);
        }
        let stood = elapsed.saturating_sub(entry.2);
        let known = self.before.get(&one.id);
        let restarts = one.restarts.saturating_sub(known.map_or(0, |(restarts, ..)| *restarts));
        // A container that was there before and was not restarted has already proved stable.
        let stayed = known.is_some_and(|(_, _, started)| *started == one.started_at && restarts == 0);
        let code = one.exit_code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
        if restarts >= LOOP && one.health != Health::Healthy {
            return Opinion::Bad(format!("stops repeatedly{code} ({restarts} restarts)"));
        }
        match one.health {
            Health::Healthy | Health::Done => Opinion::Good,
            Health::Running if stood >= SETTLE || (stayed && settled(one)) => Opinion::Good,
            Health::Unhealthy if known.is_some_and(|(_, checked, _)| *checked == one.health_checked_at) => {
                Opinion::Wait
            }
            Health::Unhealthy => Opinion::Bad("health check fails".to_owned()),
            Health::Exited if stood >= ENDED_TIMEOUT => Opinion::Bad(format!("stopped{code}")),
            Health::Running | Health::Starting | Health::Restarting | Health::Exited | Health::Missing => {
                Opinion::Wait
            }
        }
    }
}

/// Whether it has run long enough for a container without a health check, by the engine's clock and ours.
fn settled(one: &Container) -> bool {
    let settle = i64::try_from(SETTLE.as_millis()).unwrap_or(i64::MAX);
    one.started_at.is_some_and(|started| now().0.saturating_sub(started.0) >= settle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::ContainerState;

    fn one(id: &str, health: Health, restarts: u64, checked: Option<i64>) -> Container {
        let state = if health == Health::Running { ContainerState::Running } else { ContainerState::Exited };
        Container {
            state,
            restarts,
            exit_code: Some(3),
            started_at: Some(Millis(1)),
            health_checked_at: checked.map(Millis),
            ..Container::of("web", id, health)
        }
    }

    #[test]
    fn a_service_without_health_check_must_stay_up_for_a_while() {
        let mut judge = Judge::new(&[]);
        let running = one("a", Health::Running, 0, None);
        assert_eq!(judge.container(&running, Duration::ZERO), Opinion::Wait);
        assert_eq!(judge.container(&running, SETTLE), Opinion::Good);
        let again = Container { started_at: Some(Millis(2)), restarts: 1, ..running };
        assert_eq!(judge.container(&again, SETTLE * 2), Opinion::Wait, "a restart begins the wait again");
    }

    #[test]
    fn an_old_health_result_of_a_container_that_was_kept_does_not_count() {
        let old = one("a", Health::Unhealthy, 9, Some(5));
        let mut judge = Judge::new(std::slice::from_ref(&old));
        assert_eq!(judge.container(&old, Duration::ZERO), Opinion::Wait);
        assert!(matches!(
            judge.container(&one("a", Health::Unhealthy, 9, Some(6)), Duration::ZERO),
            Opinion::Bad(_)
        ));
        assert!(matches!(
            judge.container(&one("b", Health::Unhealthy, 0, Some(5)), Duration::ZERO),
            Opinion::Bad(_)
        ));
    }

    #[test]
    fn restart_loops_and_stopped_containers_are_failures() {
        let mut judge = Judge::new(&[]);
        assert_eq!(judge.container(&one("a", Health::Restarting, 2, None), Duration::ZERO), Opinion::Wait);
        assert!(matches!(
            judge.container(&one("a", Health::Running, 3, None), Duration::ZERO),
            Opinion::Bad(_)
        ));
        assert_eq!(judge.container(&one("b", Health::Exited, 0, None), Duration::ZERO), Opinion::Wait);
        assert_eq!(
            judge.container(&one("b", Health::Exited, 0, None), ENDED_TIMEOUT),
            Opinion::Bad("stopped with exit code 3".to_owned())
        );
    }

    #[test]
    fn a_missing_container_is_waited_for_and_then_reported() {
        let mut judge = Judge::new(&[]);
        let found = [one("a", Health::Healthy, 0, None)];
        assert_eq!(judge.service("web", 1, &found, |_| false, Duration::ZERO), Opinion::Good);
        assert_eq!(judge.service("web", 2, &found, |_| false, Duration::ZERO), Opinion::Wait);
        assert!(matches!(
            judge.service("web", 2, &found, |_| false, Duration::from_secs(9)),
            Opinion::Bad(_)
        ));
    }

    #[test]
    fn our_own_health_check_counts_while_the_engine_has_no_result() {
        let mut judge = Judge::new(&[]);
        let well = |found: Health, judge: &mut Judge| {
            judge.service("web", 1, &[one("a", found, 0, None)], |_| true, Duration::ZERO)
        };
        assert_eq!(well(Health::Starting, &mut judge), Opinion::Good);
        assert!(matches!(well(Health::Unhealthy, &mut judge), Opinion::Bad(_)));
        assert_eq!(well(Health::Exited, &mut judge), Opinion::Wait);
    }

    #[test]
    fn a_container_that_was_kept_does_not_have_to_settle_again() {
        let old = one("a", Health::Running, 4, None);
        let mut judge = Judge::new(std::slice::from_ref(&old));
        assert_eq!(judge.container(&old, Duration::ZERO), Opinion::Good);
        let again = Container { started_at: Some(Millis(2)), ..old.clone() };
        assert_eq!(judge.container(&again, Duration::ZERO), Opinion::Wait);
        let loops = Container { restarts: 5, ..old };
        assert_eq!(judge.container(&loops, Duration::ZERO), Opinion::Wait);
    }
}
