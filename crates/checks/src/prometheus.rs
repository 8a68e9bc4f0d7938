//! Prometheus: is the target scraped, is the rule the right one, what does a query say. Alerts on their way are
//! in [`super::alert`].

use domain::check::{Comparison, PrometheusAssert, PrometheusSpec, Want};
use domain::evidence::Finding;
use domain::time::human_span;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::duration_text::parse_span;
use super::finding::{brief, failed, figure, passed, unknown, with_value};
use super::json_api::{Api, NoJson};
use super::probe::Probe;
use super::{alert, in_unit_of};

/// Longest time since a scrape when the check names none, milliseconds.
const LATELY_MS: u64 = 60_000;
/// A rule may miss so many rounds before it counts as no longer evaluated, and this many seconds at least.
const ROUNDS: f64 = 3.0;
const ROUNDS_LEAST_S: f64 = 60.0;

pub(super) async fn probe(probe: &Probe<'_>, spec: &PrometheusSpec) -> Finding {
    let api = match Api::new(probe, "Prometheus", &spec.url, spec.bearer.as_deref()) {
        Ok(api) => api,
        Err(none) => return none.finding("an answer of Prometheus"),
    };
    let seen = match spec.assert {
        PrometheusAssert::Target => target(probe, &api, spec).await,
        PrometheusAssert::Rule => rule(probe, &api, spec).await,
        PrometheusAssert::Query => query(probe, &api, spec).await,
        PrometheusAssert::Alert => return alert::probe(probe, &api, spec).await,
    };
    seen.unwrap_or_else(|none| none.finding("an answer of Prometheus"))
}

/// The declared span, or the usual one.
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
    probe.say(&format!("Asks Prometheus at {} for {whom}.", api.place()));
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
        let saw = format!("Prometheus scrapes no such target; its jobs are: {}", jobs.join(", "));
        return Ok(failed(wanted, saw, "Add the scrape job to Prometheus and reload it."));
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
                    "Look whether the target answers Prometheus, with its token.",
                ));
            }
            _ => {
                return Ok(unknown(
                    wanted,
                    format!("{name} was not scraped yet"),
                    "Run the check again in a moment.",
                ));
            }
        }
    }
    // The age of the newest sample, by Prometheus's own clock.
    let selector = match &spec.instance {
        Some(instance) => format!("up{{job={},instance={}}}", quoted(job), quoted(instance)),
        None => format!("up{{job={}}}", quoted(job)),
    };
    let age = api.get("api/v1/query", &[("query", &format!("max(time() - timestamp({selector}))"))]).await?;
    let Some(seconds) = series(&age).first().map(|(_, v)| *v).filter(|v| v.is_finite()) else {
        return Ok(unknown(wanted, "Prometheus has no sample of it", "Run the check again in a moment."));
    };
    let age_ms = (seconds * 1_000.0).max(0.0);
    let saw = format!("{} up, last scraped {} s ago", mine.len(), figure(seconds));
    Ok(with_value(
        if age_ms <= within as f64 {
            passed(wanted, saw)
        } else {
            failed(wanted, saw, "Look whether Prometheus is overloaded, or its clock wrong.")
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
            "the job does not stand in Prometheus's configuration",
            "Name the job as in scrape_configs.",
        )));
    };
    Ok((!sends).then(|| {
        failed(
            wanted,
            format!("job {job} sends no credentials"),
            "Give the job `authorization` with the token's file.",
        )
    }))
}

async fn rule(probe: &Probe<'_>, api: &Api, spec: &PrometheusSpec) -> Result<Finding, NoJson> {
    let name = spec.alert.as_deref().unwrap_or_default();
    probe.say(&format!("Asks Prometheus at {} for the rule {name}.", api.place()));
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
                format!("Prometheus has no alert of that name; it has: {}", super::finding::names(names));
            return Ok(failed(wanted, saw, "Add the rule to Prometheus's rule files and reload it."));
        }
        let saw = format!("Prometheus has {} alerts of that name", mine.len());
        return Ok(unknown(wanted, saw, "Give each of them a name of its own, or keep one."));
    };
    let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut wrong = Vec::new();
    if let Some(expr) = &spec.expr {
        let (ours, theirs) = (formatted(api, expr).await?, formatted(api, text("query")).await?);
        if ours != theirs {
            wrong.push(format!("its expression is {}", brief(text("query"), 160)));
        }
    }
    if let Some(hold) = &spec.hold {
        let (Some(ours), Some(theirs)) = (parse_span(hold), found.get("duration").and_then(Value::as_f64))
        else {
            return Ok(unknown(wanted, "the rule's duration could not be read", "Write `for` as 10m."));
        };
        if (ours as f64 - theirs * 1_000.0).abs() > 0.5 {
            let theirs = human_span((theirs * 1_000.0) as u64);
            wrong.push(format!("it must hold for {theirs}, not {}", human_span(ours)));
        }
    }
    if !wrong.is_empty() {
        return Ok(failed(wanted, wrong.join("; "), "Correct the rule file, and reload Prometheus."));
    }
    match text("health") {
        "ok" => evaluated(api, group, found, wanted).await,
        "err" => Ok(failed(
            wanted,
            format!("it does not evaluate: {}", brief(text("lastError"), 160)),
            "Correct the rule's expression.",
        )),
        _ => Ok(unknown(wanted, "it was not evaluated yet", "Run the check again in a moment.")),
    }
}

