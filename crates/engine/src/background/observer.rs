//! Observes the stack through events of the Docker engine, and the files through their modification times.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use domain::observed::Observed;
use domain::observed_changes::news;
use domain::release::ReleaseComponent;
use domain::runbook::{Problem, Severity};
use tokio::sync::{MutexGuard, Notify, oneshot, watch};

use crate::Engine;
use crate::assessment::Assessment;
use crate::error::{Error, sentence};
use crate::stack::Stack;
use orchestrator::{FileTimes, Orchestrator, PartsReader, PartsSeen};
use runbook::Config;
use secrets::Key;
use secrets::installation_key;
use store::{StoreError, changes};

/// How often the modification times of the configuration and the runbook are checked.
const FILES_EVERY: Duration = Duration::from_millis(250);
/// How often changes of other processes are read from the store.
const CATCH_UP_EVERY: Duration = Duration::from_secs(1);
/// How long an action waits until the directory is read.
const LOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// How often an action reads the directory if the files change while it waits for its turn.
const LOOKS: u32 = 3;

/// The observed state of the stack and its directory, shared by all readers.
pub(crate) struct Observation {
    observed: watch::Sender<Arc<Observed>>,
    /// Subject line of the commit in the directory.
    subject: RwLock<String>,
    /// Tells the observer to observe the stack now.
    look: Notify,
    /// Reads the parts of the checkout; `None` until the stack is observed.
    parts: RwLock<Option<Arc<PartsReader>>>,
    /// Held while changes are compared with the recorded ones and stored, so that none is recorded twice.
    noting: tokio::sync::Mutex<()>,
}

impl Default for Observation {
    fn default() -> Observation {
        Observation {
            observed: watch::Sender::new(Arc::default()),
            subject: RwLock::default(),
            look: Notify::new(),
            parts: RwLock::default(),
            noting: tokio::sync::Mutex::default(),
        }
    }
}

impl Observation {
    pub(crate) fn observed(&self) -> Arc<Observed> {
        self.observed.borrow().clone()
    }

    pub(crate) fn subject(&self) -> String {
        self.subject.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    pub(crate) fn look_again(&self) {
        self.look.notify_one();
    }
}

/// Watches the stack and its files until the engine stops.
pub(super) struct Observer {
    engine: Engine,
    key: Key,
    /// The modification times of the files when they were last read.
    times: FileTimes,
    /// Notified after the first observation.
    first: Option<oneshot::Sender<()>>,
}

impl Observer {
    /// Reads the files again: they may have changed since the engine was opened.
    pub(super) async fn new(engine: Engine, key: Key, first: oneshot::Sender<()>) -> Observer {
        let times = engine.file_times().await;
        engine.reload().await;
        Observer { engine, key, times, first: Some(first) }
    }

    /// Follows the stack; starts again if the files name another one.
    pub(super) async fn run(mut self) {
        loop {
            let orchestrator = self.engine.stack().orchestrator.clone();
            self.follow(orchestrator).await;
        }
    }

    /// Follows one stack until the files name another one.
    async fn follow(&mut self, orchestrator: Orchestrator) {
        let engine = self.engine.clone();
        let observation = &engine.0.observation;
        let reader = Arc::new(orchestrator.parts_reader(self.key.clone()));
        *observation.parts.write().unwrap_or_else(|e| e.into_inner()) = Some(reader);
        let watcher = orchestrator.watch(self.key.clone());
        let mut seen = watcher.observed();
        let mut files = tokio::time::interval(FILES_EVERY);
        let mut catch_up = tokio::time::interval(CATCH_UP_EVERY);
        loop {
            tokio::select! {
                changed = seen.changed() => {
                    if changed.is_err() { return; }
                    let observed = seen.borrow_and_update().clone();
                    engine.take_observation(observed);
                    engine.note_changes().await;
                    if let Some(first) = self.first.take() {
                        let _ = first.send(());
                    }
                }
                () = observation.look.notified() => watcher.refresh(),
                _ = catch_up.tick() => {
                    engine.catch_up().await;
                    engine.note_changes().await;
                }
                _ = files.tick() => {
                    if !self.reload_if_changed().await { continue; }
                    if engine.stack().orchestrator != orchestrator { return; }
                    watcher.refresh();
                    // The runbook is a part too, so the last observation is judged again.
                    let observed = seen.borrow().clone();
                    engine.take_observation(observed);
                    engine.note_changes().await;
                }
            }
        }
    }

