//! What exists of the images that are retained for rollbacks.

use std::collections::{BTreeMap, BTreeSet};

/// Whether images exist, and how large they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageInventory {
    /// Those that do not exist any more.
    pub missing: BTreeSet<String>,
    /// Those that exist but from which no container can be created.
    pub unusable: BTreeSet<String>,
    /// Bytes of each existing image, including layers that it shares with others.
    pub bytes: BTreeMap<String, u64>,
}
