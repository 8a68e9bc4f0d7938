//! Releases: what was judged, deployed, and can be gone back to.

use std::collections::{BTreeMap, BTreeSet};

use domain::facts::{Actor, Decision, Observed};
use domain::page::Cursor;
use domain::release::{Part, Release, short_commit};
use sqlx::SqliteConnection;

use crate::Engine;
use crate::error::Error;
use crate::judging::Judged;
use crate::pages::runs::{Progress, findings};
use crate::store::runs::{self, Run};
use crate::store::{StoreError, decisions, paging, releases};
use crate::view::{DrillFigures, DrillView, HeadView, ReleaseRow, ReleasesPage, RunView};

/// Releases on a page of their history.
const ROWS: u32 = 25;
/// So many deploys and rollbacks are listed on the page of one release.
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
        let judged = self.judged();
        let progress = self.progress(&judged).await;
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let (ids, pages) = paging::page(&mut db, paging::RELEASES, None, cursor, ROWS).await?;
        let rows = self.release_rows(&mut db, &judged, &progress, &ids, RUNS_IN_HISTORY).await?;
        drop(db);
        Ok(ReleasesPage {
            now: judged.now,
            observed: Observed::clone(&judged.observed),
            current: judged.release().cloned(),
            releases: rows,
            pages,
            deploy: judged.offer_deploy(actor),
            backup: judged.backup_before_deploy().is_some(),
            shown: judged.shown_directory(),
            open: judged.offer_open(actor),
            head: head(&judged, self.subject()),
            rollbacks: judged.rollbacks(actor),
            running: judged.known.changing().map(|r| self.run_view(&judged, r, &progress)),
            failed_deploy: self.failed_deploy(&judged, &progress),
            drill: self.drill_view(&judged, actor, &progress),
            restart: judged.offer_restart(actor),
            incidents: self.newest_incidents(NEWEST).await?,
        })
    }

    /// One release.
    pub async fn release(&self, _actor: &Actor, id: i64) -> Result<ReleaseRow, Error> {
        let judged = self.judged();
        let progress = self.progress(&judged).await;
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let mut rows = self.release_rows(&mut db, &judged, &progress, &[id], RUNS).await?;
        rows.pop().ok_or_else(|| Error::not_found(format!("Release {id}")))
    }

    /// The release with this number, held or not.
    pub(crate) async fn find_release(&self, id: i64) -> Result<Option<Release>, Error> {
        if let Some(release) = self.known().release(id) {
            return Ok(Some(release.clone()));
        }
        Ok(releases::by_id(self.store().readers(), id).await?)
    }

    fn drill_view(&self, judged: &Judged, actor: &Actor, progress: &Progress) -> DrillView {
        let (target, offer) = judged.offer_drill(actor);
        let last = judged.known.runs.drill.as_ref();
        DrillView {
            digest: judged.drill_digest(target.as_ref()),
            target,
            offer,
            result: last.and_then(drill_figures),
            last: last.map(|r| self.run_view(judged, r, progress)),
        }
    }

    /// The releases with these numbers, in their order. What they need is asked once for all of them.
    async fn release_rows(
        &self,
        db: &mut SqliteConnection,
        judged: &Judged,
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
            runs.entry(of).or_default().push(self.run_view(judged, &run, progress));
        }
        let mut decisions: BTreeMap<i64, Vec<Decision>> = BTreeMap::new();
        for decision in decisions::list(db, ids).await? {
            decisions.entry(decision.release).or_default().push(decision);
        }
        let row = |release: Release| ReleaseRow {
            opened_by: judged.known.name(release.opened_by),
            deployed_by: release.deployed_by.map(|id| judged.known.name(id)),
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
