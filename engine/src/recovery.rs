//! After a crash: a deploy or rollback whose end nobody saw is brought to an end, without any person.
//!
//! The rule: back to what ran last and was good, unless the journal says that every service was well. What is
//! done is a run of its own, a rollback like any other: it takes the stack's lock, is proved by image IDs and
//! stands in the audit log. Its key is made of the interrupted run's number, so it is started once.

use std::time::Duration;

use domain::facts::Actor;
use domain::release::{Release, ReleaseState};
use domain::role::Role;

use crate::Engine;
use crate::acts::{Ctx, Return};
use crate::audit::{Event, Outcome};
use crate::compose::{Address, Docker, Journal, read_journal};
use crate::error::Error;
use crate::known::changes_the_stack;
use crate::store::runs::{Run, RunKind, RunOutcome, RunState};
use crate::work::{Job, Work};

/// The name under which recovery acts.
pub(crate) const RECOVERY: &str = "Stagegate (recovery)";
/// Time between two looks for an engine that is away.
const RETRY: Duration = Duration::from_secs(1);
/// So often a recovery that is refused is tried again.
const ATTEMPTS: u32 = 5;

impl Engine {
    /// What the journal says of this run; `None` when the run is not the one that wrote it last.
    pub(crate) fn journal_of(&self, run: &Run) -> Option<Journal> {
        let path = Journal::path(&self.keep_dir(run.release?));
        let journal = match read_journal(&path) {
            Ok(journal) => journal?,
            Err(error) => {
                tracing::error!(run = run.id, %error, "the journal cannot be read");
                return None;
            }
        };
        (journal.run == run.id.to_string()).then_some(journal)
    }

    /// At start-up: the server may have died after it noted a crash and before it began to recover.
    pub(crate) fn recover_what_was_left(&self) {
        let known = self.known();
        let last = known.runs.iter().find(|run| changes_the_stack(run.kind));
        if let Some(run) = last.filter(|run| run.state == RunState::Interrupted) {
            self.recover(run);
        }
    }

    /// Brings an interrupted deploy or rollback to an end, in the background. Does nothing when it had not
    /// begun to change anything, or when every service of a deploy was well.
    pub(crate) fn recover(&self, run: &Run) {
        let Some(journal) = self.journal_of(run) else { return };
        if run.kind == RunKind::Deploy && journal.succeeded() {
            return;
        }
        let (engine, run) = (self.clone(), run.clone());
        tokio::spawn(async move {
            let mut attempts = 0;
            while let Err(error) = engine.recover_once(&run).await {
                attempts += 1;
                tracing::error!(run = run.id, %error, "the recovery did not start");
                if attempts >= ATTEMPTS {
                    let why = format!("the recovery did not start: {}", error.public());
                    let _ = engine.note_recovery(&run, why).await;
                    return;
                }
                tokio::time::sleep(RETRY * attempts).await;
            }
        });
    }

    async fn recover_once(&self, run: &Run) -> Result<(), Error> {
        while !self.engine_is_there().await {
            tokio::time::sleep(RETRY).await;
        }
        self.refresh().await?;
        let known = self.known();
        // Somebody was faster: what they began decides.
        if known.runs.iter().any(|other| other.id > run.id && changes_the_stack(other.kind)) {
            return Ok(());
        }
        let Some(actor) = self.recoverer(run) else {
            return Err(Error::unavailable("There is nobody in whose place it could act."));
        };
        let target = match run.kind {
            // A drill ends where it began.
            RunKind::Rollback | RunKind::Drill => run.release,
            _ => last_good(&known.releases, &known.runs, run).map(|release| release.id),
        };
        let Some(target) = target else {
            let why = "a first deploy was interrupted and there is no release to go back to; \
                       what it started runs on. Deploy again, or take it down with `docker compose down`";
            return self.note_recovery(run, why.to_owned()).await;
        };
        let ctx = Ctx { actor, key: format!("recover-after-run-{}", run.id), ip: String::new() };
        let env = if self.wanted_env_back(run) { "back" } else { "keep" };
        self.roll_back(&ctx, &Return { env: env.to_owned(), ..Return::to(target) }).await.map(|_| ())
    }

    /// Whether the interrupted rollback was to put the env file of its target back.
    fn wanted_env_back(&self, run: &Run) -> bool {
        let plan = self.run_dir(run.id).ok().and_then(|dir| dir.plan().ok());
        let job = plan.and_then(|plan| serde_json::from_value::<Job>(plan.work).ok());
        matches!(job, Some(Job { work: Work::Rollback { rollback, .. }, .. }) if rollback.env.is_some())
    }

