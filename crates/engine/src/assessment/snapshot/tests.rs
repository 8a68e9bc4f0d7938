//! After a write, only the parts that it changed are read again.

use domain::evidence::{Finding, Outcome};
use domain::release::ReleaseComponents;
use domain::time::Millis;
use sqlx::ConnectOptions as _;
use tempfile::TempDir;

use super::*;
use store::audit::{AuditAction, Event};
use store::releases::{NewRelease, ReleaseEvent, What};
use store::runs::NewRun;

/// Writes and waits until it is stored; `$tx` is the connection.
macro_rules! write {
    ($store:expr, |$tx:ident| $job:expr) => {
        $store.write(move |$tx| Box::pin(async move { $job })).await.unwrap()
    };
}

/// A store with a person, a release that is deployed, and a run.
async fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    write!(store, |tx| store::people::create(tx, "Ada", "ada", &[Role::Qa], Millis(1)).await);
    write!(store, |tx| {
        let parts = ReleaseComponents::default();
        let new = NewRelease { parts: &parts, subject: "s", by: 1, by_name: "Ada", at: Millis(1) };
        store::releases::open(tx, &new).await
    });
    write!(store, |tx| start(tx, "first").await);
    (dir, store)
}

async fn start(tx: &mut Connection, subject: &str) -> Result<i64, StoreError> {
    let new = NewRun {
        kind: RunKind::Check,
        subject,
        gate: None,
        title: "t",
        release: Some(1),
        by: 1,
        by_name: "Ada",
        at: Millis(2),
        key: None,
    };
    store::runs::start(tx, &new).await
}

async fn found(tx: &mut Connection) -> Result<i64, StoreError> {
    let finding = Finding {
        outcome: Outcome::Fail,
        value: None,
        saw: String::new(),
        wanted: String::new(),
        next: String::new(),
    };
    let evidence = Evidence {
        id: 0,
        check: "unit".into(),
        finding,
        threshold_digest: "d".into(),
        parts: ReleaseComponents::default(),
        release: 1,
        run: 1,
        by: 1,
        at: Millis(3),
    };
    store::evidence::add(tx, &evidence).await
}

async fn waived(tx: &mut Connection) -> Result<i64, StoreError> {
    let waiver = Waiver {
        id: 0,
        item: "A.1".into(),
        text_digest: "d".into(),
        by: 1,
        by_name: "Ada".into(),
        reason: "r".into(),
        at: Millis(3),
        until: Millis(9),
        holds: true,
    };
    store::waivers::add(tx, &waiver).await
}

async fn deployed(tx: &mut Connection) -> Result<i64, StoreError> {
    let event = ReleaseEvent {
        id: 0,
        release: 1,
        what: What::RollbackPoint,
        by: 1,
        by_name: "Ada".into(),
        at: Millis(3),
        run: None,
        note: String::new(),
    };
    store::releases::record(tx, &event).await
}

async fn happened(tx: &mut Connection) -> Result<i64, StoreError> {
    let incident = Incident {
        id: 0,
        run: 1,
        from: None,
        to: 1,
        by: 1,
        by_name: "Ada".into(),
        at: Millis(3),
        report: Default::default(),
    };
    store::incidents::add(tx, &incident).await
}

/// The parts that were read again: those that `now` does not share with `before`.
fn read_again(before: &StoreSnapshot, now: &StoreSnapshot) -> Vec<&'static str> {
    let parts = [
        ("people", Arc::ptr_eq(&before.people, &now.people)),
        ("releases", Arc::ptr_eq(&before.releases, &now.releases)),
        ("evidence", Arc::ptr_eq(&before.evidence, &now.evidence)),
        ("failures", Arc::ptr_eq(&before.failures, &now.failures)),
        ("check runners", Arc::ptr_eq(&before.check_runners, &now.check_runners)),
        ("measured", Arc::ptr_eq(&before.measured, &now.measured)),
        ("words", Arc::ptr_eq(&before.words, &now.words)),
        ("changes", Arc::ptr_eq(&before.changes, &now.changes)),
        ("runs", Arc::ptr_eq(&before.runs, &now.runs)),
        ("incident", Arc::ptr_eq(&before.incident, &now.incident)),
    ];
    parts.into_iter().filter(|(_, same)| !same).map(|(part, _)| part).collect()
}

