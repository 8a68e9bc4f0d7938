//! What happens when a run ends: its findings become evidence, a deploy or rollback becomes an event of
//! the release. Done once for each run, also for those that ended while no server ran.

use domain::evidence::{Evidence, Outcome as Found};
use domain::release::Parts;
use serde_json::Value;

use crate::Engine;
use crate::acts::{Ctx, Return};
use crate::audit::{self, Event, Outcome};
use crate::compose::Journal;
use crate::error::Error;
use crate::incident;
use crate::known::changes_the_stack;
use crate::run_all::sum_up;
use crate::runbook::OnFailedDeploy;
use crate::runner::{Exit, Reader, State, Status, reconcile};
use crate::store::releases::{self, ReleaseEvent, What};
use crate::store::runs::{self, Ending, Run, RunKind, RunOutcome};
use crate::store::{self, StoreError, migration_lists};
use crate::work::{CheckFinding, Findings, INCONCLUSIVE, Job, Work};

impl Engine {
    /// Follows a run until it is over, then takes in what it found.
    pub(crate) fn watch(&self, id: i64) {
        let engine = self.clone();
        tokio::spawn(async move {
            if let Some(mut tip) = engine.run_tip(id) {
                let mut seen = tokio::time::Instant::now();
                while !tip.borrow_and_update().state.is_over() {
                    if tip.changed().await.is_err() {
                        break;
                    }
                    // Progress shows on the board; output alone does not concern it.
                    if seen.elapsed() > std::time::Duration::from_millis(300) {
                        seen = tokio::time::Instant::now();
                        engine.bump();
                    }
                }
            }
            // The disk may be full just now: what ended is taken in as soon as it can be.
            let mut pause = 1;
            while let Err(error) = engine.take_in(id).await {
                tracing::error!(run = id, %error, "what a run found could not be stored yet");
                tokio::time::sleep(std::time::Duration::from_secs(pause)).await;
                pause = (pause * 2).min(60);
            }
        });
    }

    /// Takes up the runs that went on (or ended) while no server ran.
    pub(crate) async fn take_up(&self) -> Result<(), Error> {
        for run in runs::active(self.store().readers()).await? {
            // One run that cannot be read must not keep the server from starting.
            if let Ok(dir) = self.run_dir(run.id)
                && let Err(error) = reconcile(dir.path()).await
            {
                tracing::error!(run = run.id, %error, "a run could not be looked at");
            }
            self.watch(run.id);
        }
        self.recover_what_was_left();
        Ok(())
    }

