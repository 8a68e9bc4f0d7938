//! The view models of the pages: answers of [`crate::Engine`], ready to be rendered.
//!
//! Nothing here decides anything: the rules are in `domain`, and whether a button works is already a [`Permission`].

mod board;
mod gates;
mod ownership;
mod releases;

pub use board::{BlockerView, BoardView, Expiring, Todo, TopView, Waiting, WaiverView, sign_anchor};
pub use gates::{CheckView, Expiry, GatePage, MatrixPage, MatrixRowView, PartView, SignOffPage, StepView};
pub use ownership::{OwnershipEntry, OwnershipFieldView, OwnershipHistory, OwnershipLineView, OwnershipPage};
pub use releases::{
    DrillFigures, DrillView, EnvSince, HeadView, IncidentPage, IncidentRow, ReleaseRow, ReleasesPage,
    RestartOffer, RollbackOffer, Shown,
};

use domain::facts::Actor;
use domain::paging::Pages;
use domain::runbook::Problem;
use domain::time::Millis;
pub use store::audit::Outcome as ActionOutcome;
pub use store::links::{Invitation, InvitationState, LinkKind};
pub use store::run_follow_ups::FollowUpState;
pub use store::runs::RunKind;

/// Whether a button works for the current user, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// It works.
    Allowed,
    /// It would be refused, for this reason (one sentence).
    Denied(String),
}

impl Permission {
    /// The reason for the refusal, if there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Permission::Allowed => None,
            Permission::Denied(why) => Some(why),
        }
    }
}

/// A run as lists and pages show it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    /// Its number.
    pub id: i64,
    /// Its kind.
    pub kind: RunKind,
    /// The step, check or release it is about.
    pub subject: String,
    /// One line for people.
    pub title: String,
    /// The current release when it began.
    pub release: Option<i64>,
    /// Who started it.
    pub by_name: String,
    /// When it began.
    pub started_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// Its state.
    pub state: RunState,
    /// Its current phase, or how it ended: `building backend`, `exit 1`, `cancelled by Ada`.
    pub summary: String,
    /// The usual duration of runs of the same subject, milliseconds.
    pub expected_ms: Option<u64>,
    /// The services and their state, during and after a deploy or rollback.
    pub services: Vec<domain::observed::Service>,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It is in progress.
    Running,
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It ended, but its checks could not be evaluated.
    Inconclusive,
    /// A person cancelled it.
    Cancelled,
    /// Its supervisor ended without a report.
    Interrupted,
}

impl RunState {
    /// The name on pages and in CSS classes.
    pub fn slug(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Passed => "passed",
            RunState::Failed => "failed",
            RunState::Inconclusive => "inconclusive",
            RunState::Cancelled => "cancelled",
            RunState::Interrupted => "interrupted",
        }
    }
}

/// A run's page.
#[derive(Debug, Clone)]
pub struct RunPage {
    /// The run.
    pub run: RunView,
    /// The command or the plan, as text.
    pub command: String,
    /// How it exited, as text: `exit 0`, `killed by signal 9`, `timed out after 10 min`.
    pub exit: Option<String>,
    /// Number of log lines so far.
    pub lines: u64,
    /// When retention removed the log; `None` while it exists.
    pub pruned_at: Option<Millis>,
    /// The last lines, for pages without WASM.
    pub tail: Vec<domain::log::LogLine>,
    /// The evidence that it produced.
    pub evidence: Vec<domain::evidence::Evidence>,
    /// Services that failed in a deploy, with their last log lines.
    pub failing: Vec<FailingService>,
    /// For each service of a rollback: expected and actual image.
    pub proof: Vec<(String, String, String)>,
    /// The Cancel button.
    pub cancel: Permission,
    /// The rollback to the last good release, if this is a failed deploy.
    pub rollback: Option<RollbackOffer>,
    /// Its follow-ups.
    pub follow_ups: Vec<FollowUpView>,
}

/// An action that Stagegate starts after a run: a recovery, an automatic rollback, a validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUpView {
    /// What it is: `Automatic rollback`.
    pub label: String,
    /// The run that it follows.
    pub run: i64,
    /// Its state.
    pub state: FollowUpState,
}

