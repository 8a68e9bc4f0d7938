//! HTTP checks against a real nginx, and against small servers with faults that nginx does not have.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::authority::Authority;
use crate::support::nginx::{Nginx, plain, tls};
use crate::support::probe::Stack;
use crate::support::web::{Reply, Request, Web, nobody, reply};

const TOKEN: &str = "s3cr3t-metrics-token-81";
const SITE: &str = "https://web.example";

fn stack(url: impl std::fmt::Display) -> Stack {
    let mut stack = Stack::new();
    stack.env(&format!("METRICS_TOKEN={TOKEN}\nEMPTY=\n"));
    stack.url("api", url.to_string());
    stack.url("web", SITE);
    stack
}

#[test]
fn response_times_are_measured_by_any_percentile() {
    let nginx = Nginx::start("", &[plain("return 200 ok;")]);
    let stack = stack(format!("http://{}", nginx.at[0]));
    for (measure, word) in
        [("p50", "p50 "), ("p90", "p90 "), ("p95", "p95 "), ("p99", "p99 "), ("max", "max ")]
    {
        let spec =
            json!({ "kind": "http", "url": "${api}/", "requests": 40, "concurrency": 8, "measure": measure });
        let seen = stack.see_want(spec.clone(), "< 9 s").passes(word);
        assert!(seen.finding.saw.contains("over 40 responses"), "{:?}", seen.finding);
        assert!(seen.finding.wanted.contains("8 at a time"), "{:?}", seen.finding);
        stack.see_want(spec.clone(), "< 0 ms").fails(word);
        let gone = json!({ "kind": "http", "url": format!("http://{}/", nobody()), "requests": 40, "concurrency": 8, "measure": measure });
        stack.see_want(gone, "< 9 s").unsure("nothing listens");
    }
}