    async fn take_in(&self, id: i64) -> Result<(), Error> {
        let Some(run) = runs::by_id(self.store().readers(), id).await? else {
            return Ok(());
        };
        if run.state != runs::RunState::Running {
            // Another process took it in.
            return self.refresh().await;
        }
        let ended = self.read_end(id).await?;
        let follow_up = ended.as_ref().is_some_and(|e| {
            run.kind == RunKind::Deploy
                && e.findings.deploy.as_ref().is_none_or(|d| !d.ok)
                && !matches!(e.exit, Exit::Cancelled { .. })
        });
        let journal = self.journal_of(&run);
        // How it ended while the engine was away says nothing about the release.
        let lost = changes_the_stack(run.kind)
            && journal.as_ref().is_some_and(|journal| !journal.succeeded())
            && (ended.is_none() || !self.engine_is_there().await);
        let went_well = ended.as_ref().is_some_and(|e| {
            e.findings.deploy.as_ref().is_some_and(|d| d.ok)
                || e.findings.rollback.as_ref().is_some_and(|r| r.ok)
        });
        let now = self.now();
        let record = run.clone();
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    match ended {
                        None => interrupted(tx, &record, journal, now).await,
                        Some(end) => store_end(tx, &record, end, now).await,
                    }
                })
            })
            .await
            .map_err(|e: StoreError| Error::from(e))?;
        self.refresh().await?;
        self.look_again();
        if went_well {
            self.validate_after(&run).await;
        }
        if lost {
            self.recover(&run);
        } else if follow_up && self.stack().on_failed_deploy == OnFailedDeploy::Rollback {
            self.return_by_itself(&run).await;
        }
        Ok(())
    }

    /// How a run ended; `None` when nobody knows.
    async fn read_end(&self, id: i64) -> Result<Option<End>, Error> {
        let Ok(dir) = self.run_dir(id) else { return Ok(None) };
        let status: Status = reconcile(dir.path()).await?;
        let (exit, ended_at_ms) = match status.state {
            State::Ended { exit, ended_at_ms } => (exit, ended_at_ms),
            State::Interrupted => return Ok(None),
            // Its end was not seen, which is not to say that there was one.
            State::Starting | State::Running => {
                return Err(Error::unavailable(format!("Run {id} goes on.")));
            }
        };
        let result = Reader::open(dir.path())?.result()?.unwrap_or(Value::Null);
        let findings: Findings = serde_json::from_value(result.clone()).unwrap_or_default();
        let job = dir.plan().ok().and_then(|p| serde_json::from_value::<Job>(p.work).ok());
        let keeps_schema = matches!(
            job.as_ref().map(|j| &j.work),
            Some(Work::Rollback { rollback, .. }) if rollback.keeps_schema()
        );
        let parts = job.map(|j| j.parts).unwrap_or_default();
        let at = domain::time::Millis(i64::try_from(ended_at_ms).unwrap_or(i64::MAX));
        Ok(Some(End { exit, at, result, findings, parts, keeps_schema }))
    }

    /// The stack asks for it: a failed deploy goes back to the last good release, in the name of
    /// whoever deployed.
    async fn return_by_itself(&self, run: &Run) {
        let Some(actor) = self.actor(run.by) else { return };
        let judged = self.judged();
        let Some(offer) = judged.rollbacks(&actor).into_iter().next() else { return };
        let ctx = Ctx { actor, key: format!("return-after-run-{}", run.id), ip: String::new() };
        if let Err(error) = self.roll_back(&ctx, &Return::to(offer.target.id)).await {
            tracing::error!(run = run.id, %error, "the automatic return did not start");
        }
    }
}

struct End {
    exit: Exit,
    at: domain::time::Millis,
    result: Value,
    findings: Findings,
    parts: Parts,
    /// The run was a rollback that left the database as it was.
    keeps_schema: bool,
}

/// The word for how a run ended. A step that its checks judge ends as they say, so that run and evidence never
/// differ in word.
fn outcome_of(run: &Run, exit: &Exit, checks: &[CheckFinding]) -> RunOutcome {
    let any = |outcome| checks.iter().any(|c| c.finding.outcome == outcome);
    match exit {
        Exit::Code(_) if run.kind == RunKind::Step && any(Found::Fail) => RunOutcome::Failed,
        Exit::Code(_) if run.kind == RunKind::Step && any(Found::Inconclusive) => RunOutcome::Inconclusive,
        Exit::Code(0) => RunOutcome::Passed,
        Exit::Code(code) if *code == INCONCLUSIVE && run.kind == RunKind::Check => RunOutcome::Inconclusive,
        Exit::Cancelled { .. } => RunOutcome::Cancelled,
        _ => RunOutcome::Failed,
    }
}

fn audit_event(run: &Run, at: domain::time::Millis, outcome: Outcome, detail: String) -> Event {
    Event {
        at,
        actor: Some(run.by),
        actor_name: run.by_name.clone(),
        act: format!("{}.end", run.kind.slug()),
        subject: run.subject.clone(),
        release: run.release,
        run: Some(run.id),
        intent: None,
        outcome,
        detail,
    }
}

