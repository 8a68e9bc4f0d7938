//! The interface for the work of a run: commands, the log, progress, stop requests.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use domain::log::Stream;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::RUN_TAG;
use super::child::{self, Cmd, Sink};
use super::dir::{Plan, RunDir};
use super::error::{Result, is_disk_full};
use super::log_writer::{Lane, LogWriter};
use super::procs::{Awaited, DIR_TAG, Tags};
use super::status::{Exit, write_json};
use secrets::EnvValues;
use secrets::redact::Secrets;

/// How the work of a run ended, and its result.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// Its result, for the server. Secrets in its texts are masked before it is stored.
    pub result: serde_json::Value,
}

impl Outcome {
    /// An end without a result.
    pub fn new(exit: Exit) -> Self {
        Self { exit, result: serde_json::Value::Null }
    }
}

/// An active run. Cheap to clone.
#[derive(Clone)]
pub struct Session(Arc<Inner>, Option<Arc<Mutex<Vec<String>>>>);

struct Inner {
    plan: Plan,
    dir: RunDir,
    known: RwLock<Known>,
    base_env: Vec<(String, String)>,
    tags: Tags,
    awaited: Awaited,
    log: Mutex<LogWriter>,
    stop: CancellationToken,
    why: OnceLock<Exit>,
    written: AtomicU64,
    numbers: AtomicU64,
    active: AtomicU64,
}

/// The env file: its variables, and the secrets that are masked.
struct Known {
    env: Arc<BTreeMap<String, String>>,
    secrets: Secrets,
}

/// Counts as active until dropped: a run with a requested stop is not abandoned during this time.
pub struct Active<'a>(&'a AtomicU64);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Session {
    pub(super) fn new(
        plan: Plan,
        dir: RunDir,
        env: BTreeMap<String, String>,
        base_env: Vec<(String, String)>,
        secrets: Secrets,
        log: LogWriter,
    ) -> Self {
        let tags = Tags::new(&plan.id, dir.path());
        Self(
            Arc::new(Inner {
                plan,
                dir,
                known: RwLock::new(Known { env: Arc::new(env), secrets }),
                base_env,
                tags,
                awaited: Awaited::default(),
                log: Mutex::new(log),
                stop: CancellationToken::new(),
                why: OnceLock::new(),
                written: AtomicU64::new(0),
                numbers: AtomicU64::new(1),
                active: AtomicU64::new(0),
            }),
            None,
        )
    }

    /// The plan of the run.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// The variables of the env source with their values. They must not be stored or shown.
    pub fn env(&self) -> Arc<BTreeMap<String, String>> {
        Arc::clone(&self.known().env)
    }

