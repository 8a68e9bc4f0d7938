//! The common part of deploy and rollback: journalled phases with progress, replacing containers (`replacing.rs`), what
//! is reported of services.

mod replacing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::observed::{Health, Service};
use domain::time::human_span;
use futures::future::join_all;

use super::docker::{Address, Docker, LONG_TIMEOUT};
use super::images;
use super::observe::{container_logs, list_containers, service_logs, services};
use crate::container::Container;
use crate::error::{OrchestratorError, Result};
use crate::journal::{Journal, JournalKind, read_journal};
use crate::progress::{DeployPhase, FailingService, Progress};
use crate::rendered::Rendered;
use crate::stack_files::StackFiles;
use crate::undo::{Undo, UndoStack};
use runner::{Exit, Session};
use system::clock::now;

pub(super) use self::replacing::Creation;

/// Log lines of a failing service that are reported.
const LAST_LINES: usize = 20;
/// Time limit for collecting the logs.
const LOGS_TIMEOUT: Duration = Duration::from_secs(1);
/// Why the action stopped. The text is for people.
#[derive(Debug)]
pub(super) struct Stop(pub(super) String);

impl From<OrchestratorError> for Stop {
    fn from(error: OrchestratorError) -> Self {
        let text = error.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        Self(format!("{first}{}.", letters.as_str()))
    }
}

/// A deploy or rollback in progress.
pub(super) struct Rollout<'a> {
    pub(super) session: &'a Session,
    /// The declared stack.
    pub(super) files: &'a StackFiles,
    pub(super) journal: Journal,
    path: PathBuf,
    began: Instant,
    services: Vec<Service>,
    /// The command and directory with which Compose created the containers.
    created_with: Option<(Vec<String>, PathBuf)>,
    /// The journal of an earlier run whose changes have not been undone yet.
    left: Option<Journal>,
    /// The journal file belongs to this run.
    has_journal: bool,
    /// The changes to undo if no service turns out to have been changed.
    given_up: UndoStack,
    /// The services that failed while they were waited for.
    seen_failing: BTreeSet<String>,
}

impl<'a> Rollout<'a> {
    pub(super) fn new(
        session: &'a Session,
        files: &'a StackFiles,
        kind: JournalKind,
        snapshot_dir: &Path,
        release_tag: &str,
    ) -> Self {
        let mut journal = Journal {
            kind,
            run: session.plan().id.clone(),
            project: String::new(),
            release_tag: release_tag.to_owned(),
            phase: DeployPhase::Preflight,
            at: now(),
            images: BTreeMap::new(),
            moved_names: BTreeMap::new(),
            undo: UndoStack::default(),
            ended: false,
        };
        let path = Journal::path(snapshot_dir);
        let left = read_journal(&path).ok().flatten().filter(|left| !left.undo.is_empty());
        if let Some(left) = &left {
            journal.undo.clone_from(&left.undo);
        }
        let (began, given_up) = (Instant::now(), UndoStack::default());
        let (services, created_with, has_journal, seen_failing) = (Vec::new(), None, false, BTreeSet::new());
        Self {
            session,
            files,
            journal,
            path,
            began,
            services,
            created_with,
            left,
            has_journal,
            given_up,
            seen_failing,
        }
    }

