//! A dashboard: does it exist, and do its panels have recent data? With a Grafana, its API is used; without one,
//! the queries of the dashboard file are sent to Prometheus, which tests the queries but not the display.

use std::collections::BTreeMap;

use domain::check::GrafanaSpec;
use domain::evidence::Finding;
use domain::time::human_span;
use serde_json::{Value, json};

use super::finding::{brief, count_of, failed, names, passed, unknown, with_value};
use super::json_api::{Api, NoJson};
use super::probe::Probe;
use super::prometheus::span_or;
use system::clock::now_ms;
use system::files::read_bounded;

/// How old the newest data point may be by default, milliseconds.
const FRESH_MS: u64 = 300_000;
/// Largest dashboard file, bytes.
const DASHBOARD_MAX: usize = 16 << 20;

/// The result for one panel.
enum Panel {
    Fresh,
    Empty(String),
    Unclear(String, String),
}

pub(super) async fn probe(probe: &Probe<'_>, spec: &GrafanaSpec) -> Finding {
    let fresh = span_or(spec.fresh.as_deref(), FRESH_MS);
    let wanted = format!("every panel has data from the last {}", human_span(fresh));
    let seen = match (&spec.url, &spec.file) {
        (Some(url), _) => in_grafana(probe, spec, url, fresh, &wanted).await,
        (None, Some(file)) => in_file(probe, spec, file, fresh, &wanted).await,
        (None, None) => Ok(unknown(
            &wanted,
            "the check names neither a Grafana nor a file",
            "Set `url`, or `file` and `prometheus`, in the check.",
        )),
    };
    seen.unwrap_or_else(|none| none.finding(&wanted))
}

async fn in_grafana(
    probe: &Probe<'_>,
    spec: &GrafanaSpec,
    url: &str,
    fresh: u64,
    wanted: &str,
) -> Result<Finding, NoJson> {
    let api = Api::new(probe, "Grafana", url, spec.token.as_deref())?;
    let name = spec.dashboard.as_deref().unwrap_or_default();
    probe.say(&format!("Asking Grafana at {} for dashboard {name}.", api.place()));
    let by_uid = api.get(&format!("api/dashboards/uid/{}", plain(name)), &[]).await;
    let answer = match by_uid {
        Err(NoJson { status: Some(404), .. }) => {
            let found = api.get("api/search", &[("type", "dash-db"), ("query", name)]).await?;
            let uid = found
                .as_array()
                .into_iter()
                .flatten()
                .find(|d| d.get("title").and_then(Value::as_str) == Some(name));
            let Some(uid) = uid.and_then(|d| d.get("uid")?.as_str()) else {
                return Ok(failed(
                    wanted,
                    format!("dashboard {name} does not exist in Grafana"),
                    "Import the dashboard.",
                ));
            };
            api.get(&format!("api/dashboards/uid/{uid}"), &[]).await?
        }
        other => other?,
    };
    let dashboard = answer.get("dashboard").cloned().unwrap_or_default();
    let values = values(&dashboard, &spec.variables);
    let mut seen = Vec::new();
    for (title, panel) in panels(&dashboard) {
        let mut queries = shown(&panel);
        let mut missing = None;
        for (i, query) in queries.iter_mut().enumerate() {
            if let Some(expr) = query.get("expr").and_then(Value::as_str) {
                match filled(expr, &values, fresh) {
                    Ok(text) => query["expr"] = Value::String(text),
                    Err(name) => missing = Some(name),
                }
            }
            let source = query.get("datasource").or(panel.get("datasource")).cloned().unwrap_or_default();
            query["datasource"] = source;
            query["intervalMs"] = json!(15_000);
            query["maxDataPoints"] = json!(100);
            if query.get("refId").is_none() {
                query["refId"] = Value::String(format!("Q{i}"));
            }
        }
        if let Some(name) = missing {
            seen.push(Panel::Unclear(title, format!("variable ${name} has no value")));
            continue;
        }
        let body = json!({ "queries": queries, "from": format!("now-{}s", fresh / 1_000), "to": "now" });
        seen.push(match api.post("api/ds/query", &body).await {
            Ok(answer) => of_frames(title, &answer, queries.len(), now_ms(), fresh),
            Err(none) if none.status.is_some() => Panel::Unclear(title, none.saw),
            Err(none) => return Err(none),
        });
    }
    Ok(judged(seen, wanted))
}

/// The queries of a panel that are not hidden.
fn shown(panel: &Value) -> Vec<Value> {
    let all = panel.get("targets").and_then(Value::as_array).into_iter().flatten();
    all.filter(|t| t.get("hide").and_then(Value::as_bool) != Some(true)).cloned().collect()
}

