//! The work of a run, in the supervisor process: it has no access to the store or the server; its output is the run's
//! result.

mod check_runner;
mod drill;
mod rollback_proof;
mod work;

use domain::evidence::Outcome as Found;

use self::check_runner::{judged_step, run_all};
use self::drill::drill;
use self::rollback_proof::{go_back, prove};
use self::work::outcome;
use checks::{OutageWatch, ProbeWork};
use orchestrator::{DeployResult, applied_migrations};
use runner::{Exit, Outcome, RunnerError, Session, supervise};

pub use self::work::sum_up;
pub use self::work::{BeforeDeploy, CheckFinding, DrillResult, Findings, INCONCLUSIVE, Job, SetupStep, Work};

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
            let done = plan.execute(session, &steps).await;
            // There is no result after a failed step.
            let result: Option<DeployResult> = serde_json::from_value(done.result).ok();
            let checks = if result.as_ref().is_some_and(|r| r.ok) {
                run_all(session, &[], smoke).await
            } else {
                vec![]
            };
            // Even a failed deploy may have migrated the database, and a rollback must show that.
            let failed = result.as_ref().is_some_and(|r| !r.ok && r.phase.touches_services());
            let migrations_cmd = plan.migrations_cmd.as_ref().filter(|_| failed);
            let migrations = list_migrations(session, migrations_cmd).await;
            // A deploy is done when its services are healthy; a smoke check that fails afterwards is evidence
            // against the release, not a failed deploy.
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

/// The migrations that are applied now; `None` without a command, or when they cannot be read.
async fn list_migrations(session: &Session, command: Option<&String>) -> Option<Vec<String>> {
    applied_migrations(session, command?, &session.plan().cwd).await
}

/// 0 when all passed, 1 when one failed, 3 when none failed but one is inconclusive, or when there is none.
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
