use serde_json::json;

use crate::support::probe::Stack;
use crate::support::web::{Web, nobody, reply};

const TOKEN: &str = "s3cr3t-metrics-token-81";

fn stack(web: &Web) -> Stack {
    let mut stack = Stack::new();
    stack.env(&format!("METRICS_TOKEN={TOKEN}\nPORT={}\nEMPTY=\n", web.address.port()));
    stack.url("api", "http://127.0.0.1:${PORT:-3000}");
    stack
}

#[test]
fn an_expected_response_passes_with_its_value() {
    let web = Web::serve(|r| {
        assert_eq!(r.line, "GET /health HTTP/1.1");
        reply(200, r#"{"status":"ok","uptime":12.5}"#).with("x-frame-options", "DENY")
    });
    let spec = json!({
        "kind": "http", "url": "${api}/health", "body_contains": "\"ok\"", "pointer": "/uptime",
        "expect_headers": { "X-Frame-Options": "deny" }, "forbid_headers": { "x-powered-by": "" },
    });
    let seen = stack(&web).see_want(spec, ">= 10 s").passes("status 200");
    assert_eq!(seen.finding.value, Some(12.5));
    assert!(seen.finding.wanted.contains(">= 10 s"), "{:?}", seen.finding);
}

#[test]
fn an_unexpected_response_fails_with_the_reason() {
    let web = Web::serve(|r| match r.line.split(' ').nth(1).unwrap() {
        "/down" => reply(503, "no"),
        "/cors" => reply(200, "ok").with("access-control-allow-origin", "*"),
        "/evil" => reply(200, "ok").with("access-control-allow-origin", "https://web.example.evil"),
        _ => reply(200, "{\"n\":3}"),
    });
    let stack = stack(&web);
    let see = |spec| stack.see(spec);
    see(json!({ "kind": "http", "url": "${api}/down" })).fails("status 503");
    see(json!({ "kind": "http", "url": "${api}/", "expect_headers": { "x-a": "" } })).fails("no header x-a");
    see(json!({ "kind": "http", "url": "${api}/", "body_contains": "pong" }))
        .fails("does not contain “pong”");
    see(json!({ "kind": "http", "url": "${api}/cors", "forbid_headers": { "access-control-allow-origin": "*" } }))
        .fails("access-control-allow-origin: *");
    stack.see_want(json!({ "kind": "http", "url": "${api}/", "pointer": "/n" }), "> 3").fails("/n is 3");
    let mut stack = stack;
    stack.url("web", "https://web.example");
    let origin = json!({ "access-control-allow-origin": "${web}" });
    stack.see(json!({ "kind": "http", "url": "${api}/evil", "expect_headers": origin })).fails("evil");
}

#[test]
fn the_bearer_token_is_sent_and_appears_in_no_text() {
    let web = Web::serve(|r| {
        let given = r.has(&format!("authorization: Bearer {TOKEN}"));
        if given { reply(200, &format!("you sent {TOKEN}")) } else { reply(401, "no") }
    });
    let stack = stack(&web);
    let bearer = json!({ "Authorization": "Bearer ${METRICS_TOKEN}" });
    stack
        .see(json!({ "kind": "http", "url": "${api}/metrics", "headers": bearer }))
        .passes("200")
        .hides(TOKEN);
    let without = json!({ "kind": "http", "url": "${api}/metrics", "status": [401, 403] });
    stack.see(without).passes("status 401");
    let shown = json!({ "kind": "http", "url": "${api}/${METRICS_TOKEN}", "headers": bearer, "body_contains": "${METRICS_TOKEN}x" });
    stack.see(shown).fails("does not contain").hides(TOKEN);
}

#[test]
fn secrets_are_not_sent_to_undeclared_hosts() {
    let (own, stranger) = (Web::serve(|_| reply(200, "")), Web::serve(|_| reply(200, "")));
    let spec = json!({
        "kind": "http", "url": format!("{}/", stranger.url()), "headers": { "x-token": "${METRICS_TOKEN}" },
    });
    stack(&own).see(spec).unsure("METRICS_TOKEN was not sent").hides(TOKEN);
    assert_eq!(stranger.asked(), 0);
}

#[test]
fn redirects_are_not_followed() {
    let target = Web::serve(|_| reply(200, "ok"));
    let to = target.url();
    let web = Web::serve(move |_| reply(302, "").with("location", &to));
    let stack = stack(&web);
    stack.see(json!({ "kind": "http", "url": "${api}/" })).fails("status 302");
    stack.see(json!({ "kind": "http", "url": "${api}/", "status": [302] })).passes("302");
    assert_eq!(target.asked(), 0);
}

#[test]
fn no_response_is_inconclusive_with_the_reason() {
    let web = Web::serve(|_| reply(200, "late").after(5_000));
    let mut stack = stack(&web);
    let nobody = nobody();
    let url = format!("http://{nobody}/");
    stack.see(json!({ "kind": "http", "url": url })).unsure(&format!("nothing listens on {nobody}"));
    stack
        .see(json!({ "kind": "http", "url": url, "requests": 50, "measure": "error_rate" }))
        .unsure("nothing listens");
    stack.see(json!({ "kind": "http", "url": "http://no-such-host.invalid/" })).unsure("does not resolve");
    stack
        .see(json!({ "kind": "http", "url": format!("https://{}/", web.address) }))
        .unsure(&web.address.to_string());
    stack.timeout = std::time::Duration::from_millis(700);
    let hanging = stack.see(json!({ "kind": "http", "url": "${api}/" }));
    assert!(hanging.unsure("").finding.saw.contains("within"));
}

#[test]
fn declarations_that_cannot_be_filled_are_inconclusive() {
    let web = Web::serve(|_| reply(200, "text"));
    let stack = stack(&web);
    stack.see(json!({ "kind": "http", "url": "${nowhere}/" })).unsure("${nowhere}");
    stack.see(json!({ "kind": "http", "url": "${api}/", "headers": { "x": "${EMPTY}" } })).unsure("${EMPTY}");
    stack.see(json!({ "kind": "http", "url": "file:///etc/passwd" })).unsure("not an http or https URL");
    assert_eq!(web.asked(), 0);
    stack
        .see_want(json!({ "kind": "http", "url": "${api}/", "pointer": "/a" }), ">= 1")
        .unsure("no complete JSON");
    stack.see_want(json!({ "kind": "http", "url": "${api}/" }), ">= 1").unsure("names no value to compare");
}

#[test]
fn only_the_beginning_of_a_long_body_is_read() {
    let web = Web::serve(|_| reply(200, &format!("first {} last", "x".repeat(300_000))));
    let stack = stack(&web);
    stack.see(json!({ "kind": "http", "url": "${api}/", "body_contains": "first" })).passes("200");
    stack.see(json!({ "kind": "http", "url": "${api}/", "body_contains": "last" })).unsure("64 KiB");
}

#[test]
fn error_rates_leave_429_out() {
    let web = Web::serve(|r| match r.number % 10 {
        0 => reply(500, ""),
        1..6 => reply(429, ""),
        _ => reply(200, ""),
    });
    let spec = json!({ "kind": "http", "url": "${api}/", "requests": 20, "measure": "error_rate" });
    let seen = stack(&web).see_want(spec.clone(), "< 25 %").passes("429 responses counted separately: 10");
    assert_eq!(seen.finding.value, Some(20.0));
    stack(&web).see_want(spec, "< 1 %").fails("status 500");
    let limited = Web::serve(|_| reply(429, ""));
    stack(&limited)
        .see(json!({ "kind": "http", "url": "${api}/", "requests": 3, "measure": "error_rate" }))
        .unsure("no request could be counted");
    stack(&limited).see(json!({ "kind": "http", "url": "${api}/" })).unsure("429");
}

#[test]
fn latency_is_judged_over_expected_responses() {
    let web = Web::serve(|r| reply(200, "").after(if r.number < 2 { 300 } else { 0 }));
    let spec = json!({ "kind": "http", "url": "${api}/", "requests": 20, "measure": "p95" });
    let slow = stack(&web).see_want(spec.clone(), "< 200 ms").fails("p95");
    assert!(slow.finding.value.unwrap() >= 300.0);
    stack(&web).see_want(spec.clone(), "< 0.2 s").passes("p95");
    let broken = Web::serve(|r| reply(if r.number.is_multiple_of(2) { 500 } else { 200 }, ""));
    stack(&broken).see_want(spec.clone(), "< 5 s").fails("more than 10 %");
    let all_broken = Web::serve(|_| reply(500, ""));
    stack(&all_broken).see_want(spec, "< 5 s").unsure("no response to measure");
}

#[test]
fn a_rate_limit_must_reject_requests() {
    let web = Web::serve(|r| reply(if r.number < 5 { 200 } else { 429 }, ""));
    let spec = json!({ "kind": "http", "url": "${api}/", "requests": 8, "measure": "rate_limited" });
    let seen = stack(&web).see_want(spec.clone(), ">= 1").passes("3 of 8 responses were 429");
    assert_eq!(seen.finding.value, Some(3.0));
    let open = Web::serve(|_| reply(200, ""));
    stack(&open).see(spec.clone()).fails("0 of 8");
    let broken = Web::serve(|_| reply(500, ""));
    stack(&broken).see(spec).unsure("0 of 8");
}

#[test]
fn a_retry_counts_and_is_reported() {
    let web = Web::serve(|r| if r.number == 0 { reply(503, "") } else { reply(200, "") });
    let mut stack = stack(&web);
    stack.retries = 2;
    let seen = stack.see(json!({ "kind": "http", "url": "${api}/" })).passes("attempt 2 of 3");
    assert!(seen.log.contains("Attempt 1 of 3"), "{}", seen.log);
}
