//! Prometheus and Alertmanager, the real ones, and the files that `stagegate monitoring` writes.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use monitoring::{Monitoring, Thresholds};
use serde_json::{Value, json};

use crate::support::probe::{Seen, Stack};
use crate::support::prometheus::{Prometheus, checker};
use crate::support::web::{Web, nobody, reply};

/// A server with a counter, a token, and a lamp metric that can be switched on.
fn target() -> (Web, Arc<AtomicBool>) {
    let lamp = Arc::new(AtomicBool::new(false));
    let lit = Arc::clone(&lamp);
    let web = Web::serve(move |request| {
        if request.line.contains("/on") || request.line.contains("/off") {
            lit.store(request.line.contains("/on"), Ordering::Relaxed);
            return reply(200, "");
        }
        if !request.has("Authorization: Bearer s3cr3t-token") {
            return reply(401, "");
        }
        let on = u8::from(lit.load(Ordering::Relaxed));
        reply(200, &format!("lamp {on}\nthings 7\nnothing NaN\n"))
            .with("Content-Type", "text/plain; version=0.0.4")
    });
    (web, lamp)
}

/// Runs the check; the key `want` is the threshold.
fn ask(stack: &Stack, prometheus: &Prometheus, more: Value) -> Seen {
    let mut check = json!({ "kind": "prometheus", "url": format!("http://{}", prometheus.at) });
    check.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let want = check.as_object_mut().unwrap().remove("want");
    stack.see_want(check, want.as_ref().and_then(Value::as_str).unwrap_or_default())
}

#[test]
fn targets_rules_and_queries_are_judged() {
    let (web, _) = target();
    let prometheus = Prometheus::start(web.address);
    let mut stack = Stack::new();
    stack.retries = 15;
    let up = json!({ "assert": "target", "job": "api", "within": "10s", "authorized": true });
    ask(&stack, &prometheus, up).passes("1 up, last scraped");
    stack.retries = 0;
    let see = |more: Value| ask(&stack, &prometheus, more);
    see(json!({ "assert": "target", "job": "open" })).fails("401");
    see(json!({ "assert": "target", "job": "open", "authorized": true })).fails("sends no credentials");
    see(json!({ "assert": "target", "job": "gone" })).fails("is down");
    see(json!({ "assert": "target", "job": "nope" })).fails("its jobs: api, gone, open");
    see(json!({ "assert": "target", "job": "api", "instance": "elsewhere:1" })).fails("not scraped");

    let slow = "histogram_quantile(0.95,sum(rate(seconds_bucket[5m])) by (le))>0.6";
    see(json!({ "assert": "rule", "alert": "Slow", "expr": slow, "for": "10m" }))
        .passes("loaded as expected");
    see(json!({ "assert": "rule", "alert": "Slow", "for": "5m" })).fails("10 min");
    see(json!({ "assert": "rule", "alert": "Slow", "expr": "up > 0" })).fails("the expression is");
    see(json!({ "assert": "rule", "alert": "Fast" })).fails("loaded: Lit, Slow");

    let query = |text: &str| json!({ "assert": "query", "query": text });
    see(json!({ "assert": "query", "query": "things", "want": "== 7" })).passes("7");
    see(json!({ "assert": "query", "query": "things", "want": "< 7" })).fails("7");
    see(json!({ "assert": "query", "query": "nowhere", "want": "< 7" })).unsure("no result");
    see(json!({ "assert": "query", "query": "nowhere", "want": "absent" })).passes("no result");
    see(json!({ "assert": "query", "query": "things", "want": "absent" })).fails("1 series");
    see(json!({ "assert": "query", "query": "nothing", "want": "< 7" })).unsure("no number");
    see(query("sum(")).unsure("status 400");
    // A range is not a result for the current time, and must not count as an empty result.
    see(json!({ "assert": "query", "query": "things[1m]", "want": "absent" })).unsure("a matrix");
    let three = "label_replace(vector(8), 'n', 'a', '', '') or label_replace(vector(9), 'n', 'b', '', '') or vector(1)";
    see(json!({ "assert": "query", "query": three, "want": "< 7" })).fails("9 ({n=b}; 3 series)");
    see(json!({ "assert": "query", "query": three, "want": "> 7" })).fails("1 (the result; 3 series)");

    let away = json!({ "kind": "prometheus", "url": format!("http://{}", nobody()), "assert": "target", "job": "api" });
    stack.see(away).unsure("could not be reached");
}