#[test]
fn concurrent_requests_are_sent_in_parallel() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, peak) = (Arc::clone(&now), Arc::clone(&most));
    let web = Web::serve(move |_| {
        let at_once = inside.fetch_add(1, Ordering::SeqCst) + 1;
        peak.fetch_max(at_once, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(40));
        inside.fetch_sub(1, Ordering::SeqCst);
        reply(200, "")
    });
    let stack = stack(web.url());
    let spec =
        json!({ "kind": "http", "url": "${api}/", "requests": 24, "concurrency": 6, "measure": "max" });
    stack.see_want(spec, "< 15 s").passes("max ");
    assert_eq!(web.asked(), 24);
    assert!((2..=6).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    let spec = json!({ "kind": "http", "url": "${api}/", "requests": 6, "measure": "max" });
    most.store(0, Ordering::SeqCst);
    stack.see_want(spec, "< 15 s").passes("max ");
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[test]
fn a_ca_file_replaces_the_system_s_authorities() {
    let (authority, stranger) = (Authority::new("Test Root"), Authority::new("Stranger Root"));
    let home = tempfile::tempdir().unwrap();
    let good = authority.sign(&["localhost", "127.0.0.1"], -1, 90).for_nginx(home.path(), "good");
    let old = authority.sign(&["localhost", "127.0.0.1"], -9, -1).for_nginx(home.path(), "old");
    let nginx =
        Nginx::start("", &[tls(&format!("{good} return 200 ok;")), tls(&format!("{old} return 200 ok;"))]);
    let stack = stack(format!("https://{}", nginx.at[0]));
    stack.file("ca.pem", &authority.pem);
    stack.file("other.pem", &stranger.pem);
    let spec = |ca: &str| json!({ "kind": "http", "url": "${api}/", "ca": ca });
    stack.see(spec("ca.pem")).passes("status 200");
    stack
        .see(json!({ "kind": "http", "url": "${api}/", "ca": "ca.pem", "status": [204] }))
        .fails("status 200");
    stack.see(spec("other.pem")).unsure("certificate");
    stack.see(spec("none.pem")).unsure("none.pem cannot be read");
    stack
        .see(json!({ "kind": "http", "url": format!("https://{}/", nginx.at[1]), "ca": "ca.pem" }))
        .unsure("certificate");
}

fn gate() -> Value {
    json!({ "kind": "http", "url": "${api}/metrics", "body_contains": "process_cpu", "gate": { "env": "METRICS_TOKEN" } })
}

#[test]
fn a_gate_accepts_only_the_right_key() {
    let shut = format!(
        "location / {{ if ($http_authorization != \"Bearer {TOKEN}\") {{ return 401; }} return 200 process_cpu; }}"
    );
    let any = "location / { if ($http_authorization = \"\") { return 401; } return 200 process_cpu; }";
    let open = "return 200 process_cpu;";
    let locked = "return 403;";
    let nginx = Nginx::start("", &[plain(&shut), plain(any), plain(open), plain(locked)]);
    let at = |n: usize| stack(format!("http://{}", nginx.at[n]));
    let seen = at(0)
        .see(gate())
        .passes("status 200 with METRICS_TOKEN, 401 without METRICS_TOKEN, 401 with a wrong");
    seen.hides(TOKEN);
    let seen = at(1).see(gate()).fails("with a wrong METRICS_TOKEN: accepted, status 200").hides(TOKEN);
    assert!(!seen.finding.saw.contains("without"), "{:?}", seen.finding);
    let seen = at(2).see(gate()).fails("without METRICS_TOKEN: accepted, status 200");
    assert!(seen.finding.next.contains("Anyone can read it"), "{:?}", seen.finding);
    at(3).see(gate()).fails("with METRICS_TOKEN: status 403");
    at(0)
        .see(json!({ "kind": "http", "url": "${api}/", "gate": { "env": "EMPTY" } }))
        .unsure("EMPTY is missing");
    at(0).see(json!({ "kind": "http", "url": "${api}/", "gate": { "env": "api" } })).unsure("api is missing");
    stack(format!("http://{}", nobody())).see(gate()).unsure("nothing listens").hides(TOKEN);
    let mut strange = gate();
    strange["url"] = json!(format!("http://{}/", nginx.at[1]));
    at(0).see(strange).unsure("METRICS_TOKEN was not sent").hides(TOKEN);
}

#[test]
fn a_gate_may_use_another_header_and_other_codes() {
    let web = Web::serve(|r| match r.has(&format!("x-key: Key {TOKEN}")) {
        true => reply(200, "in"),
        false => reply(404, "in"),
    });
    let spec = |refused: Value, body: &str| {
        json!({ "kind": "http", "url": "${api}/", "body_contains": body,
            "gate": { "env": "METRICS_TOKEN", "header": "X-Key", "scheme": "Key", "refused": refused } })
    };
    let stack = stack(web.url());
    stack.see(spec(json!([]), "in")).fails("without METRICS_TOKEN: status 404");
    // The code means refused, but the body shows the protected text.
    stack.see(spec(json!([404]), "in")).fails("but the body contains");
    stack
        .see(json!({ "kind": "http", "url": "${api}/",
        "gate": { "env": "METRICS_TOKEN", "header": "X-Key", "scheme": "Key", "refused": [404] } }))
        .passes("404 without");
    let limited = Web::serve(|_| reply(429, ""));
    crate::cases::http_front::stack(limited.url()).see(gate()).unsure("status 429");
}

fn cors() -> Value {
    json!({ "kind": "http", "url": "${api}/", "cors": { "allowed": "${web}", "foreign": "https://evil.example" } })
}

#[test]
fn origins_are_allowed_and_refused_by_nginx() {
    let http = format!("map $http_origin $allowed {{ default \"\"; \"{SITE}\" $http_origin; }}");
    let with = |value: &str| {
        format!(
            "location / {{ add_header Access-Control-Allow-Origin {value} always; \
             add_header Access-Control-Allow-Methods 'GET, PUT' always; \
             add_header Access-Control-Allow-Headers 'x-a' always; \
             if ($request_method = OPTIONS) {{ add_header Access-Control-Allow-Origin {value} always; \
             add_header Access-Control-Allow-Methods 'GET, PUT' always; \
             add_header Access-Control-Allow-Headers 'x-a' always; return 204; }} return 200 ok; }}"
        )
    };
    let servers =
        [with("$allowed"), with("*"), with("$http_origin"), "return 200 ok;".to_owned()].map(|s| plain(&s));
    let nginx = Nginx::start(&http, &servers);
    let at = |n: usize| stack(format!("http://{}", nginx.at[n]));
    let seen = at(0).see(cors()).passes("https://web.example is allowed; refused: https://evil.example");
    assert!(seen.finding.saw.contains("https://web.example.evil.example, null"), "{:?}", seen.finding);
    let seen = at(1).see(cors()).fails("access-control-allow-origin: * allows every origin");
    assert_eq!(seen.finding.saw.matches("every origin").count(), 1, "{:?}", seen.finding);
    let seen = at(2).see(cors()).fails("the foreign origin is reflected (request from https://evil.example)");
    for words in
        ["only starts like the allowed one", "the origin `null` is allowed", "preflight from https://evil"]
    {
        assert!(seen.finding.saw.contains(words), "{words}: {:?}", seen.finding);
    }
    at(3).see(cors()).fails("request from https://web.example is refused");
    let mut asks = cors();
    asks["cors"]["method"] = json!("PUT");
    asks["cors"]["headers"] = json!(["X-A"]);
    at(0).see(asks.clone()).passes("is allowed");
    asks["cors"]["method"] = json!("DELETE");
    asks["cors"]["headers"] = json!(["x-b"]);
    let seen = at(0).see(asks.clone()).fails("may not use DELETE");
    assert!(seen.finding.saw.contains("may not send x-b"), "{:?}", seen.finding);
    asks = cors();
    asks["cors"]["credentials"] = json!(true);
    at(0).see(asks).fails("may not send cookies");
    stack(format!("http://{}", nobody())).see(cors()).unsure("nothing listens");
    let mut same = cors();
    same["cors"]["foreign"] = json!(SITE);
    at(0).see(same).unsure("are the same");
    let mut none = cors();
    none["cors"]["allowed"] = json!("web");
    at(0).see(none).unsure("is not an origin");
}

fn origin(request: &Request) -> String {
    let found = request.headers.iter().find_map(|h| h.strip_prefix("origin: "));
    found.unwrap_or_default().to_owned()
}

#[test]
fn other_faults_with_origins_are_found() {
    const HEADER: &str = "access-control-allow-origin";
    let serve = |answer: fn(&Request) -> Reply| Web::serve(answer);
    // Only the beginning is compared.
    let prefix = serve(|r| match origin(r) {
        o if o.starts_with(SITE) => reply(200, "").with(HEADER, &o),
        _ => reply(200, ""),
    });
    stack(prefix.url()).see(cors()).fails("only starts like the allowed one");
    // `null` for unknown origins.
    let null = serve(|r| match origin(r) {
        o if o == SITE => reply(200, "").with(HEADER, &o),
        _ => reply(200, "").with(HEADER, "null"),
    });
    stack(null.url()).see(cors()).fails("the origin `null` is allowed");
    // Correct for requests, but preflights are not handled.
    let simple = serve(|r| match (origin(r), r.line.starts_with("OPTIONS")) {
        (_, true) => reply(404, ""),
        (o, _) if o == SITE => reply(200, "").with(HEADER, &o),
        _ => reply(500, "not allowed by CORS"),
    });
    let seen = stack(simple.url()).see(cors()).fails("preflight from https://web.example: status 404");
    assert!(!seen.finding.saw.contains("500"), "{:?}", seen.finding);
    let other = serve(|_| reply(200, "").with(HEADER, "https://else.example"));
    stack(other.url()).see(cors()).fails("access-control-allow-origin: https://else.example");
    let double = serve(|_| reply(200, "").with(HEADER, SITE).with(HEADER, SITE));
    stack(double.url()).see(cors()).fails("2 access-control-allow-origin headers, which browsers refuse");
    let down = serve(|_| reply(503, "").with(HEADER, SITE));
    stack(down.url()).see(cors()).fails("status 503");
    let limited = serve(|_| reply(429, ""));
    stack(limited.url()).see(cors()).unsure("status 429");
    let fixed = serve(|r| match r.line.starts_with("OPTIONS") {
        true => reply(204, "").with(HEADER, SITE),
        false => reply(200, "").with(HEADER, SITE),
    });
    stack(fixed.url()).see(cors()).passes("is allowed");
}

fn limit(requests: u32, recovers: &str) -> Value {
    json!({ "kind": "http", "url": "${api}/", "rate_limit": { "requests": requests, "within": "10s", "recovers_within": recovers } })
}

#[test]
fn a_rate_limit_of_nginx_rejects_and_recovers() {
    let http = "limit_req_zone $server_port zone=all:1m rate=2r/s;";
    let proper = "limit_req zone=all burst=4 nodelay; limit_req_status 429; location / { try_files /none @ok; } location @ok { return 200 ok; }";
    let usual = "limit_req zone=all burst=4 nodelay; location / { try_files /none @ok; } location @ok { return 200 ok; }";
    let none = "location / { try_files /none @ok; } location @ok { return 200 ok; }";
    let nginx = Nginx::start(http, &[plain(proper), plain(usual), plain(none), plain(proper)]);
    let at = |n: usize| stack(format!("http://{}", nginx.at[n]));
    let seen = at(0).see_want(limit(60, "9s"), "<= 50").passes("requests accepted, then 429");
    assert!(seen.finding.saw.contains("accepted again after"), "{:?}", seen.finding);
    assert!(seen.finding.value.is_some_and(|n| n >= 5.0), "{:?}", seen.finding);
    let seen = at(1).see(limit(30, "9s")).fails("none of 30 responses was 429");
    assert!(seen.finding.next.contains("limit_req_status"), "{:?}", seen.finding);
    at(2).see(limit(30, "9s")).fails("none of 30 responses was 429");
    let mut side_by_side = limit(60, "9s");
    side_by_side["concurrency"] = json!(6);
    at(3).see_want(side_by_side, "<= 1").fails("then 429");
    stack(format!("http://{}", nobody())).see(limit(30, "9s")).unsure("nothing listens");
}

#[test]
fn a_limit_that_never_recovers_fails_and_one_used_up_before_is_inconclusive() {
    let for_ever = Web::serve(|r| reply(if r.number < 3 { 200 } else { 429 }, ""));
    stack(for_ever.url()).see(limit(9, "1s")).fails("3 requests accepted, then 429; still 429 after 1s");
    let already = Web::serve(|_| reply(429, ""));
    stack(already.url()).see(limit(9, "1s")).unsure("used up before this check");
    let broken = Web::serve(|r| {
        reply(
            if r.number < 3 {
                200
            } else if r.number == 3 {
                429
            } else {
                500
            },
            "",
        )
    });
    stack(broken.url()).see(limit(9, "1s")).fails("afterwards status 500");
    let down = Web::serve(|_| reply(500, ""));
    stack(down.url()).see(limit(9, "1s")).unsure("none of 9 responses was 429");
    let asks_to_wait = Web::serve(|r| match r.number {
        3 => reply(429, "").with("retry-after", "1"),
        _ => reply(200, ""),
    });
    stack(asks_to_wait.url()).see(limit(9, "5s")).passes("then 429 (Retry-After: 1); accepted again after");
    let slow = Web::serve(|_| reply(200, "").after(400));
    let mut spec = limit(50, "1s");
    spec["rate_limit"]["within"] = json!("3s");
    stack(slow.url()).see(spec).unsure("of 50 requests got a response within 3s");
    let mut spec = limit(50, "1s");
    spec["rate_limit"]["within"] = json!("soon");
    stack(slow.url()).see(spec).unsure("no valid duration");
}

#[test]
fn what_must_be_absent_from_a_body() {
    let web = Web::serve(|r| match r.line.split(' ').nth(1).unwrap() {
        "/bad" => reply(200, r#"{"errors":[1]}"#),
        "/text" => reply(200, "fine"),
        "/long" => reply(200, &format!("{{\"pad\":\"{}\"}}", "x".repeat(70_000))),
        _ => reply(200, r#"{"ok":true}"#),
    });
    let stack = stack(web.url());
    let see = |path: &str| {
        let spec = json!({ "kind": "http", "url": format!("${{api}}{path}"), "pointer": "/errors" });
        stack.see_want(spec, "absent")
    };
    see("/").passes("/errors does not exist");
    see("/bad").fails("an array at /errors");
    see("/text").unsure("no complete JSON");
    see("/long").unsure("64 KiB");
}
