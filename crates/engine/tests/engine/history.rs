//! Old facts that still matter stay on the board, regardless of the number of scheduled checks since then.

use std::collections::BTreeMap;

use domain::evidence::{Evidence, Finding, Outcome};
use domain::release::{ReleaseComponent, ReleaseComponents};
use domain::time::Millis;
use engine::Engine;
use engine::view::{BoardView, RunState};
use serde_json::{Value, json};
use store::evidence;
use store::people::SCHEDULE;
use store::releases::{self, NewRelease, ReleaseEvent, What};
use store::runs::{self, Ending, NewRun, RunKind, RunOutcome};

use crate::support::bench::{Bench, actor, add, board};

/// Number of scheduled runs since then; more than any page shows.
const LATER: i64 = 600;

/// A store that is written to directly, like Stagegate would.
struct History {
    engine: Engine,
    clock: i64,
}

impl History {
    async fn begin(bench: &Bench) -> History {
        let engine = bench.open().await;
        add(&engine, "DevOps", "devops", &[domain::role::Role::DevOps, domain::role::Role::Security]).await;
        let clock = 1_700_000_000_000;
        History { engine, clock }
    }

    fn tick(&mut self) -> Millis {
        self.clock += 1_000;
        Millis(self.clock)
    }

    async fn release(&mut self, parts: &ReleaseComponents) -> i64 {
        let (parts, at, by) = (parts.clone(), self.tick(), actor(&self.engine, "devops").await.id);
        let write = self.engine.store().write(move |tx| {
            Box::pin(async move {
                let new = NewRelease { parts: &parts, subject: "a commit", by, by_name: "DevOps", at };
                releases::open(tx, &new).await
            })
        });
        write.await.unwrap()
    }

    async fn happened(&mut self, release: i64, what: What) {
        let (at, by) = (self.tick(), actor(&self.engine, "devops").await.id);
        let event = ReleaseEvent {
            id: 0,
            release,
            what,
            by,
            by_name: "DevOps".into(),
            at,
            run: None,
            note: String::new(),
        };
        let write =
            self.engine.store().write(move |tx| Box::pin(async move { releases::record(tx, &event).await }));
        write.await.unwrap();
    }

    async fn run(&mut self, kind: RunKind, subject: &str, release: i64, outcome: RunOutcome, result: Value) {
        let (began, ended, subject) = (self.tick(), self.tick(), subject.to_owned());
        let by = actor(&self.engine, "devops").await.id;
        let write = self.engine.store().write(move |tx| {
            Box::pin(async move {
                let new = NewRun {
                    kind,
                    subject: &subject,
                    gate: None,
                    title: &subject,
                    release: Some(release),
                    by,
                    by_name: "DevOps",
                    at: began,
                    key: None,
                };
                let run = runs::start(&mut *tx, &new).await?;
                let ending = Ending { at: ended, outcome, exit: json!({"code": 0}), result };
                runs::end(tx, run, &ending).await
            })
        });
        write.await.unwrap();
    }

    /// Consecutive runs of one check by this person, with their findings.
    async fn checks(
        &mut self,
        check: &str,
        release: i64,
        parts: &ReleaseComponents,
        by: i64,
        found: &[Outcome],
    ) {
        let began = self.clock;
        self.clock += 1_000 * i64::try_from(found.len()).unwrap();
        let (check, parts, found) = (check.to_owned(), parts.clone(), found.to_vec());
        let digest = self.digest_of(&check).await;
        let write = self.engine.store().write(move |tx| {
            Box::pin(async move {
                for (at, outcome) in (began..).step_by(1_000).zip(found) {
                    let new = NewRun {
                        kind: RunKind::Check,
                        subject: "schedule",
                        gate: None,
                        title: "Scheduled",
                        release: Some(release),
                        by,
                        by_name: "Stagegate (schedule)",
                        at: Millis(at),
                        key: None,
                    };
                    let run = runs::start(&mut *tx, &new).await?;
                    let evidence = Evidence {
                        id: 0,
                        check: check.clone(),
                        finding: Finding {
                            outcome,
                            value: None,
                            saw: outcome.slug().to_owned(),
                            wanted: String::new(),
                            next: String::new(),
                        },
                        threshold_digest: digest.clone(),
                        parts: parts.clone(),
                        release,
                        run,
                        by,
                        at: Millis(at),
                    };
                    evidence::add(&mut *tx, &evidence).await?;
                    let ending = Ending {
                        at: Millis(at + 10),
                        outcome: RunOutcome::Passed,
                        exit: json!({"code": 0}),
                        result: json!({}),
                    };
                    runs::end(&mut *tx, run, &ending).await?;
                }
                Ok::<_, store::StoreError>(())
            })
        });
        write.await.unwrap();
    }

    /// The digest of a check's declaration, as the engine computes it.
    async fn digest_of(&self, check: &str) -> String {
        let devops = actor(&self.engine, "devops").await;
        for gate in ["A", "B", "F"] {
            let page = self.engine.gate(&devops, gate).await.unwrap();
            if let Some(view) = page.checks.iter().find(|c| c.check.id == check) {
                return view.check.threshold_digest();
            }
        }
        panic!("there is no check {check}");
    }

    /// The board of a server that starts now.
    async fn board(&self, bench: &Bench) -> (Engine, BoardView) {
        let engine = bench.open().await;
        let board = board(&engine).await;
        (engine, board)
    }
}

fn parts(commit: &str, image: &str) -> ReleaseComponents {
    let images = if image.is_empty() {
        BTreeMap::new()
    } else {
        [("web".to_owned(), format!("sha256:{image}"))].into()
    };
    ReleaseComponents {
        values: [(ReleaseComponent::Commit, commit.to_owned()), (ReleaseComponent::Env, "e".into())].into(),
        images,
    }
}

