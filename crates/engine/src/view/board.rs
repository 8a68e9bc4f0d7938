//! The board: what waits, what blocks, what is let through.

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
    /// Everything the rules say.
    pub judgement: Judgement,
    /// The release that is judged.
    pub release: Option<Release>,
    /// Who deployed it, by name.
    pub deployed_by: Option<String>,
    /// The stack as it is.
    pub observed: Observed,
    /// Runs that go on.
    pub running: Vec<RunView>,
    /// The last few runs that ended.
    pub recent: Vec<RunView>,
    /// What waits for the person looking, most urgent first.
    pub inbox: Vec<Todo>,
    /// What stands between here and Go, with the people concerned.
    pub blockers: Vec<BlockerView>,
    /// The waivers in force, the first to end first.
    pub waivers: Vec<WaiverView>,
    /// The button that ends a waiver.
    pub end_waiver: Permission,
    /// Who is waited for, most urgent first.
    pub waiting: Vec<Waiting>,
    /// Says that the directory has moved on from the release, when it has.
    pub moved_on: Option<String>,
    /// What is wrong with the runbook or its configuration.
    pub problems: Vec<Problem>,
    /// The first step that has not run for this release, in a gate that is not accepted.
    pub next_step: Option<StepView>,
    /// The deploy button.
    pub deploy: Permission,
    /// A deploy backs the database up first.
    pub backup: bool,
    /// What the directory holds, as the forms that deploy it or open a release send back.
    pub shown: Shown,
    /// The button that opens a release from what lies in the directory.
    pub open: Permission,
    /// Checks whose evidence expires before long, the next first.
    pub expiring: Vec<Expiring>,
    /// The one-click rollback, when there is a rollback point.
    pub rollback: Option<RollbackOffer>,
    /// The last deploy, when it failed and nothing was done about it yet.
    pub failed_deploy: Option<RunView>,
    /// What has to follow the last change of the stack and has not started.
    pub follow_ups: Vec<FollowUpView>,
    /// The newest incident, while nobody has named its cause.
    pub unexplained: Option<IncidentRow>,
    /// The end of the audit log when it was last verified, `number:hash`.
    pub audit_head: Option<String>,
}

/// Something that waits for the person looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Todo {
    /// The action, in a few words: `Accept gate C`.
    pub what: String,
    /// Why it waits, one phrase.
    pub why: String,
    /// Place where it is done.
    pub href: String,
}

/// What the header of every page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopView {
    /// The verdict.
    pub verdict: domain::judge::Verdict,
    /// How many things wait for the person looking.
    pub waiting: usize,
}

/// The place of a role's card on the sign-off page.
pub fn sign_anchor(role: &str) -> String {
    format!("sign-{}", role.replace(char::is_whitespace, "-"))
}

/// A blocker with the people who can do something about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockerView {
    /// The blocker.
    pub blocker: domain::judge::Blocker,
    /// Its owners and who holds each role; nobody: an empty list.
    pub owners: Vec<(String, Vec<String>)>,
    /// Place where it is dealt with.
    pub href: String,
    /// What the person looking may do about it now, and where: `Accept gate C`.
    pub act: Option<(String, String)>,
}

/// A waiver in force, as the board shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiverView {
    /// The waiver.
    pub waiver: domain::facts::Waiver,
    /// Its last day in words: `today`, `tomorrow`, `on 30 Nov`.
    pub ends: String,
    /// Whole days after today until its last day.
    pub days_left: u64,
    /// Whether the item is let through by it now; else the item holds without.
    pub needed: bool,
    /// Place of the item.
    pub href: String,
}

/// Somebody who is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The role.
    pub role: String,
    /// The people who hold it; empty: nobody does.
    pub people: Vec<String>,
    /// For what, in a few words.
    pub what: String,
    /// Page where it is done.
    pub href: String,
    /// Whether the person looking is one of them.
    pub you: bool,
}

/// A check whose evidence goes stale by age before long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// The check's title.
    pub title: String,
    /// When.
    pub at: Millis,
    /// Page where it can be run.
    pub href: String,
}
