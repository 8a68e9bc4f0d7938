//! An instant query and its threshold.

use domain::check::{Comparison, Want};
use domain::evidence::Finding;
use serde_json::Value;

use super::super::finding::{brief, failed, figure, judge_value, passed, unknown};
use super::super::probe::Probe;
use super::client::Server;

/// One series of an answer.
struct Series {
    name: String,
    value: f64,
}

pub(super) async fn look(probe: &Probe<'_>, server: &Server, query: &str) -> Finding {
    let Some(want) = &probe.work.check.want else {
        return unknown("a threshold", "the check has no `want`", "Give the check a `want`.");
    };
    let wanted = format!("{} {want}", brief(query, 120));
    let data = match server.data(probe, "query", &[("query", query)]).await {
        Ok(data) => data,
        Err(none) => {
            let (saw, next) = none.words();
            return unknown(wanted, saw, next);
        }
    };
    let Some(series) = read(&data) else {
        let saw = format!("the answer is a {}, not numbers", data["resultType"].as_str().unwrap_or("riddle"));
        return unknown(wanted, saw, "Ask for an instant vector or a scalar.");
    };
    let found = judge(want, &series);
    Finding { wanted, ..found }
}

fn judge(want: &Want, series: &[Series]) -> Finding {
    if want.is_absent() {
        return match series.first() {
            None => passed("", "no series"),
            Some(one) => failed(
                "",
                format!("{} series, such as {} = {}", series.len(), one.name, figure(one.value)),
                "Find out where the series comes from.",
            ),
        };
    }
    if series.is_empty() {
        let next = "Make some traffic, check that the target is scraped, or correct the query.";
        return unknown("", "the query has no data", next);
    }
    if let Some(none) = series.iter().find(|s| !s.value.is_finite()) {
        let next = "Make some traffic, so that there is something to measure, or correct the query.";
        return unknown("", format!("{} is {}, which is no measurement", none.name, none.value), next);
    }
    let worst = series.iter().max_by(|a, b| badness(want, a.value).total_cmp(&badness(want, b.value)));
    let Some(worst) = worst else { return unknown("", "the query has no data", "Correct the query.") };
    let saw = match series.len() {
        1 => format!("{} = {}", worst.name, figure(worst.value)),
        n => format!("worst of {n} series: {} = {}", worst.name, figure(worst.value)),
    };
    judge_value(Some(want), worst.value, "", saw, "Look at the metric's history and the service's log.")
}

/// The greater, the further from what is wanted.
fn badness(want: &Want, value: f64) -> f64 {
    match want.comparison {
        Comparison::Less | Comparison::AtMost => value,
        Comparison::Greater | Comparison::AtLeast => -value,
        _ => (value - want.number).abs(),
    }
}

/// The numbers of an answer; `None` when it holds something else.
fn read(data: &Value) -> Option<Vec<Series>> {
    let number = |pair: &Value| pair[1].as_str()?.parse::<f64>().ok();
    match data["resultType"].as_str()? {
        "scalar" => Some(vec![Series { name: "the value".into(), value: number(&data["result"])? }]),
        "vector" => {
            let one = |s: &Value| Some(Series { name: name(&s["metric"]), value: number(&s["value"])? });
            data["result"].as_array()?.iter().map(one).collect()
        }
        _ => None,
    }
}

/// A series' labels as PromQL writes them.
fn name(metric: &Value) -> String {
    let labels = metric.as_object().into_iter().flatten();
    let text: Vec<String> = labels
        .filter(|(key, _)| *key != "__name__")
        .map(|(key, value)| format!("{key}=\"{}\"", value.as_str().unwrap_or_default()))
        .collect();
    match (metric["__name__"].as_str().unwrap_or_default(), text.is_empty()) {
        ("", true) => "the value".to_owned(),
        (name, true) => name.to_owned(),
        (name, false) => brief(&format!("{name}{{{}}}", text.join(", ")), 160),
    }
}
