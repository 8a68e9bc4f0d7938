//! Waiting until every service is well, and giving up as soon as one cannot become so.
//!
//! Compose's own `--wait` takes a one-shot service that ended well for a failure, so it is not used.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use domain::facts::{Health, Service};
use domain::time::Millis;
use futures::StreamExt;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::docker::Docker;
use super::observe::{Instance, events, instances, services};
use super::render::Rendered;

/// A service without a health check is well once it has run for so long without a restart.
const SETTLE: Duration = Duration::from_secs(2);
/// An ended container may be about to be started again.
const ENDED_PATIENCE: Duration = Duration::from_secs(1);
/// A container that is not there may be about to be made.
const MISSING_PATIENCE: Duration = Duration::from_secs(3);
/// So many restarts while we wait are a loop.
const LOOP: u64 = 3;
/// Time between two looks when no event comes.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// An engine that is away for longer has failed.
const ENGINE_PATIENCE: Duration = Duration::from_secs(30);

/// How the waiting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waited {
    /// Every service is well.
    Ready,
    /// These are not and will not be: name and reason.
    Failing(Vec<(String, String)>),
    /// Time is up for these.
    TimedOut(Vec<String>),
    /// The run was told to stop.
    Stopped,
    /// The engine went away.
    EngineGone(String),
}

