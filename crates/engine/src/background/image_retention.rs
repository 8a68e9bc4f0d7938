//! Keeping rollback targets usable: the images of the releases that one can return to are pinned and looked for again
//! and again, and those of releases that are too old are let go. Room on the disk is kept for the day when it is full.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::release::{Release, ReleaseState};

use crate::Engine;
use crate::assessment::Assessment;
use crate::error::Error;
use crate::retained_images::RetainedState;
use orchestrator::compose::{
    Address, Docker, ImagesSeen, find_images, kept_project, pin_images, prune_keep, tag_of,
};
use secrets::has_env_copy;
use system::files::off_thread;

/// How long a rollback waits to learn whether its images are there; it looks again itself.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often the images of the rollback targets are looked for, beside after every run.
const EVERY: Duration = Duration::from_secs(20);
/// So many of the releases that were deployed last are kept, whatever is said of them.
const LAST: usize = 2;
/// Changes come together; this long after the first of them is soon enough.
const CHANGE_PAUSE: Duration = Duration::from_secs(2);

/// The releases of which images and configuration stay.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    releases: BTreeSet<i64>,
    /// The newest release that is known. A deploy has images before anybody knows of its release.
    newest: i64,
}

impl Kept {
    fn keeps(&self, release: i64) -> bool {
        release > self.newest || self.releases.contains(&release)
    }

    /// Whether a tag of images stays; those that name no release do.
    fn keeps_tag(&self, tag: &str) -> bool {
        let release = tag.strip_prefix('r').and_then(|id| id.parse::<i64>().ok());
        release.filter(|id| tag_of(*id) == tag).is_none_or(|id| self.keeps(id))
    }
}

impl Assessment {
    /// The releases that can be returned to, best first: rollback points, else whatever was healthy. Not more than
    /// the stack keeps.
    pub(crate) fn rollback_targets(&self) -> Vec<&Release> {
        let current = self.release();
        let running = &self.observed.parts.images;
        let mut ways = self.good_releases();
        ways.retain(|r| current.is_none_or(|c| c.id != r.id) || r.parts.images != *running);
        ways.truncate(self.stack.keep);
        ways
    }

    /// Whatever was healthy, is not known to be bad and was not let go; best first.
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

    /// The releases whose images are kept: what is judged, the newest, which may be on its way, those deployed last,
    /// to which a recovery returns though they are no rollback points yet, and beside what ran last as many ways
    /// back as the stack keeps. What the engine shows at this moment plays no part.
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

/// Pins the images of the releases that one can return to, and lets older ones go, for as long as the engine lives.
pub(super) struct ImageRetention {
    engine: Engine,
    /// What was kept when older releases were last let go.
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
                tracing::debug!(%error, "no room could be kept for a rollback on a full disk");
            }
            if self.engine.look_for_images_first().await
                && let Err(error) = self.keep_images().await
            {
                tracing::debug!(%error, "the images of the ways back could not be looked after");
            }
            // After an action things may differ at once; otherwise now and then is enough.
            let _ = tokio::time::timeout(EVERY, revision.changed()).await;
            tokio::time::sleep(CHANGE_PAUSE).await;
            revision.mark_unchanged();
        }
    }

    /// Holds what is kept and lets the rest go.
    async fn keep_images(&mut self) -> Result<(), Error> {
        let docker = self.engine.docker().await?;
        let (project, ids, kept) = {
            // Not while something changes the stack: a deploy has images that nobody knows of yet.
            let _turn = self.engine.in_turn().await?;
            let assessment = self.engine.assessment();
            let left = self.engine.0.images.read();
            let kept = assessment.kept();
            let Some(project) = self.engine.first_project(kept.iter().map(|r| r.id).collect()).await else {
                return Ok(());
            };
            if assessment.snapshot.changing().is_some() {
                return Ok(());
            }
            let ids = kept.iter().flat_map(|r| r.parts.images.values());
            let ids = ids.filter(|id| !left.images.missing.contains(*id)).cloned().collect();
            let newest = assessment.snapshot.releases.iter().map(|r| r.id).max().unwrap_or(0);
            (project, ids, Kept { releases: kept.iter().map(|r| r.id).collect(), newest })
        };
        // After the turn: an engine that gives no answer must not keep anybody from acting. A deploy that begins
        // meanwhile has images that nothing here holds yet, so nothing of it can be let go.
        let unusable = pin_images(&docker, &project, &ids).await.map_err(unavailable)?;
        let left = self.engine.0.images.read();
        let images = ImagesSeen { unusable, ..left.images.clone() };
        if self.engine.0.images.set(RetainedState { images, ..left }) {
            self.engine.bump();
        }
        // Only releases are named that nobody can return to.
        if self.pruned.as_ref() != Some(&kept) {
            let gone = prune_keep(&docker, &project, |tag| kept.keeps_tag(tag)).await.map_err(unavailable)?;
            for tag in gone {
                tracing::info!(tag, "the images of a release that is no longer kept were let go");
            }
            // What is there is looked at, not every release that ever was.
            for id in self.engine.kept_dirs().await.into_iter().filter(|id| !kept.keeps(*id)) {
                match tokio::fs::remove_dir_all(self.engine.keep_dir(id)).await {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        tracing::warn!(release = id, %error, "what was kept of a release could not be removed");
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
    /// Looks now whether the images of the rollback targets are still there. Returns whether that could be seen.
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
        let mut images = find_images(&self.docker().await?, &all).await.map_err(unavailable)?;
        // What could not be used when it was last tried stays in doubt until it is held.
        images.unusable = self.0.images.read().images.unusable;
        images.unusable.retain(|id| all.contains(id));
        let dirs: Vec<_> =
            snapshot.releases.iter().map(|r| (r.id, r.deployed_at.is_some(), self.keep_dir(r.id))).collect();
        let looked = off_thread(move || {
            let gone = dirs.iter().filter(|(_, deployed, dir)| *deployed && !dir.exists());
            let copies = dirs.iter().filter(|(_, _, dir)| has_env_copy(dir));
            (gone.map(|(id, ..)| *id).collect(), copies.map(|(id, ..)| *id).collect())
        });
        let (let_go, env_copies) = looked.await.map_err(Error::internal)?;
        Ok(RetainedState { images, let_go, env_copies })
    }

    /// The releases of which something is kept on disk.
    pub(crate) async fn kept_dirs(&self) -> Vec<i64> {
        let dir = self.paths().data.join("rollback");
        let read = off_thread(move || {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
        });
        read.await.unwrap_or_default()
    }

    /// The project that is kept with the first of these releases with which one is.
    async fn first_project(&self, releases: Vec<i64>) -> Option<String> {
        for release in releases {
            if let Some(project) = kept_project(self.keep_dir(release)).await {
                return Some(project);
            }
        }
        None
    }

    async fn docker(&self) -> Result<Docker, Error> {
        Docker::connect(&Address::from_env()).await.map_err(unavailable)
    }
}

fn unavailable(error: orchestrator::compose::ComposeError) -> Error {
    Error::unavailable(crate::error::sentence(&error.to_string()))
}
