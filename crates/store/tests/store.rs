//! The store, on real SQLite files in temporary directories.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use auth::tokens::Token;
use domain::evidence::{Evidence, Finding, Outcome};
use domain::facts::{Acceptance, Attestation, Choice, Decision, ShownRow, SignOff, Waiver};
use domain::release::{ReleaseComponent, ReleaseComponents, ReleaseState};
use domain::role::Role;
use domain::time::Millis;
use secrets::Key;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};
use store::idempotency::{self, Claim, NewClaim};
use store::links::{self, Link, LinkError, LinkKind};
use store::people::{self, PersonError};
use store::releases::{self, NewRelease, ReleaseEvent, What};
use store::runs::{self, Ending, Filter, NewRun, RunKind, RunOutcome, RunState};
use store::sessions::{self, PERSON_KEY, Sessions};
use store::{
    Store, StoreError, acceptances, attestations, decisions, evidence, ownership, sign_offs, waivers,
};
use tempfile::TempDir;
use tower_sessions::SessionStore as _;
use tower_sessions::session::{Id, Record};

/// Runs a job with `Store::write` and unwraps the result; `$tx` is the connection.
macro_rules! write {
    ($store:expr, |$tx:ident| $job:expr) => {
        $store.write(move |$tx| Box::pin(async move { $job })).await
    };
}

#[path = "store_parts/invitations.rs"]
mod of_invitations;
#[path = "store_parts/judging.rs"]
mod of_judging;
#[path = "store_parts/paging.rs"]
mod of_paging;
#[path = "store_parts/people.rs"]
mod of_people;
#[path = "store_parts/releases.rs"]
mod of_releases;
#[path = "store_parts/runs.rs"]
mod of_runs;
#[path = "store_parts/words.rs"]
mod of_words;

async fn fresh() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("data")).await.unwrap();
    (dir, store)
}

async fn raw(store: &Store) -> SqliteConnection {
    SqliteConnectOptions::new().filename(store.file()).connect().await.unwrap()
}

async fn ada(store: &Store) -> i64 {
    write!(store, |tx| people::create(tx, "Ada", "Ada@Example.org ", &[Role::Qa, Role::DevOps], Millis(1))
        .await)
    .unwrap()
}

fn parts(commit: &str) -> ReleaseComponents {
    ReleaseComponents {
        values: [(ReleaseComponent::Commit, commit.to_owned())].into(),
        images: BTreeMap::new(),
    }
}

fn images(id: &str) -> BTreeMap<String, String> {
    [("web".to_owned(), format!("sha256:{id}"))].into()
}

async fn release(store: &Store, by: i64, commit: &'static str) -> i64 {
    write!(store, |tx| {
        let parts = parts(commit);
        let new = NewRelease { parts: &parts, subject: "s", by, by_name: "Ada", at: Millis(5) };
        releases::open(tx, &new).await
    })
    .unwrap()
}

async fn happened(store: &Store, release: i64, what: What, at: i64) -> Result<i64, StoreError> {
    let event = ReleaseEvent {
        id: 0,
        release,
        what,
        by: 1,
        by_name: "Ada".into(),
        at: Millis(at),
        run: None,
        note: String::new(),
    };
    write!(store, |tx| releases::record(tx, &event).await)
}

async fn run(store: &Store, subject: &'static str, at: i64) -> i64 {
    write!(store, |tx| {
        let new = NewRun {
            kind: RunKind::Check,
            subject,
            gate: Some("A"),
            title: "t",
            release: None,
            by: 1,
            by_name: "Ada",
            at: Millis(at),
            key: None,
        };
        runs::start(tx, &new).await
    })
    .unwrap()
}

#[tokio::test]
async fn the_data_directory_is_private_and_the_pragmas_hold() {
    let (dir, store) = fresh().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("data")), 0o700);
    assert_eq!(mode(store.file()), 0o600);
    let pragmas = write!(store, |tx| {
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *tx).await?;
        let sync: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *tx).await?;
        let keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *tx).await?;
        Ok::<_, StoreError>((mode, sync, keys))
    });
    assert_eq!(pragmas.unwrap(), ("wal".to_owned(), 2, 1));
    let refused = sqlx::query("DELETE FROM session").execute(store.readers()).await;
    assert!(refused.is_err(), "readers must not write");
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(store.readers()).await.unwrap();
    assert_eq!(version, "3.51.3");
}

#[tokio::test]
async fn data_of_a_newer_version_is_rejected_and_not_changed() {
    let (dir, store) = fresh().await;
    let file = store.file().to_owned();
    store.close().await;
    let mut conn = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (20991231000000, 'later', 0, 1, x'00', 0)")
        .execute(&mut conn)
        .await
        .unwrap();
    let error = Store::open(&dir.path().join("data")).await.unwrap_err();
    let newest = store::MIGRATOR.iter().map(|m| m.version).max().unwrap();
    assert!(
        matches!(error, StoreError::NewerData { found: 20_991_231_000_000, known } if known == newest),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_data_directory_that_is_a_file_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::write(&path, "x").unwrap();
    assert!(matches!(Store::open(&path).await, Err(StoreError::Directory { .. })));
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_an_error_without_panic() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("stagegate.db"), "not a database, not at all".repeat(100)).unwrap();
    assert!(matches!(Store::open(dir.path()).await, Err(StoreError::Io(_))));
}