#[tokio::test]
async fn only_changed_parts_are_read_again() {
    let (_dir, store) = store().await;
    let mut before = StoreSnapshot::load(&store, 3, &StoreSnapshot::default()).await.unwrap();
    let mut touched = async || {
        let now = StoreSnapshot::load(&store, 3, &before).await.unwrap();
        let again = read_again(&before, &now);
        before = now;
        again
    };
    assert_eq!(touched().await, <[&str; 0]>::default(), "nothing was written");

    write!(store, |tx| store::people::create(tx, "Eve", "eve", &[], Millis(1)).await);
    assert_eq!(touched().await, ["people"]);
    write!(store, |tx| start(tx, "second").await);
    assert_eq!(touched().await, ["runs"]);
    write!(store, |tx| found(tx).await);
    assert_eq!(touched().await, ["evidence", "failures", "check runners", "measured"]);
    write!(store, |tx| waived(tx).await);
    assert_eq!(touched().await, ["words"]);
    write!(store, |tx| deployed(tx).await);
    assert_eq!(touched().await, ["releases", "failures"]);
    write!(store, |tx| happened(tx).await);
    assert_eq!(touched().await, ["incident"]);
    write!(store, |tx| {
        let change = Change { key: "commit".into(), was: None, now: "abc".into(), at: Millis(3) };
        store::changes::add(tx, &change).await
    });
    assert_eq!(touched().await, ["changes"]);
    // Rows that decisions do not need.
    write!(store, |tx| store::audit::append(tx, &Event::new(Millis(4), None, AuditAction::RunEnd, "y"))
        .await);
    assert_eq!(touched().await, <[&str; 0]>::default());
    write!(store, |tx| store::links::withdraw_setup(tx).await);
    assert_eq!(touched().await, <[&str; 0]>::default());
    // Several parts at once, and a transaction that was rolled back.
    write!(store, |tx| {
        waived(&mut *tx).await?;
        start(tx, "third").await
    });
    assert_eq!(touched().await, ["words", "runs"]);
    let undone = store.write(|tx| {
        Box::pin(async move {
            waived(tx).await?;
            Err::<(), _>(StoreError::Busy)
        })
    });
    undone.await.unwrap_err();
    assert_eq!(touched().await, <[&str; 0]>::default());
}

#[tokio::test]
async fn writes_of_another_process_are_read_too() {
    let (_dir, store) = store().await;
    let before = StoreSnapshot::load(&store, 3, &StoreSnapshot::default()).await.unwrap();
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(store.file()).connect().await.unwrap();
    waived(&mut other).await.unwrap();
    let now = StoreSnapshot::load(&store, 3, &before).await.unwrap();
    assert_eq!(read_again(&before, &now), ["words"]);
    assert_eq!(now.words.waivers.len(), 1);
}

#[tokio::test]
async fn a_new_current_release_reads_its_parts_again() {
    let (_dir, store) = store().await;
    let before = StoreSnapshot::load(&store, 3, &StoreSnapshot::default()).await.unwrap();
    write!(store, |tx| {
        let parts = ReleaseComponents::default();
        let new = NewRelease { parts: &parts, subject: "s", by: 1, by_name: "Ada", at: Millis(5) };
        store::releases::open(tx, &new).await
    });
    let now = StoreSnapshot::load(&store, 3, &before).await.unwrap();
    assert_eq!(now.current, Some(2));
    let about = ["releases", "evidence", "failures", "check runners", "measured", "words"];
    assert_eq!(read_again(&before, &now), about);
}
