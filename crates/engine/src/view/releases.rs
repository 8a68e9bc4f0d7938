//! Releases, rollback targets, incidents.

use domain::observed::Observed;
use domain::release::Release;
use domain::time::Millis;

use super::{Permission, RunView};

/// The checkout that a form showed. The form sends it back, so that only what was confirmed is deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The full commit, with a mark if tracked files differ; empty if there is none.
    pub commit: String,
    /// Digest of everything that a deploy depends on.
    pub digest: String,
}

/// The one-click rollback, described for the user.
#[derive(Debug, Clone)]
pub struct RollbackOffer {
    /// The rollback target.
    pub target: Release,
    /// Since when the target is known to be good.
    pub good_since: Millis,
    /// The services that will change.
    pub services: Vec<String>,
    /// Migrations that are applied now but unknown to the target; `None`: not recorded.
    pub migrations: Option<Vec<String>>,
    /// Images of the target that no longer exist; the rollback is refused if there are any.
    pub missing_images: Vec<String>,
    /// Bytes of its images on this host; shared layers are counted more than once.
    pub bytes: u64,
    /// The stack declares a command that rolls its database back.
    pub can_roll_back_database: bool,
    /// The stack declares a command that recreates its database, and one that backs it up before.
    pub can_make_database_anew: bool,
    /// Whether the env file has changed since.
    pub env: EnvSince,
    /// The stack's name, which has to be typed before its database is recreated.
    pub stack: String,
    /// Digest of what the confirmation shows; its form sends it back.
    pub digest: String,
    /// The button.
    pub offer: Permission,
}

/// The env file, compared with that of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvSince {
    /// It is the same, or there is none.
    Same,
    /// It differs, and there is no copy of the earlier one.
    Changed,
    /// It differs, and the earlier one can be restored.
    Kept,
}

/// The clean restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartOffer {
    /// The release that it would start.
    pub target: Option<Release>,
    /// The stack's name, which has to be typed before its volumes are removed.
    pub stack: String,
    /// The stack declares a command that backs up its database.
    pub backup: bool,
    /// The stack declares a command that fills an empty database.
    pub fill: bool,
    /// Digest of what the confirmation shows; its form sends it back.
    pub digest: String,
    /// The button.
    pub offer: Permission,
}

/// The releases' page.
#[derive(Debug, Clone)]
pub struct ReleasesPage {
    /// When it was judged.
    pub now: Millis,
    /// The observed state of the stack.
    pub observed: Observed,
    /// The current release.
    pub current: Option<Release>,
    /// A page of the releases, newest first.
    pub releases: Vec<ReleaseRow>,
    /// Links to the pages before and after this one.
    pub pages: domain::paging::Pages,
    /// The deploy button.
    pub deploy: Permission,
    /// A deploy backs up the database first.
    pub backup: bool,
    /// The checkout, as the forms that deploy it or open a release send it back.
    pub shown: Shown,
    /// The open button.
    pub open: Permission,
    /// What a deploy would deploy: short commit and subject, services that are built.
    pub head: HeadView,
    /// The rollback targets, best first, without the running release.
    pub rollbacks: Vec<RollbackOffer>,
    /// The running deploy, rollback or drill.
    pub running: Option<RunView>,
    /// The last deploy, if it failed.
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
    /// The release that it would roll back to and return from.
    pub target: Option<Release>,
    /// Digest of what the confirmation shows; its form sends it back.
    pub digest: String,
    /// The button.
    pub offer: Permission,
    /// The last successful drill.
    pub last: Option<RunView>,
    /// Its figures.
    pub result: Option<DrillFigures>,
}

/// The figures of a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillFigures {
    /// Time until the rollback was verified, milliseconds.
    pub away_ms: u64,
    /// Time until the return was verified, milliseconds.
    pub back_ms: u64,
    /// The outages of the stack meanwhile.
    pub outages: Vec<domain::incident::Outage>,
}

/// An incident as lists show it.
#[derive(Debug, Clone)]
pub struct IncidentRow {
    /// The incident.
    pub incident: domain::incident::Incident,
    /// The name of the release that ran before.
    pub from: Option<String>,
    /// The name of the target release.
    pub to: String,
    /// The cause that was recorded last.
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
    /// The buttons that add notes.
    pub note: Permission,
}

/// The checkout.
#[derive(Debug, Clone, Default)]
pub struct HeadView {
    /// Short commit, with `*` if tracked files differ.
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
    /// The runs that deployed it or rolled back to it, newest first; in the history the last few.
    pub runs: Vec<RunView>,
    /// The services whose images differ from the release before it.
    pub changed: Vec<String>,
    /// The Go and No-Go decisions on it.
    pub decisions: Vec<domain::facts::Decision>,
}
