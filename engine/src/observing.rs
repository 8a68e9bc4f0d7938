//! Keeping up with the world: the stack through the engine's events, the files through their times.

use std::sync::Arc;
use std::time::Duration;

use domain::changes::news;
use domain::facts::Observed;
use domain::release::Part;
use domain::runbook::{Problem, Severity};
use tokio::sync::MutexGuard;

use crate::Engine;
use crate::compose::{Address, Key, PartsReader, PartsSeen, Stamps, Watcher};
use crate::error::{Error, sentence};
use crate::judging::Judged;
use crate::key_file::installation_key;
use crate::runbook::Config;
use crate::stack::Stack;
use crate::store::{StoreError, changes};

/// How often the times of the configuration and the runbook are looked at.
const FILES_EVERY: Duration = Duration::from_millis(250);
/// How often it is looked for changes that other processes made.
const CATCH_UP_EVERY: Duration = Duration::from_secs(1);
/// How long an act waits for a look at the directory.
const LOOK_PATIENCE: Duration = Duration::from_secs(15);
/// So often an action looks again when the files changed while it waited for its turn.
const LOOKS: u32 = 3;

impl Engine {
    /// The installation's key. Fails with instructions when a key file of this installation cannot be used: with
    /// another key everything would look changed.
    pub(crate) async fn keys(&self) -> Result<Key, Error> {
        let (data, env_copy) = (self.paths().data.clone(), self.stack().env_copy.clone());
        let read = move || -> Result<Key, String> {
            let key = installation_key(&data, "env.key", ENV_KEY_LOST).map_err(|e| e.to_string())?;
            env_copy.map_or(Ok(()), |copy| copy.check_key()).map_err(|e| e.to_string())?;
            Ok(Key::from(key))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(Error::internal)?;
        read.map_err(|why| Error::unavailable(sentence(&why)))
    }

    /// Starts the background tasks; returns after the first look, or shortly without one.
    pub(crate) async fn observe(&self, key: Key) {
        let engine = self.clone();
        let (first, looked) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { engine.follow_stack(key, first).await });
        let engine = self.clone();
        tokio::spawn(async move { engine.follow_images().await });
        let _ = tokio::time::timeout(Duration::from_secs(4), looked).await;
    }

    /// Watches the stack and its files; begins anew when the files name another project.
    async fn follow_stack(&self, key: Key, first: tokio::sync::oneshot::Sender<()>) {
        let mut first = Some(first);
        // Also what was changed since they were read to open the engine.
        let mut times = self.file_times().await;
        self.reload().await;
        loop {
            let project = self.stack().project.clone();
            let reader = Arc::new(PartsReader::new(project.clone(), key.clone()));
            *self.0.parts.write().unwrap_or_else(|e| e.into_inner()) = Some(reader);
            let watcher = Watcher::start(Address::from_env(), project.clone(), key.clone());
            let mut seen = watcher.observed();
            let mut tick = tokio::time::interval(FILES_EVERY);
            let mut catch_up = tokio::time::interval(CATCH_UP_EVERY);
            loop {
                tokio::select! {
                    changed = seen.changed() => {
                        if changed.is_err() { break; }
                        let observed = seen.borrow_and_update().clone();
                        self.take_observation(observed);
                        self.note_changes().await;
                        if let Some(first) = first.take() {
                            let _ = first.send(());
                        }
                    }
                    () = self.0.look.notified() => watcher.refresh(),
                    _ = catch_up.tick() => {
                        self.catch_up().await;
                        self.note_changes().await;
                    }
                    _ = tick.tick() => {
                        let now = self.file_times().await;
                        if now != times {
                            self.reload().await;
                            // Those from before the reading: what is written during it is read once more, and so are
                            // the files when preflight looks at others now.
                            times = now;
                            if self.stack().project != project { break; }
                            watcher.refresh();
                            // The runbook is a part too: what was seen last is judged again.
                            let observed = seen.borrow().clone();
                            self.take_observation(observed);
                            self.note_changes().await;
                        }
                    }
                }
            }
        }
    }

    /// Takes a turn, and judges by the directory as it lies there now. The watcher looks every few seconds, and what
    /// it tells may have been read a moment before; what a run is bound to is what lies there when it begins.
    /// Tools are asked before the turn: while one of them gives no answer, other people's actions go on.
    ///
    /// # Errors
    /// When the directory cannot be read in time, or changes again and again: better no run than one bound to the
    /// wrong commit.
    pub(crate) async fn turn_after_a_look(&self) -> Result<(MutexGuard<'_, ()>, Arc<Judged>), Error> {
        for _ in 0..LOOKS {
            let files = self.stamps().await?;
            let seen = self.look().await?;
            let turn = self.in_turn().await?;
            if self.stamps().await? == files {
                // Containers may have changed while others had their turn.
                let observed = seen.map_or_else(|| self.observed(), |seen| Arc::new(self.with_parts(seen)));
                return Ok((turn, self.judged_by(observed)));
            }
        }
        Err(Error::conflict(
            "The stack's directory is being changed; nothing was started. Try again once that is done.",
        ))
    }

