//! Checks that nobody has to start: those that the clock starts, and those that follow a deploy or rollback.

use std::sync::Arc;
use std::time::Duration;

use domain::check::Check;
use domain::facts::{Actor, Observed};
use domain::release::{Part, ReleaseState};
use domain::schedule::{due, next_due};
use domain::time::Millis;

use crate::Engine;
use crate::acts::{CheckRun, Ctx};
use crate::error::Error;
use crate::follow_ups::Attempt;
use crate::judging::moved_parts;
use crate::known::Known;
use crate::stack::Stack;
use crate::store::people::{SCHEDULE, SCHEDULE_NAME};
use crate::store::runs::{Run, RunKind};
use crate::view::Offer;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);

/// When the next check is due. Worked out only when files or store became others; in between a look at the time is
/// enough.
#[derive(Default)]
struct Clock {
    /// What it was worked out from.
    seen: Option<(Arc<Stack>, Arc<Known>)>,
    /// When the next check is due; `None`: none is scheduled.
    next: Option<Millis>,
}

impl Clock {
    /// Whether something may be due now.
    fn rings(&mut self, engine: &Engine) -> bool {
        let (stack, known) = (engine.stack(), engine.known());
        let same = |(s, k): &(Arc<Stack>, Arc<Known>)| Arc::ptr_eq(s, &stack) && Arc::ptr_eq(k, &known);
        if !self.seen.as_ref().is_some_and(same) {
            let tried = engine.0.tried.lock().unwrap_or_else(|e| e.into_inner());
            self.next = next_due(&stack.checks, &known.evidence, &tried);
            drop(tried);
            self.seen = Some((stack, known));
        }
        self.next.is_some_and(|at| at <= engine.now())
    }
}

impl Engine {
    /// Starts what is due, one run at a time, as long as the engine lives.
    pub(crate) fn keep_schedule(&self) {
        let engine = self.clone();
        let mut clock = Clock::default();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(TICK);
            // After a pause of the machine one look is enough.
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                if !clock.rings(&engine) {
                    continue;
                }
                if let Err(error) = engine.run_due().await {
                    tracing::warn!(%error, "scheduled checks did not start");
                }
            }
        });
    }

    /// Runs all checks that are due, when nothing else runs.
    async fn run_due(&self) -> Result<(), Error> {
        // Cheap first: often what is due cannot be started yet.
        if self.due_now(&self.stack(), &self.known(), &self.observed()).is_empty() {
            return Ok(());
        }
        let (_turn, judged) = self.turn_after_a_look().await?;
        let checks = self.due_now(&judged.stack, &judged.known, &judged.observed);
        if checks.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = checks.iter().map(|c| c.id.as_str()).collect();
        {
            // Noted before it is tried: what cannot be started must not be tried every second.
            let mut tried = self.0.tried.lock().unwrap_or_else(|e| e.into_inner());
            tried.extend(ids.iter().map(|id| ((*id).to_owned(), judged.now)));
        }
        let actor = Actor { id: SCHEDULE, name: SCHEDULE_NAME.to_owned(), roles: vec![] };
        let ctx = Ctx {
            actor,
            key: format!("schedule-{}", judged.now.0),
            ip: String::new(),
            session: String::new(),
        };
        let title = format!("Scheduled: {}", ids.join(", "));
        let run =
            CheckRun { act: "schedule.run", subject: "schedule", gate: None, title, checks, setup: vec![] };
        self.run_checks(&ctx, &judged, run, Offer::Yes).await.map(|_| ())
    }

    /// The checks to start now. None while something runs, while no release is judged, or while the next run
    /// would open a release: that is for people.
    fn due_now(&self, stack: &Stack, known: &Known, observed: &Observed) -> Vec<Check> {
        let Some(release) = known.current() else { return vec![] };
        let would_open = release.state == ReleaseState::Opened && !moved_parts(release, observed).is_empty();
        if would_open || !known.runs.running.is_empty() || observed.directory_missing {
            return vec![];
        }
        let tried = self.0.tried.lock().unwrap_or_else(|e| e.into_inner());
        // What is about running images can say nothing before there are any.
        let can_tell = |c: &&Check| !release.parts.images.is_empty() || !c.binds.contains(&Part::Images);
        let due = due(&stack.checks, &known.evidence, &tried, self.now());
        due.into_iter().filter(can_tell).filter(|c| c.spec.can_be_run()).cloned().collect()
    }

    /// The checks that follow a deploy or rollback that went well.
    pub(crate) fn checks_after_deploy(&self) -> Vec<Check> {
        let stack = self.stack();
        // The smoke checks were part of the run itself.
        let follows =
            |c: &&Check| c.schedule.after_deploy && c.spec.can_be_run() && !stack.smoke.contains(&c.id);
        stack.checks.iter().filter(follows).cloned().collect()
    }

    /// Looks again at once after a deploy or rollback that went well.
    pub(crate) async fn validate_after(&self, ctx: &Ctx, run: &Run) -> Result<Attempt, Error> {
        let what = if run.kind == RunKind::Deploy { "deploy" } else { "rollback" };
        let (_turn, judged) = self.turn_after_a_look().await?;
        let checks = self.checks_after_deploy();
        if checks.is_empty() {
            return Ok(Attempt::NotDone("no check follows a deploy any more".to_owned()));
        }
        let title = format!("Validation after the {what} (run {})", run.id);
        let run_of = CheckRun {
            act: "validation.run",
            subject: "validation",
            gate: None,
            title,
            checks,
            setup: vec![],
        };
        self.run_checks(ctx, &judged, run_of, Offer::Yes).await?;
        Ok(Attempt::Started)
    }
}