    /// Reads the files again if their modification times have changed. Returns whether they have.
    async fn reload_if_changed(&mut self) -> bool {
        let now = self.engine.file_times().await;
        if now == self.times {
            return false;
        }
        self.engine.reload().await;
        // The times from before the reading: files that change during it, or that preflight reads in addition now, are
        // read again.
        self.times = now;
        true
    }
}

impl Engine {
    /// The installation's key. Fails with instructions if a key file of this installation cannot be used: with another
    /// key everything would look changed.
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

    /// Takes the turn, and judges the directory in its current state. The watcher reads it only every few seconds, but
    /// a run must be bound to the state of the directory at its start. Tools run before the turn is taken, so that a
    /// tool that hangs does not block the actions of other people.
    ///
    /// # Errors
    /// The directory cannot be read in time, or keeps changing: no run is better than one bound to the wrong commit.
    pub(crate) async fn turn_after_a_look(&self) -> Result<(MutexGuard<'_, ()>, Arc<Assessment>), Error> {
        for _ in 0..LOOKS {
            let files = self.stack_file_times().await?;
            let seen = self.look().await?;
            let turn = self.in_turn().await?;
            if self.stack_file_times().await? == files {
                // Containers may have changed during the turns of other actions.
                let observed = seen.map_or_else(|| self.observed(), |seen| Arc::new(self.with_parts(seen)));
                return Ok((turn, self.assess(observed)));
            }
        }
        Err(Error::conflict(
            "The stack's directory is changing; nothing was started. Try again when the changes are complete.",
        ))
    }

    /// The modification times of the stack's files. A file system that hangs must not hold the turn.
    async fn stack_file_times(&self) -> Result<FileTimes, Error> {
        tokio::time::timeout(LOOK_TIMEOUT, self.stack().orchestrator.file_times())
            .await
            .map_err(|_| too_slow())
    }

    /// Reads the directory; `None` before the stack is observed.
    async fn look(&self) -> Result<Option<PartsSeen>, Error> {
        let reader = self.0.observation.parts.read().unwrap_or_else(|e| e.into_inner()).clone();
        let Some(reader) = reader else { return Ok(None) };
        let seen = tokio::time::timeout(LOOK_TIMEOUT, reader.read()).await.map_err(|_| too_slow())?;
        self.take_observation(self.with_parts(seen.clone()));
        self.note_changes().await;
        self.look_again();
        Ok(Some(seen))
    }

    /// The current observation, with the parts of the directory as they were just read.
    fn with_parts(&self, seen: PartsSeen) -> Observed {
        let mut observed = Observed::clone(&self.observed());
        observed.parts.values = seen.parts.values;
        observed.parts.values.insert(ReleaseComponent::Runbook, self.stack().runbook.digest.clone());
        observed.subject = seen.subject;
        observed.env_mode = seen.env_mode;
        observed.directory_missing = seen.directory_missing;
        if !seen.faults.is_empty() {
            observed.faults = seen.faults;
        }
        observed
    }

    fn take_observation(&self, mut observed: Observed) {
        observed.parts.values.insert(ReleaseComponent::Runbook, self.stack().runbook.digest.clone());
        let subject = observed.subject.clone();
        *self.0.observation.subject.write().unwrap_or_else(|e| e.into_inner()) = subject;
        let changed = self.0.observation.observed.send_if_modified(|old| {
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

    /// Records what has changed since the last record. Does not fail: changes that cannot be stored now are detected
    /// again soon.
    async fn note_changes(&self) {
        let _one = self.0.observation.noting.lock().await;
        let news = news(&self.snapshot().changes, &self.observed(), self.now());
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
            tracing::warn!(%error, "observed changes could not be recorded yet; trying again");
        }
    }

    /// The modification times of the configuration, the runbook, all files that preflight has read, and its env source.
    async fn file_times(&self) -> FileTimes {
        let stack = self.stack();
        let own = [self.paths().config.clone(), stack.runbook_path.clone()];
        let files = own.into_iter().chain(stack.preflight.looked_at.iter().cloned()).collect();
        FileTimes::of_files(files, stack.orchestrator.env_source()).await
    }

    /// Reads the files again. If they cannot be used, the last valid version stays in use and the board shows why.
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
            // The number of releases in the snapshot depends on it.
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
        message: "the changed files cannot be used; the last valid version stays in use".to_owned(),
        hint: "correct the problems listed below".to_owned(),
    }
}

/// What is lost with the key of the keyed digests.
const ENV_KEY_LOST: &str = "the env file and the configuration will then look changed: deploy again, and collect \
                            evidence and sign-offs again";