/// Waits for the services of `rendered`. `before` are the containers as they were before anything was started:
/// an old verdict on a container that stayed is no verdict. `changed` hears of every change.
pub(super) async fn wait_ready(
    docker: &Docker,
    rendered: &Rendered,
    before: &[Instance],
    timeout: Duration,
    stop: CancellationToken,
    mut changed: impl FnMut(Vec<Service>),
) -> Waited {
    let began = Instant::now();
    let deadline = began + timeout;
    let mut judge = Judge::new(before);
    let mut told = Vec::new();
    let mut silent_since = None;
    let mut stream = Box::pin(events(docker, &rendered.name));
    let mut streaming = true;
    loop {
        let (mut failing, mut waiting) = (Vec::new(), Vec::new());
        match instances(docker, &rendered.name).await {
            Ok(found) => {
                silent_since = None;
                let now = services(rendered, &found);
                if now != told {
                    told.clone_from(&now);
                    changed(now);
                }
                for expected in rendered.expected() {
                    match judge.service(&expected.name, expected.replicas, &found, began.elapsed()) {
                        Opinion::Good => {}
                        Opinion::Wait => waiting.push(expected.name.clone()),
                        Opinion::Bad(why) => failing.push((expected.name.clone(), why)),
                    }
                }
                if !failing.is_empty() {
                    return Waited::Failing(failing);
                }
                if waiting.is_empty() {
                    return Waited::Ready;
                }
            }
            Err(error) => {
                let since = *silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() > ENGINE_PATIENCE {
                    return Waited::EngineGone(error.to_string());
                }
            }
        }
        if Instant::now() >= deadline {
            return Waited::TimedOut(waiting);
        }
        tokio::select! {
            () = stop.cancelled() => return Waited::Stopped,
            () = sleep_until(deadline.min(Instant::now() + LOOK_AGAIN)) => {}
            event = stream.next(), if streaming => match event {
                // Bursts of events are one change.
                Some(Ok(())) => sleep(Duration::from_millis(50)).await,
                _ => streaming = false,
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Opinion {
    Good,
    Wait,
    Bad(String),
}

/// What has to be remembered from look to look.
struct Judge {
    /// Restarts, and time of the last health check, of containers that were there before.
    before: BTreeMap<String, (u64, Option<Millis>)>,
    /// Since when a container stands as it does, counted from when the waiting began.
    since: HashMap<String, (Health, Option<Millis>, Duration)>,
}

impl Judge {
    fn new(before: &[Instance]) -> Self {
        let before = before.iter().map(|one| (one.id.clone(), (one.restarts, one.checked_at))).collect();
        Self { before, since: HashMap::new() }
    }

    fn service(&mut self, name: &str, replicas: u64, found: &[Instance], elapsed: Duration) -> Opinion {
        let own: Vec<_> = found.iter().filter(|one| one.service == name).collect();
        if (own.len() as u64) < replicas {
            let said = "it has no container".to_owned();
            return if elapsed > MISSING_PATIENCE { Opinion::Bad(said) } else { Opinion::Wait };
        }
        let mut all = Opinion::Good;
        for one in own {
            match self.container(one, elapsed) {
                Opinion::Bad(why) => return Opinion::Bad(why),
                Opinion::Wait => all = Opinion::Wait,
                Opinion::Good => {}
            }
        }
        all
    }

    fn container(&mut self, one: &Instance, elapsed: Duration) -> Opinion {
        let entry = self.since.entry(one.id.clone()).or_insert((one.health, one.started_at, elapsed));
        if (entry.0, entry.1) != (one.health, one.started_at) {
            *entry = (one.health, one.started_at, elapsed);
        }
        let stood = elapsed.saturating_sub(entry.2);
        let known = self.before.get(&one.id);
        let restarts = one.restarts.saturating_sub(known.map_or(0, |(restarts, _)| *restarts));
        let code = one.exit_code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
        if restarts >= LOOP && one.health != Health::Healthy {
            return Opinion::Bad(format!("it keeps ending{code} ({restarts} restarts)"));
        }
        match one.health {
            Health::Healthy | Health::Done => Opinion::Good,
            Health::Running if stood >= SETTLE => Opinion::Good,
            Health::Unhealthy if known.is_some_and(|(_, checked)| *checked == one.checked_at) => {
                Opinion::Wait
            }
            Health::Unhealthy => Opinion::Bad("its health check fails".to_owned()),
            Health::Exited if stood >= ENDED_PATIENCE => Opinion::Bad(format!("it ended{code}")),
            Health::Running | Health::Starting | Health::Restarting | Health::Exited | Health::Missing => {
                Opinion::Wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: &str, health: Health, restarts: u64, checked: Option<i64>) -> Instance {
        Instance {
            service: "web".to_owned(),
            id: id.to_owned(),
            health,
            image: String::new(),
            moved: false,
            name: String::new(),
            tag: String::new(),
            restarts,
            exit_code: Some(3),
            started_at: Some(Millis(1)),
            ports: Vec::new(),
            checked_at: checked.map(Millis),
            check_said: String::new(),
        }
    }

    #[test]
    fn a_service_without_health_check_must_stay_up_for_a_while() {
        let mut judge = Judge::new(&[]);
        let running = one("a", Health::Running, 0, None);
        assert_eq!(judge.container(&running, Duration::ZERO), Opinion::Wait);
        assert_eq!(judge.container(&running, SETTLE), Opinion::Good);
        let again = Instance { started_at: Some(Millis(2)), restarts: 1, ..running };
        assert_eq!(judge.container(&again, SETTLE * 2), Opinion::Wait, "a restart begins the wait anew");
    }

    #[test]
    fn an_old_verdict_on_a_container_that_stayed_is_no_verdict() {
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
    fn restart_loops_and_ends_are_failures() {
        let mut judge = Judge::new(&[]);
        assert_eq!(judge.container(&one("a", Health::Restarting, 2, None), Duration::ZERO), Opinion::Wait);
        assert!(matches!(
            judge.container(&one("a", Health::Running, 3, None), Duration::ZERO),
            Opinion::Bad(_)
        ));
        assert_eq!(judge.container(&one("b", Health::Exited, 0, None), Duration::ZERO), Opinion::Wait);
        assert_eq!(
            judge.container(&one("b", Health::Exited, 0, None), ENDED_PATIENCE),
            Opinion::Bad("it ended with exit code 3".to_owned())
        );
    }

    #[test]
    fn a_container_too_few_is_waited_for_and_then_missed() {
        let mut judge = Judge::new(&[]);
        let found = [one("a", Health::Healthy, 0, None)];
        assert_eq!(judge.service("web", 1, &found, Duration::ZERO), Opinion::Good);
        assert_eq!(judge.service("web", 2, &found, Duration::ZERO), Opinion::Wait);
        assert!(matches!(judge.service("web", 2, &found, Duration::from_secs(9)), Opinion::Bad(_)));
    }
}