    /// Whether the engine was lost, so that how a deploy ended says nothing about the release.
    pub(crate) async fn engine_is_there(&self) -> bool {
        Docker::connect(&Address::from_env()).await.is_ok()
    }

    /// Runs name a person; the recovery acts in the place of whoever began, or of anybody if they are gone.
    fn recoverer(&self, run: &Run) -> Option<Actor> {
        let known = self.known();
        let anybody = || known.people.iter().find(|person| !person.disabled).map(|person| person.id);
        let id = known.actor(run.by).map(|actor| actor.id).or_else(anybody)?;
        Some(Actor { id, name: RECOVERY.to_owned(), roles: Role::ALL.to_vec() })
    }

    async fn note_recovery(&self, run: &Run, detail: String) -> Result<(), Error> {
        let event = Event {
            at: self.now(),
            actor: None,
            actor_name: RECOVERY.to_owned(),
            act: "recovery.none".to_owned(),
            subject: format!("run {}", run.id),
            release: run.release,
            run: Some(run.id),
            intent: None,
            outcome: Outcome::Failed,
            detail,
        };
        self.append_event(event).await?;
        self.refresh().await
    }
}

/// The release that ran before the interrupted run: whichever was brought up last and well, by a deploy or by a
/// rollback. `runs` are newest first.
fn last_good<'r>(releases: &'r [Release], runs: &[Run], interrupted: &Run) -> Option<&'r Release> {
    let good = |release: &&Release| {
        Some(release.id) != interrupted.release
            && release.deployed_at.is_some()
            && !release.parts.images.is_empty()
            && release.state != ReleaseState::RolledBackFrom
    };
    let passed = runs.iter().find(|run| {
        run.id < interrupted.id
            && changes_the_stack(run.kind)
            && run.state == RunState::Ended(RunOutcome::Passed)
    });
    let last = passed.and_then(|run| releases.iter().find(|release| Some(release.id) == run.release));
    // Old runs are not all known; then the newest deploy is the best that can be said.
    last.filter(good)
        .or_else(|| releases.iter().filter(good).max_by_key(|release| (release.deployed_at, release.id)))
}

#[cfg(test)]
mod tests {
    use domain::release::Parts;
    use domain::time::Millis;

    use super::*;

    fn release(id: i64, deployed_at: Option<i64>, state: ReleaseState) -> Release {
        Release {
            id,
            parts: Parts { images: [("web".to_owned(), format!("sha256:{id}"))].into(), ..Parts::default() },
            subject: String::new(),
            opened_by: 1,
            opened_at: Millis(1),
            deployed_by: deployed_at.map(|_| 1),
            deployed_at: deployed_at.map(Millis),
            state,
            migrations: None,
            rollback_point_at: None,
        }
    }

    fn run(id: i64, kind: RunKind, release: i64, state: RunState) -> Run {
        Run {
            id,
            kind,
            subject: format!("release {release}"),
            gate: None,
            title: String::new(),
            release: Some(release),
            by: 1,
            by_name: String::new(),
            started_at: Millis(id),
            ended_at: None,
            state,
            exit: None,
            result: None,
            key: None,
        }
    }

    #[test]
    fn the_way_back_leads_to_what_ran_last_and_was_good() {
        let all = [
            release(4, None, ReleaseState::Failed),
            release(3, Some(30), ReleaseState::RolledBackFrom),
            release(2, Some(20), ReleaseState::Deployed),
            release(1, Some(10), ReleaseState::Deployed),
        ];
        let passed = RunState::Ended(RunOutcome::Passed);
        let crashed = run(9, RunKind::Deploy, 4, RunState::Interrupted);
        let back =
            [crashed.clone(), run(8, RunKind::Rollback, 1, passed), run(7, RunKind::Deploy, 3, passed)];
        let found = |releases, runs| last_good(releases, runs, &crashed).map(|release| release.id);
        assert_eq!(found(&all, &back), Some(1), "a rollback led there, though another was deployed later");
        assert_eq!(found(&all, &back[..1]), Some(2), "without runs the newest deploy");
        assert_eq!(found(&all, &back[2..]), Some(2), "never to one that was left as bad");
        assert_eq!(found(&all[..1], &back), None);
    }
}
