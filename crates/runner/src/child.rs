//! One command of a run: starts it, reads its output, stops it.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use domain::log::Stream;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::Instant;

use super::log_writer::Lane;
use super::procs::{COMMAND_TAG, Scope, names};
use super::session::Session;
use super::status::Exit;

/// How long background processes may keep the output open after their command has ended.
const DRAIN: Duration = Duration::from_secs(2);
/// How long processes that are about to end may take before they count as left over.
const SETTLE: Duration = Duration::from_millis(150);
const READ: usize = 64 * 1024;

/// A command: a program and its arguments, never a string for a shell to parse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cmd {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Where it runs; the plan's directory when `None`.
    pub cwd: Option<PathBuf>,
    /// Further environment variables.
    pub env: BTreeMap<String, String>,
    /// True for commands that must not get the variables of the env file.
    pub clear: bool,
    /// Its time limit; the limit of the run applies as well.
    pub timeout: Option<Duration>,
    /// True for clean-up work after a cancel or timeout: it starts, and continues, even then.
    /// It should have a `timeout`, since the limit of the run does not apply.
    pub shielded: bool,
}

impl Cmd {
    /// A command with default settings.
    pub fn new<I: IntoIterator<Item = S>, S: Into<String>>(argv: I) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// A script of the runbook, passed to `bash -c` unchanged.
    pub fn bash(script: &str) -> Self {
        Self::new(["bash", "-c", script])
    }
}

/// Where standard output goes.
pub(super) enum Sink {
    Log,
    Keep { bytes: Vec<u8>, cap: usize },
}

/// Runs a command to its end. No process that it started is alive afterwards.
pub(super) async fn run(session: &Session, cmd: &Cmd, sink: &mut Sink) -> Exit {
    if !cmd.shielded
        && let Some(exit) = session.stopped()
    {
        return exit;
    }
    let number = session.next_number();
    let mut command = match prepare(session, cmd, number) {
        Ok(command) => command,
        Err(why) => return not_started(session, why),
    };
    let awaited = session.awaited();
    let mut child = match awaited.spawn(|| command.spawn(), tokio::process::Child::id) {
        Ok(child) => child,
        Err(error) => return not_started(session, explain(cmd, &error)),
    };
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
    let scope = Scope::Command { tags: session.tags(), awaited: awaited.clone(), pid, number };
    let exit = listen(session, cmd, sink, &mut child, &scope).await;
    awaited.done(pid);
    exit
}

fn not_started(session: &Session, why: String) -> Exit {
    session.say(&format!("Not started: {why}"));
    Exit::NotStarted(session.redact(&why))
}

