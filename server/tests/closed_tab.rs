//! A browser that closes its connection while an action is sent: the action is done once, and the same form sent again
//! gets its answer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]
#![allow(dead_code, reason = "the support is shared with other tests")]

mod support;

use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use support::{Server, percent};

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
async fn an_action_whose_browser_has_gone_is_done_once_and_answered_again() {
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
    assert!(!activity.contains("broken off"), "no action was dropped half way");
}
