//! Starting and cancelling runs.

use std::collections::BTreeMap;

use domain::action::Action;
use domain::check::Check;
use domain::release::{ReleaseComponents, ReleaseState};
use domain::time::Millis;

use super::claims::free_run_key;
use super::{Attempt, follow_up_of};
use super::{Begun, Ctx};
use crate::Engine;
use crate::actions::confirmed::as_shown;
use crate::assessment::{Assessment, all, when};
use crate::error::Error;
use crate::view::{Done, Permission};
use runner::{self, LockSpec, Plan};
use secrets::EnvSource;
use store::StoreError;
use store::audit::{self, AuditAction, Event, Outcome};
use store::releases::{self, NewRelease};
use store::run_follow_ups;
use store::runs::{self, NewRun, Run, RunKind};
use supervisor::SetupStep;
use supervisor::{Job, Work};
use system::files::off_thread;

/// The properties of a run to start.
pub(crate) struct Start {
    pub kind: RunKind,
    pub subject: String,
    pub gate: Option<String>,
    pub title: String,
    pub release: i64,
    pub parts: ReleaseComponents,
    pub work: Work,
    pub timeout_ms: u64,
    /// Holds the stack's lock until it ends.
    pub locks: bool,
}

/// Checks that are run together.
pub(crate) struct CheckRun<'a> {
    /// The action in the audit log.
    pub action: AuditAction,
    /// What the run is about: a check, a gate, the matrix, the schedule.
    pub subject: &'a str,
    pub gate: Option<String>,
    pub title: String,
    /// In the order in which they run.
    pub checks: Vec<Check>,
    /// The steps that have to run before some of them.
    pub setup: Vec<SetupStep>,
}

impl Engine {
    /// Runs a step of the runbook. `digest` is the one that the page showed: a step whose text has changed is refused.
    pub async fn run_step(&self, ctx: &Ctx, step: &str, digest: &str) -> Result<Done, Error> {
        let (_turn, assessment) = self.turn_after_a_look().await?;
        let found = assessment
            .stack
            .runbook
            .step(step)
            .cloned()
            .ok_or_else(|| Error::not_found(format!("Step {step}")))?;
        let allowed = all([
            assessment.offer_step(&ctx.actor, &found),
            when(found.digest == digest, || {
                "The command in the runbook has changed since this page was shown. Read it again before you run it.".to_owned()
            }),
        ]);
        self.execute(ctx, AuditAction::StepRun, step, &[digest], allowed, async |begun| {
            let judged_by: Vec<_> = assessment
                .stack
                .checks
                .iter()
                .filter(|c| c.spec.step() == Some(step))
                .map(|c| assessment.stack.probe(c, &[]))
                .collect();
            let timeout_ms = judged_by.iter().map(|p| p.check.timeout_ms).max().unwrap_or(Plan::TIMEOUT_MS);
            // A step may migrate; before the first deploy there are no migrations to list.
            let deployed = assessment.release().is_some_and(|r| r.state != ReleaseState::Opened);
            let migrations_cmd = assessment.stack.migrations.clone().filter(|_| deployed);
            let release = self.ensure_release(ctx, &assessment).await?;
            let start = Start {
                kind: RunKind::Step,
                subject: found.id.clone(),
                gate: found.gate.clone(),
                title: found.title.clone(),
                release,
                parts: assessment.parts_for_evidence(),
                work: Work::Step { command: found.command.clone(), judged_by, migrations_cmd },
                timeout_ms,
                locks: false,
            };
            self.start(ctx, begun, start).await
        })
        .await
    }

    /// Runs a check. `digest` is the one that the page showed: a check whose declaration has changed is refused.
    pub async fn run_check(&self, ctx: &Ctx, check: &str, digest: &str) -> Result<Done, Error> {
        let (_turn, assessment) = self.turn_after_a_look().await?;
        let found = assessment
            .stack
            .check(check)
            .cloned()
            .ok_or_else(|| Error::not_found(format!("Check {check}")))?;
        let allowed = all([
            assessment.offer_check(&ctx.actor, check),
            as_shown(digest, &assessment.check_digest(&found), "This check"),
        ]);
        let (title, gate) = (found.title.clone(), gate_of(&assessment, &found));
        let checks = vec![found];
        let run =
            CheckRun { action: AuditAction::CheckRun, subject: check, gate, title, checks, setup: vec![] };
        self.run_checks(ctx, &assessment, run, allowed).await
    }

