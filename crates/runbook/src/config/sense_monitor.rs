//! Finds declarations that make no sense, in checks of the monitoring of the stack.

use domain::check::{GrafanaSpec, LogsSpec, PrometheusAssert as Assert, PrometheusSpec, Want};

use super::parse_duration;
use super::sense::Say;

/// Reports durations that are not valid: a check must not silently use a default instead.
fn durations(say: Say<'_>, keys: &[(&str, &Option<String>)]) {
    for (key, text) in keys {
        if let Some(text) = text
            && parse_duration(text).is_none()
        {
            say(key, &format!("“{text}” is not a duration"), "write it as “30s”, “10m” or “7d”");
        }
    }
}

pub(super) fn grafana(say: Say<'_>, asked: &GrafanaSpec) {
    durations(say, &[("fresh", &asked.fresh)]);
}

pub(super) fn logs(say: Say<'_>, asked: &LogsSpec) {
    durations(say, &[("fresh", &asked.fresh), ("keep", &asked.keep)]);
}

/// Reports a query without a threshold, and a fired alert that is not cleared.
pub(super) fn prometheus(say: Say<'_>, asked: &PrometheusSpec, want: Option<&Want>) {
    durations(say, &[("within", &asked.within), ("for", &asked.hold)]);
    let needs = match asked.assert {
        Assert::Target => ("job", asked.job.is_some()),
        Assert::Rule => ("alert", asked.alert.is_some()),
        Assert::Query => ("query", asked.query.is_some()),
        Assert::Alert => ("alertmanager", asked.alertmanager.is_some()),
    };
    if !needs.1 {
        say("assert", &format!("this `assert` requires `{}`", needs.0), &format!("add `{}`", needs.0));
    }
    if asked.assert == Assert::Query && want.is_none() {
        say("query", "a query without `expect` proves nothing", "write expect = \"< 600 ms\", or \"absent\"");
    }
    if asked.fire.is_some() && (asked.clear.is_none() || asked.alert.is_none()) {
        say(
            "fire",
            "`fire` requires `alert` and `clear`",
            "set `alert` to the alert that fires, and `clear` to the command that ends it",
        );
    }
}
