//! Constructors of findings, so that all kinds of check report in the same form.

use domain::check::Want;
use domain::evidence::{Finding, Outcome};

/// The check was evaluated and the result is as expected.
pub(super) fn passed(wanted: impl Into<String>, saw: impl Into<String>) -> Finding {
    finding(Outcome::Pass, wanted.into(), saw.into(), String::new())
}

/// The check was evaluated and the result is not as expected.
pub(super) fn failed(wanted: impl Into<String>, saw: impl Into<String>, next: impl Into<String>) -> Finding {
    finding(Outcome::Fail, wanted.into(), saw.into(), next.into())
}

/// The check could not be evaluated.
pub(super) fn unknown(wanted: impl Into<String>, saw: impl Into<String>, next: impl Into<String>) -> Finding {
    finding(Outcome::Inconclusive, wanted.into(), saw.into(), next.into())
}

fn finding(outcome: Outcome, wanted: String, saw: String, next: String) -> Finding {
    Finding { outcome, value: None, saw, wanted, next }
}

/// The finding with a measured value.
pub(super) fn with_value(mut finding: Finding, value: f64) -> Finding {
    // NaN and infinity are dropped: JSON cannot express them and no threshold accepts them.
    finding.value = value.is_finite().then_some(value);
    finding
}

/// Judges a value measured in `unit` (`""`: the unit of the threshold).
///
/// `saw` says what was measured, `next` what to do when it is out of range. Without a threshold, the
/// measurement itself is enough to pass.
pub(super) fn judge_value(
    want: Option<&Want>,
    value: f64,
    unit: &str,
    saw: impl Into<String>,
    next: impl Into<String>,
) -> Finding {
    let saw = saw.into();
    let Some(want) = want else {
        return with_value(passed("a measured value", saw), value);
    };
    let Some(value) = in_unit(value, unit, &want.unit) else {
        return unknown(
            want.to_string(),
            format!("{saw}; measured in {unit}, but the threshold is in {}", want.unit),
            format!("Write the threshold of the check in {unit}."),
        );
    };
    let found = if want.is_met_by(value) {
        passed(want.to_string(), saw)
    } else {
        failed(want.to_string(), saw, next)
    };
    with_value(found, value)
}

/// Judges a value that has the unit of the threshold. Without a threshold, any value passes.
pub(super) fn judge_value_in(want: Option<&Want>, value: f64, saw: String, next: &str) -> Finding {
    judge_value(want, value, "", saw, next)
}

/// `value`, measured in `from`, in the unit `to`; `None` when the units cannot be converted.
pub(super) fn in_unit(value: f64, from: &str, to: &str) -> Option<f64> {
    let (from, to) = (from.trim(), to.trim());
    if from.is_empty() || to.is_empty() || from == to {
        return Some(value);
    }
    let (from_kind, from_size) = size_of(from)?;
    let (to_kind, to_size) = size_of(to)?;
    (from_kind == to_kind).then(|| value * from_size / to_size)
}

/// What a unit measures, and how many of the smallest unit it holds. Unknown units are counts of
/// something; they are only comparable with each other.
fn size_of(unit: &str) -> Option<(&'static str, f64)> {
    Some(match unit {
        "ms" => ("time", 1.0),
        "s" => ("time", 1_000.0),
        "min" => ("time", 60_000.0),
        "h" => ("time", 3_600_000.0),
        "d" => ("time", 86_400_000.0),
        "B" | "bytes" => ("size", 1.0),
        "kB" | "KB" => ("size", 1e3),
        "MB" => ("size", 1e6),
        "GB" => ("size", 1e9),
        "KiB" => ("size", 1_024.0),
        "MiB" => ("size", 1_048_576.0),
        "GiB" => ("size", 1_073_741_824.0),
        "%" => ("share", 1.0),
        _ => ("count", 1.0),
    })
}

/// A number for display: at most two decimals, no trailing zeros.
pub(super) fn figure(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    // Rounding must not turn 64.999 into 65 when 65 is expected.
    let rounded: f64 = text.parse().unwrap_or(value);
    if (rounded - value).abs() > 1e-9 && rounded == value.round() {
        return format!("{value}");
    }
    text.to_owned()
}

/// The text on one line, cut to at most `most` characters.
pub(super) fn brief(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let mut cut: String = line.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A count with its noun: `1 request`, `2 requests`.
pub(super) fn count_of(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Up to five names, and how many more there are.
pub(super) fn names<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let all: Vec<String> = items.into_iter().map(|item| item.as_ref().to_owned()).collect();
    let shown = all.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(5) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_judged_in_the_unit_of_the_threshold() {
        let want: Want = "< 1 s".parse().unwrap();
        let found = judge_value(Some(&want), 640.0, "ms", "p95 640 ms", "");
        assert_eq!((found.outcome, found.value), (Outcome::Pass, Some(0.64)));
        let found = judge_value(Some(&want), 3.0, "%", "3 %", "");
        assert_eq!((found.outcome, found.value), (Outcome::Inconclusive, None));
        let none: Want = "== 0 criticals".parse().unwrap();
        assert_eq!(judge_value(Some(&none), 1.0, "vulnerabilities", "1", "").outcome, Outcome::Fail);
    }

    #[test]
    fn nan_never_passes() {
        for text in [">= 0", "<= 0", "== 0", "< 1", "> -1"] {
            let want: Want = text.parse().unwrap();
            let found = judge_value(Some(&want), f64::NAN, "", "?", "");
            assert_eq!((found.outcome, found.value), (Outcome::Fail, None), "{text}");
        }
    }

    #[test]
    fn numbers_are_short_and_never_rounded_to_the_threshold() {
        assert_eq!(figure(71.2), "71.2");
        assert_eq!(figure(100.0), "100");
        assert_eq!(figure(2.0 / 3.0), "0.67");
        assert_eq!(figure(64.999), "64.999");
        assert_eq!(figure(0.0), "0");
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        assert_eq!(names(["a", "b"]), "a, b");
        assert_eq!(names(["1", "2", "3", "4", "5", "6", "7"]), "1, 2, 3, 4, 5 and 2 more");
        assert_eq!(brief("a\n  b", 10), "a b");
        assert_eq!(brief("abcdef", 4), "abc…");
        assert_eq!(
            (count_of(1, "test", "tests"), count_of(0, "test", "tests")),
            ("1 test".into(), "0 tests".into())
        );
    }
}
