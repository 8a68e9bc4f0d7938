//! The part of the store that decisions and the board need, held in memory, so that pages are judged without a query.
//! Each part is read by its own queries, whose cost does not depend on how much was ever stored, and is read again
//! only after a write to it. History stays in the store; pages that show it query it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::evidence::Evidence;
use domain::facts::{Acceptance, Actor, Attestation, Decision, SignOff, Waiver};
use domain::failures::FailureCount;
use domain::incident::{Incident, Note};
use domain::observed_changes::Change;
use domain::release::Release;
use domain::role::Role;
use store::Connection;

use crate::error::Error;
use store::evidence::CheckRunner;
use store::people::Person;
use store::revisions::{Revisions, StorePart};
use store::run_follow_ups::FollowUp;
use store::runs::{Run, RunKind, RunState};
use store::{self, Store, StoreError};

/// The part of the store's contents that decisions need, at one moment.
#[derive(Debug, Default, Clone)]
pub(crate) struct StoreSnapshot {
    /// The revisions at the time of reading; a part with another revision is read again.
    pub revisions: Revisions,
    /// How many rollback targets of each kind are held.
    pub targets: i64,
    pub people: Arc<Vec<Person>>,
    /// The releases that decisions need, newest first: see [`store::releases::needed`].
    pub releases: Arc<Vec<Release>>,
    pub current: Option<i64>,
    /// The newest evidence: see [`store::evidence::for_judging`].
    pub evidence: Arc<Vec<Evidence>>,
    /// How often checks did not pass on the current release.
    pub failures: Arc<Vec<FailureCount>>,
    /// Who ran which check on the current release.
    pub check_runners: Arc<Vec<CheckRunner>>,
    /// The last measured value of each check on each of the last releases.
    pub measured: Arc<Vec<Evidence>>,
    pub words: Arc<Words>,
    /// The last change of everything watched, oldest first.
    pub changes: Arc<Vec<Change>>,
    pub runs: Arc<Runs>,
    /// The newest incident, with what people added to it, oldest first.
    pub incident: Arc<Option<(Incident, Vec<Note>)>>,
}

/// Statements of people that can still count: those about the current release, and waivers.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub attestations: Vec<Attestation>,
    pub waivers: Vec<Waiver>,
    pub acceptances: Vec<Acceptance>,
    pub sign_offs: Vec<SignOff>,
    pub decisions: Vec<Decision>,
}

/// The runs that decisions and the board need.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// The running ones, newest first.
    pub running: Vec<Run>,
    /// The last few that have ended, newest first.
    pub over: Vec<Run>,
    /// The last run of every step.
    pub steps: Vec<Run>,
    /// The last run that changed or is changing the stack.
    pub on_stack: Option<Run>,
    /// The follow-ups of that run.
    pub follow_ups: Vec<FollowUp>,
    /// The last successful drill.
    pub drill: Option<Run>,
    /// The last successful rollback.
    pub rollback: Option<Run>,
    /// The usual duration of the runs in progress, milliseconds, by kind and subject.
    pub usual_ms: BTreeMap<(&'static str, String), u64>,
}

impl Runs {
    /// The numbers of the ended runs.
    pub(crate) fn ended(&self) -> Vec<i64> {
        let single = [&self.on_stack, &self.drill, &self.rollback].into_iter().flatten();
        let all = self.over.iter().chain(&self.steps).chain(single);
        let ended = all.filter(|run| run.state != RunState::Running).map(|run| run.id);
        ended.collect::<BTreeSet<i64>>().into_iter().collect()
    }
}

/// How many ended runs the board shows.
const OVER: i64 = 6;
/// How much evidence of each check is held, in addition to that of the current release.
const EVIDENCE: i64 = 50;
/// How many releases a trend shows.
const TREND: i64 = 12;
/// So many more releases than the stack retains are held, since the images of some may have been removed by hand.
const MORE_TARGETS: usize = 10;

impl StoreSnapshot {
    /// Reads the parts that differ from `before`, in one read transaction, for a stack that retains `keep` rollback
    /// targets.
    pub(crate) async fn load(
        store: &Store,
        keep: usize,
        before: &StoreSnapshot,
    ) -> Result<StoreSnapshot, Error> {
        let targets = i64::try_from(keep + MORE_TARGETS).unwrap_or(i64::MAX);
        let mut tx = store.readers().begin().await.map_err(StoreError::from)?;
        let snapshot = StoreSnapshot::read(&mut tx, targets, before).await?;
        tx.rollback().await.map_err(StoreError::from)?;
        Ok(snapshot)
    }

