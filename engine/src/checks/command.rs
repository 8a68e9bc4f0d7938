//! A command: run as it is typed, watched, and judged by its end and its figures.

use domain::check::CheckSpec;
use domain::evidence::Finding;

use super::finding::unknown;
use super::judge::judge_command;
use super::output::{Output, settled};
use super::probe::Probe;
use super::tree::TrackedFiles;
use crate::runner::{Cmd, Exit, Reader};

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let session = probe.session;
    let work = probe.work;
    let (CheckSpec::Command { run, cwd, .. }, dir) = (&work.check.spec, &work.project.dir) else {
        return unknown("a command", "this check is no command", "Correct the declaration.");
    };
    let Some(text) = work.command.as_ref().or(run.as_ref()) else {
        return unknown(
            "exit code 0",
            "the check names neither a step that the runbook has nor a command",
            "Give the check a `step` or a `run`.",
        );
    };
    let place = cwd.as_ref().map_or_else(|| dir.clone(), |cwd| dir.join(cwd));
    if !place.is_dir() {
        return unknown(
            "exit code 0",
            format!("there is no directory {}", cwd.as_deref().unwrap_or("of the stack")),
            "Correct the directory in the declaration.",
        );
    }
    let before = TrackedFiles::of(session, &place).await;
    probe.say(&format!("Runs: {text}"));
    let from = Reader::open(&session.dir()).and_then(|reader| reader.count()).unwrap_or(0);
    let started_at_ms = probe.now_ms();
    let mut cmd = Cmd::bash(text);
    cmd.cwd = Some(place.clone());
    cmd.timeout = Some(probe.left());
    let exit = session.exec(cmd).await;
    // The attempt is named so that an earlier one's line is not taken for this one's.
    let mark = format!("Ended (attempt {}): {exit}.", probe.attempt);
    probe.say(&mark);
    let written = settled(&session.dir(), &session.redact(&mark)).await;
    let read = || -> std::io::Result<Output> {
        match &written {
            Ok(()) => Output::of_run(&session.dir(), from),
            Err(error) => Err(std::io::Error::other(error.to_string())),
        }
    };
    let mut finding = judge_command(&work.check, &exit, &read, dir, started_at_ms);
    let after = match exit {
        Exit::Code(_) => TrackedFiles::of(session, &place).await,
        _ => None,
    };
    if let Some(remark) = before.zip(after).and_then(|(before, after)| after.remark(&before)) {
        probe.say(&format!("Careful: {remark}."));
        finding.saw = format!("{}; {remark}", finding.saw);
    }
    finding
}