    /// Runs all checks of a gate, or of the matrix (`matrix`), in one run: in order, after the steps that they
    /// require, in parallel where they allow it. `digest` is the one that the page showed.
    pub async fn run_gate(&self, ctx: &Ctx, gate: &str, digest: &str) -> Result<Done, Error> {
        let (_turn, assessment) = self.turn_after_a_look().await?;
        let of_matrix = gate == "matrix";
        let (checks, setup) =
            assessment.checks_together(gate).ok_or_else(|| Error::not_found(format!("Gate {gate}")))?;
        let subject = if of_matrix { "matrix".to_owned() } else { format!("gate {gate}") };
        let running = assessment
            .snapshot
            .running()
            .into_iter()
            .any(|r| r.kind == RunKind::Check && r.subject == subject);
        let allowed = all([
            assessment.may(&ctx.actor, Action::RunGate),
            when(!checks.is_empty(), || "There are no checks to run.".to_owned()),
            when(!running, || "These checks are already running.".to_owned()),
            assessment.directory_is_there(),
            as_shown(digest, &assessment.together_digest(gate), "This list of checks"),
        ]);
        let title = if of_matrix {
            "All checks of the matrix".to_owned()
        } else {
            format!("All checks of gate {gate}")
        };
        let gate = (!of_matrix).then(|| gate.to_owned());
        let run = CheckRun { action: AuditAction::GateRun, subject: &subject, gate, title, checks, setup };
        self.run_checks(ctx, &assessment, run, allowed).await
    }

    /// Starts a run of checks, if that is allowed. The caller must hold the turn ([`Engine::in_turn`]).
    pub(crate) async fn run_checks(
        &self,
        ctx: &Ctx,
        assessment: &Assessment,
        run: CheckRun<'_>,
        allowed: Permission,
    ) -> Result<Done, Error> {
        let CheckRun { action, subject, gate, title, checks, setup } = run;
        let digests: Vec<String> = checks.iter().map(Check::threshold_digest).collect();
        let params: Vec<&str> = digests.iter().map(String::as_str).collect();
        self.execute(ctx, action, subject, &params, allowed, async |begun| {
            let points = rollback_images(assessment);
            let timeout_ms = checks
                .iter()
                .map(|c| c.timeout_ms.saturating_mul(u64::from(c.retries) + 1))
                .chain(setup.iter().map(|_| Plan::TIMEOUT_MS))
                .fold(60_000, u64::saturating_add);
            let probes = checks.iter().map(|c| assessment.stack.probe(c, &points)).collect();
            let release = self.ensure_release(ctx, assessment).await?;
            let start = Start {
                kind: RunKind::Check,
                subject: subject.to_owned(),
                gate,
                title,
                release,
                parts: assessment.parts_for_evidence(),
                work: Work::Checks { setup, probes },
                timeout_ms,
                locks: false,
            };
            self.start(ctx, begun, start).await
        })
        .await
    }

    /// Lists the applied migrations of the release that this run deployed, in a separate run.
    pub(crate) async fn list_migrations(&self, ctx: &Ctx, run: &Run) -> Result<Attempt, Error> {
        let (_turn, assessment) = self.turn_after_a_look().await?;
        let Some(command) = assessment.stack.migrations.clone() else {
            return Ok(Attempt::NotDone(
                "stagegate.toml no longer has a command that lists migrations".to_owned(),
            ));
        };
        let Some(release) = run.release else {
            return Ok(Attempt::NotDone(format!("run {} belongs to no release", run.id)));
        };
        self.execute(
            ctx,
            AuditAction::MigrationsList,
            &format!("release {release}"),
            &[],
            Permission::Allowed,
            async |begun| {
                let start = Start {
                    kind: RunKind::Check,
                    subject: "migrations".to_owned(),
                    gate: None,
                    title: "Applied migrations".to_owned(),
                    release,
                    parts: assessment.parts_for_evidence(),
                    work: Work::Migrations { command },
                    timeout_ms: Plan::TIMEOUT_MS,
                    locks: false,
                };
                self.start(ctx, begun, start).await
            },
        )
        .await
        .map(|_| Attempt::Started)
    }