/// Whether the response has a recent data point for each of the `asked` queries.
fn of_frames(title: String, answer: &Value, asked: usize, now_ms: u64, fresh: u64) -> Panel {
    let results = answer.get("results").and_then(Value::as_object);
    let mut with_data = 0;
    for result in results.into_iter().flat_map(|r| r.values()) {
        let mut is_fresh = false;
        if let Some(error) = result.get("error").and_then(Value::as_str) {
            return Panel::Unclear(title, brief(error, 160));
        }
        let frames = result.get("frames").and_then(Value::as_array).into_iter().flatten();
        for frame in frames {
            let fields =
                frame.pointer("/schema/fields").and_then(Value::as_array).cloned().unwrap_or_default();
            let columns =
                frame.pointer("/data/values").and_then(Value::as_array).cloned().unwrap_or_default();
            let column = |kind: &str| {
                let at = fields.iter().position(|f| f.get("type").and_then(Value::as_str) == Some(kind))?;
                columns.get(at)?.as_array().cloned()
            };
            let (Some(times), Some(numbers)) = (column("time"), column("number")) else { continue };
            let newest = times
                .iter()
                .zip(&numbers)
                .filter(|(_, n)| !n.is_null())
                .filter_map(|(t, _)| t.as_f64())
                .fold(0.0, f64::max);
            is_fresh |= newest + fresh as f64 >= now_ms as f64;
        }
        with_data += usize::from(is_fresh);
    }
    if with_data > 0 && with_data >= asked { Panel::Fresh } else { Panel::Empty(title) }
}

async fn in_file(
    probe: &Probe<'_>,
    spec: &GrafanaSpec,
    file: &str,
    fresh: u64,
    wanted: &str,
) -> Result<Finding, NoJson> {
    let path = probe.work.stack.dir().join(file);
    let read = tokio::task::spawn_blocking(move || {
        let bytes = read_bounded(&path, DASHBOARD_MAX)?;
        String::from_utf8(bytes).map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))
    });
    let text = match read.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(text) => text,
        Err(error) => {
            return Ok(failed(
                wanted,
                format!("{file} cannot be read ({})", error.kind()),
                "Create the dashboard file, or correct `file`.",
            ));
        }
    };
    let Ok(dashboard) = serde_json::from_str::<Value>(&text) else {
        return Ok(failed(wanted, format!("{file} is not JSON"), "Export the dashboard again."));
    };
    let dashboard = dashboard.get("dashboard").cloned().unwrap_or(dashboard);
    let Some(address) = &spec.prometheus else {
        return Ok(unknown(wanted, "the check names no Prometheus", "Set `prometheus` in the check."));
    };
    let api = Api::new(probe, "Prometheus", address, spec.token.as_deref())?;
    probe.say(&format!("Sending the queries of {file} to Prometheus at {}.", api.place()));
    let values = values(&dashboard, &spec.variables);
    let now = now_ms() / 1_000;
    let (start, end) = ((now - (fresh / 1_000).min(now)).to_string(), now.to_string());
    let step = (fresh / 20_000).max(1).to_string();
    let mut seen = Vec::new();
    for (title, panel) in panels(&dashboard) {
        let targets = shown(&panel);
        let exprs: Vec<&str> = targets.iter().filter_map(|t| t.get("expr")?.as_str()).collect();
        if exprs.is_empty() {
            seen.push(Panel::Unclear(title, "no Prometheus query".to_owned()));
            continue;
        }
        let mut state = Panel::Fresh;
        for expr in exprs {
            let text = match filled(expr, &values, fresh) {
                Ok(text) => text,
                Err(name) => {
                    state = Panel::Unclear(title.clone(), format!("variable ${name} has no value"));
                    break;
                }
            };
            let query = [("query", text.as_str()), ("start", &start), ("end", &end), ("step", &step)];
            match api.get("api/v1/query_range", &query).await {
                Ok(answer) if has_points(&answer) => {}
                Ok(_) => {
                    state = Panel::Empty(title.clone());
                    break;
                }
                Err(none) if none.status.is_some() => {
                    state = Panel::Unclear(title.clone(), none.saw);
                    break;
                }
                Err(none) => return Err(none),
            }
        }
        seen.push(state);
    }
    Ok(judged(seen, wanted))
}

fn has_points(answer: &Value) -> bool {
    let series = answer.pointer("/data/result").and_then(Value::as_array).cloned().unwrap_or_default();
    series.iter().filter_map(|s| s.get("values")?.as_array().cloned()).flatten().any(|point| {
        point.get(1).and_then(Value::as_str).and_then(|t| t.parse::<f64>().ok()).is_some_and(f64::is_finite)
    })
}

fn judged(seen: Vec<Panel>, wanted: &str) -> Finding {
    if seen.is_empty() {
        return failed(wanted, "the dashboard has no panel", "Add panels for the golden signals.");
    }
    let empty: Vec<&str> = seen
        .iter()
        .filter_map(|p| match p {
            Panel::Empty(title) => Some(title.as_str()),
            _ => None,
        })
        .collect();
    if !empty.is_empty() {
        let saw = format!("no recent data: {}", names(&empty));
        return with_value(
            failed(wanted, saw, "Check that Prometheus scrapes the metrics of these panels."),
            empty.len() as f64,
        );
    }
    let unclear: Vec<String> = seen
        .iter()
        .filter_map(|p| match p {
            Panel::Unclear(title, why) => Some(format!("{title}: {why}")),
            _ => None,
        })
        .collect();
    if let Some(first) = unclear.first() {
        let more = unclear.len() - 1;
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        return unknown(
            wanted,
            format!("{first}{more}"),
            "Set the variable in the check, or correct the panel.",
        );
    }
    passed(wanted, format!("{} with recent data", count_of(seen.len(), "panel", "panels")))
}

