//! Actions survive a dropped request, a panic and a killed server.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use domain::time::Millis;
use engine::view::RunState;
use engine::{Engine, ErrorKind};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use store::audit::AuditAction;
use store::idempotency::{self, NewClaim};
use store::{StoreError, runs};

use crate::support::bench::{Bench, PASSWORD, actor, audit_is_whole, ended, run_id, step_digest, until};

const SHORT: Duration = Duration::from_micros(400);
const LONG: Duration = Duration::from_millis(4);

/// Polls a future `polls` times and drops it, like a server does when a browser closes the connection.
async fn poll_and_drop<F: Future>(future: F, polls: usize, pause: Duration) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = futures::poll!(&mut future) {
            return Some(output);
        }
        tokio::time::sleep(pause).await;
    }
    None
}

/// The number of the last entry of a field, 0 for none.
async fn last_entry(engine: &Engine, field: &str) -> i64 {
    let history = store::ownership::history(engine.store().readers(), field, 9).await.unwrap();
    history.first().map_or(0, |entry| entry.id)
}

async fn values(engine: &Engine, field: &str) -> Vec<String> {
    let history = store::ownership::history(engine.store().readers(), field, 9).await.unwrap();
    history.into_iter().map(|entry| entry.value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_dropped_at_any_point_is_done_once_and_its_form_works_again() {
    let bench = Bench::new("dropped");
    let engine = bench.start().await;
    for polls in 0..30 {
        let value = format!("Ada {polls}");
        let ctx = bench.keyed(&engine, "backend", &format!("drop-{polls}")).await;
        let shown = last_entry(&engine, "own.1.by").await;
        poll_and_drop(engine.fill_field(&ctx, "own.1.by", &value, shown), polls, SHORT).await;
        let again = engine.fill_field(&ctx, "own.1.by", &value, shown);
        let again = tokio::time::timeout(Duration::from_secs(4), again);
        let answer =
            again.await.unwrap_or_else(|_| panic!("after {polls} polls the key of the form stays claimed"));
        assert_eq!(answer.unwrap().to, "/ownership#own.1.by", "after {polls} polls");
        let stored = values(&engine, "own.1.by").await;
        assert_eq!(stored.iter().filter(|v| **v == value).count(), 1, "after {polls} polls");
    }
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_in_its_own_task_continues_without_its_caller() {
    let bench = Bench::new("closedtab");
    let engine = bench.start().await;
    for polls in 0..8 {
        let value = format!("Ada {polls}");
        let ctx = bench.keyed(&engine, "backend", &format!("tab-{polls}")).await;
        let shown = last_entry(&engine, "own.1.by").await;
        let action = {
            let (engine, ctx, value) = (engine.clone(), ctx.clone(), value.clone());
            async move { engine.fill_field(&ctx, "own.1.by", &value, shown).await }
        };
        // Without a poll it has not begun.
        poll_and_drop(engine.run_action(action), polls + 1, SHORT).await;
        until("the value", Duration::from_secs(5), || async {
            values(&engine, "own.1.by").await.contains(&value)
        })
        .await;
    }
    let panicked = engine.run_action(async { if true { panic!("a fault") } else { Ok(()) } }).await;
    assert_eq!(panicked.unwrap_err().kind(), ErrorKind::Internal);
    // A stopping server waits for actions in progress.
    let ctx = bench.keyed(&engine, "backend", "last").await;
    let shown = last_entry(&engine, "own.1.by").await;
    let action = {
        let (engine, ctx) = (engine.clone(), ctx.clone());
        async move { engine.fill_field(&ctx, "own.1.by", "Last", shown).await }
    };
    poll_and_drop(engine.run_action(action), 1, SHORT).await;
    engine.close().await;
    let next = bench.open().await;
    assert!(values(&next, "own.1.by").await.contains(&"Last".to_owned()));
    audit_is_whole(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_start_is_dropped_at_any_point_ends_and_is_the_answer_of_its_form() {
    let bench = Bench::new("dropped-run");
    let engine = bench.start().await;
    let digest = step_digest(&engine, "A.s1").await;
    for polls in (0..60).step_by(10) {
        let key = format!("drop-{polls}");
        let ctx = bench.keyed(&engine, "qa", &key).await;
        poll_and_drop(engine.run_step(&ctx, "A.s1", &digest), polls, LONG).await;
        // The step counts as running until the first run has ended.
        let mut answer = engine.run_step(&ctx, "A.s1", &digest).await;
        for _ in 0..80 {
            match &answer {
                Err(error) if error.kind() == ErrorKind::Refused => {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    answer = engine.run_step(&ctx, "A.s1", &digest).await;
                }
                _ => break,
            }
        }
        let run = run_id(&answer.unwrap_or_else(|error| panic!("after {polls} polls: {error}")));
        let page = ended(&engine, run).await;
        assert!(matches!(page.run.state, RunState::Passed | RunState::Interrupted), "{:?}", page.run);
        assert_eq!(run_id(&engine.run_step(&ctx, "A.s1", &digest).await.unwrap()), run);
        let all = runs::list(engine.store().readers(), runs::Filter::default(), 100).await.unwrap();
        let under_key = all.iter().filter(|r| r.key.as_deref() == Some(&key)).count();
        assert_eq!(under_key, 1, "after {polls} polls");
        let passed = |r: &&runs::Run| {
            r.key.as_deref().is_some_and(|k| k == key || k.starts_with(&format!("{key} after")))
                && r.state == runs::RunState::Ended(runs::RunOutcome::Passed)
        };
        assert!(all.iter().filter(passed).count() <= 1, "after {polls} polls");
    }
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_a_dead_server_are_settled_by_the_next_one() {
    let bench = Bench::new("died-claim");
    let engine = bench.start().await;
    let digest = step_digest(&engine, "A.s1").await;
    let qa = actor(&engine, "qa").await;
    let params = domain::digest::digest_fields(["own.1.by", "Ada"]);
    let person = qa.id;
    engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let new = NewClaim {
                    key: "lost",
                    person,
                    action: AuditAction::OwnershipFill,
                    params_digest: &params,
                    owner: "a server that died",
                    at: Millis(1),
                };
                idempotency::claim(tx, &new).await
            })
        })
        .await
        .map_err(|e: StoreError| e)
        .unwrap();
    let ctx = bench.keyed(&engine, "qa", "a run").await;
    let run = run_id(&engine.run_step(&ctx, "A.s1", &digest).await.unwrap());
    ended(&engine, run).await;
    engine.close().await;
    let next = bench.open().await;
    next.start_up().await.unwrap();
    let ctx = bench.keyed(&next, "qa", "lost").await;
    let answer = tokio::time::timeout(Duration::from_secs(4), next.fill_field(&ctx, "own.1.by", "Ada", 0));
    answer.await.expect("the claim was released").unwrap();
    let ctx = bench.keyed(&next, "qa", "a run").await;
    assert_eq!(run_id(&next.run_step(&ctx, "A.s1", &digest).await.unwrap()), run);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_action_is_answered_although_the_store_cannot_be_read_afterwards() {
    let bench = Bench::new("unread");
    let engine = bench.start().await;
    bench.open_release(&engine, "devops").await.unwrap();
    // The observer has recorded its first observation by then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let file = SqliteConnectOptions::new().filename(engine.store().file());
    let mut other = file.connect().await.unwrap();
    // Together with the invitation an invalid release is stored, so that reading the store fails.
    sqlx::query(
        "CREATE TRIGGER damage AFTER INSERT ON link BEGIN
             INSERT INTO release (id, parts, subject, opened_by, opened_at) VALUES (2, '7', '', 1, 1);
             INSERT INTO release_event (release, kind, by, by_name, at, note) VALUES (2, 'opened', 1, 'x', 1, '');
         END",
    )
    .execute(&mut other)
    .await
    .unwrap();
    let admin = bench.by(&engine, "admin").await;
    let done = engine.invite(&admin, "Eve", "eve", &["qa".to_owned()], PASSWORD).await;
    assert!(done.unwrap().said.contains("/link/"), "the one-time link is shown once, and now");
    // Rules are not checked against a state that is known to be outdated.
    let next = engine.fill_field(&bench.by(&engine, "qa").await, "own.1.by", "Ada", 0).await;
    assert!(next.is_err(), "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_run_is_not_a_failure_although_its_start_is_recorded_late() {
    let bench = Bench::new("late");
    let engine = bench.start().await;
    let digest = step_digest(&engine, "A.s1").await;
    let mut other = SqliteConnectOptions::new().filename(engine.store().file()).connect().await.unwrap();
    sqlx::query(
        "CREATE TRIGGER no_answer BEFORE UPDATE ON idempotency BEGIN SELECT RAISE(ABORT, 'not now'); END",
    )
    .execute(&mut other)
    .await
    .unwrap();
    let ctx = bench.keyed(&engine, "qa", "late").await;
    let run = run_id(&engine.run_step(&ctx, "A.s1", &digest).await.unwrap());
    assert_eq!(ended(&engine, run).await.run.state, RunState::Passed);
    sqlx::query("DROP TRIGGER no_answer").execute(&mut other).await.unwrap();
    assert_eq!(run_id(&engine.run_step(&ctx, "A.s1", &digest).await.unwrap()), run);
    let rows = audit_is_whole(&engine).await;
    let last = rows.iter().find(|r| r.event.act == "step.run").unwrap();
    assert_eq!((last.event.outcome, last.event.run), (store::audit::Outcome::Done, Some(run)));
}
