//! Without a Docker engine the board opens, says so, and deploys nothing. The address of the engine comes from the
//! environment, so the test runs this binary again with another address.

use std::process::Command;

use engine::ErrorKind;
use engine::view::RunState;

use crate::support::bench::{Bench, audit_is_whole, board};

const INNER: &str = "cases::unreachable::with_no_engine_at_the_address";

#[test]
fn without_a_docker_engine_the_board_says_since_when_and_nothing_is_deployed() {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", INNER, "--nocapture"])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("1 passed"), "{said}{errors}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the test above, with an address where nothing listens"]
async fn with_no_engine_at_the_address() {
    let bench = Bench::new("no-engine");
    let engine = bench.start().await;
    let first = board(&engine).await;
    let since = first.observed.unreachable_since.expect("it says since when");
    assert!(!first.observed.unreachable_why.is_empty());
    assert!(!first.judgement.verdict.is_go());
    assert!(first.judgement.verdict.blockers.iter().any(|b| b.what.contains("engine cannot be reached")));
    let refused = bench.deploy(&engine, "devops").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.public().contains("cannot be reached"), "{refused}");
    assert_eq!(first.deploy.reason(), Some(refused.public().as_str()));
    assert!(board(&engine).await.release.is_none(), "a refused deploy opened a release");
    // Actions that do not need the Docker engine still work.
    assert_eq!(bench.step(&engine, "qa", "A.s1").await.run.state, RunState::Passed);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(board(&engine).await.observed.unreachable_since, Some(since), "the time of the loss changed");
    audit_is_whole(&engine).await;
}
