//! Completes runs that have ended: findings become evidence, a deploy or rollback becomes an event of the release. Done
//! once per run, also for runs that ended while no server was running.

use domain::evidence::{Evidence, Outcome as Found};
use domain::release::ReleaseComponents;
use serde_json::Value;

use crate::Engine;
use crate::assessment::snapshot::changes_the_stack;
use crate::background::follow_ups::not_done_event;
use crate::background::incident;
use crate::background::recovery::needs_recovery;
use crate::error::Error;
use orchestrator::Journal;
use runbook::OnFailedDeploy;
use runner::{self, Exit, Reader, RunDir, RunnerError, State, Status, reconcile};
use store::audit::{self, AuditAction, Event, Outcome};
use store::releases::{self, ReleaseEvent, What};
use store::run_follow_ups::{self, FollowUpKind};
use store::runs::{self, Ending, Run, RunKind, RunOutcome};
use store::{self, StoreError, migration_lists};
use supervisor::sum_up;
use supervisor::{CheckFinding, Findings, INCONCLUSIVE, Job, Work};
use system::files::off_thread;

/// Why the end of a run could not be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompletionError {
    /// It has not ended: its supervisor is running.
    #[error("the run is still in progress")]
    Running,
    /// The store is closed: the next server continues.
    #[error("Stagegate is shutting down")]
    Closed,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// The files of the run cannot be read.
    #[error(transparent)]
    Files(#[from] RunnerError),
    /// A file of the run can be read, but not parsed.
    #[error("the {what} of the run cannot be understood")]
    Malformed {
        /// The file.
        what: &'static str,
        /// The parser's reason.
        #[source]
        source: serde_json::Error,
    },
}

impl From<StoreError> for CompletionError {
    fn from(error: StoreError) -> CompletionError {
        match error {
            StoreError::Closed => CompletionError::Closed,
            error => CompletionError::Store(error),
        }
    }
}

impl CompletionError {
    /// Whether a retry may succeed: after a full disk or a busy store. Damage, missing files and violated constraints
    /// are permanent.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            CompletionError::Running | CompletionError::Closed => true,
            CompletionError::Store(error) => {
                matches!(error, StoreError::Full | StoreError::Busy | StoreError::Io(_)) && !error.is_damage()
            }
            CompletionError::Files(error) => error.is_transient(),
            CompletionError::Malformed { .. } => false,
        }
    }
}

/// How a run ended, as far as it is known.
enum RunEnd {
    Seen(Box<End>),
    /// Unknown, for this reason; `began` is false if it certainly did nothing.
    Unseen {
        because: String,
        began: bool,
    },
}

/// A follow-up of a run, or the reason why it cannot be done.
struct Next {
    kind: FollowUpKind,
    cannot: Option<String>,
}

impl From<FollowUpKind> for Next {
    fn from(kind: FollowUpKind) -> Next {
        Next { kind, cannot: None }
    }
}

impl Engine {
    /// Resumes the runs that continued or ended while no server was running, and their follow-ups.
    pub(crate) async fn resume_runs(&self) -> Result<(), Error> {
        for (run, _) in runs::running(self.store().readers()).await? {
            // One run that cannot be read must not keep the server from starting.
            if let Ok(dir) = self.run_dir(run).await
                && let Err(error) = reconcile(dir.path()).await
            {
                tracing::error!(run, %error, "a run could not be checked after the start");
            }
            self.watch(run);
        }
        if let Err(error) = self.adopt_interrupted().await {
            tracing::error!(%error, "could not check whether an interrupted run requires recovery");
        }
        self.carry_out_follow_ups();
        Ok(())
    }

    /// Stores the end of a run and its follow-ups in one transaction, and starts the follow-ups.
    pub(crate) async fn complete(&self, id: i64) -> Result<(), CompletionError> {
        let Some(run) = runs::by_id(self.store().readers(), id).await? else {
            return Ok(());
        };
        // Otherwise another process has completed it.
        if run.state == runs::RunState::Running {
            // Otherwise a changed row could make its results count for another check, person or release.
            let end = if self.is_vouched(id).await? { self.read_end(id).await? } else { changed() };
            self.store_run_end(&run, end).await?;
        }
        self.refresh_or_later().await;
        self.look_again();
        self.carry_out_follow_ups();
        Ok(())
    }

