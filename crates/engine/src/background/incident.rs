//! Opening an incident when a real rollback is over: the facts are gathered from the store in the transaction
//! that records its end, so that they are the facts of that moment.

use domain::evidence::Outcome;
use domain::incident::{Diff, Incident, LastWords, Moment, Report};
use domain::release::Release;
use domain::time::Millis;
use store::Connection;

use orchestrator::compose::{DeployResult, FailingService, RollbackResult};
use store::releases::{self, What};
use store::runs::{self, Run};
use store::{self, StoreError};
use supervisor::Findings;

/// Opens the incident of the rollback `run`, unless it ended before anything was touched. `from` is what ran
/// until then.
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
    // A deploy that failed made no release of its images, and yet they ran.
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

/// The run that deployed a release last.
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
                What::RollbackPoint => "became a rollback point",
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
        Some(_) => format!("go back to {target}"),
        None => format!("take {target} down and start it anew"),
    };
    note(run.started_at, format!("{} decided to {what}", run.by_name));
    note(
        at,
        if rollback.ok {
            format!("Release {target} runs again, healthy, proved by its image IDs and its smoke checks")
        } else {
            "The rollback ended and is not complete".to_owned()
        },
    );
    moments.sort_by_key(|m| m.at);
    Ok(moments)
}

/// The first check that did not pass on a release after it was deployed (or, when it never was, after it was
/// opened).
async fn first_failure(tx: &mut Connection, from: &Release) -> Result<Option<(Millis, String)>, StoreError> {
    let since = from.deployed_at.unwrap_or(from.opened_at);
    let first = store::evidence::first_not_passed(&mut *tx, from.id, since).await?;
    Ok(first.map(|e| {
        let word = match e.finding.outcome {
            Outcome::Fail => "failed",
            _ => "could not tell",
        };
        (e.at, format!("First check that did not pass: “{}” {word}: {}", e.check, e.finding.saw))
    }))
}

fn deploy_result(run: &Run) -> Option<DeployResult> {
    serde_json::from_value::<Findings>(run.result.clone()?).ok()?.deploy
}

/// The services that were not well: as the failed deploy left them, and as the rollback found them.
fn failing(deploy: Option<&DeployResult>, rollback: &RollbackResult) -> Vec<LastWords> {
    let of_deploy = deploy.map(|deploy| deploy.failing.as_slice()).unwrap_or_default();
    let ill = rollback.heard.iter().filter(|service| !service.health.is_good());
    let mut all: Vec<&FailingService> = of_deploy.iter().chain(&rollback.failing).collect();
    for service in ill {
        if all.iter().all(|other| other.name != service.name) {
            all.push(service);
        }
    }
    all.into_iter().map(last_words).collect()
}

/// All that were heard and were well, so that what they knew of the trouble is not lost with them.
fn others(rollback: &RollbackResult) -> Vec<LastWords> {
    let well = |service: &&FailingService| service.health.is_good() && !service.last_lines.is_empty();
    rollback.heard.iter().filter(well).map(last_words).collect()
}

fn last_words(service: &FailingService) -> LastWords {
    let mut lines = service.last_lines.clone();
    if !service.check_said.is_empty() {
        lines.push(format!("health check: {}", service.check_said));
    }
    LastWords { service: service.name.clone(), health: service.health.label().to_owned(), lines }
}
