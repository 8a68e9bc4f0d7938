//! Log lines of every service: recent, in JSON, kept long enough. From Loki, Elasticsearch, or Docker's own
//! log driver.

use std::collections::BTreeMap;

use domain::check::{LogAssert, LogSource, LogsSpec, Want};
use domain::evidence::Finding;
use domain::time::{human_span, parse_span};
use serde_json::{Value, json};

use super::finding::{brief, count_of, failed, figure, names, passed, unknown};
use super::in_unit_of;
use super::json_api::{Api, NoJson};
use super::probe::Probe;
use super::prometheus::{quoted, span_or};
use super::stack::{log_lines, render};
use domain::time::Millis;
use system::clock::now_ms;

const FRESH_MS: u64 = 600_000;
const KEEP_MS: u64 = 7 * 86_400_000;
/// Lines read for each service.
const SAMPLE: usize = 200;

/// Statistics of the log lines of one service.
#[derive(Debug, Default, Clone)]
struct Lines {
    /// Age of the newest line, milliseconds.
    newest_ms: Option<u64>,
    total: usize,
    json: usize,
}

pub(super) async fn probe(probe: &Probe<'_>, spec: &LogsSpec) -> Finding {
    let wanted = match spec.assert {
        LogAssert::Fresh => format!("log lines of every service in the last {}", human_span(fresh(spec))),
        LogAssert::Json => "log lines that are JSON objects".to_owned(),
        LogAssert::Retention => format!("log lines kept for {}", human_span(keep(spec))),
    };
    let services = match services(probe, spec).await {
        Ok(services) => services,
        Err(saw) => {
            return unknown(wanted, saw, "Name the services in the check, or correct the Compose files.");
        }
    };
    let seen = match (spec.source, spec.assert) {
        (LogSource::Docker, LogAssert::Retention) => {
            return docker_retention(probe, &services, keep(spec), &wanted).await;
        }
        (LogSource::Loki, LogAssert::Retention) => loki_retention(probe, spec, &wanted).await,
        (LogSource::Elasticsearch, LogAssert::Retention) => elastic_retention(probe, spec, &wanted).await,
        (source, assert) => {
            let lines = match source {
                LogSource::Docker => Ok(docker(probe, &services).await),
                LogSource::Loki => loki(probe, spec, &services).await,
                LogSource::Elasticsearch => elastic(probe, spec, &services).await,
            };
            match (lines, assert) {
                (Ok(Ok(lines)), LogAssert::Json) => Ok(share(probe.work.check.want.as_ref(), &lines)),
                (Ok(Ok(lines)), _) => Ok(freshness(&lines, fresh(spec), &wanted)),
                (Ok(Err(saw)), _) => {
                    Ok(unknown(&wanted, saw, "Start the Docker engine. See the run's log for details."))
                }
                (Err(none), _) => Err(none),
            }
        }
    };
    seen.unwrap_or_else(|none| none.finding(&wanted))
}

fn fresh(spec: &LogsSpec) -> u64 {
    span_or(spec.fresh.as_deref(), FRESH_MS)
}

fn keep(spec: &LogsSpec) -> u64 {
    span_or(spec.keep.as_deref(), KEEP_MS)
}

async fn services(probe: &Probe<'_>, spec: &LogsSpec) -> Result<Vec<String>, String> {
    if !spec.services.is_empty() {
        return Ok(spec.services.clone());
    }
    match render(probe).await {
        Ok(rendered) => {
            let expected: Vec<String> = rendered.expected().map(|service| service.name.clone()).collect();
            if expected.is_empty() { Err("no service is expected to run".to_owned()) } else { Ok(expected) }
        }
        Err(_) => Err("the services of the stack are unknown".to_owned()),
    }
}

fn freshness(lines: &BTreeMap<String, Lines>, fresh: u64, wanted: &str) -> Finding {
    let silent: Vec<String> = lines
        .iter()
        .filter(|(_, l)| l.newest_ms.is_none_or(|age| age > fresh))
        .map(|(name, l)| match l.newest_ms {
            Some(age) => format!("{name} (last {} ago)", human_span(age)),
            None => format!("{name} (none)"),
        })
        .collect();
    if silent.is_empty() {
        let oldest = lines.values().filter_map(|l| l.newest_ms).max().unwrap_or(0);
        return passed(
            wanted,
            format!(
                "{}; least recent line {} ago",
                count_of(lines.len(), "service", "services"),
                human_span(oldest)
            ),
        );
    }
    failed(
        wanted,
        format!("no recent log line: {}", names(silent)),
        "Check the log collector, and whether the service writes log lines.",
    )
}

