//! The state of a gate (open, ready or accepted) and its items.

use serde::{Deserialize, Serialize};

use crate::facts::Acceptance;
use crate::item::ItemState;
use crate::role::Role;

/// The state of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateState {
    /// At least one criterion is not satisfied, or no release is open. The gate of the decision is also open while an
    /// earlier gate is not accepted.
    Open,
    /// Every criterion is satisfied; an owner may accept it once the gates before it are accepted.
    Ready,
    /// An owner accepted it on this release, and the accepted evidence has not changed.
    Accepted,
}

/// A gate with its state.
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
    /// Digest of the current state of its items; an acceptance stores it.
    pub digest: String,
    /// The last acceptance on this release, valid or not.
    pub acceptance: Option<Acceptance>,
    /// It was accepted on this release, and the acceptance is no longer valid.
    pub fell_back: bool,
    /// The earlier gates that are not accepted yet; they must be accepted first.
    pub waits_for: Vec<String>,
    /// Whether it is the gate of the Go/No-Go decision.
    pub is_decision: bool,
}

impl GateView {
    /// How many items are satisfied.
    pub fn satisfied(&self) -> usize {
        self.items.iter().filter(|i| i.is_satisfied()).count()
    }

    /// Whether at least one of its items has failed.
    pub fn is_red(&self) -> bool {
        self.items.iter().any(ItemState::is_red)
    }
}
