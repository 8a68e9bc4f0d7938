//! An alert made on purpose: does it reach Alertmanager and the right receiver, and does it clear.

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

/// How often it is looked whether something has happened.
const EVERY: Duration = Duration::from_millis(500);
/// How long an alert may take when the check names nothing, milliseconds.
const USUAL_MS: u64 = 60_000;
/// How long the clearing command may take.
const CLEAR: Duration = Duration::from_secs(60);
/// The label by which a test alert is known again.
const MARK: &str = "stagegate_test";

pub(super) async fn probe(probe: &Probe<'_>, prometheus: &Api, spec: &PrometheusSpec) -> Finding {
    let wanted = "an alert that reaches Alertmanager and clears";
    let Some(address) = &spec.alertmanager else {
        return unknown(wanted, "the check names no Alertmanager", "Give the check `alertmanager`.");
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
                    let saw = "it fires already, so nothing would be shown by making it fire";
                    return unknown(
                        wanted,
                        saw,
                        "Wait until it has cleared, or name an alert made for this.",
                    );
                }
                Err(none) => return none.finding(wanted),
            }
            let seen = fired(probe, prometheus, &manager, spec, fire).await;
            // Whatever was seen, what was begun is ended.
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
    probe.say(&format!("Makes {name} fire: {fire}"));
    let mut cmd = Cmd::bash(fire);
    cmd.cwd = Some(probe.work.project.dir.clone());
    cmd.timeout = Some(within);
    let exit = probe.session.exec(cmd).await;
    if !exit.is_success() {
        let saw = format!("the command that makes it fire ended with {exit}");
        return Ok(Reached::No(unknown(wanted, saw, "Correct `fire`; see the run's log.")));
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
                Some(saw) => Reached::No(failed(wanted, saw, "Correct Alertmanager's route.")),
                None => {
                    Reached::Yes(passed(wanted, format!("it fired and reached {}", receivers.join(", "))))
                }
            });
        }
        if tokio::time::Instant::now() >= deadline || probe.session.cancelled().is_cancelled() {
            let saw = if firing {
                "it fires in Prometheus and did not reach Alertmanager"
            } else {
                "it did not fire"
            };
            let next = if firing {
                "Look at `alerting` in Prometheus's configuration, and at Alertmanager's log."
            } else {
                "Look at the rule's expression, and give `within` more time than its `for`."
            };
            return Ok(Reached::No(failed(wanted, saw, next)));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether the alert fires already. One that an earlier look made may not have cleared yet: it is given as long to
/// clear as it would have to arrive.
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

/// Ends what `fire` began; a finding when that did not work.
async fn cleared(probe: &Probe<'_>, spec: &PrometheusSpec) -> Option<Finding> {
    let clear = spec.clear.as_ref()?;
    probe.say(&format!("Ends it: {clear}"));
    let mut cmd = Cmd::bash(clear);
    cmd.cwd = Some(probe.work.project.dir.clone());
    cmd.timeout = Some(CLEAR);
    cmd.shielded = true;
    let exit = probe.session.exec(cmd).await;
    (!exit.is_success()).then(|| {
        let saw = format!("the command that ends the alert ended with {exit}: it may still fire");
        failed("the alert cleared", saw, "End it by hand, and correct `clear`.")
    })
}

/// Waits until a fired alert is gone again.
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
            let saw = "it fired and reached Alertmanager, and did not clear";
            return Ok(failed(
                "the alert cleared",
                saw,
                "Look what keeps it firing, and at Alertmanager's resolve_timeout.",
            ));
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(Finding { saw: format!("{}, and cleared", good.saw), ..good })
}

/// Hands a test alert to Alertmanager: shows the way from there on.
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
            "annotations": { "summary": "A test of the way that alerts take; nothing is wrong." },
            "startsAt": now(0),
            "endsAt": ends,
        }])
    };
    probe.say(&format!("Hands a test alert {name} to Alertmanager at {}.", manager.place()));
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
    // Resolved in any case; it would end by itself in five minutes.
    let mut ended = begun.clone();
    if let Some(end) = ended.pointer_mut("/0/endsAt") {
        *end = Value::String(now(0));
    }
    manager.post("api/v2/alerts", &ended).await?;
    let Some(receivers) = seen else {
        return Ok(failed(
            wanted,
            "Alertmanager took it and does not show it as active",
            "Look for a silence or an inhibition, and at its log.",
        ));
    };
    if let Some(saw) = wrong_receiver(spec, &receivers) {
        return Ok(failed(wanted, saw, "Correct Alertmanager's route."));
    }
    while active(manager, &filter, MARK, &mark).await?.is_some() {
        if tokio::time::Instant::now() >= deadline {
            return Ok(failed(wanted, "it was resolved and stays active", "Look at Alertmanager's log."));
        }
        tokio::time::sleep(EVERY).await;
    }
    let saw = format!(
        "handed to Alertmanager, routed to {}, cleared; Prometheus had no part in it",
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
        .then(|| format!("it is routed to {}, not to {wanted}", receivers.join(", ")))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
