//! Prometheus: is the target scraped, is the rule loaded, what is the result of a query? Test alerts are
//! in [`super::alert`].

use domain::check::{Comparison, PrometheusAssert, PrometheusSpec, Want};
use domain::evidence::Finding;
use domain::time::{Millis, human_span, parse_span};
use serde_json::Value;

use super::finding::{brief, failed, figure, passed, unknown, with_value};
use super::json_api::{Api, NoJson};
use super::probe::Probe;
use super::{alert, in_unit_of};

/// Longest time since the last scrape by default, milliseconds.
const LATELY_MS: u64 = 60_000;
/// A rule counts as no longer evaluated after this many missed intervals, and after this many seconds at least.
const ROUNDS: f64 = 3.0;
const ROUNDS_LEAST_S: f64 = 60.0;

pub(super) async fn probe(probe: &Probe<'_>, spec: &PrometheusSpec) -> Finding {
    let api = match Api::new(probe, "Prometheus", &spec.url, spec.bearer.as_deref()) {
        Ok(api) => api,
        Err(none) => return none.finding("a response of Prometheus"),
    };
    let seen = match spec.assert {
        PrometheusAssert::Target => target(probe, &api, spec).await,
        PrometheusAssert::Rule => rule(probe, &api, spec).await,
        PrometheusAssert::Query => query(probe, &api, spec).await,
        PrometheusAssert::Alert => return alert::probe(probe, &api, spec).await,
    };
    seen.unwrap_or_else(|none| none.finding("a response of Prometheus"))
}

/// The declared duration, or the default.
pub(super) fn span_or(text: Option<&str>, usual_ms: u64) -> u64 {
    text.and_then(parse_span).unwrap_or(usual_ms)
}

async fn target(probe: &Probe<'_>, api: &Api, spec: &PrometheusSpec) -> Result<Finding, NoJson> {
    let within = span_or(spec.within.as_deref(), LATELY_MS);
    let job = spec.job.as_deref().unwrap_or_default();
    let whom = match &spec.instance {
        Some(instance) => format!("target {instance} of job {job}"),
        None => format!("the targets of job {job}"),
    };
    let wanted = format!("{whom} up, scraped within {}", human_span(within));
    probe.say(&format!("Asking Prometheus at {} for {whom}.", api.place()));
    let answer = api.get("api/v1/targets", &[("state", "active")]).await?;
    let label = |t: &Value, name: &str| {
        t.pointer(&format!("/labels/{name}")).and_then(Value::as_str).map(str::to_owned)
    };
    let all = answer.pointer("/data/activeTargets").and_then(Value::as_array).cloned().unwrap_or_default();
    let mine: Vec<&Value> = all
        .iter()
        .filter(|t| label(t, "job").as_deref() == Some(job))
        .filter(|t| spec.instance.is_none() || label(t, "instance") == spec.instance)
        .collect();
    if mine.is_empty() {
        let mut jobs: Vec<String> = all.iter().filter_map(|t| label(t, "job")).collect();
        jobs.sort();
        jobs.dedup();
        let saw = format!("the target is not scraped by Prometheus; its jobs: {}", jobs.join(", "));
        return Ok(failed(
            wanted,
            saw,
            "Add the scrape job to the Prometheus configuration, then reload it.",
        ));
    }
    if spec.authorized
        && let Some(finding) = without_credentials(api, job, &wanted).await?
    {
        return Ok(finding);
    }
    for one in &mine {
        let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = label(one, "instance").unwrap_or_default();
        match text("health") {
            "up" => {}
            "down" => {
                let saw = format!("{name} is down: {}", brief(text("lastError"), 200));
                return Ok(failed(
                    wanted,
                    saw,
                    "Check that Prometheus can reach the target, and that its token is valid.",
                ));
            }
            _ => {
                return Ok(unknown(
                    wanted,
                    format!("{name} has not been scraped yet"),
                    "Wait a moment, then run the check again.",
                ));
            }
        }
    }
    // The age of the newest sample according to the clock of Prometheus.
    let selector = match &spec.instance {
        Some(instance) => format!("up{{job={},instance={}}}", quoted(job), quoted(instance)),
        None => format!("up{{job={}}}", quoted(job)),
    };
    let age = api.get("api/v1/query", &[("query", &format!("max(time() - timestamp({selector}))"))]).await?;
    let Some(seconds) = series(&age).first().map(|(_, v)| *v).filter(|v| v.is_finite()) else {
        return Ok(unknown(
            wanted,
            "Prometheus has no sample of the target",
            "Wait a moment, then run the check again.",
        ));
    };
    let age_ms = (seconds * 1_000.0).max(0.0);
    let saw = format!("{} up, last scraped {} s ago", mine.len(), figure(seconds));
    Ok(with_value(
        if age_ms <= within as f64 {
            passed(wanted, saw)
        } else {
            failed(wanted, saw, "Check whether Prometheus is overloaded, and whether its clock is right.")
        },
        seconds,
    ))
}