/// The panels that show data, including those in rows, with their titles.
fn panels(dashboard: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut queue: Vec<Value> =
        dashboard.get("panels").and_then(Value::as_array).cloned().unwrap_or_default();
    queue.reverse();
    while let Some(panel) = queue.pop() {
        let inner = panel.get("panels").and_then(Value::as_array).cloned().unwrap_or_default();
        queue.extend(inner.into_iter().rev());
        let kind = panel.get("type").and_then(Value::as_str).unwrap_or_default();
        if !matches!(kind, "row" | "text" | "dashlist" | "news") {
            let title = panel.get("title").and_then(Value::as_str).unwrap_or("a panel without a title");
            all.push((title.to_owned(), panel));
        }
    }
    all
}

/// Values of the dashboard's variables: those of the check, else those selected in the dashboard.
fn values(dashboard: &Value, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for variable in dashboard.pointer("/templating/list").and_then(Value::as_array).into_iter().flatten() {
        let name = variable.get("name").and_then(Value::as_str);
        let current = variable.pointer("/current/value");
        let value = match current {
            Some(Value::String(text)) if text == "$__all" => Some(".*".to_owned()),
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Array(list)) if list.iter().any(|v| v == "$__all") => Some(".*".to_owned()),
            Some(Value::Array(list)) => {
                let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                (!words.is_empty()).then(|| format!("({})", words.join("|")))
            }
            _ => None,
        };
        if let (Some(name), Some(value)) = (name, value) {
            all.insert(name.to_owned(), value);
        }
    }
    all.extend(given.clone());
    all
}

/// An expression with its variables filled in; otherwise the name of a variable without a value.
fn filled(expr: &str, values: &BTreeMap<String, String>, fresh: u64) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = expr;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest.starts_with('{');
        let inner = rest.strip_prefix('{').unwrap_or(rest);
        let end = inner.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let name = &inner[..end];
        rest = &inner[end..];
        if braced {
            // `${name:regex}`: the format says how a list is written.
            rest = rest.split_once('}').map_or("", |(_, after)| after);
        }
        match name {
            "" => out.push('$'),
            "__rate_interval" => out.push_str("2m"),
            "__interval" => out.push_str("1m"),
            "__range" => out.push_str(&format!("{}s", fresh / 1_000)),
            _ => out.push_str(values.get(name).ok_or_else(|| name.to_owned())?),
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// A uid that is valid in a path.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(fits) { name.to_owned() } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_or_reported() {
        let values = BTreeMap::from([("job".to_owned(), "api".to_owned())]);
        let text = filled("rate(x{job=~\"${job:regex}\"}[$__rate_interval]) > $1", &values, 300_000);
        assert_eq!(text, Err("1".to_owned()));
        let text = filled("rate(x{job=~\"$job\"}[$__range])", &values, 300_000);
        assert_eq!(text, Ok("rate(x{job=~\"api\"}[300s])".to_owned()));
        assert_eq!(filled("x{a=\"$b\"}", &values, 1), Err("b".to_owned()));
    }

    #[test]
    fn panels_in_rows_are_found() {
        let dashboard = json!({"panels": [
            {"type": "row", "title": "R", "panels": [{"type": "timeseries", "title": "A"}]},
            {"type": "text", "title": "T"},
            {"type": "stat", "title": "B"},
        ]});
        let titles: Vec<String> = panels(&dashboard).into_iter().map(|(t, _)| t).collect();
        assert_eq!(titles, ["A", "B"]);
    }

    #[test]
    fn only_a_data_point_with_a_number_is_recent() {
        let answer = |value: Value| {
            json!({"results": {"A": {"frames": [{
            "schema": {"fields": [{"type": "time"}, {"type": "number"}]}, "data": {"values": [[990_000], [value]]}}]}}})
        };
        assert!(matches!(of_frames("p".into(), &answer(json!(1)), 1, 1_000_000, 60_000), Panel::Fresh));
        assert!(matches!(of_frames("p".into(), &answer(Value::Null), 1, 1_000_000, 60_000), Panel::Empty(_)));
        assert!(matches!(of_frames("p".into(), &answer(json!(1)), 1, 1_000_000, 5_000), Panel::Empty(_)));
        let error = json!({"results": {"A": {"error": "bad"}}});
        assert!(matches!(of_frames("p".into(), &error, 1, 1, 1), Panel::Unclear(..)));
    }
}
