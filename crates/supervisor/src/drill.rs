//! A drill: a rollback and the return on purpose, both timed and verified, with the outage that users saw.
//! Runs inside the supervisor of its run.

use std::time::Instant;

use domain::check::Check;
use domain::evidence::{Finding, Outcome as Found};
use domain::time::human_span;

use super::rollback_proof::{go_back, prove};
use super::work::{CheckFinding, DrillResult, Findings, outcome};
use checks::{OutageWatch, ProbeWork, drilled};
use orchestrator::{RollbackResult, RollbackWork};
use runner::{Exit, Outcome, Session};

/// Executes a drill. Whatever happens during the rollback, what ran before is restored.
pub(crate) async fn drill(
    session: &Session,
    away: &RollbackWork,
    back: &RollbackWork,
    smoke: &[ProbeWork],
    records: &[Check],
) -> Outcome {
    let watch = OutageWatch::begin(session, smoke);
    let mut result = DrillResult::default();
    session.say(&format!("— Rolling back to {}", away.target.release_tag));
    let began = Instant::now();
    let gone = go_back(session, away).await;
    let (mut exit, there, _) = prove(session, gone, smoke).await;
    result.away_ms = elapsed_ms(began);
    let touched = there.as_ref().is_none_or(|r| r.ok || r.phase.touches_services());
    let proved = there.as_ref().is_some_and(|r| r.ok);
    result.away = there;
    let mut checks = vec![];
    if touched {
        session.say(&format!("— Returning to {}", back.target.release_tag));
        let began = Instant::now();
        let gone = go_back(session, back).await;
        let (back_exit, here, found) = prove(session, gone, smoke).await;
        result.back_ms = elapsed_ms(began);
        result.ok = proved && here.as_ref().is_some_and(|r| r.ok);
        if !here.as_ref().is_some_and(|r| r.ok) || exit.is_success() {
            exit = back_exit;
        }
        checks = found;
        result.back = here;
    }
    let outages = watch.end().await;
    result.message = message(&result, away, back);
    session.say(&result.message);
    if result.ok {
        checks.extend(records.iter().map(|check| CheckFinding::of(check, drilled(check, result.away_ms))));
    } else if exit.is_success() {
        exit = Exit::Code(1);
    }
    for finding in checks.iter().filter(|c| c.finding.outcome != Found::Pass) {
        let Finding { saw, .. } = &finding.finding;
        session.say(&format!("{}: {saw}", finding.check));
    }
    outcome(exit, &Findings { checks, drill: Some(result), outages, ..Default::default() })
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn message(result: &DrillResult, away: &RollbackWork, back: &RollbackWork) -> String {
    let said = |r: &Option<RollbackResult>| r.as_ref().map(|r| r.message.clone()).unwrap_or_default();
    let (there, here) = (&away.target.release_tag, &back.target.release_tag);
    if result.ok {
        return format!(
            "Drill complete: {there} was verified after {}, and {here} again after {}.",
            human_span(result.away_ms),
            human_span(result.back_ms)
        );
    }
    match &result.back {
        None => format!("The drill did not start. {}", said(&result.away)),
        Some(back) if back.ok => {
            format!(
                "The drill failed during the rollback to {there}; {here} is running again. {}",
                said(&result.away)
            )
        }
        Some(_) => {
            format!("The drill could not return to {here}. Roll back to {here} now. {}", said(&result.back))
        }
    }
}