/// A finding when the job sends no credentials.
async fn without_credentials(api: &Api, job: &str, wanted: &str) -> Result<Option<Finding>, NoJson> {
    let status = api.get("api/v1/status/config", &[]).await?;
    let text = status.pointer("/data/yaml").and_then(Value::as_str).unwrap_or_default();
    let Some(sends) = scrape_job_sends_credentials(text, job) else {
        return Ok(Some(unknown(
            wanted,
            "the job is not in the Prometheus configuration",
            "Use the job name from scrape_configs.",
        )));
    };
    Ok((!sends).then(|| {
        failed(
            wanted,
            format!("job {job} sends no credentials"),
            "Add `authorization` with the token file to the job.",
        )
    }))
}

async fn rule(probe: &Probe<'_>, api: &Api, spec: &PrometheusSpec) -> Result<Finding, NoJson> {
    let name = spec.alert.as_deref().unwrap_or_default();
    probe.say(&format!("Asking Prometheus at {} for rule {name}.", api.place()));
    let mut wanted = format!("alert {name} loaded");
    if let Some(expr) = &spec.expr {
        wanted.push_str(&format!(" as {}", brief(expr, 120)));
    }
    if let Some(hold) = &spec.hold {
        wanted.push_str(&format!(" for {hold}"));
    }
    let answer = api.get("api/v1/rules", &[("type", "alert")]).await?;
    let groups = answer.pointer("/data/groups").and_then(Value::as_array).cloned().unwrap_or_default();
    let rules: Vec<(&Value, &Value)> = groups
        .iter()
        .filter_map(|g| Some(g.get("rules")?.as_array()?.iter().map(move |r| (g, r))))
        .flatten()
        .collect();
    let called = |r: &Value| r.get("name").and_then(Value::as_str) == Some(name);
    let mine: Vec<_> = rules.iter().filter(|(_, r)| called(r)).collect();
    let [(group, found)] = mine.as_slice() else {
        if mine.is_empty() {
            let names: Vec<&str> = rules.iter().filter_map(|(_, r)| r.get("name")?.as_str()).collect();
            let saw =
                format!("alert {name} is not loaded in Prometheus; loaded: {}", super::finding::names(names));
            return Ok(failed(wanted, saw, "Add the rule to the rule files of Prometheus, then reload it."));
        }
        let saw = format!("Prometheus has {} alerts with that name", mine.len());
        return Ok(unknown(wanted, saw, "Give each alert a unique name, or keep only one."));
    };
    let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut wrong = Vec::new();
    if let Some(expr) = &spec.expr {
        let (ours, theirs) = (formatted(api, expr).await?, formatted(api, text("query")).await?);
        if ours != theirs {
            wrong.push(format!("the expression is {}", brief(text("query"), 160)));
        }
    }
    if let Some(hold) = &spec.hold {
        let (Some(ours), Some(theirs)) = (parse_span(hold), found.get("duration").and_then(Value::as_f64))
        else {
            return Ok(unknown(wanted, "the duration of the rule could not be read", "Write `for` as 10m."));
        };
        if (ours as f64 - theirs * 1_000.0).abs() > 0.5 {
            let theirs = human_span((theirs * 1_000.0) as u64);
            wrong.push(format!("`for` is {theirs}, not {}", human_span(ours)));
        }
    }
    if !wrong.is_empty() {
        return Ok(failed(wanted, wrong.join("; "), "Correct the rule file, then reload Prometheus."));
    }
    match text("health") {
        "ok" => evaluated(api, group, found, wanted).await,
        "err" => Ok(failed(
            wanted,
            format!("the rule cannot be evaluated: {}", brief(text("lastError"), 160)),
            "Correct the expression of the rule.",
        )),
        _ => Ok(unknown(
            wanted,
            "the rule has not been evaluated yet",
            "Wait a moment, then run the check again.",
        )),
    }
}

