//! Which old data retention removes, and which it never removes.

use std::fs;
use std::time::Duration;

use domain::evidence::{Evidence, Finding, Outcome as Found};
use domain::facts::Choice;
use domain::paging::Cursor;
use domain::release::ReleaseComponents;
use domain::role::Role;
use domain::time::Millis;
use engine::{Engine, PruneMode, Rotation};
use store::links::{self, Link, LinkKind};
use store::people::SCHEDULE;
use store::releases::{self, NewRelease};
use store::runs::{self, Ending, NewRun, RunKind, RunOutcome};
use store::{StoreError, evidence};

use crate::support::bench::{Bench, PASSWORD, actor, board, until};

/// An old release, opened after the ones before it.
async fn release(engine: &Engine, by: i64) -> i64 {
    engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let parts = ReleaseComponents::default();
                let new = NewRelease { parts: &parts, subject: "old", by, by_name: "DevOps", at: Millis(1) };
                releases::open(tx, &new).await.map_err(|e: StoreError| e)
            })
        })
        .await
        .unwrap()
}

/// An old run, with a log of 1000 bytes and evidence of the check that it ran.
pub async fn old_run(engine: &Engine, by: i64, check: &'static str, release: i64, at: i64) -> i64 {
    old_finding(engine, by, check, release, at, Found::Pass).await
}

/// The same with another outcome of the check.
async fn old_finding(
    engine: &Engine,
    by: i64,
    check: &'static str,
    release: i64,
    at: i64,
    outcome: Found,
) -> i64 {
    let id = engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                let new = NewRun {
                    kind: RunKind::Check,
                    subject: check,
                    gate: None,
                    title: "old",
                    release: Some(release),
                    by,
                    by_name: "x",
                    at: Millis(at),
                    key: None,
                };
                let run = runs::start(tx, &new).await?;
                let null = serde_json::Value::Null;
                let ending =
                    Ending { at: Millis(at), outcome: RunOutcome::Passed, exit: null.clone(), result: null };
                runs::end(tx, run, &ending).await?;
                let finding = Finding {
                    outcome,
                    value: None,
                    saw: "well".into(),
                    wanted: "well".into(),
                    next: String::new(),
                };
                let found = Evidence {
                    id: 0,
                    check: check.into(),
                    finding,
                    threshold_digest: "d".into(),
                    parts: ReleaseComponents::default(),
                    release,
                    run,
                    by,
                    at: Millis(at),
                };
                evidence::add(tx, &found).await?;
                Ok::<_, StoreError>(run)
            })
        })
        .await
        .unwrap();
    let dir = engine.paths().runs.join(id.to_string());
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("log"), vec![b'x'; 1000]).unwrap();
    id
}

