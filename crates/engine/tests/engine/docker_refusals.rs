//! One deploy at a time, a lost supervisor, and rollback targets whose images no longer exist.

use std::time::Duration;

use domain::release::ReleaseState;
use engine::ErrorKind;
use engine::view::{RunKind, RunState};
use engine::{Deployment, Return};

use crate::support::bench::{Bench, actor, audit_is_whole, board, ended, log, run_id, until};

#[tokio::test(flavor = "multi_thread")]
async fn one_deploy_at_a_time_and_a_dead_one_does_not_keep_the_lock_with_docker() {
    let bench = Bench::tinystack("lock", "");
    bench.edit("stagegate.toml", "smoke = [", "steps_before = [\"A.s5\"]\nsmoke = [");
    bench.commit("slow to deploy");
    let engine = bench.start().await;
    // Four people click at the same moment, one of them twenty times.
    let wish = Deployment { shown: bench.shown(&engine).await, without_backup: false };
    let clicks = futures::future::join_all((0..24).map(async |n: u32| {
        let key = format!("deploy-{}", n.saturating_sub(20));
        engine.deploy(&bench.keyed(&engine, "devops", &key).await, &wish).await
    }))
    .await;
    let begun: Vec<_> = clicks.iter().flatten().map(run_id).collect();
    assert!(!begun.is_empty() && begun.iter().all(|r| *r == begun[0]), "{clicks:?}");
    for refused in clicks.iter().filter_map(|c| c.as_ref().err()) {
        assert!(refused.public().contains("started by DevOps"), "{refused}");
    }
    let now = board(&engine).await;
    assert_eq!(now.release.unwrap().id, 1, "a refused deploy opened a release");
    let late = bench.deploy(&engine, "backend").await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Refused);
    assert!(late.public().contains(&format!("run {}", begun[0])), "{late}");
    assert_eq!(now.deploy.reason(), Some(late.public().as_str()));

    let status = bench.data().join("runs").join(begun[0].to_string()).join("status.json");
    let read = || -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap_or_default()
    };
    until("the supervisor", Duration::from_secs(10), || async { read()["state"] == "running" }).await;
    let pid = read()["pid"].to_string();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let page = ended(&engine, begun[0]).await;
    assert_eq!(page.run.state, RunState::Interrupted);
    let now = board(&engine).await;
    assert_eq!(now.release.unwrap().state, ReleaseState::Failed);
    assert_eq!(now.failed_deploy.map(|r| r.id), Some(begun[0]));
    assert_eq!(now.deploy.reason(), None);

    // Cancelled in the middle, it is over at once and the stack is free.
    let done = bench.deploy(&engine, "backend").await.unwrap();
    engine.cancel_run(&bench.by(&engine, "qa").await, run_id(&done)).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Cancelled, "{}", log(&page));
    assert_eq!(board(&engine).await.deploy.reason(), None);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_deploy_is_rolled_back_automatically_if_configured_with_docker() {
    let bench = Bench::tinystack("self", "");
    bench.edit("stagegate.toml", "smoke = [", "on_failed_deploy = \"rollback\"\nsmoke = [");
    bench.commit("returns by itself");
    let engine = bench.start().await;
    let done = bench.deploy(&engine, "backend").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let one = board(&engine).await.release.unwrap();
    bench.edit("docker-compose.yml", "WORKER_HEALTH:-ok", "WORKER_HEALTH:-bad");
    bench.commit("bad");
    let done = bench.deploy(&engine, "backend").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Failed);
    assert_eq!(page.failing.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["worker"]);
    assert!(page.failing[0].last_lines.iter().any(|l| l.contains("is working")), "{:?}", page.failing);
    let return_run = run_id(&done) + 1;
    until("the return to begin", Duration::from_secs(10), || async {
        engine.run(&actor(&engine, "qa").await, return_run).await.is_ok()
    })
    .await;
    let page = ended(&engine, return_run).await;
    assert_eq!((page.run.state, page.run.kind), (RunState::Passed, RunKind::Rollback), "{}", log(&page));
    let now = board(&engine).await;
    assert_eq!(now.release.map(|r| r.id), Some(one.id));

    // Another good one; then the images of the first are removed behind our back.
    bench.edit("docker-compose.yml", "WORKER_HEALTH:-bad", "WORKER_HEALTH:-ok");
    bench.edit("docker-compose.yml", "VERSION:-1", "VERSION:-3");
    bench.commit("good");
    let done = bench.deploy(&engine, "backend").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    until("the running images to be observed", Duration::from_secs(10), || async {
        let now = board(&engine).await;
        now.release.is_some_and(|r| r.parts.images == now.observed.parts.images)
    })
    .await;
    let offer = board(&engine).await.rollback.expect("a rollback target");
    assert_eq!((offer.target.id, offer.offer.reason()), (one.id, None));
    bench.docker(&["rmi", "-f", &one.parts.images["web"]]);
    let refused =
        engine.roll_back(&bench.by(&engine, "devops").await, &Return::to(one.id)).await.unwrap_err();
    assert!(refused.public().contains("web") && refused.public().contains("no longer exist"), "{refused}");
    let offer = board(&engine).await.rollback.expect("still shown, with the reason");
    assert!(offer.missing_images.contains(&"web".to_owned()) && offer.offer.reason().is_some());
    assert_eq!(board(&engine).await.running.len(), 0);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_smoke_check_is_evidence_after_a_deploy_and_fails_a_rollback_with_docker() {
    let bench = Bench::tinystack("smoke", "");
    bench.edit("stagegate.toml", "body_contains = \"ok\"", "body_contains = \"version\\\":\\\"2\"");
    bench.edit("stagegate.toml", "retries = 2", "retries = 0");
    bench.commit("wants version 2");
    let engine = bench.start().await;
    let done = bench.deploy(&engine, "backend").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!(page.evidence[0].finding.outcome, domain::evidence::Outcome::Fail);
    let now = board(&engine).await;
    assert_eq!(now.release.unwrap().state, ReleaseState::Deployed);
    assert!(now.judgement.item("F.1").unwrap().is_red());
    bench.edit("docker-compose.yml", "VERSION:-1", "VERSION:-2");
    bench.commit("version 2");
    let done = bench.deploy(&engine, "backend").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.evidence[0].finding.outcome, domain::evidence::Outcome::Pass, "{}", log(&page));
    assert!(board(&engine).await.judgement.item("F.1").unwrap().is_satisfied());
    let done = engine.roll_back(&bench.by(&engine, "qa").await, &Return::to(1)).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Failed, "{}", log(&page));
    assert!(page.run.summary.contains("did not pass: web-health"), "{}", page.run.summary);
    assert!(page.proof.iter().all(|(_, wanted, running)| wanted == running));
    // It is not called a rollback: release 2 is judged still, and the board says that another one runs.
    let now = board(&engine).await;
    assert_eq!(now.release.as_ref().map(|r| (r.id, r.state)), Some((2, ReleaseState::Deployed)));
    assert_eq!(now.failed_deploy.map(|r| r.id), Some(page.run.id));
    until("the drift to be observed", Duration::from_secs(10), || async {
        !board(&engine).await.judgement.drift.is_empty()
    })
    .await;
    assert!(!board(&engine).await.judgement.verdict.is_go());
    audit_is_whole(&engine).await;
}
