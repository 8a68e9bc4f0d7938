//! What a command's end means for a check: its exit, its figures, and which of them counts.
//!
//! Apart from running it, because a step that somebody ran from its page is judged in the same way.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use domain::check::{Check, CheckSpec, ValueSource, Want};
use domain::evidence::Finding;
use domain::time::human_span;

use super::finding::{brief, failed, judge_value, passed, unknown};
use super::output::Output;
use super::values::{NoValue, Reading, read_value, usual_want};
use crate::runner::Exit;

/// Largest report that is read, bytes.
const REPORT_MAX: u64 = 64 << 20;
/// File times come from a coarser clock than ours, so they may seem this much too early.
const CLOCK_GRAIN_MS: u64 = 20;

/// Judges the command check `check` after its command has ended with `exit`.
///
/// `output` reads what it wrote (asked only when needed), `stack_dir` is the stack's directory, to which
/// the declaration's paths are relative, `started_at_ms` the start of the command in milliseconds
/// since 1970 UTC: a report that was not written since then does not count.
/// Never fails; what cannot be judged is Inconclusive. The texts quote the masked log and no report.
pub fn judge_command(
    check: &Check,
    exit: &Exit,
    output: &dyn Fn() -> io::Result<Output>,
    stack_dir: &Path,
    started_at_ms: u64,
) -> Finding {
    let CheckSpec::Command { cwd, value, inconclusive_exit, .. } = &check.spec else {
        return unknown("a command", "this check is no command", "Correct the declaration.");
    };
    let want = match (&check.want, value.as_ref().and_then(|v| v.format)) {
        (Some(want), _) => Some(want.clone()),
        (None, Some(format)) => usual_want(format).and_then(|text| text.parse().ok()),
        (None, None) => None,
    };
    let wanted = wanted(want.as_ref(), value.is_some());
    let code = match exit {
        Exit::Code(code) => *code,
        other => return ended_early(&wanted, other),
    };
    let output = output();
    let tail = output.as_ref().ok().and_then(Output::last);
    let last_words = tail.map_or(String::new(), |l| format!("; last line: “{}”", brief(&l.text, 160)));
    let see_log = match tail {
        Some(line) => format!("Open the run's log at line {}.", line.number),
        None => "The command wrote nothing; run it by hand in the stack's directory.".to_owned(),
    };
    if inconclusive_exit.contains(&code) {
        let saw = format!("exit code {code}, which is declared as “could not look”{last_words}");
        return unknown(wanted, saw, see_log);
    }
    let reading = value.as_ref().map(|source| {
        let dir = cwd.as_ref().map_or_else(|| stack_dir.to_owned(), |c| stack_dir.join(c));
        read(source, &output, &dir, started_at_ms)
    });
    let end = End { code, want: want.as_ref(), wanted, last_words, see_log };
    match reading {
        None => end.without_value(check, &output),
        Some(Ok((reading, place))) => end.with_reading(&reading, &place),
        Some(Err(none)) => end.without_reading(none),
    }
}

fn wanted(want: Option<&Want>, has_value: bool) -> String {
    match want {
        Some(want) => want.to_string(),
        None if has_value => "exit code 0 and a measured value".to_owned(),
        None => "exit code 0".to_owned(),
    }
}

/// The command did not end by itself: nobody knows what it would have found.
fn ended_early(wanted: &str, exit: &Exit) -> Finding {
    let next = match exit {
        Exit::Timeout => "Find out what it waits for, or give the check a longer timeout.",
        Exit::Cancelled { .. } => "Run it again.",
        Exit::OutputCap => "Make the command write less, then run it again.",
        Exit::DiskFull => "Free some disk space, then run it again.",
        Exit::NotStarted(_) => "Remove the obstacle, then run it again.",
        _ => "Look at the end of the run's log, then run it again.",
    };
    unknown(wanted, exit.to_string(), next)
}

/// An end by exit code, and the words about it.
struct End<'a> {
    code: i32,
    want: Option<&'a Want>,
    wanted: String,
    last_words: String,
    see_log: String,
}

