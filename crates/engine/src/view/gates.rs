//! Gates, matrix and sign-offs: steps, checks, items.

use domain::check::Check;
use domain::flaky::{Flaky, TrendPoint};
use domain::gate::GateView;
use domain::item::{CheckState, ItemState};
use domain::judge::Judgement;
use domain::release::Release;
use domain::role::Role;
use domain::runbook::{MatrixRow, Step};
use domain::time::Millis;

use super::{BlockerView, Permission, RunView};

/// A step with its last run for the release.
#[derive(Debug, Clone)]
pub struct StepView {
    /// The step of the runbook.
    pub step: Step,
    /// Its last run.
    pub last: Option<RunView>,
    /// Its last run was for another release or another commit.
    pub last_is_old: bool,
    /// The Run button.
    pub run: Permission,
    /// The checks that judge it, by id.
    pub judged_by: Vec<String>,
}

/// A check with its declaration, state and history.
#[derive(Debug, Clone)]
pub struct CheckView {
    /// The declaration.
    pub check: Check,
    /// Its state.
    pub state: CheckState,
    /// Its last outcomes, newest first, at most ten.
    pub history: Vec<domain::evidence::Evidence>,
    /// Set if it both failed and passed for the same parts.
    pub flaky: Option<Flaky>,
    /// Its value on each release, oldest first.
    pub trend: Vec<TrendPoint>,
    /// When the current evidence becomes stale by age.
    pub expires: Option<Expiry>,
    /// The run of it that is in progress.
    pub running: Option<RunView>,
    /// The Run button.
    pub run: Permission,
    /// Digest of the check that the button runs; its form sends it back.
    pub digest: String,
}

/// When evidence becomes stale by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// The moment.
    pub at: Millis,
    /// It expires soon.
    pub soon: bool,
}

/// A gate's page.
#[derive(Debug, Clone)]
pub struct GatePage {
    /// When it was judged.
    pub now: Millis,
    /// The gate.
    pub gate: GateView,
    /// Its steps in the runbook's order; rollback steps left out.
    pub steps: Vec<StepView>,
    /// The checks bound to its items.
    pub checks: Vec<CheckView>,
    /// The current release.
    pub release: Option<Release>,
    /// The Accept button.
    pub accept: Permission,
    /// The Attest button.
    pub attest: Permission,
    /// The Waive button, independent of the criterion.
    pub waive: Permission,
    /// The criteria that the current user may not waive although they may waive others, and why.
    pub not_waivable: Vec<(String, String)>,
    /// The last day a waiver may have (`YYYY-MM-DD`).
    pub waive_until: String,
    /// How long an attestation counts, by item; without an entry it does not expire.
    pub attested_for: std::collections::BTreeMap<String, u64>,
    /// The Run all button.
    pub run_all: Permission,
    /// Digest of the checks that the button runs; its form sends it back.
    pub run_all_digest: String,
    /// Preflight findings of this gate that do not block; blocking ones are among the items.
    pub notes: Vec<domain::preflight::Finding>,
    /// The gates before and after.
    pub neighbours: (Option<String>, Option<String>),
}

/// The verification matrix.
#[derive(Debug, Clone)]
pub struct MatrixPage {
    /// The rows with the checks bound to each.
    pub rows: Vec<MatrixRowView>,
    /// The current release.
    pub release: Option<Release>,
    /// The Run all button.
    pub run_all: Permission,
    /// Digest of the checks that the button runs; its form sends it back.
    pub run_all_digest: String,
}

/// One row of the matrix.
#[derive(Debug, Clone)]
pub struct MatrixRowView {
    /// The row of the runbook.
    pub row: MatrixRow,
    /// The checks bound to it; empty if no check proves it.
    pub checks: Vec<CheckView>,
}

/// The checklist and the sign-offs.
#[derive(Debug, Clone)]
pub struct SignOffPage {
    /// When it was judged.
    pub now: Millis,
    /// The judgement.
    pub judgement: Judgement,
    /// The current release.
    pub release: Option<Release>,
    /// The checklist items in order.
    pub checklist: Vec<ItemState>,
    /// For each signing role, whether the current user may sign Go for it.
    pub go: Vec<(Role, Permission)>,
    /// For each signing role, whether the current user may sign No-Go for it.
    pub no_go: Vec<(Role, Permission)>,
    /// Whether the current user may record the decision Go.
    pub decide_go: Permission,
    /// Whether the current user may record the decision No-Go.
    pub decide_no_go: Permission,
    /// The Attest button of checklist items.
    pub attest: Permission,
    /// For each checklist item with parts: the title and the link of each part.
    pub parts: std::collections::BTreeMap<String, Vec<PartView>>,
    /// What blocks a Go sign-off, with the people who can resolve it.
    pub before: Vec<BlockerView>,
    /// Sign-offs on this release that were replaced by later ones, oldest first.
    pub earlier: Vec<domain::facts::SignOff>,
}

/// A part of a checklist item, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartView {
    /// Its state.
    pub state: domain::item::ChecklistPartState,
    /// The criterion's text or the check's title.
    pub title: String,
    /// Link to where it is shown; may be empty.
    pub href: String,
}
