//! What deploy and rollback have in common: phases that are journalled and shown, starting, waiting, proving.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};

use domain::observed::{Health, Service};
use domain::time::human_span;
use futures::future::join_all;

use super::clean_up::{clean_up, is_leftover};
use super::docker::{Address, Docker, LONG_TIMEOUT};
use super::early_stop::stop_early;
use super::error::{ComposeError, Result};
use super::images::images_present;
use super::journal::{Journal, JournalKind, read_journal};
use super::observe::{Instance, container_logs, instances, service_logs, services};
use super::probe::{Waited, wait_ready};
use super::progress::{DeployPhase, FailingService, Progress};
use super::render::Rendered;
use super::start::{Starter, start};
use super::undo::{Undo, UndoStack};
use runner::{Cmd, Exit, Session};
use system::clock::now;

/// Lines of a failing service that are handed on.
const LAST_LINES: usize = 20;
/// Taking everything down may take this long beside [`UP_TIMEOUT`]: services may have a long grace.
const DOWN_TIMEOUT: Duration = Duration::from_secs(600);
/// How often, and with what pause, it is looked for what has to be started again.
const AGAIN_PASSES: u32 = 8;
const AGAIN_EVERY: Duration = Duration::from_millis(500);
/// So often containers that the engine will not start are made again.
const WEDGED_TRIES: u32 = 2;
/// What gathering the logs may take.
const LOGS_TIMEOUT: Duration = Duration::from_secs(1);
/// Starting may wait for services that others depend on; this is what it may take beyond their health.
const UP_TIMEOUT: Duration = Duration::from_secs(120);

/// Why it went no further. The text is for people.
#[derive(Debug)]
pub(super) struct Stop(pub(super) String);

impl From<ComposeError> for Stop {
    fn from(error: ComposeError) -> Self {
        let text = error.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
        Self(format!("{first}{}.", letters.as_str()))
    }
}

/// What Compose is to make.
pub(super) struct Creation<'a> {
    /// The command.
    pub(super) argv: Vec<String>,
    /// Where it is run.
    pub(super) dir: &'a Path,
    /// How long services may take to become well.
    pub(super) health: Duration,
    /// Old containers that hold no data and get a short end.
    pub(super) short: Vec<Instance>,
}

/// A deploy or rollback at work.
pub(super) struct Rollout<'a> {
    pub(super) session: &'a Session,
    pub(super) journal: Journal,
    path: PathBuf,
    began: Instant,
    services: Vec<Service>,
    /// The words and the place in which Compose made what is to run.
    made: Option<(Vec<String>, PathBuf)>,
    /// The journal of a run that left something to take back.
    left: Option<Journal>,
    /// The journal file is this run's.
    has_journal: bool,
    /// What would have to be taken back if services turn out to be untouched after all.
    given_up: UndoStack,
    /// The services that were seen to fail while they were waited for.
    seen_failing: BTreeSet<String>,
}

impl<'a> Rollout<'a> {
    pub(super) fn new(session: &'a Session, kind: JournalKind, keep_dir: &Path, release_tag: &str) -> Self {
        let mut journal = Journal {
            kind,
            run: session.plan().id.clone(),
            project: String::new(),
            release_tag: release_tag.to_owned(),
            phase: DeployPhase::Preflight,
            at: now(),
            images: BTreeMap::new(),
            moved: BTreeMap::new(),
            undo: UndoStack::default(),
            ended: false,
        };
        let path = Journal::path(keep_dir);
        let left = read_journal(&path).ok().flatten().filter(|left| !left.undo.is_empty());
        if let Some(left) = &left {
            journal.undo.clone_from(&left.undo);
        }
        let (began, given_up) = (Instant::now(), UndoStack::default());
        let (services, made, has_journal, seen_failing) = (Vec::new(), None, false, BTreeSet::new());
        Self { session, journal, path, began, services, made, left, has_journal, given_up, seen_failing }
    }

