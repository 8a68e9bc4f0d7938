//! Calling command-line tools for their output, inside or outside a run.

use std::io;
use std::path::Path;
use std::time::Duration;

use runner::{Cmd, Exit, Session, base_environment, bounded};

/// Time limit of a tool.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Most bytes of output.
const ANSWER_CAP: usize = 16 * 1024 * 1024;

/// The output of a tool.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub exit: Exit,
    /// Standard output.
    pub(super) out: Vec<u8>,
    /// Standard error, when it failed.
    pub err: String,
}

/// The caller.
#[derive(Clone, Copy)]
pub(super) enum Tool<'a> {
    /// The server itself.
    Direct,
    /// A run: its supervisor must know every process.
    Run(&'a Session),
}

impl Tool<'_> {
    /// Runs `argv` in `dir` and returns what it wrote. Fails only when there is no such program.
    pub(super) async fn ask(self, argv: Vec<String>, dir: &Path) -> io::Result<Answer> {
        match self {
            Tool::Direct => direct(argv, dir).await,
            Tool::Run(session) => Ok(inside(session, argv, dir).await),
        }
    }
}

async fn direct(argv: Vec<String>, dir: &Path) -> io::Result<Answer> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).current_dir(dir).env_clear().envs(base_environment());
    let (answer, out) = bounded::output(command, TIMEOUT, ANSWER_CAP as u64).await?;
    Ok(Answer { exit: answer.exit, out, err: answer.err })
}

/// The run's log is for commands that change something: reading commands write nothing to it, and a failed one is run
/// again for its error output.
async fn inside(session: &Session, argv: Vec<String>, dir: &Path) -> Answer {
    let ask = async |script: &str| {
        let words = ["sh", "-c", script, "sh"].into_iter().map(str::to_owned).chain(argv.iter().cloned());
        let mut cmd = Cmd::new(words);
        cmd.cwd = Some(dir.to_owned());
        cmd.clear = true;
        cmd.shielded = true;
        cmd.timeout = Some(TIMEOUT);
        session.capture(cmd, ANSWER_CAP).await
    };
    let (exit, out) = ask("exec \"$@\" 2>/dev/null").await;
    if exit.is_success() {
        return Answer { exit, out, err: String::new() };
    }
    let (_, err) = ask("exec \"$@\" 2>&1 >/dev/null").await;
    Answer { exit, out, err: String::from_utf8_lossy(&err).into_owned() }
}
