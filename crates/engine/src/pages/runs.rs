//! Runs: lists, a run's page, its log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::action::Action;
use domain::evidence::Outcome;
use domain::facts::Actor;
use domain::log::LogLine;
use domain::observed::Service;
use domain::paging::Cursor;

use crate::Engine;
use crate::assessment::snapshot::changes_the_stack;
use crate::assessment::{Assessment, all, when};
use crate::background::follow_ups::follow_up_view;
use crate::background::run_completion::interrupted_words;
use crate::error::Error;
use crate::view::{FailingService, RunPage, RunState, RunView, RunsPage};
use runner::{Exit, Reader, RunDir, Tip};
use store::runs::{self, Run, RunKind, RunOutcome};
use store::{self, StoreError, paging, retention, run_follow_ups};
use supervisor::sum_up;
use supervisor::{Findings, Job, Work};
use system::files::off_thread;

/// Runs on a page of the list.
const ROWS: u32 = 50;
/// How many of the last lines a page shows without WASM.
const TAIL: usize = 500;
/// Longest line shown, bytes; the raw log has the complete line.
const LINE: usize = runner::FOLD_BYTES;

impl Engine {
    /// A page of the runs, of one kind or of all.
    pub async fn runs(
        &self,
        _actor: &Actor,
        kind: Option<RunKind>,
        cursor: Cursor,
    ) -> Result<RunsPage, Error> {
        let assessment = self.assessment();
        let progress = self.progress(&assessment).await;
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let list = if kind.is_some() { paging::RUNS_OF_KIND } else { paging::RUNS };
        let (ids, pages) = paging::page(&mut db, list, kind.map(RunKind::slug), cursor, ROWS).await?;
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            rows.extend(
                runs::by_id(&mut *db, id).await?.map(|run| self.run_view(&assessment, &run, &progress)),
            );
        }
        Ok(RunsPage { rows, pages })
    }

    /// A run's page.
    pub async fn run(&self, actor: &Actor, id: i64) -> Result<RunPage, Error> {
        let assessment = self.assessment();
        let run = self.find_run(id).await?;
        let progress = self.progress(&assessment).await;
        let mut view = self.run_view(&assessment, &run, &progress);
        view.expected_ms = runs::usual_ms(self.store().readers(), run.kind, &run.subject).await?;
        let findings = findings(&run);
        let (lines, tail) = match self.run_dir(id).await {
            Ok(dir) => off_thread(move || last_lines(&dir)).await.map_err(Error::internal)??,
            Err(_) => (0, vec![]),
        };
        let deploy = findings.deploy.as_ref();
        let drill = findings.drill.as_ref();
        // Of a drill the last rollback counts: it decides which release runs now.
        let last_rollback = drill.and_then(|d| d.back.as_ref().or(d.away.as_ref()));
        let rollback = findings.rollback.as_ref().or(last_rollback);
        let failing = deploy
            .map(|d| &d.failing)
            .or(rollback.map(|r| &r.failing))
            .map(|list| {
                list.iter()
                    .map(|f| FailingService {
                        name: f.name.clone(),
                        health: f.health.label().to_owned(),
                        last_lines: f.last_lines.clone(),
                    })
                    .collect()
            })
            .unwrap_or_default();
        let proof = rollback
            .map(|r| {
                r.proof.iter().map(|p| (p.service.clone(), p.expected.clone(), p.actual.clone())).collect()
            })
            .unwrap_or_default();
        let did_not_pass =
            changes_the_stack(run.kind) && !matches!(view.state, RunState::Running | RunState::Passed);
        Ok(RunPage {
            pruned_at: retention::run_pruned_at(self.store().readers(), id).await?,
            command: self.command_of(&run).await,
            exit: run.exit.as_ref().and_then(exit_of).map(|e| e.to_string()),
            lines,
            tail,
            evidence: store::evidence::of_run(self.store().readers(), id).await?,
            failing,
            proof,
            cancel: all([
                assessment.may(actor, Action::CancelRun),
                when(view.state == RunState::Running, || "This run has ended.".to_owned()),
            ]),
            follow_ups: run_follow_ups::of_run(self.store().readers(), id)
                .await?
                .iter()
                .map(follow_up_view)
                .collect(),
            rollback: if did_not_pass { assessment.rollbacks(actor).into_iter().next() } else { None },
            run: view,
        })
    }

    /// Lines `from..from+n` of a run's log, and how many there are.
    pub async fn run_lines(&self, id: i64, from: u64, n: usize) -> Result<(u64, Vec<LogLine>), Error> {
        let dir = self.run_dir(id).await?;
        let read = move || -> Result<(u64, Vec<LogLine>), Error> {
            let reader = reader(&dir)?;
            Ok((reader.count()?, reader.lines(from, n, LINE)?))
        };
        tokio::task::spawn_blocking(read).await.map_err(Error::internal)?
    }

    /// The raw log of a run, secrets masked.
    pub async fn run_log_path(&self, id: i64) -> Result<PathBuf, Error> {
        let dir = self.run_dir(id).await?;
        let reader = off_thread(move || reader(&dir)).await.map_err(Error::internal)??;
        Ok(reader.log_path())
    }

    /// Reports growth and end of a run that exists on disk.
    pub async fn run_tip(&self, id: i64) -> Option<tokio::sync::watch::Receiver<Tip>> {
        let (engine, dir) = (self.clone(), self.run_dir(id).await.ok()?);
        off_thread(move || engine.tails().follow(dir.path()).ok()).await.ok().flatten()
    }

    pub(crate) async fn run_dir(&self, id: i64) -> Result<RunDir, Error> {
        let runs = self.paths().runs.clone();
        let found = off_thread(move || RunDir::of(&runs, &id.to_string()));
        found.await.map_err(Error::internal)?.map_err(|_| Error::not_found(format!("The log of run {id}")))
    }

    async fn find_run(&self, id: i64) -> Result<Run, Error> {
        runs::by_id(self.store().readers(), id).await?.ok_or_else(|| Error::not_found(format!("Run {id}")))
    }

    pub(crate) fn run_view(&self, assessment: &Assessment, run: &Run, progress: &Progress) -> RunView {
        let state = match run.state {
            runs::RunState::Running => RunState::Running,
            runs::RunState::Interrupted => RunState::Interrupted,
            runs::RunState::Ended(RunOutcome::Passed) => RunState::Passed,
            runs::RunState::Ended(RunOutcome::Failed) => RunState::Failed,
            runs::RunState::Ended(RunOutcome::Inconclusive) => RunState::Inconclusive,
            runs::RunState::Ended(RunOutcome::Cancelled) => RunState::Cancelled,
        };
        let (summary, services) =
            if state == RunState::Running { progress.of(run.id) } else { summary(run, state) };
        RunView {
            id: run.id,
            kind: run.kind,
            subject: run.subject.clone(),
            title: run.title.clone(),
            release: run.release,
            by_name: run.by_name.clone(),
            started_at: run.started_at,
            ended_at: run.ended_at,
            state,
            summary,
            expected_ms: assessment.snapshot.expected_ms(run),
            services,
        }
    }

    /// The progress reports of runs in progress, read before a page is built.
    pub(crate) async fn progress(&self, assessment: &Assessment) -> Progress {
        let running: Vec<i64> = assessment.snapshot.running().into_iter().map(|run| run.id).collect();
        if running.is_empty() {
            return Progress::default();
        }
        let runs = self.paths().runs.clone();
        let read = move || {
            let each = running.into_iter().filter_map(|id| Some((id, read_progress(&runs, id)?)));
            Progress(each.collect())
        };
        off_thread(read).await.unwrap_or_default()
    }

    /// The work that a run was started with; `None` when its plan cannot be read.
    pub(crate) async fn work_of(&self, run: i64) -> Option<Work> {
        let dir = self.run_dir(run).await.ok()?;
        let plan = off_thread(move || dir.plan()).await.ok()?.ok()?;
        serde_json::from_value::<Job>(plan.work).ok().map(|job| job.work)
    }

    /// The checks for which a run produces evidence.
    pub(crate) async fn checks_of(&self, run: i64) -> Vec<String> {
        let probes = match self.work_of(run).await {
            Some(Work::Step { judged_by, .. }) => judged_by,
            Some(Work::Checks { probes, .. }) => probes,
            Some(Work::Deploy { smoke, .. } | Work::Rollback { smoke, .. } | Work::Drill { smoke, .. }) => {
                smoke
            }
            Some(Work::Migrations { .. }) | None => vec![],
        };
        probes.into_iter().map(|probe| probe.check.id).collect()
    }

    async fn command_of(&self, run: &Run) -> String {
        match self.work_of(run.id).await {
            Some(Work::Step { command, .. }) => command,
            Some(Work::Migrations { command }) => command,
            Some(Work::Checks { probes, .. }) => probes
                .iter()
                .map(|p| match &p.command {
                    Some(command) => format!("{}: {command}", p.check.id),
                    None => format!("{}: {} check", p.check.id, p.check.spec.kind()),
                })
                .collect::<Vec<_>>()
                .join("\n"),
            Some(Work::Deploy { deploy, .. }) => {
                let build = if deploy.build { "build, " } else { "" };
                format!(
                    "{build}pin the images as {}, start the services, wait until they are healthy",
                    deploy.release_tag
                )
            }
            Some(Work::Rollback { rollback, .. }) => format!(
                "tag the images of {} again, start the services without build or pull, verify the image IDs",
                rollback.target.release_tag
            ),
            Some(Work::Drill { away, back, .. }) => format!(
                "roll back to {}, verify the image IDs, return to {}, verify the image IDs",
                away.target.release_tag, back.target.release_tag
            ),
            None => String::new(),
        }
    }
}