/// A service that made a deploy fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailingService {
    /// Its name.
    pub name: String,
    /// Its state, as text.
    pub health: String,
    /// Its last log lines, secrets masked.
    pub last_lines: Vec<String>,
}

/// A person, for the People page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonView {
    /// Id, name, roles.
    pub actor: Actor,
    /// The name typed at sign-in.
    pub login: String,
    /// They can no longer sign in.
    pub disabled: bool,
    /// They have a password.
    pub ready: bool,
    /// When they were added.
    pub created_at: Millis,
}

/// A page of the invitations.
#[derive(Debug, Clone, Default)]
pub struct InvitationsPage {
    /// The invitations, newest first.
    pub rows: Vec<Invitation>,
    /// How many of all invitations can still be used.
    pub open: u64,
    /// Links to the pages before and after this one.
    pub pages: Pages,
}

/// A page of the runs.
#[derive(Debug, Clone)]
pub struct RunsPage {
    /// The runs, newest first.
    pub rows: Vec<RunView>,
    /// Links to the pages before and after this one.
    pub pages: Pages,
}

/// A page of the incidents.
#[derive(Debug, Clone)]
pub struct IncidentsPage {
    /// The incidents, newest first.
    pub rows: Vec<IncidentRow>,
    /// Links to the pages before and after this one.
    pub pages: Pages,
}

/// One line of the activity page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityRow {
    /// Number in the chain.
    pub seq: i64,
    /// When.
    pub at: Millis,
    /// Who; empty for Stagegate itself.
    pub actor: String,
    /// What: `gate.accept`.
    pub act: String,
    /// On what.
    pub subject: String,
    /// On which release.
    pub release: Option<i64>,
    /// In which run.
    pub run: Option<i64>,
    /// Its outcome.
    pub outcome: ActionOutcome,
    /// Details.
    pub detail: String,
    /// The row's hash.
    pub hash: String,
}

/// The result of the last verification of the audit log and of the records it covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// What does not match, one sentence each; empty when everything does.
    pub problems: Vec<String>,
    /// The end of the log at the last verification, `number:hash`, to be noted outside of Stagegate; `None` before the
    /// first one.
    pub head: Option<String>,
    /// When that was.
    pub at: Option<Millis>,
    /// When all events and records were last verified since the start; later passes continue from there. `None` before
    /// that.
    pub whole_at: Option<Millis>,
    /// When the running full verification began.
    pub running_since: Option<Millis>,
    /// Why the last full verification was not completed.
    pub failed: Option<String>,
}

/// The disk usage of the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// When it was measured.
    pub at: Millis,
    /// The database with its side files.
    pub database_bytes: u64,
    /// The logs of runs.
    pub run_bytes: u64,
    /// The files of rollback targets.
    pub rollback_bytes: u64,
}

/// The activity page.
#[derive(Debug, Clone)]
pub struct ActivityPage {
    /// The rows, newest first.
    pub rows: Vec<ActivityRow>,
    /// Links to the pages before and after this one.
    pub pages: Pages,
    /// The result of the last verification.
    pub chain: Verification,
    /// The button that starts a full verification; `None` for users who may not use it.
    pub verify: Option<Permission>,
    /// The disk usage of the data; `None` before it was measured.
    pub storage: Option<Storage>,
    /// What is removed, and after how long, one phrase each; empty if everything is kept.
    pub retention: Vec<String>,
}

/// The runbook as Stagegate has parsed it.
#[derive(Debug, Clone)]
pub struct RunbookPage {
    /// The runbook.
    pub runbook: domain::runbook::Runbook,
    /// Path of the file, as configured.
    pub path: String,
    /// Problems in the runbook or in `stagegate.toml`.
    pub problems: Vec<Problem>,
    /// Steps outside the gates and of the rollback strategy, with their runs.
    pub loose_steps: Vec<StepView>,
}

/// A one-time link, before it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// What it is for.
    pub kind: LinkKind,
    /// The name of the person it was made for; empty for the setup link.
    pub name: String,
    /// The login of the person it was made for; empty for the setup link.
    pub login: String,
    /// Whether a password has to be chosen with it.
    pub wants_password: bool,
}

/// The answer of an action: the page to go to and the message to show there. It is stored with the idempotency key, so
/// the same key gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {
    /// Page to go to.
    pub to: String,
    /// The message to show there, one sentence.
    pub said: String,
}
