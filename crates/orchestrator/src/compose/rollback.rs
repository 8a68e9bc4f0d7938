//! Rollback: return to the images of an earlier release, and to its configuration where that differs, and verify it.
//! Runs inside the supervisor of its run. Nothing is pulled or built, so it works without a network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::observed::Service;
use domain::time::human_span;
use serde::{Deserialize, Serialize};

use super::docker::Docker;
use super::env_restore::restore_env;
use super::error::ComposeError;
use super::images::{before as before_tag, image_id, keep_name, split, tag};
use super::journal::JournalKind;
use super::observe::{Instance, instances, services};
use super::progress::{DeployPhase, FailingService};
use super::project::Project;
use super::release_snapshot::{config_path, kept_project, override_of};
use super::render::{Rendered, render_kept, render_own};
use super::rollout::{Creation, Rollout, Stop, missing_images, running_ids, services_are};
use super::tool::Tool;
use super::undo::Undo;
use runner::{Cmd, Exit, Outcome, Session};
use secrets::{EnvCopy, Key};
use system::files::write_durably;

/// The target of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackTarget {
    /// The release's tag, `r7`.
    pub release_tag: String,
    /// Image ID of each service.
    pub images: BTreeMap<String, String>,
    /// Where its deploy stored the configuration.
    pub keep_dir: PathBuf,
}

/// What happens to the database when there are migrations in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "command", rename_all = "snake_case")]
pub enum DbChoice {
    /// The schema stays as it is.
    KeepSchema,
    /// This command undoes migrations. It runs first, while the services that know them still run.
    RollbackCommand(String),
    /// The database is recreated, after a backup.
    Fresh {
        /// The command that makes the backup.
        backup: String,
        /// The command that recreates the database with seed data.
        fresh: String,
    },
}

/// The names of the stack's own database commands in messages.
const BACKUP: &str = "The backup of the database";
const RECREATE: &str = "Recreating the database";

impl DbChoice {
    /// What runs first, while the image names still point to the running images: its name and the command.
    fn first(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::KeepSchema => None,
            Self::RollbackCommand(command) => Some(("Undoing the migrations", command)),
            Self::Fresh { backup, .. } => Some((BACKUP, backup)),
        }
    }

    /// What runs when the image names point to the target's images and no service has been changed, so that
    /// `docker compose run` migrates and seeds as the target does.
    fn then(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::KeepSchema | Self::RollbackCommand(_) => None,
            Self::Fresh { fresh, .. } => Some((RECREATE, fresh)),
        }
    }
}

/// What is removed before the target is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clean {
    /// Nothing: only what differs is replaced.
    #[default]
    Nothing,
    /// All containers and networks of the project; volumes are kept.
    Containers,
    /// The project's volumes as well, and so all data of the stack.
    Volumes {
        /// The command that makes a backup of the database before.
        backup: Option<String>,
        /// The command that recreates the database with seed data afterwards.
        fill: Option<String>,
    },
}

/// The input of a rollback. Stored in the run's plan: no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackWork {
    /// The project.
    pub project: Project,
    /// The target.
    pub target: RollbackTarget,
    /// How long the services may take to become healthy, milliseconds.
    pub health_timeout_ms: u64,
    /// The services whose images change, as shown to the person who confirmed.
    pub changed: Vec<String>,
    /// The services that store no data.
    pub stateless: Vec<String>,
    /// What happens to the database.
    pub db: DbChoice,
    /// What is removed first.
    #[serde(default)]
    pub clean: Clean,
    /// How to open the copy of the target's env file, if that file is to be restored first.
    #[serde(default)]
    pub env: Option<EnvCopy>,
}

impl RollbackWork {
    /// Whether the database keeps its current schema.
    pub fn keeps_schema(&self) -> bool {
        self.db == DbChoice::KeepSchema && !matches!(self.clean, Clean::Volumes { .. })
    }
}

/// The verification of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The service.
    pub service: String,
    /// The expected image ID.
    pub wanted: String,
    /// The actual image ID; several, separated by commas, when its containers differ; empty for none.
    pub running: String,
}

