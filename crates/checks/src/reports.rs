//! Report formats in JSON: coverage, npm audit, autocannon.
//!
//! Each reads all JSON documents; if several are of its kind, the worst value counts.

use serde_json::Value;

use super::finding::figure;
use super::values::{NoValue, Reading, number_of};

/// The number at a pointer.
pub(super) fn number(document: &Value, pointer: &str) -> Option<f64> {
    document.pointer(pointer).and_then(number_of)
}

/// A count: not negative, and 0 when it is absent.
fn count(document: &Value, pointer: &str) -> f64 {
    number(document, pointer).unwrap_or(0.0).max(0.0)
}

/// Per cent of lines of an Istanbul or Vitest coverage summary.
pub(super) fn coverage(documents: &[Value]) -> Result<Reading, NoValue> {
    let next = "Run the suite with coverage and the reporter “json-summary”.";
    let Some(lines) = documents.iter().find_map(|d| d.pointer("/total/lines")) else {
        return Err(NoValue::new("the coverage summary has no line totals", next));
    };
    let (total, covered) = (number(lines, "/total"), number(lines, "/covered"));
    if total == Some(0.0) {
        // Istanbul reports 0 of 0 lines as 100 %, or as “Unknown”.
        return Err(NoValue::did_not_look("the coverage summary contains no line of code", next));
    }
    let Some(value) = number(lines, "/pct").filter(|pct| (0.0..=100.0).contains(pct)) else {
        return Err(NoValue::new("the coverage summary has no line percentage", next));
    };
    let mut detail = format!("{} % line coverage", figure(value));
    if let (Some(total), Some(covered)) = (total, covered) {
        if (covered * 100.0 / total - value).abs() > 0.1 {
            return Err(NoValue::new(
                format!("the coverage summary has {} % for {covered} of {total} lines", figure(value)),
                next,
            ));
        }
        detail.push_str(&format!(" ({covered} of {total} lines)"));
    }
    Ok(Reading { value, unit: "%", detail, explains_exit: false })
}

/// Vulnerabilities of severity critical, and of severity high unless `critical_only`, in the output of
/// `npm audit --json`.
pub(super) fn npm_audit(documents: &[Value], critical_only: bool) -> Result<Reading, NoValue> {
    let mut seen = false;
    let (mut critical, mut high, mut all) = (0.0, 0.0, 0.0);
    for document in documents {
        if let Some(error) = document.get("error") {
            let why = ["/summary", "/code", "/detail"]
                .iter()
                .find_map(|p| error.pointer(p).and_then(Value::as_str).filter(|s| !s.is_empty()))
                .or_else(|| document.get("message").and_then(Value::as_str))
                .unwrap_or("no reason given");
            return Err(NoValue::did_not_look(
                format!("npm audit reported an error: {}", super::finding::brief(why, 160)),
                "Make the audit service of the registry reachable, then run the check again.",
            ));
        }
        let Some(counts) = document.pointer("/metadata/vulnerabilities").filter(|v| v.is_object()) else {
            continue;
        };
        if document.pointer("/metadata/dependencies/total").and_then(number_of) == Some(0.0) {
            return Err(NoValue::did_not_look(
                "npm audit checked no package",
                "Run it in the directory of the lock file.",
            ));
        }
        let Some(announced) = number(counts, "/critical") else { continue };
        seen = true;
        critical += announced.max(listed(document, "critical"));
        high += count(counts, "/high").max(listed(document, "high"));
        all += ["/info", "/low", "/moderate", "/high", "/critical"]
            .iter()
            .map(|p| count(counts, p))
            .sum::<f64>();
    }
    if !seen {
        return Err(NoValue::new(
            "no output of npm audit found",
            "Run it with --json and point the check at its output.",
        ));
    }
    let value = if critical_only { critical } else { critical + high };
    Ok(Reading {
        value,
        unit: "vulnerabilities",
        detail: format!("{critical} critical and {high} high vulnerabilities, {all} of any severity"),
        explains_exit: all + critical + high > 0.0,
    })
}

/// How many entries of a severity an audit lists, in versions 1 and 2 of the report.
fn listed(document: &Value, severity: &str) -> f64 {
    let entries = ["vulnerabilities", "advisories"].iter().find_map(|k| document.get(k)?.as_object());
    entries.map_or(0.0, |entries| {
        entries.values().filter(|e| e.get("severity").and_then(Value::as_str) == Some(severity)).count()
            as f64
    })
}

/// The counts of one autocannon report.
struct Load {
    good: f64,
    other: f64,
    limited: f64,
    broken: f64,
}

impl Load {
    fn of(document: &Value) -> Option<Load> {
        document.get("latency")?.as_object()?;
        let total = number(document, "/requests/total");
        let non2xx = count(document, "/non2xx");
        let good = number(document, "/2xx").or(total.map(|t| t - non2xx))?.max(0.0);
        let limited = count(document, "/statusCodeStats/429/count").min(non2xx);
        Some(Load { good, other: non2xx - limited, limited, broken: count(document, "/errors") })
    }