/// Whether a rule without fault is still being evaluated, by Prometheus's own clock.
async fn evaluated(api: &Api, group: &Value, rule: &Value, wanted: String) -> Result<Finding, NoJson> {
    let again = "Run the check again in a moment.";
    let last = rule.get("lastEvaluation").and_then(Value::as_str);
    let Some(last) = last.and_then(|t| OffsetDateTime::parse(t, &Rfc3339).ok()) else {
        return Ok(unknown(wanted, "Prometheus does not say when it was last evaluated", again));
    };
    let answer = api.get("api/v1/query", &[("query", "time()")]).await?;
    let Some((_, now)) = series(&answer).into_iter().next().filter(|(_, v)| v.is_finite()) else {
        return Ok(unknown(wanted, "Prometheus does not say what time it is", again));
    };
    let ago = (now - last.unix_timestamp_nanos() as f64 / 1e9).max(0.0);
    let every = group.get("interval").and_then(Value::as_f64).unwrap_or_default();
    if ago > (every * ROUNDS).max(ROUNDS_LEAST_S) {
        let saw = format!("it was last evaluated {} ago", human_span((ago * 1_000.0) as u64));
        return Ok(failed(wanted, saw, "Look at Prometheus's log: it does not keep up with its rules."));
    }
    let state = rule.get("state").and_then(Value::as_str).unwrap_or_default();
    Ok(passed(wanted, format!("loaded as wanted, {state}")))
}

/// An expression in Prometheus's own form; where it cannot say (before 2.39), without white space.
async fn formatted(api: &Api, expr: &str) -> Result<String, NoJson> {
    match api.get("api/v1/format_query", &[("query", expr)]).await {
        Ok(answer) => Ok(without_space(answer.get("data").and_then(Value::as_str).unwrap_or(expr))),
        Err(none) if matches!(none.status, Some(404 | 405)) => Ok(without_space(expr)),
        Err(none) => Err(none),
    }
}

/// White space between words carries no meaning outside of strings; where it separates two words one stays.
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
    probe.say(&format!("Asks Prometheus at {}: {text}", api.place()));
    let answer = api.get("api/v1/query", &[("query", text)]).await?;
    let want = probe.work.check.want.as_ref();
    let wanted = want.map_or_else(|| "a value".to_owned(), Want::to_string);
    let kind = answer.pointer("/data/resultType").and_then(Value::as_str).unwrap_or("riddle");
    if !matches!(kind, "vector" | "scalar") {
        // Read as an instant answer it would look empty.
        let saw = format!("the query's answer is a {kind}, not numbers of now");
        return Ok(unknown(wanted, saw, "Ask for an instant vector or a scalar, without a range."));
    }
    let found = series(&answer);
    let absent = want.is_some_and(Want::is_absent);
    if found.is_empty() {
        return Ok(if absent {
            passed(wanted, "the query finds nothing")
        } else {
            unknown(wanted, "the query finds nothing", "Look whether the metric exists and is scraped.")
        });
    }
    let next = "Look at the series in Prometheus.";
    if absent {
        let first = found.first().map(|(labels, _)| labels.clone()).unwrap_or_default();
        return Ok(failed(wanted, format!("the query finds {} series, such as {first}", found.len()), next));
    }
    if let Some((labels, _)) = found.iter().find(|(_, v)| !v.is_finite()) {
        let saw = format!("{labels} has no number just now");
        return Ok(unknown(wanted, saw, "Look whether there was traffic to measure."));
    }
    let worst = found.iter().max_by(|a, b| badness(want, a.1).total_cmp(&badness(want, b.1)));
    let Some((labels, value)) = worst else { return Ok(unknown(wanted, "nothing", next)) };
    let of = if found.len() > 1 { format!(" ({labels}; {} series)", found.len()) } else { String::new() };
    Ok(in_unit_of(want, *value, format!("{}{of}", figure(*value)), next))
}

/// The greater, the further from what is wanted.
fn badness(want: Option<&Want>, value: f64) -> f64 {
    match want.map(|want| (want.comparison, want.number)) {
        Some((Comparison::Greater | Comparison::AtLeast, _)) => -value,
        Some((Comparison::Equal, number)) => (value - number).abs(),
        _ => value,
    }
}

/// The series of an instant answer: labels for people, and the value.
pub(super) fn series(answer: &Value) -> Vec<(String, f64)> {
    let number = |v: &Value| v.get(1).and_then(Value::as_str).and_then(|t| t.parse::<f64>().ok());
    match answer.pointer("/data/resultType").and_then(Value::as_str) {
        Some("scalar") => answer
            .pointer("/data/result")
            .and_then(number)
            .map(|v| ("it".to_owned(), v))
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
    if pairs.is_empty() { "it".to_owned() } else { brief(&format!("{{{}}}", pairs.join(", ")), 120) }
}

/// A string of PromQL.
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
    fn white_space_means_nothing_outside_of_strings() {
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
