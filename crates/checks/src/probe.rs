//! Runs one check inside the supervisor of its run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use domain::check::{Check, CheckSpec, DatabaseAssert};
use domain::evidence::{Finding, Outcome};
use domain::time::human_span;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::finding::unknown;
use super::template::Names;
use super::{
    command, compose, database, drill, env_file, file, git, grafana, http, logs, port, prometheus, tls,
};
use orchestrator::Orchestrator;
use runner::Session;
use secrets::EnvSource;

/// Pause before another attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// Everything that a check needs in addition to the run that it belongs to. Contains no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeWork {
    /// The check as declared.
    pub check: Check,
    /// The stack.
    #[serde(rename = "project")]
    pub stack: Orchestrator,
    /// The declared URLs by name; they may contain `${KEY:-default}` of the env file.
    #[serde(default)]
    pub urls: BTreeMap<String, String>,
    /// For a command check: the text of its step, or of its `run`.
    #[serde(default)]
    pub command: Option<String>,
    /// The example env file, absolute or relative to the stack's directory.
    #[serde(default)]
    pub env_example: Option<PathBuf>,
    /// Image IDs by service of the rollback targets, newest first.
    #[serde(default)]
    pub rollback_images: Vec<BTreeMap<String, String>>,
}

impl ProbeWork {
    /// The declared env source, with an absolute path.
    pub(super) fn env_source(&self) -> Option<EnvSource> {
        self.stack.env_source()
    }

    /// The example env file, which is read like a source.
    pub(super) fn example(&self) -> Option<EnvSource> {
        EnvSource::declared(self.stack.dir(), self.env_example.as_deref())
    }
}

/// One attempt at a check.
pub(super) struct Probe<'a> {
    pub(super) session: &'a Session,
    pub(super) work: &'a ProbeWork,
    pub(super) names: Names,
    /// From 1.
    pub(super) attempt: u32,
    deadline: Instant,
}

impl Probe<'_> {
    /// Time left until the check times out.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub(super) fn say(&self, text: &str) {
        self.session.say(text);
    }
}

/// Runs a check and writes to the run's log what it did, the actual and the expected value.
///
/// Never fails: what could not be evaluated is Inconclusive. No text of the finding contains a value of the
/// env file that counts as secret.
pub async fn probe(session: &Session, work: &ProbeWork) -> Finding {
    let check = &work.check;
    session.say(&format!("Check “{}” ({}).", check.title, check.spec.kind()));
    let deadline = Instant::now() + Duration::from_millis(check.timeout_ms);
    // The checks that call Compose name this file; without it, Compose itself says what is missing.
    let _env_file = work.stack.env_file().await.ok();
    let attempts = check.retries.saturating_add(1);
    let mut attempt = 1;
    let found = loop {
        let one = Probe {
            session,
            work,
            names: Names::new(&work.urls, (*session.env()).clone()),
            attempt,
            deadline,
        };
        let mut found = one_attempt(&one).await;
        let pause = PAUSE.min(one.left());
        let stopped = session.cancelled().is_cancelled();
        if found.outcome == Outcome::Pass || attempt >= attempts || stopped || pause < PAUSE {
            if attempts > 1 && attempt > 1 {
                found.saw = format!("{} (attempt {attempt} of {attempts})", found.saw);
            }
            break found;
        }
        session.say(&format!("Attempt {attempt} of {attempts}: {}. Trying again.", found.saw));
        tokio::time::sleep(pause).await;
        attempt += 1;
    };
    let found = masked(session, found);
    session.say(&format!("Actual: {}.", found.saw.trim_end_matches('.')));
    session.say(&format!("Expected: {}.", found.wanted.trim_end_matches('.')));
    session.say(match found.outcome {
        Outcome::Pass => "Outcome: Passed.",
        Outcome::Fail => "Outcome: Failed.",
        Outcome::Inconclusive => "Outcome: Inconclusive.",
    });
    found
}

async fn one_attempt(probe: &Probe<'_>) -> Finding {
    let stop = probe.session.cancelled();
    // Commands end at the deadline together with their child processes; a restore test drops its
    // database afterwards.
    let ends_itself = match &probe.work.check.spec {
        CheckSpec::Command { .. } => true,
        CheckSpec::Database(spec) => spec.assert == DatabaseAssert::Restore,
        // The alert that it triggered must be cleared again.
        CheckSpec::Prometheus(spec) => spec.fire.is_some(),
        CheckSpec::Http { .. }
        | CheckSpec::Compose { .. }
        | CheckSpec::EnvFile { .. }
        | CheckSpec::File { .. }
        | CheckSpec::Git { .. }
        | CheckSpec::Port { .. }
        | CheckSpec::Drill {}
        | CheckSpec::Tls(_)
        | CheckSpec::Grafana(_)
        | CheckSpec::Logs(_) => false,
    };
    let patience = if ends_itself { probe.left() + Duration::from_secs(30) } else { probe.left() };
    let looked = async {
        match &probe.work.check.spec {
            CheckSpec::Command { .. } => command::probe(probe).await,
            CheckSpec::Http { .. } => http::probe(probe).await,
            CheckSpec::Compose { .. } => compose::probe(probe).await,
            CheckSpec::EnvFile { .. } => env_file::probe(probe).await,
            CheckSpec::File { .. } => file::probe(probe),
            CheckSpec::Git { .. } => git::probe(probe).await,
            CheckSpec::Port { .. } => port::probe(probe).await,
            CheckSpec::Drill {} => drill::probe(),
            CheckSpec::Tls(_) => tls::probe(probe).await,
            CheckSpec::Prometheus(spec) => prometheus::probe(probe, spec).await,
            CheckSpec::Grafana(spec) => grafana::probe(probe, spec).await,
            CheckSpec::Logs(spec) => logs::probe(probe, spec).await,
            CheckSpec::Database(spec) => database::probe(probe, spec).await,
        }
    };
    tokio::select! {
        found = tokio::time::timeout(patience, looked) => found.unwrap_or_else(|_| {
            let took = human_span(probe.work.check.timeout_ms);
            unknown(
                "a result in time",
                format!("the check did not finish within {took}"),
                "Find out what the check waits for, or give it a longer timeout.",
            )
        }),
        // These checks detect the cancellation and clean up; they must not be dropped halfway.
        () = stop.cancelled(), if !ends_itself => unknown("a result", "the check was stopped", "Run the check again."),
    }
}

fn masked(session: &Session, found: Finding) -> Finding {
    Finding {
        saw: session.redact(&found.saw),
        wanted: session.redact(&found.wanted),
        next: session.redact(&found.next),
        ..found
    }
}
