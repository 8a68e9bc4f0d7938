//! Judges a command check by its exit code and its measured values.
//!
//! Separate from running the command, because a step that a user ran from its page is judged in the same way.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use domain::check::{Check, CheckSpec, ValueSource, Want};
use domain::evidence::{Finding, Outcome};
use domain::time::human_span;

use super::finding::{brief, failed, judge_value, passed, unknown};
use super::must_not_contain::{self, Look};
use super::output::Output;
use super::suites::ran_no_test;
use super::values::{NoValue, Reading, is_words, read_value, usual_want};
use runner::Exit;
use system::files::read_bounded;

/// Largest report that is read, bytes.
const REPORT_MAX: usize = 64 << 20;
/// File times come from a coarser clock, so they may be too early by this much.
const CLOCK_GRAIN_MS: u64 = 20;

/// Judges the command check `check` after its command has ended with `exit`.
///
/// `output` reads what it wrote (called only when needed), `stack_dir` is the stack's directory, to which
/// the paths in the check are relative, `started_at_ms` the start of the command in milliseconds
/// since 1970 UTC: a report that was written earlier does not count.
/// Never fails; what cannot be judged is Inconclusive. The texts quote the masked log, never a report.
pub fn judge_command(
    check: &Check,
    exit: &Exit,
    output: &dyn Fn() -> io::Result<Output>,
    stack_dir: &Path,
    started_at_ms: u64,
) -> Finding {
    let CheckSpec::Command { cwd, value, inconclusive_exit, .. } = &check.spec else {
        return unknown("a command", "this is not a command check", "Correct the check in stagegate.toml.");
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
        None => "The command wrote no output. Run it by hand in the stack's directory.".to_owned(),
    };
    if inconclusive_exit.contains(&code) {
        let saw = format!("exit code {code}, which the check declares as inconclusive{last_words}");
        return unknown(wanted, saw, see_log);
    }
    let dir = cwd.as_ref().map_or_else(|| stack_dir.to_owned(), |c| stack_dir.join(c));
    let end = End { code, want: want.as_ref(), wanted, last_words, see_log };
    // A suite that ran no test has no result, whatever its output contains.
    let nothing = output.as_ref().ok().and_then(ran_no_test);
    let Some(source) = value else { return end.without_value(check, nothing) };
    let text = text_of(source, &output, &dir, started_at_ms);
    if end.want.is_some_and(Want::is_absent) {
        return end.absent(text.and_then(|text| text.look(source)));
    }
    let reading =
        text.and_then(|text| Ok((text.read_with(|found| read_value(source, found))?, text.place.clone())));
    match reading {
        Ok((reading, place)) => {
            let found = end.with_reading(&reading, &place);
            match nothing.filter(|_| source.format.is_none() && found.outcome == Outcome::Pass) {
                Some(line) => no_test(found.wanted, &format!("{}, but", found.saw), &line),
                None => found,
            }
        }
        Err(none) => end.without_reading(none),
    }
}

fn no_test(wanted: String, before: &str, line: &str) -> Finding {
    let saw = format!("{before} no test ran: “{line}”");
    unknown(wanted, saw, "Find out why the suite found no tests to run.")
}

/// The expected result of a command check as text.
fn wanted(want: Option<&Want>, has_value: bool) -> String {
    match want {
        Some(want) if want.is_absent() => "exit code 0, and the searched text or value is absent".to_owned(),
        Some(want) => want.to_string(),
        None if has_value => "exit code 0 and a measured value".to_owned(),
        None => "exit code 0".to_owned(),
    }
}

/// The command was stopped before its end, so its result is unknown.
pub(super) fn ended_early(wanted: &str, exit: &Exit) -> Finding {
    let next = match exit {
        Exit::Timeout => "Find out what the command waits for, or give the check a longer timeout.",
        Exit::Cancelled { .. } => "Run the check again.",
        Exit::OutputCap => "Make the command write less output, then run the check again.",
        Exit::DiskFull => "Free disk space, then run the check again.",
        Exit::NotStarted(_) => "Fix the cause, then run the check again.",
        _ => "Read the end of the run's log, then run the check again.",
    };
    unknown(wanted, exit.to_string(), next)
}

