//! Runs that go on are followed to their end. Each has one follower here; a row without one, and without a
//! supervisor, is found and ended, so that nothing waits for a run that is not there.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Engine;
use crate::background::run_completion::CompletionError;
use crate::error::Error;
use store::runs;
use system::files::off_thread;

/// How often it is looked for runs that nobody follows.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// A run younger than this may be about to be started by another process.
const START_TIMEOUT_MS: u64 = 10_000;
/// How long an action waits for runs that nobody followed to be ended.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(3);
/// Shortest time between two signs of progress on open pages.
const PROGRESS_PAUSE: Duration = Duration::from_millis(300);
/// A run that shows no change for so long is looked at, whatever its files say.
const PULSE: Duration = Duration::from_secs(10);
/// So often a run whose end cannot be read or stored for a lasting reason is tried.
const MAX_TRIES: u32 = 3;
/// Longest time between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Numbers that are being worked on, each by one task.
#[derive(Debug, Clone, Default)]
pub(crate) struct InHand(Arc<Mutex<HashSet<i64>>>);

/// One of them, for as long as it lives.
#[derive(Debug)]
pub(crate) struct OneInHand(InHand, i64);

impl InHand {
    /// Takes a number in hand; `None` when a task has it.
    pub(crate) fn add(&self, id: i64) -> Option<OneInHand> {
        self.lock().insert(id).then(|| OneInHand(self.clone(), id))
    }

    fn has(&self, id: i64) -> bool {
        self.lock().contains(&id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OneInHand {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// Looks for runs that nobody follows, until the store is closed.
pub(super) struct RunSweeper {
    engine: Engine,
}

impl RunSweeper {
    pub(super) fn new(engine: Engine) -> RunSweeper {
        RunSweeper { engine }
    }

    pub(super) async fn run(self) {
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if self.engine.store().is_closed() {
                return;
            }
            if let Err(error) = self.engine.sweep_runs().await {
                tracing::warn!(%error, "runs without a supervisor could not be looked for");
            }
        }
    }
}

impl Engine {
    /// Follows a run until it is over, then takes in what it found. Does nothing when it is followed already.
    pub(crate) fn watch(&self, id: i64) {
        // A runtime that shuts down has no room for tasks; the next start takes the run up.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let Some(one) = self.0.watched.add(id) else { return };
        let engine = self.clone();
        runtime.spawn(async move {
            let _one = one;
            engine.follow_and_complete(id).await;
        });
    }

    async fn follow_and_complete(&self, id: i64) {
        let (mut tries, mut pause) = (0, Duration::from_secs(1));
        loop {
            self.follow_to_end(id).await;
            let error = match self.complete(id).await {
                Ok(()) => return,
                Err(error) => error,
            };
            match &error {
                CompletionError::Closed => return,
                CompletionError::Running => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
                _ => {}
            }
            let lasting = !error.is_transient();
            tries += u32::from(lasting);
            tracing::error!(run = id, error = ?error, tries, "the end of a run could not be stored yet");
            // What still has a supervisor is not given up: it goes on, and nothing else may begin.
            if lasting && tries >= MAX_TRIES && !self.has_supervisor(id).await {
                match self.give_up(id, &error).await {
                    Ok(()) | Err(CompletionError::Closed) => return,
                    Err(error) => {
                        tracing::error!(run = id, error = ?error, "a run could not be ended as interrupted yet");
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(if lasting { PULSE } else { MAX_PAUSE });
        }
    }

    async fn follow_to_end(&self, id: i64) {
        let Some(mut tip) = self.run_tip(id).await else { return };
        let mut shown = Instant::now();
        while !tip.borrow_and_update().state.is_over() {
            match tokio::time::timeout(PULSE, tip.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_closed)) => return,
                // Its files may say nothing any more, or nothing that can be read.
                Err(_elapsed) if self.has_supervisor(id).await => continue,
                Err(_elapsed) => return,
            }
            // Progress shows on the board; output alone does not concern it.
            if shown.elapsed() > PROGRESS_PAUSE {
                shown = Instant::now();
                self.bump();
            }
        }
    }

    /// Whether a supervisor has the run. In doubt it has.
    async fn has_supervisor(&self, id: i64) -> bool {
        match self.find_run_dir(id).await {
            Ok(None) => false,
            Ok(Some(dir)) => {
                let looked = off_thread(move || runner::is_supervised(&dir)).await;
                !matches!(looked, Ok(Ok(false)))
            }
            Err(_) => true,
        }
    }

    /// Whether one of these runs is still followed though nothing carries it out.
    async fn any_is_lost(&self, runs: &[i64]) -> bool {
        for id in runs.iter().copied().filter(|id| self.0.watched.has(*id)) {
            if !self.has_supervisor(id).await {
                return true;
            }
        }
        false
    }

    /// Follows the runs that nobody follows: their action was broken off before it could. Returns their numbers.
    async fn sweep_runs(&self) -> Result<Vec<i64>, Error> {
        let now = self.now();
        let mut found = Vec::new();
        for (id, began) in runs::running(self.store().readers()).await? {
            // A clock that was put back must not keep a run waiting.
            let is_old = now.since(began) >= START_TIMEOUT_MS || began > now;
            if is_old && !self.0.watched.has(id) {
                tracing::warn!(run = id, "a run had nobody who follows it");
                self.watch(id);
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Ends runs that have no supervisor before an action is refused because of them.
    pub(crate) async fn end_lost_runs(&self) -> Result<(), Error> {
        let found = self.sweep_runs().await?;
        if found.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + SWEEP_TIMEOUT;
        while self.any_is_lost(&found).await && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.up_to_date().await
    }
}