impl Proof {
    /// Whether the two are the same.
    pub fn holds(&self) -> bool {
        self.wanted == self.running
    }
}

/// The result of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackResult {
    /// The phase in which it ended.
    pub phase: DeployPhase,
    /// Whether every service is healthy and runs the target's image.
    pub ok: bool,
    /// Services whose target image is no longer available; then nothing was done.
    pub missing: Vec<String>,
    /// Actual and expected images.
    pub proof: Vec<Proof>,
    /// Whether the configuration stored with the target was used, because the project's own files differ.
    pub kept_config: bool,
    /// All services as they were at the end.
    pub services: Vec<Service>,
    /// The services that are not healthy.
    pub failing: Vec<FailingService>,
    /// The last log lines of every service before anything was replaced.
    #[serde(default)]
    pub heard: Vec<FailingService>,
    /// Time from the first replaced container until all were healthy, milliseconds: an upper bound of the outage.
    /// `None` when they did not become healthy.
    pub outage_ms: Option<u64>,
    /// How it ended, for people.
    pub message: String,
}

/// Executes a rollback. The outcome's result is a [`RollbackResult`]; a rollback that fails in the preflight ends as
/// [`Exit::NotStarted`] and has changed nothing.
pub async fn rollback(session: &Session, work: &RollbackWork) -> Outcome {
    let target = &work.target;
    let mut rollout = Rollout::new(session, JournalKind::Rollback, &target.keep_dir, &target.release_tag);
    let mut result = RollbackResult {
        phase: DeployPhase::Preflight,
        ok: false,
        missing: Vec::new(),
        proof: Vec::new(),
        kept_config: false,
        services: Vec::new(),
        failing: Vec::new(),
        heard: Vec::new(),
        outage_ms: None,
        message: String::new(),
    };
    let mut seen = None;
    let end = run(&mut rollout, work, &mut result, &mut seen).await;
    result.phase = rollout.phase();
    let undone = if end.is_err() { rollout.take_back().await } else { String::new() };
    if let Some((docker, rendered)) = &seen
        && let Ok((services, failing)) = rollout.state(docker, rendered).await
    {
        rollout.show(services.clone());
        result.services = services;
        if end.is_err() && result.phase.touches_services() {
            rollout.report(&failing);
            result.failing = failing;
        }
    }
    match end {
        Ok(()) => {
            result.ok = true;
            result.phase = DeployPhase::Done;
            result.message = format!(
                "Rolled back to {}: {} healthy and running its images, verified by image ID. All were healthy {} after \
                 the first container was replaced.",
                target.release_tag,
                services_are(result.proof.len()),
                human_span(result.outage_ms.unwrap_or_default())
            );
        }
        Err(Stop(message)) => result.message = format!("{message}{undone}"),
    }
    result.message = session.redact(&result.message);
    session.say(&result.message);
    rollout.finish(result.ok);
    let exit = rollout.exit(result.ok, &result.message);
    Outcome { exit, result: serde_json::to_value(&result).unwrap_or_default() }
}

