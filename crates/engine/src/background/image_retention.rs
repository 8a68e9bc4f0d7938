//! Keeps rollback targets usable: their images are pinned and checked regularly, and those of older releases are
//! removed. Disk space is reserved so that a rollback also works on a full disk.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::release::{Release, ReleaseState};

use crate::Engine;
use crate::assessment::Assessment;
use crate::error::Error;
use crate::retained_images::RetainedState;
use orchestrator::{ImageInventory, OrchestratorError, release_tag};
use secrets::has_env_copy;
use system::files::off_thread;

/// How long a rollback waits for the check of its images; its run checks them again itself.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often the images of the rollback targets are checked, in addition to after every run.
const EVERY: Duration = Duration::from_secs(20);
/// The images of this many releases that were deployed last are always retained.
const LAST: usize = 2;
/// Changes often come in groups, so they are handled this long after the first one.
const CHANGE_PAUSE: Duration = Duration::from_secs(2);

/// The releases whose images and configuration are retained.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    releases: BTreeSet<i64>,
    /// The newest release in the snapshot. The images of a deploy exist before its release is in the snapshot.
    newest: i64,
}

impl Kept {
    fn keeps(&self, release: i64) -> bool {
        release > self.newest || self.releases.contains(&release)
    }

    /// Whether an image tag stays; tags that do not name a release do.
    fn keeps_tag(&self, tag: &str) -> bool {
        let release = tag.strip_prefix('r').and_then(|id| id.parse::<i64>().ok());
        release.filter(|id| release_tag(*id) == tag).is_none_or(|id| self.keeps(id))
    }
}

impl Assessment {
    /// The rollback targets, best first: validated releases, then those that were healthy. At most as many as the stack
    /// retains.
    pub(crate) fn rollback_targets(&self) -> Vec<&Release> {
        let current = self.release();
        let running = &self.observed.parts.images;
        let mut targets = self.good_releases();
        targets.retain(|r| current.is_none_or(|c| c.id != r.id) || r.parts.images != *running);
        targets.truncate(self.stack.keep);
        targets
    }

    /// The releases that were healthy, are not known to be bad and are still retained; best first.
    fn good_releases(&self) -> Vec<&Release> {
        let let_go = self.stack.images.read().let_go;
        let is_good = |r: &&Release| {
            !r.parts.images.is_empty()
                && r.deployed_at.is_some()
                && r.state != ReleaseState::RolledBackFrom
                && !let_go.contains(&r.id)
        };
        let mut good: Vec<&Release> = self.snapshot.releases.iter().filter(is_good).collect();
        good.sort_by_key(|r| {
            let proved = r.rollback_point_at.is_some();
            (std::cmp::Reverse(proved), std::cmp::Reverse(r.deployed_at), std::cmp::Reverse(r.id))
        });
        good
    }

    /// The releases whose images are retained: the current one; the newest one, whose deploy may be in progress; those
    /// deployed last, to which a recovery returns although they are not validated yet; and as many rollback targets as
    /// the stack retains. The running containers are not taken into account.
    fn kept(&self) -> Vec<&Release> {
        let all = &self.snapshot.releases;
        let mut deployed: Vec<&Release> =
            all.iter().filter(|r| r.deployed_at.is_some() && r.state == ReleaseState::Deployed).collect();
        deployed.sort_by_key(|r| std::cmp::Reverse((r.deployed_at, r.id)));
        deployed.truncate(LAST);
        let current = self.release();
        let here = [current.map(|r| r.id), deployed.first().map(|r| r.id)];
        let mut kept = self.good_releases();
        kept.retain(|r| !here.contains(&Some(r.id)));
        kept.truncate(self.stack.keep);
        kept.extend(current.into_iter().chain(all.iter().max_by_key(|r| r.id)).chain(deployed));
        kept
    }
}

/// Pins the images of the rollback targets and removes older ones, until the engine stops.
pub(super) struct ImageRetention {
    engine: Engine,
    /// The retained releases when older ones were last removed.
    pruned: Option<Kept>,
}

impl ImageRetention {
    pub(super) fn new(engine: Engine) -> ImageRetention {
        ImageRetention { engine, pruned: None }
    }

    pub(super) async fn run(mut self) {
        let mut revision = self.engine.revisions();
        loop {
            let data = self.engine.paths().data.clone();
            let kept = off_thread(move || system::disk_reserve::keep(&data)).await;
            if let Err(error) = kept.and_then(|kept| kept) {
                tracing::debug!(%error, "disk space for a rollback could not be reserved; trying again");
            }
            if self.engine.look_for_images_first().await
                && let Err(error) = self.keep_images().await
            {
                tracing::debug!(%error, "the images of the rollback targets could not be pinned; trying again");
            }
            // Immediately after an action, otherwise from time to time.
            let _ = tokio::time::timeout(EVERY, revision.changed()).await;
            tokio::time::sleep(CHANGE_PAUSE).await;
            revision.mark_unchanged();
        }
    }

