//! Requests without a session: they write nothing permanent, notify no open page, and lock no user out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod support;

use std::time::{Duration, Instant};

use support::{PASSWORD, Server, raw, status, unique};

async fn count(server: &Server, query: &'static str) -> i64 {
    let file = server.data().join("stagegate.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).read_only(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let n = sqlx::query_scalar(query).fetch_one(&pool).await.unwrap();
    pool.close().await;
    n
}

/// Bytes in the files of the data directory.
fn size(server: &Server) -> u64 {
    let files = std::fs::read_dir(server.data()).unwrap();
    files.map(|entry| entry.unwrap().metadata().unwrap()).filter(|m| m.is_file()).map(|m| m.len()).sum()
}

const SESSIONS: &str = "SELECT count(*) FROM session";
const REFUSED: &str =
    "SELECT count(*) FROM audit_event WHERE act = 'session.sign_in' AND outcome = 'refused'";

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_session_write_nothing_permanent() {
    let server = Server::start();
    let admin = server.admin().await;
    // One client for all: creating one reads the certificates of the system.
    let stranger = support::client(false);
    let (sessions, before) = (count(&server, SESSIONS).await, size(&server));
    let long = "y".repeat(7_000);
    for n in 0..150 {
        let login = format!("stranger-{n}-{long}");
        let form = [("login", login.as_str()), ("password", "typed-by-a-stranger"), ("next", "/matrix")];
        let answer = server.post(&stranger, "/api/sign_in", &form).await;
        assert!(answer.status().is_redirection(), "{}", answer.status());
    }
    for n in 0..20 {
        let login = format!("short{n}");
        let form = [("login", login.as_str()), ("password", "typed-by-a-stranger")];
        server.post(&stranger, "/api/sign_in", &form).await;
        let token = format!("{:043}", n);
        server.get(&stranger, &format!("/link/{token}")).await;
        let form = [("token", token.as_str()), ("name", "stranger-name"), ("login", "stranger-login")];
        server.post(&stranger, "/api/use_link", &form).await;
    }
    for path in ["/", "/api/deploy", "/nowhere", "/events"] {
        server.get(&stranger, path).await;
        server.post(&stranger, path, &[("note", "typed-by-a-stranger")]).await;
    }
    assert_eq!(count(&server, SESSIONS).await, sessions, "no session is created without a sign-in");
    assert_eq!(count(&server, REFUSED).await, 1, "one row for one address and hour");
    let grown = size(&server).saturating_sub(before);
    assert!(grown < 100_000, "{grown} bytes were written for strangers");
    for typed in ["typed-by-a-stranger", "stranger-1", "short1", "stranger-name", "stranger-login"] {
        assert!(!server.data_holds(typed), "{typed}");
    }
    assert_eq!(server.get(&admin, "/").await.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_a_session_must_be_short_and_complete() {
    let server = Server::start();
    let qa = server.person("qa").await;
    let long = "x".repeat(1 << 20);
    let form = [("login", "root"), ("password", long.as_str())];
    let answer = server.post(&server.browser(), "/api/sign_in", &form).await;
    assert_eq!(answer.status().as_u16(), 413);
    let host = server.base.trim_start_matches("http://").to_owned();
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 14, "x".repeat(1 << 14));
    let request = format!(
        "POST /api/sign_in HTTP/1.1\r\nHost: {host}\r\nOrigin: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        server.base,
        chunk.repeat(20)
    );
    assert_eq!(status(&raw(&server.base, &request).await), 413);
    // A signed-in user may send more, but not without limit.
    let note = "n".repeat(100_000);
    let form = [("gate", "A"), ("digest", "x"), ("note", note.as_str())];
    assert!(server.post(&qa, "/api/accept_gate", &form).await.status().is_redirection());
    let note = "n".repeat(1 << 20);
    let form = [("gate", "A"), ("digest", "x"), ("note", note.as_str())];
    assert_eq!(server.post(&qa, "/api/accept_gate", &form).await.status().as_u16(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_shows_the_reason_and_keeps_the_login() {
    let server = Server::start();
    let _admin = server.admin().await;
    let (one, other) = (server.browser(), server.browser());
    let answer = one
        .post(server.url("/api/sign_in"))
        .header("origin", &server.base)
        .header("accept", "text/html")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("login=my-name&password=wrong+password&key=k&back=%2Fsign-in&form=sign_in")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["location"], "/sign-in");
    let read = async |browser| server.get(browser, "/sign-in").await.text().await.unwrap();
    assert!(!read(&other).await.contains("Name or password is wrong."), "it is for one browser only");
    let page = read(&one).await;
    assert!(page.contains("Name or password is wrong.") && page.contains("value=\"my-name\""), "{page}");
    assert!(!page.contains("wrong password"));
    assert!(!read(&one).await.contains("Name or password is wrong."), "it is shown once");
}

/// Reads a stream until it has been quiet for this time; returns what was read.
async fn until_quiet(stream: &mut reqwest::Response, quiet: Duration) -> String {
    let mut all = String::new();
    while let Ok(chunk) = tokio::time::timeout(quiet, stream.chunk()).await {
        match chunk.unwrap() {
            Some(chunk) => all.push_str(&String::from_utf8_lossy(&chunk)),
            None => break,
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_notifies_no_open_page() {
    let server = Server::start();
    let admin = server.admin().await;
    let mut stream = server.get(&admin, "/events").await;
    assert!(until_quiet(&mut stream, Duration::from_secs(3)).await.contains("changed"));
    for n in 0..5 {
        let login = format!("nobody{n}");
        let form = [("login", login.as_str()), ("password", "wrong password")];
        server.post(&server.browser(), "/api/sign_in", &form).await;
    }
    let heard = until_quiet(&mut stream, Duration::from_secs(3)).await;
    assert!(!heard.contains("changed"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_guesses_behind_a_shared_address_do_not_lock_others_out() {
    let server = Server::start();
    let admin = server.admin().await;
    let stranger = support::client(false);
    for n in 0..40 {
        let login = format!("nobody{n}");
        let form = [("login", login.as_str()), ("password", "wrong password")];
        server.post(&stranger, "/api/sign_in", &form).await;
    }
    let again = server.browser();
    let form = [("login", "root"), ("password", PASSWORD)];
    server.post(&again, "/api/sign_in", &form).await;
    assert_eq!(server.get(&again, "/").await.status().as_u16(), 200, "signing in");
    // Guesses at this account do not keep its owner from confirming with the password.
    for _ in 0..15 {
        let form = [("login", "root"), ("password", "wrong password")];
        server.post(&stranger, "/api/sign_in", &form).await;
    }
    let new = "five green lights";
    let form = [("old", PASSWORD), ("password", new), ("again", new)];
    server.post(&admin, "/api/change_password", &form).await;
    let page = server.get(&admin, "/account").await.text().await.unwrap();
    assert!(page.contains("Your password has been changed."), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_from_the_same_address_do_not_lock_out_a_known_browser() {
    let server = Server::start();
    let _admin = server.admin().await;
    let own = server.browser();
    let form = [("login", "root"), ("password", PASSWORD)];
    server.post(&own, "/api/sign_in", &form).await;
    server.post(&own, "/api/sign_out", &[]).await;
    assert_eq!(server.get(&own, "/").await.status().as_u16(), 303, "signed out");
    let stranger = support::client(false);
    for _ in 0..30 {
        let wrong = [("login", "root"), ("password", "wrong password")];
        server.post(&stranger, "/api/sign_in", &wrong).await;
    }
    // An unknown browser has to wait now; the tests of the rate limits cover for how long.
    server.post(&own, "/api/sign_in", &form).await;
    assert_eq!(server.get(&own, "/").await.status().as_u16(), 200, "the owner's browser has its own guesses");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_sign_ins_a_second_delay_an_honest_one_for_seconds_only() {
    let server = Server::start();
    let admin = server.admin().await;
    let flood = tokio::spawn({
        let (base, client) = (server.base.clone(), support::client(false));
        async move {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                let request = client
                    .post(format!("{base}/api/sign_in"))
                    .header("origin", &base)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(format!("login={}&password=wrong&key=k&back=%2F&form=x", unique()));
                tokio::spawn(request.send());
            }
        }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    let honest = server.browser();
    server.post(&honest, "/api/sign_in", &[("login", "root"), ("password", PASSWORD)]).await;
    assert_eq!(server.get(&honest, "/").await.status().as_u16(), 200, "signing in");
    let signed_in = began.elapsed();
    let new = "five green lights";
    let form = [("old", PASSWORD), ("password", new), ("again", new)];
    server.post(&admin, "/api/change_password", &form).await;
    let page = server.get(&admin, "/account").await.text().await.unwrap();
    flood.abort();
    assert!(page.contains("Your password has been changed."), "{page}");
    assert!(signed_in < Duration::from_secs(5), "{signed_in:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_link_is_shown_once_and_never_reaches_the_disk() {
    let server = Server::start();
    let admin = server.admin().await;
    let form = [("name", "Grace"), ("login", "grace"), ("roles[0]", "qa"), ("password", PASSWORD)];
    let answer = server.post(&admin, "/api/invite", &form).await;
    let to = answer.headers()["location"].to_str().unwrap().to_owned();
    let page = server.get(&admin, &to).await.text().await.unwrap();
    let token: String = page
        .split("/link/")
        .nth(1)
        .unwrap_or_else(|| panic!("the page shows the link: {page}"))
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .collect();
    assert_eq!(token.len(), 43, "{token}");
    assert!(!server.data_holds(&token));
    assert!(!server.get(&admin, &to).await.text().await.unwrap().contains(&token), "it is shown once");
    assert!(!server.data_holds(&token));
}

/// A text compressed with gzip.
fn gzip(text: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut child = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = text.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&text).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_form_is_refused_and_not_decompressed() {
    let server = Server::start();
    let admin = server.admin().await;
    let send = async |browser: &reqwest::Client, encoding: &'static str, body: Vec<u8>| {
        let request = browser
            .post(server.url("/api/sign_in"))
            .header("origin", &server.base)
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("content-encoding", encoding);
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().contains_key("set-cookie"))
    };
    let form =
        format!("login=root&password={}&key={}&back=%2F&form=sign_in", support::percent(PASSWORD), unique());
    // As long as allowed without a session, and a thousand times longer when decompressed.
    let bomb = gzip(&[form.as_bytes(), &vec![b'&'; 12 << 20]].concat());
    assert!(bomb.len() < 16 << 10, "{}", bomb.len());
    for browser in [&support::client(false), &admin] {
        for (encoding, body) in
            [("gzip", gzip(form.as_bytes())), ("gzip", bomb.clone()), ("br", vec![1, 2, 3])]
        {
            assert_eq!(send(browser, encoding, body).await, (415, false), "{encoding}");
        }
    }
    let (status, signed_in) = send(&support::client(false), "identity", form.into_bytes()).await;
    assert!((300..400).contains(&status) && signed_in, "the same form without compression: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_changed_in_the_database_is_invalid() {
    let server = Server::start();
    let root = server.admin().await;
    let qa = server.person("qa").await;
    for browser in [&root, &qa] {
        assert_eq!(server.get(browser, "/people").await.status().as_u16(), 200);
    }
    // According to the row, QA becomes the admin.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(server.data().join("stagegate.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let done = sqlx::query("UPDATE session SET person = 1, data = '{\"person\":1}' WHERE person = 2")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
    pool.close().await;
    // What was looked up is believed for two seconds at most.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let answer = server.get(&qa, "/people").await;
    assert!(answer.status().is_redirection(), "{}", answer.status());
    assert_eq!(server.get(&root, "/people").await.status().as_u16(), 200, "other sessions continue");
}