async fn interrupted(
    tx: &mut sqlx::SqliteConnection,
    run: &Run,
    journal: Option<Journal>,
    now: domain::time::Millis,
) -> Result<(), StoreError> {
    if !runs::interrupt(&mut *tx, run.id, now).await? {
        return Ok(());
    }
    let mut detail = "interrupted, outcome unknown".to_owned();
    if run.kind == RunKind::Deploy
        && let Some(release) = run.release
    {
        let what = match journal.filter(Journal::succeeded) {
            // It died after its last service was well: the new release runs, only its smoke checks are missing.
            Some(journal) => {
                detail = "interrupted after every service was well; its smoke checks did not run".to_owned();
                What::Deployed { images: journal.images, migrations: None }
            }
            None => What::Failed,
        };
        releases::record(&mut *tx, &release_event(run, release, what, now)).await?;
    }
    audit::append(tx, &audit_event(run, now, Outcome::Failed, detail)).await.map(|_| ())
}

fn release_event(run: &Run, release: i64, what: What, at: domain::time::Millis) -> ReleaseEvent {
    ReleaseEvent {
        id: 0,
        release,
        what,
        by: run.by,
        by_name: run.by_name.clone(),
        at,
        run: Some(run.id),
        note: String::new(),
    }
}

async fn store_end(
    tx: &mut sqlx::SqliteConnection,
    run: &Run,
    end: End,
    now: domain::time::Millis,
) -> Result<(), StoreError> {
    let End { exit, at, result, findings, mut parts, keeps_schema } = end;
    let outcome = outcome_of(run, &exit, &findings.checks);
    let ending = Ending { at, outcome, exit: serde_json::to_value(&exit).unwrap_or_default(), result };
    if !runs::end(&mut *tx, run.id, &ending).await? {
        return Ok(());
    }
    let mut detail = exit.to_string();
    if let Some(release) = run.release {
        if run.kind == RunKind::Deploy {
            let deployed = findings.deploy.as_ref().filter(|d| d.ok && !d.images.is_empty());
            let what = match deployed {
                Some(d) => {
                    parts.images = d.images.clone();
                    What::Deployed { images: d.images.clone(), migrations: d.migrations.clone() }
                }
                None => What::Failed,
            };
            releases::record(&mut *tx, &release_event(run, release, what, at)).await?;
        }
        if run.kind == RunKind::Rollback {
            let from = releases::ran_last(&mut *tx).await?;
            incident::open(&mut *tx, run, from.as_ref(), &findings, at).await?;
        }
        if findings.rollback.as_ref().is_some_and(|r| r.ok) {
            let mut migrations = None;
            let from = releases::ran_last(&mut *tx).await?.filter(|r| r.id != release);
            if let Some(from) = from {
                let what = What::RolledBackFrom;
                releases::record(&mut *tx, &release_event(run, from.id, what, at)).await?;
                migrations = from.migrations.filter(|_| keeps_schema);
            }
            let what = What::RolledBackTo { migrations };
            releases::record(&mut *tx, &release_event(run, release, what, at)).await?;
        }
        if let Some(names) = &findings.migrations {
            migration_lists::add(&mut *tx, release, run.id, names, at).await?;
        }
        for found in &findings.checks {
            let evidence = Evidence {
                id: 0,
                check: found.check.clone(),
                finding: found.finding.clone(),
                threshold_digest: found.threshold_digest.clone(),
                parts: parts.clone(),
                release,
                run: run.id,
                by: run.by,
                at,
            };
            store::evidence::add(&mut *tx, &evidence).await?;
        }
    }
    let message = findings.deploy.as_ref().map(|d| &d.message);
    let message = message.or(findings.rollback.as_ref().map(|r| &r.message));
    let message = message.or(findings.drill.as_ref().map(|d| &d.message));
    if let Some(message) = message {
        detail = message.clone();
    } else if !findings.checks.is_empty() {
        detail = format!("{}; {detail}", sum_up(&findings.checks));
    }
    let audited = match outcome {
        RunOutcome::Passed => Outcome::Done,
        _ => Outcome::Failed,
    };
    audit::append(tx, &audit_event(run, now, audited, detail)).await.map(|_| ())
}