    /// Requests that count: all except those rejected by a rate limit.
    fn counted(&self) -> f64 {
        self.good + self.other + self.broken
    }

    fn apart(&self) -> String {
        if self.limited > 0.0 {
            format!("; 429 responses counted separately: {}", self.limited)
        } else {
            String::new()
        }
    }
}

const LOAD_NEXT: &str = "Run the load test with --json against a running stack.";

fn loads(documents: &[Value]) -> Result<Vec<(&Value, Load)>, NoValue> {
    let loads: Vec<_> = documents.iter().filter_map(|d| Some((d, Load::of(d)?))).collect();
    if loads.is_empty() {
        return Err(NoValue::new("no autocannon report found", LOAD_NEXT));
    }
    Ok(loads)
}

/// The reading with the greatest value.
pub(super) fn worst(readings: Vec<Reading>) -> Result<Reading, NoValue> {
    let many = readings.len();
    let mut worst = readings
        .into_iter()
        .max_by(|a, b| a.value.total_cmp(&b.value))
        .ok_or_else(|| NoValue::new("no load test report found", LOAD_NEXT))?;
    if many > 1 {
        worst.detail.push_str(&format!("; worst of {many} reports"));
    }
    Ok(worst)
}

/// 95th percentile of the latency, milliseconds; 97.5th where the report has no 95th.
pub(super) fn autocannon_p95(documents: &[Value]) -> Result<Reading, NoValue> {
    let mut readings = vec![];
    for (document, load) in loads(documents)? {
        if load.good < 1.0 {
            return Err(NoValue::did_not_look("no request of the load test was successful", LOAD_NEXT));
        }
        if load.limited > load.good {
            return Err(NoValue::new(
                format!("{} responses were 429: the latency of the service was not measured", load.limited),
                "Lower the rate of the load test, or exempt it from the rate limit.",
            ));
        }
        let found = [("p95", "/latency/p95"), ("p97.5", "/latency/p97_5")]
            .iter()
            .find_map(|(name, pointer)| Some((*name, number(document, pointer)?)));
        let Some((name, value)) = found.filter(|(_, v)| *v >= 0.0) else {
            return Err(NoValue::new("the autocannon report has no latency percentile", LOAD_NEXT));
        };
        readings.push(Reading {
            value,
            unit: "ms",
            detail: format!(
                "{name} latency {} ms over {} successful responses{}",
                figure(value),
                load.good,
                load.apart()
            ),
            explains_exit: false,
        });
    }
    worst(readings)
}

/// Per cent of requests that failed: errors, timeouts, responses other than 2xx. 429 responses are left out.
pub(super) fn autocannon_errors(documents: &[Value]) -> Result<Reading, NoValue> {
    let mut readings = vec![];
    for (_, load) in loads(documents)? {
        let counted = load.counted();
        if counted < 1.0 {
            return Err(NoValue::did_not_look(
                format!("the load test sent no request that counts{}", load.apart()),
                LOAD_NEXT,
            ));
        }
        let bad = load.other + load.broken;
        let value = bad * 100.0 / counted;
        readings.push(Reading {
            value,
            unit: "%",
            detail: format!("{bad} of {counted} requests failed ({} %){}", figure(value), load.apart()),
            explains_exit: false,
        });
    }
    worst(readings)
}

#[cfg(test)]
mod tests {
    use super::super::values::json_documents;
    use super::*;

    fn docs(text: &str) -> Vec<Value> {
        json_documents(text)
    }

    fn summary(lines: &str) -> Vec<Value> {
        docs(
            &format!("\u{feff}{{\"total\":{{\"lines\":{lines}}},\"src/a.ts\":{{}}}}").replace('\u{feff}', ""),
        )
    }