fn share(want: Option<&Want>, lines: &BTreeMap<String, Lines>) -> Finding {
    let default: Option<Want> = ">= 90 %".parse().ok();
    let want = want.or(default.as_ref());
    let wanted = want.map_or_else(String::new, Want::to_string);
    let (total, json) = lines.values().fold((0, 0), |(t, j), l| (t + l.total, j + l.json));
    if total == 0 {
        return unknown(
            wanted,
            "no log line was found",
            "Send some requests to the stack, then run the check again.",
        );
    }
    // The worst service is judged: many JSON lines of one service must not hide the plain text of another.
    let worst = lines
        .iter()
        .filter(|(_, l)| l.total > 0)
        .map(|(n, l)| (n, l.json as f64 * 100.0 / l.total as f64))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    let Some((name, per_cent)) = worst else { return unknown(wanted, "no log line was found", "") };
    let saw = format!(
        "{} % of the log lines of {name} are JSON (all services: {json} of {total})",
        figure(per_cent)
    );
    in_unit_of(want, per_cent, saw, "Make the service write one JSON object per line.")
}

fn is_json(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('{') && serde_json::from_str::<serde_json::Map<String, Value>>(line).is_ok()
}

fn count(lines: &[String], newest_ms: Option<u64>) -> Lines {
    let written: Vec<&String> = lines.iter().filter(|l| !l.trim().is_empty()).collect();
    Lines { newest_ms, total: written.len(), json: written.iter().filter(|l| is_json(l)).count() }
}

// --- Docker --------------------------------------------------------------------------------------------------

async fn docker(probe: &Probe<'_>, services: &[String]) -> Result<BTreeMap<String, Lines>, String> {
    probe.say("Reading the last log lines of each service from Docker.");
    let found = log_lines(probe, services, SAMPLE).await?;
    let now = now_ms();
    Ok(found
        .into_iter()
        .map(|(name, log)| {
            let newest = log.newest.map(|at| age_ms(now, at));
            (name, count(&log.lines, newest))
        })
        .collect())
}

fn age_ms(now_ms: u64, at: Millis) -> u64 {
    now_ms.saturating_sub(u64::try_from(at.0).unwrap_or(0))
}

async fn docker_retention(probe: &Probe<'_>, services: &[String], keep: u64, wanted: &str) -> Finding {
    probe.say("Asking the Docker engine for the log rotation of each service.");
    let found = match log_lines(probe, services, 1).await {
        Ok(found) => found,
        Err(saw) => return unknown(wanted, saw, "Start the Docker engine. See the run's log for details."),
    };
    let now = now_ms();
    let mut bounded = Vec::new();
    for (name, l) in &found {
        match l.driver.as_str() {
            "" => return unknown(wanted, format!("{name} has no container"), "Deploy the stack."),
            "none" => {
                return failed(
                    wanted,
                    format!("the log of {name} is discarded (log driver none)"),
                    "Set a log driver that keeps log lines.",
                );
            }
            "json-file" | "local" | "journald" => {}
            other => {
                return unknown(
                    wanted,
                    format!("{name} uses log driver {other}, which this check cannot read"),
                    "Check the retention of that log system.",
                );
            }
        }
        let long_enough = l.oldest.is_some_and(|at| age_ms(now, at) >= keep);
        let rotates = l.driver != "json-file" || l.options.contains_key("max-size");
        if rotates && !long_enough {
            bounded.push(name.clone());
        }
    }
    if bounded.is_empty() {
        return passed(
            wanted,
            format!("{}, no log rotated earlier", count_of(found.len(), "service", "services")),
        );
    }
    let saw =
        format!("logs are rotated by size, and the oldest line is too recent to tell: {}", names(&bounded));
    unknown(
        wanted,
        saw,
        "Wait until the oldest line is old enough, collect the logs elsewhere, or attest with the log rate.",
    )
}

// --- Loki ----------------------------------------------------------------------------------------------------

