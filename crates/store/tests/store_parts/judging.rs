//! The evidence that is read for a judgement gives the same result as all evidence.

use domain::check::{Check, CheckSpec, GitAssert};
use domain::facts::Facts;
use domain::failures::failure_counts;
use domain::item::check_state;
use domain::observed::Observed;
use domain::release::Release;
use domain::rules::Rules;
use domain::runbook::Runbook;

use super::*;

fn check(id: &str, images: &[&str]) -> Check {
    Check {
        id: id.into(),
        title: id.into(),
        proves: vec![],
        spec: CheckSpec::Git { assert: GitAssert::Clean, path: None, commit: None, branch: None, tag: None },
        want: None,
        timeout_ms: 1,
        retries: 0,
        valid_for_ms: None,
        binds: vec![ReleaseComponent::Commit, ReleaseComponent::Images],
        images: images.iter().map(|i| (*i).to_owned()).collect(),
        schedule: Default::default(),
    }
}

/// The next number of a fixed sequence, below `n`.
fn dice(seed: &mut u64, n: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % n
}

fn any_parts(seed: &mut u64) -> ReleaseComponents {
    let mut parts = ReleaseComponents::default();
    for (part, words) in
        [(ReleaseComponent::Commit, ["aaa", "bbb", ""]), (ReleaseComponent::Runbook, ["r1", "r2", "r3"])]
    {
        let word = words[usize::try_from(dice(seed, 3)).unwrap()];
        if !word.is_empty() {
            parts.values.insert(part, word.to_owned());
        }
    }
    for service in ["web", "api"] {
        match dice(seed, 4) {
            0 => {}
            1 => drop(parts.images.insert(service.into(), "sha256:2".into())),
            _ => drop(parts.images.insert(service.into(), "sha256:1".into())),
        }
    }
    parts
}

#[tokio::test]
async fn the_newest_evidence_and_the_counts_give_the_same_result_as_all_evidence() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let new = async |commit: &'static str| {
        let id = release(&store, by, commit).await;
        let images =
            [("web".to_owned(), "sha256:1".to_owned()), ("api".to_owned(), "sha256:1".to_owned())].into();
        happened(&store, id, What::Deployed { images, migrations: None }, 10).await.unwrap();
        id
    };
    let (old, current) = (new("aaa").await, new("aaa").await);
    let run = run(&store, "x", 1).await;
    let checks = [check("all", &[]), check("web", &["web"])];
    let release: Release = releases::by_id(store.readers(), current).await.unwrap().unwrap();
    let observed = Observed { parts: release.parts.clone(), ..Observed::default() };
    let mut seed = 7;
    let mut all: Vec<Evidence> = Vec::new();
    for round in 0..40 {
        let mut batch = Vec::new();
        for _ in 0..15 {
            let check = &checks[usize::try_from(dice(&mut seed, 2)).unwrap()];
            let outcomes = [Outcome::Pass, Outcome::Fail, Outcome::Fail, Outcome::Inconclusive];
            let mut found = Evidence {
                id: 0,
                check: check.id.clone(),
                finding: Finding {
                    outcome: outcomes[usize::try_from(dice(&mut seed, 4)).unwrap()],
                    value: None,
                    saw: String::new(),
                    wanted: String::new(),
                    next: String::new(),
                },
                threshold_digest: check.threshold_digest(),
                parts: any_parts(&mut seed),
                release: if dice(&mut seed, 8) == 0 { old } else { current },
                run,
                by,
                at: Millis(1_000 * round),
            };
            if dice(&mut seed, 10) == 0 {
                found.threshold_digest = "another".into();
            }
            // The evidence of an older release ends before this one begins.
            if round > 3 {
                found.release = current;
            }
            batch.push(found);
        }
        let stored = batch.clone();
        let ids: Vec<i64> = write!(store, |tx| {
            let mut ids = Vec::new();
            for found in &stored {
                ids.push(evidence::add(&mut *tx, found).await?);
            }
            Ok::<_, StoreError>(ids)
        })
        .unwrap();
        all.extend(batch.into_iter().zip(ids).map(|(e, id)| Evidence { id, ..e }));
        let held = evidence::for_judging(store.readers(), Some(current), 5).await.unwrap();
        let counts = evidence::failures(store.readers(), &release).await.unwrap();
        let on_release: Vec<Evidence> = all.iter().filter(|e| e.release == current).cloned().collect();
        let say = |evidence: &[Evidence], failures: &[domain::failures::FailureCount], check: &Check| {
            check_state(
                check,
                &Facts {
                    now: Millis(1_000_000),
                    runbook: &Runbook::default(),
                    checks: &checks,
                    attest: &[],
                    findings: &[],
                    rules: Rules::NONE,
                    gate_owners: &BTreeMap::new(),
                    release: Some(&release),
                    evidence,
                    failures,
                    attestations: &[],
                    waivers: &[],
                    acceptances: &[],
                    sign_offs: &[],
                    decisions: &[],
                    observed: &observed,
                    changes: &[],
                    integrity: &[],
                },
            )
        };
        for check in &checks {
            let whole = say(&on_release, &failure_counts(&on_release), check);
            assert_eq!(say(&held, &counts, check), whole, "round {round}, {}", check.id);
        }
    }
}

