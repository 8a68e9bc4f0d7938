//! The routes: who may use which, from where, and what every response contains.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod support;

use domain::action::Action;
use domain::policy::{RULES, RouteKind, Who, admits};
use domain::role::Role;
use support::{PASSWORD, Server, client, percent, unique};

/// A path for a rule: placeholders become ids that do not exist.
fn path_of(pattern: &str) -> String {
    pattern.replace("{id}", "999").replace("{token}", "none").replace("{*rest}", "none.js")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_and_role_follows_the_policy_table() {
    let server = Server::start();
    let nobody = server.browser();
    let mut people = vec![];
    for role in Role::ALL {
        people.push((role, server.person(role.slug()).await));
    }
    for rule in RULES {
        let path = path_of(rule.path);
        // An event stream does not end; its rule is the same as that of the lines.
        if path == "/events" || path == "/api/sign_out" {
            continue;
        }
        let is_action = matches!(rule.kind, RouteKind::Action(_));
        let answer = match is_action {
            true => server.post(&nobody, &path, &[]).await,
            false => server.get(&nobody, &path).await,
        };
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").map(|l| l.to_str().unwrap().to_owned());
        if rule.who != Who::Anyone {
            let sent_away = status == 401 || location.is_some_and(|l| l.starts_with("/sign-in"));
            assert!(sent_away, "without a session at {path}: {status}");
        }
        for (role, browser) in &people {
            if !is_action {
                let status = server.get(browser, &path).await.status().as_u16();
                assert_ne!(status, 403, "{role} at {path}");
                assert!(status < 500, "{role} at {path}: {status}");
                continue;
            }
            // An empty form is never executed; the refusal for a missing role differs from other errors.
            let answer = server.post(browser, &path, &[]).await;
            assert!(answer.status().as_u16() < 500, "{role} at {path}: {}", answer.status());
            let page = server.get(browser, "/").await.text().await.unwrap();
            let told = page.contains("Not done: your roles do not allow this");
            assert_eq!(told, !admits(rule.who, Some(&[*role])), "{role} at {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_outside_the_policy_table_do_not_exist() {
    let server = Server::start();
    let admin = server.admin().await;
    for path in ["/nowhere", "/api/nothing", "/runs/1/delete", "/.env", "/pkg/../stagegate.toml"] {
        assert_eq!(server.get(&admin, path).await.status().as_u16(), 404, "GET {path}");
        assert_eq!(server.post(&admin, path, &[]).await.status().as_u16(), 404, "POST {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_from_another_origin() {
    let server = Server::start();
    let admin = server.admin().await;
    let own = server.base.as_str();
    let variants: &[&[(&str, &str)]] = &[
        &[],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:1")],
        &[("origin", own), ("sec-fetch-site", "cross-site")],
        &[("origin", own), ("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site")],
        &[("referer", own)],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
    ];
    for action in Action::ALL {
        for headers in variants {
            for content_type in ["application/x-www-form-urlencoded", "text/plain", "application/json"] {
                let mut request = admin
                    .post(server.url(action.path()))
                    .header("content-type", content_type)
                    .body(format!("key={}&back=%2F%2Fevil.example&form=x", unique()));
                for (name, value) in *headers {
                    request = request.header(*name, *value);
                }
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status().as_u16(), 403, "{} {headers:?}", action.path());
                assert!(answer.headers().get("location").is_none());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_never_redirects_to_another_site() {
    let server = Server::start();
    let admin = server.admin().await;
    for back in ["https://evil.example/", "//evil.example", "/\\evil.example"] {
        let body = format!("gate=A&digest=x&note=n&key={}&back={}&form=x", unique(), percent(back));
        let answer = admin
            .post(server.url("/api/accept_gate"))
            .header("origin", &server.base)
            .header("accept", "text/html")
            .header("referer", "https://evil.example/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap();
        let location = answer.headers().get("location").map(|l| l.to_str().unwrap().to_owned());
        assert!(location.as_deref().is_none_or(|l| !l.contains("evil")), "{location:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_the_security_headers() {
    let server = Server::start();
    let admin = server.admin().await;
    let paths = [
        "/",
        "/gates/A",
        "/gates/Z",
        "/matrix",
        "/sign-offs",
        "/ownership",
        "/board.json",
        "/ownership.md",
        "/releases",
        "/runs",
        "/runs/999",
        "/runs/999/log",
        "/runs/999/lines",
        "/activity",
        "/runbook",
        "/people",
        "/account",
        "/sign-in",
        "/link/none",
        "/healthz",
        "/favicon.svg",
        "/pkg/stagegate.css",
        "/pkg/none.js",
        "/nowhere",
    ];
    for path in paths {
        let answer = server.get(&admin, path).await;
        let header = |name: &str| {
            answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        for never in ["unsafe-inline", "'unsafe-eval'", "*"] {
            assert!(!policy.contains(never), "{path}: {policy}");
        }
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        let cache = header("cache-control");
        assert!(cache == "no-store" || path.starts_with("/pkg/"), "{path}: {cache}");
    }
    let page = server.get(&admin, "/").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    let body = page.text().await.unwrap();
    assert!(body.contains(&format!("nonce=\"{nonce}\"")), "the page's scripts have the nonce");
    let other = server.get(&admin, "/").await;
    assert!(!other.headers()["content-security-policy"].to_str().unwrap().contains(&nonce));
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_does_not_reveal_who_exists_and_is_rate_limited() {
    let server = Server::start();
    let _admin = server.admin().await;
    let mut pages = vec![];
    for login in ["root", "nobody"] {
        let stranger = server.browser();
        let answer =
            server.post(&stranger, "/api/sign_in", &[("login", login), ("password", "wrong password")]).await;
        assert!(answer.status().is_redirection());
        let page = server.get(&stranger, "/sign-in").await.text().await.unwrap();
        assert!(page.contains("Name or password is wrong."), "{login}");
        pages.push(answer.status());
    }
    assert_eq!(pages[0], pages[1]);
    let stranger = server.browser();
    let mut throttled = false;
    for _ in 0..15 {
        let form = [("login", "root"), ("password", "wrong password")];
        server.post(&stranger, "/api/sign_in", &form).await;
        let page = server.get(&stranger, "/sign-in").await.text().await.unwrap();
        throttled |= page.contains("Too many attempts");
    }
    assert!(throttled, "fifteen guesses in a row must not all be accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_sign_out_and_its_cookie_becomes_invalid() {
    let server = Server::start();
    let _admin = server.admin().await;
    let plain = client(false);
    let body = format!("login=root&password={}&key={}&back=%2F&form=x", percent(PASSWORD), unique());
    let answer = plain
        .post(server.url("/api/sign_in"))
        .header("origin", &server.base)
        .header("accept", "text/html")
        .header("referer", server.url("/sign-in"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    let cookies: Vec<&str> =
        answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(
        cookies.iter().all(|set| set.contains("HttpOnly") && set.contains("SameSite=Lax")),
        "{cookies:?}"
    );
    let set = *cookies.iter().find(|set| set.starts_with("stagegate=")).unwrap();
    let cookie = set.split(';').next().unwrap().to_owned();
    let board = |cookie: String| {
        let request = plain.get(server.url("/")).header("accept", "text/html").header("cookie", cookie);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(board(cookie.clone()).await, 200);
    let out = plain
        .post(server.url("/api/sign_out"))
        .header("origin", &server.base)
        .header("accept", "text/html")
        .header("cookie", &cookie)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("key={}&back=%2F&form=x", unique()))
        .send()
        .await
        .unwrap();
    assert!(out.status().is_redirection(), "{}", out.status());
    assert_ne!(board(cookie.clone()).await, 200, "the old cookie is invalid");
    let id = cookie.split('=').nth(1).unwrap();
    for entry in std::fs::read_dir(server.dir.path().join(".stagegate")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(id.len()).any(|w| w == id.as_bytes());
            assert!(!found, "the session id is in {}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_click_runs_a_step_once_and_a_restart_loses_nothing() {
    let mut server = Server::start();
    let qa = server.person("qa").await;
    let page = server.get(&qa, "/gates/A").await.text().await.unwrap();
    let digest = page
        .split("name=\"digest\"")
        .nth(1)
        .and_then(|rest| rest.split("value=\"").nth(1))
        .and_then(|rest| rest.split('"').next())
        .expect("the step's form carries its digest")
        .to_owned();
    let body = format!("step=A.s1&digest={digest}&key=double-click&back=%2Fgates%2FA&form=x");
    let press = || {
        qa.post(server.url("/api/run_step"))
            .header("origin", &server.base)
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.clone())
            .send()
    };
    let (one, two) = tokio::join!(press(), press());
    let to = |r: reqwest::Response| r.headers()["location"].to_str().unwrap().to_owned();
    let (one, two) = (to(one.unwrap()), to(two.unwrap()));
    assert_eq!(one, two);
    assert_eq!(one, "/runs/1");
    let mut log = String::new();
    for _ in 0..100 {
        log = server.get(&qa, "/runs/1/log").await.text().await.unwrap();
        if log.contains("hello") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(log.contains("hello"), "{log}");
    server.restart();
    let again = server.get(&qa, "/runs/1").await;
    assert_eq!(again.status().as_u16(), 200, "the session outlives the server");
    assert!(again.text().await.unwrap().contains("hello"));
    assert_eq!(server.get(&qa, "/runs/2").await.status().as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_as_json_matches_the_pages() {
    let server = Server::start();
    let nobody = server.browser();
    assert_eq!(server.get(&nobody, "/board.json").await.status().as_u16(), 401);
    let qa = server.person("qa").await;
    let answer = server.get(&qa, "/board.json").await;
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let board: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(board["stack"], "Small");
    assert_eq!(board["release"], serde_json::Value::Null);
    assert_eq!(board["verdict"]["go"], false);
    assert_eq!(board["verdict"]["label"], "No-Go");
    assert!(!board["verdict"]["blockers"].as_array().unwrap().is_empty());
    let gates: Vec<&str> =
        board["gates"].as_array().unwrap().iter().map(|g| g["id"].as_str().unwrap()).collect();
    assert_eq!(gates, ["A", "H"]);
    let item = board["gates"][0]["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|i| i["id"] == "A.1")
        .expect("the criterion is listed");
    assert_eq!(item["text"], "Somebody looked.");
    assert_eq!(item["status"], "open");
    assert_eq!(item["proof"], "attestation");
    assert_eq!(item["why"][0], "not attested for this release");
    // The stack declares no check, and none is invented.
    assert_eq!(board["checks"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_continues_to_the_requested_page_with_its_query() {
    let server = Server::start();
    let _ = server.person("qa").await;
    let stranger = server.browser();
    let wanted = "/runs?kind=check&text=a%20b%2Bc&next=//evil.example";
    let answer = server.get(&stranger, wanted).await;
    let location = answer.headers().get("location").unwrap().to_str().unwrap().to_owned();
    assert!(location.starts_with("/sign-in?next=/runs%3F"), "{location}");
    let page = server.get(&stranger, &location).await.text().await.unwrap();
    let next = page.split("name=\"next\"").nth(1).or(page.split("name=next").nth(1)).unwrap();
    let next = next.split("value=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    assert_eq!(next, wanted);
    let form = [("login", "qa"), ("password", PASSWORD), ("next", &next)];
    let answer = server.post(&stranger, "/api/sign_in", &form).await;
    assert_eq!(answer.headers().get("location").unwrap(), wanted);
    for bad in ["//evil.example/?a=b", "https://evil.example", "/\\evil.example", "%2F%2Fevil.example"] {
        let form = [("login", "qa"), ("password", PASSWORD), ("next", bad)];
        let answer = server.post(&server.browser(), "/api/sign_in", &form).await;
        assert_eq!(answer.headers().get("location").unwrap(), "/", "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn characters_that_hide_or_reorder_text_are_visible_on_pages_and_kept_in_forms() {
    let server = Server::start();
    let admin = server.admin().await;
    let name = "Eve\u{202e}nimda\u{200b}";
    let form = [("name", name), ("login", "eve"), ("roles[0]", "qa"), ("password", PASSWORD)];
    let answer = server.post(&admin, "/api/invite", &form).await;
    assert!(answer.status().is_redirection());
    let runbook = support::RUNBOOK
        .replace("echo hello", "echo \u{202e}olleh\u{a0}x")
        .replace("Somebody looked", "Some\u{200b}body looked");
    std::fs::write(server.dir.path().join("runbook.md"), runbook).unwrap();
    let mut shown = String::new();
    for _ in 0..100 {
        shown = server.get(&admin, "/gates/A").await.text().await.unwrap();
        if shown.contains("olleh") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    for want in
        ["U+202E: Right-to-left override", "\u{27e8}U+00A0\u{27e9}", "Some<span class=\"hidden-character\""]
    {
        assert!(shown.contains(want), "{want} is missing in {shown}");
    }
    for path in ["/", "/gates/A", "/people", "/runbook", "/activity", "/sign-offs"] {
        let page = server.get(&admin, path).await.text().await.unwrap();
        let hidden = page.char_indices().find(|(_, c)| matches!(c, '\u{202e}' | '\u{200b}'));
        assert_eq!(hidden, None, "{path}: {page}");
    }
}
