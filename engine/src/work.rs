//! What a supervisor is told to do, and how it does it. Runs in the supervisor's own process; it
//! knows no store and no server, its answer is the run's result.

use domain::check::Check;
use domain::evidence::{Finding, Outcome as Found};
use domain::release::Parts;
use serde::{Deserialize, Serialize};

use crate::checks::{OutageWatch, ProbeWork};
use crate::compose::{DeployResult, DeployWork, RollbackResult, RollbackWork, migrations, rollback};
use crate::drill::{DrillResult, drill};
use crate::run_all::{SetupStep, judged_step, run_all};
use crate::runner::{Exit, Outcome, RunnerError, Session, supervise};

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
    pub parts: Parts,
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

/// The body of `stagegate supervise <run-dir>`.
pub async fn carry_out(dir: &std::path::Path) -> Result<(), RunnerError> {
    supervise(dir, async |session: &Session| {
        match serde_json::from_value::<Job>(session.plan().work.clone()) {
            Ok(job) => work(session, &job.work).await,
            Err(error) => Outcome {
                exit: Exit::NotStarted(format!("the plan cannot be read: {error}")),
                result: serde_json::Value::Null,
            },
        }
    })
    .await
}

async fn work(session: &Session, work: &Work) -> Outcome {
    match work {
        Work::Step { command, judged_by, migrations_cmd } => {
            step(session, command, judged_by, migrations_cmd.as_ref()).await
        }
        Work::Checks { setup, probes } => {
            let findings = Findings { checks: run_all(session, setup, probes).await, ..Default::default() };
            let exit = exit_of(&findings.checks);
            outcome(exit, &findings)
        }
        Work::Migrations { command } => {
            let migrations = list_migrations(session, Some(command)).await;
            let exit = Exit::Code(if migrations.is_some() { 0 } else { INCONCLUSIVE });
            outcome(exit, &Findings { migrations, ..Default::default() })
        }
        Work::Deploy { before, deploy: plan, smoke } => {
            let steps: Vec<_> =
                before.iter().map(|step| (step.title.as_str(), step.command.as_str())).collect();
            let done = plan.deploy_after(session, &steps).await;
            // A step that failed leaves none.
            let result: Option<DeployResult> = serde_json::from_value(done.result).ok();
            let checks = if result.as_ref().is_some_and(|r| r.ok) {
                run_all(session, &[], smoke).await
            } else {
                vec![]
            };
            // Even a deploy that failed may have migrated, and a way back has to name that.
            let failed = result.as_ref().is_some_and(|r| !r.ok && r.phase.touches_services());
            let migrations_cmd = plan.migrations_cmd.as_ref().filter(|_| failed);
            let migrations = list_migrations(session, migrations_cmd).await;
            // A deploy is done when its services are healthy; a smoke check that fails then is
            // evidence against the release, not a deploy that did not happen.
            outcome(done.exit, &Findings { checks, deploy: result, migrations, ..Default::default() })
        }
        Work::Rollback { rollback: plan, smoke } => {
            let watch = OutageWatch::begin(session, smoke);
            let done = go_back(session, plan).await;
            let outages = watch.end().await;
            let (exit, result, checks) = prove(session, done, smoke).await;
            outcome(exit, &Findings { checks, rollback: result, outages, ..Default::default() })
        }
        Work::Drill { away, back, smoke, records } => drill(session, away, back, smoke, records).await,
    }
}

/// A rollback's end and what it found.
pub(crate) type Gone = (Exit, Option<RollbackResult>);

pub(crate) async fn go_back(session: &Session, plan: &RollbackWork) -> Gone {
    let done = rollback(session, plan).await;
    (done.exit, serde_json::from_value(done.result).ok())
}

/// Runs the smoke checks behind a rollback that went well; one that does not pass makes it incomplete.
pub(crate) async fn prove(
    session: &Session,
    (mut exit, mut result): Gone,
    smoke: &[ProbeWork],
) -> (Exit, Option<RollbackResult>, Vec<CheckFinding>) {
    let mut checks = vec![];
    if let Some(rollback) = result.as_mut().filter(|r| r.ok) {
        checks = run_all(session, &[], smoke).await;
        let failed: Vec<&str> =
            checks.iter().filter(|c| c.finding.outcome != Found::Pass).map(|c| c.check.as_str()).collect();
        if !failed.is_empty() {
            rollback.ok = false;
            rollback.message = format!(
                "Rollback not complete: the target's images run, but {} did not pass",
                failed.join(", ")
            );
            session.say(&rollback.message);
            exit = Exit::Code(1);
        }
    }
    (exit, result, checks)
}

async fn step(
    session: &Session,
    command: &str,
    judged_by: &[ProbeWork],
    migrations_cmd: Option<&String>,
) -> Outcome {
    let judges: Vec<&ProbeWork> = judged_by.iter().collect();
    let (exit, checks) = judged_step(session, command, None, &judges).await;
    let migrations = list_migrations(session, migrations_cmd).await;
    outcome(exit, &Findings { checks, migrations, ..Default::default() })
}

/// The migrations that are applied now; `None` when nobody asks or they cannot be read.
async fn list_migrations(session: &Session, command: Option<&String>) -> Option<Vec<String>> {
    migrations(session, command?, &session.plan().cwd).await
}

/// 0 when all passed, 1 when one failed, 3 when none failed but one could not tell.
fn exit_of(checks: &[CheckFinding]) -> Exit {
    let any = |outcome| checks.iter().any(|c| c.finding.outcome == outcome);
    if any(Found::Fail) {
        Exit::Code(1)
    } else if checks.is_empty() || any(Found::Inconclusive) {
        Exit::Code(INCONCLUSIVE)
    } else {
        Exit::Code(0)
    }
}

/// Exit code of a run of checks that could not tell.
pub const INCONCLUSIVE: i32 = 3;

pub(crate) fn outcome(exit: Exit, findings: &Findings) -> Outcome {
    let result = serde_json::to_value(findings).unwrap_or_default();
    Outcome { exit, result }
}
