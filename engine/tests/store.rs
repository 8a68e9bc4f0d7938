//! The store, on real SQLite files in temporary directories.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use domain::evidence::{Evidence, Finding, Outcome};
use domain::facts::{Acceptance, Attestation, Choice, Decision, ShownRow, SignOff, Waiver};
use domain::release::{Part, Parts, ReleaseState};
use domain::role::Role;
use domain::time::Millis;
use engine::auth::tokens::Token;
use engine::store::idempotency::{self, Claim};
use engine::store::links::{self, Link, LinkError, LinkKind};
use engine::store::people::{self, PersonError};
use engine::store::releases::{self, NewRelease, ReleaseEvent, What};
use engine::store::runs::{self, Ending, Filter, NewRun, RunKind, RunOutcome, RunState};
use engine::store::sessions::{self, PERSON_KEY, Sessions};
use engine::store::{
    Store, StoreError, acceptances, attestations, decisions, evidence, ownership, sign_offs, waivers,
};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;
use tower_sessions::SessionStore as _;
use tower_sessions::session::{Id, Record};

/// Runs `job` in a write and unwraps; `$tx` is the connection.
macro_rules! write {
    ($store:expr, |$tx:ident| $job:expr) => {
        $store.write(move |$tx| Box::pin(async move { $job })).await
    };
}

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

