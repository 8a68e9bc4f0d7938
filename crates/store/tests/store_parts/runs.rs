//! Runs, the evidence that a judgement reads, and repeated requests.

use store::audit::AuditAction;

use super::*;

#[tokio::test]
async fn a_run_ends_once_and_is_found_by_what_it_is_about() {
    let (_dir, store) = fresh().await;
    ada(&store).await;
    let [a, b, c] = [run(&store, "x", 100).await, run(&store, "x", 200).await, run(&store, "y", 300).await];
    let ending =
        |at, outcome| Ending { at: Millis(at), outcome, exit: json!({"code": 0}), result: json!(null) };
    let end = async |id, ending: Ending| write!(store, |tx| runs::end(tx, id, &ending).await).unwrap();
    assert_eq!(runs::active(store.readers()).await.unwrap().len(), 3);
    assert!(end(a, ending(150, RunOutcome::Passed)).await);
    assert!(!end(a, ending(999, RunOutcome::Failed)).await, "it ended already");
    assert!(end(b, ending(290, RunOutcome::Failed)).await);
    assert!(write!(store, |tx| runs::interrupt(tx, c, "lost", Millis(400)).await).unwrap());
    let run = runs::by_id(store.readers(), a).await.unwrap().unwrap();
    assert_eq!((run.state, run.ended_at), (RunState::Ended(RunOutcome::Passed), Some(Millis(150))));
    assert_eq!(run.exit, Some(json!({"code": 0})));
    assert_eq!(runs::by_id(store.readers(), c).await.unwrap().unwrap().state, RunState::Interrupted);
    assert!(runs::active(store.readers()).await.unwrap().is_empty());
    assert_eq!(runs::durations(store.readers(), RunKind::Check, "x", 5).await.unwrap(), [50]);
    let ids = async |filter| {
        let list = runs::list(store.readers(), filter, 10).await.unwrap();
        list.into_iter().map(|r| r.id).collect::<Vec<_>>()
    };
    assert_eq!(
        ids(Filter { subject: Some("x"), kind: Some(RunKind::Check), ..Filter::default() }).await,
        [b, a]
    );
    assert_eq!(ids(Filter { gate: Some("A"), before: Some(b), ..Filter::default() }).await, [a]);
    assert!(ids(Filter { gate: Some("B"), ..Filter::default() }).await.is_empty());
    let mut other = raw(&store).await;
    for sql in ["UPDATE run SET outcome = 'passed' WHERE id = 2", "DELETE FROM run"] {
        assert!(sqlx::query(sql).execute(&mut other).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn one_key_starts_one_run() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let start = async || {
        write!(store, |tx| {
            let new = NewRun {
                kind: RunKind::Deploy,
                subject: "1",
                gate: None,
                title: "t",
                release: None,
                by,
                by_name: "Ada",
                at: Millis(1),
                key: Some("k"),
            };
            runs::start(tx, &new).await
        })
    };
    let first = start().await.unwrap();
    assert!(matches!(start().await, Err(StoreError::Refused(_))));
    assert_eq!(runs::by_key(store.readers(), "k").await.unwrap().unwrap().id, first);
}

#[tokio::test]
async fn a_judgement_reads_the_last_evidence_of_each_check_and_what_counts_for_the_release() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let [old, new] = [release(&store, by, "aaa").await, release(&store, by, "bbb").await];
    let run = run(&store, "x", 1).await;
    let add = async |check: &'static str, release| {
        let found = Evidence {
            id: 0,
            check: check.into(),
            finding: Finding {
                outcome: Outcome::Pass,
                value: Some(f64::NAN),
                saw: String::new(),
                wanted: String::new(),
                next: String::new(),
            },
            threshold_digest: "d".into(),
            parts: parts("aaa"),
            release,
            run,
            by,
            at: Millis(1),
        };
        write!(store, |tx| evidence::add(tx, &found).await).unwrap()
    };
    let _x1 = add("x", old).await;
    let x2 = add("x", old).await;
    let _y1 = add("y", new).await;
    let y2 = add("y", new).await;
    let ids = |list: Vec<Evidence>| list.into_iter().map(|e| e.id).collect::<Vec<_>>();
    assert_eq!(ids(evidence::for_judging(store.readers(), Some(new), 1).await.unwrap()), [x2, y2]);
    assert_eq!(ids(evidence::for_judging(store.readers(), None, 1).await.unwrap()), [x2, y2]);
    assert_eq!(ids(evidence::of_check(store.readers(), "y", 1).await.unwrap()), [y2]);
    assert_eq!(evidence::of_run(store.readers(), run).await.unwrap().len(), 4);
    assert!(evidence::of_run(store.readers(), run).await.unwrap().iter().all(|e| e.finding.value.is_none()));
}

#[tokio::test]
async fn of_fifty_equal_requests_exactly_one_is_fresh() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let new = move |key: &'static str, action: AuditAction, params_digest: &'static str| NewClaim {
        key,
        person: by,
        action,
        params_digest,
        owner: "one",
        at: Millis(1),
    };
    let claim = async |store: Store, key: &'static str, action: AuditAction, digest: &'static str| {
        write!(store, |tx| idempotency::claim(tx, &new(key, action, digest)).await).unwrap()
    };
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        callers.spawn(async move {
            write!(store, |tx| idempotency::claim(tx, &new("k", AuditAction::DeployStart, "d")).await)
                .unwrap()
        });
    }
    let claims = callers.join_all().await;
    assert_eq!(claims.iter().filter(|c| **c == Claim::Fresh).count(), 1);
    assert_eq!(claims.iter().filter(|c| **c == Claim::InFlight).count(), 49);
    assert!(write!(store, |tx| idempotency::is_held(tx, "k", "one").await).unwrap());
    assert!(!write!(store, |tx| idempotency::is_held(tx, "k", "another").await).unwrap());
    assert_eq!(write!(store, |tx| idempotency::unanswered(tx).await).unwrap(), ["k"]);
    let answer = json!({"to": "/", "said": "Deployed."});
    let stored = answer.clone();
    write!(store, |tx| idempotency::complete(tx, "k", &stored).await).unwrap();
    assert_eq!(claim(store.clone(), "k", AuditAction::DeployStart, "d").await, Claim::Replay(answer));
    assert_eq!(claim(store.clone(), "k", AuditAction::DeployStart, "other").await, Claim::Mismatch);
    assert_eq!(claim(store.clone(), "k", AuditAction::RollbackStart, "d").await, Claim::Mismatch);
    let twice = write!(store, |tx| idempotency::complete(tx, "k", &json!(1)).await);
    assert!(matches!(twice, Err(StoreError::Refused(_))));
    let unclaimed = write!(store, |tx| idempotency::complete(tx, "none", &json!(1)).await);
    assert!(matches!(unclaimed, Err(StoreError::Refused(_))));
    assert_eq!(claim(store.clone(), "l", AuditAction::DeployStart, "d").await, Claim::Fresh);
    write!(store, |tx| idempotency::abandon(tx, "l").await).unwrap();
    assert_eq!(claim(store.clone(), "l", AuditAction::DeployStart, "d").await, Claim::Fresh);
    assert_eq!(write!(store, |tx| idempotency::prune(tx, Millis(2)).await).unwrap(), 1);
}
