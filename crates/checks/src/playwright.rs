//! Playwright's JSON report: how many tests ran, passed, and passed only on retry.
//!
//! The tests themselves are counted. The totals under `stats` must match.

use serde_json::Value;

use super::finding::{brief, count_of, figure};
use super::reports::number;
use super::values::{NoValue, Reading};

#[derive(Default, Debug, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    flaky: u64,
    skipped: u64,
    interrupted: u64,
}

const NEXT: &str = "Run Playwright with --reporter=json and point the check at its report.";

/// Per cent of tests passed, among those that ran. A test that failed first and passed on
/// retry counts as passed, as for Playwright itself, and is reported as flaky.
pub(super) fn passed(documents: &[Value]) -> Result<Reading, NoValue> {
    let tally = tally(documents)?;
    let passed = tally.passed + tally.flaky;
    let ran = passed + tally.failed;
    // Up to 2^53 tests the division is exact enough for any threshold.
    let value = passed as f64 * 100.0 / ran as f64;
    Ok(Reading {
        value,
        unit: "%",
        detail: format!("{passed} of {ran} tests passed ({} %{})", figure(value), tally.rest()),
        explains_exit: tally.failed > 0,
    })
}

/// Number of tests that failed first and passed on retry.
pub(super) fn flaky(documents: &[Value]) -> Result<Reading, NoValue> {
    let tally = tally(documents)?;
    let ran = tally.passed + tally.flaky + tally.failed;
    Ok(Reading {
        value: tally.flaky as f64,
        unit: "tests",
        detail: format!("{} of {ran} tests passed only on retry", tally.flaky),
        // Playwright can be configured to fail because of them.
        explains_exit: tally.flaky > 0 && tally.failed == 0,
    })
}

impl Tally {
    fn rest(&self) -> String {
        let part = |n: u64, word: &str| if n == 0 { String::new() } else { format!(", {n} {word}") };
        format!("{}{}", part(self.flaky, "flaky"), part(self.skipped, "skipped"))
    }

    fn take(&mut self, suite: &Value) {
        let list =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        for inner in list(suite, "suites") {
            self.take(&inner);
        }
        for spec in list(suite, "specs") {
            for test in list(&spec, "tests") {
                let results = list(&test, "results");
                let status = |of: &Value| of.get("status").and_then(Value::as_str).map(str::to_owned);
                if results.iter().filter_map(status).any(|s| s == "interrupted") {
                    self.interrupted += 1;
                }
                match status(&test).as_deref() {
                    Some("expected") => self.passed += 1,
                    Some("flaky") => self.flaky += 1,
                    Some("skipped") => self.skipped += 1,
                    _ => self.failed += 1,
                }
            }
        }
    }
}

fn tally(documents: &[Value]) -> Result<Tally, NoValue> {
    let mut reports = documents.iter().filter(|d| {
        d.get("suites").is_some_and(Value::is_array) && d.get("stats").is_some_and(Value::is_object)
    });
    let Some(report) = reports.next() else {
        return Err(NoValue::new("no Playwright JSON report found", NEXT));
    };
    if reports.next().is_some() {
        let next = "Write each report to a separate file and set `value.file` to it.";
        return Err(NoValue::new("more than one Playwright report found", next));
    }
    let mut tally = Tally::default();
    tally.take(report);
    let errors = report.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let ran = tally.passed + tally.failed + tally.flaky;
    if let Some(error) = errors.first() {
        let message = error.get("message").and_then(Value::as_str).unwrap_or("no message");
        if ran == 0 && message.contains("No tests found") {
            return Err(no_test(&tally));
        }
        let saw = format!(
            "{} outside of tests: {}",
            count_of(errors.len(), "error", "errors"),
            brief(&plain(message), 160)
        );
        return Err(NoValue::new(
            saw,
            "Check the output of the suite. A test file may not have been loaded.",
        ));
    }
    if tally.interrupted > 0 {
        let saw = format!("the run was interrupted (tests: {})", tally.interrupted);
        return Err(NoValue::new(saw, "Run the suite again to its end."));
    }
    let stats =
        ["expected", "unexpected", "flaky", "skipped"].map(|key| number(report, &format!("/stats/{key}")));
    let counted = [tally.passed, tally.failed, tally.flaky, tally.skipped].map(|n| Some(n as f64));
    if stats != counted {
        let next = "Check the output of the suite. The run may have been aborted, or the report changed.";
        return Err(NoValue::new("the totals of the report differ from its list of tests", next));
    }
    if ran == 0 {
        return Err(no_test(&tally));
    }
    Ok(tally)
}