async fn run(
    rollout: &mut Rollout<'_>,
    work: &RollbackWork,
    result: &mut RollbackResult,
    seen: &mut Option<(Docker, Rendered)>,
) -> Result<(), Stop> {
    let session = rollout.session;
    let (project, target) = (&work.project, &work.target);
    rollout.look();
    keep_name("project", "service", &target.release_tag)?;
    if let Some(copy) = &work.env {
        restore_env(rollout, project, target, copy)?;
    }
    project.check()?;
    let way = Way::choose(session, project, target).await?;
    let docker = rollout.engine().await?;
    let (docker, rendered) = &*seen.insert((docker, way.rendered.clone()));
    result.kept_config = way.kept.is_some();
    result.missing = missing_images(docker, &target.images).await?;
    if !result.missing.is_empty() {
        let names = result.missing.join(", ");
        return Err(Stop(format!(
            "The images of {} are no longer available for {names}. Nothing was changed.",
            target.release_tag
        )));
    }
    if target.images.is_empty() {
        return Err(Stop(format!("No images are recorded for {}. Nothing was changed.", target.release_tag)));
    }
    let before = instances(docker, &rendered.name).await?;
    rollout.journal.project.clone_from(&rendered.name);
    rollout.journal.images.clone_from(&target.images);
    rollout.show(services(rendered, &before));
    for service in work.changed.iter().filter(|name| !work.stateless.contains(name)) {
        session.say(&format!("{service} stores data and gets a different image."));
    }

    let backup = match &work.clean {
        Clean::Volumes { backup: Some(command), .. } => Some((BACKUP, command.as_str())),
        _ => None,
    };
    for step in work.db.first().into_iter().chain(backup) {
        rollout.enter(DeployPhase::Migrating)?;
        change_database(session, project, step).await?;
    }
    // The log of a container is removed together with it.
    result.heard = rollout.collect_logs(docker, &before).await;

    let by_id = retag(rollout, docker, work, rendered, &before).await?;

    if let Some(step) = work.db.then() {
        change_database(session, project, step).await?;
    }
    rollout.enter(DeployPhase::Starting)?;
    let health = Duration::from_millis(work.health_timeout_ms);
    rollout.clean_up(docker, &rendered.name).await?;
    let replaced = Instant::now();
    let files = way.files(session, project, &by_id)?;
    let argv = way.argv(project, files.as_deref(), Rollout::making(rendered));
    rollout.begin_touching()?;
    let emptied = match &work.clean {
        Clean::Nothing => Ok(()),
        Clean::Containers => {
            session.say("Removing all containers and networks; volumes are kept.");
            let argv = way.argv(project, files.as_deref(), &["down", "--remove-orphans"]);
            if let Err(Stop(why)) = rollout.down(docker, &rendered.name, argv, &project.dir).await {
                session.say(&format!(
                    "Not everything could be removed: {why} Continuing: all that can be recreated is recreated."
                ));
            }
            Ok(())
        }
        Clean::Volumes { fill, .. } => {
            session.say("Removing all containers, networks and volumes.");
            let argv = way.argv(project, files.as_deref(), &["down", "--remove-orphans", "--volumes"]);
            let down = rollout.down(docker, &rendered.name, argv, &project.dir).await;
            let down = down.map_err(|Stop(why)| Stop(format!("Not all volumes could be removed: {why}")));
            match (down, fill) {
                (Ok(()), Some(command)) => {
                    let failed = |_| Stop(format!("{RECREATE} failed; the volumes are empty."));
                    change_database(session, project, (RECREATE, command)).await.map_err(failed)
                }
                (down, _) => down,
            }
        }
    };
    let old = before
        .iter()
        .filter(|one| work.stateless.contains(&one.service))
        .filter(|one| target.images.get(&one.service) != Some(&one.image));
    let make = Creation { argv, dir: &project.dir, health, short: old.cloned().collect() };
    let made = rollout.make(docker, rendered, &before, make).await;
    if made.is_err() {
        rollout.untouched(docker, &rendered.name, &before).await;
    }
    made?;
    if !way.extra.is_empty() {
        remove(session, project, &way.extra).await;
    }

    rollout.enter(DeployPhase::Probing)?;
    let waited = rollout.wait(docker, rendered, &before, health).await;
    let outage = u64::try_from(replaced.elapsed().as_millis()).unwrap_or(u64::MAX);
    let found = instances(docker, &rendered.name).await?;
    result.proof = prove(rendered, target, &found);
    waited?;
    result.outage_ms = Some(outage);
    let wrong: Vec<_> =
        result.proof.iter().filter(|one| !one.holds()).map(|one| one.service.as_str()).collect();
    if !wrong.is_empty() {
        return Err(Stop(format!(
            "Not running the target's image: {}. The rollback is not complete.",
            wrong.join(", ")
        )));
    }
    // Services had to be started again, whatever happened to the volumes.
    emptied?;
    if way.kept.is_some() {
        session.say(
            "The project's Compose files differ from those of the release: running `docker compose up -d` manually \
             would apply them.",
        );
    }
    if !by_id.is_empty() {
        let names = by_id.keys().cloned().collect::<Vec<_>>().join(", ");
        session.say(&format!(
            "The image name of {names} cannot be moved: running `docker compose up -d` manually would undo this \
             rollback."
        ));
    }
    Ok(())
}

