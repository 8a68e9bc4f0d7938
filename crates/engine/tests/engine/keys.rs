//! One key, one action.

use std::collections::BTreeSet;

use engine::{Engine, ErrorKind};
use store::audit::Outcome;
use store::runs;

use crate::support::bench::{
    Bench, actor, audit_is_whole, board, deploy_row, ended, gate_digest, run_id, step_digest, supervisor,
};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_clicks_with_one_key_start_one_run() {
    let bench = Bench::new("fifty");
    let engine = bench.start().await;
    let digest = step_digest(&engine, "A.s1").await;
    let ctx = bench.keyed(&engine, "qa", "the one").await;
    let clicks = (0..50).map(|_| {
        let (engine, ctx, digest) = (engine.clone(), ctx.clone(), digest.clone());
        tokio::spawn(async move { engine.run_step(&ctx, "A.s1", &digest).await.map(|d| d.to) })
    });
    let answers: BTreeSet<String> =
        futures::future::join_all(clicks).await.into_iter().map(|a| a.unwrap().unwrap()).collect();
    assert_eq!(answers, BTreeSet::from(["/runs/1".to_owned()]));
    let all = runs::list(engine.store().readers(), runs::Filter::default(), 100).await.unwrap();
    assert_eq!(all.len(), 1);
    let rows = audit_is_whole(&engine).await;
    assert_eq!(rows.iter().filter(|r| r.event.act == "step.run").count(), 2);
    ended(&engine, 1).await;
    // Much later, the answer is still the same.
    assert_eq!(engine.run_step(&ctx, "A.s1", &digest).await.unwrap().to, "/runs/1");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_people_who_click_at_once_start_a_step_once() {
    let bench = Bench::new("crowd");
    let engine = bench.start().await;
    // A step that takes longer than all clicks, also on a busy host.
    let digest = step_digest(&engine, "A.s5").await;
    let clicks = futures::future::join_all((0..8).map(async |n| {
        let ctx = bench.keyed(&engine, "qa", &format!("crowd-{n}")).await;
        engine.run_step(&ctx, "A.s5", &digest).await
    }));
    let answers = clicks.await;
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1, "{answers:?}");
    let run = answers.iter().flatten().map(run_id).next().unwrap();
    engine.cancel_run(&bench.by(&engine, "qa").await, run).await.unwrap();
    ended(&engine, run).await;
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_be_used_for_another_form_person_or_action() {
    let bench = Bench::new("key");
    let engine = bench.start().await;
    let ctx = bench.keyed(&engine, "backend", "k").await;
    engine.fill_field(&ctx, "own.1.by", "Ada", 0).await.unwrap();
    let other = engine.fill_field(&ctx, "own.1.by", "Grace", 0).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    let subject = engine.fill_field(&ctx, "own.1.on", "2026-03-01", 0).await.unwrap_err();
    assert_eq!(subject.kind(), ErrorKind::Conflict);
    let qa = bench.keyed(&engine, "qa", "k").await;
    assert_eq!(engine.fill_field(&qa, "own.1.by", "Ada", 0).await.unwrap_err().kind(), ErrorKind::Conflict);
    let act = engine.open_release(&ctx, &board(&engine).await.shown).await.unwrap_err();
    assert_eq!(act.kind(), ErrorKind::Conflict);
    let none = bench.keyed(&engine, "qa", "").await;
    assert_eq!(engine.fill_field(&none, "own.1.by", "Ada", 0).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(engine.fill_field(&ctx, "own.1.by", " Ada ", 0).await.unwrap().said.contains("Ada"));
    let page = engine.ownership(&actor(&engine, "qa").await).await.unwrap();
    assert_eq!(page.lines[0].fields[0].history.len(), 1);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_action_works_with_the_same_key_once_the_cause_is_removed() {
    let bench = Bench::new("retry");
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    let ctx = bench.keyed(&engine, "backend", "accept").await;
    // The form sends what it showed; it is the same the second time.
    bench.attest(&engine, "backend", "A.2").await.unwrap();
    let digest = gate_digest(&engine, "A").await;
    bench.units_fail();
    bench.step(&engine, "qa", "A.s1").await;
    assert_eq!(engine.accept_gate(&ctx, "A", &digest, "fine").await.unwrap_err().kind(), ErrorKind::Refused);
    bench.units_pass();
    bench.step(&engine, "qa", "A.s1").await;
    let digest = gate_digest(&engine, "A").await;
    engine.accept_gate(&ctx, "A", &digest, "fine").await.unwrap();
    let rows = audit_is_whole(&engine).await;
    let outcomes: Vec<_> =
        rows.iter().rev().filter(|r| r.event.act == "gate.accept").map(|r| r.event.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused, Outcome::Intent, Outcome::Done]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_supervisor_did_not_start_can_be_started_again_with_the_same_key() {
    let bench = Bench::new("no-exe");
    let exe = bench.dir().join("../later");
    let engine = Engine::open(bench.dir().join("stagegate.toml"), bench.data(), exe.clone()).await.unwrap();
    engine.start_up().await.unwrap();
    crate::support::bench::add(&engine, "QA", "qa", &[domain::role::Role::Qa]).await;
    crate::support::bench::add(&engine, "DevOps", "devops", &[domain::role::Role::DevOps]).await;
    let digest = step_digest(&engine, "A.s1").await;
    let ctx = bench.keyed(&engine, "qa", "once more").await;
    engine.run_step(&ctx, "A.s1", &digest).await.unwrap_err();
    assert!(board(&engine).await.running.is_empty());
    std::os::unix::fs::symlink(supervisor(), exe).unwrap();
    let done = engine.run_step(&ctx, "A.s1", &digest).await.unwrap();
    ended(&engine, run_id(&done)).await;
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_directory_ends_as_interrupted_after_the_server_died() {
    use store::{releases, runs::*};
    let bench = Bench::new("died");
    let engine = bench.start().await;
    bench.open_release(&engine, "devops").await.unwrap();
    let by = actor(&engine, "devops").await.id;
    let run = engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let new = deploy_row(by, Some("lost"));
                start(tx, &new).await
            })
        })
        .await
        .unwrap();
    let next = bench.open().await;
    next.start_up().await.unwrap();
    let page = ended(&next, run).await;
    assert_eq!(page.run.state, engine::view::RunState::Interrupted);
    let current = releases::current(next.store().readers()).await.unwrap().unwrap();
    assert_eq!(current.state, domain::release::ReleaseState::Failed);
    assert_eq!(board(&next).await.deploy.reason(), None);
    audit_is_whole(&next).await;
}