    pub(super) fn phase(&self) -> DeployPhase {
        self.journal.phase
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Looking changes nothing, so it is shown and not journalled. The time is measured from here.
    pub(super) fn look(&mut self) {
        self.began = Instant::now();
        self.session.say("Checking first.");
        self.publish();
    }

    /// Begins a phase. What cannot be journalled does not happen, nor does anything after a wish to stop.
    pub(super) fn enter(&mut self, phase: DeployPhase) -> Result<(), Stop> {
        if let Some(exit) = self.session.stopped()
            && phase <= DeployPhase::Starting
        {
            return Err(Stop(format!("{exit}. What runs was not touched.")));
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

    /// Notes how what is changed next is taken back, before it is changed.
    pub(super) fn will_change(&mut self, undo: impl IntoIterator<Item = Undo>) -> Result<(), Stop> {
        undo.into_iter().for_each(|undo| self.journal.undo.push(undo));
        self.write_journal()
    }

    /// Replaces everything that this run noted with [`Self::will_change`] by what was really changed.
    pub(super) fn has_changed(&mut self, undo: impl IntoIterator<Item = Undo>) -> Result<(), Stop> {
        self.journal.undo = self.left.as_ref().map(|left| left.undo.clone()).unwrap_or_default();
        self.will_change(undo)
    }

    fn write_journal(&mut self) -> Result<(), Stop> {
        self.journal.write(&self.path)?;
        self.has_journal = true;
        Ok(())
    }

    /// From here on services are touched, and going on is the only way. Written before the first of them is.
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

    /// What was changed can be taken back all the same when no container is another one than `before`.
    pub(super) async fn untouched(&mut self, docker: &Docker, project: &str, before: &[Instance]) {
        let seen = |all: &[Instance]| -> BTreeSet<(String, bool)> {
            all.iter().map(|one| (one.id.clone(), one.up)).collect()
        };
        if instances(docker, project).await.is_ok_and(|now| seen(&now) == seen(before)) {
            self.journal.undo = std::mem::take(&mut self.given_up);
        }
    }

    /// Takes back what was changed before any service was touched. Returns what to add to the message for people.
    pub(super) async fn take_back(&mut self) -> String {
        if self.journal.undo.is_empty() {
            return String::new();
        }
        // A run that was cancelled is not given up meanwhile.
        let _busy = self.session.activate();
        let taken = self.journal.undo.take_back().await;
        for said in taken.done.iter().chain(&taken.failed) {
            self.session.say(said);
        }
        if let Some(left) = self.left.as_mut().filter(|_| !self.has_journal) {
            left.undo.clone_from(&self.journal.undo);
            if let Err(error) = left.write(&self.path) {
                self.session.say(&format!("What was changed back could not be noted: {error}."));
            }
        }
        match (taken.done.is_empty(), taken.failed.is_empty()) {
            (true, true) => String::new(),
            // The steps before a deploy may have written the env file, and that stays.
            (false, true) if self.journal.kind == JournalKind::Deploy => {
                " Image names are what they were before.".to_owned()
            }
            (false, true) => " Image names and env file are what they were before.".to_owned(),
            (_, false) => format!(
                " Not everything could be changed back: {} The next deploy or rollback tries it again.",
                taken.failed.join(" ")
            ),
        }
    }

    /// The run's number is its fencing token: the store gives each a higher one. The journal names the last that
    /// changed anything; a run that was held up, and finds a later one there, must not act on what it knew.
    fn overtaken(&self) -> Option<u64> {
        let last = read_journal(&self.path).ok()??.run.parse::<u64>().ok()?;
        (last > self.journal.run.parse::<u64>().ok()?).then_some(last)
    }

    /// Fails when a later run has had the stack.
    pub(super) fn refuse_if_overtaken(&mut self) -> Result<(), Stop> {
        let Some(later) = self.overtaken() else { return Ok(()) };
        self.has_journal = false;
        Err(Stop(format!("Run {later}, which began later, has had the stack since. Nothing was touched.")))
    }

    /// Shows how the services stand.
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

    /// Shows the end and notes it in the journal.
    pub(super) fn finish(&mut self, ok: bool) {
        if ok {
            self.journal.phase = DeployPhase::Done;
        }
        self.publish();
        self.close();
    }

    /// The journal says that it came to an end. A journal that was never begun stays as it was.
    pub(super) fn close(&mut self) {
        if !self.has_journal {
            return;
        }
        self.journal.ended = true;
        self.journal.at = now();
        if let Err(error) = self.journal.write(&self.path) {
            self.session.say(&format!("The end could not be noted: {error}."));
        }
    }

    /// Reaches the engine.
    pub(super) async fn engine(&self) -> Result<Docker, Stop> {
        Ok(Docker::connect_within(&Address::from_env(), LONG_TIMEOUT, LONG_TIMEOUT).await?)
    }

    /// The words for Compose that make what is to run; where more than starting is left to do, it starts it too.
    /// Everything is here by now, and asking a registry could only bring something else.
    pub(super) fn making(rendered: &Rendered) -> &'static [&'static str] {
        if rendered.plain_start {
            &["create", "--no-build", "--pull", "never"]
        } else {
            &["up", "-d", "--no-build", "--pull", "never"]
        }
    }

    /// Lets Compose make what is to run; what was stopped and could not be replaced is started again.
    pub(super) async fn make(
        &mut self,
        docker: &Docker,
        rendered: &Rendered,
        before: &[Instance],
        make: Creation<'_>,
    ) -> Result<(), Stop> {
        self.made = Some((make.argv.clone(), make.dir.to_owned()));
        let made = {
            let mut compose = pin!(self.compose(docker, &rendered.name, make.argv, make.dir, make.health));
            tokio::select! {
                done = &mut compose => done,
                () = stop_early(docker, &rendered.name, make.short) => compose.await,
            }
        };
        if made.is_err()
            && let Err(Stop(why)) = self.start_again(docker, rendered, before).await
        {
            self.session.say(&format!("What ran before could not all be started again: {why}"));
        }
        made
    }

    async fn start_again(
        &self,
        docker: &Docker,
        rendered: &Rendered,
        before: &[Instance],
    ) -> Result<(), Stop> {
        let _busy = self.session.activate();
        let ran = |service: &str| before.iter().any(|one| one.up && one.service == service);
        let mut refused = Ok(());
        // More than one pass: some were asked to stop and have not ended yet, some wait for others, and what Compose
        // had asked for when it gave up may be made only now.
        for pass in 0..AGAIN_PASSES {
            if pass > 0 {
                tokio::time::sleep(AGAIN_EVERY).await;
            }
            self.clean_up(docker, &rendered.name).await?;
            refused = Ok(());
            for one in instances(docker, &rendered.name).await? {
                if one.up || !ran(&one.service) || is_leftover(&one.name) {
                    continue;
                }
                match start(docker, &one.id).await {
                    Ok(()) => self.session.say(&format!("{} was started again.", one.service)),
                    Err(error) => refused = Err(error.into()),
                }
            }
        }
        refused
    }

    /// Lets Compose take everything down.
    pub(super) async fn down(
        &self,
        docker: &Docker,
        project: &str,
        argv: Vec<String>,
        dir: &Path,
    ) -> Result<(), Stop> {
        self.compose(docker, project, argv, dir, DOWN_TIMEOUT).await
    }

    /// What every service of `found` said last. An engine that is slow to tell does not hold up what follows.
    pub(super) async fn collect_logs(&self, docker: &Docker, found: &[Instance]) -> Vec<FailingService> {
        let all = join_all(found.iter().map(|one| async move {
            let lines = container_logs(docker, &one.id, LAST_LINES, |text| self.session.redact(text)).await;
            FailingService {
                name: one.service.clone(),
                health: one.health,
                exit_code: one.exit_code,
                last_lines: lines.unwrap_or_default(),
                check_said: self.session.redact(&one.check_said),
            }
        }));
        tokio::time::timeout(LOGS_TIMEOUT, all).await.unwrap_or_default()
    }

    /// Runs Compose. A wish to stop is kept until it is done: stopping it in the middle
    /// leaves services down. Where it was ended all the same, it is run once more, which puts things right.
    async fn compose(
        &self,
        docker: &Docker,
        project: &str,
        argv: Vec<String>,
        dir: &Path,
        health: Duration,
    ) -> Result<(), Stop> {
        let mut cmd = Cmd::new(argv);
        cmd.cwd = Some(dir.to_owned());
        cmd.clear = true;
        cmd.shielded = true;
        cmd.timeout = Some(health + UP_TIMEOUT);
        let mut exit = self.session.exec(cmd.clone()).await;
        if !matches!(exit, Exit::Code(_) | Exit::NotStarted(_)) {
            self.session.say(&format!(
                "Compose was interrupted ({exit}): once more, so that nothing is left half done."
            ));
            // It would take a container that it left half renamed for a finished one.
            self.clean_up(docker, project).await?;
            exit = self.session.exec(cmd).await;
            // What the engine was asked for by the one that was killed may have been done only now.
            self.clean_up(docker, project).await?;
        }
        if let Some(why) = self.session.stopped() {
            self.session.say(&format!(
                "Asked to stop ({why}); Compose was let finish first, so that services are not left down."
            ));
        }
        match exit {
            Exit::Code(0) => Ok(()),
            exit => Err(Stop(format!("Compose could not replace the services ({exit})."))),
        }
    }

    /// Starts what was made and waits until every service is well.
    pub(super) async fn wait(
        &mut self,
        docker: &Docker,
        rendered: &Rendered,
        before: &[Instance],
        health: Duration,
    ) -> Result<(), Stop> {
        // A wish to stop is heard in there, once every service was started.
        let _busy = self.session.activate();
        let mut again = 0;
        let waited = loop {
            let stop = self.session.cancelled();
            let starter = rendered.plain_start.then(|| Starter::new(docker));
            let show = |services| self.show(services);
            match wait_ready(docker, rendered, before, starter, health, stop, show).await {
                Waited::Wedged(names) if again < WEDGED_TRIES => {
                    again += 1;
                    self.make_anew(docker, rendered, &names, health).await?;
                }
                waited => break waited,
            }
        };
        Err(Stop(match waited {
            Waited::Ready => return Ok(()),
            Waited::Wedged(names) => {
                format!("The engine cannot start {}: it takes them for started.", names.join(", "))
            }
            Waited::Failing(all) => {
                self.seen_failing = all.iter().map(|(name, _)| name.clone()).collect();
                let each: Vec<_> = all.into_iter().map(|(name, why)| format!("{name}: {why}")).collect();
                format!("Not every service is well. {}.", each.join("; "))
            }
            Waited::TimedOut(names) => format!(
                "Not well within {}: {}.",
                human_span(u64::try_from(health.as_millis()).unwrap_or(u64::MAX)),
                names.join(", ")
            ),
            Waited::Stopped => {
                let why = self.session.stopped().map(|exit| exit.to_string()).unwrap_or_default();
                format!("Stopped while waiting for health ({why}). The containers were started and run on.")
            }
            Waited::EngineGone(why) => format!("The engine went away while waiting: {why}."),
        }))
    }

    /// Lets Compose make the containers of these services again; what they store in volumes stays with them.
    async fn make_anew(
        &self,
        docker: &Docker,
        rendered: &Rendered,
        names: &[String],
        health: Duration,
    ) -> Result<(), Stop> {
        let Some((argv, dir)) = self.made.clone() else { return Ok(()) };
        self.session.say(&format!(
            "The engine takes {} for started and will not start them: their containers are made anew.",
            names.join(", ")
        ));
        let argv = argv.into_iter().chain(["--force-recreate".to_owned()]).chain(names.iter().cloned());
        self.compose(docker, &rendered.name, argv.collect(), &dir, health).await
    }

    /// Puts right what a Compose that was killed left behind.
    pub(super) async fn clean_up(&self, docker: &Docker, project: &str) -> Result<(), Stop> {
        for said in clean_up(docker, project).await? {
            self.session.say(&said);
        }
        Ok(())
    }

    /// How the services stand now, and for those that are not well, what they said last.
    pub(super) async fn state(
        &self,
        docker: &Docker,
        rendered: &Rendered,
    ) -> Result<(Vec<Service>, Vec<FailingService>)> {
        let found = instances(docker, &rendered.name).await?;
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
                check_said: worst.map(|one| self.session.redact(&one.check_said)).unwrap_or_default(),
            });
        }
        Ok((all, failing))
    }

    /// Tells the log what failing services said.
    pub(super) fn report(&self, failing: &[FailingService]) {
        for service in failing {
            let code = service.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
            self.session.say(&format!(
                "{} is {}{code}. Its last lines:",
                service.name,
                service.health.label()
            ));
            for line in &service.last_lines {
                self.session.say(&format!("  {line}"));
            }
            if !service.check_said.is_empty() {
                self.session.say(&format!("  (health check) {}", service.check_said));
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

/// The services that are not well, each with its health. One without a health check that was `seen` to fail and runs now
/// is being restarted again and again: it runs for a moment each time.
fn failing_now<'a>(all: &'a [Service], seen: &BTreeSet<String>) -> Vec<(&'a Service, Health)> {
    let health = |service: &Service| match service.health {
        Health::Running if seen.contains(&service.name) => Health::Restarting,
        health => health,
    };
    all.iter().map(|service| (service, health(service))).filter(|(_, health)| !health.is_good()).collect()
}

/// The image IDs that each service's containers were made from, every different one once.
pub(super) fn running_ids(found: &[Instance], service: &str) -> Vec<String> {
    let mut ids: Vec<_> =
        found.iter().filter(|one| one.service == service).map(|one| one.image.clone()).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Refuses when an image is not there.
pub(super) async fn missing_images(docker: &Docker, ids: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let missing = images_present(docker, ids.values()).await?;
    Ok(ids.iter().filter(|(_, id)| missing.contains(id)).map(|(service, _)| service.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_keeps_ending_is_failing_also_in_the_moment_in_which_it_runs() {
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
