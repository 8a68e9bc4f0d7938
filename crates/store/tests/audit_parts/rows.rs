//! Rows that were written outside of Stagegate.

use std::collections::BTreeMap;

use domain::evidence::{Evidence, Finding, Outcome as Found};
use domain::facts::{Acceptance, Attestation, Choice, Decision, SignOff, Waiver};
use domain::observed_changes::Change;
use domain::release::ReleaseComponents;
use domain::role::Role;
use domain::time::Millis;
use sqlx::migrate::Migrate as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use store::audit::{self, FaultKind, Scopes};
use store::releases::NewRelease;
use store::runs::{Ending, NewRun, RunKind, RunOutcome};
use store::{
    MIGRATOR, Store, acceptances, attestations, changes, decisions, evidence, migration_lists, ownership,
    people, releases, runs, sign_offs, waivers,
};
use tempfile::TempDir;

/// Tables, each with a change of a row that the schema's own checks allow.
const TABLES: [(&str, &str); 14] = [
    ("person", "disabled = 1"),
    ("release", "subject = 'another'"),
    ("release_event", "note = 'forged'"),
    ("run", "outcome = 'failed'"),
    ("evidence", "outcome = 'pass', saw = 'all well'"),
    ("attestation", "holds = 1 - holds"),
    ("waiver", "until = until + 1"),
    ("acceptance", "digest = 'what is shown now'"),
    ("sign_off", "choice = 'go'"),
    ("decision", "choice = 'go'"),
    ("migration_list", "names = '[]'"),
    ("ownership_entry", "value = 'Eve'"),
    ("incident_note", "text = 'nobody'"),
    ("change", "at = at + 1"),
];

/// A store with a row in every table, all written by Stagegate.
pub async fn filled() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    store
        .write(|tx| {
            Box::pin(async move {
                let at = Millis(10);
                let by = people::create(tx, "Ada", "ada", &[Role::Qa], at).await.unwrap();
                let parts = ReleaseComponents::default();
                let name = "Ada".to_owned();
                let new = NewRelease { parts: &parts, subject: "s", by, by_name: "Ada", at };
                let release = releases::open(tx, &new).await?;
                let new = NewRun {
                    kind: RunKind::Check,
                    subject: "unit",
                    gate: Some("A"),
                    title: "t",
                    release: Some(release),
                    by,
                    by_name: "Ada",
                    at,
                    key: None,
                };
                let run = runs::start(tx, &new).await?;
                let (exit, result) = (serde_json::json!({}), serde_json::json!({}));
                runs::end(tx, run, &Ending { at, outcome: RunOutcome::Passed, exit, result }).await?;
                let finding = Finding {
                    outcome: Found::Fail,
                    value: Some(0.1),
                    saw: "two broke".into(),
                    wanted: "none".into(),
                    next: String::new(),
                };
                let found = Evidence {
                    id: 0,
                    check: "unit".into(),
                    finding,
                    threshold_digest: "d".into(),
                    parts: parts.clone(),
                    release,
                    run,
                    by,
                    at,
                };
                evidence::add(tx, &found).await?;
                let (item, digest) = ("A.1".to_owned(), "d".to_owned());
                let word = Attestation {
                    id: 0,
                    item: item.clone(),
                    text_digest: digest.clone(),
                    release,
                    by,
                    by_name: name.clone(),
                    note: "seen".into(),
                    link: String::new(),
                    at,
                    holds: true,
                };
                attestations::add(tx, &word).await?;
                let waiver = Waiver {
                    id: 0,
                    item,
                    text_digest: digest.clone(),
                    by,
                    by_name: name.clone(),
                    reason: "r".into(),
                    at,
                    until: Millis(99),
                    holds: true,
                };
                waivers::add(tx, &waiver).await?;
                let acceptance = Acceptance {
                    id: 0,
                    gate: "A".into(),
                    release,
                    digest: digest.clone(),
                    by,
                    by_name: name.clone(),
                    note: "n".into(),
                    at,
                };
                acceptances::add(tx, &acceptance).await?;
                let signed = SignOff {
                    id: 0,
                    release,
                    role: Role::Qa,
                    by,
                    by_name: name.clone(),
                    choice: Choice::NoGo,
                    comment: "no".into(),
                    would_change: "a fix".into(),
                    digest: digest.clone(),
                    shown: vec![],
                    parts: None,
                    at,
                };
                sign_offs::add(tx, &signed).await?;
                let decision = Decision {
                    id: 0,
                    release,
                    choice: Choice::NoGo,
                    note: "no".into(),
                    digest,
                    verdict: "v".into(),
                    shown: vec![],
                    by,
                    by_name: name,
                    at,
                };
                decisions::add(tx, &decision).await?;
                migration_lists::add(tx, release, run, &["0001".to_owned()], at).await?;
                let change = Change { key: "commit".into(), was: None, now: "c".into(), at };
                changes::add(tx, &change).await?;
                ownership::add(
                    tx,
                    &ownership::Entry {
                        id: 0,
                        field: "f".into(),
                        value: "Ada".into(),
                        by,
                        by_name: "Ada".into(),
                        at,
                    },
                )
                .await?;
                sqlx::query(
                    "INSERT INTO incident (run, from_release, to_release, by, by_name, at, report)
                     VALUES (1, NULL, 1, 1, 'Ada', 10, '{}')",
                )
                .execute(&mut *tx)
                .await?;
                sqlx::query(
                    "INSERT INTO incident_note (incident, kind, text, by, by_name, at)
                     VALUES (1, 'cause', 'the disk', 1, 'Ada', 10)",
                )
                .execute(&mut *tx)
                .await?;
                Ok::<_, store::StoreError>(())
            })
        })
        .await
        .unwrap();
    (dir, store)
}

