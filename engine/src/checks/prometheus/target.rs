//! A target that is scraped.

use domain::check::PrometheusTarget;
use domain::evidence::Finding;
use domain::time::human_span;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde_json::Value;

use super::super::finding::{brief, failed, names, passed, unknown};
use super::super::http_client::{ask, client, place};
use super::super::probe::Probe;
use super::super::span::parse_span;
use super::client::{Server, at_ms};

pub(super) async fn look(probe: &Probe<'_>, server: &Server, asked: &PrometheusTarget) -> Finding {
    let within = asked.within.as_deref().unwrap_or("60s");
    let which = match &asked.instance {
        Some(instance) => format!("{} ({instance})", asked.job),
        None => asked.job.clone(),
    };
    let gated = if asked.gated { ", and closed without a token" } else { "" };
    let wanted = format!("target {which} up, scraped within {within}{gated}");
    let Some(within_ms) = parse_span(within) else {
        return unknown(wanted, format!("“{within}” is no span of time"), "Write one such as 60s.");
    };
    let data = match server.data(probe, "targets", &[("state", "active")]).await {
        Ok(data) => data,
        Err(none) => {
            let (saw, next) = none.words();
            return unknown(wanted, saw, next);
        }
    };
    let Some(all) = data["activeTargets"].as_array() else {
        return unknown(wanted, "the answer lists no targets", "Correct the URL of the check.");
    };
    let meant: Vec<&Value> = all.iter().filter(|t| is_meant(t, asked)).collect();
    if meant.is_empty() {
        let mut jobs: Vec<&str> = all.iter().filter_map(|t| t["labels"]["job"].as_str()).collect();
        jobs.sort_unstable();
        jobs.dedup();
        let others = if jobs.is_empty() { "none at all".to_owned() } else { names(jobs) };
        let next = "Add the target to the scrape configuration, then reload Prometheus.";
        return failed(wanted, format!("Prometheus has no target {which}; its jobs: {others}"), next);
    }
    let mut unclear = None;
    for target in &meant {
        match state(target, probe.now_ms(), within_ms) {
            State::Good => {}
            State::Bad(saw) => return failed(wanted, saw, "Look at the target's page in Prometheus."),
            State::Unclear(saw) => unclear = Some(saw),
        }
    }
    if let Some(saw) = unclear {
        return unknown(wanted, saw, "Wait for the next scrape, then run it again.");
    }
    let saw = format!("{} of {} up and freshly scraped", meant.len(), meant.len());
    if !asked.gated {
        return passed(wanted, saw);
    }
    for target in &meant {
        if let Err(found) = closed(probe, target, &wanted).await {
            return found;
        }
    }
    passed(wanted, format!("{saw}; refused without a token"))
}

fn is_meant(target: &Value, asked: &PrometheusTarget) -> bool {
    let labels = &target["labels"];
    labels["job"] == asked.job.as_str() && asked.instance.as_ref().is_none_or(|i| labels["instance"] == **i)
}

enum State {
    Good,
    Bad(String),
    Unclear(String),
}

fn state(target: &Value, now_ms: u64, within_ms: u64) -> State {
    let name = target["labels"]["instance"].as_str().unwrap_or("a target");
    let Some(last) = at_ms(&target["lastScrape"]) else {
        return State::Unclear(format!("{name} was never scraped so far"));
    };
    match target["health"].as_str() {
        Some("up") => {}
        Some("down") => {
            let why = brief(target["lastError"].as_str().unwrap_or_default(), 200);
            return State::Bad(format!("{name} is down: {why}"));
        }
        _ => return State::Unclear(format!("nobody knows yet whether {name} is up")),
    }
    let age = now_ms.saturating_sub(last);
    if age > within_ms {
        return State::Bad(format!("{name} was last scraped {} ago", human_span(age)));
    }
    State::Good
}

/// Whether the address that Prometheus scrapes refuses whoever brings no token.
async fn closed(probe: &Probe<'_>, target: &Value, wanted: &str) -> Result<(), Finding> {
    let Some(url) = target["scrapeUrl"].as_str().and_then(|url| Url::parse(url).ok()) else {
        return Err(unknown(wanted, "Prometheus names no address that it scrapes", "Run it again."));
    };
    let reach = "The address must be reachable from this machine; else use an http check with `gate`.";
    let client = client(&url, None).map_err(|saw| unknown(wanted, saw, reach))?;
    probe.say(&format!("Asks: GET {url} without a token"));
    match ask(&client, &Method::GET, &url, &HeaderMap::new(), probe.left()).await {
        Ok(answer) if matches!(answer.status, 401 | 403) => Ok(()),
        Ok(answer) if (200..300).contains(&answer.status) => Err(failed(
            wanted,
            format!("{} answers {} without a token", place(&url), answer.status),
            "Close the metrics to requests without a token.",
        )),
        Ok(answer) => {
            let saw = format!("{} answers {} without a token", place(&url), answer.status);
            Err(unknown(wanted, saw, "Make it answer 401 or 403 to requests without a token."))
        }
        Err(none) => Err(unknown(wanted, none.saw, reach)),
    }
}