    #[test]
    fn coverage_is_read_and_checked_against_its_own_counts() {
        let good = coverage(&summary(r#"{"total":1000,"covered":712,"skipped":0,"pct":71.2}"#));
        assert_eq!(
            good.map(|r| (r.value, r.detail)),
            Ok((71.2, "71.2 % line coverage (712 of 1000 lines)".into()))
        );
        for bad in [
            r#"{"total":0,"covered":0,"skipped":0,"pct":"Unknown"}"#,
            r#"{"total":0,"covered":0,"skipped":0,"pct":100}"#,
            r#"{"total":1000,"covered":100,"pct":90}"#,
            r#"{"total":10,"covered":20,"pct":200}"#,
            r#"{"total":10}"#,
        ] {
            assert!(coverage(&summary(bad)).is_err(), "{bad}");
        }
        assert!(coverage(&docs(r#"{"lines":{"pct":99}}"#)).is_err());
    }

    fn audit(counts: &str, rest: &str) -> String {
        format!(
            r#"{{"auditReportVersion":2,{rest}"metadata":{{"vulnerabilities":{counts},"dependencies":{{"prod":3,"total":9}}}}}}"#
        )
    }

    #[test]
    fn audits_count_what_matters() {
        let text = audit(r#"{"info":1,"low":2,"moderate":3,"high":4,"critical":5,"total":15}"#, "");
        let both = npm_audit(&docs(&text), false).unwrap();
        assert_eq!((both.value, both.explains_exit), (9.0, true));
        assert_eq!(npm_audit(&docs(&text), true).unwrap().value, 5.0);
        let clean = audit(r#"{"info":0,"low":0,"moderate":0,"high":0,"critical":0,"total":0}"#, "");
        let found = npm_audit(&docs(&clean), false).unwrap();
        assert_eq!((found.value, found.explains_exit), (0.0, false));
        // Two workspaces, each audited separately: the counts are added.
        let two = format!("> audit\n{}\n{}\n", clean.trim(), text);
        assert_eq!(npm_audit(&docs(&two), true).unwrap().value, 5.0);
    }

    #[test]
    fn the_worse_of_the_list_and_the_counts_of_an_audit_counts() {
        let text = audit(
            r#"{"info":0,"low":0,"moderate":0,"high":0,"critical":0,"total":0}"#,
            r#""vulnerabilities":{"left":{"severity":"critical"}},"#,
        );
        assert_eq!(npm_audit(&docs(&text), true).unwrap().value, 1.0);
    }

    #[test]
    fn the_older_form_of_audit_is_read_too() {
        let text = r#"{"actions":[],"advisories":{"7":{"severity":"high"}},"muted":[],
            "metadata":{"vulnerabilities":{"info":0,"low":0,"moderate":0,"high":1,"critical":0},"totalDependencies":4}}"#;
        assert_eq!(npm_audit(&docs(text), false).unwrap().value, 1.0);
        assert_eq!(npm_audit(&docs(text), true).unwrap().value, 0.0);
    }

    #[test]
    fn a_failed_audit_has_no_number() {
        for text in [
            r#"{"message":"405 Method Not Allowed","method":"POST","uri":"x","headers":{},"statusCode":405,"body":{},"error":{"summary":"","detail":""}}"#,
            r#"{"error":{"code":"ENOLOCK","summary":"This command requires an existing lockfile.","detail":"x"}}"#,
            r#"{"error":{"code":"ENOAUDIT"}}"#,
        ] {
            let none = npm_audit(&docs(text), true).unwrap_err();
            assert!(none.did_not_look && none.saw.starts_with("npm audit reported an error"), "{text}");
        }
        for text in [
            r#"{"metadata":{"vulnerabilities":{"critical":0},"dependencies":{"total":0}}}"#,
            r#"{"metadata":{"vulnerabilities":{}}}"#,
            r#"{"total":0}"#,
            "[]",
        ] {
            assert!(npm_audit(&docs(text), true).is_err(), "{text}");
        }
    }

    fn cannon(ok: u32, non2xx: u32, limited: u32, errors: u32, latency: &str) -> String {
        format!(
            r#"{{"url":"x","errors":{errors},"timeouts":0,"non2xx":{non2xx},"2xx":{ok},"latency":{latency},
            "requests":{{"total":{},"sent":{}}},"statusCodeStats":{{"429":{{"count":{limited}}}}}}}"#,
            ok + non2xx,
            ok + non2xx + errors
        )
    }

    const LATENCY: &str = r#"{"average":20.1,"p50":18,"p90":30,"p97_5":41.5,"p99":80}"#;

    #[test]
    fn load_reports_have_latency_and_errors_with_429_separate() {
        let text = cannon(900, 60, 50, 40, LATENCY);
        let p95 = autocannon_p95(&docs(&text)).unwrap();
        assert_eq!((p95.value, p95.unit), (41.5, "ms"));
        assert!(
            p95.detail.starts_with("p97.5") && p95.detail.contains("429 responses counted separately: 50")
        );
        let errors = autocannon_errors(&docs(&text)).unwrap();
        assert!((errors.value - 50.0 * 100.0 / 950.0).abs() < 1e-9, "{}", errors.value);
        let exact = cannon(10, 0, 0, 0, r#"{"p95":7,"p97_5":9}"#);
        assert_eq!(autocannon_p95(&docs(&exact)).unwrap().value, 7.0);
        assert_eq!(autocannon_errors(&docs(&exact)).unwrap().value, 0.0);
        let both = format!("{exact}\n{text}");
        assert_eq!(autocannon_p95(&docs(&both)).unwrap().value, 41.5);
    }

    #[test]
    fn a_load_test_that_reached_nothing_has_no_number() {
        assert!(autocannon_p95(&docs(&cannon(0, 0, 0, 0, LATENCY))).is_err());
        assert!(autocannon_errors(&docs(&cannon(0, 0, 0, 0, LATENCY))).is_err());
        assert!(autocannon_errors(&docs(&cannon(0, 500, 500, 0, LATENCY))).is_err());
        assert!(autocannon_p95(&docs(&cannon(10, 500, 500, 0, LATENCY))).is_err());
        assert!(autocannon_p95(&docs(&cannon(10, 0, 0, 0, "{}"))).is_err());
        assert!(autocannon_p95(&docs(r#"{"latency":3}"#)).is_err());
        // Only refused connections: the error rate is 100 %.
        assert_eq!(autocannon_errors(&docs(&cannon(0, 0, 0, 9, LATENCY))).unwrap().value, 100.0);
    }
}