fn no_test(tally: &Tally) -> NoValue {
    let saw = match tally.skipped {
        0 => "the suite ran no test".to_owned(),
        n => format!("the suite ran no test; {n} skipped"),
    };
    NoValue::did_not_look(saw, "Find out why the suite found no tests to run.")
}

/// A message without the colour codes of Playwright.
fn plain(message: &str) -> String {
    let mut out = String::new();
    let mut rest = message;
    while let Some(at) = rest.find('\u{1b}') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = rest.find('m').map_or("", |end| &rest[end + 1..]);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn report(expected: usize, unexpected: usize, flaky: usize, skipped: usize) -> Value {
        let one = |status: &str| json!({ "ok": true, "tests": [{ "status": status, "results": [{ "status": "passed" }] }] });
        let specs: Vec<Value> =
            [("expected", expected), ("unexpected", unexpected), ("flaky", flaky), ("skipped", skipped)]
                .iter()
                .flat_map(|(status, n)| std::iter::repeat_n(one(status), *n))
                .collect();
        let (outer, inner) = specs.split_at(specs.len() / 2);
        json!({
            "config": {}, "errors": [],
            "suites": [{ "title": "a.spec.ts", "specs": outer, "suites": [{ "title": "b", "specs": inner }] }],
            "stats": { "duration": 1, "expected": expected, "unexpected": unexpected, "flaky": flaky, "skipped": skipped },
        })
    }

    #[test]
    fn tests_are_counted_and_flaky_ones_reported() {
        let all = [report(18, 1, 1, 2)];
        let reading = passed(&all).unwrap();
        assert_eq!((reading.value, reading.explains_exit), (95.0, true));
        assert_eq!(reading.detail, "19 of 20 tests passed (95 %, 1 flaky, 2 skipped)");
        let reading = flaky(&all).unwrap();
        assert_eq!((reading.value, reading.explains_exit), (1.0, false));
        assert_eq!(flaky(&[report(3, 0, 0, 0)]).unwrap().value, 0.0);
    }

    #[test]
    fn a_report_of_an_incomplete_run_has_no_number() {
        assert!(passed(&[report(0, 0, 0, 3)]).unwrap_err().did_not_look);
        let none = json!({ "suites": [], "errors": [{ "message": "Error: No tests found" }],
            "stats": { "expected": 0, "unexpected": 0, "flaky": 0, "skipped": 0 } });
        assert!(passed(&[none]).unwrap_err().did_not_look);
        let mut broken = report(3, 0, 0, 0);
        broken["errors"] = json!([{ "message": "\u{1b}[31mSyntaxError\u{1b}[39m: x" }]);
        assert!(passed(&[broken]).unwrap_err().saw.contains("outside of tests: SyntaxError: x"));
        let mut lying = report(3, 1, 0, 0);
        lying["stats"]["unexpected"] = json!(0);
        assert!(passed(&[lying]).unwrap_err().saw.contains("differ from its list"));
        let mut cut = report(1, 0, 0, 0);
        cut["suites"][0]["suites"][0]["specs"][0]["tests"][0]["results"][0]["status"] = json!("interrupted");
        assert!(passed(&[cut]).unwrap_err().saw.contains("interrupted"));
        assert!(passed(&[]).is_err() && passed(&[report(1, 0, 0, 0), report(1, 0, 0, 0)]).is_err());
    }
}
