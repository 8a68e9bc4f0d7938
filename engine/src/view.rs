//! What pages are shown: the answers of [`crate::Engine`], ready to be laid out.
//!
//! Nothing here decides anything; the rules are in `domain`, and what a button may do is already
//! settled as an [`Offer`].

use domain::check::Check;
use domain::facts::{Actor, Observed};
use domain::flaky::{Flaky, TrendPoint};
use domain::item::{CheckState, ItemState};
use domain::judge::{GateView, Judgement};
use domain::release::Release;
use domain::role::Role;
use domain::runbook::{MatrixRow, Problem, Step};
use domain::time::Millis;

/// Whether a button works for the person looking, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// It works.
    Yes,
    /// It would be refused; one sentence saying why.
    No(String),
}

impl Offer {
    /// The reason against, if there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Offer::Yes => None,
            Offer::No(why) => Some(why),
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
    pub services: Vec<domain::facts::Service>,
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
    pub end_waiver: Offer,
    /// Who is waited for, most urgent first.
    pub waiting: Vec<Waiting>,
    /// Says that the directory has moved on from the release, when it has.
    pub moved_on: Option<String>,
    /// What is wrong with the runbook or its configuration.
    pub problems: Vec<Problem>,
    /// The first step that has not run for this release, in a gate that is not accepted.
    pub next_step: Option<StepView>,
    /// The deploy button.
    pub deploy: Offer,
    /// The button that opens a release from what lies in the directory.
    pub open: Offer,
    /// Checks whose evidence expires before long, the next first.
    pub expiring: Vec<Expiring>,
    /// The one-click rollback, when there is a rollback point.
    pub rollback: Option<RollbackOffer>,
    /// The last deploy, when it failed and nothing was done about it yet.
    pub failed_deploy: Option<RunView>,
    /// The newest incident, while nobody has named its cause.
    pub unexplained: Option<IncidentRow>,
}

/// Something that waits for the person looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Todo {
    /// The act, in a few words: `Accept gate C`.
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

/// A step with its last run for the release.
#[derive(Debug, Clone)]
pub struct StepView {
    /// The step of the runbook.
    pub step: Step,
    /// Its last run.
    pub last: Option<RunView>,
    /// Its last run was about another release or another commit.
    pub last_is_old: bool,
    /// The Run button.
    pub run: Offer,
    /// The checks that judge it, by id.
    pub judged_by: Vec<String>,
}

/// A check with its declaration, its standing, its history.
#[derive(Debug, Clone)]
pub struct CheckView {
    /// The declaration.
    pub check: Check,
    /// How it stands.
    pub state: CheckState,
    /// Its last outcomes, newest first, at most ten.
    pub history: Vec<domain::evidence::Evidence>,
    /// It both failed and passed on the same parts.
    pub flaky: Option<Flaky>,
    /// Its value on each release, oldest first.
    pub trend: Vec<TrendPoint>,
    /// When the evidence that counts goes stale by age.
    pub expires: Option<Expiry>,
    /// A run of it that goes on.
    pub running: Option<RunView>,
    /// The Run button.
    pub run: Offer,
}

/// When evidence goes stale by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// The moment.
    pub at: Millis,
    /// It is near.
    pub soon: bool,
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
    /// The release judged.
    pub release: Option<Release>,
    /// The Accept button.
    pub accept: Offer,
    /// The Attest button.
    pub attest: Offer,
    /// The Waive button, before what each criterion says.
    pub waive: Offer,
    /// The criteria that the person looking may not waive though they may others, and why.
    pub not_waivable: Vec<(String, String)>,
    /// The last day a waiver may have (`YYYY-MM-DD`).
    pub waive_until: String,
    /// How long an attestation counts here, by item; items that are absent never age.
    pub attested_for: std::collections::BTreeMap<String, u64>,
    /// The Run all button.
    pub run_all: Offer,
    /// What preflight found here that is worth knowing and breaks nothing; the rest stands among the items.
    pub notes: Vec<domain::preflight::Finding>,
    /// The gates before and after.
    pub neighbours: (Option<String>, Option<String>),
}

/// The verification matrix.
#[derive(Debug, Clone)]
pub struct MatrixPage {
    /// The rows with the checks bound to each.
    pub rows: Vec<MatrixRowView>,
    /// The release judged.
    pub release: Option<Release>,
    /// The Run all button.
    pub run_all: Offer,
}

