//! The body of a supervisor process: one run from its plan to its outcome.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{getpid, set_child_subreaper, setsid};
use tokio::signal::unix::{SignalKind, signal};

use super::cancel::Cancel;
use super::dir::{Plan, RunDir};
use super::environment::base_environment;
use super::error::{Result, RunnerError};
use super::lock::{self, Held, Holder};
use super::log_writer::LogWriter;
use super::procs::{Scope, names};
use super::reader::START_GAP;
use super::session::{Outcome, Session};
use super::status::{Exit, Reserve, State, Status, read_json, write_json};
use secrets::redact::Secrets;
use secrets::{EnvSource, EnvValues};
use system::clock::now_ms;
use system::files::off_thread;

/// How often the log is flushed and a cancel request is checked.
const TICK: Duration = Duration::from_millis(30);
/// Idle work is abandoned this long after a stop was requested.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
const ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Executes the run in `dir`: the body of `stagegate supervise`. `work` does what the plan requires; it is not
/// called when the run cannot start, which then ends as [`Exit::NotStarted`].
///
/// Must be called inside a Tokio runtime of a separate process, which becomes the leader of a session and adopts
/// orphans. Fails when the run does not exist, is over or supervised, or its outcome cannot be stored.
pub async fn supervise<F>(dir: &Path, work: F) -> Result<()>
where
    F: AsyncFnOnce(&Session) -> Outcome,
{
    // A process that already leads a group (started from a shell) cannot lead a session; the work is still done.
    let _ = setsid();
    let dir = RunDir::open(dir)?;
    set_child_subreaper(Some(getpid()))
        .map_err(|error| RunnerError::io("adopt orphans", dir.path())(error.into()))?;
    let alive = File::options()
        .write(true)
        .open(dir.alive())
        .map_err(RunnerError::io("open a file of the run", &dir.alive()))?;
    let locked = lock::wait_for(&alive, ALIVE_TIMEOUT).await;
    if !locked.map_err(RunnerError::io("lock the run", &dir.alive()))? {
        return Err(RunnerError::Supervised);
    }
    let start = Instant::now();
    let mut status = dir.read_status()?;
    let waited = Duration::from_millis(now_ms().saturating_sub(status.created_at_ms));
    if status.state != State::Starting || waited > START_GAP {
        return Err(RunnerError::Over);
    }
    let reserve = Reserve::take(&dir)?;
    status.state = State::Running;
    status.started_at_ms = Some(now_ms());
    status.pid = Some(std::process::id());
    write_json(&dir.status(), &status, "status")?;

    let outcome = match prepare(&dir, start).await {
        Ok(session) => carry_out(&dir, &session, work).await,
        Err(error) => Outcome::new(Exit::NotStarted(error.to_string())),
    };
    finish(&dir, status, reserve, outcome)
    // `alive` is unlocked here, after the outcome is on disk.
}

fn finish(dir: &RunDir, mut status: Status, reserve: Reserve, outcome: Outcome) -> Result<()> {
    if !outcome.result.is_null() && write_json(&dir.result(), &outcome.result, "result").is_err() {
        status.note = Some("The result could not be stored.".to_owned());
    }
    if outcome.exit == Exit::DiskFull {
        status.note = Some("The disk is full: the end of the log is missing.".to_owned());
    }
    status.state = State::Ended { exit: outcome.exit, ended_at_ms: now_ms() };
    reserve.finish(dir, &status)
}

async fn values(source: EnvSource, dir: &RunDir) -> Result<EnvValues> {
    let read = off_thread(move || source.values()).await;
    Ok(read.map_err(RunnerError::io("read the env source", dir.path()))??)
}

async fn prepare(dir: &RunDir, start: Instant) -> Result<Session> {
    let plan = dir.plan()?;
    let env = match plan.env_source.clone() {
        Some(source) => values(source, dir).await?,
        None => EnvValues::default(),
    };
    let base: Vec<_> = base_environment().into_iter().collect();
    let secrets = Secrets::of(&env, &plan.public_keys)?.with_urls(&env, &plan.public_keys, &base)?;
    let log = LogWriter::open(dir, secrets.clone(), start)?;
    let weak = secrets.weak_keys().join(", ");
    let session = Session::new(plan, dir.clone(), env.to_map(), base, secrets, log);
    if !weak.is_empty() {
        session.say(&format!(
            "The values of these keys are too short or too common to be masked in this log: {weak}."
        ));
    }
    Ok(session)
}

