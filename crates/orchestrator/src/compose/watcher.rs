//! Follows the state of the stack in the engine.

use std::sync::Arc;
use std::time::Duration;

use domain::observed::Observed;
use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::docker::{Address, Docker};
use super::observe::{Seen, events, image_ids, look};
use crate::error::{OrchestratorError, Result};
use crate::parts::PartsSeen;
use crate::rendered::Rendered;
use system::clock::now;

/// Everything is read again after this time, even without an event.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Events arrive in bursts; one read per burst is enough.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Time between two pings, and how long one may take: together less than five seconds, so that an engine that hangs
/// is noticed in time.
const HEARTBEAT: Duration = Duration::from_secs(1);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A slow request does not mean a lost engine: the heartbeat decides that.
const LOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// Time between two attempts to reach an unreachable engine.
const RETRY: Duration = Duration::from_secs(1);

/// The state of the stack in the engine, published whenever it changes.
pub(crate) struct Look {
    engine: Address,
    parts: watch::Receiver<Option<PartsSeen>>,
    publish: watch::Sender<Observed>,
    now: Observed,
}

impl Look {
    pub(crate) fn new(
        engine: Address,
        parts: watch::Receiver<Option<PartsSeen>>,
        publish: watch::Sender<Observed>,
    ) -> Self {
        Self { engine, parts, publish, now: Observed::default() }
    }

    pub(crate) async fn forever(mut self) {
        loop {
            match Docker::connect_within(&self.engine, CONNECT_TIMEOUT, LOOK_TIMEOUT).await {
                Ok(docker) => {
                    docker.version().clone_into(&mut self.now.engine_version);
                    let why = self.attend(&docker).await;
                    tracing::warn!(%why, "the connection to the Docker engine was lost");
                    self.lost(why);
                }
                Err(error) => self.lost(why_of(error)),
            }
            self.take_parts();
            self.report();
            // A change on disk is reported even while the engine is unreachable.
            tokio::select! {
                () = sleep(RETRY) => {}
                changed = self.parts.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Watches an engine that responds; returns why it no longer does.
    async fn attend(&mut self, docker: &Docker) -> String {
        let gone = heartbeat(docker);
        tokio::pin!(gone);
        loop {
            tokio::select! {
                why = &mut gone => return why,
                result = self.follow(docker) => if let Err(error) = result {
                    match error {
                        OrchestratorError::Unreachable { why } => return why,
                        // The engine responds with an error, which may be temporary.
                        other => {
                            self.take_parts();
                            self.now.faults.push(format!("{other}."));
                            self.report();
                        }
                    }
                },
            }
            sleep(RETRY).await;
        }
    }

    /// Reads the state, and again at every event. Ends when the event stream ends or the project's name
    /// changes.
    async fn follow(&mut self, docker: &Docker) -> Result<()> {
        let rendered = loop {
            self.take_parts();
            if let Some(rendered) = self.rendered() {
                break rendered;
            }
            // The engine responds, but there is no valid project to look for.
            self.found(Seen::default());
            if self.parts.changed().await.is_err() {
                return Ok(());
            }
        };
        let mut events = Box::pin(events(docker, &rendered.name));
        let mut regular = interval(LOOK_AGAIN);
        regular.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = regular.tick() => {}
                changed = self.parts.changed() => if changed.is_err() { return Ok(()) },
                event = events.next() => match event {
                    Some(event) => {
                        event?;
                        let until = Instant::now() + DEBOUNCE;
                        while let Some(Some(event)) = tokio::select! {
                            event = events.next() => Some(event),
                            () = sleep_until(until) => None,
                        } {
                            event?;
                        }
                    }
                    None => return Ok(()),
                },
            }
            self.take_parts();
            let Some(current) = self.rendered() else { return Ok(()) };
            if current.name != rendered.name {
                return Ok(());
            }
            let seen = look(docker, &current).await?;
            self.found(seen);
        }
    }

    fn rendered(&self) -> Option<Arc<Rendered>> {
        self.parts.borrow().as_ref().and_then(|parts| parts.rendered.clone())
    }

    /// Copies what was last read from disk. The images come from the engine.
    fn take_parts(&mut self) {
        let seen = self.parts.borrow_and_update().clone().unwrap_or_default();
        self.now.parts.values = seen.parts.values;
        self.now.faults = seen.faults;
        self.now.directory_missing = seen.directory_missing;
        self.now.subject = seen.subject;
        self.now.env_mode = seen.env_mode;
    }

    fn found(&mut self, seen: Seen) {
        self.now.unreachable_since = None;
        self.now.unreachable_why.clear();
        self.now.parts.images = image_ids(&seen.services);
        self.now.services = seen.services;
        self.now.moved_tags = seen.moved_tags;
        self.now.orphans = seen.orphans;
        self.report();
    }

    /// While the engine is unreachable, the state of the containers is unknown, so none is reported.
    fn lost(&mut self, why: String) {
        self.now.unreachable_since.get_or_insert_with(now);
        self.now.unreachable_why = why;
        self.now.engine_version.clear();
        self.now.services.clear();
        self.now.moved_tags.clear();
        self.now.orphans.clear();
        self.now.parts.images.clear();
        self.report();
    }

    fn report(&self) {
        self.publish.send_if_modified(|published| {
            let differs = *published != self.now;
            if differs {
                published.clone_from(&self.now);
            }
            differs
        });
    }
}

/// Returns when the engine has stopped answering.
async fn heartbeat(docker: &Docker) -> String {
    loop {
        sleep(HEARTBEAT).await;
        if let Err(error) = docker.ping(HEARTBEAT_TIMEOUT).await {
            return why_of(error);
        }
    }
}

fn why_of(error: OrchestratorError) -> String {
    match error {
        OrchestratorError::Unreachable { why } => why,
        other => other.to_string(),
    }
}