fn parts(commit: &str) -> Parts {
    Parts { values: [(Part::Commit, commit.to_owned())].into(), images: BTreeMap::new() }
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
async fn data_of_a_newer_version_is_refused_and_left_alone() {
    let (dir, store) = fresh().await;
    let file = store.file().to_owned();
    store.close().await;
    let mut conn = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (20991231000000, 'later', 0, 1, x'00', 0)")
        .execute(&mut conn)
        .await
        .unwrap();
    let error = Store::open(&dir.path().join("data")).await.unwrap_err();
    let newest = engine::store::MIGRATOR.iter().map(|m| m.version).max().unwrap();
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
async fn a_file_that_is_no_database_is_an_error_and_no_panic() {
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
                        // Every eighth fails after it wrote: only its own row may go.
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
async fn a_panicking_job_is_answered_and_hurts_nobody() {
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
async fn a_full_disk_is_told_keeps_nothing_and_the_store_recovers() {
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
async fn a_transaction_that_sqlite_gives_up_is_never_acknowledged() {
    let (_dir, store) = fresh().await;
    let id = ada(&store).await;
    let add = |login: &'static str| {
        let store = store.clone();
        async move { write!(store, |tx| people::create(tx, "P", login, &[], Millis(1)).await) }
    };
    // On conflict this rolls back everything, as SQLite does by itself when the disk fails.
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
    // All three queue up before the writer's task has its turn, so they share a transaction.
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
async fn a_closed_store_says_so() {
    let (_dir, store) = fresh().await;
    store.close().await;
    store.close().await;
    let refused = write!(store, |tx| people::create(tx, "A", "a", &[], Millis(1)).await);
    assert!(matches!(refused, Err(PersonError::Store(StoreError::Closed))));
    assert!(matches!(people::list(store.readers()).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn append_only_tables_refuse_update_delete_and_replace() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let release = release(&store, by, "abc").await;
    let run = run(&store, "c", 1).await;
    let said = words(&store, by, release, run).await;
    assert_eq!(said, 7);
    write!(store, |tx| {
        let change =
            domain::changes::Change { key: "commit".into(), was: None, now: "a".into(), at: Millis(1) };
        engine::store::changes::add(&mut *tx, &change).await?;
        engine::store::migration_lists::add(tx, release, run, &["m1".to_owned()], Millis(1)).await
    })
    .unwrap();
    write!(store, |tx| engine::audit::append(tx, &engine::audit::Event::new(Millis(1), None, "a", "b"))
        .await)
    .unwrap();
    for table in [
        "release",
        "release_event",
        "evidence",
        "attestation",
        "waiver",
        "acceptance",
        "sign_off",
        "decision",
        "ownership_entry",
        "change",
        "migration_list",
        "audit_event",
    ] {
        let key = if table == "audit_event" { "seq" } else { "id" };
        for sql in [
            format!("UPDATE {table} SET {key} = {key}"),
            format!("DELETE FROM {table}"),
            format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table}"),
        ] {
            let shown = sql.clone();
            let refused = write!(store, |tx| {
                sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await?;
                Ok::<_, StoreError>(())
            });
            assert!(
                matches!(&refused, Err(StoreError::Refused(why)) if why.contains("append-only")),
                "{shown}: {refused:?}"
            );
        }
    }
    // The triggers are the database's, so any other program meets them too.
    let mut other = raw(&store).await;
    assert!(sqlx::query("DELETE FROM sign_off").execute(&mut other).await.is_err());
    assert!(sqlx::query("DELETE FROM person").execute(&mut other).await.is_err());
}

/// Adds one of each word and evidence; returns how many tables were written and read back the same.
async fn words(store: &Store, by: i64, release: i64, run: i64) -> usize {
    let by_name = "Ada".to_owned();
    let found = Evidence {
        id: 1,
        check: "c".into(),
        finding: Finding {
            outcome: Outcome::Fail,
            value: Some(61.5),
            saw: "61.5 %".into(),
            wanted: "≥ 65 %".into(),
            next: "add tests".into(),
        },
        threshold_digest: "d".into(),
        parts: parts("abc"),
        release,
        run,
        by,
        at: Millis(9),
    };
    let attestation = Attestation {
        id: 1,
        item: "B.1".into(),
        text_digest: "d".into(),
        release,
        by,
        by_name: by_name.clone(),
        note: "seen".into(),
        link: "".into(),
        at: Millis(9),
        holds: true,
    };
    let waiver = Waiver {
        id: 1,
        item: "A.3".into(),
        text_digest: "d".into(),
        by,
        by_name: by_name.clone(),
        reason: "r".into(),
        at: Millis(9),
        until: Millis(10),
        holds: true,
    };
    let acceptance = Acceptance {
        id: 1,
        gate: "A".into(),
        release,
        digest: "d".into(),
        by,
        by_name: by_name.clone(),
        note: "n".into(),
        at: Millis(9),
    };
    let shown = ShownRow {
        item: "A.1".into(),
        text_digest: "d".into(),
        state: "passed".into(),
        failures: 2,
        title: "t".into(),
        values: vec![],
        saw: vec!["s".into()],
    };
    let sign_off = SignOff {
        id: 1,
        release,
        role: Role::Qa,
        by,
        by_name: by_name.clone(),
        choice: Choice::NoGo,
        comment: "c".into(),
        would_change: "w".into(),
        digest: "d".into(),
        shown: vec![shown.clone()],
        parts: Some(Parts::default()),
        at: Millis(9),
    };
    let decision = Decision {
        id: 1,
        release,
        choice: Choice::Go,
        note: "n".into(),
        digest: "d".into(),
        verdict: "v".into(),
        shown: vec![shown],
        by,
        by_name: by_name.clone(),
        at: Millis(9),
    };
    let entry =
        ownership::Entry { id: 1, field: "O.1".into(), value: "Ada".into(), by, by_name, at: Millis(9) };
    let all = (found, attestation, waiver, acceptance, sign_off, decision, entry);
    let (f, a, w, c, s, d, o) = all.clone();
    write!(store, |tx| {
        evidence::add(tx, &f).await?;
        attestations::add(tx, &a).await?;
        waivers::add(tx, &w).await?;
        acceptances::add(tx, &c).await?;
        sign_offs::add(tx, &s).await?;
        decisions::add(tx, &d).await?;
        ownership::add(tx, &o).await
    })
    .unwrap();
    let db = store.readers();
    [
        evidence::for_judging(db, Some(release), 1).await.unwrap() == [all.0],
        attestations::list(db).await.unwrap() == [all.1],
        waivers::list(db).await.unwrap() == [all.2],
        acceptances::list(db).await.unwrap() == [all.3],
        sign_offs::list(db, Some(release)).await.unwrap() == [all.4],
        decisions::list(db, None).await.unwrap() == [all.5],
        ownership::latest(db).await.unwrap() == [all.6],
    ]
    .into_iter()
    .filter(|same| *same)
    .count()
}

#[tokio::test]
async fn people_are_found_however_their_login_is_typed() {
    let (_dir, store) = fresh().await;
    let id = ada(&store).await;
    let person = people::by_login(store.readers(), " ADA@example.ORG").await.unwrap().unwrap();
    assert_eq!(
        (person.id, person.roles.as_slice(), person.ready),
        (id, &[Role::DevOps, Role::Qa][..], false)
    );
    let taken = write!(store, |tx| people::create(tx, "B", "ada@EXAMPLE.org", &[], Millis(1)).await);
    assert!(matches!(taken, Err(PersonError::LoginTaken(_))), "{taken:?}");
    for (name, login) in [("", "x"), ("X", " "), ("X", &"x".repeat(201))] {
        let (name, login) = (name.to_owned(), login.to_owned());
        let bad = write!(store, |tx| people::create(tx, &name, &login, &[], Millis(1)).await);
        assert!(matches!(bad, Err(PersonError::BadName)));
    }
    write!(store, |tx| {
        people::set_password(tx, id, "$argon2id$v=19$x").await?;
        people::set_roles(tx, id, &[Role::Admin]).await
    })
    .unwrap();
    assert_eq!(people::active_admins(store.readers()).await.unwrap(), 1);
    let hash = |c: Option<people::Credentials>| c.unwrap().password_hash;
    assert!(hash(people::credentials(store.readers(), "ADA@example.org").await.unwrap()).is_some());
    write!(store, |tx| people::set_disabled(tx, id, true).await).unwrap();
    assert!(hash(people::credentials(store.readers(), "ada@example.org").await.unwrap()).is_none());
    assert_eq!(people::active_admins(store.readers()).await.unwrap(), 0);
    let unknown = write!(store, |tx| people::set_roles(tx, 99, &[]).await);
    assert!(matches!(unknown, Err(PersonError::Unknown)));
}

fn invitation(expires_at: i64) -> Link {
    Link {
        kind: LinkKind::Invite,
        person: None,
        name: "Bob".into(),
        login: "bob".into(),
        roles: vec![Role::Qa],
        made_by: None,
        expires_at: Millis(expires_at),
    }
}

#[tokio::test]
async fn a_link_opens_once_even_for_many_at_the_same_time() {
    let (_dir, store) = fresh().await;
    let token = Token::generate().unwrap();
    let hash = token.hash();
    write!(store, |tx| links::create(tx, &hash, &invitation(100), Millis(1)).await).unwrap();
    assert_eq!(links::look(store.readers(), &token.hash(), Millis(2)).await.unwrap(), invitation(100));
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (store, hash) = (store.clone(), token.hash());
        users.spawn(async move { write!(store, |tx| links::consume(tx, &hash, Millis(50)).await) });
    }
    let results = users.join_all().await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|r| matches!(r, Err(LinkError::Used))).count(), 19);
}

#[tokio::test]
async fn links_expire_are_withdrawn_and_survive_a_failed_use() {
    let (_dir, store) = fresh().await;
    let person = ada(&store).await;
    let token = Token::generate().unwrap();
    let link = Link { kind: LinkKind::Reset, person: Some(person), roles: vec![], ..invitation(100) };
    let hash = token.hash();
    write!(store, |tx| links::create(tx, &hash, &link, Millis(1)).await).unwrap();
    let seen = links::look(store.readers(), &token.hash(), Millis(2)).await.unwrap();
    assert_eq!((seen.name.as_str(), seen.login.as_str()), ("Ada", "ada@example.org"));
    let late = links::look(store.readers(), &token.hash(), Millis(100)).await;
    assert!(matches!(late, Err(LinkError::Expired)));
    let hash = token.hash();
    let undone = write!(store, |tx| {
        links::consume(tx, &hash, Millis(2)).await?;
        Err::<(), _>(LinkError::Unknown)
    });
    assert!(undone.is_err());
    assert!(links::look(store.readers(), &token.hash(), Millis(2)).await.is_ok());
    write!(store, |tx| people::set_disabled(tx, person, true).await).unwrap();
    let disabled = links::look(store.readers(), &token.hash(), Millis(2)).await;
    assert!(matches!(disabled, Err(LinkError::Unknown)));
    assert_eq!(write!(store, |tx| links::withdraw_of(tx, person).await).unwrap(), 1);
    let unknown = links::look(store.readers(), "no such hash", Millis(2)).await;
    assert!(matches!(unknown, Err(LinkError::Unknown)));
}

fn record(person: i64, seconds: i64) -> Record {
    Record {
        id: Id::default(),
        data: [(PERSON_KEY.to_owned(), json!(person))].into(),
        expiry_date: time::OffsetDateTime::now_utc() + Duration::from_secs(seconds.unsigned_abs()),
    }
}

#[tokio::test]
async fn a_stolen_database_holds_no_usable_session_id() {
    let (_dir, store) = fresh().await;
    let person = ada(&store).await;
    let sessions = Sessions::new(store.clone());
    let mut session = record(person, 60);
    sessions.create(&mut session).await.unwrap();
    let loaded = sessions.load(&session.id).await.unwrap().unwrap();
    assert_eq!((loaded.id, &loaded.data), (session.id, &session.data));
    let id = session.id.to_string();
    store.close().await;
    let dir = store.file().parent().unwrap();
    for file in std::fs::read_dir(dir).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(id.len()).any(|w| w == id.as_bytes()));
        assert!(
            !bytes.windows(16).any(|w| w == session.id.0.to_le_bytes() || w == session.id.0.to_be_bytes())
        );
    }
}

#[tokio::test]
async fn sessions_end_by_time_by_sign_out_and_by_person() {
    let (_dir, store) = fresh().await;
    let person = ada(&store).await;
    let sessions = Sessions::new(store.clone());
    let mut expired = record(person, 0);
    sessions.create(&mut expired).await.unwrap();
    assert!(sessions.load(&expired.id).await.unwrap().is_none());
    let mut kept = record(person, 60);
    let mut gone = record(person, 60);
    let mut out = record(person, 60);
    for session in [&mut kept, &mut gone, &mut out] {
        sessions.create(session).await.unwrap();
    }
    sessions.delete(&out.id).await.unwrap();
    // A request that was under way when its session ended must not bring it back.
    sessions.save(&out).await.unwrap();
    assert!(sessions.load(&out.id).await.unwrap().is_none());
    let but = sessions::id_hash(&kept.id);
    let ended = write!(store, |tx| sessions::end_all(tx, person, Some(&but)).await);
    assert_eq!(ended.unwrap(), 2, "the expired one and the other one");
    assert!(sessions.load(&gone.id).await.unwrap().is_none());
    assert!(sessions.load(&kept.id).await.unwrap().is_some());
    write!(store, |tx| people::set_disabled(tx, person, true).await).unwrap();
    assert!(sessions.load(&kept.id).await.unwrap().is_none(), "a disabled person has no session");
}

#[tokio::test]
async fn no_session_outlives_its_longest_time_however_busy() {
    let (_dir, store) = fresh().await;
    let person = ada(&store).await;
    let sessions = Sessions::new(store.clone());
    let mut session = record(person, 60);
    sessions.create(&mut session).await.unwrap();
    session.expiry_date += Duration::from_secs(90 * 24 * 3600);
    sessions.save(&session).await.unwrap();
    let loaded = sessions.load(&session.id).await.unwrap().unwrap();
    let left = loaded.expiry_date - time::OffsetDateTime::now_utc();
    assert!(left <= Duration::from_millis(sessions::LONGEST_MS), "{left}");
    assert!(left > Duration::from_millis(sessions::LONGEST_MS - 60_000), "{left}");
    let far = loaded.expiry_date.unix_timestamp() * 1000 + 1000;
    assert_eq!(write!(store, |tx| sessions::prune(tx, Millis(far)).await).unwrap(), 1);
}

#[tokio::test]
async fn the_current_release_follows_deploys_and_rollbacks() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let current = async || releases::current(store.readers()).await.unwrap();
    assert_eq!(current().await, None);
    let one = release(&store, by, "aaa").await;
    assert_eq!(current().await.unwrap().state, ReleaseState::Opened);
    let deployed = What::Deployed { images: images("1"), migrations: Some(vec!["m1".into()]) };
    happened(&store, one, deployed, 10).await.unwrap();
    happened(&store, one, What::RollbackPoint, 11).await.unwrap();
    let two = release(&store, by, "bbb").await;
    happened(&store, two, What::Failed, 20).await.unwrap();
    let now = current().await.unwrap();
    assert_eq!((now.id, now.state, now.deployed_at), (two, ReleaseState::Failed, None));
    happened(&store, two, What::RolledBackFrom, 30).await.unwrap();
    happened(&store, one, What::RolledBackTo { migrations: None }, 30).await.unwrap();
    let now = current().await.unwrap();
    assert_eq!((now.id, now.state, now.deployed_by), (one, ReleaseState::Deployed, Some(by)));
    assert_eq!((now.deployed_at, now.rollback_point_at), (Some(Millis(10)), Some(Millis(11))));
    assert_eq!((now.parts.images.clone(), now.subject.as_str()), (images("1"), "s"));
    assert_eq!(
        releases::by_id(store.readers(), two).await.unwrap().unwrap().state,
        ReleaseState::RolledBackFrom
    );
    let ids = |list: Vec<domain::release::Release>| list.into_iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(ids(releases::list(store.readers(), 10).await.unwrap()), [two, one]);
    assert_eq!(ids(releases::list(store.readers(), 1).await.unwrap()), [two]);
    assert_eq!(ids(releases::rollback_points(store.readers()).await.unwrap()), [one]);
    happened(&store, one, What::Bad, 40).await.unwrap();
    assert!(releases::rollback_points(store.readers()).await.unwrap().is_empty());
    happened(&store, one, What::RollbackPoint, 50).await.unwrap();
    assert_eq!(ids(releases::rollback_points(store.readers()).await.unwrap()), [one]);
    assert_eq!(current().await.unwrap().id, one, "marks do not move the current release");
    let events = releases::events(store.readers(), one).await.unwrap();
    assert_eq!(
        events.iter().map(|e| e.what.slug()).collect::<Vec<_>>(),
        ["opened", "deployed", "rollback_point", "rolled_back_to", "bad", "rollback_point"]
    );
}

