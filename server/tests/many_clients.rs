//! Slow and many clients, and streams that end with their session.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod support;

use std::time::{Duration, Instant};

use support::{PASSWORD, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Opens connections that send only the beginning of a request.
async fn half_open(server: &Server, many: usize, beginning: &str) -> Vec<TcpStream> {
    let address = server.base.trim_start_matches("http://").to_owned();
    let mut streams = vec![];
    for _ in 0..many {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        // The server may have closed it for a newer one.
        let _ = stream.write_all(beginning.as_bytes()).await;
        streams.push(stream);
    }
    streams
}

fn raise_own_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let found = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: found.maximum, ..found }).unwrap();
}

async fn the_board_answers(server: &Server, browser: &reqwest::Client) {
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(server.get(browser, "/").await.status().as_u16(), 200);
    }
    // A new connection too, not only the one that is kept.
    let fresh = server.browser();
    server.post(&fresh, "/api/sign_in", &[("login", "root"), ("password", PASSWORD)]).await;
    assert_eq!(server.get(&fresh, "/").await.status().as_u16(), 200);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_requests_do_not_stop_the_board() {
    raise_own_limit();
    // So few open files that not all connections fit: the oldest idle ones must be closed.
    let server = Server::start_with("", |dir| std::fs::write(dir.join("open-files"), "512").unwrap());
    let admin = server.admin().await;
    let _headers = half_open(&server, 1_100, "GET / HTTP/1.1\r\nHost: ").await;
    the_board_answers(&server, &admin).await;
    let host = server.base.trim_start_matches("http://");
    let body = format!(
        "POST /api/sign_in HTTP/1.1\r\nHost: {host}\r\nOrigin: {}\r\nContent-Length: 100\r\n\r\nlogin=",
        server.base
    );
    let _bodies = half_open(&server, 1_100, &body).await;
    the_board_answers(&server, &admin).await;
    let unread = format!("GET /pkg/big.css HTTP/1.1\r\nHost: {host}\r\n\r\n");
    std::fs::write(server.dir.path().join("site/pkg/big.css"), vec![b' '; 8 << 20]).unwrap();
    let _unread = half_open(&server, 1_100, &unread).await;
    the_board_answers(&server, &admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_request_times_out() {
    let server = Server::start();
    let host = server.base.trim_start_matches("http://").to_owned();
    let origin = format!("Origin: {}\r\n", server.base);
    let body =
        format!("POST /api/sign_in HTTP/1.1\r\nHost: {host}\r\n{origin}Content-Length: 100\r\n\r\nlogin=");
    let began = Instant::now();
    let mut streams = half_open(&server, 1, "GET / HTTP/1.1\r\nHost: x").await;
    streams.extend(half_open(&server, 1, &body).await);
    for mut stream in streams {
        let mut answer = vec![];
        let read = tokio::time::timeout(Duration::from_secs(25), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the connection is closed");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.contains(" 408 "), "{answer}");
    }
    assert!(began.elapsed() > Duration::from_secs(10), "a user with a slow connection has some time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_ends_with_its_session() {
    let server = Server::start();
    let admin = server.admin().await;
    let person = server.person("qa").await;
    let mut own = server.get(&person, "/events").await;
    let mut other = server.get(&admin, "/events").await;
    assert!(own.chunk().await.unwrap().is_some());
    server.post(&person, "/api/sign_out", &[]).await;
    let ended = tokio::time::timeout(Duration::from_secs(4), async {
        while own.chunk().await.unwrap_or(None).is_some() {}
    });
    assert!(ended.await.is_ok(), "the stream of a signed-out session continues");
    assert!(other.chunk().await.unwrap().is_some(), "streams of other sessions continue");
    // Another process ends the sessions of a person: this takes effect within seconds.
    let reset = std::process::Command::new(env!("CARGO_BIN_EXE_stagegate"))
        .args(["user", "reset", "root", "--config"])
        .arg(server.dir.path().join("stagegate.toml"))
        .output()
        .unwrap();
    assert!(reset.status.success());
    let ended = tokio::time::timeout(Duration::from_secs(12), async {
        while other.chunk().await.unwrap_or(None).is_some() {}
    });
    assert!(ended.await.is_ok(), "the stream of an ended session continues");
    assert_ne!(server.get(&admin, "/").await.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_a_bounded_number_of_streams() {
    let server = Server::start();
    let admin = server.admin().await;
    let mut streams = vec![];
    let mut refused = 0;
    for _ in 0..20 {
        let answer = server.get(&admin, "/events").await;
        match answer.status().as_u16() {
            200 => streams.push(answer),
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((streams.len(), refused), (16, 4));
    drop(streams);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.get(&admin, "/events").await.status().as_u16(), 200, "places are freed");
}
