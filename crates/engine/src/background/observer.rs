//! Keeping up with the world: the stack through the engine's events, the files through their times.

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
use orchestrator::compose::{Address, FileTimes, PartsReader, PartsSeen, Project, Watcher};
use runbook::Config;
use secrets::Key;
use secrets::installation_key;
use store::{StoreError, changes};

/// How often the times of the configuration and the runbook are looked at.
const FILES_EVERY: Duration = Duration::from_millis(250);
/// How often it is looked for changes that other processes made.
const CATCH_UP_EVERY: Duration = Duration::from_secs(1);
/// How long an action waits for a look at the directory.
const LOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// So often an action looks again when the files changed while it waited for its turn.
const LOOKS: u32 = 3;

/// What is observed of the stack and its directory, as everybody reads it.
pub(crate) struct Observation {
    observed: watch::Sender<Arc<Observed>>,
    /// Subject line of the commit in the directory.
    subject: RwLock<String>,
    /// Asks the observer to look now.
    look: Notify,
    /// Reads the parts of the release as they lie on disk; `None` until the stack is observed.
    parts: RwLock<Option<Arc<PartsReader>>>,
    /// Held while changes are compared with those recorded and stored, so that none is recorded twice.
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

/// Watches the stack and its files for as long as the engine lives.
pub(super) struct Observer {
    engine: Engine,
    key: Key,
    /// The times of the files when they were last read.
    times: FileTimes,
    /// Told of the first look.
    first: Option<oneshot::Sender<()>>,
}

impl Observer {
    /// Reads the files once more: they may have changed since the engine was opened.
    pub(super) async fn new(engine: Engine, key: Key, first: oneshot::Sender<()>) -> Observer {
        let times = engine.file_times().await;
        engine.reload().await;
        Observer { engine, key, times, first: Some(first) }
    }

    /// Begins again when the files name another project.
    pub(super) async fn run(mut self) {
        loop {
            let project = self.engine.stack().project.clone();
            self.follow(project).await;
        }
    }

    /// Follows one project; ends when the files name another.
    async fn follow(&mut self, project: Project) {
        let engine = self.engine.clone();
        let observation = &engine.0.observation;
        let reader = Arc::new(PartsReader::new(project.clone(), self.key.clone()));
        *observation.parts.write().unwrap_or_else(|e| e.into_inner()) = Some(reader);
        let watcher = Watcher::start(Address::from_env(), project.clone(), self.key.clone());
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
                    if engine.stack().project != project { return; }
                    watcher.refresh();
                    // The runbook is a part too: what was seen last is judged again.
                    let observed = seen.borrow().clone();
                    engine.take_observation(observed);
                    engine.note_changes().await;
                }
            }
        }
    }

    /// Reads the files again when their times differ. Whether they did.
    async fn reload_if_changed(&mut self) -> bool {
        let now = self.engine.file_times().await;
        if now == self.times {
            return false;
        }
        self.engine.reload().await;
        // Those from before the reading: what is written during it is read once more, and so are the files when
        // preflight looks at others now.
        self.times = now;
        true
    }
}

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

    /// Takes a turn, and judges by the directory as it lies there now. The watcher looks every few seconds, and what
    /// it tells may have been read a moment before; what a run is bound to is what lies there when it begins.
    /// Tools are asked before the turn: while one of them gives no answer, other people's actions go on.
    ///
    /// # Errors
    /// When the directory cannot be read in time, or changes again and again: better no run than one bound to the
    /// wrong commit.
    pub(crate) async fn turn_after_a_look(&self) -> Result<(MutexGuard<'_, ()>, Arc<Assessment>), Error> {
        for _ in 0..LOOKS {
            let files = self.stack_file_times().await?;
            let seen = self.look().await?;
            let turn = self.in_turn().await?;
            if self.stack_file_times().await? == files {
                // Containers may have changed while others had their turn.
                let observed = seen.map_or_else(|| self.observed(), |seen| Arc::new(self.with_parts(seen)));
                return Ok((turn, self.assess(observed)));
            }
        }
        Err(Error::conflict(
            "The stack's directory is being changed; nothing was started. Try again once that is done.",
        ))
    }

    /// The times of the stack's files. A file system that gives no answer must not keep the turn.
    async fn stack_file_times(&self) -> Result<FileTimes, Error> {
        tokio::time::timeout(LOOK_TIMEOUT, FileTimes::of(&self.stack().project)).await.map_err(|_| too_slow())
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

    /// What is observed now, with the directory's parts as they were just read.
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

    /// Records what became another since it was recorded last. Does not fail: what cannot be stored now is
    /// seen again in a moment.
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
            tracing::warn!(%error, "what changed could not be recorded");
        }
    }

    /// The times of configuration and runbook, and of all that preflight looked at.
    async fn file_times(&self) -> FileTimes {
        let stack = self.stack();
        let own = [self.paths().config.clone(), stack.runbook_path.clone()];
        FileTimes::of_files(own.into_iter().chain(stack.preflight.looked_at.iter().cloned()).collect()).await
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
