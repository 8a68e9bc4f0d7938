//! Calling command-line tools for their answer, inside a run or outside of one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::bounded;
use crate::runner::{Cmd, Exit, Session};

/// Longest time that a question to a tool may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most bytes of an answer.
const ANSWER_CAP: usize = 16 * 1024 * 1024;

/// Variables that tools get. Compose fills `${…}` from them before it looks into the env file, so a server
/// with `PORT` in its environment must not change the stack; inside a run the runner keeps the same rule.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "USER",
    "LOGNAME",
    "SHELL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// What a tool answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// How it ended.
    pub(super) exit: Exit,
    /// Standard output.
    pub(super) out: Vec<u8>,
    /// Standard error, when it failed.
    pub(super) err: String,
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
    let env: BTreeMap<_, _> =
        PASSED_ON.iter().filter_map(|key| Some((*key, std::env::var(key).ok()?))).collect();
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("LANG", "C.UTF-8")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(env)
        .env("TERM", "dumb")
        .env("CI", "true");
    let (answer, out) = bounded::output(command, PATIENCE, ANSWER_CAP as u64).await?;
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
        cmd.timeout = Some(PATIENCE);
        session.capture(cmd, ANSWER_CAP).await
    };
    let (exit, out) = ask("exec \"$@\" 2>/dev/null").await;
    if exit.is_success() {
        return Answer { exit, out, err: String::new() };
    }
    let (_, err) = ask("exec \"$@\" 2>&1 >/dev/null").await;
    Answer { exit, out, err: String::from_utf8_lossy(&err).into_owned() }
}
