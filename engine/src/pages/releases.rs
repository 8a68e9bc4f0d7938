//! Releases: what was judged, deployed, and can be gone back to.

use domain::facts::Actor;
use domain::page::Cursor;
use domain::release::{Part, Release, short_commit};

use crate::Engine;
use crate::error::Error;
use crate::judging::Judged;
use crate::known::changes_the_stack;
use crate::pages::incidents::incident_row;
use crate::pages::runs::findings;
use crate::store::runs::{Run, RunKind, RunOutcome, RunState};
use crate::store::{StoreError, paging};
use crate::view::{DrillFigures, DrillView, HeadView, ReleaseRow, ReleasesPage};

/// Releases on a page of their history.
const ROWS: u32 = 25;
/// Incidents shown beside the releases.
const NEWEST: usize = 3;

impl Engine {
    /// The releases' page, with the newest releases.
    pub async fn releases(&self, actor: &Actor) -> Result<ReleasesPage, Error> {
        self.releases_at(actor, Cursor::Newest).await
    }

    /// The releases' page, with a page of their history.
    pub async fn releases_at(&self, actor: &Actor, cursor: Cursor) -> Result<ReleasesPage, Error> {
        let judged = self.judged();
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let (ids, pages) = paging::page(&mut db, paging::RELEASES, None, cursor, ROWS).await?;
        drop(db);
        let on_page = ids.iter().filter_map(|id| judged.known.release(*id));
        Ok(ReleasesPage {
            now: judged.now,
            observed: judged.observed.clone(),
            current: judged.release().cloned(),
            releases: on_page.map(|r| self.release_row(&judged, r)).collect(),
            pages,
            deploy: judged.offer_deploy(actor),
            backup: judged.backup_before_deploy().is_some(),
            shown: judged.shown_directory(),
            open: judged.offer_open(actor),
            head: head(&judged, self.subject()),
            rollbacks: judged.rollbacks(actor),
            running: judged.known.changing().map(|r| self.run_view(&judged, r)),
            failed_deploy: self.failed_deploy(&judged),
            drill: self.drill_view(&judged, actor),
            restart: judged.offer_restart(actor),
            incidents: judged.known.incidents.iter().take(NEWEST).map(|i| incident_row(&judged, i)).collect(),
        })
    }

    /// One release.
    pub async fn release(&self, _actor: &Actor, id: i64) -> Result<ReleaseRow, Error> {
        let judged = self.judged();
        let release = judged.known.release(id).ok_or_else(|| Error::not_found(format!("Release {id}")))?;
        Ok(self.release_row(&judged, release))
    }

    fn drill_view(&self, judged: &Judged, actor: &Actor) -> DrillView {
        let (target, offer) = judged.offer_drill(actor);
        let passed = RunState::Ended(RunOutcome::Passed);
        let last = judged.known.runs.iter().find(|r| r.kind == RunKind::Drill && r.state == passed);
        DrillView {
            digest: judged.drill_digest(target.as_ref()),
            target,
            offer,
            result: last.and_then(drill_figures),
            last: last.map(|r| self.run_view(judged, r)),
        }
    }

    fn release_row(&self, judged: &Judged, release: &Release) -> ReleaseRow {
        let known = &judged.known;
        let before = known
            .releases
            .iter()
            .filter(|r| r.id < release.id && !r.parts.images.is_empty())
            .max_by_key(|r| r.id);
        ReleaseRow {
            opened_by: known.name(release.opened_by),
            deployed_by: release.deployed_by.map(|id| known.name(id)),
            runs: known
                .runs
                .iter()
                .filter(|r| r.release == Some(release.id) && changes_the_stack(r.kind))
                .map(|r| self.run_view(judged, r))
                .collect(),
            changed: match before {
                Some(b) if !release.parts.images.is_empty() => release.parts.changed_services(&b.parts),
                _ => vec![],
            },
            decisions: known.decisions.iter().filter(|d| d.release == release.id).cloned().collect(),
            release: release.clone(),
        }
    }
}

/// The figures of a drill that is over.
pub(crate) fn drill_figures(run: &Run) -> Option<DrillFigures> {
    let found = findings(run);
    let drill = found.drill?;
    Some(DrillFigures { away_ms: drill.away_ms, back_ms: drill.back_ms, outages: found.outages })
}

fn head(judged: &Judged, subject: String) -> HeadView {
    let commit = judged.observed.parts.get(Part::Commit);
    HeadView {
        changed: commit.as_deref().is_some_and(|c| c.contains('+')),
        commit: short_commit(commit.as_deref()),
        subject,
    }
}
