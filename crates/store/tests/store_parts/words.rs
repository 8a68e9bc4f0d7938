//! Attestations, waivers, acceptances, sign-offs, decisions and evidence: append-only, and read back as written.

use store::audit::AuditAction;

use super::*;

#[tokio::test]
async fn append_only_tables_refuse_update_delete_and_replace() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let release = release(&store, by, "abc").await;
    let run = run(&store, "c", 1).await;
    let said = words(&store, by, release, run).await;
    assert_eq!(said, 7);
    write!(store, |tx| {
        let change = domain::observed_changes::Change {
            key: "commit".into(),
            was: None,
            now: "a".into(),
            at: Millis(1),
        };
        store::changes::add(&mut *tx, &change).await?;
        store::migration_lists::add(tx, release, run, &["m1".to_owned()], Millis(1)).await
    })
    .unwrap();
    write!(store, |tx| store::audit::append(
        tx,
        &store::audit::Event::new(Millis(1), None, AuditAction::RunEnd, "b")
    )
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
    // The triggers are part of the database, so they apply to other programs too.
    let mut other = raw(&store).await;
    assert!(sqlx::query("DELETE FROM sign_off").execute(&mut other).await.is_err());
    assert!(sqlx::query("DELETE FROM person").execute(&mut other).await.is_err());
}

/// Adds one row of each kind; returns how many tables were written and read back unchanged.
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
        parts: Some(ReleaseComponents::default()),
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
        attestations::list(db, release).await.unwrap() == [all.1],
        waivers::list(db).await.unwrap() == [all.2],
        acceptances::list(db, release).await.unwrap() == [all.3],
        sign_offs::list(db, release).await.unwrap() == [all.4],
        decisions::list(db, &[release]).await.unwrap() == [all.5],
        ownership::latest(db).await.unwrap() == [all.6],
    ]
    .into_iter()
    .filter(|same| *same)
    .count()
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
    assert_eq!(values(ownership::history(store.readers(), "O.2", 9).await.unwrap()), ["c", "a"]);
    assert_eq!(values(ownership::recent(store.readers(), 9).await.unwrap()), ["c", "b", "a"]);
}
