//! Runs whose end cannot be observed, read or stored do not block the stack for ever.

use std::fs;
use std::time::Duration;

use domain::time::Millis;
use engine::Engine;
use engine::view::RunState;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use store::runs::{NewRun, RunKind};
use store::{StoreError, runs};

use crate::support::bench::{Bench, actor, audit_is_whole, board, ended, run_id, step_digest, until};

/// The row of a run whose server died before it created the run's directory.
async fn row(engine: &Engine, kind: RunKind, subject: &'static str, at: i64) -> i64 {
    let by = actor(engine, "devops").await.id;
    engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let new = NewRun {
                    kind,
                    subject,
                    gate: None,
                    title: "Left behind",
                    release: Some(1),
                    by,
                    by_name: "DevOps",
                    at: Millis(at),
                    key: None,
                };
                runs::start(tx, &new).await
            })
        })
        .await
        .map_err(|e: StoreError| e)
        .unwrap()
}

async fn second_connection(engine: &Engine) -> SqliteConnection {
    SqliteConnectOptions::new().filename(engine.store().file()).connect().await.unwrap()
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_without_a_supervisor_is_ended_while_the_server_runs() {
    let bench = Bench::new("swept");
    let engine = bench.start().await;
    bench.open_release(&engine, "devops").await.unwrap();
    // Immediately, by the action that would be refused.
    let left = row(&engine, RunKind::Check, "note", 1).await;
    let done = bench.try_check(&engine, "qa", "note").await.unwrap();
    assert_eq!(ended(&engine, left).await.run.state, RunState::Interrupted);
    ended(&engine, run_id(&done)).await;
    // And soon, in the background.
    let left = row(&engine, RunKind::Deploy, "release 1", 1).await;
    until("the lost deploy to be ended", Duration::from_secs(12), || async {
        engine.run(&actor(&engine, "qa").await, left).await.unwrap().run.state == RunState::Interrupted
    })
    .await;
    let page = ended(&engine, left).await;
    assert!(page.run.summary.contains("its directory does not exist"), "{}", page.run.summary);
    assert_eq!(board(&engine).await.deploy.reason(), None);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_end_a_run_as_interrupted_with_the_reason() {
    let bench = Bench::new("damaged");
    bench.edit("unit.sh", "cat unit.txt", "sleep 1; cat unit.txt");
    bench.commit("long enough for the server to go first");
    let mut engine = bench.start().await;
    let digest = step_digest(&engine, "A.s1").await;
    let cases: [(&str, &str, Option<&str>); 5] = [
        ("result.json", "the result of the run cannot be understood", Some("{")),
        ("result.json", "the result of the run cannot be understood", Some("{\"checks\": 7}")),
        ("status.json", "the status of the run cannot be understood", Some("nonsense")),
        ("plan.json", "the plan of the run cannot be understood", Some("{}")),
        ("", "its directory does not exist", None),
    ];
    for (file, reason, text) in cases {
        let ctx = bench.by(&engine, "qa").await;
        let run = run_id(&engine.run_step(&ctx, "A.s1", &digest).await.unwrap());
        engine.close().await;
        let dir = bench.data().join(format!("runs/{run}"));
        until("the end of the supervisor", Duration::from_secs(30), || async {
            fs::read_to_string(dir.join("status.json")).is_ok_and(|status| status.contains("ended"))
        })
        .await;
        match text {
            Some(text) => fs::write(dir.join(file), text).unwrap(),
            None => fs::remove_dir_all(&dir).unwrap(),
        }
        engine = bench.open().await;
        engine.start_up().await.unwrap();
        let page = ended(&engine, run).await;
        assert_eq!(page.run.state, RunState::Interrupted, "{file}");
        assert!(page.run.summary.contains(reason), "{file}: {}", page.run.summary);
        assert!(board(&engine).await.running.is_empty());
    }
    // The next one runs as usual.
    assert_eq!(bench.step(&engine, "qa", "A.s1").await.run.state, RunState::Passed);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_end_that_the_store_refuses_is_given_up_and_a_busy_store_is_retried() {
    let bench = Bench::new("refusing");
    let engine = bench.start().await;
    let mut other = second_connection(&engine).await;
    execute(
        &mut other,
        "CREATE TRIGGER no_more BEFORE INSERT ON evidence BEGIN SELECT RAISE(ABORT, 'no more of it'); END",
    )
    .await;
    let page = bench.step(&engine, "qa", "A.s1").await;
    assert_eq!(page.run.state, RunState::Interrupted);
    assert!(page.run.summary.contains("no more of it"), "{}", page.run.summary);
    execute(&mut other, "DROP TRIGGER no_more").await;

    let digest = step_digest(&engine, "A.s2").await;
    let done = engine.run_step(&bench.by(&engine, "qa").await, "A.s2", &digest).await.unwrap();
    // Longer than the store waits for a lock.
    execute(&mut other, "BEGIN IMMEDIATE").await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    let during = runs::by_id(engine.store().readers(), run_id(&done)).await.unwrap().unwrap();
    assert_eq!(during.state, runs::RunState::Running);
    execute(&mut other, "ROLLBACK").await;
    assert_eq!(ended(&engine, run_id(&done)).await.run.state, RunState::Passed);
    audit_is_whole(&engine).await;
}
