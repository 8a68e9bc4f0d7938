//! What is known at one moment: the input of every rule. Gathered outside, judged here.

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

/// Somebody, as rules and pages need to know them.
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

/// A person's word on an item that no check decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Number in the store.
    pub id: i64,
    /// The criterion or checklist item.
    pub item: String,
    /// The item's text digest when it was said.
    pub text_digest: String,
    /// The release it was said about.
    pub release: i64,
    /// Who.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// What was seen.
    pub note: String,
    /// Where it can be seen; empty for none.
    pub link: String,
    /// When.
    pub at: Millis,
    /// `false` takes the word back.
    pub holds: bool,
}

/// An item let through on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver {
    /// Number in the store.
    pub id: i64,
    /// The criterion or checklist item.
    pub item: String,
    /// The item's text digest when it was waived.
    pub text_digest: String,
    /// Who let it through.
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
    /// Its last day, as people say it: `30 Nov`.
    pub fn last_day(&self) -> String {
        Millis(self.until.0.saturating_sub(1)).day()
    }
}

/// An owner's word that a gate is passed, on what was shown then.
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
    /// The word on pages.
    pub fn label(self) -> &'static str {
        match self {
            Choice::Go => "Go",
            Choice::NoGo => "No-Go",
        }
    }

    /// The word in forms and in the store.
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

/// One role's word on one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOff {
    /// Number in the store; of two by the same role the later counts.
    pub id: i64,
    /// The release signed.
    pub release: i64,
    /// The role signed for.
    pub role: Role,
    /// Who.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// Their word.
    pub choice: Choice,
    /// Their comment; for a No-Go, the reason.
    pub comment: String,
    /// For a No-Go, what would change it; empty for a Go.
    pub would_change: String,
    /// Digest of the evidence shown when signing.
    pub digest: String,
    /// The rows behind that digest.
    pub shown: Vec<ShownRow>,
    /// The parts of the release then; `None` in words given before they were kept.
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
    /// How it stood, in a word or two.
    pub state: String,
    /// How many times it was seen not to hold on this release.
    pub failures: u32,
    /// Its text, for people. Not in the digest: the text's own digest is.
    #[serde(default)]
    pub title: String,
    /// The measured values. Not in the digest: a value may move while it stays as wanted.
    #[serde(default)]
    pub values: Vec<ShownValue>,
    /// What its checks saw, one line each. Not in the digest.
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
    /// The word.
    pub choice: Choice,
    /// Why.
    pub note: String,
    /// Digest of the evidence shown.
    pub digest: String,
    /// Digest of the verdict decided on: evidence, sign-offs, blockers. Empty in decisions made before
    /// it was kept; those are held to the evidence alone.
    pub verdict: String,
    /// The rows behind the evidence's digest; empty in decisions made before they were kept.
    pub shown: Vec<ShownRow>,
    /// Who.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// When.
    pub at: Millis,
}

/// Everything the rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The time of judging.
    pub now: Millis,
    /// The runbook in force.
    pub runbook: &'a Runbook,
    /// The checks in force.
    pub checks: &'a [Check],
    /// Items that need a person's word besides their checks.
    pub attest: &'a [String],
    /// What preflight found.
    pub findings: &'a [crate::preflight::Finding],
    /// What is declared about people's words and the checklist.
    pub rules: &'a Rules,
    /// Declared owners of gates; a gate that is absent is owned by every DRI.
    pub gate_owners: &'a BTreeMap<String, Vec<Role>>,
    /// The release that is judged.
    pub release: Option<&'a Release>,
    /// The newest evidence of all checks, oldest first.
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
    /// The stack as it is.
    pub observed: &'a Observed,
    /// When watched things became what they are, oldest first.
    pub changes: &'a [Change],
    /// What the audit log does not vouch for, one sentence each: rows that were written outside of Stagegate, a chain
    /// that is broken.
    pub integrity: &'a [String],
}
