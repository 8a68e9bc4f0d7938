//! The state of a gate (open, ready or accepted) and its items.

use serde::{Deserialize, Serialize};

use crate::facts::Acceptance;
use crate::item::ItemState;
use crate::role::Role;

/// The state of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateState {
    /// Something is missing.
    Open,
    /// Every criterion is satisfied; an owner may accept it once the gates before it are accepted.
    Ready,
    /// An owner accepted it on this release, and what was accepted still holds.
    Accepted,
}

/// How a gate stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateView {
    /// Its letter.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its state.
    pub state: GateState,
    /// Who may accept it.
    pub owners: Vec<Role>,
    /// Its items.
    pub items: Vec<ItemState>,
    /// Digest of its items as they stand now; an acceptance stores it.
    pub digest: String,
    /// The last acceptance on this release, valid or not.
    pub acceptance: Option<Acceptance>,
    /// It was accepted on this release and fell back since.
    pub fell_back: bool,
    /// The earlier gates that are not accepted yet; it cannot be accepted before they are.
    pub waits_for: Vec<String>,
    /// It is the gate where the decision falls.
    pub is_decision: bool,
}

impl GateView {
    /// How many items are satisfied.
    pub fn satisfied(&self) -> usize {
        self.items.iter().filter(|i| i.is_satisfied()).count()
    }

    /// Whether something in it was seen to be wrong.
    pub fn is_red(&self) -> bool {
        self.items.iter().any(ItemState::is_red)
    }
}