    /// The times of the stack's files. A file system that gives no answer must not keep the turn.
    async fn stamps(&self) -> Result<Stamps, Error> {
        tokio::time::timeout(LOOK_PATIENCE, Stamps::of(&self.stack().project)).await.map_err(|_| too_slow())
    }

    /// Reads the directory; `None` before the stack is observed.
    async fn look(&self) -> Result<Option<PartsSeen>, Error> {
        let reader = self.0.parts.read().unwrap_or_else(|e| e.into_inner()).clone();
        let Some(reader) = reader else { return Ok(None) };
        let seen = tokio::time::timeout(LOOK_PATIENCE, reader.read()).await.map_err(|_| too_slow())?;
        self.take_observation(self.with_parts(seen.clone()));
        self.note_changes().await;
        self.look_again();
        Ok(Some(seen))
    }

    /// What is observed now, with the directory's parts as they were just read.
    fn with_parts(&self, seen: PartsSeen) -> Observed {
        let mut observed = Observed::clone(&self.observed());
        observed.parts.values = seen.parts.values;
        observed.parts.values.insert(Part::Runbook, self.stack().runbook.digest.clone());
        observed.subject = seen.subject;
        observed.env_mode = seen.env_mode;
        observed.directory_missing = seen.directory_missing;
        if !seen.faults.is_empty() {
            observed.faults = seen.faults;
        }
        observed
    }

    fn take_observation(&self, mut observed: Observed) {
        observed.parts.values.insert(Part::Runbook, self.stack().runbook.digest.clone());
        let subject = observed.subject.clone();
        *self.0.subject.write().unwrap_or_else(|e| e.into_inner()) = subject;
        let changed = self.0.observed.send_if_modified(|old| {
            let differs = **old != observed;
            if differs {
                *old = Arc::new(observed);
            }
            differs
        });
        if changed {
            self.bump();
        }
    }

    /// Records what became another since it was recorded last. Does not fail: what cannot be stored now is
    /// seen again in a moment.
    async fn note_changes(&self) {
        let _one = self.0.noting.lock().await;
        let news = news(&self.known().changes, &self.observed(), self.now());
        if news.is_empty() {
            return;
        }
        let stored = self
            .store()
            .write(move |tx| {
                Box::pin(async move {
                    for change in &news {
                        changes::add(&mut *tx, change).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await;
        let read = match stored {
            Ok(()) => self.refresh().await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = read {
            tracing::warn!(%error, "what changed could not be recorded");
        }
    }

    /// The times of configuration and runbook, and of all that preflight looked at.
    async fn file_times(&self) -> Stamps {
        let stack = self.stack();
        let own = [self.paths().config.clone(), stack.runbook_path.clone()];
        Stamps::of_files(own.into_iter().chain(stack.preflight.looked_at.iter().cloned()).collect()).await
    }

    /// Reads the files again. When they cannot be used, the last good reading stays in force and the
    /// board says why.
    async fn reload(&self) {
        let (config, images) = (self.paths().config.clone(), self.0.images.clone());
        let engine = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut loaded = Config::load(&config)?;
            let refused = engine.refused_urls(&loaded.config);
            if refused.is_empty() {
                return Ok(Stack::of(loaded, images));
            }
            loaded.problems.extend(refused);
            Err(loaded.problems)
        })
        .await;
        let next = match read {
            Ok(Ok(stack)) => stack,
            Ok(Err(mut problems)) => {
                let mut stack = Stack::clone(&self.stack());
                problems.insert(0, still_in_force());
                stack.problems = problems;
                stack
            }
            Err(error) => {
                tracing::error!(%error, "the files could not be read again");
                return;
            }
        };
        let differs = *self.stack() != next;
        *self.0.stack.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(next);
        if differs {
            // How many releases are held depends on it.
            self.catch_up().await;
            self.bump();
        }
    }
}

fn too_slow() -> Error {
    Error::unavailable("The stack's directory could not be read in time; nothing was started. Try again.")
}

fn still_in_force() -> Problem {
    Problem {
        file: None,
        line: 1,
        column: 1,
        severity: Severity::Error,
        message: "the changed files cannot be used; the last good reading stays in force".to_owned(),
        hint: "correct what follows".to_owned(),
    }
}

/// What is lost with the key of the keyed digests.
const ENV_KEY_LOST: &str = "the env file and the configuration then look changed: deploy again, and gather evidence and \
                            sign-offs again";
