//! Recovery after a crash: completes an interrupted deploy or rollback automatically.
//!
//! The rule: roll back to the last good release, unless the journal says that every service was healthy. The recovery
//! is a separate run, a rollback like any other: it takes the stack's lock, is verified by image IDs and is recorded in
//! the audit log. It is a follow-up of the interrupted run, so it is started once.

use domain::choice::EnvChoice;
use domain::release::{Release, ReleaseState};

use crate::Engine;
use crate::actions::{Attempt, Ctx, Return};
use crate::assessment::snapshot::changes_the_stack;
use crate::error::Error;
use orchestrator::{Journal, OrchestratorError, read_journal};
use store::StoreError;
use store::releases;
use store::run_follow_ups::{self, FollowUpKind};
use store::runs::{self, Run, RunKind, RunState};
use supervisor::Work;
use system::files::off_thread;

/// The name that recovery uses in the audit log.
pub(crate) const RECOVERY: &str = "Stagegate (recovery)";

impl Engine {
    /// The journal of this run; `None` if another run wrote it last.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) async fn journal_of(&self, run: &Run) -> Result<Option<Journal>, OrchestratorError> {
        let Some(release) = run.release else { return Ok(None) };
        let path = Journal::path(&self.snapshot_dir(release));
        let of = path.clone();
        let read = off_thread(move || read_journal(&of)).await;
        let journal = read.map_err(OrchestratorError::io("read the deploy journal", &path))??;
        Ok(journal.filter(|journal| journal.run == run.id.to_string()))
    }

    /// At start-up: adds the missing recovery of a crash that was recorded by a version that did not store follow-ups.
    pub(crate) async fn adopt_interrupted(&self) -> Result<(), Error> {
        let snapshot = self.snapshot();
        let last = snapshot.runs.on_stack.as_ref();
        let Some(run) = last.filter(|run| run.state == RunState::Interrupted) else { return Ok(()) };
        let journal = self.journal_of(run).await.map_err(Error::internal)?;
        if !needs_recovery(run, journal.as_ref()) {
            return Ok(());
        }
        let (id, at) = (run.id, self.now());
        self.store()
            .write(move |tx| {
                Box::pin(
                    async move { run_follow_ups::add(tx, id, FollowUpKind::Recovery, at).await.map(|_| ()) },
                )
            })
            .await
            .map_err(|e: StoreError| Error::from(e))
    }

    /// Recovers from an interrupted deploy or rollback: rolls back to the last good release.
    pub(crate) async fn recover(&self, ctx: &Ctx, run: &Run) -> Result<Attempt, Error> {
        let target = match run.kind {
            // A drill ends where it began.
            RunKind::Rollback | RunKind::Drill => run.release,
            _ => self.last_good(run).await?.map(|release| release.id),
        };
        let Some(target) = target else {
            self.take_back_names(run).await;
            let because = "the first deploy was interrupted and there is no release to roll back to; \
                           containers that it started may still be running. Deploy again, or remove them with \
                           `docker compose down`";
            return Ok(Attempt::NotDone(because.to_owned()));
        };
        let env = self.env_choice_of(run).await;
        self.roll_back(ctx, &Return { env, ..Return::to(target) }).await?;
        Ok(Attempt::Started)
    }

    /// Restores the image names that the run had changed before it changed any service.
    async fn take_back_names(&self, run: &Run) {
        let Some(release) = run.release else { return };
        match self.stack().orchestrator.take_back_journal(&Journal::path(&self.snapshot_dir(release))).await {
            Ok(taken) => {
                for message in taken.done.iter().chain(&taken.failed) {
                    tracing::warn!(run = run.id, "{message}");
                }
            }
            Err(error) => {
                tracing::error!(run = run.id, %error, "the image names that an interrupted run changed could not be restored")
            }
        }
    }

    /// What the interrupted run was started to do with the env file.
    async fn env_choice_of(&self, run: &Run) -> EnvChoice {
        match self.work_of(run.id).await {
            Some(Work::Rollback { rollback, .. }) if rollback.env.is_some() => EnvChoice::Restore,
            _ => EnvChoice::Keep,
        }
    }

    /// The release that ran before the interrupted run: the last one that a deploy or a rollback started successfully.
    async fn last_good(&self, interrupted: &Run) -> Result<Option<Release>, Error> {
        let db = self.store().readers();
        let passed = runs::last_good_on_stack(db, interrupted.id).await?;
        let last = match passed.and_then(|run| run.release) {
            Some(release) => releases::by_id(db, release).await?,
            None => None,
        };
        if let Some(good) = last.filter(|release| is_good(release, interrupted)) {
            return Ok(Some(good));
        }
        // Without such a run, the newest successful deploy is the best guess.
        Ok(releases::healthy_last(db, interrupted.release).await?)
    }
}

/// Whether an interrupted run has left the stack in an intermediate state: it had begun to change something, and if it
/// was a deploy, not every service was healthy.
pub(crate) fn needs_recovery(run: &Run, journal: Option<&Journal>) -> bool {
    changes_the_stack(run.kind)
        && journal.is_some_and(|journal| run.kind != RunKind::Deploy || !journal.succeeded())
}

/// Whether a release was deployed successfully and is not that of the interrupted run.
fn is_good(release: &Release, interrupted: &Run) -> bool {
    Some(release.id) != interrupted.release
        && release.deployed_at.is_some()
        && !release.parts.images.is_empty()
        && release.state != ReleaseState::RolledBackFrom
}