/// One row of the matrix.
#[derive(Debug, Clone)]
pub struct MatrixRowView {
    /// The row as the runbook has it.
    pub row: MatrixRow,
    /// The checks bound to it; empty: nothing proves it by machine.
    pub checks: Vec<CheckView>,
}

/// The checklist and the sign-offs.
#[derive(Debug, Clone)]
pub struct SignOffPage {
    /// When it was judged.
    pub now: Millis,
    /// Everything the rules say.
    pub judgement: Judgement,
    /// The release judged.
    pub release: Option<Release>,
    /// The checklist items in order.
    pub checklist: Vec<ItemState>,
    /// For each signing role, whether the person looking may sign Go for it.
    pub go: Vec<(Role, Offer)>,
    /// For each signing role, whether they may sign No-Go for it.
    pub no_go: Vec<(Role, Offer)>,
    /// Whether they may record the decision Go.
    pub decide_go: Offer,
    /// Whether they may record the decision No-Go.
    pub decide_no_go: Offer,
    /// The Attest button of checklist items.
    pub attest: Offer,
    /// For each checklist item made of parts: the title and the place of each part.
    pub parts: std::collections::BTreeMap<String, Vec<PartView>>,
    /// What stands before a Go signature, with the people concerned.
    pub before: Vec<BlockerView>,
    /// Sign-offs on this release that were replaced by later ones, oldest first.
    pub earlier: Vec<domain::facts::SignOff>,
}

/// A part of a checklist item, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartView {
    /// How it stands.
    pub state: domain::item::PieceState,
    /// The criterion's text, the check's title.
    pub title: String,
    /// Place where it is looked at; empty for none.
    pub href: String,
}

/// The ownership log.
#[derive(Debug, Clone)]
pub struct OwnershipPage {
    /// The lines in order.
    pub lines: Vec<OwnershipLineView>,
    /// The Save button.
    pub fill: Offer,
    /// How many fields are filled, of how many.
    pub filled: (usize, usize),
}

/// One line of the ownership log.
#[derive(Debug, Clone)]
pub struct OwnershipLineView {
    /// The line as the runbook has it.
    pub line: domain::runbook::OwnershipLine,
    /// Its fields.
    pub fields: Vec<OwnershipFieldView>,
}

/// One field of the ownership log.
#[derive(Debug, Clone)]
pub struct OwnershipFieldView {
    /// The field as the runbook has it.
    pub field: domain::runbook::Field,
    /// All that was ever written in it, newest first.
    pub history: Vec<OwnershipEntry>,
    /// A value known from what happened here, offered to be taken over.
    pub suggestion: Option<String>,
}

/// Something written in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnershipEntry {
    /// The value.
    pub value: String,
    /// Who wrote it.
    pub by_name: String,
    /// When.
    pub at: Millis,
}

/// The one-click rollback, named in words.
#[derive(Debug, Clone)]
pub struct RollbackOffer {
    /// Where it leads.
    pub target: Release,
    /// Since when the target is good.
    pub good_since: Millis,
    /// The services that will change.
    pub services: Vec<String>,
    /// Migrations that are applied now and unknown to the target; `None`: not recorded.
    pub migrations: Option<Vec<String>>,
    /// Images of the target that are gone; it is refused while there are any.
    pub missing_images: Vec<String>,
    /// Bytes of its images that are here, layers that they share counted more than once.
    pub bytes: u64,
    /// The stack declares a command that rolls its database back.
    pub can_roll_back_database: bool,
    /// The stack declares a command that makes its database anew, and one that backs it up before.
    pub can_make_database_anew: bool,
    /// What became of the env file since.
    pub env: EnvSince,
    /// The stack's name, which has to be typed before its database is made anew.
    pub stack: String,
    /// The button.
    pub offer: Offer,
}

/// The env file, against that of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvSince {
    /// It is the same, or there is none.
    Same,
    /// It differs, and nothing was kept of what it was.
    Changed,
    /// It differs, and can be put back.
    Kept,
}

/// The clean restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartOffer {
    /// The release that it would start.
    pub target: Option<Release>,
    /// The stack's name, which has to be typed before its volumes are removed.
    pub stack: String,
    /// The stack declares a command that backs its database up.
    pub backup: bool,
    /// The stack declares a command that fills an empty database.
    pub fill: bool,
    /// The button.
    pub offer: Offer,
}

