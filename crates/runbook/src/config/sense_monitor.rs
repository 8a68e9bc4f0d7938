//! Sense in the declarations of checks of what watches the stack.

use domain::check::{CheckSpec, PrometheusAssert as Assert, Want};

use super::parse_duration;
use super::sense::Say;

/// Notes spans of time that are none: a check must not fall back to another one in silence.
pub(super) fn spans(say: Say<'_>, spec: &CheckSpec) {
    let spans = match spec {
        CheckSpec::Prometheus(asked) => vec![("within", &asked.within), ("for", &asked.hold)],
        CheckSpec::Grafana(asked) => vec![("fresh", &asked.fresh)],
        CheckSpec::Logs(asked) => vec![("fresh", &asked.fresh), ("keep", &asked.keep)],
        _ => vec![],
    };
    for (key, text) in spans {
        if let Some(text) = text
            && parse_duration(text).is_none()
        {
            say(key, &format!("“{text}” is no span of time"), "write one as “30s”, “10m” or “7d”");
        }
    }
}

/// Notes a query that is compared with nothing, and a fired alert that nothing ends.
pub(super) fn prometheus(say: Say<'_>, spec: &CheckSpec, want: Option<&Want>) {
    let CheckSpec::Prometheus(asked) = spec else { return };
    let needs = match asked.assert {
        Assert::Target => ("job", asked.job.is_some()),
        Assert::Rule => ("alert", asked.alert.is_some()),
        Assert::Query => ("query", asked.query.is_some()),
        Assert::Alert => ("alertmanager", asked.alertmanager.is_some()),
    };
    if !needs.1 {
        say("assert", &format!("this question needs `{}`", needs.0), &format!("add `{}`", needs.0));
    }
    if asked.assert == Assert::Query && want.is_none() {
        say("query", "a query without `want` proves nothing", "write want = \"< 600 ms\", or \"absent\"");
    }
    if asked.fire.is_some() && (asked.clear.is_none() || asked.alert.is_none()) {
        say("fire", "`fire` needs the `alert` it is to raise, and `clear` to end it", "name both");
    }
}