/// A server that responds like a Prometheus whose rules were last evaluated `ago` seconds ago.
fn evaluated(ago: u64, times: usize) -> Web {
    Web::serve(move |request| {
        let now = 1_767_225_600; // 2026-01-01T00:00:00Z
        let at = domain::time::Millis((now - i64::try_from(ago).unwrap()) * 1_000).rfc3339();
        let rule = json!({ "type": "alerting", "name": "Slow", "query": "up == 0", "duration": 600, "health": "ok", "state": "inactive", "lastEvaluation": at });
        let data = if request.line.contains("/api/v1/rules") {
            json!({ "groups": [{ "name": "g", "interval": 30, "rules": vec![rule; times] }] })
        } else {
            json!({ "resultType": "scalar", "result": [now, now.to_string()] })
        };
        reply(200, &json!({ "status": "success", "data": data }).to_string())
    })
}

#[test]
fn a_rule_that_is_no_longer_evaluated_fails() {
    let see = |web: &Web| {
        let check = json!({ "kind": "prometheus", "url": web.url(), "assert": "rule", "alert": "Slow", "for": "10m" });
        Stack::new().see(check)
    };
    see(&evaluated(20, 1)).passes("loaded as expected");
    see(&evaluated(3_600, 1)).fails("last evaluated 1 h 00 min ago");
    see(&evaluated(20, 0)).fails("is not loaded");
    see(&evaluated(20, 2)).unsure("2 alerts with that name");
}

#[test]
fn a_test_alert_is_followed_and_cleared() {
    let (web, lamp) = target();
    let prometheus = Prometheus::start(web.address);
    let stack = Stack::new();
    let alert = |more: Value| {
        let manager = format!("http://{}", prometheus.alertmanager);
        let mut check = json!({ "assert": "alert", "alertmanager": manager, "within": "20s" });
        check.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(&stack, &prometheus, check)
    };
    alert(json!({})).passes("routed to team, cleared; Prometheus was not tested");
    alert(json!({ "receiver": "team" })).passes("team");
    alert(json!({ "receiver": "nobody" })).fails("routed to team, not to nobody");

    let switch = |way: &str| format!("curl -fsS http://{}/{way}", web.address);
    let real =
        |fire: String| json!({ "alert": "Lit", "fire": fire, "clear": switch("off"), "receiver": "team" });
    alert(real(switch("on"))).passes("the alert fired and reached team, and cleared");
    assert!(!lamp.load(Ordering::Relaxed));
    let seen = alert(json!({ "alert": "Lit", "fire": "true", "clear": switch("off"), "within": "2s" }));
    seen.fails("did not fire");
    alert(json!({ "alert": "Lit", "fire": "exit 3", "clear": "true" })).unsure("failed (exit");
    // The lamp is switched off even when the alert did not arrive.
    alert(json!({ "alert": "Other", "fire": switch("on"), "clear": switch("off"), "within": "2s" }))
        .fails("did not fire");
    assert!(!lamp.load(Ordering::Relaxed), "the clearing command did not run");
    let mut patient = Stack::new();
    patient.retries = 15;
    let quiet = "ALERTS{alertname='Lit', alertstate='firing'}";
    let quiet = json!({ "assert": "query", "query": quiet, "want": "absent" });
    ask(&patient, &prometheus, quiet).passes("no result");
    alert(json!({ "alert": "Lit", "fire": switch("on"), "clear": "exit 4" })).fails("may still fire");
    // It still fires, so the effect of `fire` could not be measured.
    alert(json!({ "alert": "Lit", "fire": "true", "clear": switch("off") })).unsure("already firing");
    assert!(lamp.load(Ordering::Relaxed), "what others lit was put out");
}