impl End<'_> {
    fn without_value(self, check: &Check, output: &io::Result<Output>) -> Finding {
        let saw = format!("exit code {}{}", self.code, self.last_words);
        if self.code != 0 {
            let next = self.failure_hint();
            return failed(self.wanted, saw, next);
        }
        if check.want.is_some() {
            let saw = format!("exit code {}, and no value is declared to compare", self.code);
            return unknown(self.wanted, saw, "Say in the check where its value stands.");
        }
        if let Some(line) = output.as_ref().ok().and_then(ran_no_test) {
            let saw = format!("exit code 0, but no test ran: “{}”", brief(&line, 120));
            return unknown(self.wanted, saw, "Find out why the suite found no test to run.");
        }
        passed(self.wanted, saw)
    }

    fn with_reading(self, reading: &Reading, place: &str) -> Finding {
        let saw = format!("{}, {place}", reading.detail);
        if self.code == 0 {
            return judge_value(self.want, reading.value, reading.unit, saw, self.see_log);
        }
        let judged = judge_value(self.want, reading.value, reading.unit, saw, &*self.see_log);
        let met = judged.outcome == domain::evidence::Outcome::Pass && self.want.is_some();
        if met && reading.explains_exit {
            // The tool ends with an error because of what it counted, and the threshold allows that.
            let saw = format!("{}; exit code {} stands for just that", judged.saw, self.code);
            return Finding { saw, ..judged };
        }
        let saw = format!("exit code {}; {}{}", self.code, judged.saw, self.last_words);
        let wanted = format!("exit code 0 and {}", judged.wanted);
        let next = self.failure_hint();
        Finding { value: judged.value, ..failed(wanted, saw, next) }
    }

    fn without_reading(self, none: NoValue) -> Finding {
        let saw = format!("exit code {}; {}", self.code, none.saw);
        if self.code == 0 || none.did_not_look {
            return unknown(self.wanted, saw, none.next);
        }
        let next = self.failure_hint();
        failed(self.wanted, format!("{saw}{}", self.last_words), next)
    }

    fn failure_hint(&self) -> String {
        match self.code {
            126 | 127 => format!("A program it needs is missing or cannot be run. {}", self.see_log),
            _ => self.see_log.clone(),
        }
    }
}

/// Reads the declared value and says where it stood.
fn read(
    source: &ValueSource,
    output: &io::Result<Output>,
    dir: &Path,
    started_at_ms: u64,
) -> Result<(Reading, String), NoValue> {
    if let Some(file) = &source.file {
        let text = fresh_report(&dir.join(file), file, started_at_ms)?;
        return match read_value(source, &text) {
            Ok(reading) => Ok((reading, format!("file {file}"))),
            Err(none) => Err(NoValue { saw: format!("{file}: {}", none.saw), ..none }),
        };
    }
    let output = output.as_ref().map_err(|error| {
        NoValue::new(format!("the output could not be read ({})", error.kind()), "Run it again.")
    })?;
    let (text, rejoined) = match source.regex {
        Some(_) => (output.all(), None),
        None => (output.out(), output.out_rejoined()),
    };
    let reading = match (read_value(source, &text), rejoined) {
        (Err(none), Some(whole)) if !none.did_not_look => read_value(source, &whole).map_err(|_| none),
        (reading, _) => reading,
    };
    match reading {
        Ok(reading) => Ok((reading, "in the output".to_owned())),
        Err(none) if output.cut => {
            Err(NoValue { saw: format!("{} (only the end of the output was kept)", none.saw), ..none })
        }
        Err(none) => Err(NoValue { saw: format!("output: {}", none.saw), ..none }),
    }
}

/// The text of a report that the command wrote since it began.
fn fresh_report(path: &Path, name: &str, started_at_ms: u64) -> Result<String, NoValue> {
    let next = format!("Make the command write {name}, or correct value.file.");
    let found = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => NoValue::new(format!("there is no file {name}"), next.clone()),
        kind => NoValue::new(format!("{name} cannot be read ({kind})"), next.clone()),
    })?;
    if !found.is_file() {
        return Err(NoValue::new(format!("{name} is no regular file"), next));
    }
    let written = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let written_ms = written.as_ref().map(Duration::as_millis).and_then(|ms| u64::try_from(ms).ok());
    let Some(written_ms) = written_ms else {
        return Err(NoValue::new(format!("nobody knows when {name} was written"), next));
    };
    if written_ms + CLOCK_GRAIN_MS < started_at_ms {
        let before = human_span(started_at_ms - written_ms);
        return Err(NoValue::new(
            format!("{name} was not written by this run: it is {before} older"),
            format!("Find out why the command did not write {name} this time (a cache, a wrong path)."),
        ));
    }
    if found.len() > REPORT_MAX {
        return Err(NoValue::new(format!("{name} is larger than 64 MiB"), next));
    }
    let bytes = fs::read(path)
        .map_err(|error| NoValue::new(format!("{name} cannot be read ({})", error.kind()), next.clone()))?;
    String::from_utf8(bytes)
        .map_err(|_| NoValue::new(format!("{name} is not UTF-8 text"), "Write the report in UTF-8."))
}

/// The line in which a test runner says that it found nothing to run, unless another line tells of
/// tests that did run.
fn ran_no_test(output: &Output) -> Option<String> {
    const NOTHING: [&str; 5] = [
        "no test files found",
        "no tests found",
        "no tests ran",
        "no test specified",
        "no tests were executed",
    ];
    let mut nothing = None;
    for line in &output.lines {
        let text = line.text.to_lowercase();
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
        let ran = words
            .windows(2)
            .any(|w| w[0].parse::<u64>().is_ok_and(|n| n > 0) && matches!(w[1], "passed" | "passing"));
        if ran {
            return None;
        }
        if nothing.is_none() && NOTHING.iter().any(|n| text.contains(n)) {
            nothing = Some(line.text.clone());
        }
    }
    nothing
}
