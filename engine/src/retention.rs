//! Retention: which logs of runs and which evidence are removed, and how much room everything takes.
//!
//! Nothing is removed that something rests on: the current release, releases that one can roll back to, releases that
//! somebody accepted, attested, signed or decided on, incidents, and the newest run and evidence of each kind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use domain::digest::digest_fields;
use domain::time::Millis;

use crate::Engine;
use crate::audit::{self, Event, Outcome};
use crate::error::Error;
use crate::runbook::Retention;
use crate::store::{self, StoreError, retention};
use crate::view::Storage;

/// Rows and directories removed in one transaction, so that others can write in between.
const BATCH: i64 = audit::rows::PER_EVENT;

/// What a pass of retention removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The settings it went by.
    pub settings: Retention,
    /// Runs whose log was removed.
    pub runs: u64,
    /// Room that those took, bytes.
    pub run_bytes: u64,
    /// Rows of evidence removed.
    pub evidence: u64,
}

impl Engine {
    /// Removes what the settings let go, or counts it when `dry_run`. Each batch is an event of the audit log.
    ///
    /// # Errors
    /// Fails when the store or the disk cannot be read or written; what was removed until then stays removed and
    /// recorded.
    pub async fn prune(&self, dry_run: bool) -> Result<Pruned, Error> {
        let settings = self.stack().retention.clone();
        let mut pruned = Pruned { settings: settings.clone(), ..Pruned::default() };
        let now = self.now();
        let mut stay = retention::referred_releases(self.store().readers()).await?;
        stay.extend(rollback_targets(&self.paths().data.join("rollback")));
        if let Some(ms) = settings.runs_ms {
            self.prune_runs(before(now, ms), &stay, dry_run, &mut pruned).await?;
        }
        if let Some(ms) = settings.evidence_ms {
            self.prune_evidence(before(now, ms), &stay, dry_run, &mut pruned).await?;
        }
        if !dry_run {
            self.measure().await;
            if pruned.runs + pruned.evidence > 0 {
                self.refresh().await?;
            }
        }
        Ok(pruned)
    }

    async fn prune_runs(
        &self,
        before: Millis,
        stay: &BTreeSet<i64>,
        dry_run: bool,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let ids = retention::runs(self.store().readers(), before, stay, after, BATCH).await?;
            let Some(last) = ids.last().copied() else { return Ok(()) };
            after = last;
            let dirs: Vec<PathBuf> = ids.iter().map(|id| self.paths().runs.join(id.to_string())).collect();
            let sizes = dirs.clone();
            let bytes = tokio::task::spawn_blocking(move || sizes.iter().map(|d| size_of(d)).sum::<u64>());
            let bytes = bytes.await.map_err(Error::internal)?;
            pruned.runs += ids.len() as u64;
            pruned.run_bytes += bytes;
            if dry_run {
                continue;
            }
            let (now, count) = (self.now(), ids.len());
            let digest = digest_fields(ids.iter().map(ToString::to_string));
            let detail = format!("logs of {count} runs, {bytes} bytes; digest of their numbers {digest}");
            let event = event(now, "run logs", ids.first().copied().unwrap_or(last), last).detail(detail);
            // Written down first: a log that is missing without a reason would read as damage.
            self.store()
                .write(move |tx| {
                    Box::pin(async move {
                        retention::mark(&mut *tx, "run", &ids, now).await?;
                        audit::append(tx, &event).await.map(|_| ())
                    })
                })
                .await
                .map_err(|e: StoreError| Error::from(e))?;
            let removed = tokio::task::spawn_blocking(move || dirs.iter().try_for_each(|d| remove(d)));
            removed.await.map_err(Error::internal)?.map_err(|error| {
                tracing::error!(%error, "the log of a run could not be removed");
                Error::unavailable("The log of a run could not be removed; see the log of the server.")
            })?;
        }
    }

    async fn prune_evidence(
        &self,
        before: Millis,
        stay: &BTreeSet<i64>,
        dry_run: bool,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let ids = retention::evidence(self.store().readers(), before, stay, after, BATCH).await?;
            let Some(last) = ids.last().copied() else { return Ok(()) };
            after = last;
            pruned.evidence += ids.len() as u64;
            if dry_run {
                continue;
            }
            let (now, count) = (self.now(), ids.len());
            let digest = digest_fields(ids.iter().map(ToString::to_string));
            let detail = format!("{count} rows of scheduled checks; digest of their numbers {digest}");
            let event = event(now, "evidence", ids.first().copied().unwrap_or(last), last).detail(detail);
            self.store()
                .write(move |tx| {
                    Box::pin(async move {
                        retention::mark(&mut *tx, "evidence", &ids, now).await?;
                        retention::delete_evidence(&mut *tx, &ids).await?;
                        audit::append(tx, &event).await.map(|_| ())
                    })
                })
                .await
                .map_err(|e: StoreError| Error::from(e))?;
        }
    }

    /// Measures how much room everything takes.
    pub(crate) async fn measure(&self) {
        let (paths, at) = (self.paths().clone(), self.now());
        let measured = tokio::task::spawn_blocking(move || Storage {
            at,
            database_bytes: ["", "-wal", "-shm"]
                .iter()
                .map(|end| size_of(&paths.data.join(format!("{}{end}", store::FILE_NAME))))
                .sum(),
            run_bytes: size_of(&paths.runs),
            rollback_bytes: size_of(&paths.data.join("rollback")),
        });
        match measured.await {
            Ok(storage) => *self.0.storage.write().unwrap_or_else(|e| e.into_inner()) = Some(storage),
            Err(error) => tracing::warn!(%error, "the data directory could not be measured"),
        }
    }

    /// How much room everything took when it was last measured.
    pub(crate) fn storage(&self) -> Option<Storage> {
        *self.0.storage.read().unwrap_or_else(|e| e.into_inner())
    }
}

fn before(now: Millis, ms: u64) -> Millis {
    Millis(now.0.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)))
}

fn event(now: Millis, what: &str, first: i64, last: i64) -> Event {
    let subject = format!("{what} {first} to {last}");
    Event::new(now, None, "retention.prune", subject).outcome(Outcome::Done)
}

/// Releases that something is kept of to roll back to.
fn rollback_targets(dir: &Path) -> Vec<i64> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// Bytes of a file, or of everything in a directory. What cannot be read counts nothing.
fn size_of(path: &Path) -> u64 {
    let Ok(meta) = path.symlink_metadata() else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| size_of(&e.path())).sum()
}

/// Removes the directory of a run; one that is gone already is fine.
fn remove(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