async fn deployed(history: &mut History, commit: &str, image: &str) -> i64 {
    let release = history.release(&parts(commit, "")).await;
    let images = parts(commit, image).images;
    history.happened(release, What::Deployed { images, migrations: None }).await;
    release
}

#[tokio::test(flavor = "multi_thread")]
async fn what_still_matters_stays_on_the_board_after_600_scheduled_runs() {
    let bench = Bench::new("history");
    let mut history = History::begin(&bench).await;
    let good = deployed(&mut history, "aaa", "1").await;
    history.happened(good, What::RollbackPoint).await;
    let drilled = json!({"drill": {"ok": true, "away_ms": 1_000, "back_ms": 2_000, "message": "Drill done"}});
    history.run(RunKind::Drill, "release 1", good, RunOutcome::Passed, drilled).await;
    let bad = history.release(&parts("bbb", "")).await;
    history.run(RunKind::Step, "A.s1", bad, RunOutcome::Passed, json!({})).await;
    history.happened(bad, What::Failed).await;
    history.run(RunKind::Deploy, "release 2", bad, RunOutcome::Failed, json!({})).await;
    let (_, before) = history.board(&bench).await;
    let of_deploy = before.failed_deploy.clone().unwrap().id;

    let found = vec![Outcome::Pass; usize::try_from(LATER).unwrap()];
    history.checks("note", bad, &parts("bbb", ""), SCHEDULE, &found).await;
    let (engine, after) = history.board(&bench).await;
    assert_eq!(after.failed_deploy.unwrap().id, of_deploy, "the failed deploy");
    assert_eq!(after.rollback.unwrap().target.id, good, "the rollback target");
    let devops = actor(&engine, "devops").await;
    let steps = engine.gate(&devops, "A").await.unwrap().steps;
    let done = steps.iter().find(|s| s.step.id == "A.s1").unwrap();
    assert_eq!(done.last.as_ref().map(|run| run.state), Some(RunState::Passed), "the step that was done");
    assert_ne!(after.next_step.map(|s| s.step.id), Some("A.s1".to_owned()), "it is not a next step again");
    let page = engine.releases(&devops).await.unwrap();
    assert!(page.failed_deploy.is_some());
    assert_eq!(page.drill.result.unwrap().back_ms, 2_000, "the drill and its figures");
    let row = page.releases.iter().find(|r| r.release.id == bad).unwrap();
    assert_eq!(row.runs.iter().map(|r| r.id).collect::<Vec<_>>(), [of_deploy], "the release's own runs");
    let line = |page: &engine::view::OwnershipPage, field: &str| {
        let mut fields = page.lines.iter().flat_map(|l| &l.fields);
        fields.find(|f| f.field.id == field).and_then(|f| f.suggestion.clone())
    };
    let log = engine.ownership(&devops).await.unwrap();
    let drill = log.lines.iter().find(|l| l.line.text.contains("drill")).unwrap();
    let date = line(&log, &drill.fields[0].field.id);
    assert!(date.is_some(), "the ownership log can be filled from the drill");
    // A release that was deployed long ago is still a rollback target, with its name.
    assert!(engine.release(&devops, good).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_over_all_evidence_and_a_streak_has_its_first_day() {
    let bench = Bench::new("streak");
    let mut history = History::begin(&bench).await;
    let release = deployed(&mut history, "aaa", "1").await;
    let on = parts("aaa", "1");
    history.checks("note", release, &on, SCHEDULE, &[Outcome::Fail, Outcome::Fail, Outcome::Pass]).await;
    let since = Millis(history.clock);
    history.checks("note", release, &on, SCHEDULE, &[Outcome::Fail; 400]).await;
    let (_, board) = history.board(&bench).await;
    let item = board.judgement.item("B.1").unwrap();
    assert_eq!(item.checks[0].failures, 402, "sign-offs are bound to the number");
    let blocker = board.judgement.verdict.blockers.iter().find(|b| b.what.starts_with("Gate B")).unwrap();
    assert_eq!(
        blocker.since,
        Some(since),
        "since the first failure, even if it is older than the held evidence"
    );
    history.checks("note", release, &on, SCHEDULE, &[Outcome::Pass]).await;
    let (_, board) = history.board(&bench).await;
    assert_eq!(board.judgement.item("B.1").unwrap().checks[0].failures, 402);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_the_release_counts_again_after_results_for_other_parts() {
    let bench = Bench::new("revive");
    let mut history = History::begin(&bench).await;
    let release = deployed(&mut history, "aaa", "1").await;
    let devops = actor(&history.engine, "devops").await;
    history.checks("note", release, &parts("aaa", "1"), devops.id, &[Outcome::Pass]).await;
    // The checkout was a different one for a while.
    history.checks("note", release, &parts("zzz", "1"), SCHEDULE, &[Outcome::Fail; 200]).await;
    let (engine, board) = history.board(&bench).await;
    let item = board.judgement.item("B.1").unwrap();
    let bound = domain::release::ReleaseComponent::Commit;
    let check = engine.gate(&devops, "B").await.unwrap().checks[0].check.clone();
    if check.binds.contains(&bound) {
        assert!(item.is_satisfied(), "{:?}", item.status);
        assert_eq!(item.checks[0].failures, 0, "a failure for other parts is no failure of this release");
    }
    // A person who ran a check once cannot waive it, even after later runs of others.
    let page = engine.gate(&devops, "B").await.unwrap();
    assert!(page.not_waivable.iter().any(|(item, _)| item == "B.1"), "{:?}", page.not_waivable);
}