    async fn read(
        db: &mut Connection,
        targets: i64,
        before: &StoreSnapshot,
    ) -> Result<StoreSnapshot, StoreError> {
        let revisions = store::revisions::read(&mut *db).await?;
        let differs = |part: StorePart| revisions.get(part) != before.revisions.get(part);
        let mut snapshot = StoreSnapshot { revisions: revisions.clone(), targets, ..before.clone() };
        if differs(StorePart::People) {
            snapshot.people = Arc::new(store::people::list(&mut *db).await?);
        }
        if differs(StorePart::Changes) {
            snapshot.changes = Arc::new(store::changes::last(&mut *db).await?);
        }
        if differs(StorePart::Runs) {
            snapshot.runs = Arc::new(Runs::read(&mut *db).await?);
        }
        if differs(StorePart::Incidents) {
            let newest = store::incidents::list(&mut *db, None, 1).await?.pop();
            snapshot.incident = Arc::new(match newest {
                Some(incident) => {
                    let notes = store::incidents::notes(&mut *db, incident.id).await?;
                    Some((incident, notes))
                }
                None => None,
            });
        }
        let named = snapshot.named();
        let more = targets != before.targets;
        if more || differs(StorePart::Releases) || named.iter().any(|id| snapshot.release(*id).is_none()) {
            let named: Vec<i64> = named.into_iter().collect();
            snapshot.releases = Arc::new(store::releases::needed(&mut *db, targets, &named).await?);
            snapshot.current = store::releases::current(&mut *db).await?.map(|r| r.id);
        }
        let another = snapshot.current != before.current;
        if another || differs(StorePart::Words) {
            snapshot.words = Arc::new(Words::read(&mut *db, snapshot.current).await?);
        }
        if another || differs(StorePart::Evidence) {
            snapshot.evidence =
                Arc::new(store::evidence::for_judging(&mut *db, snapshot.current, EVIDENCE).await?);
            snapshot.measured = Arc::new(store::evidence::measured(&mut *db, TREND).await?);
            snapshot.check_runners = Arc::new(match snapshot.current {
                Some(release) => store::evidence::runners(&mut *db, release).await?,
                None => vec![],
            });
        }
        // The counts depend on the parts of the release, which are final only after its first deploy.
        if another || differs(StorePart::Evidence) || differs(StorePart::Releases) {
            snapshot.failures = Arc::new(match snapshot.current() {
                Some(release) => store::evidence::failures(&mut *db, release).await?,
                None => vec![],
            });
        }
        Ok(snapshot)
    }

    /// Releases that runs or the incident refer to.
    fn named(&self) -> BTreeSet<i64> {
        let runs = self.runs.all().filter_map(|run| run.release);
        let incident = self.incident.iter().flat_map(|(i, _)| i.from.into_iter().chain([i.to]));
        runs.chain(incident).collect()
    }

    pub(crate) fn actor(&self, id: i64) -> Option<Actor> {
        self.people.iter().find(|p| p.id == id && !p.disabled).map(Person::actor)
    }

    pub(crate) fn name(&self, id: i64) -> String {
        if id == store::people::SCHEDULE {
            return store::people::SCHEDULE_NAME.to_owned();
        }
        self.people.iter().find(|p| p.id == id).map_or_else(|| "unknown user".to_owned(), |p| p.name.clone())
    }

    pub(crate) fn holders(&self, role: Role) -> Vec<&Person> {
        self.people.iter().filter(|p| !p.disabled && p.roles.contains(&role)).collect()
    }

    /// A release, if it is among those held.
    pub(crate) fn release(&self, id: i64) -> Option<&Release> {
        self.releases.iter().find(|r| r.id == id)
    }

    pub(crate) fn current(&self) -> Option<&Release> {
        self.release(self.current?)
    }

    /// The last run of a step.
    pub(crate) fn last_step(&self, step: &str) -> Option<&Run> {
        self.runs.steps.iter().find(|r| r.subject == step)
    }

    /// Runs in progress, oldest first.
    pub(crate) fn running(&self) -> Vec<&Run> {
        self.runs.running.iter().rev().collect()
    }

    /// The running deploy, rollback or drill.
    pub(crate) fn changing(&self) -> Option<&Run> {
        self.runs.running.iter().find(|r| changes_the_stack(r.kind))
    }

    /// The usual duration of runs of the same kind and subject as this run in progress, milliseconds.
    pub(crate) fn expected_ms(&self, run: &Run) -> Option<u64> {
        self.runs.usual_ms.get(&(run.kind.slug(), run.subject.clone())).copied()
    }
}

impl Words {
    async fn read(db: &mut Connection, release: Option<i64>) -> Result<Words, StoreError> {
        let waivers = store::waivers::list(&mut *db).await?;
        let Some(release) = release else { return Ok(Words { waivers, ..Words::default() }) };
        Ok(Words {
            waivers,
            attestations: store::attestations::list(&mut *db, release).await?,
            acceptances: store::acceptances::list(&mut *db, release).await?,
            sign_offs: store::sign_offs::list(&mut *db, release).await?,
            decisions: store::decisions::list(&mut *db, &[release]).await?,
        })
    }
}

impl Runs {
    async fn read(db: &mut Connection) -> Result<Runs, StoreError> {
        let running = store::runs::active(&mut *db).await?;
        let mut usual_ms = BTreeMap::new();
        for run in &running {
            if let Some(ms) = store::runs::usual_ms(&mut *db, run.kind, &run.subject).await? {
                usual_ms.insert((run.kind.slug(), run.subject.clone()), ms);
            }
        }
        let on_stack = store::runs::last_on_stack(&mut *db).await?;
        let follow_ups = match &on_stack {
            Some(run) => store::run_follow_ups::of_run(&mut *db, run.id).await?,
            None => vec![],
        };
        Ok(Runs {
            running,
            usual_ms,
            follow_ups,
            on_stack,
            over: store::runs::over(&mut *db, OVER).await?,
            steps: store::runs::last_of_steps(&mut *db).await?,
            drill: store::runs::last_passed(&mut *db, RunKind::Drill).await?,
            rollback: store::runs::last_passed(&mut *db, RunKind::Rollback).await?,
        })
    }

    /// Every run that is held; some of them appear twice.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Run> {
        let single = [&self.on_stack, &self.drill, &self.rollback];
        let single = single.into_iter().filter_map(Option::as_ref);
        self.running.iter().chain(&self.over).chain(&self.steps).chain(single)
    }

    /// Whether the run with this number is running.
    pub(crate) fn goes_on(&self, id: i64) -> bool {
        self.running.iter().any(|r| r.id == id && r.state == RunState::Running)
    }
}

/// Whether runs of this kind change the running stack; only one of them runs at a time.
pub(crate) fn changes_the_stack(kind: RunKind) -> bool {
    matches!(kind, RunKind::Deploy | RunKind::Rollback | RunKind::Drill)
}

#[cfg(test)]
mod tests;