/// Whether a correct rule is still being evaluated, according to the clock of Prometheus.
async fn evaluated(api: &Api, group: &Value, rule: &Value, wanted: String) -> Result<Finding, NoJson> {
    let again = "Wait a moment, then run the check again.";
    let last = rule.get("lastEvaluation").and_then(Value::as_str);
    let Some(last) = last.and_then(Millis::parse_rfc3339) else {
        return Ok(unknown(wanted, "Prometheus does not report when the rule was last evaluated", again));
    };
    let answer = api.get("api/v1/query", &[("query", "time()")]).await?;
    let Some((_, now)) = series(&answer).into_iter().next().filter(|(_, v)| v.is_finite()) else {
        return Ok(unknown(wanted, "Prometheus does not report its time", again));
    };
    let ago = (now - last.0 as f64 / 1e3).max(0.0);
    let every = group.get("interval").and_then(Value::as_f64).unwrap_or_default();
    if ago > (every * ROUNDS).max(ROUNDS_LEAST_S) {
        let saw = format!("the rule was last evaluated {} ago", human_span((ago * 1_000.0) as u64));
        return Ok(failed(wanted, saw, "Check the log of Prometheus: it is late with its rules."));
    }
    let state = rule.get("state").and_then(Value::as_str).unwrap_or_default();
    Ok(passed(wanted, format!("loaded as expected, {state}")))
}

/// An expression as formatted by Prometheus; if that is not supported (before 2.39), without white space.
async fn formatted(api: &Api, expr: &str) -> Result<String, NoJson> {
    match api.get("api/v1/format_query", &[("query", expr)]).await {
        Ok(answer) => Ok(without_space(answer.get("data").and_then(Value::as_str).unwrap_or(expr))),
        Err(none) if matches!(none.status, Some(404 | 405)) => Ok(without_space(expr)),
        Err(none) => Err(none),
    }
}

/// Removes white space outside of strings, where it has no meaning; one space remains between two words.
fn without_space(expr: &str) -> String {
    let mut out = String::new();
    let mut quote: Option<char> = None;
    let (mut gap, mut escaped) = (false, false);
    for c in expr.chars() {
        if quote.is_none() && c.is_whitespace() {
            gap = true;
            continue;
        }
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
        if gap && out.ends_with(word) && word(c) {
            out.push(' ');
        }
        gap = false;
        out.push(c);
        match quote {
            Some(_) if escaped => escaped = false,
            Some(open) if c == '\\' && open != '`' => escaped = true,
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            _ => {}
        }
    }
    out
}

