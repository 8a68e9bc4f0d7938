//! Retention: removes run logs and evidence, and measures disk usage.
//!
//! Nothing is removed that is still needed: incidents, and the newest run and evidence of each kind. For the current
//! release, rollback targets and releases with an acceptance, attestation, sign-off or decision, only repeated results
//! of scheduled checks are removed: such a release may stay for months.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use domain::digest::digest_fields;
use domain::time::Millis;

use crate::Engine;
use crate::error::Error;
use crate::view::Storage;
use runbook::Retention;
use store::audit::{self, AuditAction, Event, Outcome};
use store::{self, StoreError, retention};
use system::files::off_thread;

/// Rows and directories removed in one transaction, so that others can write in between.
pub const BATCH: i64 = audit::rows::PER_EVENT;
/// Retained rows that are read in one pass in the background.
const KEPT_LOOKED_AT: usize = 5_000;
/// Entries of the runs directory that are checked for leftovers in one pass.
const ENTRIES_LOOKED_AT: usize = 2_000;
/// Batches of directories measured in one pass. More runs than that are measured the next day.
const MEASURED_BATCHES: usize = 100;

/// What a pass of retention removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The settings that were applied.
    pub settings: Retention,
    /// Runs whose log was removed.
    pub runs: u64,
    /// Size of these logs, bytes.
    pub run_bytes: u64,
    /// Rows of evidence removed.
    pub evidence: u64,
}

/// The kind of data to remove.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Runs,
    Evidence,
}

/// What a pass does with the data that exceeds the retention settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneMode {
    /// It removes the data.
    Remove,
    /// It counts what would be removed.
    Count,
}

/// The limits of a pass.
#[derive(Debug, Clone, Copy)]
struct Pass {
    mode: PruneMode,
    /// Maximum number of retained rows that are read, of each kind.
    max_kept: usize,
}

/// Where the next daily pass continues: after these numbers, and in this listing of the runs directory.
#[derive(Debug, Default)]
pub struct Rotation {
    runs: i64,
    evidence: i64,
    listing: Option<std::fs::ReadDir>,
}

impl Engine {
    /// Removes the data that exceeds the retention settings, or counts it. Each batch is an event of the
    /// audit log.
    ///
    /// # Errors
    /// The store or the disk cannot be read or written. Batches that were already removed stay removed and recorded.
    pub async fn prune(&self, mode: PruneMode) -> Result<Pruned, Error> {
        let pass = Pass { mode, max_kept: usize::MAX };
        self.prune_from(pass, &mut Rotation::default()).await
    }

    /// As [`Engine::prune`], in the background: it reads only a part of the retained rows, another one each day, so
    /// that the cost of a pass depends on what it removes and not on everything that was ever stored.
    ///
    /// # Errors
    /// As [`Engine::prune`].
    pub async fn prune_daily(&self, rotation: &mut Rotation) -> Result<Pruned, Error> {
        let pruned =
            self.prune_from(Pass { mode: PruneMode::Remove, max_kept: KEPT_LOOKED_AT }, rotation).await?;
        self.remove_leftovers(rotation).await?;
        Ok(pruned)
    }

    async fn prune_from(&self, pass: Pass, rotation: &mut Rotation) -> Result<Pruned, Error> {
        let settings = self.stack().retention.clone();
        let mut pruned = Pruned { settings: settings.clone(), ..Pruned::default() };
        let now = self.now();
        let mut referred = retention::referred_releases(self.store().readers()).await?;
        // Releases with retained files for a rollback.
        referred.extend(self.kept_dirs().await);
        if pass.mode == PruneMode::Remove {
            self.measure_runs().await?;
        }
        if let Some(ms) = settings.runs_ms {
            let from = rotation.runs;
            rotation.runs =
                self.prune_kind(Kind::Runs, before(now, ms), &referred, pass, from, &mut pruned).await?;
        }
        if let Some(ms) = settings.evidence_ms {
            let from = rotation.evidence;
            rotation.evidence =
                self.prune_kind(Kind::Evidence, before(now, ms), &referred, pass, from, &mut pruned).await?;
        }
        if pass.mode == PruneMode::Remove {
            self.measure().await;
            if pruned.runs + pruned.evidence > 0 {
                self.refresh().await?;
            }
        }
        Ok(pruned)
    }

