//! Checks that nobody has to start: those that the clock starts, and those that follow a deploy or rollback.

use std::time::Duration;

use domain::check::Check;
use domain::facts::Actor;
use domain::release::{Part, ReleaseState};
use domain::schedule::due;

use crate::Engine;
use crate::acts::{CheckRun, Ctx};
use crate::error::Error;
use crate::follow_ups::Attempt;
use crate::judging::Judged;
use crate::store::people::{SCHEDULE, SCHEDULE_NAME};
use crate::store::runs::{Run, RunKind};
use crate::view::Offer;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);

impl Engine {
    /// Starts what is due, one run at a time, as long as the engine lives.
    pub(crate) fn keep_schedule(&self) {
        let engine = self.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(TICK);
            // After a pause of the machine one look is enough.
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                if let Err(error) = engine.run_due().await {
                    tracing::warn!(%error, "scheduled checks did not start");
                }
            }
        });
    }

    /// Runs all checks that are due, when nothing else runs.
    async fn run_due(&self) -> Result<(), Error> {
        // Cheap first: on most seconds nothing is due.
        let stack = self.stack();
        if stack.checks.iter().all(|c| c.schedule.every_ms.is_none())
            || self.due_now(&self.judged()).is_empty()
        {
            return Ok(());
        }
        let (_turn, judged) = self.turn_after_a_look().await?;
        let checks = self.due_now(&judged);
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
    fn due_now(&self, judged: &Judged) -> Vec<Check> {
        let Some(release) = judged.release() else { return vec![] };
        let would_open = release.state == ReleaseState::Opened && !judged.moved_parts().is_empty();
        if would_open || !judged.known.running().is_empty() || !judged.stack.dir.is_dir() {
            return vec![];
        }
        let tried = self.0.tried.lock().unwrap_or_else(|e| e.into_inner());
        // What is about running images can say nothing before there are any.
        let can_tell = |c: &&Check| !release.parts.images.is_empty() || !c.binds.contains(&Part::Images);
        let due = due(&judged.stack.checks, &judged.known.evidence, &tried, judged.now);
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