/// Runs one of the stack's commands for its database.
async fn change_database(
    session: &Session,
    project: &Project,
    (what, command): (&str, &str),
) -> Result<(), Stop> {
    let mut cmd = Cmd::bash(command);
    cmd.cwd = Some(project.dir.clone());
    let exit = session.exec(cmd).await;
    if exit.is_success() {
        return Ok(());
    }
    Err(Stop(format!("{what} failed ({exit}). The services were not changed.")))
}

/// Which configuration is used.
struct Way {
    rendered: Rendered,
    /// The stored configuration, where the project's own files differ from it.
    kept: Option<PathBuf>,
    /// Services of the project's own files that the target does not have.
    extra: Vec<String>,
}

impl Way {
    /// The project's own files are preferred: a manual `docker compose up` afterwards then changes nothing. If they
    /// have changed since, or are invalid, the configuration stored with the target is used.
    async fn choose(session: &Session, project: &Project, target: &RollbackTarget) -> Result<Self, Stop> {
        let key = Key::from([0; 32]);
        let path = config_path(&target.keep_dir);
        let own = async || render_own(Tool::Run(session), project, &key).await;
        if !path.is_file() {
            session.say("No configuration is stored with this release. Using the project's Compose files.");
            return Ok(Self { rendered: own().await?, kept: None, extra: Vec::new() });
        }
        let files = [path.as_path()];
        let kept = async |name: &str| render_kept(Tool::Run(session), project, name, &files, &key).await;
        // Compose takes a while to answer, so both are requested together if the name is known beforehand.
        let likely = match &project.name {
            Some(name) => Some(name.clone()),
            None => kept_project(target.keep_dir.clone()).await,
        };
        let (own, early) = match &likely {
            Some(name) => {
                let (own, kept) = tokio::join!(own(), kept(name));
                (own, Some(kept))
            }
            None => (own().await, None),
        };
        let name = match (&own, &project.name) {
            (Ok(own), _) => own.name.clone(),
            (Err(_), Some(name)) => name.clone(),
            (Err(ComposeError::ComposeInvalid { .. }), None) => likely.clone().unwrap_or_default(),
            (Err(_), None) => String::new(),
        };
        if name.is_empty() {
            return Err(own.err().map_or_else(|| Stop("The project has no name.".to_owned()), Stop::from));
        }
        let kept = match early.filter(|_| likely.as_deref() == Some(name.as_str())) {
            Some(kept) => kept,
            None => kept(&name).await,
        };
        match (own, kept) {
            (Ok(own), Ok(kept)) if own.run_digest == kept.run_digest => {
                Ok(Self { rendered: own, kept: None, extra: Vec::new() })
            }
            (own, Ok(kept)) => {
                let extra =
                    own.iter().flat_map(|own| &own.services).filter(|s| kept.service(&s.name).is_none());
                let extra = extra.map(|service| service.name.clone()).collect();
                session.say(
                    "The Compose files have changed since this release. Using the configuration stored with it.",
                );
                Ok(Self { rendered: kept, kept: Some(path), extra })
            }
            (Ok(own), Err(error)) => {
                session.say(&format!(
                    "The configuration stored with the release cannot be used ({error}). Using the project's Compose \
                     files."
                ));
                Ok(Self { rendered: own, kept: None, extra: Vec::new() })
            }
            (Err(error), Err(_)) => Err(error.into()),
        }
    }