fn monitoring() -> Monitoring {
    Monitoring {
        job: "api".into(),
        target: "backend:3000".into(),
        scheme: "http".into(),
        path: "/metrics".into(),
        token_file: "token".into(),
        alertmanager: "alertmanager:9093".into(),
        histogram: "http_request_duration_seconds".into(),
        status: "status".into(),
        receiver: "team".into(),
        thresholds: Thresholds::default(),
    }
}

#[test]
fn the_written_monitoring_files_are_accepted_and_alerts_fire_at_their_threshold() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("token"), "x").unwrap();
    for (name, text) in monitoring().files() {
        fs::write(home.path().join(name), text).unwrap();
    }
    for (program, args) in [
        ("promtool", &["check", "config", "prometheus.yml"][..]),
        ("promtool", &["check", "rules", "alerts.yml"][..]),
        ("amtool", &["check-config", "alertmanager.yml"][..]),
    ] {
        let (good, said) = checker(program, args, home.path());
        assert!(good, "{program}: {said}");
    }
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(home.path().join("dashboard.json")).unwrap()).unwrap();
    assert_eq!(dashboard["panels"].as_array().unwrap().len(), 5);

    // Each alert fires above its threshold, for its time, and not below.
    let fires = |name: &str, input: &str, at: &str, fires: bool| {
        let expected = if fires {
            "[{exp_labels: {severity: S}}]"
                .replace('S', if name == "HealthcheckFailing" { "critical, job: api" } else { "warning" })
        } else {
            "[]".into()
        };
        let expected = expected.replace("}}]", "}, exp_annotations: {summary: SUMMARY}}]");
        let rules = fs::read_to_string(home.path().join("alerts.yml")).unwrap();
        let summary = rules
            .split(&format!("alert: {name}\n"))
            .nth(1)
            .unwrap()
            .split("summary: ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .to_owned();
        let test = format!(
            "rule_files: [alerts.yml]\nevaluation_interval: 15s\ntests:\n  - interval: 15s\n    input_series:\n{input}    alert_rule_test:\n      - eval_time: {at}\n        alertname: {name}\n        exp_alerts: {}\n",
            expected.replace("SUMMARY", &summary)
        );
        fs::write(home.path().join("test.yml"), &test).unwrap();
        let (good, said) = checker("promtool", &["test", "rules", "test.yml"], home.path());
        assert!(good, "{name} at {at}: {said}\n{test}");
    };
    let series = |name: &str, values: &str| format!("      - series: '{name}'\n        values: '{values}'\n");
    fires("HealthcheckFailing", &series("up{job=\"api\"}", "1 1 0 0 0 0"), "75s", true);
    fires("HealthcheckFailing", &series("up{job=\"api\"}", "1 1 0 0 1 0"), "75s", false);
    let latency = |over: &str, under: &str| {
        series("http_request_duration_seconds_bucket{job=\"api\",le=\"0.5\"}", &format!("0+{under}x80"))
            + &series("http_request_duration_seconds_bucket{job=\"api\",le=\"1\"}", &format!("0+{over}x80"))
            + &series(
                "http_request_duration_seconds_bucket{job=\"api\",le=\"+Inf\"}",
                &format!("0+{over}x80"),
            )
    };
    fires("HighLatency", &latency("100", "50"), "15m", true);
    fires("HighLatency", &latency("100", "50"), "8m", false);
    fires("HighLatency", &latency("100", "99"), "15m", false);
    let errors = |bad: &str| {
        series("http_request_duration_seconds_count{job=\"api\",status=\"500\"}", &format!("0+{bad}x80"))
            + &series("http_request_duration_seconds_count{job=\"api\",status=\"200\"}", "0+1000x80")
    };
    fires("HighErrorRate", &errors("20"), "15m", true);
    fires("HighErrorRate", &errors("20"), "8m", false);
    fires("HighErrorRate", &errors("5"), "15m", false);
}