#[tokio::test]
async fn the_newest_list_of_migrations_counts() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let one = release(&store, by, "aaa").await;
    let run = run(&store, "c", 1).await;
    let known = async || releases::by_id(store.readers(), one).await.unwrap().unwrap().migrations;
    let list = async |names: &'static [&'static str], at: i64| {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        write!(store, |tx| engine::store::migration_lists::add(tx, one, run, &names, Millis(at)).await)
            .unwrap();
    };
    assert_eq!(known().await, None);
    list(&["m1"], 5).await;
    assert_eq!(known().await, Some(vec!["m1".to_owned()]));
    let deployed = What::Deployed { images: images("1"), migrations: Some(vec!["m2".into()]) };
    happened(&store, one, deployed, 10).await.unwrap();
    assert_eq!(known().await, Some(vec!["m2".to_owned()]));
    list(&["m2", "m3"], 20).await;
    assert_eq!(known().await.map(|m| m.len()), Some(2));
    happened(&store, one, What::RolledBackTo { migrations: None }, 30).await.unwrap();
    assert_eq!(known().await, None, "after that rollback nobody knows");
}

#[tokio::test]
async fn the_last_change_of_each_thing_is_known() {
    let (_dir, store) = fresh().await;
    for (key, now, at) in [("commit", "a", 1), ("image:web", "1", 2), ("commit", "b", 3)] {
        let change = domain::changes::Change { key: key.into(), was: None, now: now.into(), at: Millis(at) };
        write!(store, |tx| engine::store::changes::add(tx, &change).await).unwrap();
    }
    let last = engine::store::changes::last(store.readers()).await.unwrap();
    let last: Vec<_> = last.iter().map(|c| (c.key.as_str(), c.now.as_str(), c.at)).collect();
    assert_eq!(last, [("image:web", "1", Millis(2)), ("commit", "b", Millis(3))]);
}