/// What runs in progress have reported so far, by run.
#[derive(Debug, Default)]
pub(crate) struct Progress(BTreeMap<i64, serde_json::Value>);

impl Progress {
    /// The current phase of a run and the state of its services.
    fn of(&self, run: i64) -> (String, Vec<Service>) {
        let Some(reported) = self.0.get(&run) else { return Default::default() };
        let text = |key: &str| reported.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        let services =
            reported.get("services").and_then(|s| serde_json::from_value(s.clone()).ok()).unwrap_or_default();
        (text("message").or(text("summary")).or(text("phase")).unwrap_or_default(), services)
    }
}

fn read_progress(runs: &Path, id: i64) -> Option<serde_json::Value> {
    reader(&RunDir::of(runs, &id.to_string()).ok()?).ok()?.progress().ok().flatten()
}

/// The number of lines, and the last ones.
fn last_lines(dir: &RunDir) -> Result<(u64, Vec<LogLine>), Error> {
    let Ok(reader) = reader(dir) else { return Ok((0, vec![])) };
    let lines = reader.count()?;
    Ok((lines, reader.lines(lines.saturating_sub(TAIL as u64), TAIL, LINE)?))
}

fn reader(dir: &RunDir) -> Result<Reader, Error> {
    Ok(Reader::open(dir.path())?)
}

