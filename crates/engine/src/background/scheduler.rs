//! Checks that Stagegate starts itself: scheduled checks, and checks after a deploy or rollback.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::check::Check;
use domain::facts::Actor;
use domain::observed::Observed;
use domain::release::{ReleaseComponent, ReleaseState};
use domain::schedule::{due, next_due};
use domain::time::Millis;

use crate::Engine;
use crate::actions::{Attempt, CheckRun, Ctx};
use crate::assessment::moved_parts;
use crate::assessment::snapshot::StoreSnapshot;
use crate::error::Error;
use crate::stack::Stack;
use crate::view::Permission;
use store::audit::AuditAction;
use store::people::{SCHEDULE, SCHEDULE_NAME};
use store::runs::{Run, RunKind};

/// How often it is checked whether a check is due.
const TICK: Duration = Duration::from_secs(1);

/// Starts the checks that are due, one run at a time, until the engine stops.
pub(super) struct Scheduler {
    engine: Engine,
    /// When each check was last tried.
    tried: BTreeMap<String, Millis>,
    /// The values that `next` was computed from: as long as they are the same, only the time is compared.
    seen: Option<(Arc<Stack>, Arc<StoreSnapshot>)>,
    /// When the next check is due; `None`: none is scheduled.
    next: Option<Millis>,
}

impl Scheduler {
    pub(super) fn new(engine: Engine) -> Scheduler {
        Scheduler { engine, tried: BTreeMap::new(), seen: None, next: None }
    }

    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        // After the host was suspended, one tick is enough.
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if !self.is_due() {
                continue;
            }
            if let Err(error) = self.run_due().await {
                tracing::warn!(%error, "scheduled checks did not start");
            }
        }
    }

    /// Whether a check may be due now.
    fn is_due(&mut self) -> bool {
        let (stack, snapshot) = (self.engine.stack(), self.engine.snapshot());
        let same =
            |(s, k): &(Arc<Stack>, Arc<StoreSnapshot>)| Arc::ptr_eq(s, &stack) && Arc::ptr_eq(k, &snapshot);
        if !self.seen.as_ref().is_some_and(same) {
            self.next = next_due(&stack.checks, &snapshot.evidence, &self.tried);
            self.seen = Some((stack, snapshot));
        }
        self.next.is_some_and(|at| at <= self.engine.now())
    }

    /// Runs all checks that are due, if nothing else is running.
    async fn run_due(&mut self) -> Result<(), Error> {
        // The cheap test first: checks that are due often cannot be started yet.
        if self.due_now(&self.engine.stack(), &self.engine.snapshot(), &self.engine.observed()).is_empty() {
            return Ok(());
        }
        let (_turn, assessment) = self.engine.turn_after_a_look().await?;
        let checks = self.due_now(&assessment.stack, &assessment.snapshot, &assessment.observed);
        if checks.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = checks.iter().map(|c| c.id.as_str()).collect();
        // Noted before the attempt: a check that cannot be started must not be tried every second.
        self.tried.extend(ids.iter().map(|id| ((*id).to_owned(), assessment.now)));
        let actor = Actor { id: SCHEDULE, name: SCHEDULE_NAME.to_owned(), roles: vec![] };
        let ctx = Ctx {
            actor,
            key: format!("schedule-{}", assessment.now.0),
            ip: String::new(),
            session: String::new(),
        };
        let title = format!("Scheduled: {}", ids.join(", "));
        let run = CheckRun {
            action: AuditAction::ScheduleRun,
            subject: "schedule",
            gate: None,
            title,
            checks,
            setup: vec![],
        };
        self.engine.run_checks(&ctx, &assessment, run, Permission::Allowed).await.map(|_| ())
    }

    /// The checks to start now. None while a run is in progress, while no release is open, or if the run would open a
    /// release: only people do that.
    fn due_now(&self, stack: &Stack, snapshot: &StoreSnapshot, observed: &Observed) -> Vec<Check> {
        let Some(release) = snapshot.current() else { return vec![] };
        let would_open = release.state == ReleaseState::Opened && !moved_parts(release, observed).is_empty();
        if would_open || !snapshot.runs.running.is_empty() || observed.directory_missing {
            return vec![];
        }
        // Checks of running images cannot be evaluated before the first deploy.
        let can_tell =
            |c: &&Check| !release.parts.images.is_empty() || !c.binds.contains(&ReleaseComponent::Images);
        let due = due(&stack.checks, &snapshot.evidence, &self.tried, self.engine.now());
        due.into_iter().filter(can_tell).filter(|c| c.spec.can_be_run()).cloned().collect()
    }
}

impl Engine {
    /// The checks that run after a successful deploy or rollback.
    pub(crate) fn checks_after_deploy(&self) -> Vec<Check> {
        let stack = self.stack();
        // The smoke checks were part of the run itself.
        let follows =
            |c: &&Check| c.schedule.after_deploy && c.spec.can_be_run() && !stack.smoke.contains(&c.id);
        stack.checks.iter().filter(follows).cloned().collect()
    }

    /// Runs these checks directly after a successful deploy or rollback.
    pub(crate) async fn validate_after(&self, ctx: &Ctx, run: &Run) -> Result<Attempt, Error> {
        let what = if run.kind == RunKind::Deploy { "deploy" } else { "rollback" };
        let (_turn, assessment) = self.turn_after_a_look().await?;
        let checks = self.checks_after_deploy();
        if checks.is_empty() {
            return Ok(Attempt::NotDone("no check is configured to run after a deploy any more".to_owned()));
        }
        let title = format!("Validation after the {what} (run {})", run.id);
        let run_of = CheckRun {
            action: AuditAction::ValidationRun,
            subject: "validation",
            gate: None,
            title,
            checks,
            setup: vec![],
        };
        self.run_checks(ctx, &assessment, run_of, Permission::Allowed).await?;
        Ok(Attempt::Started)
    }
}
