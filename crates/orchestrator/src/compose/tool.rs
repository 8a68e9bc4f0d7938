//! Calling command-line tools for their answer, inside a run or outside of one.

use std::io;
use std::path::Path;
use std::time::Duration;

use runner::{Cmd, Exit, Session, base_environment, bounded};

/// Longest time that a question to a tool may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Most bytes of an answer.
const ANSWER_CAP: usize = 16 * 1024 * 1024;

/// What a tool answered.
#[derive(Debug)]
pub struct Answer {
    /// How it ended.
    pub exit: Exit,
    /// Standard output.
    pub(super) out: Vec<u8>,
    /// Standard error, when it failed.
    pub err: String,
}

/// Who calls.
#[derive(Clone, Copy)]
pub(super) enum Tool<'a> {
    /// The server itself.
    Direct,
    /// A run: its supervisor wants to know every process.
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

/// The run's log is for what changes something: questions keep it clean, and a complaint is asked for again.
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