    /// Marks a run as interrupted because its end cannot be read or stored.
    pub(crate) async fn give_up(&self, id: i64, error: &CompletionError) -> Result<(), CompletionError> {
        let because = error.to_string();
        if let Ok(Some(dir)) = self.find_run_dir(id).await {
            runner::end_leftovers(&dir).await;
        }
        let whole = match runs::by_id(self.store().readers(), id).await {
            Ok(Some(run)) => {
                let end = RunEnd::Unseen { because: because.clone(), began: true };
                self.store_run_end(&run, end).await
            }
            Ok(None) => return Ok(()),
            Err(error) => Err(error.into()),
        };
        match whole {
            Err(error) if !error.is_transient() => {
                // The interruption cannot be stored with its consequences. At least the run must not stay "running".
                tracing::error!(run = id, error = ?error, "the end of an interrupted run cannot be stored completely; storing only its row");
                let now = self.now();
                let mut event =
                    Event::new(now, None, AuditAction::RunEnd, format!("run {id}")).in_run(Some(id));
                event = event.outcome(Outcome::Failed).detail(interrupted_words(Some(&because)));
                self.store()
                    .write(move |tx| {
                        Box::pin(async move {
                            if runs::interrupt(&mut *tx, id, &because, now).await? {
                                audit::append(tx, &event).await?;
                            }
                            Ok::<_, StoreError>(())
                        })
                    })
                    .await?;
            }
            other => other?,
        }
        self.refresh_or_later().await;
        self.look_again();
        self.carry_out_follow_ups();
        Ok(())
    }

