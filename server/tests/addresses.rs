//! The addresses that the board accepts: host names, spellings of paths, methods.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod support;

use std::process::Command;

use domain::policy::{RULES, RouteKind};
use support::{Server, raw, status};

/// A raw request, as from a client that follows no rules.
async fn ask(server: &Server, method: &str, path: &str, host: &str, more: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
    raw(&server.base, &request).await
}

fn own_host(server: &Server) -> String {
    server.base.trim_start_matches("http://").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_host_names_are_refused() {
    let server = Server::start();
    let host = own_host(&server);
    let port = host.split(':').nth(1).unwrap().to_owned();
    assert_eq!(server.printed, format!("http://stagegate.localhost:{port}"), "its own host name");
    for good in ["127.0.0.1", "localhost", "stagegate.localhost", "[::1]"] {
        let answer = ask(&server, "GET", "/sign-in", &format!("{good}:{port}"), "").await;
        assert_eq!(status(&answer), 200, "{good}: {answer}");
    }
    for bad in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1", "localhost:1", "a@b", ""] {
        for (method, path) in [("GET", "/sign-in"), ("POST", "/api/sign_in"), ("GET", "/pkg/stagegate.css")] {
            let origin = format!("Origin: http://{bad}\r\n");
            let answer = ask(&server, method, path, bad, &origin).await;
            assert!(matches!(status(&answer), 421 | 400), "{bad} {path}: {answer}");
            assert!(!answer.to_lowercase().contains("set-cookie"), "{bad} {path}");
        }
    }
    let answer = ask(&server, "GET", "/sign-in", "evil.example", "").await;
    assert!(answer.contains("allowed_hosts") && answer.contains(&server.printed), "{answer}");
    let line = format!("http://evil.example:{port}/sign-in");
    assert_eq!(status(&ask(&server, "GET", &line, &host, "").await), 421, "another host in the request line");
    let two = format!("Host: {host}\r\n");
    assert!(matches!(status(&ask(&server, "GET", "/sign-in", &host, &two).await), 400 | 421));
    assert_eq!(status(&raw(&server.base, "GET /sign-in HTTP/1.0\r\n\r\n").await), 421, "no host at all");
    assert_eq!(status(&ask(&server, "GET", "/healthz", "any.name", "").await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_redirected_to_the_boards_own_name_and_programs_are_not() {
    let server = Server::start();
    let host = own_host(&server);
    let page = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let answer = ask(&server, "GET", "/runs?x=1", &host, page).await;
    assert_eq!(status(&answer), 307, "{answer}");
    assert!(answer.contains(&format!("location: {}/runs?x=1\r\n", server.printed)), "{answer}");
    assert_eq!(status(&ask(&server, "GET", "/sign-in", &host, "").await), 200);
    let own = server.printed.trim_start_matches("http://").to_owned();
    assert_eq!(status(&ask(&server, "GET", "/sign-in", &own, page).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_host_names_are_accepted_when_they_are_allowed() {
    let server = Server::start_with("[server]\nallowed_hosts = [\"board.lan\"]\n", |_| {});
    assert_eq!(status(&ask(&server, "GET", "/sign-in", "board.lan", "").await), 200);
    assert_eq!(status(&ask(&server, "GET", "/sign-in", "other.lan", "").await), 421);
}

#[test]
fn the_server_does_not_start_on_a_host_name_of_the_stack() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("runbook.md", support::RUNBOOK);
    write("compose.yml", "services:\n  web:\n    image: stagegate-test/none:1\n");
    write("site/pkg/stagegate.css", "body{}");
    write("env", "HOST=127.0.0.1\n");
    let server = "[server]\npublic_url = \"http://127.0.0.1:4400\"\n";
    for url in ["http://127.0.0.1:${PORT:-3000}", "http://${HOST:-api.lan}:3000", "${SCHEME:-http}://${HOST}"]
    {
        let stack = format!("env_file = \"env\"\n[stack.urls]\napi = \"{url}\"\n");
        write("stagegate.toml", &format!("{}{stack}{server}", support::CONFIG));
        let output = Command::new(env!("CARGO_BIN_EXE_stagegate"))
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(dir.path().join("stagegate.toml"))
            .arg("--site")
            .arg(dir.path().join("site"))
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("share the host name 127.0.0.1") && said.contains(url), "{said}");
        assert!(said.contains("share_host = true"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_that_shares_the_host_name_with_the_stack_is_refused() {
    let server = Server::start_with("env_file = \"env\"\n", |dir| {
        std::fs::write(dir.join("env"), "HOST=api.lan\n").unwrap();
    });
    let admin = server.admin().await;
    let write = |name: &str, text: &str| std::fs::write(server.dir.path().join(name), text).unwrap();
    let good = std::fs::read_to_string(server.dir.path().join("stagegate.toml")).unwrap();
    let board = || async { server.get(&admin, "/").await.text().await.unwrap() };
    let until = async |what: &str, done: &dyn Fn(&str) -> bool| {
        for _ in 0..100 {
            if done(&board().await) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{what}: {}", board().await);
    };
    let is_refused = |page: &str| page.contains("the last valid version stays in use");
    assert!(!is_refused(&board().await));
    let with = |name: &str, url: &str| {
        format!("{}[stack.urls]\nweb = \"{url}\"\n", good.replace("\"Small\"", &format!("\"{name}\"")))
    };
    write("stagegate.toml", &with("Second", "http://stagegate.localhost:3000"));
    until("the refusal", &is_refused).await;
    let page = board().await;
    assert!(page.contains("has the host name stagegate.localhost") && page.contains("share_host"), "{page}");
    assert!(page.contains("stagegate.toml:7:7"), "its place is named: {page}");
    assert!(page.contains("Small") && !page.contains("Second"), "the old file is not in use: {page}");
    // Another host name is accepted; for one from the env file, the filled-in value counts.
    write("stagegate.toml", &with("Third", "http://${HOST:-stagegate.localhost}:3000"));
    until("the new file", &|page| page.contains("Third") && !is_refused(page)).await;
    write("env", "HOST=stagegate.localhost\n");
    until("the refusal of the new value", &is_refused).await;
    write("env", "HOST=api2.lan\n");
    until("the value to be corrected", &|page| page.contains("Third") && !is_refused(page)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_accepted_when_the_host_name_may_be_shared() {
    let server = Server::start_with("[server]\nshare_host = true\n", |_| {});
    let admin = server.admin().await;
    let file = server.dir.path().join("stagegate.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("\"Small\"", "\"Second\"");
    std::fs::write(&file, format!("{text}[stack.urls]\nweb = \"http://stagegate.localhost:3000\"\n"))
        .unwrap();
    for _ in 0..100 {
        if server.get(&admin, "/").await.text().await.unwrap().contains("Second") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the file is not taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_has_one_spelling() {
    let server = Server::start();
    let admin = server.admin().await;
    let host = own_host(&server);
    assert_eq!(server.get(&admin, "/gates/A").await.status().as_u16(), 200);
    let mut spellings: Vec<String> = vec![];
    for path in
        ["/gates/A", "/board.json", "/runs/1/log", "/api/deploy", "/people", "/sign-in", "/pkg/stagegate.css"]
    {
        let (head, last) = path.rsplit_once('/').unwrap();
        let first = last.as_bytes()[0];
        spellings.extend([
            format!("/{path}"),
            format!("{path}/"),
            format!("{path}//"),
            format!("/.{path}"),
            format!("/x/..{path}"),
            format!("{head}/./{last}"),
            format!("{head}//{last}"),
            format!("{head}/x/../{last}"),
            format!("{head}/%2e/{last}"),
            format!("{head}/x/%2E%2e/{last}"),
            format!("{head}%2f{last}"),
            format!("{head}%2F{last}"),
            format!("{head}%5c{last}"),
            format!("{head}\\{last}"),
            format!("{head}/%{first:02x}{}", &last[1..]),
            format!("{head}/%{first:02X}{}", &last[1..]),
            format!("{path};x=1"),
            format!("{head};a/{last}"),
            format!("{path}%00"),
            format!("{path}%20"),
            format!("{path}%"),
            format!("{path}%zz"),
            format!("{path}%c0%af"),
        ]);
    }
    assert!(spellings.len() > 127);
    let audit = server.get(&admin, "/activity").await.text().await.unwrap().matches("door.refused").count();
    for spelling in &spellings {
        for method in ["GET", "POST", "HEAD"] {
            let more = format!("Origin: {}\r\nContent-Length: 0\r\n", server.base);
            let answer = ask(&server, method, spelling, &host, &more).await;
            assert!(matches!(status(&answer), 404 | 400), "{method} {spelling}: {answer}");
            assert!(
                !answer.contains("sign-in") && !answer.contains("text/html"),
                "{method} {spelling}: {answer}"
            );
        }
    }
    let after = server.get(&admin, "/activity").await.text().await.unwrap().matches("door.refused").count();
    assert_eq!(audit, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_methods_are_refused_and_not_recorded() {
    let server = Server::start();
    let docs = server.person("docs").await;
    let cookieless = own_host(&server);
    for rule in RULES {
        let path = rule.path.replace("{id}", "999").replace("{token}", "none").replace("{*rest}", "none.js");
        let wrong: &[&str] = match rule.kind {
            RouteKind::Action(_) => &["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"],
            RouteKind::Stream => &["POST", "HEAD", "OPTIONS", "PUT", "DELETE"],
            RouteKind::Page | RouteKind::File => &["POST", "OPTIONS", "PUT", "DELETE", "PATCH"],
        };
        for method in wrong {
            let more = format!("Origin: {}\r\nContent-Length: 0\r\n", server.base);
            let answer = ask(&server, method, &path, &cookieless, &more).await;
            assert_eq!(status(&answer), 405, "{method} {path}: {answer}");
            assert!(answer.contains("\r\nallow: "), "{method} {path}: {answer}");
        }
        if matches!(rule.kind, RouteKind::Action(_)) {
            // With the cookie of a user who was tricked into following a link.
            let answer = server.get(&docs, &path).await;
            assert_eq!(answer.status().as_u16(), 405, "GET {path}");
        }
    }
    let page = server.get(&docs, "/activity").await.text().await.unwrap();
    assert!(!page.contains("door.refused"), "{page}");
    assert!(!page.contains("not allowed by the access policy"), "{page}");
}