fn prepare(session: &Session, cmd: &Cmd, number: u64) -> Result<Command, String> {
    let (program, args) = cmd.argv.split_first().ok_or("there is no command")?;
    let cwd = cmd.cwd.as_ref().unwrap_or(&session.plan().cwd);
    if !cwd.is_dir() {
        return Err("the working directory does not exist".to_owned());
    }
    let mut command = Command::new(program);
    command.args(args).current_dir(cwd).env_clear().envs(session.base_env());
    if !cmd.clear {
        command.envs(session.env().iter());
    }
    command
        .envs(&session.plan().extra_env)
        .envs(&cmd.env)
        .envs(session.tag_env())
        .env(COMMAND_TAG, number.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

fn explain(cmd: &Cmd, error: &std::io::Error) -> String {
    let program = cmd.argv.first().map_or("", String::as_str);
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("the program {program} was not found"),
        std::io::ErrorKind::PermissionDenied => {
            format!("there is no permission to run the program {program}")
        }
        _ => format!("the program {program} could not be started ({error})"),
    }
}

async fn read(source: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    let Some(pipe) = source else {
        return std::future::pending().await;
    };
    // A pipe that cannot be read counts as closed.
    let got = pipe.read(buffer).await.unwrap_or(0);
    if got == 0 {
        *source = None;
    }
    got
}

async fn listen(
    session: &Session,
    cmd: &Cmd,
    sink: &mut Sink,
    child: &mut tokio::process::Child,
    scope: &Scope,
) -> Exit {
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let lanes = (session.lane(Stream::Out), session.lane(Stream::Err));
    let (mut out_buffer, mut err_buffer) = (vec![0; READ], vec![0; READ]);
    let limit = cmd.timeout.map(|timeout| Instant::now() + timeout);
    let deadline = limit.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400 * 365));
    let grace = session.grace();
    let mut ended: Option<Exit> = None; // by itself
    let mut stopped: Option<Exit> = None; // by us
    let mut killer: Option<tokio::task::JoinHandle<Vec<super::procs::Process>>> = None;
    let mut drain = Instant::now();

    while ended.is_none() || out.is_some() || err.is_some() {
        let reason = tokio::select! {
            got = read(&mut out, &mut out_buffer) => {
                out_buffer.get(..got).and_then(|bytes| keep(session, sink, lanes.0, bytes))
            }
            got = read(&mut err, &mut err_buffer) => {
                session.output(lanes.1, err_buffer.get(..got).unwrap_or_default());
                None
            }
            status = child.wait(), if ended.is_none() => {
                ended = Some(exit_of(status));
                drain = Instant::now() + DRAIN;
                None
            }
            () = tokio::time::sleep_until(drain), if ended.is_some() && killer.is_none() => {
                session.say("The command has ended, but background processes keep its output open.");
                break;
            }
            () = session.stop_token().cancelled(), if stopped.is_none() && !cmd.shielded => session.stopped(),
            () = tokio::time::sleep_until(deadline), if stopped.is_none() && ended.is_none() => Some(Exit::Timeout),
            survivors = join(&mut killer), if killer.is_some() => {
                report(session, &survivors);
                killer = None;
                // No writer is left: what is in the pipes now is all there will be.
                finish_pipes(session, &mut out, &mut err, lanes, sink).await;
                if ended.is_none() && survivors.is_empty() {
                    ended = Some(exit_of(child.wait().await));
                }
                break;
            }
        };
        if let Some(reason) = reason.filter(|_| stopped.is_none()) {
            let why = reason.to_string();
            session.say(&format!("Stopping the command: {}.", why.trim_start_matches("stopped: ")));
            stopped = Some(reason);
            let scope = scope.clone();
            killer = Some(tokio::spawn(async move { scope.end(grace).await }));
        }
    }
    if let Some(killer) = killer.take() {
        report(session, &killer.await.unwrap_or_default());
    }
    session.close(lanes.0);
    session.close(lanes.1);
    if stopped.is_none() {
        sweep(session, scope).await;
    }
    stopped.or(ended).unwrap_or(Exit::Signal(9))
}

fn keep(session: &Session, sink: &mut Sink, lane: Lane, bytes: &[u8]) -> Option<Exit> {
    match sink {
        Sink::Log => session.output(lane, bytes),
        Sink::Keep { bytes: kept, cap } => {
            let room = cap.saturating_sub(kept.len());
            kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            if bytes.len() > room {
                return Some(Exit::OutputCap);
            }
        }
    }
    None
}

async fn join(
    killer: &mut Option<tokio::task::JoinHandle<Vec<super::procs::Process>>>,
) -> Vec<super::procs::Process> {
    match killer {
        Some(task) => task.await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

async fn finish_pipes(
    session: &Session,
    out: &mut Option<tokio::process::ChildStdout>,
    err: &mut Option<tokio::process::ChildStderr>,
    lanes: (Lane, Lane),
    sink: &mut Sink,
) {
    let mut buffer = vec![0; READ];
    let until = Instant::now() + SETTLE;
    while out.is_some() {
        let Ok(got) = tokio::time::timeout_at(until, read(out, &mut buffer)).await else {
            break;
        };
        keep(session, sink, lanes.0, buffer.get(..got).unwrap_or_default());
    }
    while err.is_some() {
        let Ok(got) = tokio::time::timeout_at(until, read(err, &mut buffer)).await else {
            break;
        };
        session.output(lanes.1, buffer.get(..got).unwrap_or_default());
    }
}

/// Ends background processes that a command left running, and reports them.
async fn sweep(session: &Session, scope: &Scope) {
    let settled = Instant::now() + SETTLE;
    loop {
        let left = scope.living();
        if left.is_empty() {
            return;
        }
        if Instant::now() >= settled {
            session.say(&format!(
                "Stopping background processes that the command left running: {}.",
                names(&left)
            ));
            report(session, &scope.end(session.grace().min(DRAIN)).await);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn report(session: &Session, survivors: &[super::procs::Process]) {
    if !survivors.is_empty() {
        session.say(&format!("These processes could not be stopped: {}.", names(survivors)));
    }
}

fn exit_of(status: std::io::Result<std::process::ExitStatus>) -> Exit {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Signal(0),
        },
        Err(error) => Exit::LogFailed(format!("the exit status could not be read: {error}")),
    }
}
