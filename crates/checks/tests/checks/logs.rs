//! Logs: servers that implement the documented HTTP APIs of Loki and Elasticsearch. Docker's own log
//! driver is tested with real containers in the example stack.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::probe::Stack;
use crate::support::web::{Web, nobody, reply};

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn answer(body: &Value) -> crate::support::web::Reply {
    reply(200, &body.to_string()).with("Content-Type", "application/json")
}

/// A Loki in which `web` wrote `web_age` seconds ago in JSON and `db` in prose.
fn loki(web_age: u64, config: &'static str) -> Web {
    Web::serve(move |request| {
        if request.line.contains("/config") {
            return reply(200, config);
        }
        let line = |age: u64, text: &str| json!([format!("{}000000", now_ms() - age * 1_000), text]);
        let values = if request.line.contains("web") {
            json!([line(web_age, "{\"a\":1}"), line(web_age + 5, "{\"a\":2}")])
        } else if request.line.contains("db") {
            json!([line(3, "LOG: checkpoint"), line(4, "{\"a\":2}")])
        } else {
            json!([])
        };
        answer(&json!({"data": {"result": [{"stream": {}, "values": values}]}}))
    })
}

#[test]
fn log_lines_in_loki_are_recent_json_and_kept() {
    let stack = Stack::new();
    let see = |web: &Web, assert: &str, more: Value| {
        let mut check = json!({ "kind": "logs", "source": "loki", "url": format!("http://{}", web.address), "assert": assert });
        check.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        stack.see(check)
    };
    let both = json!({ "services": ["web", "db"] });
    let good = loki(10, "limits_config:\n  retention_period: 744h\ncompactor:\n  retention_enabled: true\n");
    see(&good, "fresh", both.clone()).passes("2 services");
    see(&loki(3_000, ""), "fresh", both.clone()).fails("no recent log line: web (last ");
    see(&good, "fresh", json!({ "services": ["web", "cache"] })).fails("cache (none)");
    see(&good, "json", json!({ "services": ["web"] })).passes("100 %");
    see(&good, "json", both).fails("50 % of the log lines of db");
    see(&good, "json", json!({ "services": ["cache"] })).unsure("no log line");
    see(&good, "retention", json!({ "services": ["web"] })).passes("744h");
    let short = loki(1, "limits_config:\n  retention_period: 24h\ncompactor:\n  retention_enabled: true\n");
    see(&short, "retention", json!({ "services": ["web"] })).fails("24h");
    see(&loki(1, "server: {}\n"), "retention", json!({ "services": ["web"] })).unsure("sets no retention");
    let away = json!({ "kind": "logs", "source": "loki", "assert": "fresh", "url": format!("http://{}", nobody()), "services": ["web"] });
    stack.see(away).unsure("could not be reached");
}

#[test]
fn log_lines_in_elasticsearch_are_recent_json_and_kept() {
    let elastic = |age: u64, policy: &'static str| {
        Web::serve(move |request| {
            if request.line.contains("_ilm/explain") {
                return answer(&json!({"indices": {"logs-1": {"managed": true, "policy": "p"}}}));
            }
            if request.line.contains("_ilm/policy") {
                return answer(&json!({"p": {"policy": {"phases": {"delete": {"min_age": policy}}}}}));
            }
            let hit = |source: Value| json!({"fields": {"@timestamp": [(now_ms() - age * 1_000).to_string()]}, "_source": source});
            answer(
                &json!({"hits": {"hits": [hit(json!({"message": "{\"a\":1}"})), hit(json!({"level": "info", "a": 1, "b": 2, "c": 3, "d": 4}))]}}),
            )
        })
    };
    let stack = Stack::new();
    let see = |web: &Web, assert: &str| {
        stack.see(json!({ "kind": "logs", "source": "elasticsearch", "url": format!("http://{}", web.address), "assert": assert, "services": ["web"] }))
    };
    let good = elastic(5, "30d");
    see(&good, "fresh").passes("1 service;");
    see(&good, "json").passes("100 %");
    see(&good, "retention").passes("p");
    see(&elastic(9_000, "30d"), "fresh").fails("web (last 2 h");
    see(&elastic(5, "2d"), "retention").fails("deletes after 2d");
    let broken = Web::serve(|_| reply(500, "oops"));
    see(&broken, "fresh").unsure("no JSON");
}