    /// The values were replaced: the variables are those of `env` from now on, and its secrets are masked in addition
    /// to those known before. To be called when no command of the run is active. Fails when the search for the secrets
    /// cannot be built.
    pub fn learn(&self, env: &EnvValues) -> Result<()> {
        let more = Secrets::of(env, &self.0.plan.public_keys)?;
        let secrets = self.secrets().and(&more)?;
        self.log(|log| log.mask(secrets.clone()));
        *self.0.known.write().unwrap_or_else(PoisonError::into_inner) =
            Known { env: Arc::new(env.to_map()), secrets };
        Ok(())
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run's directory, for further files of the run. What is written there must be redacted.
    pub fn dir(&self) -> PathBuf {
        self.0.dir.path().to_owned()
    }

    /// Adds a line of Stagegate itself to the log (more than one when the text has line breaks). Masked.
    pub fn say(&self, text: &str) {
        if let Some(held) = &self.1 {
            held.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
            return;
        }
        let said = self.log(|log| log.say(text));
        self.check(said);
    }

    /// The same run, whose own lines ([`Session::say`]) are held back until [`Session::tell`]: for parallel work,
    /// whose lines would be mixed. Output of commands is not held back.
    pub fn apart(&self) -> Session {
        Session(Arc::clone(&self.0), Some(Arc::default()))
    }

    /// Writes the lines that were held back, together.
    pub fn tell(&self) {
        let Some(held) = &self.1 else { return };
        let lines = std::mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner));
        if !lines.is_empty() {
            let said = self.log(|log| log.say(&lines.join("\n")));
            self.check(said);
        }
    }

    /// Masks the secrets of the run in a text.
    pub fn redact(&self, text: &str) -> String {
        self.secrets().redact(text)
    }

    /// Runs a command; its output is written to the log, masked. When it returns, no process that the command
    /// started is alive. After a cancel, a timeout or a full disk only `shielded` commands are started.
    pub async fn exec(&self, cmd: Cmd) -> Exit {
        let _active = self.activate();
        child::run(self, &cmd, &mut Sink::Log).await
    }

    /// Runs a command and returns its standard output, not masked and not logged: for programs, not for
    /// people. Its standard error is written to the log. More than `cap` bytes end it with [`Exit::OutputCap`].
    pub async fn capture(&self, cmd: Cmd, cap: usize) -> (Exit, Vec<u8>) {
        let _active = self.activate();
        let mut sink = Sink::Keep { bytes: Vec::new(), cap };
        let exit = child::run(self, &cmd, &mut sink).await;
        match sink {
            Sink::Keep { bytes, .. } => (exit, bytes),
            Sink::Log => (exit, Vec::new()),
        }
    }

    /// Publishes the progress of the work; it replaces the previous one. Masked. Best effort: progress that cannot
    /// be stored is skipped.
    pub fn progress(&self, progress: impl Serialize) {
        let Ok(mut value) = serde_json::to_value(progress) else {
            return;
        };
        self.secrets().redact_json(&mut value);
        let _ = write_json(&self.0.dir.progress(), &value, "progress");
    }

    /// Fires when the work must stop: cancel, timeout, output limit, full disk.
    pub fn cancelled(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// Why the work must stop, if it must.
    pub fn stopped(&self) -> Option<Exit> {
        self.0.why.get().cloned()
    }

    pub(super) fn stop(&self, why: Exit) {
        if self.0.why.set(why).is_ok() {
            self.0.stop.cancel();
        }
    }

    pub(super) fn stop_token(&self) -> &CancellationToken {
        &self.0.stop
    }

    pub(super) fn is_busy(&self) -> bool {
        self.0.active.load(Ordering::Relaxed) > 0
    }

    /// For work other than commands that must not be aborted.
    pub fn activate(&self) -> Active<'_> {
        self.0.active.fetch_add(1, Ordering::Relaxed);
        Active(&self.0.active)
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(self.0.plan.grace_ms)
    }

    pub(super) fn next_number(&self) -> u64 {
        self.0.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn awaited(&self) -> &Awaited {
        &self.0.awaited
    }

    pub(super) fn tags(&self) -> Tags {
        self.0.tags.clone()
    }

    pub(super) fn tag_env(&self) -> [(&'static str, std::ffi::OsString); 2] {
        [(RUN_TAG, self.0.plan.id.clone().into()), (DIR_TAG, self.0.dir.path().into())]
    }

    pub(super) fn base_env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.base_env.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(super) fn secrets(&self) -> Secrets {
        self.known().secrets.clone()
    }

    pub(super) fn lane(&self, stream: Stream) -> Lane {
        self.log(|log| log.lane(stream))
    }

    /// Adds output of a command, up to the limit.
    pub(super) fn output(&self, lane: Lane, bytes: &[u8]) {
        let cap = self.0.plan.output_cap;
        let before = self.0.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let room = usize::try_from(cap.saturating_sub(before)).unwrap_or(usize::MAX);
        let fits = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        let pushed = self.log(|log| log.push(lane, fits));
        self.check(pushed);
        if fits.len() < bytes.len() {
            self.log(|log| log.forget_held(lane));
            self.stop(Exit::OutputCap);
        }
    }

    pub(super) fn close(&self, lane: Lane) {
        let closed = self.log(|log| log.close(lane));
        self.check(closed);
    }

    pub(super) fn tick(&self) {
        let ticked = self.log(LogWriter::tick);
        self.check(ticked);
    }

    pub(super) fn sync_log(&self) {
        let synced = self.log(LogWriter::sync);
        self.check(synced);
    }

    fn log<T>(&self, with: impl FnOnce(&mut LogWriter) -> T) -> T {
        with(&mut self.0.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A log that cannot be written ends the run: nothing may happen without a record.
    fn check(&self, result: io::Result<()>) {
        if let Err(error) = result {
            let full = is_disk_full(&error);
            self.stop(if full { Exit::DiskFull } else { Exit::LogFailed(error.kind().to_string()) });
        }
    }
}
