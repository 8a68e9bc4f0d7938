//! Opens an incident after a real rollback. The facts are read from the store in the transaction that records the end
//! of the rollback, so they are the facts of that moment.

use domain::evidence::Outcome;
use domain::incident::{Diff, Incident, LastWords, Moment, Report};
use domain::release::Release;
use domain::time::Millis;
use store::Connection;

use orchestrator::{DeployResult, FailingService, RollbackResult};
use store::releases::{self, What};
use store::runs::{self, Run};
use store::{self, StoreError};
use supervisor::Findings;

/// Opens the incident of the rollback `run`, unless it ended before it changed anything. `from` is the release that ran
/// before.
pub(crate) async fn open(
    tx: &mut Connection,
    run: &Run,
    from: Option<&Release>,
    findings: &Findings,
    at: Millis,
) -> Result<(), StoreError> {
    let (Some(to), Some(rollback)) = (run.release, &findings.rollback) else { return Ok(()) };
    if !rollback.ok && !rollback.phase.touches_services() {
        return Ok(());
    }
    let mut from = from.filter(|r| r.id != to).cloned();
    let target = releases::by_id(&mut *tx, to).await?;
    let deploy = match &from {
        Some(from) => last_deploy(tx, from.id).await?,
        None => None,
    };
    let deployed = deploy.as_ref().and_then(deploy_result);
    // A failed deploy does not store its images with the release, although they ran.
    if let (Some(from), Some(deployed)) = (&mut from, &deployed)
        && from.parts.images.is_empty()
    {
        from.parts.images.clone_from(&deployed.images);
    }
    let from = from.as_ref();
    let incident = Incident {
        id: 0,
        run: run.id,
        from: from.map(|r| r.id),
        to,
        by: run.by,
        by_name: run.by_name.clone(),
        at,
        report: Report {
            complete: rollback.ok,
            message: rollback.message.clone(),
            timeline: timeline(tx, run, from, target.as_ref(), rollback, at).await?,
            others: others(rollback),
            failing: failing(deployed.as_ref(), rollback),
            outages: findings.outages.clone(),
            replaced_in_ms: rollback.outage_ms,
            diff: from.zip(target.as_ref()).map(|(from, to)| Diff::between(from, to)),
        },
    };
    store::incidents::add(tx, &incident).await.map(|_| ())
}

/// The last deploy of a release.
async fn last_deploy(tx: &mut Connection, release: i64) -> Result<Option<Run>, StoreError> {
    runs::last_deploy_of(&mut *tx, release).await
}

async fn timeline(
    tx: &mut Connection,
    run: &Run,
    from: Option<&Release>,
    to: Option<&Release>,
    rollback: &RollbackResult,
    at: Millis,
) -> Result<Vec<Moment>, StoreError> {
    let mut moments = Vec::new();
    let mut note = |at, what: String| moments.push(Moment { at, what });
    if let Some(from) = from {
        for event in releases::events(&mut *tx, from.id).await? {
            let what = match event.what {
                What::Deployed { .. } => "was deployed",
                What::Failed => "failed to deploy",
                What::RollbackPoint => "became a rollback target",
                What::Bad => "was marked bad",
                What::Opened | What::RolledBackFrom | What::RolledBackTo { .. } => continue,
            };
            note(event.at, format!("Release {} {what}, by {}", from.name(), event.by_name));
        }
        if let Some(first) = first_failure(tx, from).await? {
            note(first.0, first.1);
        }
    }
    let target = to.map_or_else(|| run.title.clone(), Release::name);
    let what = match from {
        Some(_) => format!("a rollback to {target}"),
        None => format!("a clean restart of {target}"),
    };
    note(run.started_at, format!("{} started {what}", run.by_name));
    note(
        at,
        if rollback.ok {
            format!("Release {target} is running and healthy again, verified by image IDs and smoke checks")
        } else {
            "The rollback ended but is not complete".to_owned()
        },
    );
    moments.sort_by_key(|m| m.at);
    Ok(moments)
}

/// The first check that did not pass for a release after it was deployed (or after it was opened, if it was never
/// deployed).
async fn first_failure(tx: &mut Connection, from: &Release) -> Result<Option<(Millis, String)>, StoreError> {
    let since = from.deployed_at.unwrap_or(from.opened_at);
    let first = store::evidence::first_not_passed(&mut *tx, from.id, since).await?;
    Ok(first.map(|e| {
        let word = match e.finding.outcome {
            Outcome::Fail => "failed",
            _ => "was inconclusive",
        };
        (e.at, format!("First check that did not pass: “{}” {word}: {}", e.check, e.finding.saw))
    }))
}

fn deploy_result(run: &Run) -> Option<DeployResult> {
    serde_json::from_value::<Findings>(run.result.clone()?).ok()?.deploy
}

/// The unhealthy services: after the failed deploy, and at the start of the rollback.
fn failing(deploy: Option<&DeployResult>, rollback: &RollbackResult) -> Vec<LastWords> {
    let of_deploy = deploy.map(|deploy| deploy.failing.as_slice()).unwrap_or_default();
    let unhealthy = rollback.last_logs.iter().filter(|service| !service.health.is_good());
    let mut all: Vec<&FailingService> = of_deploy.iter().chain(&rollback.failing).collect();
    for service in unhealthy {
        if all.iter().all(|other| other.name != service.name) {
            all.push(service);
        }
    }
    all.into_iter().map(last_words).collect()
}

/// The healthy services with log lines: their logs may contain the cause, and are lost with the containers.
fn others(rollback: &RollbackResult) -> Vec<LastWords> {
    let healthy = |service: &&FailingService| service.health.is_good() && !service.last_lines.is_empty();
    rollback.last_logs.iter().filter(healthy).map(last_words).collect()
}

fn last_words(service: &FailingService) -> LastWords {
    let mut lines = service.last_lines.clone();
    if !service.health_output.is_empty() {
        lines.push(format!("health check: {}", service.health_output));
    }
    LastWords { service: service.name.clone(), health: service.health.label().to_owned(), lines }
}
