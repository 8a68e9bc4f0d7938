//! What pages are shown: the answers of [`crate::Engine`], ready to be laid out.
//!
//! Nothing here decides anything; the rules are in `domain`, and what a button may do is already
//! settled as an [`Permission`].

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
use domain::page::Pages;
use domain::runbook::Problem;
use domain::time::Millis;
pub use store::links::{Invitation, InvitationState};

/// Whether a button works for the person looking, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// It works.
    Allowed,
    /// It would be refused; one sentence saying why.
    Denied(String),
}

impl Permission {
    /// The reason against, if there is one.
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
    /// `step`, `check`, `deploy`, `rollback`, `drill`.
    pub kind: String,
    /// The step, check or release it is about.
    pub subject: String,
    /// One line for people.
    pub title: String,
    /// The release judged when it began.
    pub release: Option<i64>,
    /// Who started it.
    pub by_name: String,
    /// When it began.
    pub started_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// How it stands.
    pub state: RunState,
    /// What it is doing now, or how it ended: `building backend`, `exit 1`, `cancelled by Ada`.
    pub summary: String,
    /// How long the last good run of the same subject took, milliseconds.
    pub expected_ms: Option<u64>,
    /// The services and how they stand, while a deploy or rollback goes on and after it.
    pub services: Vec<domain::observed::Service>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It goes on.
    Running,
    /// It ended well.
    Passed,
    /// It ended badly.
    Failed,
    /// It ended and could not tell.
    Inconclusive,
    /// A person ended it.
    Cancelled,
    /// Its supervisor is gone without having said how it ended.
    Interrupted,
}

impl RunState {
    /// The word on pages and in class names.
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
    /// The exit in words: `exit 0`, `killed by signal 9`, `timed out after 10 min`.
    pub exit: Option<String>,
    /// Number of log lines so far.
    pub lines: u64,
    /// When retention removed the log; `None` while it is there.
    pub pruned_at: Option<Millis>,
    /// The last lines, for pages without WASM.
    pub tail: Vec<domain::log::LogLine>,
    /// The evidence it found.
    pub evidence: Vec<domain::evidence::Evidence>,
    /// Services that failed in a deploy, with their last lines.
    pub failing: Vec<FailingService>,
    /// For each service of a rollback: wanted and running image.
    pub proof: Vec<(String, String, String)>,
    /// The Cancel button.
    pub cancel: Permission,
    /// Back to the last good release, when this is a failed deploy.
    pub rollback: Option<RollbackOffer>,
    /// What follows it by itself.
    pub follow_ups: Vec<FollowUpView>,
}

/// Something that follows a run by itself: a recovery, an automatic rollback, a validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUpView {
    /// What it is: `Automatic rollback`.
    pub label: String,
    /// The run that it follows.
    pub run: i64,
    /// `pending`, `started` or `not done`.
    pub state: String,
    /// Why it is not done, or what it waits for; may be empty.
    pub because: String,
    /// The run that it started.
    pub started: Option<i64>,
}

/// A service that kept a deploy from being healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailingService {
    /// Its name.
    pub name: String,
    /// How it stood, in words.
    pub health: String,
    /// Its last lines, secrets masked.
    pub last_lines: Vec<String>,
}

/// A person, for the people's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonView {
    /// Id, name, roles.
    pub actor: Actor,
    /// The name typed at sign-in.
    pub login: String,
    /// May not sign in any more.
    pub disabled: bool,
    /// Has a password.
    pub ready: bool,
    /// When they were added.
    pub created_at: Millis,
}

/// A page of the invitations.
#[derive(Debug, Clone, Default)]
pub struct InvitationsPage {
    /// The invitations, newest first.
    pub rows: Vec<Invitation>,
    /// How many of all can be used.
    pub open: u64,
    /// The pages beside it.
    pub pages: Pages,
}

/// A page of the runs.
#[derive(Debug, Clone)]
pub struct RunsPage {
    /// The runs, newest first.
    pub rows: Vec<RunView>,
    /// The pages beside it.
    pub pages: Pages,
}

/// A page of the incidents.
#[derive(Debug, Clone)]
pub struct IncidentsPage {
    /// The incidents, newest first.
    pub rows: Vec<IncidentRow>,
    /// The pages beside it.
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
    /// `intent`, `done`, `refused`, `failed`.
    pub outcome: String,
    /// Particulars.
    pub detail: String,
    /// The row's hash.
    pub hash: String,
}

/// What the last verification of the audit log and of the records it vouches for has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// What does not match, one sentence each; empty when everything does.
    pub problems: Vec<String>,
    /// The end of the log when it was last verified, `number:hash`, to be noted elsewhere; `None` before the first time.
    pub head: Option<String>,
    /// When that was.
    pub at: Option<Millis>,
    /// When every event and record was verified last since the start; later passes go on from there. `None` before
    /// that was done.
    pub whole_at: Option<Millis>,
    /// Since when everything is being verified.
    pub running_since: Option<Millis>,
    /// Why the last verification of everything was not completed.
    pub failed: Option<String>,
}

/// How much room the data directory takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// When it was measured.
    pub at: Millis,
    /// The database with its side files.
    pub database_bytes: u64,
    /// The logs of runs.
    pub run_bytes: u64,
    /// What is kept of releases to roll back to.
    pub rollback_bytes: u64,
}

/// The activity page.
#[derive(Debug, Clone)]
pub struct ActivityPage {
    /// The rows, newest first.
    pub rows: Vec<ActivityRow>,
    /// The pages beside it.
    pub pages: Pages,
    /// What the last verification has shown.
    pub chain: Verification,
    /// The button that has everything verified; `None` for whom it is not for.
    pub verify: Option<Permission>,
    /// How much room the data takes; `None` before it was measured.
    pub storage: Option<Storage>,
    /// What is removed, and after how long, one phrase each; empty when everything is kept.
    pub retention: Vec<String>,
}

/// The runbook as it was understood.
#[derive(Debug, Clone)]
pub struct RunbookPage {
    /// The runbook.
    pub runbook: domain::runbook::Runbook,
    /// Path of the file, as configured.
    pub path: String,
    /// What is wrong with it or with `stagegate.toml`.
    pub problems: Vec<Problem>,
    /// Steps outside the gates and of the rollback strategy, with their runs.
    pub loose_steps: Vec<StepView>,
}

/// A one-time link, before it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// `setup`, `invite`, `sign-in`, `reset`.
    pub kind: String,
    /// The name it was made out to; empty for the setup link.
    pub name: String,
    /// The login it was made out to; empty for the setup link.
    pub login: String,
    /// Whether a password has to be chosen with it.
    pub wants_password: bool,
}

/// What an action answers: where to go next and what to say there. Kept with the idempotency key,
/// so the same key gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {
    /// Page to go to.
    pub to: String,
    /// One sentence to show there.
    pub said: String,
}
