//! A test alert: does it reach Alertmanager and the right receiver, and does it clear?

use std::time::Duration;

use domain::check::PrometheusSpec;
use domain::evidence::Finding;
use domain::time::{Millis, human_span};
use serde_json::{Value, json};

use super::finding::{failed, passed, unknown};
use super::json_api::{Api, NoJson};
use super::probe::Probe;
use super::prometheus::span_or;
use runner::Cmd;
use system::clock::now_ms;

/// Time between two reads of the alerts.
const EVERY: Duration = Duration::from_millis(500);
/// How long an alert may take by default, milliseconds.
const USUAL_MS: u64 = 60_000;
/// How long the clearing command may take.
const CLEAR: Duration = Duration::from_secs(60);
/// The label that identifies a test alert.
const MARK: &str = "stagegate_test";

pub(super) async fn probe(probe: &Probe<'_>, prometheus: &Api, spec: &PrometheusSpec) -> Finding {
    let wanted = "an alert that reaches Alertmanager and clears";
    let Some(address) = &spec.alertmanager else {
        return unknown(wanted, "the check names no Alertmanager", "Set `alertmanager` in the check.");
    };
    let manager = match Api::new(probe, "Alertmanager", address, None) {
        Ok(api) => api,
        Err(none) => return none.finding(wanted),
    };
    let seen = match &spec.fire {
        Some(fire) => {
            match still_fires(probe, prometheus, spec).await {
                Ok(false) => {}
                Ok(true) => {
                    let saw = "the alert is already firing, so a test would prove nothing";
                    return unknown(
                        wanted,
                        saw,
                        "Wait until the alert has cleared, or use a separate test alert.",
                    );
                }
                Err(none) => return none.finding(wanted),
            }
            let seen = fired(probe, prometheus, &manager, spec, fire).await;
            // The alert is cleared whatever the result.
            match cleared(probe, spec).await {
                Some(bad) => Ok(bad),
                None => match seen {
                    Ok(Reached::Yes(finding)) => gone(probe, &manager, spec, finding).await,
                    Ok(Reached::No(finding)) => Ok(finding),
                    Err(none) => Err(none),
                },
            }
        }
        None => synthetic(probe, &manager, spec).await,
    };
    seen.unwrap_or_else(|none| none.finding(wanted))
}

enum Reached {
    Yes(Finding),
    No(Finding),
}

fn patience(probe: &Probe<'_>, spec: &PrometheusSpec) -> Duration {
    Duration::from_millis(span_or(spec.within.as_deref(), USUAL_MS)).min(probe.left())
}