#[tokio::test]
async fn sixty_four_writers_at_once_are_all_there_after_reopening() {
    let (dir, store) = fresh().await;
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..64_i64 {
        let store = store.clone();
        writers.spawn(async move {
            let result = store
                .write(move |tx| {
                    Box::pin(async move {
                        let id = people::create(tx, "P", &format!("p{n}"), &[Role::Qa], Millis(n)).await?;
                        // Every eighth fails after it wrote: only its own row may be removed.
                        if n % 8 == 0 { Err(PersonError::Unknown) } else { Ok(id) }
                    })
                })
                .await;
            (n, result)
        });
    }
    while let Some(done) = writers.join_next().await {
        let (n, result) = done.unwrap();
        assert_eq!(result.is_err(), n % 8 == 0);
        if let Ok(id) = result {
            assert_eq!(people::by_id(store.readers(), id).await.unwrap().unwrap().login, format!("p{n}"));
        }
    }
    store.close().await;
    let again = Store::open(&dir.path().join("data")).await.unwrap();
    let logins: Vec<String> =
        people::list(again.readers()).await.unwrap().into_iter().map(|p| p.login).collect();
    assert_eq!(logins.len(), 56);
    assert!(!logins.contains(&"p8".to_owned()) && logins.contains(&"p9".to_owned()));
}

#[tokio::test]
async fn a_panicking_job_is_answered_and_does_not_affect_others() {
    let (_dir, store) = fresh().await;
    let broken = store.write(|tx| {
        Box::pin(async move {
            people::create(tx, "X", "x", &[], Millis(1)).await?;
            assert!(tx.is_in_transaction_for_test(), "broken on purpose");
            Ok::<(), PersonError>(())
        })
    });
    let fine = ada(&store);
    let (broken, fine) = tokio::join!(broken, fine);
    assert!(matches!(broken, Err(PersonError::Store(StoreError::BrokenOff))), "{broken:?}");
    assert_eq!(people::list(store.readers()).await.unwrap().iter().map(|p| p.id).collect::<Vec<_>>(), [fine]);
}

trait Never {
    fn is_in_transaction_for_test(&self) -> bool;
}

impl Never for SqliteConnection {
    fn is_in_transaction_for_test(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_full_disk_is_reported_saves_nothing_and_the_store_recovers() {
    let (_dir, store) = fresh().await;
    // SQLite's own limit on the file's size gives the same error as a full disk.
    write!(store, |tx| {
        sqlx::query("PRAGMA max_page_count = 1").execute(&mut *tx).await?;
        Ok::<_, StoreError>(())
    })
    .unwrap();
    let by = ada(&store).await;
    let text = "x".repeat(200_000);
    let full = write!(store, |tx| {
        ownership::add(
            tx,
            &ownership::Entry {
                id: 0,
                field: "f".into(),
                value: text,
                by,
                by_name: "Ada".into(),
                at: Millis(1),
            },
        )
        .await
    });
    assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
    assert!(ownership::latest(store.readers()).await.unwrap().is_empty());
    write!(store, |tx| {
        sqlx::query("PRAGMA max_page_count = 1073741823").execute(&mut *tx).await?;
        Ok::<_, StoreError>(())
    })
    .unwrap();
    release(&store, by, "abc").await;
}

#[tokio::test]
async fn a_transaction_that_sqlite_rolls_back_is_never_confirmed() {
    let (_dir, store) = fresh().await;
    let id = ada(&store).await;
    let add = |login: &'static str| {
        let store = store.clone();
        async move { write!(store, |tx| people::create(tx, "P", login, &[], Millis(1)).await) }
    };
    // On conflict this rolls back everything, as SQLite does when the disk fails.
    let give_up = store.write(move |tx| {
        Box::pin(async move {
            sqlx::query(
                "INSERT OR ROLLBACK INTO person (id, name, login, created_at) VALUES (?, 'x', 'x', 1)",
            )
            .bind(id)
            .execute(tx)
            .await?;
            Ok::<(), StoreError>(())
        })
    });
    // All three are queued before the writer's task runs, so they share a transaction.
    let (before, given_up, after) = tokio::join!(add("before"), give_up, add("after"));
    assert!(before.is_err() && given_up.is_err() && after.is_err(), "{before:?} {given_up:?} {after:?}");
    assert_eq!(people::list(store.readers()).await.unwrap().len(), 1);
    add("later").await.unwrap();
    assert_eq!(people::list(store.readers()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_its_job() {
    let (_dir, store) = fresh().await;
    let add = store.write(|tx| {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            people::create(tx, "P", "p", &[], Millis(1)).await
        })
    });
    assert!(tokio::time::timeout(Duration::from_millis(20), add).await.is_err());
    ada(&store).await;
    assert_eq!(people::list(store.readers()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_closed_store_returns_an_error() {
    let (_dir, store) = fresh().await;
    store.close().await;
    store.close().await;
    let refused = write!(store, |tx| people::create(tx, "A", "a", &[], Millis(1)).await);
    assert!(matches!(refused, Err(PersonError::Store(StoreError::Closed))));
    assert!(matches!(people::list(store.readers()).await, Err(StoreError::Closed)));
}