/// A command that ended with an exit code, and the texts about it.
struct End<'a> {
    code: i32,
    want: Option<&'a Want>,
    wanted: String,
    last_words: String,
    see_log: String,
}

impl End<'_> {
    fn without_value(self, check: &Check, nothing: Option<String>) -> Finding {
        let saw = format!("exit code {}{}", self.code, self.last_words);
        if let Some(line) = nothing {
            return no_test(self.wanted, &format!("exit code {}, but", self.code), &line);
        }
        if self.code != 0 {
            let next = self.failure_hint();
            return failed(self.wanted, saw, next);
        }
        if check.want.is_some() {
            let saw = format!("exit code {}, but the check declares no value to compare", self.code);
            return unknown(self.wanted, saw, "Add `value` to the check: where to read the measured value.");
        }
        passed(self.wanted, saw)
    }

    fn absent(self, look: Result<Look, NoValue>) -> Finding {
        match look {
            Ok(Look::Something(what)) => failed(self.wanted, format!("found {what}"), self.see_log),
            Ok(Look::Nothing(what)) if self.code == 0 => passed(self.wanted, what),
            Ok(Look::Nothing(what)) => {
                let saw = format!("{what}, but exit code {}{}", self.code, self.last_words);
                let next = self.failure_hint();
                failed(self.wanted, saw, next)
            }
            Err(none) => self.without_reading(none),
        }
    }

    fn with_reading(self, reading: &Reading, place: &str) -> Finding {
        let saw = format!("{}, {place}", reading.detail);
        if self.code == 0 {
            return judge_value(self.want, reading.value, reading.unit, saw, self.see_log);
        }
        let judged = judge_value(self.want, reading.value, reading.unit, saw, &*self.see_log);
        let met = judged.outcome == Outcome::Pass && self.want.is_some();
        if met && reading.explains_exit {
            // The tool reports an error because of what it counted, and the threshold allows that.
            let saw = format!("{}; exit code {} has the same cause", judged.saw, self.code);
            return Finding { saw, ..judged };
        }
        let saw = format!("exit code {}; {}{}", self.code, judged.saw, self.last_words);
        let wanted = format!("exit code 0 and {}", judged.wanted);
        let next = self.failure_hint();
        Finding { value: judged.value, ..failed(wanted, saw, next) }
    }

    fn without_reading(self, none: NoValue) -> Finding {
        if none.is_bad {
            // The report is a failure whatever the exit code.
            return failed(self.wanted, none.saw, none.next);
        }
        let saw = format!("exit code {}; {}", self.code, none.saw);
        if self.code == 0 || none.did_not_look {
            return unknown(self.wanted, saw, none.next);
        }
        let next = self.failure_hint();
        failed(self.wanted, format!("{saw}{}", self.last_words), next)
    }

    fn failure_hint(&self) -> String {
        match self.code {
            126 | 127 => {
                format!("A program that the command needs is missing or cannot be executed. {}", self.see_log)
            }
            _ => self.see_log.clone(),
        }
    }
}

/// The text in which a value is searched.
pub(super) struct Text {
    /// The text.
    pub(super) text: String,
    /// The same text with split lines joined, see [`Output::out_rejoined`].
    rejoined: Option<String>,
    /// Where it was found, as text for the end of a sentence.
    pub(super) place: String,
    /// The same for the beginning of a sentence.
    whose: String,
    /// Whether its beginning is missing.
    cut: bool,
}

