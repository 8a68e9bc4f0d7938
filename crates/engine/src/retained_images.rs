//! Which images and env copies of the rollback targets still exist, as last observed.

use std::collections::BTreeSet;

use orchestrator::ImageInventory;

/// What still exists of the releases, as last observed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RetainedState {
    /// Their images.
    pub images: ImageInventory,
    /// Releases that are no longer retained: nothing of them exists any more.
    pub let_go: BTreeSet<i64>,
    /// Releases with a copy of their env file.
    pub env_copies: BTreeSet<i64>,
}

/// What still exists of the releases, kept up to date in the background.
#[derive(Debug, Default)]
pub(crate) struct RetainedImages(std::sync::RwLock<RetainedState>);

impl PartialEq for RetainedImages {
    fn eq(&self, other: &RetainedImages) -> bool {
        self.read() == other.read()
    }
}

impl RetainedImages {
    pub(crate) fn read(&self) -> RetainedState {
        self.0.read().map(|left| left.clone()).unwrap_or_default()
    }

    pub(crate) fn set(&self, left: RetainedState) -> bool {
        self.0.write().map(|mut old| std::mem::replace(&mut *old, left.clone()) != left).unwrap_or(false)
    }
}
