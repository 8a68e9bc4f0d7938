//! Keeping the ways back open: the images of the releases that one can return to are held, looked for again and
//! again, and those of releases that are too old are let go. Room on the disk is kept for the day when it is full.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::release::{Release, ReleaseState};

use crate::Engine;
use crate::acts::releases::tag_of;
use crate::compose::{Address, Docker, ImagesSeen, hold, kept_project, look_for, prune_keep};
use crate::error::Error;
use crate::judging::Judged;

/// How long a rollback waits to learn whether its images are there; it looks again itself.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the images of the ways back are looked for, beside after every run.
const EVERY: Duration = Duration::from_secs(20);
/// So many of the releases that were deployed last are kept, whatever is said of them.
const LAST: usize = 2;
/// Changes come together; this long after the first of them is soon enough.
const CALM: Duration = Duration::from_secs(2);

/// What is left of the releases, as last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Their images.
    pub images: ImagesSeen,
    /// Releases that were let go: nothing is kept of them any more.
    pub let_go: BTreeSet<i64>,
}

/// What is left of the releases, kept up to date in the background.
#[derive(Debug, Default)]
pub(crate) struct KeptImages(std::sync::RwLock<Left>);

impl PartialEq for KeptImages {
    fn eq(&self, other: &KeptImages) -> bool {
        self.read() == other.read()
    }
}

impl KeptImages {
    pub(crate) fn read(&self) -> Left {
        self.0.read().map(|left| left.clone()).unwrap_or_default()
    }

    fn set(&self, left: Left) -> bool {
        self.0.write().map(|mut old| std::mem::replace(&mut *old, left.clone()) != left).unwrap_or(false)
    }
}

impl Judged {
    /// The releases that can be returned to, best first: rollback points, else whatever was healthy. Not more than
    /// the stack keeps.
    pub(crate) fn ways_back(&self) -> Vec<&Release> {
        let current = self.release();
        let running = &self.observed.parts.images;
        let let_go = self.stack.images.read().let_go;
        let is_back = |r: &&Release| {
            !r.parts.images.is_empty()
                && r.deployed_at.is_some()
                && r.state != ReleaseState::RolledBackFrom
                && !let_go.contains(&r.id)
                && (current.is_none_or(|c| c.id != r.id) || r.parts.images != *running)
        };
        let mut ways: Vec<&Release> = self.known.releases.iter().filter(is_back).collect();
        ways.sort_by_key(|r| {
            let proved = r.rollback_point_at.is_some();
            (std::cmp::Reverse(proved), std::cmp::Reverse(r.deployed_at), std::cmp::Reverse(r.id))
        });
        ways.truncate(self.stack.keep);
        ways
    }

    /// The releases whose images are kept: the ways back, what runs, the newest, which may be on its way, and
    /// those deployed last, to which a recovery returns though they are no rollback points yet.
    fn kept(&self) -> Vec<&Release> {
        let all = &self.known.releases;
        let mut deployed: Vec<&Release> =
            all.iter().filter(|r| r.deployed_at.is_some() && r.state == ReleaseState::Deployed).collect();
        deployed.sort_by_key(|r| std::cmp::Reverse((r.deployed_at, r.id)));
        deployed.truncate(LAST);
        let mut kept = self.ways_back();
        kept.extend(self.release().into_iter().chain(all.iter().max_by_key(|r| r.id)).chain(deployed));
        kept
    }
}

impl Engine {
    pub(crate) async fn follow_images(&self) {
        let mut revision = self.revisions();
        let mut pruned = BTreeSet::new();
        loop {
            if let Err(error) = crate::ballast::keep(&self.paths().data) {
                tracing::debug!(%error, "no room could be kept for a rollback on a full disk");
            }
            self.look_for_images_first().await;
            if let Err(error) = self.keep_images(&mut pruned).await {
                tracing::debug!(%error, "the images of the ways back could not be looked after");
            }
            // After an act things may differ at once; otherwise now and then is enough.
            let _ = tokio::time::timeout(EVERY, revision.changed()).await;
            tokio::time::sleep(CALM).await;
            revision.mark_unchanged();
        }
    }

    /// Looks now whether the images of the ways back are still there.
    pub(crate) async fn look_for_images_first(&self) {
        let looked = tokio::time::timeout(PATIENCE, self.look_for_images()).await;
        if let Ok(Ok(left)) = looked
            && self.0.images.set(left)
        {
            self.bump();
        }
    }

    async fn look_for_images(&self) -> Result<Left, Error> {
        let known = self.known();
        let all: BTreeSet<String> =
            known.releases.iter().flat_map(|r| r.parts.images.values().cloned()).collect();
        if all.is_empty() {
            return Ok(Left::default());
        }
        let mut images = look_for(&self.docker().await?, &all).await.map_err(unavailable)?;
        // What could not be used when it was last tried stays in doubt until it is held.
        images.unusable = self.0.images.read().images.unusable;
        images.unusable.retain(|id| all.contains(id));
        let deployed = known.releases.iter().filter(|r| r.deployed_at.is_some());
        let let_go = deployed.map(|r| r.id).filter(|id| !self.keep_dir(*id).exists()).collect();
        Ok(Left { images, let_go })
    }

    /// Holds what is kept and lets the rest go. Never while something changes the stack: a deploy has images that
    /// nobody knows of yet.
    async fn keep_images(&self, pruned: &mut BTreeSet<i64>) -> Result<(), Error> {
        let _turn = self.in_turn().await;
        let judged = self.judged();
        let left = self.0.images.read();
        let kept = judged.kept();
        let Some(project) = kept.iter().find_map(|r| kept_project(&self.keep_dir(r.id))) else {
            return Ok(());
        };
        if judged.known.changing().is_some() {
            return Ok(());
        }
        let docker = self.docker().await?;
        let ids = kept
            .iter()
            .flat_map(|r| r.parts.images.values())
            .filter(|id| left.images.bytes.contains_key(*id));
        let unusable = hold(&docker, &project, &ids.cloned().collect()).await.map_err(unavailable)?;
        let images = ImagesSeen { unusable, ..left.images.clone() };
        if self.0.images.set(Left { images, ..left }) {
            self.bump();
        }
        let numbers: BTreeSet<i64> = kept.iter().map(|r| r.id).collect();
        if *pruned != numbers {
            let tags: Vec<String> = numbers.iter().map(|id| tag_of(*id)).collect();
            for tag in prune_keep(&docker, &project, &tags).await.map_err(unavailable)? {
                tracing::info!(tag, "the images of a release that is no longer kept were let go");
            }
            for release in judged.known.releases.iter().filter(|r| !numbers.contains(&r.id)) {
                match std::fs::remove_dir_all(self.keep_dir(release.id)) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        tracing::warn!(release = release.id, %error, "what was kept of a release could not be removed");
                    }
                    _ => {}
                }
            }
            *pruned = numbers;
        }
        Ok(())
    }

    async fn docker(&self) -> Result<Docker, Error> {
        Docker::connect(&Address::from_env()).await.map_err(unavailable)
    }
}

fn unavailable(error: crate::compose::ComposeError) -> Error {
    Error::unavailable(crate::error::sentence(&error.to_string()))
}
