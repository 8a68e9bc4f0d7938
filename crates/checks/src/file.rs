//! A file that must exist, be recent, and not be empty.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use domain::check::CheckSpec;
use domain::evidence::Finding;
use domain::pattern::fits;
use domain::time::{human_span, parse_span};

use super::finding::{failed, judge_value, passed, unknown, with_value};
use super::probe::Probe;

pub(super) fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::File { path, min_bytes, max_age } = &probe.work.check.spec else {
        return unknown("a file", "this is not a file check", "Correct the check in stagegate.toml.");
    };
    let least = min_bytes.unwrap_or(1);
    let mut wanted = format!("{path} with at least {least} {}", if least == 1 { "byte" } else { "bytes" });
    let max_age_ms = match max_age.as_deref().map(|text| (text, parse_span(text))) {
        None => None,
        Some((text, Some(ms))) => {
            wanted.push_str(&format!(", at most {text} old"));
            Some(ms)
        }
        Some((text, None)) => {
            return unknown(wanted, format!("“{text}” is not a duration"), "Write `max_age` as 24h or 14d.");
        }
    };
    probe.say(&format!("Checking file {path}."));
    let found = match newest(probe.work.stack.dir(), path) {
        Ok(Some(found)) => found,
        Ok(None) => {
            return failed(wanted, format!("{path} does not exist"), "Run the step that writes this file.");
        }
        Err(error) => {
            let saw = format!("{path} cannot be read ({})", error.kind());
            return unknown(wanted, saw, "Correct the path or its permissions.");
        }
    };
    judge(probe, &found, wanted, least, max_age_ms)
}

fn judge(probe: &Probe<'_>, found: &Found, wanted: String, least: u64, max_age_ms: Option<u64>) -> Finding {
    let name = &found.name;
    let size = found.about.len();
    let age = found.about.modified().ok().map(|t| SystemTime::now().duration_since(t).unwrap_or_default());
    let age_ms = age.and_then(|age| u64::try_from(age.as_millis()).ok());
    let Some(age_ms) = age_ms else {
        return unknown(
            wanted,
            format!("the modification time of {name} is unknown"),
            "Write the file again.",
        );
    };
    let saw = format!("{name}, {size} bytes, {} old", human_span(age_ms));
    let again = "Run the step that writes this file again.";
    if size < least || max_age_ms.is_some_and(|most| age_ms > most) {
        return with_value(failed(wanted, saw, again), size as f64);
    }
    match &probe.work.check.want {
        Some(want) => judge_value(Some(want), size as f64, "bytes", saw, again),
        None => with_value(passed(wanted, saw), size as f64),
    }
}

pub(super) struct Found {
    /// Relative to where the search began.
    pub(super) name: String,
    pub(super) about: Metadata,
}

/// The newest regular file that matches `pattern`: a path whose last part may contain `*` for any text.
pub(super) fn newest(dir: &Path, pattern: &str) -> io::Result<Option<Found>> {
    let whole = Path::new(pattern);
    let last = whole.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !last.contains('*') {
        return about(&dir.join(whole), pattern.to_owned());
    }
    let parent = whole.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let entries = match fs::read_dir(dir.join(&parent)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut newest: Option<Found> = None;
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // As in a shell, hidden files match only when the pattern starts with a dot.
        if !fits(last, &name) || (name.starts_with('.') && !last.starts_with('.')) {
            continue;
        }
        let Some(found) = about(&entry.path(), parent.join(&name).display().to_string())? else { continue };
        let later = |old: &Found| found.about.modified().ok() > old.about.modified().ok();
        if newest.as_ref().is_none_or(later) {
            newest = Some(found);
        }
    }
    Ok(newest)
}

fn about(path: &Path, name: String) -> io::Result<Option<Found>> {
    match fs::metadata(path) {
        Ok(about) if about.is_file() => Ok(Some(Found { name, about })),
        Ok(_) => Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_text() {
        for (pattern, name) in [
            ("*", ""),
            ("*.dump", "a.dump"),
            ("a*b*c", "a1b2c"),
            ("a*", "a"),
            ("*x*", "axb"),
            ("a*a", "aa"),
            ("x", "x"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.dump", "a.sql"), ("a*a", "a"), ("a*b*c", "acb"), ("x", "xy"), ("*ab*ab", "ab")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