    /// Pins the retained images and removes the others.
    async fn keep_images(&mut self) -> Result<(), Error> {
        let orchestrator = self.engine.stack().orchestrator.clone();
        // Asked before the turn: what follows needs an engine that answers.
        orchestrator.engine_version().await.map_err(unavailable)?;
        let (name, ids, kept) = {
            // Not while the stack is being changed: a deploy has images that are not in the snapshot yet.
            let _turn = self.engine.in_turn().await?;
            let assessment = self.engine.assessment();
            let left = self.engine.0.images.read();
            let kept = assessment.kept();
            let Some(name) = self.engine.stored_name(kept.iter().map(|r| r.id).collect()).await else {
                return Ok(());
            };
            if assessment.snapshot.changing().is_some() {
                return Ok(());
            }
            let ids = kept.iter().flat_map(|r| r.parts.images.values());
            let ids = ids.filter(|id| !left.images.missing.contains(*id)).cloned().collect();
            let newest = assessment.snapshot.releases.iter().map(|r| r.id).max().unwrap_or(0);
            (name, ids, Kept { releases: kept.iter().map(|r| r.id).collect(), newest })
        };
        // After the turn: a Docker engine that does not answer must not block other actions. A deploy that begins
        // meanwhile has a release that is newer than the newest known one, so its images are not removed.
        let unusable = orchestrator.pin_images(&name, &ids).await.map_err(unavailable)?;
        let left = self.engine.0.images.read();
        let images = ImageInventory { unusable, ..left.images.clone() };
        if self.engine.0.images.set(RetainedState { images, ..left }) {
            self.engine.bump();
        }
        // Removes only releases that are not rollback targets.
        if self.pruned.as_ref() != Some(&kept) {
            let gone =
                orchestrator.prune_images(&name, |tag| kept.keeps_tag(tag)).await.map_err(unavailable)?;
            for tag in gone {
                tracing::info!(tag, "removed the images of a release that is no longer retained");
            }
            // Reads the existing directories, not every release that was ever opened.
            for id in self.engine.kept_dirs().await.into_iter().filter(|id| !kept.keeps(*id)) {
                match tokio::fs::remove_dir_all(self.engine.snapshot_dir(id)).await {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        tracing::warn!(release = id, %error, "the retained files of an old release could not be removed");
                    }
                    _ => {}
                }
            }
            self.pruned = Some(kept);
        }
        Ok(())
    }
}

impl Engine {
    /// Checks now whether the images of the rollback targets still exist. Returns whether the check was possible.
    pub(crate) async fn look_for_images_first(&self) -> bool {
        let looked = tokio::time::timeout(TIMEOUT, self.look_for_images()).await;
        let Ok(Ok(left)) = looked else { return false };
        if self.0.images.set(left) {
            self.bump();
        }
        true
    }

    async fn look_for_images(&self) -> Result<RetainedState, Error> {
        let snapshot = self.snapshot();
        let all: BTreeSet<String> =
            snapshot.releases.iter().flat_map(|r| r.parts.images.values().cloned()).collect();
        if all.is_empty() {
            return Ok(RetainedState::default());
        }
        let mut images = self.stack().orchestrator.find_images(&all).await.map_err(unavailable)?;
        // Images that could not be used at the last attempt count as unusable until they are pinned.
        images.unusable = self.0.images.read().images.unusable;
        images.unusable.retain(|id| all.contains(id));
        let dirs: Vec<_> = snapshot
            .releases
            .iter()
            .map(|r| (r.id, r.deployed_at.is_some(), self.snapshot_dir(r.id)))
            .collect();
        let looked = off_thread(move || {
            let gone = dirs.iter().filter(|(_, deployed, dir)| *deployed && !dir.exists());
            let copies = dirs.iter().filter(|(_, _, dir)| has_env_copy(dir));
            (gone.map(|(id, ..)| *id).collect(), copies.map(|(id, ..)| *id).collect())
        });
        let (let_go, env_copies) = looked.await.map_err(Error::internal)?;
        Ok(RetainedState { images, let_go, env_copies })
    }

    /// The releases with retained files on disk.
    pub(crate) async fn kept_dirs(&self) -> Vec<i64> {
        let dir = self.paths().data.join("rollback");
        let read = off_thread(move || {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
        });
        read.await.unwrap_or_default()
    }

    /// The name in the container engine that is stored with the first of these releases that has one.
    async fn stored_name(&self, releases: Vec<i64>) -> Option<String> {
        let orchestrator = self.stack().orchestrator.clone();
        for release in releases {
            if let Some(name) = orchestrator.stored_name(self.snapshot_dir(release)).await {
                return Some(name);
            }
        }
        None
    }
}

fn unavailable(error: OrchestratorError) -> Error {
    Error::unavailable(crate::error::sentence(&error.to_string()))
}
