//! A rollback, and the checks that verify it.

use domain::evidence::Outcome as Found;

use super::check_runner::run_all;
use super::work::CheckFinding;
use checks::ProbeWork;
use orchestrator::{RollbackResult, RollbackWork};
use runner::{Exit, Session};

/// Exit and result of a rollback.
pub(crate) type Gone = (Exit, Option<RollbackResult>);

pub(crate) async fn go_back(session: &Session, plan: &RollbackWork) -> Gone {
    let done = plan.execute(session).await;
    (done.exit, serde_json::from_value(done.result).ok())
}

/// Runs the smoke checks after a successful rollback; one that does not pass makes it incomplete.
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
                "Rollback incomplete: the target's images are running, but these smoke checks did not pass: {}",
                failed.join(", ")
            );
            session.say(&rollback.message);
            exit = Exit::Code(1);
        }
    }
    (exit, result, checks)
}
