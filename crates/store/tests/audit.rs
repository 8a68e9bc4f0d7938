//! The audit log: appending, tampering, actions, paging.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use domain::facts::Actor;
use domain::time::Millis;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use store::audit::{
    self, AuditAction, Event, Filter, GENESIS, Head, Noted, Outcome, PendingAction, VerifyError,
    VerifyReport, verify, verify_against, verify_since,
};
use store::{Store, StoreError};
use tempfile::TempDir;

#[path = "audit_parts/derived.rs"]
mod derived;
#[path = "audit_parts/rows.rs"]
mod rows;

async fn log_of(events: i64) -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    for n in 1..=events {
        append(&store, Event::new(Millis(n), None, AuditAction::GateAccept, format!("gate {n}")))
            .await
            .unwrap();
    }
    (dir, store)
}

async fn append(store: &Store, event: Event) -> Result<audit::Row, StoreError> {
    store.write(move |tx| Box::pin(async move { audit::append(tx, &event).await })).await
}

/// A person who has the file and drops the triggers.
async fn intruder(store: &Store) -> SqliteConnection {
    let mut conn = SqliteConnectOptions::new().filename(store.file()).connect().await.unwrap();
    for trigger in ["audit_event_keeps", "audit_event_stays", "audit_event_has_no_gaps"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP TRIGGER {trigger}"))).execute(&mut conn).await.unwrap();
    }
    conn
}

async fn broken_at(store: &Store) -> Option<i64> {
    match verify(store.readers()).await {
        Ok(_) => None,
        Err(VerifyError::Broken(broken)) => Some(broken.seq),
        Err(VerifyError::Store(error)) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn the_chain_has_no_gaps_and_verifies() {
    let (_dir, store) = log_of(0).await;
    let empty = VerifyReport { events: 0, head: Head { seq: 0, hash: GENESIS.to_owned() } };
    assert_eq!(verify(store.readers()).await.unwrap(), empty);
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..64_i64 {
        let store = store.clone();
        writers.spawn(async move {
            let event = Event::new(Millis(n), None, AuditAction::RunCreate, "x");
            store
                .write(move |tx| {
                    Box::pin(async move {
                        let row = audit::append(tx, &event).await?;
                        // An action that is rolled back removes its row and leaves no gap.
                        if n % 4 == 0 { Err(StoreError::Busy) } else { Ok(row) }
                    })
                })
                .await
                .ok()
        });
    }
    let mut seqs: Vec<i64> = writers.join_all().await.into_iter().flatten().map(|r| r.seq).collect();
    seqs.sort();
    assert_eq!(seqs, (1..=48).collect::<Vec<_>>());
    let report = verify(store.readers()).await.unwrap();
    assert_eq!((report.events, report.head.seq), (48, 48));
}

#[tokio::test]
async fn every_kind_of_tampering_is_found_at_its_position() {
    for (sql, place) in [
        ("UPDATE audit_event SET subject = 'another' WHERE seq = 3", 3),
        ("UPDATE audit_event SET outcome = 'done' WHERE seq = 1", 1),
        ("UPDATE audit_event SET at = at + 1 WHERE seq = 5", 5),
        ("UPDATE audit_event SET actor = 7 WHERE seq = 2", 2),
        ("UPDATE audit_event SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE seq = 4", 4),
        ("DELETE FROM audit_event WHERE seq = 3", 3),
        ("DELETE FROM audit_event WHERE seq = 1", 1),
        ("DELETE FROM audit_event WHERE seq = 5", 5),
        ("DELETE FROM audit_event", 1),
        // Closing the gap after a deletion.
        ("DELETE FROM audit_event WHERE seq = 3; UPDATE audit_event SET seq = seq - 1 WHERE seq > 3", 3),
        // A row inserted at the end, with an invented hash, and one in the middle.
        (
            "INSERT INTO audit_event SELECT 6, at, actor, actor_name, act, subject, release, run, intent, outcome,
                                            detail, hash, replace(hash, '0', 'f') || '', '' FROM audit_event WHERE seq = 5",
            6,
        ),
        (
            "UPDATE audit_event SET seq = -seq WHERE seq > 2; UPDATE audit_event SET seq = 1 - seq WHERE seq < 0;
             INSERT INTO audit_event SELECT 3, at, actor, actor_name, 'x', subject, release, run, intent, outcome,
                                            detail, hash, 'f' || substr(hash, 2) || '', '' FROM audit_event WHERE seq = 2",
            3,
        ),
        // Two rows that are swapped.
        (
            "UPDATE audit_event SET seq = 99 WHERE seq = 2; UPDATE audit_event SET seq = 2 WHERE seq = 3;
             UPDATE audit_event SET seq = 3 WHERE seq = 99",
            2,
        ),
    ] {
        let (_dir, store) = log_of(5).await;
        assert_eq!(broken_at(&store).await, None);
        let mut conn = intruder(&store).await;
        sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
        assert_eq!(broken_at(&store).await, Some(place), "{sql}");
    }
}

#[tokio::test]
async fn a_rewritten_chain_is_found_by_a_head_kept_elsewhere() {
    let (_dir, store) = log_of(3).await;
    let witness = Noted::from(verify(store.readers()).await.unwrap().head);
    append(&store, Event::new(Millis(9), None, AuditAction::RunEnd, "b")).await.unwrap();
    assert_eq!(verify_against(store.readers(), &witness).await.unwrap().events, 4);
    let mut conn = intruder(&store).await;
    sqlx::raw_sql("DELETE FROM audit_event; DELETE FROM sqlite_sequence WHERE name = 'audit_event'")
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(verify(store.readers()).await.unwrap().events, 0, "the chain alone does not show it");
    let cut = verify_against(store.readers(), &witness).await;
    assert!(matches!(cut, Err(VerifyError::Broken(b)) if b.seq == 1));
    for n in 1..=4 {
        append(&store, Event::new(Millis(n), None, AuditAction::RunEnd, "happened")).await.unwrap();
    }
    let rewritten = verify_against(store.readers(), &witness).await;
    assert!(matches!(rewritten, Err(VerifyError::Broken(b)) if b.seq == 3));
}

/// Rewrites the log from an event on with matching hashes, as a person with this program could do.
async fn rewrite(store: &Store, from: i64, to: i64) {
    let mut conn = intruder(store).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "DELETE FROM audit_event WHERE seq >= {from};
         UPDATE sqlite_sequence SET seq = {from} - 1 WHERE name = 'audit_event'"
    )))
    .execute(&mut conn)
    .await
    .unwrap();
    for n in from..=to {
        append(store, Event::new(Millis(n), None, AuditAction::RunEnd, "happened")).await.unwrap();
    }
}

