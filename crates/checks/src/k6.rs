//! The k6 summary: of `--summary-export`, and the data that `handleSummary` receives.

use serde_json::Value;

use super::finding::figure;
use super::reports::{number, worst};
use super::values::{NoValue, Reading};

const NEXT: &str = "Run k6 with --summary-export and point the check at that file.";

/// The values of a metric. `handleSummary` has them under `values`.
fn metric<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    let metric = document.get("metrics")?.get(name)?;
    Some(metric.get("values").unwrap_or(metric))
}

fn figure_of(document: &Value, name: &str, keys: &[&str]) -> Option<f64> {
    let metric = metric(document, name)?;
    keys.iter().find_map(|key| number(metric, &format!("/{key}"))).filter(|v| *v >= 0.0)
}

/// What one summary counts.
struct Load {
    requests: f64,
    failed: f64,
    /// 429 responses, if the summary counts them separately.
    limited: Option<f64>,
    /// Whether a threshold of the script was crossed; k6 then ends with an error.
    crossed: bool,
}

impl Load {
    fn of(document: &Value) -> Option<Load> {
        let requests = figure_of(document, "http_reqs", &["count"])?;
        let rate = figure_of(document, "http_req_failed", &["rate", "value"])?;
        // `passes` of this metric are the requests for which “failed” was true.
        let failed = figure_of(document, "http_req_failed", &["passes"]).unwrap_or(rate * requests);
        Some(Load {
            requests,
            failed,
            limited: figure_of(document, "http_reqs{status:429}", &["count"]),
            crossed: crossed(document),
        })
    }

    fn apart(&self) -> String {
        match self.limited {
            Some(0.0) => String::new(),
            Some(n) => format!("; 429 responses counted separately: {n}"),
            None if self.failed > 0.0 => {
                "; the summary does not count 429 responses separately (set a threshold on http_reqs{status:429})"
                    .into()
            }
            None => String::new(),
        }
    }
}

/// Whether a threshold of the script was crossed. The exported file has `true` for this, the data of
/// `handleSummary` with `ok: false`.
fn crossed(document: &Value) -> bool {
    let metrics = document.get("metrics").and_then(Value::as_object);
    metrics.into_iter().flat_map(|all| all.values()).any(|metric| {
        let thresholds = metric.get("thresholds").and_then(Value::as_object);
        thresholds.into_iter().flat_map(|all| all.values()).any(|threshold| match threshold {
            Value::Bool(crossed) => *crossed,
            other => other.get("ok") == Some(&Value::Bool(false)),
        })
    })
}

fn loads(documents: &[Value]) -> Result<Vec<(&Value, Load)>, NoValue> {
    let loads: Vec<_> = documents.iter().filter_map(|d| Some((d, Load::of(d)?))).collect();
    if loads.is_empty() {
        return Err(NoValue::new("no k6 summary of HTTP requests found", NEXT));
    }
    if loads.iter().any(|(_, load)| load.requests < 1.0) {
        return Err(NoValue::did_not_look("the load test sent no request", NEXT));
    }
    Ok(loads)
}

/// 95th percentile of the request duration, milliseconds: over the expected responses, if the summary counts
/// them separately.
pub(super) fn p95(documents: &[Value]) -> Result<Reading, NoValue> {
    let mut readings = vec![];
    for (document, load) in loads(documents)? {
        let good = load.requests - load.failed;
        if good < 1.0 {
            return Err(NoValue::did_not_look("no request of the load test was successful", NEXT));
        }
        if load.limited.is_some_and(|limited| limited > good) {
            return Err(NoValue::new(
                "most responses were 429: the latency of the service was not measured",
                "Lower the rate of the load test, or exempt it from the rate limit.",
            ));
        }
        let expected = figure_of(document, "http_req_duration{expected_response:true}", &["p(95)"]);
        let all = figure_of(document, "http_req_duration", &["p(95)"]);
        let Some(value) = expected.or(all) else {
            return Err(NoValue::new(
                "the k6 summary has no p(95) of http_req_duration",
                "Add p(95) to the option summaryTrendStats of the script.",
            ));
        };
        if expected.is_none() && load.failed * 10.0 > load.requests {
            // Otherwise fast errors would look like a fast service.
            let saw = format!("{} of {} requests failed, and p95 includes them", load.failed, load.requests);
            return Err(NoValue::new(
                saw,
                "Make the service respond as expected first, then run the check again.",
            ));
        }
        readings.push(Reading {
            value,
            unit: "ms",
            detail: format!(
                "p95 latency {} ms over {good} successful responses{}",
                figure(value),
                load.apart()
            ),
            explains_exit: load.crossed,
        });
    }
    worst(readings)
}

