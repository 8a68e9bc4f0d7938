//! Checks against a real Prometheus that scrapes small servers of the test.

use serde_json::{Value, json};

use crate::support::probe::Stack;
use crate::support::prometheus_server::Prometheus;
use crate::support::web::{Web, nobody, reply};

const METRICS: &str = "latency{route=\"/a\"} 120\nlatency{route=\"/b\"} 700\nzero 0\n";
const TOKEN: &str = "metrics-token-4711";

/// Metrics behind a token, and others that stand open.
fn shut() -> Web {
    Web::serve(|request| match request.has(&format!("authorization: Bearer {TOKEN}")) {
        true => reply(200, METRICS),
        false => reply(401, ""),
    })
}

fn scrapes(shut: &Web, open: &Web) -> String {
    format!(
        "[{{job_name: api, authorization: {{credentials: {TOKEN}}}, static_configs: [{{targets: ['{0}']}}]}}, \
         {{job_name: keyless, static_configs: [{{targets: ['{0}']}}]}}, \
         {{job_name: open, static_configs: [{{targets: ['{1}']}}]}}]",
        shut.address, open.address
    )
}

fn ask(server: &str, key: &str, what: Value) -> Value {
    let mut spec = json!({ "kind": "prometheus", "url": server });
    spec[key] = what;
    spec
}

/// What needs a scrape or an evaluation first is tried again until it was there.
fn patient() -> Stack {
    let mut stack = Stack::new();
    (stack.retries, stack.timeout) = (15, std::time::Duration::from_secs(40));
    stack
}

#[test]
fn a_target_is_up_with_its_token_and_closed_without() {
    let (shut, open) = (shut(), Web::serve(|_| reply(200, METRICS)));
    let server = Prometheus::start(&scrapes(&shut, &open), "[]");
    let (url, stack) = (server.url(), patient());
    let target = |what: Value| ask(&url, "target", what);
    stack.see(target(json!({ "job": "api", "gated": true }))).passes("refused without a token").hides(TOKEN);
    stack.see(target(json!({ "job": "open" }))).passes("up and freshly scraped");
    // From here on everything was scraped.
    let stack = Stack::new();
    stack.see(target(json!({ "job": "open", "gated": true }))).fails("answers 200 without a token");
    stack.see(target(json!({ "job": "keyless" }))).fails("401");
    stack.see(target(json!({ "job": "web" }))).fails("no target web; its jobs: api, keyless, open");
    stack.see(target(json!({ "job": "api", "within": "0s" }))).fails("was last scraped");
}

#[test]
fn a_rule_is_loaded_with_its_threshold_and_its_for() {
    let rules = "[{alert: Slow, expr: 'max by (route) (latency) > 600', for: 10m}, \
                  {alert: Broken, expr: 'latency * on (route) group_left () vector(1) > 0'}]";
    let server = Prometheus::start("[]", rules);
    let (url, stack) = (server.url(), patient());
    let rule = |what: Value| ask(&url, "rule", what);
    let good = json!({ "alert": "Slow", "expr": "( max(latency)  by (route) > 600 )", "for": "10m" });
    stack.see(rule(good)).passes("loaded as wanted");
    let stack = Stack::new();
    let wrong = json!({ "alert": "Slow", "for": "5m" });
    stack.see(rule(wrong)).fails("loaded with for 10m, not 5m");
    let wrong = json!({ "alert": "Slow", "expr": "max by (route) (latency) > 500" });
    stack.see(rule(wrong)).fails("> 600");
    stack.see(rule(json!({ "alert": "Fast" }))).fails("no alert Fast is loaded; loaded: Slow, Broken");
    let nonsense = json!({ "alert": "Slow", "expr": "max by (" });
    stack.see(rule(nonsense)).unsure("Prometheus says");
    stack.see(rule(json!({ "alert": "Slow", "for": "soon" }))).unsure("no span of time");
}

#[test]
fn the_worst_series_of_a_query_decides() {
    let open = Web::serve(|_| reply(200, METRICS));
    let scrape = format!("[{{job_name: open, static_configs: [{{targets: ['{}']}}]}}]", open.address);
    let server = Prometheus::start(&scrape, "[]");
    let url = server.url();
    let query = |text: &str| ask(&url, "query", json!(text));
    patient().see_want(query("latency"), "< 800 ms").passes("worst of 2 series: latency{");
    let stack = Stack::new();
    let seen = stack.see_want(query("latency"), "< 600 ms").fails("route=\"/b\"} = 700");
    assert_eq!(seen.finding.value, Some(700.0));
    stack.see_want(query("latency"), ">= 130 ms").fails("route=\"/a\"} = 120");
    stack.see_want(query("scalar(zero)"), "== 0").passes("the value = 0");
    stack.see_want(query("zero / zero"), "<= 1").unsure("NaN");
    stack.see_want(query("nothing"), "== 0").unsure("no data");
    stack.see_want(query("nothing"), "absent").passes("no series");
    stack.see_want(query("latency"), "absent").fails("2 series");
    stack.see_want(query("latency["), "< 1").unsure("Prometheus says");
    stack.see_want(query("latency[1m]"), "< 1").unsure("not numbers");
}

#[test]
fn a_server_that_cannot_be_asked_is_inconclusive() {
    let up = |url: &str| ask(url, "query", json!("up"));
    let stack = Stack::new();
    stack.see_want(up(&format!("http://{}", nobody())), "== 1").unsure("nothing listens on");
    let closed = Web::serve(|_| reply(401, "{}"));
    stack.see_want(up(&closed.url()), "== 1").unsure("refuses this check: status 401");
    let other = Web::serve(|_| reply(200, "<html>"));
    stack.see_want(up(&other.url()), "== 1").unsure("not as Prometheus does");
    let missing = Web::serve(|_| reply(404, ""));
    stack.see_want(up(&missing.url()), "== 1").unsure("404");
}

#[test]
fn the_token_goes_to_declared_urls_only() {
    let answer = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;
    let server = Web::serve(move |request| match request.has(&format!("authorization: Bearer {TOKEN}")) {
        true => reply(200, answer),
        false => reply(401, ""),
    });
    let mut stack = Stack::new();
    stack.env(&format!("METRICS_TOKEN={TOKEN}\n"));
    let spec =
        json!({ "kind": "prometheus", "url": server.url(), "bearer": "${METRICS_TOKEN}", "query": "1" });
    stack.see_want(spec.clone(), "== 1").unsure("METRICS_TOKEN was not sent");
    assert_eq!(server.asked(), 0);
    stack.url("prometheus", server.url());
    stack.see_want(spec, "== 1").passes("the value = 1").hides(TOKEN);
}