async fn fired(
    probe: &Probe<'_>,
    prometheus: &Api,
    manager: &Api,
    spec: &PrometheusSpec,
    fire: &str,
) -> Result<Reached, NoJson> {
    let name = spec.alert.as_deref().unwrap_or_default();
    let within = patience(probe, spec);
    let wanted = format!("alert {name} fires and reaches Alertmanager within {}", human_span(millis(within)));
    probe.say(&format!("Triggering alert {name}: {fire}"));
    let mut cmd = Cmd::bash(fire);
    cmd.cwd = Some(probe.work.stack.dir().to_owned());
    cmd.timeout = Some(within);
    let exit = probe.session.exec(cmd).await;
    if !exit.is_success() {
        let saw = format!("the command that triggers the alert failed ({exit})");
        return Ok(Reached::No(unknown(wanted, saw, "Correct `fire`. See the run's log for details.")));
    }
    let deadline = tokio::time::Instant::now() + within;
    let mut firing = false;
    loop {
        if !firing {
            firing = fires(prometheus, name).await?;
        }
        if firing
            && let Some(receivers) = active(manager, &format!("alertname={name}"), "alertname", name).await?
        {
            return Ok(match wrong_receiver(spec, &receivers) {
                Some(saw) => Reached::No(failed(wanted, saw, "Correct the route in Alertmanager.")),
                None => Reached::Yes(passed(
                    wanted,
                    format!("the alert fired and reached {}", receivers.join(", ")),
                )),
            });
        }
        if tokio::time::Instant::now() >= deadline || probe.session.cancelled().is_cancelled() {
            let saw = if firing {
                "the alert fires in Prometheus but did not reach Alertmanager"
            } else {
                "the alert did not fire"
            };
            let next = if firing {
                "Check `alerting` in the Prometheus configuration, and the log of Alertmanager."
            } else {
                "Check the expression of the rule, and set `within` to more than its `for`."
            };
            return Ok(Reached::No(failed(wanted, saw, next)));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether the alert is already firing. An alert of an earlier test may not have cleared yet: it may take half of
/// `within` to clear.
async fn still_fires(probe: &Probe<'_>, prometheus: &Api, spec: &PrometheusSpec) -> Result<bool, NoJson> {
    let name = spec.alert.as_deref().unwrap_or_default();
    let deadline = tokio::time::Instant::now() + patience(probe, spec) / 2;
    while fires(prometheus, name).await? {
        if tokio::time::Instant::now() >= deadline || probe.session.cancelled().is_cancelled() {
            return Ok(true);
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(false)
}

/// Whether an alert of this name fires in Prometheus.
async fn fires(prometheus: &Api, name: &str) -> Result<bool, NoJson> {
    let answer = prometheus.get("api/v1/alerts", &[]).await?;
    let mut alerts = answer.pointer("/data/alerts").and_then(Value::as_array).into_iter().flatten();
    Ok(alerts.any(|a| {
        a.pointer("/labels/alertname").and_then(Value::as_str) == Some(name)
            && a.get("state").and_then(Value::as_str) == Some("firing")
    }))
}

/// Clears the alert that `fire` triggered; a finding when that failed.
async fn cleared(probe: &Probe<'_>, spec: &PrometheusSpec) -> Option<Finding> {
    let clear = spec.clear.as_ref()?;
    probe.say(&format!("Clearing the alert: {clear}"));
    let mut cmd = Cmd::bash(clear);
    cmd.cwd = Some(probe.work.stack.dir().to_owned());
    cmd.timeout = Some(CLEAR);
    cmd.shielded = true;
    let exit = probe.session.exec(cmd).await;
    (!exit.is_success()).then(|| {
        let saw = format!("the command that clears the alert failed ({exit}); the alert may still fire");
        failed("the alert cleared", saw, "Clear the alert manually, and correct `clear`.")
    })
}

/// Waits until a fired alert has cleared.
async fn gone(
    probe: &Probe<'_>,
    manager: &Api,
    spec: &PrometheusSpec,
    good: Finding,
) -> Result<Finding, NoJson> {
    let name = spec.alert.as_deref().unwrap_or_default();
    let deadline = tokio::time::Instant::now() + patience(probe, spec);
    while active(manager, &format!("alertname={name}"), "alertname", name).await?.is_some() {
        if tokio::time::Instant::now() >= deadline || probe.session.cancelled().is_cancelled() {
            let saw = "the alert fired and reached Alertmanager, but did not clear";
            return Ok(failed(
                "the alert cleared",
                saw,
                "Find out why it still fires, and check resolve_timeout of Alertmanager.",
            ));
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(Finding { saw: format!("{}, and cleared", good.saw), ..good })
}

/// Sends a test alert to Alertmanager: tests the route from there to the receiver.
async fn synthetic(probe: &Probe<'_>, manager: &Api, spec: &PrometheusSpec) -> Result<Finding, NoJson> {
    let within = patience(probe, spec);
    let name = spec.alert.clone().unwrap_or_else(|| "StagegateTest".to_owned());
    let wanted =
        format!("a test alert is active in Alertmanager within {} and clears", human_span(millis(within)));
    let mark = format!("{}-{}", now_ms(), std::process::id());
    let now = |ahead: u64| Millis(i64::try_from(now_ms() + ahead).unwrap_or(i64::MAX)).rfc3339();
    let alert = |ends: String| {
        json!([{
            "labels": { "alertname": name, MARK: mark, "severity": "test" },
            "annotations": { "summary": "Test of the alert route by Stagegate. No action is needed." },
            "startsAt": now(0),
            "endsAt": ends,
        }])
    };
    probe.say(&format!("Sending test alert {name} to Alertmanager at {}.", manager.place()));
    let begun = alert(now(5 * 60_000));
    manager.post("api/v2/alerts", &begun).await?;
    let filter = format!("{MARK}={mark}");
    let deadline = tokio::time::Instant::now() + within;
    let mut seen = None;
    while seen.is_none()
        && tokio::time::Instant::now() < deadline
        && !probe.session.cancelled().is_cancelled()
    {
        seen = active(manager, &filter, MARK, &mark).await?;
        if seen.is_none() {
            tokio::time::sleep(EVERY).await;
        }
    }
    // Resolved in any case; otherwise it would end after five minutes.
    let mut ended = begun.clone();
    if let Some(end) = ended.pointer_mut("/0/endsAt") {
        *end = Value::String(now(0));
    }
    manager.post("api/v2/alerts", &ended).await?;
    let Some(receivers) = seen else {
        return Ok(failed(
            wanted,
            "Alertmanager accepted the alert but does not list it as active",
            "Check Alertmanager for a silence or an inhibition, and check its log.",
        ));
    };
    if let Some(saw) = wrong_receiver(spec, &receivers) {
        return Ok(failed(wanted, saw, "Correct the route in Alertmanager."));
    }
    while active(manager, &filter, MARK, &mark).await?.is_some() {
        if tokio::time::Instant::now() >= deadline {
            return Ok(failed(
                wanted,
                "the alert was resolved but is still active",
                "Check the log of Alertmanager.",
            ));
        }
        tokio::time::sleep(EVERY).await;
    }
    let saw = format!(
        "sent to Alertmanager, routed to {}, cleared; Prometheus was not tested",
        receivers.join(", ")
    );
    Ok(passed(wanted, saw))
}

/// The receivers of an active alert with this label; `None` when there is none.
async fn active(
    manager: &Api,
    filter: &str,
    label: &str,
    value: &str,
) -> Result<Option<Vec<String>>, NoJson> {
    let answer = manager.get("api/v2/alerts", &[("filter", filter), ("active", "true")]).await?;
    let found = answer.as_array().into_iter().flatten().find(|a| {
        a.pointer(&format!("/labels/{label}")).and_then(Value::as_str) == Some(value)
            && a.pointer("/status/state").and_then(Value::as_str) == Some("active")
    });
    Ok(found.map(|a| {
        let receivers = a.get("receivers").and_then(Value::as_array).into_iter().flatten();
        receivers.filter_map(|r| r.get("name")?.as_str().map(str::to_owned)).collect()
    }))
}

fn wrong_receiver(spec: &PrometheusSpec, receivers: &[String]) -> Option<String> {
    let wanted = spec.receiver.as_ref()?;
    (!receivers.contains(wanted))
        .then(|| format!("the alert is routed to {}, not to {wanted}", receivers.join(", ")))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
