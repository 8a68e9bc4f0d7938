//! Idempotence: the second run of a command must change nothing.

use std::io;
use std::path::Path;

use domain::check::{Twice, ValueSource};
use domain::evidence::Finding;

use super::finding::{brief, failed, passed, unknown};
use super::judge::{ended_early, text_of};
use super::output::Output;
use super::values::{by_pattern, read_value};
use runner::Exit;

/// The expected result as text.
pub(super) fn wanted(twice: &Twice) -> String {
    let says = match (&twice.pointer, &twice.regex, &twice.says) {
        (Some(pointer), _, _) => format!("{pointer} is 0"),
        (_, Some(regex), _) => format!("“{}” finds 0", brief(regex, 60)),
        (_, _, Some(says)) => format!("“{}” found", brief(says, 60)),
        _ => "as reported by the command".to_owned(),
    };
    format!("exit code 0 twice, and the second run changes nothing ({says})")
}

/// Judges the second run, after the first one passed.
pub(super) fn judge(
    twice: &Twice,
    exit: &Exit,
    output: &io::Result<Output>,
    dir: &Path,
    started_at_ms: u64,
) -> Finding {
    let wanted = wanted(twice);
    let code = match exit {
        Exit::Code(code) => *code,
        other => return ended_early(&wanted, other),
    };
    let last = output.as_ref().ok().and_then(Output::last);
    let see_log = match last {
        Some(line) => format!("Open the run's log at line {}.", line.number),
        None => "Run the command twice by hand in the stack's directory.".to_owned(),
    };
    let last = last.map_or(String::new(), |l| format!("; last line: “{}”", brief(&l.text, 160)));
    if code != 0 {
        let next = format!("Make the command safe to repeat. {see_log}");
        return failed(wanted, format!("the second run ended with exit code {code}{last}"), next);
    }
    let source = ValueSource {
        file: twice.file.clone(),
        pointer: twice.pointer.clone(),
        regex: twice.regex.clone(),
        format: None,
    };
    let text = match text_of(&source, output, dir, started_at_ms) {
        Ok(text) => text,
        Err(none) => return unknown(wanted, format!("second run: {}", none.saw), none.next),
    };
    if let Some(says) = &twice.says {
        return match by_pattern(says) {
            Err(none) => unknown(wanted, none.saw, none.next),
            Ok(_) if text.text.trim().is_empty() => {
                unknown(wanted, "the second run wrote no output", "Make the command report what it changed.")
            }
            Ok(regex) => match regex.find(&text.text) {
                Some(found) if twice.file.is_none() => {
                    passed(wanted, format!("second run reports “{}”", brief(found.as_str(), 120)))
                }
                Some(_) => passed(wanted, format!("second run reports no change, {}", text.place)),
                None => failed(
                    wanted,
                    format!("the second run does not report “{}”{last}", brief(says, 60)),
                    format!("Make the command safe to repeat, or correct `idempotence.contains`. {see_log}"),
                ),
            },
        };
    }
    if twice.pointer.is_none() && twice.regex.is_none() {
        let next = "Add one of pointer, regex and contains to `idempotence`.";
        return unknown(wanted, "the check does not declare how to detect a change", next);
    }
    match text.read_with(|text| read_value(&source, text)) {
        Err(none) => unknown(wanted, format!("second run: {}", none.saw), none.next),
        Ok(reading) if reading.value == 0.0 => {
            let saw = format!("the second run changed nothing: {}, {}", reading.detail, text.place);
            Finding { value: Some(0.0), ..passed(wanted, saw) }
        }
        Ok(reading) => {
            let saw = format!("the second run changed something: {}, {}", reading.detail, text.place);
            let next = format!("Make the command safe to repeat. {see_log}");
            Finding { value: Some(reading.value), ..failed(wanted, saw, next) }
        }
    }
}