    pub(super) fn phase(&self) -> DeployPhase {
        self.journal.phase
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The preflight changes nothing, so it is shown and not journalled. The time is measured from here.
    pub(super) fn begin_preflight(&mut self) {
        self.began = Instant::now();
        self.session.say("Running preflight checks.");
        self.publish();
    }

    /// Begins a phase. Fails if it cannot be journalled, or if a stop was requested.
    pub(super) fn enter(&mut self, phase: DeployPhase) -> Result<(), Stop> {
        if let Some(exit) = self.session.stopped()
            && phase <= DeployPhase::Starting
        {
            return Err(Stop(format!("Not completed ({exit}). The running services were not changed.")));
        }
        if self.journal.phase == DeployPhase::Preflight {
            self.refuse_if_overtaken()?;
        }
        self.journal.phase = phase;
        self.journal.at = now();
        self.write_journal()?;
        let label = phase.label();
        let title: String =
            label.chars().take(1).flat_map(char::to_uppercase).chain(label.chars().skip(1)).collect();
        self.session.say(&format!("{title} (after {}).", human_span(self.elapsed_ms())));
        self.publish();
        Ok(())
    }

    /// Records how the next change is undone, before it is made.
    pub(super) fn will_change(&mut self, undo: impl IntoIterator<Item = Undo>) -> Result<(), Stop> {
        undo.into_iter().for_each(|undo| self.journal.undo.push(undo));
        self.write_journal()
    }

    /// Replaces everything that this run recorded with [`Self::will_change`] by the actual changes.
    pub(super) fn has_changed(&mut self, undo: impl IntoIterator<Item = Undo>) -> Result<(), Stop> {
        self.journal.undo = self.left.as_ref().map(|left| left.undo.clone()).unwrap_or_default();
        self.will_change(undo)
    }

    fn write_journal(&mut self) -> Result<(), Stop> {
        self.journal.write(&self.path)?;
        self.has_journal = true;
        Ok(())
    }

    /// From here on services are changed and nothing is undone. Written before the first service is changed.
    pub(super) fn begin_touching(&mut self) -> Result<(), Stop> {
        let undo = std::mem::take(&mut self.journal.undo);
        if undo.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.journal.write(&self.path) {
            self.journal.undo = undo;
            return Err(error.into());
        }
        self.given_up = undo;
        Ok(())
    }

    /// If all containers are still those of `before`, the changes can be undone after all.
    pub(super) async fn untouched(&mut self, docker: &Docker, project: &str, before: &[Container]) {
        let seen = |all: &[Container]| -> BTreeSet<(String, bool)> {
            all.iter().map(|one| (one.id.clone(), one.is_running())).collect()
        };
        if list_containers(docker, project).await.is_ok_and(|now| seen(&now) == seen(before)) {
            self.journal.undo = std::mem::take(&mut self.given_up);
        }
    }

    /// Undoes what was changed before any service was changed. Returns what to add to the message for people.
    pub(super) async fn take_back(&mut self) -> String {
        if self.journal.undo.is_empty() {
            return String::new();
        }
        // A cancelled run must not be abandoned during this.
        let _busy = self.session.activate();
        let taken = self.journal.undo.take_back(&Address::of(self.files)).await;
        for said in taken.done.iter().chain(&taken.failed) {
            self.session.say(said);
        }
        if let Some(left) = self.left.as_mut().filter(|_| !self.has_journal) {
            left.undo.clone_from(&self.journal.undo);
            if let Err(error) = left.write(&self.path) {
                self.session
                    .say(&format!("The restored changes could not be recorded in the journal: {error}."));
            }
        }
        match (taken.done.is_empty(), taken.failed.is_empty()) {
            (true, true) => String::new(),
            // The steps before a deploy may have written the env file; that is not undone.
            (false, true) if self.journal.kind == JournalKind::Deploy => {
                " Image names were restored.".to_owned()
            }
            (false, true) => " Image names and env file were restored.".to_owned(),
            (_, false) => format!(
                " Not all changes could be undone: {} The next deploy or rollback tries again.",
                taken.failed.join(" ")
            ),
        }
    }

    /// The run's number is its fencing token: the store gives each a higher one. The journal names the last run that
    /// changed anything; a run that was delayed and finds a later one there must not act on outdated facts.
    fn overtaken(&self) -> Option<u64> {
        let last = read_journal(&self.path).ok()??.run.parse::<u64>().ok()?;
        (last > self.journal.run.parse::<u64>().ok()?).then_some(last)
    }

    /// Fails when a later run has changed the stack.
    pub(super) fn refuse_if_overtaken(&mut self) -> Result<(), Stop> {
        let Some(later) = self.overtaken() else { return Ok(()) };
        self.has_journal = false;
        Err(Stop(format!("Run {later} started later and has changed the stack since. Nothing was changed.")))
    }

    /// Shows the state of the services.
    pub(super) fn show(&mut self, services: Vec<Service>) {
        for service in &services {
            let before = self.services.iter().find(|one| one.name == service.name);
            if self.phase().touches_services() && before.is_none_or(|one| one.health != service.health) {
                self.session.say(&format!("{}: {}.", service.name, service.health.label()));
            }
        }
        self.services = services;
        self.publish();
    }

    fn publish(&self) {
        self.session.progress(Progress {
            phase: self.phase(),
            at: now(),
            elapsed_ms: self.elapsed_ms(),
            services: self.services.clone(),
        });
    }

    /// Shows the end and records it in the journal.
    pub(super) fn finish(&mut self, ok: bool) {
        if ok {
            self.journal.phase = DeployPhase::Done;
        }
        self.publish();
        self.close();
    }

    /// Marks the journal as ended. A journal that this run has not written stays unchanged.
    pub(super) fn close(&mut self) {
        if !self.has_journal {
            return;
        }
        self.journal.ended = true;
        self.journal.at = now();
        if let Err(error) = self.journal.write(&self.path) {
            self.session.say(&format!("The end could not be recorded in the journal: {error}."));
        }
    }

    /// Connects to the Docker engine.
    pub(super) async fn engine(&self) -> Result<Docker, Stop> {
        Ok(Docker::connect_within(&Address::of(self.files), LONG_TIMEOUT, LONG_TIMEOUT).await?)
    }

    /// The last log lines of every service of `found`. A slow engine does not delay what follows.
    pub(super) async fn collect_logs(&self, docker: &Docker, found: &[Container]) -> Vec<FailingService> {
        let all = join_all(found.iter().map(|one| async move {
            let lines = container_logs(docker, &one.id, LAST_LINES, |text| self.session.redact(text)).await;
            FailingService {
                name: one.service.clone(),
                health: one.health,
                exit_code: one.exit_code,
                last_lines: lines.unwrap_or_default(),
                health_output: self.session.redact(&one.health_output),
            }
        }));
        tokio::time::timeout(LOGS_TIMEOUT, all).await.unwrap_or_default()
    }

    /// The state of all services, and the last log lines of those that are not healthy.
    pub(super) async fn state(
        &self,
        docker: &Docker,
        rendered: &Rendered,
    ) -> Result<(Vec<Service>, Vec<FailingService>)> {
        let found = list_containers(docker, &rendered.name).await?;
        let all = services(rendered, &found);
        let mut failing = Vec::new();
        for (service, health) in failing_now(&all, &self.seen_failing) {
            let worst = found
                .iter()
                .find(|one| one.id.starts_with(&service.container) && !service.container.is_empty());
            let redact = |text: &str| self.session.redact(text);
            let last_lines = service_logs(docker, &rendered.name, &service.name, LAST_LINES, redact).await;
            failing.push(FailingService {
                name: service.name.clone(),
                health,
                exit_code: worst.and_then(|one| one.exit_code),
                last_lines: last_lines.unwrap_or_default(),
                health_output: worst.map(|one| self.session.redact(&one.health_output)).unwrap_or_default(),
            });
        }
        Ok((all, failing))
    }

    /// Writes the last log lines of failing services to the log.
    pub(super) fn report(&self, failing: &[FailingService]) {
        for service in failing {
            let code = service.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
            self.session.say(&format!(
                "{} is {}{code}. Last log lines:",
                service.name,
                service.health.label()
            ));
            for line in &service.last_lines {
                self.session.say(&format!("  {line}"));
            }
            if !service.health_output.is_empty() {
                self.session.say(&format!("  (health check) {}", service.health_output));
            }
        }
    }

    /// How the run ends.
    pub(super) fn exit(&self, ok: bool, message: &str) -> Exit {
        match self.session.stopped() {
            _ if ok => Exit::Code(0),
            Some(why) => why,
            None if self.phase() == DeployPhase::Preflight => Exit::NotStarted(message.to_owned()),
            None => Exit::Code(1),
        }
    }
}

/// The services that are not healthy, each with its health. A service without a health check that was `seen` to fail
/// and runs now is in a restart loop: it runs for a moment each time.
fn failing_now<'a>(all: &'a [Service], seen: &BTreeSet<String>) -> Vec<(&'a Service, Health)> {
    let health = |service: &Service| match service.health {
        Health::Running if seen.contains(&service.name) => Health::Restarting,
        health => health,
    };
    all.iter().map(|service| (service, health(service))).filter(|(_, health)| !health.is_good()).collect()
}