/// Per cent of requests that failed. 429 responses are left out if the summary counts them separately.
pub(super) fn errors(documents: &[Value]) -> Result<Reading, NoValue> {
    let mut readings = vec![];
    for (_, load) in loads(documents)? {
        let limited = load.limited.unwrap_or(0.0).min(load.failed);
        let counted = load.requests - limited;
        if counted < 1.0 {
            let saw = format!("the load test sent no request that counts{}", load.apart());
            return Err(NoValue::did_not_look(saw, NEXT));
        }
        let failed = load.failed - limited;
        let value = failed * 100.0 / counted;
        readings.push(Reading {
            value,
            unit: "%",
            detail: format!("{failed} of {counted} requests failed ({} %){}", figure(value), load.apart()),
            explains_exit: load.crossed,
        });
    }
    worst(readings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(count: u64, failed: u64, extra: &str) -> Value {
        let text = format!(
            r#"{{"metrics":{{"http_reqs":{{"count":{count},"rate":10}},
            "http_req_failed":{{"passes":{failed},"fails":{},"value":{}}},
            "http_req_duration":{{"avg":8,"p(90)":9,"p(95)":40.5,"thresholds":{{"p(95)<30":true}}}}{extra}}}}}"#,
            count - failed,
            failed as f64 / count.max(1) as f64
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn both_forms_of_the_summary_are_read() {
        let reading = p95(&[exported(200, 2, "")]).unwrap();
        assert_eq!((reading.value, reading.explains_exit), (40.5, true));
        assert_eq!(errors(&[exported(200, 2, "")]).unwrap().value, 1.0);
        let data: Value = serde_json::from_str(
            r#"{"metrics":{"http_reqs":{"type":"counter","values":{"count":100,"rate":3}},
            "http_req_failed":{"type":"rate","values":{"rate":0.5,"passes":50,"fails":50}},
            "http_req_duration":{"values":{"p(95)":5},"thresholds":{"p(95)<9":{"ok":true}}},
            "http_req_duration{expected_response:true}":{"values":{"p(95)":70}}}}"#,
        )
        .unwrap();
        let reading = p95(std::slice::from_ref(&data)).unwrap();
        assert_eq!((reading.value, reading.explains_exit), (70.0, false));
        assert_eq!(errors(&[data]).unwrap().value, 50.0);
    }

    #[test]
    fn responses_429_are_counted_separately_if_possible() {
        let apart = r#","http_reqs{status:429}":{"count":100}"#;
        let reading = errors(&[exported(200, 101, apart)]).unwrap();
        assert_eq!(reading.value, 1.0);
        assert!(reading.detail.contains("429 responses counted separately: 100"), "{}", reading.detail);
        let mixed = errors(&[exported(200, 101, "")]).unwrap();
        assert!(mixed.value > 50.0 && mixed.detail.contains("does not count 429 responses separately"));
        assert!(p95(&[exported(200, 150, r#","http_reqs{status:429}":{"count":150}"#)]).is_err());
    }

    #[test]
    fn an_invalid_measurement_has_no_number() {
        for document in [
            exported(0, 0, ""),
            exported(10, 10, ""),
            exported(100, 50, ""),
            serde_json::json!({}),
            serde_json::json!({ "metrics": {} }),
        ] {
            assert!(p95(std::slice::from_ref(&document)).is_err(), "{document}");
        }
        assert!(p95(&[]).is_err() && errors(&[]).is_err() && errors(&[exported(0, 0, "")]).is_err());
    }
}
