//! Tables that are computed from others: differences from their source, and the effect of retention.

use domain::evidence::{Evidence, Finding, Outcome as Found};
use domain::release::ReleaseComponents;
use domain::time::Millis;
use sqlx::AssertSqlSafe;
use store::audit;
use store::people::SCHEDULE;
use store::{Store, StoreError, evidence, retention};

use super::rows::filled;
use test_support::intruder::Intruder;

/// Adds evidence of the check `unit` on release 1, collected by the scheduler.
async fn add(store: &Store, outcome: Found) -> i64 {
    let finding = Finding { outcome, value: None, saw: "x".into(), wanted: "x".into(), next: String::new() };
    let found = Evidence {
        id: 0,
        check: "unit".into(),
        finding,
        threshold_digest: "d".into(),
        parts: ReleaseComponents::default(),
        release: 1,
        run: 1,
        by: SCHEDULE,
        at: Millis(20),
    };
    store.write(move |tx| Box::pin(async move { evidence::add(tx, &found).await })).await.unwrap()
}

async fn faults(store: &Store) -> Vec<String> {
    let all = audit::all_derived(store.readers()).await.unwrap();
    let recent = audit::recent_derived(store.readers(), Some(1), &[1].into()).await.unwrap();
    assert_eq!(all, recent, "both comparisons must agree");
    all.iter().map(audit::Fault::row).collect()
}

/// Accepts all differences.
async fn accept_all(store: &Store) {
    let found = audit::all_derived(store.readers()).await.unwrap();
    store
        .write(move |tx| Box::pin(async move { audit::accept(tx, &found, "a test", Millis(40)).await }))
        .await
        .unwrap();
}

#[tokio::test]
async fn derived_rows_match_through_passes_failures_and_retention() {
    let (_dir, store) = filled().await;
    assert_eq!(faults(&store).await, Vec::<String>::new());
    let mut ids = vec![];
    for n in 0..12 {
        ids.push(add(&store, if n % 3 == 0 { Found::Pass } else { Found::Fail }).await);
        assert_eq!(faults(&store).await, Vec::<String>::new());
    }
    let old: Vec<i64> = ids[1..6].to_vec();
    store
        .write(move |tx| {
            Box::pin(async move {
                retention::mark(&mut *tx, "evidence", &old, Millis(30)).await?;
                retention::delete_evidence(tx, &old).await.map(|_| ()).map_err(|e: StoreError| e)
            })
        })
        .await
        .unwrap();
    // Left are one row collected by a person and, of the scheduler's 4 passed and 8 other rows, 3 and 4.
    assert_eq!(faults(&store).await, Vec::<String>::new());
    let mut intruder = Intruder::at(store.file()).await;
    for (change, is_found) in [
        // Higher than in the remaining rows, because retention removed rows that did not pass.
        ("UPDATE evidence_group SET not_passed = not_passed + 1", false),
        ("UPDATE evidence_group SET not_passed = 4", true),
        ("UPDATE evidence_group SET last_pass = last_pass + 1", true),
        ("UPDATE evidence_group SET failing_from = last_other", true),
        ("UPDATE evidence_group SET same = 'commit '", true),
        ("UPDATE evidence SET outcome = 'pass' WHERE id = (SELECT max(id) FROM evidence)", true),
    ] {
        let copy = "CREATE TEMP TABLE g AS SELECT * FROM main.evidence_group;
                    CREATE TEMP TABLE e AS SELECT * FROM main.evidence";
        intruder.run(copy).await;
        intruder.run(change).await;
        let named = vec!["evidence_group of release 1, check unit".to_owned()];
        assert_eq!(faults(&store).await, if is_found { named } else { vec![] }, "{change}");
        intruder
            .run(
                "DELETE FROM evidence_group; INSERT INTO evidence_group SELECT * FROM g; DROP TABLE g;
             DELETE FROM evidence; INSERT INTO evidence SELECT * FROM e; DROP TABLE e",
            )
            .await;
    }
}

#[tokio::test]
async fn every_derived_table_is_compared() {
    for (change, named) in [
        ("DELETE FROM evidence_group", "evidence_group of release 1, check unit"),
        ("UPDATE evidence_group SET not_passed = 0", "evidence_group of release 1, check unit"),
        ("UPDATE evidence_group SET not_passed = 9", "evidence_group of release 1, check unit"),
        ("DELETE FROM evidence_runner", "evidence_runner of release 1, check unit"),
        ("INSERT INTO evidence_runner VALUES (1, 'lint', 1, 1)", "evidence_runner of release 1, check lint"),
        ("UPDATE release_standing SET state = 'deployed'", "release_standing of release 1"),
        ("DELETE FROM release_standing", "release_standing of release 1"),
    ] {
        let (_dir, store) = filled().await;
        let mut intruder = Intruder::at(store.file()).await;
        intruder.run(change).await;
        assert_eq!(faults(&store).await, [named], "{change}");
        // After it is recomputed, it matches.
        accept_all(&store).await;
        assert_eq!(faults(&store).await, Vec::<String>::new(), "{change}");
    }
    let (_dir, store) = filled().await;
    let mut intruder = Intruder::at(store.file()).await;
    intruder.run("INSERT INTO open_intent VALUES (1)").await;
    let all = audit::all_derived(store.readers()).await.unwrap();
    assert_eq!(all.iter().map(audit::Fault::row).collect::<Vec<_>>(), ["open_intent of event 1"]);
}

#[tokio::test]
async fn triggers_and_indexes_are_those_of_the_migrations() {
    let (_dir, store) = filled().await;
    assert_eq!(faults(&store).await, Vec::<String>::new());
    let mut conn = Intruder::at(store.file()).await.conn;
    let objects: Vec<(String, String)> = sqlx::query_as(
        "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql IS NOT NULL",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert!(objects.len() > 30, "{objects:?}");
    let mut changes: Vec<(String, String)> = objects
        .iter()
        .map(|(kind, name)| (format!("DROP {kind} {name}"), format!("{kind} {name}")))
        .collect();
    let silent = "AFTER INSERT ON evidence BEGIN SELECT 1; END";
    let trigger = objects.iter().find(|(kind, _)| kind == "trigger").unwrap().1.clone();
    changes.push((
        format!("DROP TRIGGER {trigger}; CREATE TRIGGER {trigger} {silent}"),
        format!("trigger {trigger}"),
    ));
    changes.push((format!("CREATE TRIGGER another {silent}"), "trigger another".to_owned()));
    for (change, named) in changes {
        sqlx::raw_sql(AssertSqlSafe(change.clone())).execute(&mut conn).await.unwrap();
        assert_eq!(faults(&store).await, [named], "{change}");
        accept_all(&store).await;
        assert_eq!(faults(&store).await, Vec::<String>::new(), "{change}");
    }
    // An additional index does not change what is stored or read.
    sqlx::raw_sql("CREATE INDEX evidence_by_saw ON evidence (saw)").execute(&mut conn).await.unwrap();
    assert_eq!(faults(&store).await, Vec::<String>::new());
}