async fn loki(
    probe: &Probe<'_>,
    spec: &LogsSpec,
    services: &[String],
) -> Result<Result<BTreeMap<String, Lines>, String>, NoJson> {
    let api = Api::new(probe, "Loki", spec.url.as_deref().unwrap_or_default(), spec.bearer.as_deref())?;
    let label = spec.label.as_deref().unwrap_or("service");
    probe.say(&format!("Asking Loki at {} for the last log lines of each {label}.", api.place()));
    let now = now_ms();
    let reach = fresh(spec).max(3_600_000);
    let start = format!("{}000000", now.saturating_sub(reach));
    let mut all = BTreeMap::new();
    for service in services {
        let query = format!("{{{label}={}}}", quoted(service));
        let limit = SAMPLE.to_string();
        let asked =
            [("query", query.as_str()), ("start", &start), ("limit", &limit), ("direction", "backward")];
        let answer = api.get("loki/api/v1/query_range", &asked).await?;
        let streams = answer.pointer("/data/result").and_then(Value::as_array).cloned().unwrap_or_default();
        let entries: Vec<(u64, String)> = streams
            .iter()
            .filter_map(|s| s.get("values")?.as_array().cloned())
            .flatten()
            .filter_map(|v| {
                let nanos: u64 = v.get(0)?.as_str()?.parse().ok()?;
                Some((nanos / 1_000_000, v.get(1)?.as_str()?.to_owned()))
            })
            .collect();
        let newest = entries.iter().map(|(at, _)| *at).max().map(|at| now.saturating_sub(at));
        let lines: Vec<String> = entries.into_iter().map(|(_, l)| l).collect();
        all.insert(service.clone(), count(&lines, newest));
    }
    Ok(Ok(all))
}

async fn loki_retention(probe: &Probe<'_>, spec: &LogsSpec, wanted: &str) -> Result<Finding, NoJson> {
    let api = Api::new(probe, "Loki", spec.url.as_deref().unwrap_or_default(), spec.bearer.as_deref())?;
    probe.say(&format!("Asking Loki at {} for its retention.", api.place()));
    // The configuration is YAML; newer versions also have the limits of the tenant.
    let text = api.text("config").await?;
    let Some(period) = yaml::text_at(&text, &["limits_config", "retention_period"]) else {
        return Ok(unknown(
            wanted,
            "the Loki configuration sets no retention",
            "Set limits_config.retention_period and compactor.retention_enabled.",
        ));
    };
    let deletes = yaml::text_at(&text, &["compactor", "retention_enabled"]).as_deref() == Some("true");
    // Loki writes `744h` or `31d`; empty or 0 means forever.
    let kept = go_span(&period);
    let saw =
        format!("Loki keeps log lines for {period}{}", if deletes { "" } else { " (deletion is disabled)" });
    Ok(match kept {
        Some(0) => passed(wanted, "Loki keeps log lines forever"),
        Some(ms) if ms >= keep(spec) || !deletes => passed(wanted, saw),
        Some(_) => failed(wanted, saw, "Increase limits_config.retention_period."),
        None => unknown(
            wanted,
            format!("Loki's retention “{}” is not a known duration", brief(&period, 40)),
            "Check the retention manually.",
        ),
    })
}

/// A duration as Go writes it: `744h0m0s`, `7d`, `0s`.
fn go_span(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let after = &rest[digits..];
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        total = total.checked_add(parse_span(&rest[..digits + unit])?)?;
        rest = &after[unit..];
    }
    Some(total)
}

// --- Elasticsearch ---------------------------------------------------------------------------------------------