async fn carry_out<F>(dir: &RunDir, session: &Session, work: F) -> Outcome
where
    F: AsyncFnOnce(&Session) -> Outcome,
{
    let held = match claim(session.plan()).await {
        Ok(held) => held,
        Err(why) => {
            session.say(&format!("Not started: {why}."));
            session.sync_log();
            return Outcome::new(Exit::NotStarted(session.redact(&why)));
        }
    };
    let watch = tokio::spawn(watch(dir.clone(), session.clone()));
    let mut outcome = match wished(dir) {
        Some(by) => Outcome::new(Exit::Cancelled { by }),
        None => tokio::select! {
            outcome = work(session) => outcome,
            exit = overdue(session) => Outcome::new(exit),
        },
    };
    // Whatever the work did, no process of the run may outlive it.
    let scope = Scope::Run(session.tags(), session.awaited().clone());
    if !scope.living().is_empty() {
        let left = scope.end(session.grace()).await;
        if !left.is_empty() {
            session.say(&format!("These processes could not be stopped: {}.", names(&left)));
        }
    }
    watch.abort();
    session.tick();
    session.sync_log();
    // The work may ignore a stop, but not an incomplete log.
    if let Some(why @ (Exit::OutputCap | Exit::DiskFull | Exit::LogFailed(_))) = session.stopped() {
        outcome.exit = why;
    }
    session.secrets().redact_json(&mut outcome.result);
    if let Exit::NotStarted(why) | Exit::LogFailed(why) = &mut outcome.exit {
        *why = session.redact(why);
    }
    drop(held);
    outcome
}

async fn claim(plan: &Plan) -> std::result::Result<Option<Held>, String> {
    let Some(spec) = &plan.lock else {
        return Ok(None);
    };
    let me = Holder {
        run: plan.id.clone(),
        holder: spec.holder.clone(),
        since_ms: now_ms(),
        what: plan.title.clone(),
    };
    match lock::claim(&spec.path, &me, LOCK_TIMEOUT).await {
        Ok(Ok(held)) => Ok(Some(held)),
        Ok(Err(Some(other))) => {
            Err(format!("locked by {} for {} (run {})", other.holder, other.what, other.run))
        }
        Ok(Err(None)) => Err("locked by another run".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn wished(dir: &RunDir) -> Option<String> {
    let path = dir.cancel();
    if !path.exists() {
        return None;
    }
    // A request that cannot be read is still a request.
    let read = read_json::<Cancel>(&path, "cancel request").ok().flatten();
    Some(read.map_or_else(|| "an unknown user".to_owned(), |cancel| cancel.by))
}

/// Flushes the log, reaps orphans, and checks for reasons to stop.
async fn watch(dir: RunDir, session: Session) {
    let deadline = Instant::now() + Duration::from_millis(session.plan().timeout_ms);
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let mut signals: Vec<_> = signals.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0_u32;
    loop {
        tick.tick().await;
        session.tick();
        ticks = ticks.wrapping_add(1);
        if ticks.is_multiple_of(16) {
            session.awaited().reap_others();
        }
        if session.stopped().is_some() {
            continue;
        }
        if let Some(by) = wished(&dir) {
            session.stop(Exit::Cancelled { by });
        } else if Instant::now() >= deadline {
            session.stop(Exit::Timeout);
        } else if signals.iter_mut().any(received) {
            session.stop(Exit::Cancelled { by: "the system (signal to the supervisor)".to_owned() });
        }
    }
}

fn received(signal: &mut tokio::signal::unix::Signal) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    signal.poll_recv(&mut context).is_ready()
}

/// Waits until a stop was requested and the work has been idle since then.
async fn overdue(session: &Session) -> Exit {
    session.stop_token().cancelled().await;
    let mut idle_since = Instant::now();
    while idle_since.elapsed() < STOP_TIMEOUT {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if session.is_busy() {
            idle_since = Instant::now();
        }
    }
    session.stopped().unwrap_or(Exit::Timeout)
}