    async fn store_run_end(&self, run: &Run, end: RunEnd) -> Result<(), CompletionError> {
        let (next, journal) = self.what_follows(run, &end).await;
        let (record, now) = (run.clone(), self.now());
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    let (end, next) = match end {
                        // Changed after it was read.
                        RunEnd::Seen(_) if !audit::vouches_for(&mut *tx, "run", record.id).await? => {
                            (changed(), vec![])
                        }
                        end => (end, next),
                    };
                    let is_first = match end {
                        RunEnd::Unseen { because, began } => {
                            interrupted(&mut *tx, &record, journal, &because, began, now).await?
                        }
                        RunEnd::Seen(end) => store_end(&mut *tx, &record, *end, now).await?,
                    };
                    if is_first {
                        add_follow_ups(tx, &record, &next, now).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        Ok(())
    }

    /// Whether the row of a run is as Stagegate wrote it when the run began.
    async fn is_vouched(&self, run: i64) -> Result<bool, StoreError> {
        let mut conn = self.store().readers().acquire().await?;
        audit::vouches_for(&mut conn, "run", run).await
    }

    /// The follow-ups of a run, and its journal if the end of the run is unknown.
    async fn what_follows(&self, run: &Run, end: &RunEnd) -> (Vec<Next>, Option<Journal>) {
        if !changes_the_stack(run.kind) {
            return (vec![], None);
        }
        let journal = match (self.journal_of(run).await, end) {
            (Ok(journal), _) => journal,
            (Err(error), RunEnd::Unseen { .. }) => {
                let cannot = Some(format!(
                    "the journal of the run cannot be read ({error}); check the state of the stack"
                ));
                return (vec![Next { kind: FollowUpKind::Recovery, cannot }], None);
            }
            (Err(error), RunEnd::Seen(_)) => {
                tracing::error!(run = run.id, %error, "the journal of a run cannot be read");
                None
            }
        };
        let end = match end {
            RunEnd::Unseen { .. } => {
                let recovery = needs_recovery(run, journal.as_ref()).then_some(FollowUpKind::Recovery);
                return (recovery.into_iter().map(Next::from).collect(), journal);
            }
            RunEnd::Seen(end) => end,
        };
        let findings = &end.findings;
        let mut next: Vec<Next> = Vec::new();
        // If the Docker engine was unreachable, the result of the run says nothing about the release.
        if journal.is_some_and(|journal| !journal.succeeded()) && !self.engine_is_there().await {
            next.push(FollowUpKind::Recovery.into());
        } else if run.kind == RunKind::Deploy
            && findings.deploy.as_ref().is_none_or(|d| !d.ok)
            && !matches!(end.exit, Exit::Cancelled { .. })
            && self.stack().on_failed_deploy == OnFailedDeploy::Rollback
        {
            next.push(FollowUpKind::AutomaticRollback.into());
        }
        let succeeded = findings.deploy.as_ref().is_some_and(|d| d.ok)
            || findings.rollback.as_ref().is_some_and(|r| r.ok);
        if succeeded && run.kind != RunKind::Drill && !self.checks_after_deploy().is_empty() {
            next.push(FollowUpKind::Validation.into());
        }
        (next, None)
    }

    /// The directory of a run; `None` if it certainly does not exist.
    pub(crate) async fn find_run_dir(&self, id: i64) -> Result<Option<RunDir>, RunnerError> {
        let runs = self.paths().runs.clone();
        off_thread(move || RunDir::find(&runs, &id.to_string())).await.map_err(unreadable)?
    }

    /// Reads how a run ended.
    async fn read_end(&self, id: i64) -> Result<RunEnd, CompletionError> {
        let Some(dir) = self.find_run_dir(id).await? else {
            return Ok(RunEnd::Unseen { because: "its directory does not exist".to_owned(), began: false });
        };
        let status: Status = reconcile(dir.path()).await?;
        let (exit, ended_at_ms) = match status.state {
            State::Ended { exit, ended_at_ms } => (exit, ended_at_ms),
            State::Interrupted => {
                let began = status.started_at_ms.is_some();
                let because = if began {
                    "its supervisor ended without a report"
                } else {
                    "its supervisor did not start"
                };
                return Ok(RunEnd::Unseen { because: because.to_owned(), began });
            }
            // It may still be running.
            State::Starting | State::Running => return Err(CompletionError::Running),
        };
        let read = move || Ok::<_, RunnerError>((Reader::open(dir.path())?.result()?, dir.plan()?));
        let (result, plan) = off_thread(read).await.map_err(unreadable)??;
        let result = result.unwrap_or(Value::Null);
        let malformed = |what| move |source| CompletionError::Malformed { what, source };
        let findings: Option<Findings> =
            serde_json::from_value(result.clone()).map_err(malformed("result"))?;
        let job: Job = serde_json::from_value(plan.work).map_err(malformed("plan"))?;
        let keeps_schema = matches!(&job.work, Work::Rollback { rollback, .. } if rollback.keeps_schema());
        let at = domain::time::Millis(i64::try_from(ended_at_ms).unwrap_or(i64::MAX));
        let findings = findings.unwrap_or_default();
        Ok(RunEnd::Seen(Box::new(End { exit, at, result, findings, parts: job.parts, keeps_schema })))
    }
}

/// The end of a run whose row was added or changed outside of Stagegate.
fn changed() -> RunEnd {
    RunEnd::Unseen { because: "its record was changed outside of Stagegate".to_owned(), began: true }
}

/// The runtime is shutting down: the next server reads the run.
fn unreadable(error: std::io::Error) -> RunnerError {
    RunnerError::io("read the run", std::path::Path::new(""))(error)
}

/// The message for a run whose end is unknown.
pub(crate) fn interrupted_words(because: Option<&str>) -> String {
    match because {
        Some(because) => format!("interrupted, outcome unknown: {because}"),
        None => "interrupted, outcome unknown".to_owned(),
    }
}

async fn add_follow_ups(
    tx: &mut store::Connection,
    run: &Run,
    next: &[Next],
    now: domain::time::Millis,
) -> Result<(), StoreError> {
    for Next { kind, cannot } in next {
        let added = run_follow_ups::add(&mut *tx, run.id, *kind, now).await?;
        if let (Some(id), Some(because)) = (added, cannot) {
            run_follow_ups::not_done(&mut *tx, id, because, now).await?;
            audit::append(&mut *tx, &not_done_event(*kind, run, now, because)).await?;
        }
    }
    Ok(())
}

struct End {
    exit: Exit,
    at: domain::time::Millis,
    result: Value,
    findings: Findings,
    parts: ReleaseComponents,
    /// The run was a rollback that left the database as it was.
    keeps_schema: bool,
}

/// The outcome of a run. A step that is judged by checks has their outcome, so that run and evidence never differ.
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
        actor: Some(run.by),
        actor_name: run.by_name.clone(),
        ..Event::new(at, None, AuditAction::end_of(run.kind), run.subject.clone())
    }
    .on_release(run.release)
    .in_run(Some(run.id))
    .outcome(outcome)
    .detail(detail)
}

