//! What the store knows, held in memory: pages are judged from it and cost no query. Read anew after
//! every write.

use domain::changes::Change;
use domain::evidence::Evidence;
use domain::facts::{Acceptance, Actor, Attestation, Decision, SignOff, Waiver};
use domain::incident::{Incident, Note};
use domain::release::Release;
use domain::role::Role;

use crate::error::Error;
use crate::store::people::Person;
use crate::store::run_follow_ups::FollowUp;
use crate::store::runs::{Filter, Run, RunKind, RunOutcome, RunState};
use crate::store::{self, Store};

/// A copy of the store's contents at one moment.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub people: Vec<Person>,
    pub releases: Vec<Release>,
    pub current: Option<i64>,
    pub evidence: Vec<Evidence>,
    pub attestations: Vec<Attestation>,
    pub waivers: Vec<Waiver>,
    pub acceptances: Vec<Acceptance>,
    pub sign_offs: Vec<SignOff>,
    pub decisions: Vec<Decision>,
    /// The last change of everything watched, oldest first.
    pub changes: Vec<Change>,
    /// What was written in the ownership log, newest first.
    pub ownership: Vec<store::ownership::Entry>,
    /// Incidents, newest first.
    pub incidents: Vec<Incident>,
    /// What people added to them, oldest first.
    pub incident_notes: Vec<Note>,
    /// The newest runs, newest first.
    pub runs: Vec<Run>,
    /// What has to follow the newest runs.
    pub follow_ups: Vec<FollowUp>,
    /// The newest audit event when this was read; a newer one means that something may differ.
    pub head: i64,
}

/// How many runs are held.
const RUNS: i64 = 500;
/// How many follow-ups are held: those of the last change of the stack.
const FOLLOW_UPS: i64 = 5;
/// How many runs say how long the next one will take.
const USUAL: usize = 5;
/// How much evidence of each check is held, beside all that concerns the current release.
const EVIDENCE: i64 = 50;

impl Known {
    pub(crate) async fn load(store: &Store) -> Result<Known, Error> {
        let db = store.readers();
        // Read first: what is written while the rest is read is then read once more.
        let head = head(store).await?;
        let current = store::releases::current(db).await?.map(|r| r.id);
        Ok(Known {
            head,
            people: store::people::list(db).await?,
            releases: store::releases::list(db, -1).await?,
            current,
            evidence: store::evidence::for_judging(db, current, EVIDENCE).await?,
            attestations: store::attestations::list(db).await?,
            waivers: store::waivers::list(db).await?,
            acceptances: store::acceptances::list(db).await?,
            sign_offs: store::sign_offs::list(db, None).await?,
            decisions: store::decisions::list(db, None).await?,
            changes: store::changes::last(db).await?,
            ownership: store::ownership::history(db, None).await?,
            incidents: store::incidents::list(db).await?,
            incident_notes: store::incidents::notes(db).await?,
            runs: store::runs::list(db, Filter::default(), RUNS).await?,
            follow_ups: store::run_follow_ups::newest(db, FOLLOW_UPS).await?,
        })
    }

    pub(crate) fn actor(&self, id: i64) -> Option<Actor> {
        self.people.iter().find(|p| p.id == id && !p.disabled).map(Person::actor)
    }

    pub(crate) fn name(&self, id: i64) -> String {
        if id == store::people::SCHEDULE {
            return store::people::SCHEDULE_NAME.to_owned();
        }
        self.people.iter().find(|p| p.id == id).map_or_else(|| "somebody".to_owned(), |p| p.name.clone())
    }

    pub(crate) fn holders(&self, role: Role) -> Vec<&Person> {
        self.people.iter().filter(|p| !p.disabled && p.roles.contains(&role)).collect()
    }

    pub(crate) fn release(&self, id: i64) -> Option<&Release> {
        self.releases.iter().find(|r| r.id == id)
    }

    pub(crate) fn current(&self) -> Option<&Release> {
        self.release(self.current?)
    }

    /// The last run about `subject` of this kind.
    pub(crate) fn last_run(&self, kind: RunKind, subject: &str) -> Option<&Run> {
        self.runs.iter().find(|r| r.kind == kind && r.subject == subject)
    }

    /// Runs that go on, oldest first.
    pub(crate) fn running(&self) -> Vec<&Run> {
        self.runs.iter().rev().filter(|r| r.state == RunState::Running).collect()
    }

    /// The deploy or rollback that goes on.
    pub(crate) fn changing(&self) -> Option<&Run> {
        self.runs.iter().find(|r| r.state == RunState::Running && changes_the_stack(r.kind))
    }

    /// How long the last runs of the same subject took that went to their end: the middle one, milliseconds.
    pub(crate) fn expected_ms(&self, kind: RunKind, subject: &str) -> Option<u64> {
        // A run of checks takes as long whatever it finds; the others end early when they fail.
        let whole = |r: &&Run| match r.state {
            RunState::Ended(RunOutcome::Passed) => true,
            RunState::Ended(RunOutcome::Failed | RunOutcome::Inconclusive) => kind == RunKind::Check,
            _ => false,
        };
        let alike = |r: &&Run| {
            r.kind == kind
                // Deploys and rollbacks of different releases take alike.
                && (r.subject == subject || changes_the_stack(kind))
        };
        let mut took: Vec<u64> = self
            .runs
            .iter()
            .filter(whole)
            .filter(alike)
            .filter_map(|run| Some(run.ended_at?.since(run.started_at)))
            .take(USUAL)
            .collect();
        took.sort_unstable();
        took.get(took.len() / 2).copied()
    }
}

/// Number of the newest audit event; every change of the store makes one.
pub(crate) async fn head(store: &Store) -> Result<i64, Error> {
    let newest = crate::audit::list(store.readers(), crate::audit::Filter::default(), 1).await?;
    Ok(newest.first().map_or(0, |row| row.seq))
}

/// Whether runs of this kind touch what runs; one at a time does.
pub(crate) fn changes_the_stack(kind: RunKind) -> bool {
    matches!(kind, RunKind::Deploy | RunKind::Rollback | RunKind::Drill)
}
