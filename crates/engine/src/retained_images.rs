//! What is left of the releases that one can return to, as last seen.

use std::collections::BTreeSet;

use orchestrator::compose::ImagesSeen;

/// What is left of the releases, as last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RetainedState {
    /// Their images.
    pub images: ImagesSeen,
    /// Releases that were let go: nothing is kept of them any more.
    pub let_go: BTreeSet<i64>,
    /// Releases with a copy of their env file.
    pub env_copies: BTreeSet<i64>,
}

/// What is left of the releases, kept up to date in the background.
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