#[tokio::test]
async fn a_noted_hash_finds_a_cut_tail_a_rewritten_suffix_and_a_forged_last_row() {
    for (from, to) in [(5, 4), (4, 6), (5, 5), (3, 9)] {
        let (_dir, store) = log_of(5).await;
        let head = verify(store.readers()).await.unwrap().head;
        rewrite(&store, from, to).await;
        assert!(verify(store.readers()).await.is_ok(), "the chain alone does not show it");
        for noted in [format!("{head}"), head.hash.clone()] {
            let noted: Noted = noted.parse().unwrap();
            assert!(verify_against(store.readers(), &noted).await.is_err(), "{from}..={to} {noted:?}");
        }
        assert!(verify_since(store.readers(), &head).await.is_err(), "{from}..={to}");
        let kept = head.clone();
        store
            .write(move |tx| Box::pin(async move { audit::set_checkpoint(tx, &kept, Millis(1)).await }))
            .await
            .unwrap();
        assert!(verify(store.readers()).await.is_err(), "the checkpoint shows it: {from}..={to}");
    }
    for wrong in ["", "x", "1:abc", ":", "a:0000000000000000000000000000000000000000000000000000000000000000"]
    {
        assert!(wrong.parse::<Noted>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn verification_continues_from_the_checkpoint() {
    let (_dir, store) = log_of(5).await;
    let head = verify(store.readers()).await.unwrap().head;
    append(&store, Event::new(Millis(9), None, AuditAction::RunEnd, "b")).await.unwrap();
    let report = verify_since(store.readers(), &head).await.unwrap();
    assert_eq!((report.events, report.head.seq), (6, 6));
    let mut conn = intruder(&store).await;
    sqlx::query("UPDATE audit_event SET subject = 'c' WHERE seq = 6").execute(&mut conn).await.unwrap();
    assert!(matches!(verify_since(store.readers(), &head).await, Err(VerifyError::Broken(b)) if b.seq == 6));
}

#[tokio::test]
async fn the_database_itself_refuses_gaps_and_forks() {
    let (_dir, store) = log_of(2).await;
    let mut conn = SqliteConnectOptions::new().filename(store.file()).connect().await.unwrap();
    for (seq, prev) in [(4, "hash"), (3, "prev_hash")] {
        let sql = format!(
            "INSERT INTO audit_event SELECT {seq}, at, actor, actor_name, act, subject, release, run, intent,
             outcome, detail, {prev}, 'f' || substr(hash, 2), '' FROM audit_event WHERE seq = 2"
        );
        let error = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap_err();
        assert!(error.to_string().contains("must follow"), "{error}");
    }
}

#[tokio::test]
async fn an_action_records_its_intent_before_and_its_outcome_after() {
    let (_dir, store) = log_of(0).await;
    let ada = Actor { id: 1, name: "Ada".into(), roles: vec![] };
    let event = Event::new(Millis(1), Some(&ada), AuditAction::DeployStart, "#3").on_release(Some(3));
    let mut act = PendingAction::begin(&store, event).await.unwrap();
    let before = audit::list(store.readers(), Filter::default(), 10).await.unwrap();
    assert_eq!((before.len(), before[0].event.outcome), (1, Outcome::Intent));
    act.in_run(8);
    store.write(move |tx| Box::pin(async move { act.done(tx, Millis(2), "healthy").await })).await.unwrap();
    let rows = audit::list(store.readers(), Filter::default(), 10).await.unwrap();
    let done = &rows[0].event;
    assert_eq!(
        (done.outcome, done.intent, done.run, done.release),
        (Outcome::Done, Some(1), Some(8), Some(3))
    );
    assert_eq!((done.actor_name.as_str(), done.at, rows.len()), ("Ada", Millis(2), 2));
    let act = PendingAction::begin(&store, Event::new(Millis(3), Some(&ada), AuditAction::StepRun, "z"))
        .await
        .unwrap();
    act.failed(Millis(4), "the stack is gone").await.unwrap();
    let rows = audit::list(store.readers(), Filter::default(), 1).await.unwrap();
    assert_eq!((rows[0].event.outcome, rows[0].event.intent), (Outcome::Failed, Some(3)));
    assert_eq!(broken_at(&store).await, None);
}

#[tokio::test]
async fn an_action_that_is_undone_or_dropped_is_recorded_as_failed() {
    let (_dir, store) = log_of(0).await;
    let act = PendingAction::begin(&store, Event::new(Millis(1), None, AuditAction::GateAccept, "c"))
        .await
        .unwrap();
    drop(act);
    let act = PendingAction::begin(&store, Event::new(Millis(1), None, AuditAction::GateAccept, "d"))
        .await
        .unwrap();
    let undone: Result<(), StoreError> = store
        .write(move |_tx| {
            Box::pin(async move {
                let _act = act;
                Err(StoreError::Busy)
            })
        })
        .await;
    assert!(undone.is_err());
    let failed = Filter { outcome: Some(Outcome::Failed), ..Filter::default() };
    let wait = async {
        while audit::list(store.readers(), failed, 10).await.unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    assert_eq!(broken_at(&store).await, None);
}

#[tokio::test]
async fn an_action_whose_transaction_is_undone_after_its_outcome_is_recorded_as_failed() {
    let (_dir, store) = log_of(0).await;
    let act = PendingAction::begin(&store, Event::new(Millis(1), None, AuditAction::GateAccept, "c"))
        .await
        .unwrap();
    let undone: Result<(), StoreError> = store
        .write(move |tx| {
            Box::pin(async move {
                act.done(tx, Millis(2), "all well").await?;
                Err(StoreError::Busy)
            })
        })
        .await;
    assert!(undone.is_err());
    let wait = async {
        while audit::list(store.readers(), Filter::default(), 10).await.unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    let rows = audit::list(store.readers(), Filter::default(), 10).await.unwrap();
    assert_eq!((rows.len(), rows[0].event.outcome, rows[0].event.intent), (2, Outcome::Failed, Some(1)));
}

#[tokio::test]
async fn intents_of_a_stopped_server_get_an_outcome_at_the_next_start() {
    let (dir, store) = log_of(0).await;
    // An intent of another version.
    let event = Event::new(Millis(1), None, AuditAction::DeployStart, "C:\\x\n");
    append(&store, Event { act: "stack\\start".into(), ..event }).await.unwrap();
    let act = PendingAction::begin(&store, Event::new(Millis(2), None, AuditAction::GateAccept, "c"))
        .await
        .unwrap();
    store.write(move |tx| Box::pin(async move { act.done(tx, Millis(3), "").await })).await.unwrap();
    store.close().await;
    let store = Store::open(dir.path()).await.unwrap();
    let settle = async || store.write(|tx| Box::pin(audit::settle_orphans(tx, Millis(9)))).await.unwrap();
    assert_eq!(settle().await, 1);
    let rows = audit::list(store.readers(), Filter::default(), 10).await.unwrap();
    assert_eq!((rows[0].event.intent, rows[0].event.outcome), (Some(1), Outcome::Failed));
    // Newest first; since it was opened again, the log has an event that records that there are no links.
    let first = rows.last().unwrap();
    assert_eq!((first.seq, &rows[0].event.subject), (1, &first.event.subject));
    assert_eq!((rows[0].event.act.as_str(), first.event.act.as_str()), ("stack\\\\start", "stack\\\\start"));
    assert_eq!(settle().await, 0);
    assert_eq!(broken_at(&store).await, None);
}

#[tokio::test]
async fn an_action_does_not_begin_when_the_log_cannot_be_written() {
    let (_dir, store) = log_of(0).await;
    store.close().await;
    let act = PendingAction::begin(&store, Event::new(Millis(1), None, AuditAction::GateAccept, "c")).await;
    assert!(matches!(act, Err(StoreError::Closed)));
}

#[tokio::test]
async fn an_intent_has_one_outcome() {
    let (_dir, store) = log_of(1).await;
    let outcome =
        |o| Event { intent: Some(1), ..Event::new(Millis(2), None, AuditAction::RunEnd, "b").outcome(o) };
    append(&store, outcome(Outcome::Failed)).await.unwrap();
    assert!(matches!(append(&store, outcome(Outcome::Done)).await, Err(StoreError::Refused(_))));
}

#[tokio::test]
async fn pages_follow_one_another_and_filters_select() {
    let (_dir, store) = log_of(0).await;
    let ada = Actor { id: 1, name: "Ada\r\nroot".into(), roles: vec![] };
    for (act, actor) in
        [("deploy.start", Some(&ada)), ("deploy_x", None), ("sign.in", Some(&ada)), ("deploy.end", None)]
    {
        let event = Event::new(Millis(1), actor, AuditAction::RunEnd, "s").outcome(Outcome::Done);
        append(&store, Event { act: act.into(), ..event }).await.unwrap();
    }
    let seqs = async |filter, limit| {
        let rows = audit::list(store.readers(), filter, limit).await.unwrap();
        rows.into_iter().map(|r| r.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(Filter::default(), 3).await, [4, 3, 2]);
    assert_eq!(seqs(Filter { before: Some(2), ..Filter::default() }, 3).await, [1]);
    assert_eq!(seqs(Filter { actor: Some(1), ..Filter::default() }, 9).await, [3, 1]);
    assert_eq!(seqs(Filter { act: Some("deploy."), ..Filter::default() }, 9).await, [4, 1]);
    assert_eq!(seqs(Filter { act: Some("sign.in"), ..Filter::default() }, 9).await, [3]);
    assert!(seqs(Filter { outcome: Some(Outcome::Refused), ..Filter::default() }, 9).await.is_empty());
    let rows = audit::list(store.readers(), Filter::default(), 9).await.unwrap();
    assert_eq!(rows[2].event.act, "deploy_x", "a name that is not in AuditAction is read as text");
    assert_eq!(rows[3].event.actor_name, "Ada\\r\\nroot", "a name cannot forge a line");
}