    /// Reads the rows after `from`. Returns where the next pass continues: 0 if all were read.
    async fn prune_kind(
        &self,
        kind: Kind,
        before: Millis,
        referred: &BTreeSet<i64>,
        pass: Pass,
        from: i64,
        pruned: &mut Pruned,
    ) -> Result<i64, Error> {
        let (mut after, mut kept) = (from, 0);
        loop {
            let db = self.store().readers();
            let found = match kind {
                Kind::Runs => retention::runs_after(db, after, BATCH).await?,
                Kind::Evidence => retention::evidence_after(db, after, BATCH).await?,
            };
            // Numbers increase with time: after the first recent row there are no old ones.
            let old: Vec<i64> = found.iter().take_while(|one| one.at < before).map(|one| one.id).collect();
            let at_end = old.len() < usize::try_from(BATCH).unwrap_or(0);
            if let Some(last) = old.last() {
                after = *last;
                let ids = match kind {
                    Kind::Runs => retention::runs(db, before, referred, &old).await?,
                    Kind::Evidence => retention::evidence(db, before, referred, &old).await?,
                };
                kept += old.len() - ids.len();
                self.remove(kind, ids, pass.mode, pruned).await?;
            }
            if at_end {
                return Ok(0);
            }
            if kept >= pass.max_kept {
                return Ok(after);
            }
        }
    }

