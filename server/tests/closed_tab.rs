//! A browser that closes its connection while it sends an action: the action is executed once, and the same form sent
//! again gets its result.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]
#![allow(dead_code, reason = "the support is shared with other tests")]

mod support;

use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use sqlx::{Connection as _, SqliteConnection};
use support::{PASSWORD, Server, percent};

/// Form number `n`, from 0. Entries are numbered from 1, so the one that its page showed is that of the form before.
fn form(server: &Server, browser: &Client, n: u64) -> RequestBuilder {
    let value = percent(&format!("Ada number {n}."));
    browser
        .post(server.url("/api/fill_field"))
        .header("origin", &server.base)
        .header("accept", "text/html")
        .header("referer", server.url("/ownership"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("field=own.1.by&value={value}&shown={n}&key=tab-{n}&back=%2Fownership&form=fill"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_of_a_closed_browser_is_executed_once_and_answered_again() {
    let server = Server::start();
    let browser = server.person("backend").await;
    let mut cut_short = 0;
    for n in 0..40_u64 {
        // The connection is closed when the time is over.
        let first = form(&server, &browser, n).timeout(Duration::from_micros(500 + n * 250));
        cut_short += usize::from(first.send().await.is_err());
        let again = form(&server, &browser, n).timeout(Duration::from_secs(5)).send().await;
        let again = again.unwrap_or_else(|error| panic!("form {n} stays claimed: {error}"));
        assert_eq!(again.headers().get("location").unwrap(), "/ownership#own.1.by", "form {n}");
    }
    assert!(cut_short > 0, "no connection was closed early");
    let page = server.get(&browser, "/ownership").await.text().await.unwrap();
    assert!(page.contains("Ada number 39."), "{page}");
    let activity = server.get(&browser, "/activity").await.text().await.unwrap();
    assert!(!activity.contains("aborted before"), "no action was aborted");
}

/// The server's database.
async fn database(server: &Server) -> SqliteConnection {
    let file = server.data().join("stagegate.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Events of this kind, and sessions, once the expected number of events is stored.
async fn events_and_sessions(db: &mut SqliteConnection, act: &str, events: i64) -> (i64, i64) {
    let mut found = (0, 0);
    for _ in 0..100 {
        let counts =
            "SELECT (SELECT count(*) FROM audit_event WHERE act = ?), (SELECT count(*) FROM session)";
        found = sqlx::query_as(counts).bind(act).fetch_one(&mut *db).await.unwrap();
        if found.0 == events {
            // The rest of the same action follows immediately.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return sqlx::query_as(counts).bind(act).fetch_one(db).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    found
}

/// Sends a form whose browser is closed before anything of it can be stored.
async fn post_and_go(server: &Server, db: &mut SqliteConnection, browser: &Client, act: &str, body: String) {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *db).await.unwrap();
    let sent = browser
        .post(server.url(act))
        .header("origin", &server.base)
        .header("accept", "text/html")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("{body}&key=gone&back=%2F&form=x"))
        .timeout(Duration::from_secs(2))
        .send();
    assert!(sent.await.unwrap_err().is_timeout(), "nothing can be stored yet");
    // Until the server has seen that the connection is closed.
    tokio::time::sleep(Duration::from_millis(300)).await;
    sqlx::query("ROLLBACK").execute(db).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_and_out_is_completed_although_the_browser_is_closed() {
    let server = Server::start();
    let mut db = database(&server).await;
    let browser = server.browser();
    let password = percent(PASSWORD);
    let link = format!(
        "token={}&name=Root&login=root&password={password}&again={password}",
        percent(&server.setup_token())
    );
    post_and_go(&server, &mut db, &browser, "/api/use_link", link).await;
    assert_eq!(events_and_sessions(&mut db, "link.use", 1).await, (1, 1), "the link is used up");
    let login = format!("login=root&password={password}");
    post_and_go(&server, &mut db, &browser, "/api/sign_in", login).await;
    assert_eq!(events_and_sessions(&mut db, "session.sign_in", 1).await, (1, 2), "the sign-in is recorded");
    let form = [("login", "root"), ("password", PASSWORD)];
    assert!(server.post(&browser, "/api/sign_in", &form).await.status().is_redirection());
    assert_eq!(server.get(&browser, "/account").await.status(), 200);
    post_and_go(&server, &mut db, &browser, "/api/sign_out", String::new()).await;
    assert_eq!(events_and_sessions(&mut db, "session.sign_out", 1).await, (1, 2), "the session has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_change_during_a_sign_in_leaves_no_session() {
    let server = Server::start();
    let browser = server.admin().await;
    let mut db = database(&server).await;
    let sign_in = [("login", "root"), ("password", "four green lights"), ("next", "/account")];
    // Just before the session is stored, another session changes the password.
    let change = "CREATE TRIGGER change BEFORE INSERT ON session BEGIN
                      UPDATE person SET password_hash = password_hash || '!' WHERE id = NEW.person;
                  END";
    let own = [("old", PASSWORD), ("password", "four green lights"), ("again", "four green lights")];
    for (act, form) in [("/api/change_password", own.as_slice()), ("/api/sign_in", sign_in.as_slice())] {
        sqlx::query("UPDATE person SET password_hash = rtrim(password_hash, '!') WHERE login = 'root'")
            .execute(&mut db)
            .await
            .unwrap();
        sqlx::query(change).execute(&mut db).await.unwrap();
        let answer = server.post(&browser, act, form).await;
        sqlx::query("DROP TRIGGER change").execute(&mut db).await.unwrap();
        let to = answer.headers().get("location").unwrap().to_str().unwrap().to_owned();
        assert_eq!(to, "/", "{act}: the form is shown again");
        let (sessions,): (i64,) =
            sqlx::query_as("SELECT count(*) FROM session").fetch_one(&mut db).await.unwrap();
        assert_eq!(sessions, 0, "{act}: a session is left");
        let page = server.get(&browser, "/account").await;
        assert!(page.status().is_redirection(), "{act}: no user is signed in");
        let page = server.get(&browser, "/sign-in").await.text().await.unwrap();
        assert!(page.contains("Your password was changed a moment ago"), "{act}: {page}");
    }
}
