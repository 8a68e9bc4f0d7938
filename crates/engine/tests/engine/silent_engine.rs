//! A Docker engine that accepts every connection and never answers: only actions that need it wait. The address of the
//! engine comes from the environment, so the test runs this binary again with another address.

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use domain::release::{ReleaseComponents, ReleaseState};
use engine::{Deployment, Return};
use store::releases::{self, ReleaseEvent, What};

use crate::support::bench::{Bench, actor, audit_is_whole, board};

const INNER: &str = "cases::silent_engine::with_a_silent_engine_at_the_address";

#[test]
fn actions_of_other_people_continue_while_the_docker_engine_does_not_answer() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok((connection, _)) = listener.accept() {
            kept.push(connection);
        }
    });
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", INNER, "--nocapture"])
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("1 passed"), "{said}{errors}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the test above, with an engine that never answers"]
async fn with_a_silent_engine_at_the_address() {
    let bench = Bench::new("silent");
    let engine = bench.start().await;
    // A release that was deployed once, so that there are images to check.
    let devops = actor(&engine, "devops").await;
    let images = [("web".to_owned(), format!("sha256:{}", "1".repeat(64)))].into();
    let release = engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let parts = ReleaseComponents::default();
                let at = domain::time::Millis(1);
                let new =
                    releases::NewRelease { parts: &parts, subject: "", by: devops.id, by_name: "DevOps", at };
                let release = releases::open(&mut *tx, &new).await?;
                let what = What::Deployed { images, migrations: None };
                let event = ReleaseEvent {
                    id: 0,
                    release,
                    what,
                    by: devops.id,
                    by_name: "DevOps".to_owned(),
                    at,
                    run: None,
                    note: String::new(),
                };
                releases::record(tx, &event).await?;
                Ok::<_, store::StoreError>(release)
            })
        })
        .await
        .unwrap();
    // Any action reads the store again.
    engine.fill_field(&bench.by(&engine, "backend").await, "own.1.by", "Ada", 0).await.unwrap();
    assert_eq!(board(&engine).await.release.map(|r| r.state), Some(ReleaseState::Deployed));

    let began = Instant::now();
    let waiting: Vec<_> = {
        let mut all = Vec::new();
        for n in 0..4 {
            let (engine, ctx) = (engine.clone(), bench.by(&engine, "devops").await);
            all.push(tokio::spawn(async move {
                match n {
                    0 => engine.roll_back(&ctx, &Return::to(release)).await.map(drop),
                    1 => engine.drill(&ctx, "").await.map(drop),
                    2 => engine.clean_restart(&ctx, &engine::Restart::default()).await.map(drop),
                    _ => engine.deploy(&ctx, &Deployment::default()).await.map(drop),
                }
            }));
        }
        all
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let still = waiting.iter().filter(|task| !task.is_finished()).count();
    assert!(still >= 2, "no action waits for the Docker engine: this test proves nothing");
    let acting = Instant::now();
    bench.attest(&engine, "backend", "A.2").await.unwrap();
    let refused = bench.accept(&engine, "backend", "A").await;
    assert!(refused.is_err(), "A.1 was not proved");
    let took = acting.elapsed();
    let still = waiting.iter().filter(|task| !task.is_finished()).count();
    assert!(still > 0, "they have already ended, after {:?}", began.elapsed());
    assert!(took < Duration::from_secs(3), "an action waited {took:?} for an engine that never answers");
    for task in waiting {
        tokio::time::timeout(Duration::from_secs(90), task).await.unwrap().unwrap().unwrap_err();
    }
    audit_is_whole(&engine).await;
}
