//! Releases: the current one, the history, and the rollback targets.

use std::collections::{BTreeMap, BTreeSet};

use domain::facts::{Actor, Decision};
use domain::observed::Observed;
use domain::paging::Cursor;
use domain::release::{Release, ReleaseComponent, short_commit};
use store::Connection;

use crate::Engine;
use crate::assessment::Assessment;
use crate::error::Error;
use crate::pages::runs::{Progress, findings};
use crate::view::{DrillFigures, DrillView, HeadView, ReleaseRow, ReleasesPage, RunView};
use store::runs::{self, Run};
use store::{StoreError, decisions, paging, releases};

/// Releases on a page of their history.
const ROWS: u32 = 25;
/// Number of deploys and rollbacks listed on the page of one release.
const RUNS: i64 = 50;
/// The same for each release of the history.
const RUNS_IN_HISTORY: i64 = 3;
/// Incidents shown beside the releases.
const NEWEST: i64 = 3;

impl Engine {
    /// The releases' page, with the newest releases.
    pub async fn releases(&self, actor: &Actor) -> Result<ReleasesPage, Error> {
        self.releases_at(actor, Cursor::Newest).await
    }

    /// The releases' page, with a page of their history.
    pub async fn releases_at(&self, actor: &Actor, cursor: Cursor) -> Result<ReleasesPage, Error> {
        let assessment = self.assessment();
        let progress = self.progress(&assessment).await;
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let (ids, pages) = paging::page(&mut db, paging::RELEASES, None, cursor, ROWS).await?;
        let rows = self.release_rows(&mut db, &assessment, &progress, &ids, RUNS_IN_HISTORY).await?;
        drop(db);
        Ok(ReleasesPage {
            now: assessment.now,
            observed: Observed::clone(&assessment.observed),
            current: assessment.release().cloned(),
            releases: rows,
            pages,
            deploy: assessment.offer_deploy(actor),
            backup: assessment.backup_before_deploy().is_some(),
            shown: assessment.shown_directory(),
            open: assessment.offer_open(actor),
            head: head(&assessment, self.subject()),
            rollbacks: assessment.rollbacks(actor),
            running: assessment.snapshot.changing().map(|r| self.run_view(&assessment, r, &progress)),
            failed_deploy: self.failed_deploy(&assessment, &progress),
            drill: self.drill_view(&assessment, actor, &progress),
            restart: assessment.offer_restart(actor),
            incidents: self.newest_incidents(NEWEST).await?,
        })
    }

    /// One release.
    pub async fn release(&self, _actor: &Actor, id: i64) -> Result<ReleaseRow, Error> {
        let assessment = self.assessment();
        let progress = self.progress(&assessment).await;
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let mut rows = self.release_rows(&mut db, &assessment, &progress, &[id], RUNS).await?;
        rows.pop().ok_or_else(|| Error::not_found(format!("Release {id}")))
    }

    /// The release with this number, whether it is in the snapshot or not.
    pub(crate) async fn find_release(&self, id: i64) -> Result<Option<Release>, Error> {
        if let Some(release) = self.snapshot().release(id) {
            return Ok(Some(release.clone()));
        }
        Ok(releases::by_id(self.store().readers(), id).await?)
    }

    fn drill_view(&self, assessment: &Assessment, actor: &Actor, progress: &Progress) -> DrillView {
        let (target, offer) = assessment.offer_drill(actor);
        let last = assessment.snapshot.runs.drill.as_ref();
        DrillView {
            digest: assessment.drill_digest(target.as_ref()),
            target,
            offer,
            result: last.and_then(drill_figures),
            last: last.map(|r| self.run_view(assessment, r, progress)),
        }
    }

    /// The releases with these numbers, in this order. Related rows are read once for all of them.
    async fn release_rows(
        &self,
        db: &mut Connection,
        assessment: &Assessment,
        progress: &Progress,
        ids: &[i64],
        most_runs: i64,
    ) -> Result<Vec<ReleaseRow>, Error> {
        let before = releases::deployed_before(&mut *db, ids).await?;
        let needed: BTreeSet<i64> = ids.iter().chain(before.values()).copied().collect();
        let needed: Vec<i64> = needed.into_iter().collect();
        let found: BTreeMap<i64, Release> =
            releases::these(&mut *db, &needed).await?.into_iter().map(|r| (r.id, r)).collect();
        let mut runs: BTreeMap<i64, Vec<RunView>> = BTreeMap::new();
        for run in runs::on_stack_of(&mut *db, ids, most_runs).await? {
            let of = run.release.unwrap_or_default();
            runs.entry(of).or_default().push(self.run_view(assessment, &run, progress));
        }
        let mut decisions: BTreeMap<i64, Vec<Decision>> = BTreeMap::new();
        for decision in decisions::list(db, ids).await? {
            decisions.entry(decision.release).or_default().push(decision);
        }
        let row = |release: Release| ReleaseRow {
            opened_by: assessment.snapshot.name(release.opened_by),
            deployed_by: release.deployed_by.map(|id| assessment.snapshot.name(id)),
            runs: runs.remove(&release.id).unwrap_or_default(),
            changed: match before.get(&release.id).and_then(|before| found.get(before)) {
                Some(b) if !release.parts.images.is_empty() => release.parts.changed_services(&b.parts),
                _ => vec![],
            },
            decisions: decisions.remove(&release.id).unwrap_or_default(),
            release,
        };
        Ok(ids.iter().filter_map(|id| found.get(id).cloned()).map(row).collect())
    }
}

/// The figures of a drill that has ended.
pub(crate) fn drill_figures(run: &Run) -> Option<DrillFigures> {
    let found = findings(run);
    let drill = found.drill?;
    Some(DrillFigures { away_ms: drill.away_ms, back_ms: drill.back_ms, outages: found.outages })
}

fn head(assessment: &Assessment, subject: String) -> HeadView {
    let commit = assessment.observed.parts.get(ReleaseComponent::Commit);
    HeadView {
        changed: commit.as_deref().is_some_and(|c| c.contains('+')),
        commit: short_commit(commit.as_deref()),
        subject,
    }
}
