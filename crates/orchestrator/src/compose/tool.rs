//! Calling command-line tools for their output, inside or outside a run.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::error::{OrchestratorError, Result};
use crate::stack_files::StackFiles;
use runner::{Cmd, Exit, Session, base_environment, bounded};

/// Time limit of a tool.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Most bytes of output.
const MAX_OUTPUT_BYTES: usize = 16 * 1024 * 1024;

/// The output of a tool.
#[derive(Debug)]
pub(super) struct Answer {
    /// How it ended.
    pub(super) exit: Exit,
    /// Standard output.
    pub(super) out: Vec<u8>,
    /// Standard error, when it failed.
    pub(super) err: String,
}

/// The caller.
#[derive(Clone, Copy)]
pub(super) enum Tool<'a> {
    /// The server itself.
    Direct,
    /// A run that changes the stack: its supervisor must know every process, and a requested stop waits for them.
    Run(&'a Session),
    /// A check in a run: a requested stop ends its processes, and error output is written to the run's log.
    Check(&'a Session),
}

impl Tool<'_> {
    /// Runs `argv` in `dir` and returns what it wrote. A program that does not exist is an error outside of a run, and
    /// the exit [`Exit::NotStarted`] in a run.
    pub(super) async fn run(self, argv: Vec<String>, dir: &Path) -> io::Result<Answer> {
        match self {
            Tool::Direct => direct(argv, dir).await,
            Tool::Run(session) => Ok(inside(session, argv, dir).await),
            Tool::Check(session) => Ok(for_check(session, argv, dir).await),
        }
    }
}

/// The version of Compose.
///
/// # Errors
/// [`OrchestratorError::ToolMissing`], or [`OrchestratorError::ToolStuck`] with how it ended.
pub(crate) async fn version(session: &Session, files: &StackFiles) -> Result<String> {
    let argv = ["docker", "compose", "version", "--short"].map(str::to_owned).to_vec();
    let answer = Tool::Check(session).run(argv, &files.dir).await;
    let answer = answer.map_err(|_| OrchestratorError::ToolMissing)?;
    let version = String::from_utf8_lossy(&answer.out).trim().to_owned();
    match answer.exit {
        Exit::Code(0) if !version.is_empty() => Ok(version),
        // A `docker` without the plugin fails with a code of its own.
        Exit::Code(_) | Exit::NotStarted(_) => Err(OrchestratorError::ToolMissing),
        exit => Err(OrchestratorError::ToolStuck { why: exit.to_string() }),
    }
}

async fn direct(argv: Vec<String>, dir: &Path) -> io::Result<Answer> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).current_dir(dir).env_clear().envs(base_environment());
    let (answer, out) = bounded::output(command, TIMEOUT, MAX_OUTPUT_BYTES as u64).await?;
    Ok(Answer { exit: answer.exit, out, err: answer.err })
}

/// The run's log is for commands that change something: reading commands write nothing to it, and a failed one is run
/// again for its error output.
async fn inside(session: &Session, argv: Vec<String>, dir: &Path) -> Answer {
    let run = async |script: &str| {
        let argv = ["sh", "-c", script, "sh"].into_iter().map(str::to_owned).chain(argv.iter().cloned());
        let mut cmd = Cmd::new(argv);
        cmd.cwd = Some(dir.to_owned());
        cmd.clear = true;
        cmd.shielded = true;
        cmd.timeout = Some(TIMEOUT);
        session.capture(cmd, MAX_OUTPUT_BYTES).await
    };
    let (exit, out) = run("exec \"$@\" 2>/dev/null").await;
    if exit.is_success() {
        return Answer { exit, out, err: String::new() };
    }
    let (_, err) = run("exec \"$@\" 2>&1 >/dev/null").await;
    Answer { exit, out, err: String::from_utf8_lossy(&err).into_owned() }
}

async fn for_check(session: &Session, argv: Vec<String>, dir: &Path) -> Answer {
    let mut cmd = Cmd::new(argv);
    cmd.cwd = Some(dir.to_owned());
    // Compose reads the env file itself; variables of the shell would override it.
    cmd.clear = true;
    cmd.timeout = Some(TIMEOUT);
    let (exit, out) = session.capture(cmd, MAX_OUTPUT_BYTES).await;
    Answer { exit, out, err: String::new() }
}