async fn elastic(
    probe: &Probe<'_>,
    spec: &LogsSpec,
    services: &[String],
) -> Result<Result<BTreeMap<String, Lines>, String>, NoJson> {
    let api =
        Api::new(probe, "Elasticsearch", spec.url.as_deref().unwrap_or_default(), spec.bearer.as_deref())?;
    let index = spec.index.as_deref().unwrap_or("logs-*");
    let field = spec.label.as_deref().unwrap_or("service");
    probe.say(&format!(
        "Asking Elasticsearch at {} for the last log lines of each {field} in {index}.",
        api.place()
    ));
    let now = now_ms();
    let mut all = BTreeMap::new();
    for service in services {
        let body = json!({
            "size": SAMPLE,
            "sort": [{ "@timestamp": "desc" }],
            "query": { "term": { field: service } },
            "fields": [{ "field": "@timestamp", "format": "epoch_millis" }],
        });
        let answer = api.post(&format!("{index}/_search"), &body).await?;
        let hits = answer.pointer("/hits/hits").and_then(Value::as_array).cloned().unwrap_or_default();
        let millis = |hit: &Value| {
            let value = hit.pointer("/fields/@timestamp/0")?;
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        };
        let newest = hits.iter().filter_map(millis).max().map(|at| now.saturating_sub(at));
        // A document with its own fields was JSON; with only `message`, that is the original line.
        let lines: Vec<String> = hits
            .iter()
            .filter_map(|h| {
                let source = h.get("_source")?.as_object()?;
                let message = source.get("message").and_then(Value::as_str);
                Some(match message {
                    Some(text) if source.len() <= 4 => text.to_owned(),
                    _ => Value::Object(source.clone()).to_string(),
                })
            })
            .collect();
        all.insert(service.clone(), count(&lines, newest));
    }
    Ok(Ok(all))
}

async fn elastic_retention(probe: &Probe<'_>, spec: &LogsSpec, wanted: &str) -> Result<Finding, NoJson> {
    let api =
        Api::new(probe, "Elasticsearch", spec.url.as_deref().unwrap_or_default(), spec.bearer.as_deref())?;
    let index = spec.index.as_deref().unwrap_or("logs-*");
    probe.say(&format!("Asking Elasticsearch at {} for the retention of {index}.", api.place()));
    let explained = api.get(&format!("{index}/_ilm/explain"), &[]).await?;
    let indices = explained.get("indices").and_then(Value::as_object).cloned().unwrap_or_default();
    if indices.is_empty() {
        return Ok(failed(wanted, format!("index {index} does not exist"), "Check the log collector."));
    }
    let mut policies: Vec<String> =
        indices.values().filter_map(|i| i.get("policy")?.as_str().map(str::to_owned)).collect();
    policies.sort();
    policies.dedup();
    if policies.is_empty() {
        return Ok(passed(wanted, "no lifecycle policy deletes these indices"));
    }
    for policy in &policies {
        let answer = api.get(&format!("_ilm/policy/{policy}"), &[]).await?;
        let age = answer.pointer(&format!("/{policy}/policy/phases/delete/min_age")).and_then(Value::as_str);
        let Some(age) = age else { continue };
        match parse_span(age) {
            Some(ms) if ms >= keep(spec) => {}
            Some(_) => {
                return Ok(failed(
                    wanted,
                    format!("policy {policy} deletes after {age}"),
                    "Increase min_age in the delete phase of the policy.",
                ));
            }
            None => {
                return Ok(unknown(
                    wanted,
                    format!(
                        "policy {policy} deletes after “{}”, which is not a known duration",
                        brief(age, 40)
                    ),
                    "Check the retention manually.",
                ));
            }
        }
    }
    Ok(passed(wanted, format!("log lines are kept by lifecycle policies: {}", names(policies))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_json_lines() {
        assert!(is_json(" {\"a\":1}") && !is_json("3") && !is_json("{a}") && !is_json("[1]"));
        let lines = count(&["{}".to_owned(), "x".to_owned(), " ".to_owned()], Some(3));
        assert_eq!((lines.total, lines.json), (2, 1));
    }

    #[test]
    fn the_worst_service_is_judged() {
        let lines = BTreeMap::from([
            ("a".to_owned(), Lines { newest_ms: Some(1), total: 1_000, json: 1_000 }),
            ("b".to_owned(), Lines { newest_ms: Some(1), total: 10, json: 1 }),
        ]);
        let found = share(None, &lines);
        assert_eq!((found.outcome, found.value), (domain::evidence::Outcome::Fail, Some(10.0)));
        assert!(found.saw.contains("log lines of b"), "{}", found.saw);
    }

    #[test]
    fn spans_of_go_are_read() {
        for (text, ms) in [
            ("744h", Some(744 * 3_600_000)),
            ("168h0m0s", Some(168 * 3_600_000)),
            ("7d", Some(KEEP_MS)),
            ("0s", Some(0)),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(go_span(text), ms, "{text}");
        }
    }
}