fn there(engine: &Engine, runs: &[i64]) -> Vec<bool> {
    runs.iter().map(|id| engine.paths().runs.join(id.to_string()).exists()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_removes_data_that_is_not_needed_and_records_it() {
    let bench = Bench::new("retention");
    let engine = bench.start().await;
    let devops = actor(&engine, "devops").await;
    let old = release(&engine, devops.id).await;
    let signed = release(&engine, devops.id).await;
    let mut of_old = vec![];
    for n in 0..14 {
        of_old.push(old_run(&engine, SCHEDULE, "unit", old, 10 + n).await);
    }
    let by_hand = old_run(&engine, devops.id, "unit", old, 40).await;
    let of_signed = old_run(&engine, SCHEDULE, "unit", signed, 50).await;
    // Written directly to the store, it is read a moment later.
    until("the board to show the release", std::time::Duration::from_secs(10), || async {
        board(&engine).await.release.is_some_and(|release| release.id == signed)
    })
    .await;
    // An attestation of a release keeps all of its data.
    let digest = board(&engine).await.judgement.digest;
    let qa = bench.by(&engine, "qa").await;
    engine.sign_off(&qa, Role::Qa, Choice::NoGo, "slow", "faster", &digest, 0, PASSWORD).await.unwrap();
    // Three newer ones, because the newest also stay.
    let mut last = 0;
    for _ in 0..4 {
        last = release(&engine, devops.id).await;
    }
    let newest = old_run(&engine, SCHEDULE, "unit", last, 60).await;

    // Without a setting everything is kept.
    let none = engine.prune(PruneMode::Remove).await.unwrap();
    assert_eq!((none.runs, none.evidence), (0, 0));
    engine.close().await;
    let config = fs::read_to_string(bench.dir().join("stagegate.toml")).unwrap();
    bench.write("stagegate.toml", &format!("{config}\n[retention]\nruns = \"90d\"\nevidence = \"90d\"\n"));
    let engine = bench.open().await;

    let dry = engine.prune(PruneMode::Count).await.unwrap();
    // The manual run is old too, but its evidence is not scheduled. Ten rows of the check always stay.
    assert_eq!((dry.runs, dry.run_bytes, dry.evidence), (15, 15_000, 7));
    assert!(there(&engine, &of_old).into_iter().all(|there| there), "a dry run removes nothing");
    let before = evidence::of_check(engine.store().readers(), "unit", 100).await.unwrap().len();
    assert_eq!(before, 17);

    let done = engine.prune(PruneMode::Remove).await.unwrap();
    assert_eq!((done.runs, done.run_bytes, done.evidence), (dry.runs, dry.run_bytes, dry.evidence));
    assert!(there(&engine, &of_old).into_iter().all(|there| !there));
    assert_eq!(there(&engine, &[by_hand, of_signed, newest]), [false, true, true]);
    let left = evidence::of_check(engine.store().readers(), "unit", 100).await.unwrap();
    assert_eq!(left.len(), 10);
    assert!(left.iter().any(|e| e.release == signed), "the sign-off needs it");

    // The page of such a run says so; the run and its end still exist.
    let page = engine.run(&devops, of_old[0]).await.unwrap();
    assert!(page.pruned_at.is_some() && page.tail.is_empty());
    assert!(engine.run(&devops, newest).await.unwrap().pruned_at.is_none());
    // The audit log records it, and nothing looks like tampering.
    let found = engine.verify_everything().await.unwrap();
    assert_eq!(found.problems, Vec::<String>::new());
    let activity = engine.activity(&devops, Cursor::Newest).await.unwrap();
    let events: Vec<_> = activity.rows.iter().filter(|r| r.act == "retention.prune").collect();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.iter().any(|e| e.detail.contains("logs of 15 runs, 15000 bytes")), "{events:?}");
    assert!(activity.storage.is_some() && activity.retention.len() == 2);
    // A second pass finds nothing.
    let again = engine.prune(PruneMode::Remove).await.unwrap();
    assert_eq!((again.runs, again.evidence), (0, 0));
    // And no row can be removed in another way.
    let refused = engine
        .store()
        .write(|tx| {
            Box::pin(async move {
                sqlx::query("DELETE FROM evidence").execute(tx).await.map(|_| ()).map_err(StoreError::from)
            })
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Refused(why)) if why.contains("append-only")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_stays_for_months_loses_only_repeated_results() {
    let bench = Bench::new("long-lived");
    let config = fs::read_to_string(bench.dir().join("stagegate.toml")).unwrap();
    bench.write("stagegate.toml", &format!("{config}\n[retention]\nruns = \"90d\"\nevidence = \"90d\"\n"));
    let engine = bench.start().await;
    let devops = actor(&engine, "devops").await;
    let release = release(&engine, devops.id).await;
    for at in 10..=50 {
        let outcome = if at == 30 { Found::Fail } else { Found::Pass };
        old_finding(&engine, SCHEDULE, "unit", release, at, outcome).await;
    }
    // A gate was accepted in between.
    engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO acceptance (gate, release, digest, by, by_name, note, at)
                     VALUES ('A', ?, 'd', 1, 'QA', '', 20)",
                )
                .bind(release)
                .execute(tx)
                .await
                .map(|_| ())
                .map_err(StoreError::from)
            })
        })
        .await
        .unwrap();
    until("the board to show the release", Duration::from_secs(10), || async {
        board(&engine).await.release.is_some_and(|shown| shown.id == release)
    })
    .await;
    let judged = board(&engine).await.judgement.digest;

    let dry = engine.prune(PruneMode::Count).await.unwrap();
    let done = engine.prune(PruneMode::Remove).await.unwrap();
    assert_eq!((done.runs, done.evidence), (dry.runs, dry.evidence));
    let mut left: Vec<i64> = evidence::of_check(engine.store().readers(), "unit", 100)
        .await
        .unwrap()
        .iter()
        .map(|e| e.at.0)
        .collect();
    left.sort_unstable();
    // The first, the ones around the acceptance, the failure and its neighbours, and the newest ten.
    let stays: Vec<i64> = [10, 19, 20, 21, 29, 30, 31].into_iter().chain(41..=50).collect();
    assert_eq!(left, stays);
    // Of the newest ten only the log of the last one is needed.
    assert_eq!(done.runs, 41 - 8);
    assert_eq!(board(&engine).await.judgement.digest, judged);
    assert_eq!(engine.verify_everything().await.unwrap().problems, Vec::<String>::new());
    let again = engine.prune(PruneMode::Remove).await.unwrap();
    assert_eq!((again.runs, again.evidence), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_pass_reads_rows_and_removes_leftover_directories() {
    let bench = Bench::new("daily");
    let config = fs::read_to_string(bench.dir().join("stagegate.toml")).unwrap();
    bench.write("stagegate.toml", &format!("{config}\n[retention]\nruns = \"90d\"\n"));
    let engine = bench.start().await;
    let devops = actor(&engine, "devops").await;
    let old = release(&engine, devops.id).await;
    let mut runs = vec![];
    for n in 0..3 {
        runs.push(old_run(&engine, SCHEDULE, "unit", old, 10 + n).await);
    }
    for _ in 0..3 {
        release(&engine, devops.id).await;
    }
    let pruned = engine.prune(PruneMode::Remove).await.unwrap();
    assert_eq!((pruned.runs, pruned.run_bytes), (2, 2_000), "the last of its kind stays");
    // A directory whose removal was recorded but failed, one that belongs to no run, and a file.
    let at = |name: &str| engine.paths().runs.join(name);
    fs::create_dir_all(at(&runs[0].to_string())).unwrap();
    fs::create_dir_all(at("999999")).unwrap();
    fs::write(at("999999/log"), vec![b'x'; 5_000]).unwrap();
    fs::write(at("notes.txt"), "mine").unwrap();
    let again = engine.prune_daily(&mut Rotation::default()).await.unwrap();
    assert_eq!(again.runs, 0);
    assert_eq!(there(&engine, &runs), [false, false, true]);
    assert!(at("999999/log").exists() && at("notes.txt").exists(), "unknown entries stay");
    // The size is computed from the rows: only new directories were measured.
    let storage = engine.activity(&devops, Cursor::Newest).await.unwrap().storage.unwrap();
    assert_eq!(storage.run_bytes, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_sessions_old_keys_and_used_links_are_removed() {
    let bench = Bench::new("tidy");
    let engine = bench.start().await;
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let now = Millis(i64::try_from(started).unwrap());
    let day = 24 * 60 * 60 * 1000;
    engine.clean_up().await.unwrap();
    engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                for n in 0..450_i64 {
                    let end = if n < 420 { now.0 - 1 } else { now.0 + day };
                    sqlx::query(
                        "INSERT INTO session (id_hash, data, created_at, expires_at) VALUES (?, '{}', 1, ?)",
                    )
                    .bind(format!("{n:064}"))
                    .bind(end)
                    .execute(&mut *tx)
                    .await?;
                }
                for (key, age) in [("old", 3 * day), ("young", day)] {
                    sqlx::query(
                        "INSERT INTO idempotency (key, person, act, params_digest, owner, created_at)
                         VALUES (?, 1, 'gate.accept', 'd', 'x', ?)",
                    )
                    .bind(key)
                    .bind(now.0 - age)
                    .execute(&mut *tx)
                    .await?;
                }
                for (n, age) in [(1, 40 * day), (2, 3 * day)] {
                    let link = Link {
                        kind: LinkKind::Reset,
                        person: Some(1),
                        name: String::new(),
                        login: String::new(),
                        roles: vec![],
                        made_by: None,
                        expires_at: Millis(now.0 - age + 1),
                    };
                    links::create(tx, &format!("{n:064}"), &link, Millis(now.0 - age)).await?;
                }
                Ok::<_, StoreError>(())
            })
        })
        .await
        .unwrap();
    until("the first verification has ended", Duration::from_secs(10), || async {
        engine.verification().whole_at.is_some() && engine.verification().running_since.is_none()
    })
    .await;
    let revision = *engine.revisions().borrow();
    let tidied = engine.clean_up().await.unwrap();
    assert_eq!((tidied.sessions, tidied.keys, tidied.links), (420, 1, 1));
    assert_eq!(*engine.revisions().borrow(), revision, "no open page is refreshed");
    assert_eq!(engine.clean_up().await.unwrap(), engine::Tidied::default());
}