#[tokio::test]
async fn the_state_of_a_release_follows_its_events_whatever_their_number() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let good = release(&store, by, "aaa").await;
    let ran = What::Deployed { images: images("1"), migrations: None };
    happened(&store, good, ran, 10).await.unwrap();
    happened(&store, good, What::RollbackPoint, 11).await.unwrap();
    for at in 0..150 {
        let next = release(&store, by, "bbb").await;
        let ran = What::Deployed { images: images("2"), migrations: None };
        happened(&store, next, ran, 100 + at).await.unwrap();
        happened(&store, next, What::RolledBackFrom, 100 + at).await.unwrap();
    }
    let held = releases::needed(store.readers(), 3, &[]).await.unwrap();
    let ids: Vec<i64> = held.iter().map(|r| r.id).collect();
    assert!(ids.contains(&good) && ids.len() < 10, "{ids:?}");
    assert_eq!(releases::healthy_last(store.readers(), None).await.unwrap().unwrap().id, good);
    assert_eq!(releases::healthy_last(store.readers(), Some(good)).await.unwrap(), None);
    let named = releases::needed(store.readers(), 3, &[77]).await.unwrap();
    assert!(named.iter().any(|r| r.id == 77), "named releases are included");
    let derived: Vec<(i64, String)> =
        sqlx::query_as("SELECT release, state FROM release_standing ORDER BY release")
            .fetch_all(store.readers())
            .await
            .unwrap();
    assert_eq!(derived.len(), 151);
    assert!(derived.iter().all(|(id, state)| *id == good || state == "rolled_back_from"));
}

#[tokio::test]
async fn the_run_before_a_crash_is_found_among_any_number_of_later_ones() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let one = release(&store, by, "aaa").await;
    let add = async |kind: RunKind, outcome: Option<RunOutcome>| {
        write!(store, |tx| {
            let new = NewRun {
                kind,
                subject: "release 1",
                gate: None,
                title: "t",
                release: Some(one),
                by,
                by_name: "Ada",
                at: Millis(1),
                key: None,
            };
            let id = runs::start(&mut *tx, &new).await?;
            if let Some(outcome) = outcome {
                let ending = Ending { at: Millis(9), outcome, exit: json!({}), result: json!({}) };
                runs::end(tx, id, &ending).await?;
            }
            Ok::<_, StoreError>(id)
        })
        .unwrap()
    };
    let deployed = add(RunKind::Deploy, Some(RunOutcome::Passed)).await;
    let failed = add(RunKind::Rollback, Some(RunOutcome::Failed)).await;
    for _ in 0..300 {
        add(RunKind::Check, Some(RunOutcome::Passed)).await;
    }
    let crashed = add(RunKind::Deploy, None).await;
    let db = store.readers();
    let id = |run: Option<runs::Run>| run.map(|r| r.id);
    assert_eq!(id(runs::last_on_stack(db).await.unwrap()), Some(crashed));
    assert_eq!(id(runs::last_good_on_stack(db, crashed).await.unwrap()), Some(deployed));
    assert_eq!(id(runs::last_passed(db, RunKind::Deploy).await.unwrap()), Some(deployed));
    assert_eq!(id(runs::last_deploy_of(db, one).await.unwrap()), Some(crashed));
    let on_stack: Vec<i64> = runs::on_stack_of(db, &[one], 10).await.unwrap().iter().map(|r| r.id).collect();
    assert_eq!(on_stack, [crashed, failed, deployed]);
    assert_eq!(runs::active(db).await.unwrap().len(), 1);
    assert_eq!(runs::usual_ms(db, RunKind::Deploy, "release 9").await.unwrap(), Some(8));
    let filter = Filter { kind: Some(RunKind::Rollback), ..Filter::default() };
    assert_eq!(runs::list(db, filter, 10).await.unwrap().len(), 1);
}

/// Every query of a decision, a write or a page uses an index that also gives the order.
#[tokio::test]
async fn no_query_of_a_decision_reads_a_whole_table() {
    let (_dir, store) = fresh().await;
    let mut conn = raw(&store).await;
    for (query, index) in [
        ("SELECT * FROM run WHERE state = 'running' ORDER BY id DESC", "run_going_on"),
        ("SELECT * FROM run WHERE idempotency_key = 'k'", "sqlite_autoindex_run_1"),
        ("SELECT * FROM evidence WHERE run = 1 ORDER BY id", "evidence_by_run"),
        ("SELECT * FROM evidence_group WHERE release = 1", "PRIMARY KEY"),
        ("SELECT * FROM attestation WHERE release = 1 ORDER BY id", "attestation_by_release"),
        ("SELECT * FROM sign_off WHERE release = 1 ORDER BY id", "sign_off_by_release"),
    ] {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")))
                .fetch_all(&mut conn)
                .await
                .unwrap();
        let words: Vec<&str> = plan.iter().map(|(.., words)| words.as_str()).collect();
        assert!(words.iter().any(|w| w.contains(index)), "{query}: {words:?}");
        assert!(words.iter().all(|w| !w.contains("TEMP B-TREE")), "{query}: {words:?}");
    }
}