/// Responds to every request with an endless body of repeated pieces; counts how much of it was read.
fn endless(head: &'static str, piece: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (count, chunk) = (Arc::clone(&count), chunk.clone());
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 8_192]);
                let _ = stream.write_all(head.as_bytes());
                while stream.write_all(&chunk).is_ok() {
                    count.fetch_add(chunk.len(), Ordering::Relaxed);
                }
            });
        }
    });
    (address, taken)
}

const ENDLESS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const ENDLESS_GZIP: &str = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The text compressed with gzip.
fn gzip(text: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = text.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&text).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Checks of each kind that reads JSON from a server.
fn reading_json(address: &str) -> Vec<Value> {
    let url = format!("http://{address}");
    let logs = |source: &str, assert: &str| json!({ "kind": "logs", "source": source, "url": url, "assert": assert, "services": ["web"] });
    vec![
        logs("loki", "retention"),
        logs("loki", "fresh"),
        logs("elasticsearch", "fresh"),
        json!({ "kind": "prometheus", "url": url, "assert": "target", "job": "api" }),
        json!({ "kind": "grafana", "url": url, "dashboard": "golden" }),
    ]
}

#[test]
fn an_endless_response_is_read_up_to_a_limit() {
    let stack = Stack::new();
    let json = "{\"data\": [".to_owned() + &"{\"up\": 1}, ".repeat(6_500);
    let (address, taken) = endless(ENDLESS, json.into_bytes());
    for check in reading_json(&address) {
        let before = taken.load(Ordering::Relaxed);
        stack.see(check.clone()).unsure("larger than 8 MiB");
        let taken = taken.load(Ordering::Relaxed) - before;
        assert!(taken < 64 << 20, "{check} took {taken} bytes");
    }
}

#[test]
fn a_compressed_response_is_not_decompressed() {
    let stack = Stack::new();
    // Each piece of a few kilobytes would become four megabytes, so that a few pieces would exceed the limit.
    let bomb = gzip(&vec![b' '; 4 << 20]);
    assert!(bomb.len() < 16 << 10, "{}", bomb.len());
    let (address, taken) = endless(ENDLESS_GZIP, bomb);
    for check in reading_json(&address) {
        let before = taken.load(Ordering::Relaxed);
        stack.see(check.clone()).unsure("larger than 8 MiB");
        let taken = taken.load(Ordering::Relaxed) - before;
        assert!(
            (8 << 20..64 << 20).contains(&taken),
            "{check} took {taken} bytes: it was unpacked, or has no bound"
        );
    }
    // Valid JSON in gzip is not accepted either.
    let good = gzip(b"{\"data\": {\"activeTargets\": []}}");
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 8_192]);
            let chunk = [format!("{:x}\r\n", good.len()).as_bytes(), &good, b"\r\n0\r\n\r\n"].concat();
            let _ = stream.write_all(&[head.as_bytes(), &chunk].concat());
        }
    });
    let check =
        json!({ "kind": "prometheus", "url": format!("http://{address}"), "assert": "target", "job": "api" });
    stack.see(check).unsure("no JSON");
}

#[test]
fn an_http_check_reads_the_beginning_of_an_endless_response() {
    for head in [ENDLESS, ENDLESS_GZIP] {
        let (address, taken) = endless(head, vec![b'x'; 65_536]);
        let seen = Stack::new().see(json!({ "kind": "http", "url": format!("http://{address}/") }));
        assert!(taken.load(Ordering::Relaxed) < 32 << 20, "{taken:?} bytes: {:?}", seen.finding);
    }
}