/// A connection of a person who has the file and drops the triggers.
pub async fn intruder(store: &Store) -> SqliteConnection {
    let mut conn =
        SqliteConnectOptions::new().filename(store.file()).foreign_keys(false).connect().await.unwrap();
    let triggers: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        .fetch_all(&mut conn)
        .await
        .unwrap();
    for trigger in triggers {
        sqlx::query(AssertSqlSafe(format!("DROP TRIGGER {trigger}"))).execute(&mut conn).await.unwrap();
    }
    conn
}

fn scopes() -> Scopes {
    [("evidence", "unit"), ("sign_off", "1"), ("waiver", "A.1"), ("attestation", "A.1"), ("decision", "1")]
        .into_iter()
        .map(|(table, scope)| (table, scope.to_owned()))
        .collect()
}

/// The faults that both comparisons find; they must agree.
async fn faults(store: &Store) -> Vec<(String, FaultKind)> {
    let all = audit::all_rows(store.readers()).await.unwrap().1;
    let recent = audit::recent(store.readers(), &scopes()).await.unwrap();
    assert_eq!(all, recent);
    all.into_iter().map(|f| (f.table.to_owned(), f.kind)).collect()
}

#[tokio::test]
async fn rows_of_stagegate_match_and_every_row_has_its_event() {
    let (_dir, store) = filled().await;
    assert_eq!(faults(&store).await, []);
    let (rows, _) = audit::all_rows(store.readers()).await.unwrap();
    assert_eq!(rows, 15);
    let events = audit::list(store.readers(), audit::Filter::default(), 10).await.unwrap();
    assert_eq!(events.len(), 1, "one event covers all rows of the job: {events:?}");
    assert_eq!(events[0].rows_digest.len(), 64);
    audit::verify(store.readers()).await.unwrap();
}

#[tokio::test]
async fn a_row_inserted_changed_or_deleted_outside_of_stagegate_is_found_in_every_table() {
    for (table, change) in TABLES {
        let columns = match table {
            "person" => "name, login || 'x', password_hash, disabled, created_at",
            _ => "",
        };
        let copy = if columns.is_empty() {
            format!(
                "CREATE TEMP TABLE c AS SELECT * FROM {table}; UPDATE c SET id = id + 7; INSERT INTO {table} SELECT * FROM c"
            )
        } else {
            format!(
                "INSERT INTO person (name, login, password_hash, disabled, created_at) SELECT {columns} FROM person WHERE id = 1"
            )
        };
        let copy = copy.replace(
            "UPDATE c SET id = id + 7",
            match table {
                "run" => "UPDATE c SET id = id + 7, idempotency_key = 'x'",
                _ => "UPDATE c SET id = id + 7",
            },
        );
        for (sql, kind) in [
            (copy, FaultKind::Inserted),
            (format!("UPDATE {table} SET {change} WHERE id = 1"), FaultKind::Changed),
            (format!("DELETE FROM {table} WHERE id = 1"), FaultKind::Removed),
        ] {
            let (_dir, store) = filled().await;
            let mut conn = intruder(&store).await;
            sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut conn).await.unwrap();
            assert_eq!(faults(&store).await, [(table.to_owned(), kind)], "{sql}");
        }
    }
}