#[tokio::test]
async fn the_schedule_is_nobody() {
    let (_dir, store) = fresh().await;
    let read = store.readers();
    assert!(people::list(read).await.unwrap().is_empty());
    assert!(people::by_id(read, people::SCHEDULE).await.unwrap().is_none());
    assert!(people::by_login(read, "(schedule)").await.unwrap().is_none());
    for sql in [
        "UPDATE person SET disabled = 0 WHERE id = 0",
        "INSERT INTO person_role (person, role) VALUES (0, 'admin')",
    ] {
        let refused = write!(store, |tx| {
            sqlx::query(sql).execute(&mut *tx).await?;
            Ok::<_, StoreError>(())
        });
        assert!(
            matches!(&refused, Err(StoreError::Refused(why)) if why.contains("no person")),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn the_images_of_a_release_are_settled_by_its_first_deploy() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let one = release(&store, by, "aaa").await;
    let deploy = |id: &str| What::Deployed { images: images(id), migrations: None };
    happened(&store, one, deploy("1"), 1).await.unwrap();
    happened(&store, one, deploy("1"), 2).await.unwrap();
    let other = happened(&store, one, deploy("2"), 3).await;
    assert!(matches!(other, Err(StoreError::Refused(why)) if why.contains("set once")));
}

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
    assert!(write!(store, |tx| runs::interrupt(tx, c, Millis(400)).await).unwrap());
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
async fn judging_gets_all_of_the_release_and_the_last_of_each_check() {
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
    let y1 = add("y", new).await;
    let y2 = add("y", new).await;
    let ids = |list: Vec<Evidence>| list.into_iter().map(|e| e.id).collect::<Vec<_>>();
    assert_eq!(ids(evidence::for_judging(store.readers(), Some(new), 1).await.unwrap()), [x2, y1, y2]);
    assert_eq!(ids(evidence::for_judging(store.readers(), None, 1).await.unwrap()), [x2, y2]);
    assert_eq!(ids(evidence::of_check(store.readers(), "y", 1).await.unwrap()), [y2]);
    assert_eq!(evidence::of_run(store.readers(), run).await.unwrap().len(), 4);
    assert!(evidence::of_run(store.readers(), run).await.unwrap().iter().all(|e| e.finding.value.is_none()));
}

#[tokio::test]
async fn the_last_entry_of_a_field_counts_and_the_others_stay() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    for (field, value) in [("O.2", "a"), ("O.1", "b"), ("O.2", "c")] {
        let entry = ownership::Entry {
            id: 0,
            field: field.into(),
            value: value.into(),
            by,
            by_name: "Ada".into(),
            at: Millis(1),
        };
        write!(store, |tx| ownership::add(tx, &entry).await).unwrap();
    }
    let values = |list: Vec<ownership::Entry>| list.into_iter().map(|e| e.value).collect::<Vec<_>>();
    assert_eq!(values(ownership::latest(store.readers()).await.unwrap()), ["b", "c"]);
    assert_eq!(values(ownership::history(store.readers(), Some("O.2")).await.unwrap()), ["c", "a"]);
    assert_eq!(values(ownership::history(store.readers(), None).await.unwrap()), ["c", "b", "a"]);
}

#[tokio::test]
async fn of_fifty_equal_requests_exactly_one_is_fresh() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let claim = async |store: Store, key: &'static str, act: &'static str, digest: &'static str| {
        write!(store, |tx| idempotency::claim(tx, key, by, act, digest, Millis(1)).await).unwrap()
    };
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        callers.spawn(async move {
            write!(store, |tx| idempotency::claim(tx, "k", by, "deploy", "d", Millis(1)).await).unwrap()
        });
    }
    let claims = callers.join_all().await;
    assert_eq!(claims.iter().filter(|c| **c == Claim::Fresh).count(), 1);
    assert_eq!(claims.iter().filter(|c| **c == Claim::InFlight).count(), 49);
    let answer = json!({"to": "/", "said": "Deployed."});
    let stored = answer.clone();
    write!(store, |tx| idempotency::complete(tx, "k", &stored).await).unwrap();
    assert_eq!(claim(store.clone(), "k", "deploy", "d").await, Claim::Replay(answer));
    assert_eq!(claim(store.clone(), "k", "deploy", "other").await, Claim::Mismatch);
    assert_eq!(claim(store.clone(), "k", "roll_back", "d").await, Claim::Mismatch);
    let twice = write!(store, |tx| idempotency::complete(tx, "k", &json!(1)).await);
    assert!(matches!(twice, Err(StoreError::Refused(_))));
    let unclaimed = write!(store, |tx| idempotency::complete(tx, "none", &json!(1)).await);
    assert!(matches!(unclaimed, Err(StoreError::Refused(_))));
    assert_eq!(claim(store.clone(), "l", "deploy", "d").await, Claim::Fresh);
    write!(store, |tx| idempotency::abandon(tx, "l").await).unwrap();
    assert_eq!(claim(store.clone(), "l", "deploy", "d").await, Claim::Fresh);
    assert_eq!(write!(store, |tx| idempotency::prune(tx, Millis(2)).await).unwrap(), 1);
}
