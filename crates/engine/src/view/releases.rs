//! Releases, rollback targets, incidents.

use domain::observed::Observed;
use domain::release::Release;
use domain::time::Millis;

use super::{Permission, RunView};

/// What a form showed of the directory: sent back with it, so that nothing else is deployed than was confirmed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The commit in full, with its mark when tracked files differ; empty when there is none.
    pub commit: String,
    /// Digest of everything that a deploy depends on.
    pub digest: String,
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
    /// The stack declares a command that makes its database again, and one that backs it up before.
    pub can_make_database_anew: bool,
    /// What became of the env file since.
    pub env: EnvSince,
    /// The stack's name, which has to be typed before its database is made again.
    pub stack: String,
    /// Digest of what the confirmation shows; its form sends it back.
    pub digest: String,
    /// The button.
    pub offer: Permission,
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
    /// The stack as it is.
    pub observed: Observed,
    /// The release that is judged.
    pub current: Option<Release>,
    /// A page of them, newest first.
    pub releases: Vec<ReleaseRow>,
    /// The pages beside it.
    pub pages: domain::page::Pages,
    /// The deploy button.
    pub deploy: Permission,
    /// A deploy backs the database up first.
    pub backup: bool,
    /// What the directory holds, as the forms that deploy it or open a release send back.
    pub shown: Shown,
    /// The open button.
    pub open: Permission,
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
    /// Digest of what the confirmation shows; its form sends it back.
    pub digest: String,
    /// The button.
    pub offer: Permission,
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
    pub note: Permission,
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
    /// The runs that deployed it or rolled back to it, newest first; in the history the last few.
    pub runs: Vec<RunView>,
    /// The services whose images differ from the release before it.
    pub changed: Vec<String>,
    /// Go, No-Go decisions on it.
    pub decisions: Vec<domain::facts::Decision>,
}
