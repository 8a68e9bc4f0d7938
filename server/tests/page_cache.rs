//! Rendered pages are cached for a moment: never for different people, never with one-time content, and not after a
//! write.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod support;

use std::collections::BTreeSet;

use reqwest::Client;
use support::{PASSWORD, Server};

/// A response, and the parts that must differ in each.
struct Page {
    text: String,
    nonce: String,
    keys: Vec<String>,
}

async fn page(server: &Server, browser: &Client, path: &str) -> Page {
    let answer = server.get(browser, path).await;
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    let text = answer.text().await.unwrap();
    let fields = text.split("name=\"key\" value=\"").skip(1);
    let keys = fields.map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    Page { text, nonce, keys }
}

impl Page {
    /// The page without the parts that differ in each response.
    fn shared_part(&self) -> String {
        self.keys.iter().fold(self.text.replace(&self.nonce, "nonce"), |text, key| text.replace(key, "key"))
    }

    /// Whose page it is: name and roles in the menu.
    fn whose(&self) -> String {
        let menu = self.text.split("class=\"menu\"").nth(1).unwrap().split("Account").next().unwrap();
        let texts = menu.split('>').filter_map(|part| part.split('<').next());
        texts.map(str::trim).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

/// A second session of an existing user.
async fn signed_in(server: &Server, login: &str) -> Client {
    let browser = server.browser();
    let answer = server.post(&browser, "/api/sign_in", &[("login", login), ("password", PASSWORD)]).await;
    assert!(answer.status().is_redirection());
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_ask_at_the_same_moment_each_get_their_own_page() {
    let server = Server::start();
    let people = [
        ("Root, Admin", server.admin().await),
        ("qa, QA", server.person("qa").await),
        ("devops, DevOps", server.person("devops").await),
    ];
    for path in ["/", "/gates/A", "/ownership", "/runs", "/sign-offs"] {
        let asked = (0..4).flat_map(|_| &people);
        let answers = asked.map(async |(whose, browser)| (*whose, page(&server, browser, path).await));
        let answers = futures::future::join_all(answers).await;
        let mut seen = BTreeSet::new();
        for (whose, page) in &answers {
            assert_eq!(page.whose(), *whose, "{path}");
            assert!(seen.insert(page.nonce.clone()), "{path}: a nonce was used twice");
            assert!(!page.keys.is_empty(), "{path} has no form");
            for key in &page.keys {
                assert!(seen.insert(key.clone()), "{path}: the key {key} was used twice");
            }
            assert!(
                page.text.contains(&format!("nonce=\"{}\"", page.nonce)),
                "{path}: scripts have another nonce"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_asked_for_again_is_the_same_but_for_its_nonce_and_keys() {
    let server = Server::start();
    let admin = server.admin().await;
    let other = signed_in(&server, "root").await;
    // Requested at once, so that relative times on the page are the same.
    for _ in 0..3 {
        let (one, two) = tokio::join!(page(&server, &admin, "/"), page(&server, &other, "/"));
        assert_ne!((&one.nonce, &one.keys), (&two.nonce, &two.keys));
        if one.shared_part() == two.shared_part() {
            return;
        }
    }
    panic!("two answers at the same moment differ in more than nonce and keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_visible_on_the_next_page_of_every_user() {
    let server = Server::start();
    let (admin, qa) = (server.admin().await, server.person("qa").await);
    for n in 0..10 {
        let value = format!("Ada number {n}.");
        for browser in [&admin, &qa] {
            assert!(!page(&server, browser, "/ownership").await.text.contains(&value));
        }
        // Entries are numbered from 1: what the page showed is the number of the one before.
        let shown = n.to_string();
        let form = [("field", "own.1.by"), ("value", value.as_str()), ("shown", shown.as_str())];
        let answer = server.post(&qa, "/api/fill_field", &form).await;
        assert_eq!(answer.headers()["location"], "/ownership#own.1.by", "{n}");
        for browser in [&admin, &qa] {
            assert!(page(&server, browser, "/ownership").await.text.contains(&value), "{n}: an older page");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_content_is_on_one_page_only() {
    let server = Server::start();
    let admin = server.admin().await;
    let other = signed_in(&server, "root").await;
    // The pages are cached before, and requested again right afterwards: neither may replace the other.
    let refused = "This invitation was not found";
    for _ in 0..3 {
        for browser in [&admin, &other] {
            assert!(!page(&server, browser, "/").await.text.contains(refused));
        }
        server.post(&admin, "/api/withdraw_invitation", &[("invitation", "0000")]).await;
        assert!(!page(&server, &other, "/").await.text.contains(refused), "the notice of another user");
        assert!(page(&server, &admin, "/").await.text.contains(refused), "the notice is shown");
        for browser in [&admin, &other] {
            assert!(!page(&server, browser, "/").await.text.contains(refused), "the notice is shown again");
        }
    }
    // A one-time link.
    for browser in [&admin, &other] {
        page(&server, browser, "/people").await;
    }
    let form = [("name", "Grace"), ("login", "grace"), ("roles[]", "qa"), ("password", PASSWORD)];
    let answer = server.post(&admin, "/api/invite", &form).await;
    assert!(answer.status().is_redirection());
    assert!(!page(&server, &other, "/people").await.text.contains("/link/"), "the link of another user");
    assert!(page(&server, &admin, "/people").await.text.contains("/link/"), "the link is shown");
    for path in ["/people", "/", "/activity"] {
        for browser in [&admin, &other] {
            assert!(
                !page(&server, browser, path).await.text.contains("/link/"),
                "{path}: the link is shown again"
            );
        }
    }
}
