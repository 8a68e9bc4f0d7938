//! Follow-ups of a run are stored and then started exactly once, also if the server that completed the run has died
//! and a new one has started. They act as Stagegate itself.

use std::time::Duration;

use domain::facts::Actor;
use domain::role::Role;

use crate::Engine;
use crate::actions::{Attempt, Ctx, Return, key_of};
use crate::background::recovery::RECOVERY;
use crate::error::{Error, ErrorKind};
use crate::view::FollowUpView;
use store::StoreError;
use store::audit::{self, AuditAction, Event, Outcome};
use store::people::SCHEDULE;
use store::run_follow_ups::{self, FollowUp, FollowUpKind, FollowUpState};
use store::runs::{self, Run};

/// Time between two connection attempts to an unreachable Docker engine, and before the second attempt of a follow-up.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest time between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Maximum number of attempts for a follow-up that is refused or fails to start.
const MAX_ATTEMPTS: i64 = 5;
/// Why a follow-up could not continue.
enum Halt {
    /// The store is closed: the next server continues.
    Closed,
    /// The store cannot be used at the moment.
    Store(StoreError),
    /// A dependency does not work at the moment: this does not count as an attempt.
    Waits(Error),
    /// The attempt was refused or failed.
    Failed(Error),
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Halt::Closed => f.write_str("the store is closed"),
            Halt::Store(error) => write!(f, "{error:?}"),
            Halt::Waits(error) | Halt::Failed(error) => error.fmt(f),
        }
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Halt {
        match error {
            StoreError::Closed => Halt::Closed,
            error => Halt::Store(error),
        }
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Halt {
        match error.kind() {
            ErrorKind::Unavailable => Halt::Waits(error),
            _ => Halt::Failed(error),
        }
    }
}

impl Engine {
    /// Starts all pending follow-ups, each in its own task.
    pub(crate) fn carry_out_follow_ups(&self) {
        let engine = self.clone();
        tokio::spawn(async move {
            let mut pause = PAUSE;
            let pending = loop {
                match run_follow_ups::pending(engine.store().readers()).await {
                    Ok(pending) => break pending,
                    Err(StoreError::Closed) => return,
                    Err(error) => {
                        tracing::error!(error = ?error, "follow-ups cannot be read yet; trying again");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(MAX_PAUSE);
                    }
                }
            };
            for follow_up in pending {
                if let Some(one) = engine.0.following.add(follow_up.id) {
                    let engine = engine.clone();
                    tokio::spawn(async move {
                        let _one = one;
                        engine.carry_out_follow_up(follow_up.id).await;
                    });
                }
            }
        });
    }