/// "1 service is", "2 services are".
pub(super) fn services_are(n: usize) -> String {
    if n == 1 { "1 service is".to_owned() } else { format!("{n} services are") }
}

/// The image IDs of the service's containers, each different one once.
pub(super) fn running_ids(found: &[Container], service: &str) -> Vec<String> {
    let mut ids: Vec<_> =
        found.iter().filter(|one| one.service == service).map(|one| one.image.clone()).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// The services whose image is missing.
pub(super) async fn missing_images(docker: &Docker, ids: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let missing = images::missing_images(docker, ids.values()).await?;
    Ok(ids.iter().filter(|(_, id)| missing.contains(id)).map(|(service, _)| service.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_in_a_restart_loop_is_failing_even_while_it_runs() {
        let service = |name: &str, health| Service {
            name: name.to_owned(),
            health,
            image: String::new(),
            tag: String::new(),
            restarts: 3,
            started_at: None,
            ports: vec![],
            container: String::new(),
        };
        let all = [
            service("loop", Health::Running),
            service("other", Health::Running),
            service("late", Health::Healthy),
            service("down", Health::Exited),
        ];
        let seen = BTreeSet::from(["loop".to_owned(), "late".to_owned()]);
        let failing: Vec<_> =
            failing_now(&all, &seen).into_iter().map(|(one, health)| (one.name.as_str(), health)).collect();
        assert_eq!(failing, [("loop", Health::Restarting), ("down", Health::Exited)]);
    }
}