    /// Cancels a run: its whole process tree is terminated, and killed if it does not stop.
    pub async fn cancel_run(&self, ctx: &Ctx, run: i64) -> Result<Done, Error> {
        let assessment = self.assessment();
        let is_running = assessment.snapshot.runs.goes_on(run);
        let allowed = all([
            assessment.may(&ctx.actor, Action::CancelRun),
            when(is_running, || "This run has ended.".to_owned()),
        ]);
        self.execute(ctx, AuditAction::RunCancel, &format!("run {run}"), &[], allowed, async |begun| {
            let (dir, by) = (self.run_dir(run).await?, ctx.actor.name.clone());
            let cancelled = off_thread(move || runner::cancel(dir.path(), &by)).await;
            cancelled.map_err(Error::internal)??;
            let done = Done { to: format!("/runs/{run}"), said: "The run is being cancelled.".to_owned() };
            self.store_done(begun, done, String::new(), |_| Box::pin(async { Ok(()) })).await
        })
        .await
    }

    /// The release that a run is about: the open one, or a new one if none is open, or if nothing has been deployed
    /// yet and the checkout has changed.
    pub(crate) async fn ensure_release(&self, ctx: &Ctx, assessment: &Assessment) -> Result<i64, Error> {
        match assessment.release() {
            Some(release) if release.state != ReleaseState::Opened || assessment.moved_parts().is_empty() => {
                Ok(release.id)
            }
            _ => self.open_release_row(ctx, assessment).await,
        }
    }

