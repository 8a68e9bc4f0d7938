//! One-time links and passwords are never in a file, however they were created and shown.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{PASSWORD, Server};

/// The files below `dir` that contain these bytes.
fn files_with(dir: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if path.is_file() && std::fs::read(&path).unwrap().windows(bytes.len()).any(|w| w == bytes) {
            found.push(path);
        }
    }
    found
}

fn token_in(text: &str) -> String {
    let rest = text.split("/link/").nth(1).unwrap_or_else(|| panic!("no link in {text}"));
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect()
}

fn console(server: &Server, words: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_stagegate"))
        .args(words)
        .arg("--config")
        .arg(server.dir.path().join("stagegate.toml"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_and_no_password_is_in_any_file_after_it_was_shown() {
    let server = Server::start();
    let mut secrets = vec![server.setup_token(), PASSWORD.to_owned()];
    let admin = server.admin().await;
    secrets.push(token_in(&console(&server, &["user", "add", "qa", "--role", "qa"])));
    secrets.push(token_in(&console(&server, &["user", "reset", "qa"])));

    let invite = [("name", "Grace"), ("login", "grace"), ("roles[]", "qa"), ("password", PASSWORD)];
    let answer = server.post(&admin, "/api/invite", &invite).await;
    assert_eq!(answer.headers()["location"], "/people");
    let page = server.get(&admin, "/people").await.text().await.unwrap();
    secrets.push(token_in(&page));
    let again = server.get(&admin, "/people").await.text().await.unwrap();
    assert!(!again.contains("/link/"), "it is shown once");

    // The server sees the user that was added from the console within a second.
    let qa = tokio::time::timeout(std::time::Duration::from_secs(10), async {
        loop {
            let page = server.get(&admin, "/people").await.text().await.unwrap();
            let row = page.split("id=\"person-").skip(1).find(|row| row.contains(">qa<"));
            if let Some(row) = row {
                break row.split('"').next().unwrap().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
    server.post(&admin, "/api/reset_person", &[("person", &qa), ("password", PASSWORD)]).await;
    secrets.push(token_in(&server.get(&admin, "/people").await.text().await.unwrap()));

    // Refused with all fields filled in: the response must not contain the password.
    let wrong = "this is not my pass phrase";
    let refused = [("name", "Linus"), ("login", "linus"), ("roles[]", "po"), ("password", wrong)];
    server.post(&admin, "/api/invite", &refused).await;
    let page = server.get(&admin, "/people").await.text().await.unwrap();
    assert!(page.contains("no invitation was created"), "{page}");
    assert!(!page.contains(wrong));
    let stranger = server.browser();
    let mistyped = "typed in the wrong field";
    server.post(&stranger, "/api/sign_in", &[("login", mistyped), ("password", wrong)]).await;
    secrets.extend([wrong.to_owned(), mistyped.to_owned()]);

    assert_eq!(secrets.len(), 8);
    for secret in &secrets {
        assert!(secret.len() >= 15, "{secret}");
        let data = server.dir.path().join(".stagegate");
        assert!(data.join("stagegate.db").is_file());
        assert_eq!(files_with(&data, secret.as_bytes()), Vec::<PathBuf>::new(), "a file contains {secret}");
    }
}