#[tokio::test]
async fn roles_and_incidents_are_covered() {
    for (sql, table) in [
        ("INSERT INTO person_role VALUES (1, 'po')", "person"),
        ("DELETE FROM person_role", "person"),
        ("UPDATE incident SET report = '{\"complete\":true}'", "incident"),
    ] {
        let (_dir, store) = filled().await;
        let mut conn = intruder(&store).await;
        sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
        assert_eq!(faults(&store).await, [(table.to_owned(), FaultKind::Changed)], "{sql}");
    }
}

#[tokio::test]
async fn a_row_with_a_forged_log_entry_is_found_by_its_event() {
    let (_dir, store) = filled().await;
    let mut conn = intruder(&store).await;
    sqlx::raw_sql(
        "UPDATE sign_off SET choice = 'go' WHERE id = 1;
         UPDATE audit_row SET digest = replace(digest, substr(digest, 1, 1), 'f') WHERE kind = 'sign_off'",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let found = audit::recent(store.readers(), &scopes()).await.unwrap_err();
    assert!(found.to_string().contains("event 1"), "{found}");
    assert!(audit::verify(store.readers()).await.is_err());
}

#[tokio::test]
async fn writes_of_others_are_detected_and_own_writes_are_not() {
    let (_dir, store) = filled().await;
    let before = store.others().await.unwrap();
    store
        .write(|tx| Box::pin(async move { audit::set_checkpoint(tx, &head(), Millis(1)).await }))
        .await
        .unwrap();
    assert_eq!(store.others().await.unwrap(), before);
    let mut conn = intruder(&store).await;
    sqlx::raw_sql("UPDATE sign_off SET choice = 'go'").execute(&mut conn).await.unwrap();
    let after = store.others().await.unwrap();
    assert!(after.writes > before.writes && after.lost.is_none(), "{after:?}");
    // The last event, forged with a matching hash.
    sqlx::raw_sql("UPDATE audit_event SET hash = iif(hash LIKE 'f%', 'e', 'f') || substr(hash, 2)")
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(store.others().await.unwrap().lost.map(|head| head.seq), Some(1));
}

fn head() -> audit::Head {
    audit::Head { seq: 1, hash: "a".repeat(64) }
}

/// The schema as it was before row digests.
async fn old_database(dir: &TempDir) {
    let mut conn = SqliteConnectOptions::new()
        .filename(dir.path().join("stagegate.db"))
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    conn.ensure_migrations_table("_sqlx_migrations").await.unwrap();
    for migration in MIGRATOR.iter().filter(|m| m.version < 20_261_129_000_000) {
        conn.apply("_sqlx_migrations", migration).await.unwrap();
    }
    let mut sql = String::from(
        "INSERT INTO person (id, name, login, created_at) VALUES (1, 'Ada', 'ada', 1);
         INSERT INTO release (id, parts, subject, opened_by, opened_at) VALUES (1, '{\"values\":{},\"images\":{}}', 's', 1, 1);
         INSERT INTO run (id, kind, subject, title, by, by_name, started_at) VALUES (1, 'check', 'unit', 't', 1, 'Ada', 1);
         INSERT INTO sign_off (release, role, by, by_name, choice, comment, digest, shown, at)
         VALUES (1, 'qa', 1, 'Ada', 'no-go', 'no', 'd', '[]', 1);",
    );
    for n in 0..1200 {
        sql.push_str(&format!(
            "INSERT INTO evidence (check_id, outcome, saw, wanted, next, threshold_digest, parts, release, run, by, at)
             VALUES ('unit', 'fail', 'x{n}', '', '', 'd', '{{\"values\":{{}},\"images\":{{}}}}', 1, 1, 1, {n});"
        ));
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

#[tokio::test]
async fn old_rows_are_added_to_the_log_once_at_the_upgrade() {
    let dir = tempfile::tempdir().unwrap();
    old_database(&dir).await;
    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(faults(&store).await, []);
    assert_eq!(audit::all_rows(store.readers()).await.unwrap().0, 1204);
    let events = audit::list(store.readers(), audit::Filter::default(), 50).await.unwrap();
    assert!(events.iter().all(|e| e.event.act == "records.adopt"), "{events:?}");
    let counted: BTreeMap<&str, usize> = events.iter().fold(BTreeMap::new(), |mut all, e| {
        *all.entry(e.event.subject.as_str()).or_default() += 1;
        all
    });
    assert_eq!(counted["evidence"], 3);
    audit::verify(store.readers()).await.unwrap();
    let mut conn = intruder(&store).await;
    sqlx::raw_sql(
        "INSERT INTO sign_off (release, role, by, by_name, choice, comment, digest, shown, at)
         VALUES (1, 'qa', 1, 'Ada', 'go', '', 'd', '[]', 2)",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    drop(conn);
    store.close().await;
    // Opening it again adds no rows to the log.
    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(faults(&store).await, [("sign_off".to_owned(), FaultKind::Inserted)]);
}

/// An invitation, as a version without digests of links stored it.
fn old_link(token: &str) -> String {
    format!(
        "INSERT INTO link (token_hash, kind, name, login, created_at, expires_at)
         VALUES ('{token}', 'invite', 'Bob', 'bob-{}', 1, 9000000000000)",
        &token[..1]
    )
}

async fn opens(store: &Store, token: String) -> bool {
    use store::links::{self, LinkError};
    let used =
        store.write(move |tx| Box::pin(async move { links::consume(tx, &token, Millis(2)).await })).await;
    match used {
        Ok(_) => true,
        Err(LinkError::NotVouched { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn old_links_are_added_to_the_log_once_at_the_upgrade() {
    let vouches_already = format!(
        "INSERT INTO audit_event (seq, at, actor_name, act, subject, outcome, detail, prev_hash, hash, rows_digest)
         VALUES (1, 1, '', 'x', '', 'done', '', '{}', '{}', '{}')",
        "0".repeat(64),
        "1".repeat(64),
        "2".repeat(64)
    );
    for (had_links, old) in [(true, old_link(&"a".repeat(64))), (false, String::new())] {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = SqliteConnectOptions::new()
            .filename(dir.path().join("stagegate.db"))
            .create_if_missing(true)
            .connect()
            .await
            .unwrap();
        conn.ensure_migrations_table("_sqlx_migrations").await.unwrap();
        for migration in MIGRATOR.iter().filter(|m| m.version < 20_261_129_010_100) {
            conn.apply("_sqlx_migrations", migration).await.unwrap();
        }
        sqlx::raw_sql(AssertSqlSafe(format!("{vouches_already}; {old}"))).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let events = audit::list(store.readers(), audit::Filter::default(), 10).await.unwrap();
        let adopted: Vec<&str> = events.iter().rev().skip(1).map(|e| e.event.subject.as_str()).collect();
        assert_eq!(adopted, ["link", "running runs"], "{events:?}");
        store.close().await;
        // One that appears afterwards is not one of those.
        let mut conn =
            SqliteConnectOptions::new().filename(dir.path().join("stagegate.db")).connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(old_link(&"b".repeat(64)))).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        assert!(!opens(&store, "b".repeat(64)).await, "a link that was inserted opens");
        if had_links {
            assert!(opens(&store, "a".repeat(64)).await, "a link from before the upgrade is refused");
        }
    }
}

#[tokio::test]
async fn runs_in_progress_are_added_to_the_log_once_at_the_upgrade() {
    let (dir, store) = filled().await;
    store.close().await;
    let running = |id: i64| {
        AssertSqlSafe(format!(
            "INSERT INTO run (id, kind, subject, title, by, by_name, started_at)
             VALUES ({id}, 'check', 'unit', 't', 0, '', 1)"
        ))
    };
    let file = dir.path().join("stagegate.db");
    let insert = async |id: i64| {
        let mut conn = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
        sqlx::raw_sql(running(id)).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    };
    insert(700).await;
    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(faults(&store).await, [], "it was in progress at the upgrade");
    insert(701).await;
    let inserted = [("run".to_owned(), FaultKind::Inserted)];
    assert_eq!(faults(&store).await, inserted);
    store.close().await;
    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(faults(&store).await, inserted, "a restart does not take it for an old one");
}

#[tokio::test]
async fn a_withdrawn_link_cannot_be_restored() {
    use store::links::{self, Link, LinkKind};
    let (_dir, store) = filled().await;
    let link = Link {
        kind: LinkKind::Reset,
        person: Some(1),
        name: String::new(),
        login: String::new(),
        roles: vec![],
        made_by: None,
        expires_at: Millis(9_000_000_000_000),
    };
    let token = "c".repeat(64);
    let hash = token.clone();
    store
        .write(move |tx| Box::pin(async move { links::create(tx, &hash, &link, Millis(1)).await }))
        .await
        .unwrap();
    let mut conn = intruder(&store).await;
    sqlx::raw_sql("CREATE TEMP TABLE l AS SELECT * FROM main.link").execute(&mut conn).await.unwrap();
    store.write(|tx| Box::pin(async move { links::withdraw_of(tx, 1).await })).await.unwrap();
    assert_eq!(faults(&store).await, []);
    sqlx::raw_sql("INSERT INTO link SELECT * FROM l").execute(&mut conn).await.unwrap();
    assert_eq!(faults(&store).await, [("link".to_owned(), FaultKind::Inserted)]);
    assert!(!opens(&store, token).await);
}