/// The findings of the run; empty when it was interrupted.
pub(crate) fn findings(run: &Run) -> Findings {
    run.result.clone().and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
}

fn exit_of(value: &serde_json::Value) -> Option<Exit> {
    serde_json::from_value(value.clone()).ok()
}

fn summary(run: &Run, state: RunState) -> (String, Vec<Service>) {
    if state == RunState::Interrupted {
        return (interrupted_words(run.because.as_deref()), vec![]);
    }
    let found = findings(run);
    if let Some(deploy) = found.deploy {
        return (with_failing(deploy.message, &deploy.failing), deploy.services);
    }
    if let Some(rollback) = found.rollback {
        return (with_failing(rollback.message, &rollback.failing), rollback.services);
    }
    if let Some(drill) = found.drill {
        let services = drill.back.or(drill.away).map(|r| r.services).unwrap_or_default();
        return (drill.message.trim_end_matches('.').to_owned(), services);
    }
    let exit = run.exit.as_ref().and_then(exit_of);
    let exit = exit.map(|e| e.to_string()).unwrap_or_default();
    if let Some(names) = &found.migrations
        && run.kind == RunKind::Check
    {
        let plural = if names.len() == 1 { "" } else { "s" };
        return (format!("{} migration{plural} applied", names.len()), vec![]);
    }
    let first_bad = found.checks.iter().find(|c| c.finding.outcome != Outcome::Pass);
    let text = match (run.kind, found.checks.as_slice(), first_bad) {
        (_, [], _) => exit,
        (RunKind::Check, [only], _) => only.finding.saw.clone(),
        (RunKind::Check, all, None) => sum_up(all),
        (RunKind::Check, all, Some(bad)) => format!("{}; {}: {}", sum_up(all), bad.check, bad.finding.saw),
        (_, _, None) => exit,
        (_, _, Some(bad)) => format!("{exit}; {}: {}", bad.check, bad.finding.saw),
    };
    (text, vec![])
}

/// The message, completed with the names of unhealthy services that it does not mention.
fn with_failing(message: String, failing: &[orchestrator::FailingService]) -> String {
    let unnamed: Vec<String> = failing
        .iter()
        .filter(|f| !message.contains(&f.name))
        .map(|f| format!("{} is {}", f.name, f.health.label()))
        .collect();
    let message = message.trim_end_matches('.');
    if unnamed.is_empty() { message.to_owned() } else { format!("{message}; {}", unnamed.join(", ")) }
}