impl Text {
    /// Reads a value from it; the error names the place that was searched.
    pub(super) fn read_with(
        &self,
        read: impl Fn(&str) -> Result<Reading, NoValue>,
    ) -> Result<Reading, NoValue> {
        let reading = match (read(&self.text), &self.rejoined) {
            (Err(none), Some(whole)) if !none.did_not_look => read(whole).map_err(|_| none),
            (reading, _) => reading,
        };
        let cut = if self.cut { " (only the end of the output was kept)" } else { "" };
        reading.map_err(|none| NoValue { saw: format!("{}: {}{cut}", self.whose, none.saw), ..none })
    }

    /// Searches for what must be absent.
    fn look(&self, source: &ValueSource) -> Result<Look, NoValue> {
        let next = "Make the command write less output, or write to a file.";
        if self.cut {
            return Err(NoValue::new("only the end of the output was kept", next));
        }
        if source.file.is_some() && self.text.trim().is_empty() {
            return Err(NoValue::new(format!("{}: the file is empty", self.whose), "Run the check again."));
        }
        let look = match (must_not_contain::look(source, &self.text), &self.rejoined) {
            (Err(none), Some(whole)) => must_not_contain::look(source, whole).map_err(|_| none),
            (look, _) => look,
        };
        look.map(|look| match look {
            Look::Nothing(what) => Look::Nothing(format!("{what}, {}", self.place)),
            Look::Something(what) => Look::Something(format!("{what}, {}", self.place)),
        })
        .map_err(|none| NoValue { saw: format!("{}: {}", self.whose, none.saw), ..none })
    }
}

/// The text that `source` points to: a report that the command wrote after `started_at_ms`, else its output.
pub(super) fn text_of(
    source: &ValueSource,
    output: &io::Result<Output>,
    dir: &Path,
    started_at_ms: u64,
) -> Result<Text, NoValue> {
    if let Some(file) = &source.file {
        let text = fresh_report(&dir.join(file), file, started_at_ms)?;
        return Ok(Text {
            text,
            rejoined: None,
            place: format!("file {file}"),
            whose: file.clone(),
            cut: false,
        });
    }
    let output = output.as_ref().map_err(|error| {
        NoValue::new(format!("the output could not be read ({})", error.kind()), "Run the check again.")
    })?;
    // Documents are written to standard output; messages may be on both streams.
    let words = source.pointer.is_none() && source.format.is_none_or(is_words);
    let (text, rejoined) = if words { (output.all(), None) } else { (output.out(), output.out_rejoined()) };
    Ok(Text {
        text,
        rejoined,
        place: "in the output".to_owned(),
        whose: "output".to_owned(),
        cut: output.cut,
    })
}

/// The text of a report that the command wrote after its start.
fn fresh_report(path: &Path, name: &str, started_at_ms: u64) -> Result<String, NoValue> {
    let next = format!("Make the command write {name}, or correct `value.file`.");
    let found = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => NoValue::new(format!("file {name} does not exist"), next.clone()),
        kind => NoValue::new(format!("{name} cannot be read ({kind})"), next.clone()),
    })?;
    if !found.is_file() {
        return Err(NoValue::new(format!("{name} is not a regular file"), next));
    }
    let written = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let written_ms = written.as_ref().map(Duration::as_millis).and_then(|ms| u64::try_from(ms).ok());
    let Some(written_ms) = written_ms else {
        return Err(NoValue::new(format!("the modification time of {name} is unknown"), next));
    };
    if written_ms + CLOCK_GRAIN_MS < started_at_ms {
        let before = human_span(started_at_ms - written_ms);
        return Err(NoValue::new(
            format!("{name} was not written by this run: it is {before} older than the run"),
            format!("Find out why the command did not write {name} (a cache, a wrong path)."),
        ));
    }
    let bytes = read_bounded(path, REPORT_MAX).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => NoValue::new(format!("{name} is larger than 64 MiB"), next.clone()),
        kind => NoValue::new(format!("{name} cannot be read ({kind})"), next.clone()),
    })?;
    String::from_utf8(bytes)
        .map_err(|_| NoValue::new(format!("{name} is not UTF-8 text"), "Write the report in UTF-8."))
}
