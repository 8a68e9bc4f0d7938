//! Follow-ups of a run are started exactly once, even if a server dies in between.

use std::time::Duration;

use domain::time::Millis;
use engine::{Access, Engine, ErrorKind};
use serde_json::Value;
use store::run_follow_ups::{self, FollowUpKind, FollowUpState};
use store::runs::{self, Ending, NewRun, RunKind, RunOutcome, RunState};
use store::{StoreError, people};

use crate::support::bench::{
    Bench, PASSWORD, actor, audit_is_whole, board, deploy_row, ended, log, run_id, until,
};

async fn end_access(bench: &Bench, engine: &Engine, person: i64) {
    let admin = bench.by(engine, "admin").await;
    engine.set_access(&admin, person, Access::Ended, PASSWORD).await.unwrap();
}

const CHECK: &str = "
[[check]]
id = \"after\"
title = \"After a deploy\"
kind = \"file\"
path = \"note.txt\"
after_deploy = true
binds = [\"runbook\"]
proves = [{ criterion = \"B.1\", contains = \"note file\" }]
";

fn bench(name: &str) -> Bench {
    let bench = Bench::new(name);
    let config = std::fs::read_to_string(bench.dir().join("stagegate.toml")).unwrap();
    bench.write("stagegate.toml", &format!("{config}{CHECK}"));
    bench.write("note.txt", "here");
    bench.commit("with a check after deploys");
    bench
}

/// A successful deploy with its follow-ups, as a server stores them before it dies.
async fn deployed(engine: &Engine, follow_up: FollowUpKind) -> i64 {
    let by = actor(engine, "devops").await.id;
    engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let new = deploy_row(by, None);
                let run = runs::start(&mut *tx, &new).await?;
                let ending = Ending {
                    at: Millis(2),
                    outcome: RunOutcome::Passed,
                    exit: Value::Null,
                    result: Value::Null,
                };
                runs::end(&mut *tx, run, &ending).await?;
                run_follow_ups::add(tx, run, follow_up, Millis(2)).await?;
                Ok(run)
            })
        })
        .await
        .map_err(|e: StoreError| e)
        .unwrap()
}

async fn state(engine: &Engine, run: i64) -> FollowUpState {
    run_follow_ups::of_run(engine.store().readers(), run).await.unwrap().pop().unwrap().state
}

async fn settled(engine: &Engine, run: i64) -> FollowUpState {
    until("the follow-up", Duration::from_secs(40), || async {
        !matches!(state(engine, run).await, FollowUpState::Pending(_))
    })
    .await;
    state(engine, run).await
}

