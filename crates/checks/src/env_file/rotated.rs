//! When secrets were last rotated, according to the declared dates.
//!
//! No file records when a secret was rotated. So the date is declared and bound to the digest of the check. The
//! check tests whether the env file contradicts it: a file that was last written before that date cannot
//! contain a secret of that date.

use std::fs;
use std::time::UNIX_EPOCH;

use domain::check::CheckSpec;
use domain::evidence::Finding;
use domain::time::{DAY_MS, Millis, human_span, parse_span};

use super::super::finding::{count_of, failed, names, passed, unknown, with_value};
use super::super::probe::Probe;
use super::Subject;
use system::clock::now_ms;

pub(super) async fn judge(file: &Subject, probe: &Probe<'_>) -> Finding {
    let CheckSpec::EnvFile { keys, rotated, max_age, .. } = &probe.work.check.spec else {
        return unknown(
            "an env file",
            "this is not an env file check",
            "Correct the check in stagegate.toml.",
        );
    };
    let Some((most, most_ms)) = max_age.as_deref().and_then(|text| Some((text, parse_span(text)?))) else {
        return unknown(
            "secrets rotated recently",
            "the check declares no maximum age",
            "Set max_age = \"90d\" in the check.",
        );
    };
    let wanted = format!("secrets rotated within {most}");
    let env = match file.values(&wanted).await {
        Ok(env) => env,
        Err(found) => return found,
    };
    let undated: Vec<&String> = keys.iter().filter(|key| !rotated.contains_key(*key)).collect();
    if rotated.is_empty() || !undated.is_empty() {
        let saw = if undated.is_empty() {
            "no rotation date is declared".to_owned()
        } else {
            format!("no rotation date is declared for {}", names(undated))
        };
        return unknown(
            wanted,
            saw,
            "Declare the date of the last rotation: rotated = { JWT_SECRET = \"2026-10-01\" }.",
        );
    }
    let written =
        file.source.own_file().and_then(|path| fs::metadata(path).and_then(|about| about.modified()).ok());
    let written = written.and_then(|at| u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok());
    let (mut bad, mut oldest) = (vec![], 0);
    for (key, text) in rotated {
        let day = Millis::start_of_day(text).and_then(|day| u64::try_from(day.0).ok());
        let Some(day) = day else {
            return unknown(wanted, format!("“{text}” is not a date"), "Write dates as 2026-10-01.");
        };
        if env.get(key).unwrap_or_default().trim().is_empty() {
            bad.push(format!("{key} is missing or empty"));
            continue;
        }
        let Some(age) = now_ms().checked_sub(day) else {
            bad.push(format!("{key} has the rotation date {text}, which is in the future"));
            continue;
        };
        oldest = oldest.max(age);
        if age > most_ms {
            bad.push(format!("{key} was rotated {} ago", human_span(age)));
        } else if written.is_some_and(|written| written < day) {
            bad.push(format!(
                "{key} has the rotation date {text}, but {} was last written before that",
                file.shown
            ));
        }
    }
    let days = (oldest / DAY_MS) as f64;
    if bad.is_empty() {
        let saw = format!(
            "{}, oldest rotation {} ago",
            count_of(rotated.len(), "secret", "secrets"),
            human_span(oldest)
        );
        return with_value(passed(wanted, saw), days);
    }
    with_value(failed(wanted, names(bad), "Rotate these secrets, deploy, and declare the new date."), days)
}
