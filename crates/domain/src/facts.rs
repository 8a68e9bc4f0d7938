//! The input of all rules: what is known at one moment. It is collected by other crates and evaluated here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::evidence::Evidence;
use crate::failures::FailureCount;
use crate::observed::Observed;
use crate::observed_changes::Change;
use crate::release::{Release, ReleaseComponents};
use crate::role::Role;
use crate::rules::Rules;
use crate::runbook::Runbook;
use crate::time::Millis;

/// A person as rules and pages need them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Person id.
    pub id: i64,
    /// Name shown to people.
    pub name: String,
    /// The roles held.
    pub roles: Vec<Role>,
}

impl Actor {
    /// Whether one of `roles` is held.
    pub fn holds_any(&self, roles: &[Role]) -> bool {
        self.roles.iter().any(|r| roles.contains(r))
    }
}

/// A person's statement on an item that no check decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Number in the store.
    pub id: i64,
    /// The criterion or checklist item.
    pub item: String,
    /// The item's text digest at the time of the attestation.
    pub text_digest: String,
    /// The release that was attested.
    pub release: i64,
    /// Who.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// What the person verified.
    pub note: String,
    /// Link to the proof; may be empty.
    pub link: String,
    /// When.
    pub at: Millis,
    /// `false` withdraws the attestation.
    pub holds: bool,
}

/// An exception for an item, until a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// Number in the store.
    pub id: i64,
    /// The criterion or checklist item.
    pub item: String,
    /// The item's text digest when it was waived.
    pub text_digest: String,
    /// Who waived it.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// Why.
    pub reason: String,
    /// When it was given.
    pub at: Millis,
    /// When it ends.
    pub until: Millis,
    /// `false` ends it early.
    pub holds: bool,
}

impl Waiver {
    /// Its last day: `30 Nov`.
    pub fn last_day(&self) -> String {
        Millis(self.until.0.saturating_sub(1)).day()
    }
}

/// An owner's acceptance of a gate, bound to what was shown at the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// Number in the store.
    pub id: i64,
    /// The gate's letter.
    pub gate: String,
    /// The release it was given for.
    pub release: i64,
    /// Digest of the gate's items as shown.
    pub digest: String,
    /// Who.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// The note given.
    pub note: String,
    /// When.
    pub at: Millis,
}

/// Go or No-Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Release it.
    Go,
    /// Do not.
    NoGo,
}

impl Choice {
    /// The name on pages.
    pub fn label(self) -> &'static str {
        match self {
            Choice::Go => "Go",
            Choice::NoGo => "No-Go",
        }
    }

    /// The value in forms and in the store.
    pub fn slug(self) -> &'static str {
        match self {
            Choice::Go => "go",
            Choice::NoGo => "no-go",
        }
    }

    /// Reads [`Choice::slug`] back.
    pub fn from_slug(s: &str) -> Option<Choice> {
        [Choice::Go, Choice::NoGo].into_iter().find(|c| c.slug() == s)
    }
}

/// One role's Go or No-Go on one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOff {
    /// Id in the store; the newest sign-off of a role counts.
    pub id: i64,
    /// The release signed.
    pub release: i64,
    /// The role signed for.
    pub role: Role,
    /// Who.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// Go or No-Go.
    pub choice: Choice,
    /// Their comment; for a No-Go, the reason.
    pub comment: String,
    /// For a No-Go, what would change the decision; empty for a Go.
    pub would_change: String,
    /// Digest of the evidence shown when signing.
    pub digest: String,
    /// The rows behind that digest.
    pub shown: Vec<ShownRow>,
    /// The parts of the release at the time; `None` in sign-offs of versions that did not store them.
    pub parts: Option<ReleaseComponents>,
    /// When.
    pub at: Millis,
}

/// One row of what a signer saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownRow {
    /// The item.
    pub item: String,
    /// Its text digest.
    pub text_digest: String,
    /// Its state, one or two words.
    pub state: String,
    /// How many times its checks did not pass on this release.
    pub failures: u32,
    /// Its text, for people. Not part of the digest, because `text_digest` is.
    #[serde(default)]
    pub title: String,
    /// The measured values. Not part of the digest: a value may change while it meets its threshold.
    #[serde(default)]
    pub values: Vec<ShownValue>,
    /// The results of its checks, one line each. Not part of the digest.
    #[serde(default)]
    pub saw: Vec<String>,
}

/// A measured value as it was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownValue {
    /// The check.
    pub check: String,
    /// Number and unit: `71.2 %`.
    pub value: String,
}

/// The Product Owner's recorded decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Number in the store.
    pub id: i64,
    /// The release decided on.
    pub release: i64,
    /// Go or No-Go.
    pub choice: Choice,
    /// Why.
    pub note: String,
    /// Digest of the evidence shown.
    pub digest: String,
    /// Digest of the verdict decided on: evidence, sign-offs, blockers. Empty in decisions of
    /// versions that did not store it; those depend on the evidence only.
    pub verdict: String,
    /// The rows behind the evidence's digest; empty in decisions of versions that did not store them.
    pub shown: Vec<ShownRow>,
    /// Who.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// When.
    pub at: Millis,
}

/// Everything that the rules evaluate.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The current time.
    pub now: Millis,
    /// The runbook in force.
    pub runbook: &'a Runbook,
    /// The checks in force.
    pub checks: &'a [Check],
    /// Items that need an attestation in addition to their checks.
    pub attest: &'a [String],
    /// What preflight found.
    pub findings: &'a [crate::preflight::Finding],
    /// Declared rules for attestations, waivers and the checklist.
    pub rules: &'a Rules,
    /// Declared owners of gates; a gate without an entry is owned by all DRIs.
    pub gate_owners: &'a BTreeMap<String, Vec<Role>>,
    /// The current release.
    pub release: Option<&'a Release>,
    /// The most recent evidence of all checks, oldest first.
    pub evidence: &'a [Evidence],
    /// How often checks did not pass on the release, counted over all evidence.
    pub failures: &'a [FailureCount],
    /// All attestations, oldest first.
    pub attestations: &'a [Attestation],
    /// All waivers, oldest first.
    pub waivers: &'a [Waiver],
    /// All acceptances, oldest first.
    pub acceptances: &'a [Acceptance],
    /// All sign-offs, oldest first.
    pub sign_offs: &'a [SignOff],
    /// All decisions, oldest first.
    pub decisions: &'a [Decision],
    /// The observed state of the stack.
    pub observed: &'a Observed,
    /// Changes of observed things, oldest first.
    pub changes: &'a [Change],
    /// Records that the audit log does not confirm, one sentence each: rows that were written outside of Stagegate, a
    /// broken chain.
    pub integrity: &'a [String],
}