    async fn carry_out_follow_up(&self, id: i64) {
        let mut pause = PAUSE;
        self.wait_before_retry(id).await;
        loop {
            let halt = match self.try_follow_up(id).await {
                Ok(()) => return,
                Err(halt) => halt,
            };
            let noted = match &halt {
                Halt::Closed => return,
                Halt::Store(_) => Ok(false),
                Halt::Waits(error) => self.note_wait(id, error.public()).await.map(|()| false),
                Halt::Failed(error) => self.note_attempt(id, &error.public()).await,
            };
            tracing::warn!(follow_up = id, %halt, "a follow-up has not started yet; trying again");
            match noted {
                Ok(true) | Err(Halt::Closed) => return,
                Ok(false) => {}
                Err(halt) => {
                    tracing::error!(follow_up = id, %halt, "the state of a follow-up cannot be stored yet; trying again")
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Waits before a retry, longer each time: a new attempt directly after a failure would probably fail again.
    async fn wait_before_retry(&self, id: i64) {
        if let Ok(Some(follow_up)) = run_follow_ups::by_id(self.store().readers(), id).await
            && follow_up.kind == FollowUpKind::MigrationList
        {
            let doubled = u32::try_from(follow_up.attempts).unwrap_or(0).min(6);
            let pause = if doubled == 0 { Duration::ZERO } else { PAUSE * 2_u32.pow(doubled) };
            tokio::time::sleep(pause.min(MAX_PAUSE)).await;
        }
    }

    /// Tries once, as soon as the Docker engine answers.
    async fn try_follow_up(&self, id: i64) -> Result<(), Halt> {
        let mut wait_noted = false;
        let (follow_up, run) = loop {
            let readers = self.store().readers();
            let Some(follow_up) = run_follow_ups::by_id(readers, id).await? else { return Ok(()) };
            if !follow_up.is_pending() {
                return Ok(());
            }
            let Some(run) = runs::by_id(readers, follow_up.run).await? else { return Ok(()) };
            if let FollowUpState::Pending(why) = &follow_up.state
                && follow_up.attempts >= MAX_ATTEMPTS
            {
                return self.note_not_done(&follow_up, &run, gave_up(follow_up.kind, why)).await;
            }
            // A person has already started another change of the stack, which takes precedence.
            if let Some(later) = runs::next_change(readers, run.id).await? {
                let because = format!("run {later} was started first");
                return self.note_not_done(&follow_up, &run, because).await;
            }
            if follow_up.kind == FollowUpKind::Validation || self.engine_is_there().await {
                break (follow_up, run);
            }
            if !wait_noted {
                wait_noted = true;
                self.note_wait(id, "waiting for the Docker engine to answer".to_owned()).await?;
            }
            tokio::time::sleep(PAUSE).await;
        };
        self.up_to_date().await?;
        let attempt = match follow_up.kind {
            FollowUpKind::Recovery => self.recover(&system(&follow_up, RECOVERY), &run).await?,
            FollowUpKind::AutomaticRollback => {
                self.roll_back_by_itself(&system(&follow_up, "Stagegate (automatic rollback)")).await?
            }
            FollowUpKind::Validation => {
                self.validate_after(&system(&follow_up, "Stagegate (validation)"), &run).await?
            }
            FollowUpKind::MigrationList => {
                self.list_migrations(&system(&follow_up, "Stagegate (migration list)"), &run).await?
            }
        };
        match attempt {
            Attempt::Started => Ok(()),
            Attempt::NotDone(because) => self.note_not_done(&follow_up, &run, because).await,
        }
    }

    /// Rolls back to the last good release after a failed deploy, as configured for the stack.
    async fn roll_back_by_itself(&self, ctx: &Ctx) -> Result<Attempt, Error> {
        let offers = self.assessment().rollbacks(&ctx.actor);
        let Some(offer) = offers.into_iter().next() else {
            return Ok(Attempt::NotDone("there is no earlier release to roll back to".to_owned()));
        };
        self.roll_back(ctx, &Return::to(offer.target.id)).await?;
        Ok(Attempt::Started)
    }

    /// Whether the Docker engine answers.
    pub(crate) async fn engine_is_there(&self) -> bool {
        self.stack().orchestrator.engine_version().await.is_ok()
    }

    async fn note_wait(&self, id: i64, because: String) -> Result<(), Halt> {
        self.store()
            .write(move |tx| Box::pin(async move { run_follow_ups::waits(tx, id, &because).await }))
            .await?;
        self.refresh_or_later().await;
        Ok(())
    }

    /// Counts a failed attempt; after the last one the follow-up is not done. Returns whether the follow-up is settled.
    async fn note_attempt(&self, id: i64, why: &str) -> Result<bool, Halt> {
        let readers = self.store().readers();
        let Some(follow_up) = run_follow_ups::by_id(readers, id).await? else { return Ok(true) };
        if !follow_up.is_pending() {
            return Ok(true);
        }
        if follow_up.attempts + 1 >= MAX_ATTEMPTS {
            let Some(run) = runs::by_id(readers, follow_up.run).await? else { return Ok(true) };
            self.note_not_done(&follow_up, &run, gave_up(follow_up.kind, why)).await?;
            return Ok(true);
        }
        let (why, at) = (why.to_owned(), self.now());
        self.store()
            .write(move |tx| Box::pin(async move { run_follow_ups::tried(tx, id, &why, at).await }))
            .await?;
        self.refresh_or_later().await;
        Ok(false)
    }

    async fn note_not_done(&self, follow_up: &FollowUp, run: &Run, because: String) -> Result<(), Halt> {
        let (id, now) = (follow_up.id, self.now());
        let event = not_done_event(follow_up.kind, run, now, &because);
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    if run_follow_ups::not_done(&mut *tx, id, &because, now).await? {
                        audit::append(tx, &event).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        self.refresh_or_later().await;
        Ok(())
    }
}

fn gave_up(kind: FollowUpKind, why: &str) -> String {
    match kind {
        FollowUpKind::MigrationList => {
            format!("the migrations could not be listed in {MAX_ATTEMPTS} attempts: {why}")
        }
        _ => format!("it did not start after {MAX_ATTEMPTS} attempts: {why}"),
    }
}

/// The audit event of a follow-up that was not done.
pub(crate) fn not_done_event(
    kind: FollowUpKind,
    run: &Run,
    at: domain::time::Millis,
    because: &str,
) -> Event {
    let mut event = Event::new(at, None, AuditAction::not_done(kind), format!("run {}", run.id))
        .on_release(run.release)
        .in_run(Some(run.id))
        .outcome(Outcome::Failed)
        .detail(because);
    event.actor_name = format!("Stagegate ({})", kind.label().to_lowercase());
    event
}

/// The context of Stagegate itself, with this name.
fn system(follow_up: &FollowUp, name: &str) -> Ctx {
    let actor = Actor { id: SCHEDULE, name: name.to_owned(), roles: Role::ALL.to_vec() };
    Ctx { actor, key: key_of(follow_up), ip: String::new(), session: String::new() }
}

/// A follow-up as pages show it.
pub(crate) fn follow_up_view(follow_up: &FollowUp) -> FollowUpView {
    FollowUpView {
        label: follow_up.kind.label().to_owned(),
        run: follow_up.run,
        state: follow_up.state.clone(),
    }
}

/// The follow-ups of the last change of the stack that have not started.
pub(crate) fn open_follow_ups(snapshot: &crate::assessment::snapshot::StoreSnapshot) -> Vec<FollowUpView> {
    let of_last = snapshot.runs.follow_ups.iter();
    of_last.filter(|f| !matches!(f.state, FollowUpState::Started(_))).map(follow_up_view).collect()
}
