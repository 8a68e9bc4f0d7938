//! Dashboards: in a server that implements the documented HTTP API of Grafana, and as a file with a real Prometheus.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::probe::Stack;
use crate::support::prometheus::Prometheus;
use crate::support::web::{Web, nobody, reply};

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A Grafana with one dashboard, whose second panel's newest point is `age` seconds old.
fn grafana(age: u64) -> Web {
    Web::serve(move |request| {
        if !request.has("Authorization: Bearer glsa_good_token") {
            return reply(401, "{\"message\":\"Unauthorized\"}");
        }
        let panel = |title: &str| json!({"type": "timeseries", "title": title, "datasource": {"uid": "p"}, "targets": [{"refId": "A", "expr": "up{job=\"$job\"}"}]});
        let dashboard = json!({"dashboard": {"title": "Golden", "panels": [panel("Rate"), panel("Memory")], "templating": {"list": [{"name": "job", "current": {"value": "api"}}]}}});
        let times = [now_ms() - 1_000 * age];
        let body = if request.line.contains("/api/dashboards/uid/golden") {
            dashboard.to_string()
        } else if request.line.contains("/api/search") {
            json!([{"uid": "golden", "title": "Golden"}]).to_string()
        } else if request.line.contains("/api/ds/query") {
            json!({"results": {"A": {"frames": [{"schema": {"fields": [{"type": "time"}, {"type": "number"}]}, "data": {"values": [times, [1.5]]}}]}}}).to_string()
        } else {
            return reply(404, "{\"message\":\"Dashboard not found\"}");
        };
        reply(200, &body).with("Content-Type", "application/json")
    })
}

#[test]
fn a_dashboard_in_grafana_must_have_recent_data_in_every_panel() {
    let see = |web: &Web, token: &str, dashboard: &str| {
        let mut stack = Stack::new();
        stack.env(&format!("GRAFANA_TOKEN={token}\n"));
        let url = format!("http://{}", web.address);
        stack.url("grafana", &url);
        stack.see(json!({ "kind": "grafana", "url": url, "token": "${GRAFANA_TOKEN}", "dashboard": dashboard, "fresh": "2m" }))
    };
    let fresh = grafana(5);
    see(&fresh, "glsa_good_token", "golden").passes("2 panels with recent data");
    see(&fresh, "glsa_good_token", "Golden").passes("2 panels");
    see(&fresh, "glsa_good_token", "Other").fails("dashboard Other does not exist");
    see(&fresh, "glsa_wrong_token", "golden").unsure("refused the request");
    see(&grafana(600), "glsa_good_token", "golden").fails("no recent data: Rate, Memory");
    let stack = Stack::new();
    let nowhere = json!({ "kind": "grafana", "url": format!("http://{}", nobody()), "dashboard": "x" });
    stack.see(nowhere).unsure("could not be reached");
    // A token is not sent to an undeclared address.
    let mut stack = Stack::new();
    stack.env("GRAFANA_TOKEN=glsa_good_token\n");
    let check = json!({ "kind": "grafana", "url": format!("http://{}", fresh.address), "token": "${GRAFANA_TOKEN}", "dashboard": "golden" });
    stack.see(check).unsure("not a declared URL");
}

#[test]
fn every_query_of_a_panel_must_have_data() {
    let web = Web::serve(|request| {
        let frame = json!({"schema": {"fields": [{"type": "time"}, {"type": "number"}]}, "data": {"values": [[now_ms()], [1]]}});
        let full = request.line.contains("/full/");
        let body = if request.line.contains("/api/dashboards/uid/") {
            let targets = json!([{"refId": "A", "expr": "a"}, {"refId": "B", "expr": "b"}, {"refId": "C", "expr": "c", "hide": true}]);
            json!({"dashboard": {"panels": [{"type": "stat", "title": "Two", "targets": targets}]}})
        } else {
            let second = if full { json!([frame]) } else { json!([]) };
            json!({"results": {"A": {"frames": [frame]}, "B": {"frames": second}}})
        };
        reply(200, &body.to_string())
    });
    let see = |under: &str| {
        let url = format!("{}/{under}/", web.url());
        Stack::new().see(json!({ "kind": "grafana", "url": url, "dashboard": "d" }))
    };
    see("full").passes("1 panel with recent data");
    see("half").fails("no recent data: Two");
}

#[test]
fn the_queries_of_a_file_are_sent_to_prometheus() {
    let web = Web::serve(|_| reply(200, "things 7\n").with("Content-Type", "text/plain"));
    let prometheus = Prometheus::start(web.address);
    let mut stack = Stack::new();
    stack.retries = 15;
    let panel =
        |title: &str, expr: &str| json!({"type": "timeseries", "title": title, "targets": [{"expr": expr}]});
    let write = |stack: &Stack, panels: Value| {
        fs::write(stack.dir().join("d.json"), json!({ "panels": panels }).to_string()).unwrap()
    };
    let check = || json!({ "kind": "grafana", "file": "d.json", "prometheus": format!("http://{}", prometheus.at), "fresh": "1m" });
    write(
        &stack,
        json!([panel("Things", "sum(things)"), {"type": "row", "panels": [panel("Rate", "rate(things[$__rate_interval])")]}]),
    );
    stack.see(check()).passes("2 panels with recent data");
    stack.retries = 0;
    write(&stack, json!([panel("Things", "things"), panel("Gone", "no_such_metric")]));
    stack.see(check()).fails("no recent data: Gone");
    write(&stack, json!([panel("Things", "things{a=\"$where\"}")]));
    stack.see(check()).unsure("$where has no value");
    write(&stack, json!([panel("Broken", "sum(")]));
    stack.see(check()).unsure("Broken: Prometheus responded with status 400");
    write(&stack, json!([]));
    stack.see(check()).fails("no panel");
    let gone = json!({ "kind": "grafana", "file": "gone.json", "prometheus": "http://127.0.0.1:1" });
    stack.see(gone).fails("cannot be read");
}