async fn interrupted(
    tx: &mut store::Connection,
    run: &Run,
    journal: Option<Journal>,
    because: &str,
    began: bool,
    now: domain::time::Millis,
) -> Result<bool, StoreError> {
    if !runs::interrupt(&mut *tx, run.id, because, now).await? {
        return Ok(false);
    }
    if !began {
        // The follow-up that started it has to start another run.
        run_follow_ups::reopen(&mut *tx, run.id, because, 1).await?;
    } else {
        let because = format!("run {} was interrupted: {because}", run.id);
        run_follow_ups::retry_migration_list(&mut *tx, run.id, &because, now).await?;
    }
    let mut detail = interrupted_words(Some(because));
    if run.kind == RunKind::Deploy
        && let Some(release) = run.release
    {
        let what = match journal.filter(Journal::succeeded) {
            // It was interrupted after all services were healthy: the new release runs, only smoke checks are missing.
            Some(journal) => {
                detail =
                    "interrupted after every service was healthy; the smoke checks did not run".to_owned();
                What::Deployed { images: journal.images, migrations: None }
            }
            None => What::Failed,
        };
        releases::record(&mut *tx, &release_event(run, release, what, now)).await?;
    }
    audit::append(tx, &audit_event(run, now, Outcome::Failed, detail)).await.map(|_| true)
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
    tx: &mut store::Connection,
    run: &Run,
    end: End,
    now: domain::time::Millis,
) -> Result<bool, StoreError> {
    let End { exit, at, result, findings, mut parts, keeps_schema } = end;
    let outcome = outcome_of(run, &exit, &findings.checks);
    let ending = Ending { at, outcome, exit: serde_json::to_value(&exit).unwrap_or_default(), result };
    if !runs::end(&mut *tx, run.id, &ending).await? {
        return Ok(false);
    }
    if findings.migrations.is_none() && !matches!(exit, Exit::Cancelled { .. }) {
        let because = format!("run {} did not list the migrations ({exit})", run.id);
        run_follow_ups::retry_migration_list(&mut *tx, run.id, &because, now).await?;
    }
    if let Some(release) = run.release {
        if run.kind == RunKind::Deploy {
            let what = deployed(&findings);
            if let What::Deployed { images, .. } = &what {
                parts.images = images.clone();
            }
            releases::record(&mut *tx, &release_event(run, release, what, at)).await?;
        }
        if run.kind == RunKind::Rollback {
            let from = releases::ran_last(&mut *tx).await?;
            incident::open(&mut *tx, run, from.as_ref(), &findings, at).await?;
        }
        if findings.rollback.as_ref().is_some_and(|r| r.ok) {
            record_rollback(&mut *tx, run, release, keeps_schema, at).await?;
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
    let detail = what_happened(&findings, &exit);
    let audited = match outcome {
        RunOutcome::Passed => Outcome::Done,
        _ => Outcome::Failed,
    };
    audit::append(tx, &audit_event(run, now, audited, detail)).await.map(|_| true)
}

/// What a deploy did to its release.
fn deployed(findings: &Findings) -> What {
    match findings.deploy.as_ref().filter(|d| d.ok && !d.images.is_empty()) {
        Some(d) => What::Deployed { images: d.images.clone(), migrations: d.migrations.clone() },
        None => What::Failed,
    }
}

/// Records a successful rollback on the release that ran before, and on its target.
async fn record_rollback(
    tx: &mut store::Connection,
    run: &Run,
    target: i64,
    keeps_schema: bool,
    at: domain::time::Millis,
) -> Result<(), StoreError> {
    let mut migrations = None;
    let from = releases::ran_last(&mut *tx).await?.filter(|r| r.id != target);
    if let Some(from) = from {
        releases::record(&mut *tx, &release_event(run, from.id, What::RolledBackFrom, at)).await?;
        migrations = from.migrations.filter(|_| keeps_schema);
    }
    let what = What::RolledBackTo { migrations };
    releases::record(&mut *tx, &release_event(run, target, what, at)).await.map(|_| ())
}

/// One line for the audit log.
fn what_happened(findings: &Findings, exit: &Exit) -> String {
    let message = findings.deploy.as_ref().map(|d| &d.message);
    let message = message.or(findings.rollback.as_ref().map(|r| &r.message));
    let message = message.or(findings.drill.as_ref().map(|d| &d.message));
    match message {
        Some(message) => message.clone(),
        None if findings.checks.is_empty() => exit.to_string(),
        None => format!("{}; {exit}", sum_up(&findings.checks)),
    }
}
