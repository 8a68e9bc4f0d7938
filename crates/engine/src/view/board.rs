//! The board: to-dos, blockers, waivers.

use domain::judge::Judgement;
use domain::observed::Observed;
use domain::release::Release;
use domain::runbook::Problem;
use domain::time::Millis;

use super::{FollowUpView, IncidentRow, Permission, RollbackOffer, RunView, Shown, StepView};

/// The board.
#[derive(Debug, Clone)]
pub struct BoardView {
    /// When it was judged.
    pub now: Millis,
    /// The stack's name.
    pub stack: String,
    /// The judgement.
    pub judgement: Judgement,
    /// The current release.
    pub release: Option<Release>,
    /// Who deployed it, by name.
    pub deployed_by: Option<String>,
    /// The observed state of the stack.
    pub observed: Observed,
    /// Runs in progress.
    pub running: Vec<RunView>,
    /// The last few runs that ended.
    pub recent: Vec<RunView>,
    /// The to-dos of the current user, most urgent first.
    pub todos: Vec<Todo>,
    /// The reasons for No-Go, with the people who can resolve them.
    pub blockers: Vec<BlockerView>,
    /// The active waivers, the first to expire first.
    pub waivers: Vec<WaiverView>,
    /// The button that ends a waiver.
    pub end_waiver: Permission,
    /// Who has to act next, most urgent first.
    pub waiting: Vec<Waiting>,
    /// The text of the banner, if the checkout has changed since the release was opened.
    pub moved_on: Option<String>,
    /// Problems in the runbook or its configuration.
    pub problems: Vec<Problem>,
    /// The first step that has not run for this release, in a gate that is not accepted.
    pub next_step: Option<StepView>,
    /// The deploy button.
    pub deploy: Permission,
    /// A deploy backs up the database first.
    pub backup: bool,
    /// The checkout, as the forms that deploy it or open a release send it back.
    pub shown: Shown,
    /// The button that opens a release from the checkout.
    pub open: Permission,
    /// Checks whose evidence expires soon, the next first.
    pub expiring: Vec<Expiring>,
    /// The one-click rollback, if there is a rollback target.
    pub rollback: Option<RollbackOffer>,
    /// The last deploy, if it failed and nothing has been done since.
    pub failed_deploy: Option<RunView>,
    /// Follow-ups of the last change of the stack that have not started.
    pub follow_ups: Vec<FollowUpView>,
    /// The newest incident, as long as it has no cause recorded.
    pub unexplained: Option<IncidentRow>,
    /// The end of the audit log at the last verification, `number:hash`.
    pub audit_head: Option<String>,
}

/// A to-do of the current user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Todo {
    /// The action, in a few words: `Accept gate C`.
    pub what: String,
    /// The reason, one phrase.
    pub why: String,
    /// Link to where it is done.
    pub href: String,
}

/// The content of the page header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopView {
    /// The verdict.
    pub verdict: domain::judge::Verdict,
    /// The number of to-dos of the current user.
    pub waiting: usize,
}

/// The anchor of a role's card on the sign-off page.
pub fn sign_anchor(role: &str) -> String {
    format!("sign-{}", role.replace(char::is_whitespace, "-"))
}

/// A blocker with the people who can resolve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockerView {
    /// The blocker.
    pub blocker: domain::judge::Blocker,
    /// Its owners and the people who hold each role; the list may be empty.
    pub owners: Vec<(String, Vec<String>)>,
    /// Link to where it can be resolved.
    pub href: String,
    /// The action that the current user can take on it now, and the link: `Accept gate C`.
    pub act: Option<(String, String)>,
}

/// An active waiver, as the board shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiverView {
    /// The waiver.
    pub waiver: domain::facts::Waiver,
    /// Its last day, as text: `today`, `tomorrow`, `on 30 Nov`.
    pub ends: String,
    /// Whole days after today until its last day.
    pub days_left: u64,
    /// Whether the item needs it now; otherwise the item is met without it.
    pub needed: bool,
    /// Link to the item.
    pub href: String,
}

/// A role that has to act next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The role.
    pub role: String,
    /// The people who hold it; may be empty.
    pub people: Vec<String>,
    /// What they have to do, in a few words.
    pub what: String,
    /// Link to where it is done.
    pub href: String,
    /// Whether the current user is one of them.
    pub you: bool,
}

/// A check whose evidence becomes stale by age soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// The check's title.
    pub title: String,
    /// When.
    pub at: Millis,
    /// Link to where it can be run.
    pub href: String,
}