/// The releases' page.
#[derive(Debug, Clone)]
pub struct ReleasesPage {
    /// When it was judged.
    pub now: Millis,
    /// The stack as it is.
    pub observed: Observed,
    /// The release that is judged.
    pub current: Option<Release>,
    /// All of them, newest first.
    pub releases: Vec<ReleaseRow>,
    /// The deploy button.
    pub deploy: Offer,
    /// The open button.
    pub open: Offer,
    /// What a deploy would deploy: short commit and subject, services that are built.
    pub head: HeadView,
    /// The rollback points, newest first, without the one that runs.
    pub rollbacks: Vec<RollbackOffer>,
    /// A deploy or rollback that goes on.
    pub running: Option<RunView>,
    /// The last deploy, when it failed.
    pub failed_deploy: Option<RunView>,
    /// The drill.
    pub drill: DrillView,
    /// The clean restart.
    pub restart: RestartOffer,
    /// Incidents, newest first.
    pub incidents: Vec<IncidentRow>,
}

/// The drill, as the releases' page offers it.
#[derive(Debug, Clone)]
pub struct DrillView {
    /// The release that it would go to and come back from.
    pub target: Option<Release>,
    /// The button.
    pub offer: Offer,
    /// The last drill that ended well.
    pub last: Option<RunView>,
    /// How it went.
    pub result: Option<DrillFigures>,
}

/// The figures of a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillFigures {
    /// Until the way there was proved, milliseconds.
    pub away_ms: u64,
    /// Until the return was proved, milliseconds.
    pub back_ms: u64,
    /// How the stack answered meanwhile.
    pub outages: Vec<domain::incident::Outage>,
}

/// An incident as lists show it.
#[derive(Debug, Clone)]
pub struct IncidentRow {
    /// The incident.
    pub incident: domain::incident::Incident,
    /// The release that was left, by name.
    pub from: Option<String>,
    /// The release that was gone back to, by name.
    pub to: String,
    /// The cause that counts.
    pub cause: Option<String>,
    /// Follow-ups that are not done.
    pub open_follow_ups: usize,
}

/// An incident's page.
#[derive(Debug, Clone)]
pub struct IncidentPage {
    /// The incident.
    pub row: IncidentRow,
    /// What people added, oldest first.
    pub notes: Vec<domain::incident::Note>,
    /// The buttons that add to it.
    pub note: Offer,
}

/// What lies in the directory.
#[derive(Debug, Clone, Default)]
pub struct HeadView {
    /// Short commit, with `*` when tracked files differ.
    pub commit: String,
    /// The commit's subject line.
    pub subject: String,
    /// Tracked files differ from the commit.
    pub changed: bool,
}

/// One line of the releases' list.
#[derive(Debug, Clone)]
pub struct ReleaseRow {
    /// The release.
    pub release: Release,
    /// Who opened it, by name.
    pub opened_by: String,
    /// Who deployed it, by name.
    pub deployed_by: Option<String>,
    /// The runs that deployed it or rolled back to it, newest first.
    pub runs: Vec<RunView>,
    /// The services whose images differ from the release before it.
    pub changed: Vec<String>,
    /// Go, No-Go decisions on it.
    pub decisions: Vec<domain::facts::Decision>,
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
    /// The last lines, for pages without WASM.
    pub tail: Vec<domain::log::LogLine>,
    /// The evidence it found.
    pub evidence: Vec<domain::evidence::Evidence>,
    /// Services that failed in a deploy, with their last lines.
    pub failing: Vec<FailingService>,
    /// For each service of a rollback: wanted and running image.
    pub proof: Vec<(String, String, String)>,
    /// The Cancel button.
    pub cancel: Offer,
    /// Back to the last good release, when this is a failed deploy.
    pub rollback: Option<RollbackOffer>,
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

/// The activity page.
#[derive(Debug, Clone)]
pub struct ActivityPage {
    /// The rows, newest first.
    pub rows: Vec<ActivityRow>,
    /// `seq` to go on from, when there are more.
    pub more_before: Option<i64>,
    /// Whether the chain was sound when last verified, and the words for it.
    pub chain: Result<String, String>,
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

/// What an act answers: where to go next and what to say there. Kept with the idempotency key,
/// so the same key gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {
    /// Page to go to.
    pub to: String,
    /// One sentence to show there.
    pub said: String,
}
