//! A command: run as written, supervised, and judged by its exit code and its measured values.

use std::path::{Path, PathBuf};

use domain::check::CheckSpec;
use domain::evidence::{Finding, Outcome};

use super::changed_files::{TrackedFiles, with_remark};
use super::finding::unknown;
use super::idempotence;
use super::judge::judge_command;
use super::output::{Output, settled};
use super::probe::Probe;
use runner::{Cmd, Exit, Reader};
use system::clock::now_ms;

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let session = probe.session;
    let work = probe.work;
    let (CheckSpec::Command { run, cwd, twice, .. }, dir) = (&work.check.spec, work.stack.dir()) else {
        return unknown("a command", "this is not a command check", "Correct the check in stagegate.toml.");
    };
    let Some(text) = work.command.as_ref().or(run.as_ref()) else {
        return unknown(
            "exit code 0",
            "the check names neither a step of the runbook nor a command",
            "Add `step` or `run` to the check.",
        );
    };
    let place = cwd.as_ref().map_or_else(|| dir.to_owned(), |cwd| dir.join(cwd));
    if !place.is_dir() {
        return unknown(
            "exit code 0",
            format!(
                "{} does not exist",
                cwd.as_deref()
                    .map_or_else(|| "the stack directory".to_owned(), |cwd| format!("directory {cwd}"))
            ),
            "Correct the directory in stagegate.toml.",
        );
    }
    let before = TrackedFiles::of(session, &place).await;
    probe.say(&format!("Command: {text}"));
    let first = run_once(probe, text, &place, "").await;
    let mut finding = judge_command(&work.check, &first.exit, &|| first.output(), dir, first.started_at_ms);
    let mut ended = matches!(first.exit, Exit::Code(_));
    if let Some(twice) = twice
        && finding.outcome == Outcome::Pass
    {
        probe.say(&format!("Second run: {text}"));
        let second = run_once(probe, text, &place, ", second run").await;
        finding = idempotence::judge(twice, &second.exit, &second.output(), &place, second.started_at_ms);
        ended = matches!(second.exit, Exit::Code(_));
    } else if let Some(twice) = twice {
        finding.wanted = idempotence::wanted(twice);
    }
    let after = if ended { TrackedFiles::of(session, &place).await } else { None };
    if let Some(remark) = before.zip(after).and_then(|(before, after)| after.remark(&before)) {
        probe.say(&format!("Warning: {remark}."));
        finding = with_remark(finding, &remark);
    }
    finding
}

/// One execution of the command.
struct Ran {
    exit: Exit,
    started_at_ms: u64,
    dir: PathBuf,
    /// The first log line of this execution.
    from: u64,
    written: std::io::Result<()>,
}

impl Ran {
    fn output(&self) -> std::io::Result<Output> {
        match &self.written {
            Ok(()) => Output::of_run(&self.dir, self.from),
            Err(error) => Err(std::io::Error::other(error.to_string())),
        }
    }
}

async fn run_once(probe: &Probe<'_>, text: &str, place: &Path, which: &str) -> Ran {
    let session = probe.session;
    let from = Reader::open(&session.dir()).and_then(|reader| reader.count()).unwrap_or(0);
    let started_at_ms = now_ms();
    let mut cmd = Cmd::bash(text);
    cmd.cwd = Some(place.to_owned());
    cmd.timeout = Some(probe.left());
    let exit = session.exec(cmd).await;
    // The attempt is named so that the line of an earlier attempt is not mistaken for this one.
    let mark = format!("Ended (attempt {}{which}): {exit}.", probe.attempt);
    probe.say(&mark);
    let written = settled(&session.dir(), &session.redact(&mark)).await;
    Ran { exit, started_at_ms, dir: session.dir(), from, written }
}