    /// Removes a batch, or counts it.
    async fn remove(
        &self,
        kind: Kind,
        ids: Vec<i64>,
        mode: PruneMode,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        let (Some(first), Some(last)) = (ids.first().copied(), ids.last().copied()) else { return Ok(()) };
        let (now, count) = (self.now(), ids.len());
        let digest = digest_fields(ids.iter().map(ToString::to_string));
        let dirs: Vec<PathBuf> = ids.iter().map(|id| self.paths().runs.join(id.to_string())).collect();
        let (what, slug, detail) = match kind {
            Kind::Runs => {
                let sizes = dirs.clone();
                let bytes = off_thread(move || sizes.iter().map(|d| size_of(d)).sum::<u64>());
                let bytes = bytes.await.map_err(Error::internal)?;
                pruned.runs += count as u64;
                pruned.run_bytes += bytes;
                let plural = if count == 1 { "" } else { "s" };
                let detail =
                    format!("logs of {count} run{plural}, {bytes} bytes; digest of their numbers {digest}");
                ("run logs", "run", detail)
            }
            Kind::Evidence => {
                pruned.evidence += count as u64;
                let plural = if count == 1 { "" } else { "s" };
                let detail =
                    format!("{count} row{plural} of scheduled checks; digest of their numbers {digest}");
                ("evidence", "evidence", detail)
            }
        };
        if mode == PruneMode::Count {
            return Ok(());
        }
        let event = event(now, what, first, last).detail(detail);
        // Recorded first: a log that is missing without a record would look like damage.
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    retention::mark(&mut *tx, slug, &ids, now).await?;
                    if matches!(kind, Kind::Evidence) {
                        retention::delete_evidence(&mut *tx, &ids).await?;
                    }
                    audit::append(tx, &event).await.map(|_| ())
                })
            })
            .await
            .map_err(|e: StoreError| Error::from(e))?;
        match kind {
            Kind::Runs => self.remove_directories(dirs).await,
            Kind::Evidence => Ok(()),
        }
    }

    async fn remove_directories(&self, dirs: Vec<PathBuf>) -> Result<(), Error> {
        let removed = off_thread(move || dirs.iter().try_for_each(|d| remove(d)));
        removed.await.map_err(Error::internal)?.map_err(|error| {
            tracing::error!(%error, "the log of a run could not be removed");
            Error::unavailable("The log of a run could not be removed. The server log has the reason.")
        })
    }

    /// Removes directories of runs whose removal was recorded but did not succeed. Checks a part of the runs directory,
    /// and the next part the next day.
    async fn remove_leftovers(&self, rotation: &mut Rotation) -> Result<(), Error> {
        let (listing, runs) = (rotation.listing.take(), self.paths().runs.clone());
        let read = off_thread(move || {
            let mut listing = match listing {
                Some(listing) => listing,
                None => std::fs::read_dir(runs)?,
            };
            let part: Vec<_> = listing.by_ref().take(ENTRIES_LOOKED_AT).flatten().collect();
            let goes_on = part.len() == ENTRIES_LOOKED_AT;
            Ok::<_, std::io::Error>((part, goes_on.then_some(listing)))
        });
        let (part, listing) = match read.await.and_then(|read| read) {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(%error, "the runs directory could not be read");
                return Ok(());
            }
        };
        rotation.listing = listing;
        let ids: Vec<i64> = part.iter().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
        let unknown = part.len() - ids.len();
        if unknown > 0 {
            tracing::warn!(unknown, "the runs directory contains files that do not belong to a run");
        }
        let left = retention::pruned(self.store().readers(), &ids).await?;
        let dirs = left.iter().map(|id| self.paths().runs.join(id.to_string())).collect();
        self.remove_directories(dirs).await
    }

    /// Measures the directories of runs that ended since the last time.
    async fn measure_runs(&self) -> Result<(), Error> {
        for _ in 0..MEASURED_BATCHES {
            let ids = retention::unmeasured(self.store().readers(), BATCH).await?;
            let at_end = ids.len() < usize::try_from(BATCH).unwrap_or(0);
            let runs = self.paths().runs.clone();
            let sizes = off_thread(move || -> Vec<(i64, u64)> {
                ids.into_iter().map(|id| (id, size_of(&runs.join(id.to_string())))).collect()
            });
            let sizes = sizes.await.map_err(Error::internal)?;
            if !sizes.is_empty() {
                let stored = self
                    .store()
                    .write(move |tx| Box::pin(async move { retention::measured(tx, &sizes).await }));
                stored.await.map_err(|e: StoreError| Error::from(e))?;
            }
            if at_end {
                break;
            }
        }
        Ok(())
    }

    /// Measures the disk usage of the data directory.
    pub(crate) async fn measure(&self) {
        let run_bytes = match retention::run_bytes(self.store().readers()).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(?error, "the size of the run logs could not be read");
                return;
            }
        };
        let (paths, at) = (self.paths().clone(), self.now());
        let measured = off_thread(move || Storage {
            at,
            database_bytes: ["", "-wal", "-shm"]
                .iter()
                .map(|end| size_of(&paths.data.join(format!("{}{end}", store::FILE_NAME))))
                .sum(),
            run_bytes,
            rollback_bytes: size_of(&paths.data.join("rollback")),
        });
        match measured.await {
            Ok(storage) => *self.0.storage.write().unwrap_or_else(|e| e.into_inner()) = Some(storage),
            Err(error) => tracing::warn!(%error, "the data directory could not be measured"),
        }
    }

    /// The disk usage when it was last measured.
    pub(crate) fn storage(&self) -> Option<Storage> {
        *self.0.storage.read().unwrap_or_else(|e| e.into_inner())
    }
}

fn before(now: Millis, ms: u64) -> Millis {
    Millis(now.0.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)))
}

fn event(now: Millis, what: &str, first: i64, last: i64) -> Event {
    let subject = format!("{what} {first} to {last}");
    Event::new(now, None, AuditAction::RetentionPrune, subject).outcome(Outcome::Done)
}

/// Bytes of a file, or of everything in a directory. Entries that cannot be read count as 0.
fn size_of(path: &Path) -> u64 {
    let Ok(meta) = path.symlink_metadata() else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| size_of(&e.path())).sum()
}

/// Removes the directory of a run, if it still exists.
fn remove(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