async fn query(probe: &Probe<'_>, api: &Api, spec: &PrometheusSpec) -> Result<Finding, NoJson> {
    let text = spec.query.as_deref().unwrap_or_default();
    probe.say(&format!("Asking Prometheus at {}: {text}", api.place()));
    let answer = api.get("api/v1/query", &[("query", text)]).await?;
    let want = probe.work.check.want.as_ref();
    let wanted = want.map_or_else(|| "a value".to_owned(), Want::to_string);
    let kind = answer.pointer("/data/resultType").and_then(Value::as_str).unwrap_or("value of unknown type");
    if !matches!(kind, "vector" | "scalar") {
        // Read as an instant result it would look empty.
        let saw = format!("the result of the query is a {kind}, not a current number");
        return Ok(unknown(
            wanted,
            saw,
            "Change the query to return an instant vector or a scalar, without a range.",
        ));
    }
    let found = series(&answer);
    let absent = want.is_some_and(Want::is_absent);
    if found.is_empty() {
        return Ok(if absent {
            passed(wanted, "the query has no result")
        } else {
            unknown(wanted, "the query has no result", "Check that the metric exists and is scraped.")
        });
    }
    let next = "Check the series in Prometheus.";
    if absent {
        let first = found.first().map(|(labels, _)| labels.clone()).unwrap_or_default();
        return Ok(failed(wanted, format!("{} series found, for example {first}", found.len()), next));
    }
    if let Some((labels, _)) = found.iter().find(|(_, v)| !v.is_finite()) {
        let saw = format!("{labels} has no number now");
        return Ok(unknown(wanted, saw, "Check whether there was traffic to measure."));
    }
    let worst = found.iter().max_by(|a, b| badness(want, a.1).total_cmp(&badness(want, b.1)));
    let Some((labels, value)) = worst else { return Ok(unknown(wanted, "no result", next)) };
    let of = if found.len() > 1 { format!(" ({labels}; {} series)", found.len()) } else { String::new() };
    Ok(in_unit_of(want, *value, format!("{}{of}", figure(*value)), next))
}

/// The greater, the further from the expected value.
fn badness(want: Option<&Want>, value: f64) -> f64 {
    match want.map(|want| (want.comparison, want.number)) {
        Some((Comparison::Greater | Comparison::AtLeast, _)) => -value,
        Some((Comparison::Equal, number)) => (value - number).abs(),
        _ => value,
    }
}

/// The series of an instant result: labels for display, and the value.
pub(super) fn series(answer: &Value) -> Vec<(String, f64)> {
    let number = |v: &Value| v.get(1).and_then(Value::as_str).and_then(|t| t.parse::<f64>().ok());
    match answer.pointer("/data/resultType").and_then(Value::as_str) {
        Some("scalar") => answer
            .pointer("/data/result")
            .and_then(number)
            .map(|v| ("the result".to_owned(), v))
            .into_iter()
            .collect(),
        _ => {
            let all = answer.pointer("/data/result").and_then(Value::as_array).cloned().unwrap_or_default();
            all.iter().filter_map(|s| Some((labels(s), number(s.get("value")?)?))).collect()
        }
    }
}

fn labels(series: &Value) -> String {
    let metric = series.get("metric").and_then(Value::as_object);
    let pairs: Vec<String> = metric
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() { "the result".to_owned() } else { brief(&format!("{{{}}}", pairs.join(", ")), 120) }
}

/// A string in PromQL syntax.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Whether a job of a Prometheus configuration sends credentials; `None` when there is no such job.
fn scrape_job_sends_credentials(text: &str, job: &str) -> Option<bool> {
    let root = yaml::read(text).ok()?;
    let jobs = root.get("scrape_configs")?;
    let one = jobs.items().iter().find(|j| j.get("job_name").and_then(yaml::Node::text) == Some(job))?;
    let ways = ["authorization", "bearer_token", "bearer_token_file", "basic_auth", "oauth2"];
    Some(ways.iter().any(|w| one.get(w).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_outside_of_strings_is_ignored() {
        assert_eq!(without_space("sum by (le) ( rate(x[5m]) )  >  0.6"), "sum by(le)(rate(x[5m]))>0.6");
        assert_eq!(without_space("a{b=\"c d\"} and on() e"), "a{b=\"c d\"}and on()e");
        assert_ne!(without_space(r#"x{a="\" c"}"#), without_space(r#"x{a="\"c"}"#));
        assert_ne!(without_space("x{a=\"b c\"}"), without_space("x{a=\"bc\"}"));
    }

    #[test]
    fn strings_cannot_break_out() {
        assert_eq!(quoted("a\"b\\c"), "\"a\\\"b\\\\c\"");
    }
}
