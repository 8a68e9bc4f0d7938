//! Follows runs in progress to their end. Each run has one follower. A run without a follower and without a supervisor
//! is found and ended, so that nothing waits for a run that does not exist.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Engine;
use crate::background::run_completion::CompletionError;
use crate::error::Error;
use store::runs;
use system::files::off_thread;

/// How often runs without a follower are searched.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// A run younger than this may be about to be started by another process.
const START_TIMEOUT_MS: u64 = 10_000;
/// How long an action waits until runs without a follower are ended.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(3);
/// Shortest time between two updates of progress on open pages.
const PROGRESS_PAUSE: Duration = Duration::from_millis(300);
/// After this time without a change, it is checked whether the run still has a supervisor.
const PULSE: Duration = Duration::from_secs(10);
/// Maximum number of tries for a run whose end cannot be read or stored for a permanent reason.
const MAX_TRIES: u32 = 3;
/// Longest time between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The numbers of runs or follow-ups in progress, each handled by one task.
#[derive(Debug, Clone, Default)]
pub(crate) struct InHand(Arc<Mutex<HashSet<i64>>>);

/// A number in progress; released when this is dropped.
#[derive(Debug)]
pub(crate) struct OneInHand(InHand, i64);

impl InHand {
    /// Claims a number; `None` if another task has it.
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

/// Searches for runs without a follower, until the store is closed.
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
                tracing::warn!(%error, "could not search for runs without a supervisor");
            }
        }
    }
}

impl Engine {
    /// Follows a run until it ends, then completes it. Does nothing if it is already followed.
    pub(crate) fn watch(&self, id: i64) {
        // A runtime that is shutting down accepts no tasks; the next start resumes the run.
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
            let permanent = !error.is_transient();
            tries += u32::from(permanent);
            tracing::error!(run = id, error = ?error, tries, "the end of a run could not be stored yet");
            // A run with a supervisor is not given up: it is still running, and no other may begin.
            if permanent && tries >= MAX_TRIES && !self.has_supervisor(id).await {
                match self.give_up(id, &error).await {
                    Ok(()) | Err(CompletionError::Closed) => return,
                    Err(error) => {
                        tracing::error!(run = id, error = ?error, "a run could not be ended as interrupted yet");
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(if permanent { PULSE } else { MAX_PAUSE });
        }
    }

    async fn follow_to_end(&self, id: i64) {
        let Some(mut tip) = self.run_tip(id).await else { return };
        let mut shown = Instant::now();
        while !tip.borrow_and_update().state.is_over() {
            match tokio::time::timeout(PULSE, tip.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_closed)) => return,
                // Its files may be unreadable or no longer updated.
                Err(_elapsed) if self.has_supervisor(id).await => continue,
                Err(_elapsed) => return,
            }
            // The board shows progress, but not the output.
            if shown.elapsed() > PROGRESS_PAUSE {
                shown = Instant::now();
                self.bump();
            }
        }
    }

    /// Whether the run has a supervisor; `true` if that cannot be checked.
    async fn has_supervisor(&self, id: i64) -> bool {
        match self.find_run_dir(id).await {
            Ok(None) => false,
            Ok(Some(dir)) => {
                let supervised = off_thread(move || runner::is_supervised(&dir)).await;
                !matches!(supervised, Ok(Ok(false)))
            }
            Err(_) => true,
        }
    }

    /// Whether one of these runs is still followed although it has no supervisor.
    async fn any_is_lost(&self, runs: &[i64]) -> bool {
        for id in runs.iter().copied().filter(|id| self.0.watched.has(*id)) {
            if !self.has_supervisor(id).await {
                return true;
            }
        }
        false
    }

    /// Follows the runs without a follower, whose action was aborted before it could follow them.
    /// Returns their numbers.
    async fn sweep_runs(&self) -> Result<Vec<i64>, Error> {
        let now = self.now();
        let mut found = Vec::new();
        for (id, began) in runs::running(self.store().readers()).await? {
            // A clock that was set back must not delay this.
            let is_old = now.since(began) >= START_TIMEOUT_MS || began > now;
            if is_old && !self.0.watched.has(id) {
                tracing::warn!(run = id, "found a run without a follower");
                self.watch(id);
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Ends runs without a supervisor, so that no action is refused because of them.
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