    pub(crate) async fn open_release_row(&self, ctx: &Ctx, assessment: &Assessment) -> Result<i64, Error> {
        let parts =
            ReleaseComponents { values: assessment.observed.parts.values.clone(), images: BTreeMap::new() };
        let (by, by_name, at) = (ctx.actor.id, ctx.actor.name.clone(), self.now());
        let subject = assessment.observed.subject.clone();
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    let new = NewRelease { parts: &parts, subject: &subject, by, by_name: &by_name, at };
                    releases::open(tx, &new).await
                })
            })
            .await
            .map_err(|e: StoreError| Error::from(e))
    }

    /// Stores the run, creates its directory, starts its supervisor and follows it.
    pub(crate) async fn start(&self, ctx: &Ctx, begun: Begun, start: Start) -> Result<Done, Error> {
        let Begun { mut act, key, answered } = begun;
        let at = self.now();
        let release = start.release;
        let id = self.store_run(ctx, &key, &start, at).await?;
        // From here on the run is followed whatever happens: otherwise its row would stay "running" for ever.
        let followed = Followed { engine: self.clone(), run: id };
        act.in_run(id);
        act.on_release(release);
        if let Err(public) = self.launch(ctx, id, start).await {
            self.store_launch_failure(id, at).await?;
            act.failed(self.now(), &public.public()).await?;
            return Err(public);
        }
        drop(followed);
        // The run continues even if its start cannot be stored now: recording it late is not a failure.
        act.has_happened();
        let done = Done { to: format!("/runs/{id}"), said: String::new() };
        let begun = Begun { act, key, answered };
        let stored = self.store_done(begun, done.clone(), String::new(), |_| Box::pin(async { Ok(()) }));
        if let Err(error) = stored.await {
            tracing::error!(run = id, %error, "the start of a run could not be recorded yet; it is recorded later");
        }
        Ok(done)
    }

    /// Stores the run's row with its event in the audit log. Returns its number.
    async fn store_run(&self, ctx: &Ctx, key: &str, start: &Start, at: Millis) -> Result<i64, Error> {
        let (by, by_name) = (ctx.actor.id, ctx.actor.name.clone());
        let (kind, subject, gate) = (start.kind, start.subject.clone(), start.gate.clone());
        let (title, release) = (start.title.clone(), start.release);
        let key = key.to_owned();
        let started = Event::new(at, Some(&ctx.actor), AuditAction::RunCreate, start.subject.clone());
        let started = started.on_release(Some(release)).outcome(Outcome::Done).detail(start.title.clone());
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    let run_key = free_run_key(&mut *tx, &key).await?;
                    let new = NewRun {
                        kind,
                        subject: &subject,
                        gate: gate.as_deref(),
                        title: &title,
                        release: Some(release),
                        by,
                        by_name: &by_name,
                        at,
                        key: Some(&run_key),
                    };
                    let run = runs::start(&mut *tx, &new).await?;
                    // The end of a run is accepted only for a row that matches the audit log.
                    audit::append(&mut *tx, &started.in_run(Some(run))).await?;
                    if let Some(follow_up) = follow_up_of(&key) {
                        run_follow_ups::started(tx, follow_up, run, at).await?;
                    }
                    Ok(run)
                })
            })
            .await
            .map_err(|e: StoreError| Error::from(e))
    }

    /// Creates the run's directory and starts its supervisor.
    async fn launch(&self, ctx: &Ctx, id: i64, start: Start) -> Result<(), Error> {
        let job = Job { parts: start.parts, work: start.work };
        let stack = self.stack();
        let mut plan = Plan {
            env_source: stack.orchestrator.env_source(),
            public_keys: stack.public_keys.clone(),
            timeout_ms: start.timeout_ms,
            work: serde_json::to_value(&job).map_err(Error::internal)?,
            lock: start.locks.then(|| LockSpec {
                path: self.paths().data.join("stack.lock"),
                holder: ctx.actor.name.clone(),
            }),
            extra_env: [("CI".to_owned(), "true".to_owned())].into(),
            ..Plan::new(id.to_string(), start.title, stack.dir.clone())
        };
        let (runs, exe) = (self.paths().runs.clone(), self.paths().exe.clone());
        let launch = move || {
            plan.env_source = plan.env_source.filter(EnvSource::exists);
            runner::create(&runs, &plan).and_then(|dir| runner::launch(&exe, &dir))
        };
        off_thread(launch).await.map_err(Error::internal)?.map_err(Error::from)
    }

    async fn store_launch_failure(&self, id: i64, at: Millis) -> Result<(), Error> {
        const BECAUSE: &str = "its supervisor did not start";
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    runs::interrupt(&mut *tx, id, BECAUSE, at).await?;
                    // The caller counts the attempt.
                    run_follow_ups::reopen(tx, id, BECAUSE, 0).await
                })
            })
            .await
            .map_err(|e: StoreError| Error::from(e))
    }
}

/// Follows the run when this is dropped: after its supervisor was launched, or after the launch was aborted.
struct Followed {
    engine: Engine,
    run: i64,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.engine.watch(self.run);
    }
}

/// The images of the validated rollback targets, newest first.
pub(crate) fn rollback_images(assessment: &Assessment) -> Vec<BTreeMap<String, String>> {
    let mut points: Vec<_> = assessment
        .snapshot
        .releases
        .iter()
        .filter(|r| r.rollback_point_at.is_some() && !r.parts.images.is_empty())
        .collect();
    points.sort_by_key(|r| std::cmp::Reverse(r.rollback_point_at));
    points.into_iter().map(|r| r.parts.images.clone()).collect()
}

fn gate_of(assessment: &Assessment, check: &Check) -> Option<String> {
    assessment.judgement.gates.iter().find_map(|g| {
        let bound = g.items.iter().any(|i| i.checks.iter().any(|c| c.check == check.id));
        bound.then(|| g.id.clone())
    })
}