    /// The Compose files that replace the project's own, if any. `by_id` are services whose image can only be
    /// referenced by its ID.
    fn files(
        &self,
        session: &Session,
        project: &Project,
        by_id: &BTreeMap<String, String>,
    ) -> Result<Option<Vec<PathBuf>>, Stop> {
        if self.kept.is_none() && by_id.is_empty() {
            return Ok(None);
        }
        let mut files = self.kept.clone().map_or_else(|| project.file_paths(), |kept| vec![kept]);
        if !by_id.is_empty() {
            let path = session.dir().join("images.yaml");
            write_durably(&path, override_of(by_id).as_bytes())
                .map_err(ComposeError::io("write the image IDs", &path))?;
            files.push(path);
        }
        Ok(Some(files))
    }

    fn argv(&self, project: &Project, files: Option<&[PathBuf]>, words: &[&str]) -> Vec<String> {
        let Some(files) = files else { return project.argv(words) };
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        project.argv_with(&self.rendered.name, &files, words)
    }
}

/// Points the image names of the services to the target's images, and protects the images that had them before.
/// Returns the services whose name cannot be moved: those named by digest, and those that share a name with
/// another service whose target is another image.
async fn retag(
    rollout: &mut Rollout<'_>,
    docker: &Docker,
    work: &RollbackWork,
    rendered: &Rendered,
    before: &[Instance],
) -> Result<BTreeMap<String, String>, Stop> {
    let target = &work.target;
    let mut moves: BTreeMap<String, String> = BTreeMap::new();
    let mut by_id = BTreeMap::new();
    let mut undo = Vec::new();
    for service in rendered.expected() {
        let Some(id) = target.images.get(&service.name) else { continue };
        let name = rendered.image_name(service);
        let is_now = image_id(docker, &name).await?;
        let taken = moves.get(&name).is_some_and(|other| other != id);
        if taken || (split(&name).is_none() && is_now.as_ref() != Some(id)) {
            by_id.insert(service.name.clone(), id.clone());
            continue;
        }
        if is_now.as_ref() != Some(id) {
            let (name, after) = (name.clone(), Some(id.clone()));
            undo.push(Undo::Name { name, before: is_now.clone(), after });
        }
        if let Some(is_now) = is_now.filter(|now| now != id) {
            rollout.journal.moved.insert(name.clone(), is_now);
        }
        moves.insert(name, id.clone());
    }
    rollout.enter(DeployPhase::Retagging)?;
    // Written before the first name moves.
    rollout.will_change(undo)?;
    let spare = before_tag(&target.release_tag);
    for one in before.iter().filter(|one| target.images.get(&one.service) != Some(&one.image)) {
        let name = keep_name(&rendered.name, &one.service, &spare)?;
        // A container may run an image that was already deleted; then there is nothing to protect.
        if image_id(docker, &one.image).await?.is_some() {
            tag(docker, &one.image, &name).await?;
        }
    }
    for (name, id) in moves.iter().filter(|(name, _)| split(name).is_some()) {
        tag(docker, id, name).await?;
        rollout.session.say(&format!("{name} points to {id} again."));
    }
    Ok(by_id)
}

fn prove(rendered: &Rendered, target: &RollbackTarget, found: &[Instance]) -> Vec<Proof> {
    let expected =
        rendered.expected().filter_map(|service| Some((service, target.images.get(&service.name)?)));
    expected
        .map(|(service, wanted)| Proof {
            service: service.name.clone(),
            wanted: wanted.clone(),
            running: running_ids(found, &service.name).join(","),
        })
        .collect()
}

/// Removes the services that the target does not have. Their volumes are kept.
async fn remove(session: &Session, project: &Project, extra: &[String]) {
    let mut sub = vec!["rm", "--stop", "--force"];
    sub.extend(extra.iter().map(String::as_str));
    let mut cmd = Cmd::new(project.argv(&sub));
    cmd.cwd = Some(project.dir.clone());
    cmd.clear = true;
    cmd.shielded = true;
    cmd.timeout = Some(Duration::from_secs(120));
    let exit: Exit = session.exec(cmd).await;
    if !exit.is_success() {
        session.say(&format!(
            "Services that are not part of the release could not be removed ({exit}): {}.",
            extra.join(", ")
        ));
    }
}
