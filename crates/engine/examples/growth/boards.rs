//! Many open boards, like the script of the page: an event stream for each, and the page is read again after a change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::http::Server;

/// Boards that one session may have open is 16; the others belong to further sessions of the same person.
const OF_A_SESSION: usize = 16;

/// How fast a change reached all boards.
pub struct Seen {
    /// Time until the last one showed it.
    pub seconds: f64,
    /// CPU time of the server meanwhile.
    pub cpu: f64,
}

/// Opens `count` boards, changes the verdict, and waits until each shows it.
pub async fn change_everywhere(server: &Server, count: usize) -> Seen {
    let ready = Arc::new(Barrier::new(count + 1));
    let mut cookies = vec![];
    for _ in 0..count.div_ceil(OF_A_SESSION) {
        cookies.push(server.new_session().await);
    }
    let mut open = JoinSet::new();
    for number in 0..count {
        let (client, cookie) = (server.client().clone(), cookies[number / OF_A_SESSION].clone());
        let (events, page) = (server.url("/events"), server.url("/"));
        let ready = Arc::clone(&ready);
        open.spawn(async move {
            let stream = client.get(events).header("cookie", &cookie).send().await;
            let mut stream = stream.unwrap();
            assert_eq!(stream.status(), 200, "an event stream was refused");
            // The first event says where the stream begins.
            stream.chunk().await.unwrap();
            ready.wait().await;
            stream.chunk().await.unwrap();
            let answer = client
                .get(page)
                .header("cookie", &cookie)
                .header("x-stagegate-live", "own-keys")
                .header("accept-encoding", "gzip, deflate, br, zstd")
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 200);
            answer.bytes().await.unwrap();
            Instant::now()
        });
    }
    ready.wait().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = server.cpu_seconds();
    let began = Instant::now();
    server.write().await;
    let mut last = began;
    while let Some(at) = open.join_next().await {
        last = last.max(at.unwrap());
    }
    Seen { seconds: (last - began).as_secs_f64(), cpu: server.cpu_seconds() - before }
}
