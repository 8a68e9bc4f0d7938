//! What a supervisor is told to do, and what it answers.

use domain::check::Check;
use domain::evidence::{Finding, Outcome as Found};
use domain::release::ReleaseComponents;
use serde::{Deserialize, Serialize};

use checks::ProbeWork;
use orchestrator::compose::{DeployResult, DeployWork, RollbackResult, RollbackWork};
use runner::{Exit, Outcome};

/// The work of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// A step of the runbook, and the checks that judge it.
    Step {
        /// The command, given to `bash -c` unchanged.
        command: String,
        /// The checks whose `step` this is, each with what it needs to judge.
        judged_by: Vec<ProbeWork>,
        /// Command that lists the applied migrations, which the step may have changed.
        #[serde(default)]
        migrations_cmd: Option<String>,
    },
    /// Checks, in order, side by side where they allow it.
    Checks {
        /// Steps that come before some of them.
        #[serde(default)]
        setup: Vec<SetupStep>,
        /// The checks, each with what it needs.
        probes: Vec<ProbeWork>,
    },
    /// A look at the database: which migrations are applied.
    Migrations {
        /// Command that lists them.
        command: String,
    },
    /// A deploy, and the smoke checks after it.
    Deploy {
        /// Steps of the runbook that come first; the first that fails ends the deploy. Image names that they moved
        /// are restored when the deploy touches no service.
        before: Vec<BeforeDeploy>,
        /// What is deployed and how.
        deploy: Box<DeployWork>,
        /// The checks run once it is healthy.
        smoke: Vec<ProbeWork>,
    },
    /// A rollback, and the smoke checks that prove it.
    Rollback {
        /// Where to and how.
        rollback: Box<RollbackWork>,
        /// The checks that must pass before it counts.
        smoke: Vec<ProbeWork>,
    },
    /// A rollback on purpose, and the return.
    Drill {
        /// Where to and how.
        away: Box<RollbackWork>,
        /// The way back to what ran before.
        back: Box<RollbackWork>,
        /// The checks that must pass at both ends.
        smoke: Vec<ProbeWork>,
        /// The checks that a drill on record satisfies.
        records: Vec<Check>,
    },
}

/// A step of the runbook that checks come after and that none of them judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupStep {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its command, given to `bash -c` unchanged.
    pub command: String,
}

/// A step that runs before a deploy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BeforeDeploy {
    /// Its title.
    pub title: String,
    /// Its command, given to `bash -c` unchanged.
    pub command: String,
}

/// The plan's note beside the work: what the evidence will be bound to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The parts as observed when the run was asked for.
    pub parts: ReleaseComponents,
    /// The work.
    pub work: Work,
}

/// What a run found, written by the supervisor and read by the server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Findings {
    /// What each check found, in order.
    pub checks: Vec<CheckFinding>,
    /// How the deploy went.
    pub deploy: Option<DeployResult>,
    /// How the rollback went.
    pub rollback: Option<RollbackResult>,
    /// How the drill went.
    pub drill: Option<DrillResult>,
    /// How the stack answered while containers were replaced.
    pub outages: Vec<domain::incident::Outage>,
    /// The database migrations that were applied at the end, where that was looked at.
    pub migrations: Option<Vec<String>>,
}

/// What one check found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckFinding {
    /// The check's id.
    pub check: String,
    /// Its threshold digest at the time.
    pub threshold_digest: String,
    /// What was found.
    pub finding: Finding,
}

impl CheckFinding {
    pub(crate) fn of(check: &Check, finding: Finding) -> CheckFinding {
        CheckFinding { check: check.id.clone(), threshold_digest: check.threshold_digest(), finding }
    }
}

/// How a drill went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrillResult {
    /// Both ways were proved, and what ran before runs again.
    pub ok: bool,
    /// How the way there went.
    pub away: Option<RollbackResult>,
    /// How long it took until it was proved, milliseconds.
    pub away_ms: u64,
    /// How the return went; `None` when nothing had been touched, so that there was nothing to return from.
    pub back: Option<RollbackResult>,
    /// How long the return took until it was proved, milliseconds.
    pub back_ms: u64,
    /// How it ended, for people.
    pub message: String,
}

/// Exit code of a run of checks that could not tell.
pub const INCONCLUSIVE: i32 = 3;

pub(crate) fn outcome(exit: Exit, findings: &Findings) -> Outcome {
    let result = serde_json::to_value(findings).unwrap_or_default();
    Outcome { exit, result }
}

/// `12 passed, 1 failed (coverage), 1 could not tell (p95)`.
pub fn sum_up(checks: &[CheckFinding]) -> String {
    let ids = |outcome: Found| -> Vec<&str> {
        checks.iter().filter(|c| c.finding.outcome == outcome).map(|c| c.check.as_str()).collect()
    };
    let mut words = vec![format!("{} passed", ids(Found::Pass).len())];
    for (outcome, word) in [(Found::Fail, "failed"), (Found::Inconclusive, "could not tell")] {
        let ids = ids(outcome);
        if !ids.is_empty() {
            words.push(format!("{} {word} ({})", ids.len(), ids.join(", ")));
        }
    }
    words.join(", ")
}