async fn validations(engine: &Engine) -> Vec<runs::Run> {
    let filter = runs::Filter { subject: Some("validation"), ..runs::Filter::default() };
    runs::list(engine.store().readers(), filter, 10).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validation_of_a_dead_server_is_started_once_by_the_next_servers() {
    let bench = bench("left");
    let engine = bench.start().await;
    bench.open_release(&engine, "devops").await.unwrap();
    let run = deployed(&engine, FollowUpKind::Validation).await;
    // The person who deployed has been disabled meanwhile.
    let devops = actor(&engine, "devops").await.id;
    end_access(&bench, &engine, devops).await;
    engine.close().await;
    let (one, other) = (bench.open().await, bench.open().await);
    let (a, b) = tokio::join!(one.start_up(), other.start_up());
    a.and(b).unwrap();
    let FollowUpState::Started(validation) = settled(&one, run).await else { panic!("it was not started") };
    let page = ended(&one, validation).await;
    assert_eq!(page.run.by_name, "Stagegate (validation)");
    assert_eq!(page.evidence.iter().map(|e| e.check.as_str()).collect::<Vec<_>>(), ["after"]);
    one.close().await;
    other.close().await;
    let next = bench.open().await;
    next.start_up().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(validations(&next).await.len(), 1, "once");
    let page = next.run(&actor(&next, "qa").await, run).await.unwrap();
    assert_eq!(page.follow_ups[0].state, FollowUpState::Started(validation));
    audit_is_whole(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_up_whose_run_never_began_is_started_again() {
    let bench = bench("neverbegan");
    let engine = bench.start().await;
    bench.open_release(&engine, "devops").await.unwrap();
    let run = deployed(&engine, FollowUpKind::Validation).await;
    // The server died between the run's row and its supervisor.
    let id = run_follow_ups::of_run(engine.store().readers(), run).await.unwrap()[0].id;
    let by = people::SCHEDULE;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = Millis(i64::try_from(now.as_millis()).unwrap());
    let lost = engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let new = NewRun {
                    kind: RunKind::Check,
                    subject: "validation",
                    gate: None,
                    title: "Validation",
                    release: Some(1),
                    by,
                    by_name: "Stagegate (validation)",
                    at,
                    key: Some("follow-up-1-0"),
                };
                let lost = runs::start(&mut *tx, &new).await?;
                run_follow_ups::started(tx, id, lost, at).await?;
                Ok(lost)
            })
        })
        .await
        .map_err(|e: StoreError| e)
        .unwrap();
    engine.close().await;
    let next = bench.open().await;
    next.start_up().await.unwrap();
    until("another run", Duration::from_secs(30), || async {
        matches!(state(&next, run).await, FollowUpState::Started(again) if again > lost)
    })
    .await;
    assert_eq!(ended(&next, lost).await.run.state, engine::view::RunState::Interrupted);
    let all = validations(&next).await;
    assert_eq!(all.len(), 2);
    ended(&next, all[0].id).await;
    audit_is_whole(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_list_of_migrations_says_why_it_is_missing() {
    let bench = bench("nolist");
    let engine = bench.start().await;
    bench.open_release(&engine, "devops").await.unwrap();
    let run = deployed(&engine, FollowUpKind::MigrationList).await;
    let id = run_follow_ups::of_run(engine.store().readers(), run).await.unwrap()[0].id;
    engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                for n in 0..5 {
                    run_follow_ups::tried(&mut *tx, id, "the database is away", Millis(n)).await?;
                }
                Ok::<_, StoreError>(())
            })
        })
        .await
        .unwrap();
    engine.close().await;
    let next = bench.open().await;
    next.start_up().await.unwrap();
    let because = "the migrations could not be listed in 5 attempts: the database is away".to_owned();
    until("the end", Duration::from_secs(90), || async {
        state(&next, run).await == FollowUpState::NotDone(because.clone())
    })
    .await;
    let shown = next.run(&actor(&next, "qa").await, run).await.unwrap().follow_ups;
    assert_eq!(shown[0].label, "Migration list");
    assert_eq!(shown[0].state, FollowUpState::NotDone(because.clone()));
    let rows = audit_is_whole(&next).await;
    assert!(rows.iter().any(|r| r.event.act == "migration_list.none" && r.event.detail == because));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_up_that_is_not_done_has_its_reason_in_the_audit_log_on_the_run_and_on_the_board() {
    let bench = bench("notdone");
    let engine = bench.start().await;
    bench.open_release(&engine, "devops").await.unwrap();
    // A later change of the stack was started first.
    let overtaken = deployed(&engine, FollowUpKind::Validation).await;
    let later = deployed(&engine, FollowUpKind::Validation).await;
    engine.close().await;
    // No supervisor can be started.
    let none = Engine::open(bench.dir().join("stagegate.toml"), bench.data(), "/nonexistent".into()).await;
    let engine = none.unwrap();
    engine.start_up().await.unwrap();
    assert_eq!(
        settled(&engine, overtaken).await,
        FollowUpState::NotDone(format!("run {later} was started first"))
    );
    until("a try", Duration::from_secs(10), || async { !validations(&engine).await.is_empty() }).await;
    assert!(board(&engine).await.follow_ups.iter().all(|f| f.run == later));
    // During an attempt it counts as started.
    until("the last attempt", Duration::from_secs(60), || async {
        board(&engine)
            .await
            .follow_ups
            .iter()
            .any(|f| f.run == later && matches!(f.state, FollowUpState::NotDone(_)))
    })
    .await;
    let FollowUpState::NotDone(because) = state(&engine, later).await else { panic!("it is final") };
    assert!(because.contains("after 5 attempts"), "{because}");
    let shown = board(&engine).await.follow_ups;
    assert_eq!((shown.len(), shown[0].label.as_str()), (1, "Validation"));
    assert_eq!(shown[0].state, FollowUpState::NotDone(because));
    let page = engine.run(&actor(&engine, "qa").await, later).await.unwrap();
    assert_eq!(page.follow_ups, shown);
    let rows = audit_is_whole(&engine).await;
    let told: Vec<_> =
        rows.iter().filter(|r| r.event.act == "validation.none").map(|r| r.event.run).collect();
    assert_eq!(told, [Some(later), Some(overtaken)]);
    assert!(validations(&engine).await.iter().all(|r| r.state == RunState::Interrupted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_cannot_use_the_key_of_a_follow_up() {
    let bench = bench("forged");
    let engine = bench.start().await;
    let ctx = bench.keyed(&engine, "qa", "follow-up-1-0").await;
    let refused = engine.run_check(&ctx, "after", "").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_deploy_is_rolled_back_although_the_server_died_and_the_deployer_was_disabled_with_docker() {
    let bench = Bench::tinystack("backdead", "");
    bench.edit("stagegate.toml", "smoke = [", "on_failed_deploy = \"rollback\"\nsmoke = [");
    bench.commit("returns by itself");
    let engine = bench.start().await;
    let done = bench.deploy(&engine, "backend").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, engine::view::RunState::Passed, "{}", log(&page));
    let one = board(&engine).await.release.unwrap();
    bench.edit("docker-compose.yml", "WORKER_HEALTH:-ok", "WORKER_HEALTH:-bad");
    bench.commit("bad");
    let failed = run_id(&bench.deploy(&engine, "backend").await.unwrap());
    let backend = actor(&engine, "backend").await.id;
    end_access(&bench, &engine, backend).await;
    engine.close().await;
    let next = bench.open().await;
    next.start_up().await.unwrap();
    let page = ended(&next, failed).await;
    assert_eq!(page.run.state, engine::view::RunState::Failed, "{}", log(&page));
    let FollowUpState::Started(back) = settled(&next, failed).await else { panic!("it was not rolled back") };
    let page = ended(&next, back).await;
    assert_eq!(page.run.state, engine::view::RunState::Passed, "{}", log(&page));
    assert_eq!(page.run.by_name, "Stagegate (automatic rollback)");
    let now = board(&next).await.release.unwrap();
    assert_eq!(
        (now.id, now.deployed_by),
        (one.id, Some(backend)),
        "the person who deployed it stays recorded"
    );
    audit_is_whole(&next).await;
}
