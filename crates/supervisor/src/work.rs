//! Input and result of a supervisor.

use domain::check::Check;
use domain::evidence::{Finding, Outcome as Found};
use domain::release::ReleaseComponents;
use serde::{Deserialize, Serialize};

use checks::ProbeWork;
use orchestrator::{DeployResult, DeployWork, RollbackResult, RollbackWork};
use runner::{Exit, Outcome};

/// The work of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// A step of the runbook, and the checks that evaluate it.
    Step {
        /// The command, given to `bash -c` unchanged.
        command: String,
        /// The checks whose `step` this is, each with what it needs.
        judged_by: Vec<ProbeWork>,
        /// Command that lists the applied migrations, which the step may have changed.
        #[serde(default)]
        migrations_cmd: Option<String>,
    },
    /// Checks, in order, in parallel where they allow it.
    Checks {
        /// Steps that some of them require first.
        #[serde(default)]
        setup: Vec<SetupStep>,
        /// The checks, each with what it needs.
        probes: Vec<ProbeWork>,
    },
    /// Lists the migrations that are applied to the database.
    Migrations {
        /// Command that lists them.
        command: String,
    },
    /// A deploy, and the smoke checks after it.
    Deploy {
        /// Steps of the runbook that run first; the first that fails ends the deploy. Image names that they moved
        /// are restored if the deploy ends before it changes a service.
        before: Vec<BeforeDeploy>,
        /// What is deployed and how.
        deploy: Box<DeployWork>,
        /// The checks run once it is healthy.
        smoke: Vec<ProbeWork>,
    },
    /// A rollback, and the smoke checks that verify it.
    Rollback {
        /// Target and options.
        rollback: Box<RollbackWork>,
        /// The checks that must pass before it counts.
        smoke: Vec<ProbeWork>,
    },
    /// A rollback on purpose, and the return.
    Drill {
        /// Target and options.
        away: Box<RollbackWork>,
        /// The return to what ran before.
        back: Box<RollbackWork>,
        /// The checks that must pass at both ends.
        smoke: Vec<ProbeWork>,
        /// The checks that a recorded drill satisfies.
        records: Vec<Check>,
    },
}

/// A step of the runbook that checks require first and that none of them evaluates.
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

/// The work, and the release components that the evidence will be bound to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The components as observed when the run was requested.
    pub parts: ReleaseComponents,
    /// The work.
    pub work: Work,
}

/// The result of a run, written by the supervisor and read by the server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Findings {
    /// The finding of each check, in order.
    pub checks: Vec<CheckFinding>,
    /// The result of the deploy.
    pub deploy: Option<DeployResult>,
    /// The result of the rollback.
    pub rollback: Option<RollbackResult>,
    /// The result of the drill.
    pub drill: Option<DrillResult>,
    /// The availability of the stack while containers were replaced.
    pub outages: Vec<domain::incident::Outage>,
    /// The database migrations that were applied at the end, if they were listed.
    pub migrations: Option<Vec<String>>,
}

/// The result of one check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckFinding {
    /// The check's id.
    pub check: String,
    /// Its threshold digest at that time.
    pub threshold_digest: String,
    /// The finding.
    pub finding: Finding,
}

impl CheckFinding {
    pub(crate) fn of(check: &Check, finding: Finding) -> CheckFinding {
        CheckFinding { check: check.id.clone(), threshold_digest: check.threshold_digest(), finding }
    }
}

/// The result of a drill.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrillResult {
    /// Rollback and return were verified, and what ran before runs again.
    pub ok: bool,
    /// The result of the rollback.
    pub away: Option<RollbackResult>,
    /// How long it took until it was verified, milliseconds.
    pub away_ms: u64,
    /// The result of the return; `None` when nothing had been changed, so that no return was needed.
    pub back: Option<RollbackResult>,
    /// How long the return took until it was verified, milliseconds.
    pub back_ms: u64,
    /// How it ended, for people.
    pub message: String,
}

/// Exit code of an inconclusive run of checks.
pub const INCONCLUSIVE: i32 = 3;

pub(crate) fn outcome(exit: Exit, findings: &Findings) -> Outcome {
    let result = serde_json::to_value(findings).unwrap_or_default();
    Outcome { exit, result }
}

/// `12 passed, 1 failed (coverage), 1 inconclusive (p95)`.
pub fn sum_up(checks: &[CheckFinding]) -> String {
    let ids = |outcome: Found| -> Vec<&str> {
        checks.iter().filter(|c| c.finding.outcome == outcome).map(|c| c.check.as_str()).collect()
    };
    let mut words = vec![format!("{} passed", ids(Found::Pass).len())];
    for (outcome, word) in [(Found::Fail, "failed"), (Found::Inconclusive, "inconclusive")] {
        let ids = ids(outcome);
        if !ids.is_empty() {
            words.push(format!("{} {word} ({})", ids.len(), ids.join(", ")));
        }
    }
    words.join(", ")
}
