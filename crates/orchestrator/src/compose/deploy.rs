//! Deploy: build, pin, start, wait, verify. Runs inside the supervisor of its run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::observed::Service;
use domain::release::short_commit;
use domain::time::human_span;
use serde::{Deserialize, Serialize};

use super::docker::Docker;
use super::images::{image_id, keep_name, split, tag};
use super::journal::JournalKind;
use super::observe::instances;
use super::progress::{DeployPhase, FailingService};
use super::project::Project;
use super::release_snapshot::keep_release;
use super::render::{Rendered, render_own};
use super::rollout::{Creation, Rollout, Stop, running_ids, services_are};
use super::tool::Tool;
use super::undo::Undo;
use git::{self, Caller};
use runner::{Cmd, Exit, Outcome, Session};
use secrets::EnvCopy;
use secrets::Key;

/// With less free space than this on the engine's disk, a build may fail half way.
const DISK_BYTES: u64 = 500_000_000;
/// Limits for listing migrations: time, and size of the list.
const MIGRATIONS_TIMEOUT: Duration = Duration::from_secs(60);
const MIGRATIONS_CAP: usize = 256 * 1024;

/// The input of a deploy. Stored in the run's plan: no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployWork {
    /// The project.
    pub project: Project,
    /// Tag under which the images of this release are kept, `r7`.
    pub release_tag: String,
    /// Whether to build services that can be built.
    pub build: bool,
    /// The commit that was confirmed, as [`super::PartsReader`] names it. If another commit is checked out, the deploy
    /// ends before anything is started.
    #[serde(default)]
    pub commit: Option<String>,
    /// Variables for the build only, such as `GIT_COMMIT`. Running containers must not depend on them.
    pub build_env: BTreeMap<String, String>,
    /// How long the services may take to become healthy, milliseconds.
    pub health_timeout_ms: u64,
    /// Command that prints the applied migrations, one name a line.
    pub migrations_cmd: Option<String>,
    /// Where the configuration and image IDs of this release are kept.
    pub keep_dir: PathBuf,
    /// How an encrypted copy of the env file is kept with them, if the stack is configured to do so.
    #[serde(default)]
    pub env_copy: Option<EnvCopy>,
}

/// The result of a deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployResult {
    /// The phase in which it ended.
    pub phase: DeployPhase,
    /// Whether every service is healthy and runs the pinned image.
    pub ok: bool,
    /// Image ID of each service, as pinned.
    pub images: BTreeMap<String, String>,
    /// The protective tags.
    pub tags: Vec<String>,
    /// The services that are not healthy.
    pub failing: Vec<FailingService>,
    /// All services as they were at the end.
    pub services: Vec<Service>,
    /// The migrations applied at the end, when they are known.
    pub migrations: Option<Vec<String>>,
    /// Whether the configuration was kept, so that a rollback can return to it.
    pub config_kept: bool,
    /// How it ended, for people.
    pub message: String,
}

/// Executes a deploy. The outcome's result is a [`DeployResult`]; a deploy that fails in the preflight ends as
/// [`Exit::NotStarted`] and has changed nothing.
pub async fn deploy(session: &Session, work: &DeployWork) -> Outcome {
    work.deploy_after(session, &[]).await
}

impl DeployWork {
    /// Executes steps (each a title and a command for `bash -c`) and then the deploy, as [`deploy`] does. A step
    /// that fails ends it: the outcome has the step's exit and no result. Image names that the steps moved are
    /// restored when it ends before any service is changed; other changes of the steps are not undone.
    pub async fn deploy_after(&self, session: &Session, steps: &[(&str, &str)]) -> Outcome {
        let mut rollout = Rollout::new(session, JournalKind::Deploy, &self.keep_dir, &self.release_tag);
        match run_steps(&mut rollout, self, steps).await {
            Ok(exit) if !exit.is_success() => Outcome::new(exit),
            ready => deploy_in(rollout, self, ready.map(drop)).await,
        }
    }
}

/// Executes the deploy itself. `ready` is an error when the steps before it were not allowed to run.
async fn deploy_in(mut rollout: Rollout<'_>, work: &DeployWork, ready: Result<(), Stop>) -> Outcome {
    let session = rollout.session;
    let mut result = DeployResult {
        phase: DeployPhase::Preflight,
        ok: false,
        images: BTreeMap::new(),
        tags: Vec::new(),
        failing: Vec::new(),
        services: Vec::new(),
        migrations: None,
        config_kept: false,
        message: String::new(),
    };
    let mut seen = None;
    let end = match ready {
        Ok(()) => run(&mut rollout, work, &mut result, &mut seen).await,
        Err(stop) => Err(stop),
    };
    result.phase = rollout.phase();
    let undone = if end.is_err() { rollout.take_back().await } else { String::new() };
    if let Some((docker, rendered)) = &seen
        && let Ok((services, failing)) = rollout.state(docker, rendered).await
    {
        rollout.show(services.clone());
        result.services = services;
        // Before anything was started, a service that does not run is not a failure of this deploy.
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
                "Deployed {}: {} healthy after {}.",
                work.release_tag,
                services_are(result.services.len()),
                human_span(rollout.elapsed_ms())
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

/// Runs the steps before a deploy; the first that fails ends them and restores the image names. Returns the last exit.
async fn run_steps(
    rollout: &mut Rollout<'_>,
    work: &DeployWork,
    steps: &[(&str, &str)],
) -> Result<Exit, Stop> {
    if steps.is_empty() {
        return Ok(Exit::Code(0));
    }
    let session = rollout.session;
    rollout.refuse_if_overtaken()?;
    let names = match images_by_name(rollout, work).await {
        Ok(names) => names,
        // A step may create the env file or the Compose file.
        Err(Stop(why)) => {
            session.say(&format!(
                "Image names could not be recorded before the steps: {why} If the deploy fails, image names that a \
                 step has moved are not restored."
            ));
            BTreeMap::new()
        }
    };
    if !names.is_empty() {
        let undo = |(name, before): (&String, &Option<String>)| Undo::Name {
            name: name.clone(),
            before: before.clone(),
            after: None,
        };
        rollout.will_change(names.iter().map(undo))?;
    }
    for (title, command) in steps {
        session.say(&format!("— {title}"));
        let exit = session.exec(Cmd::bash(command)).await;
        if !exit.is_success() {
            let undone = rollout.take_back().await;
            session.say(&format!("Step “{title}” failed. Nothing was deployed.{undone}"));
            rollout.close();
            return Ok(exit);
        }
    }
    if !names.is_empty() {
        note_moved(rollout, names).await?;
    }
    Ok(Exit::Code(0))
}

/// The image behind each name that a step or a build can move; `None` for a name that no image has.
async fn images_by_name(
    rollout: &Rollout<'_>,
    work: &DeployWork,
) -> Result<BTreeMap<String, Option<String>>, Stop> {
    let rendered = render_own(Tool::Run(rollout.session), &work.project, &Key::from([0; 32])).await?;
    let docker = rollout.engine().await?;
    let mut images = BTreeMap::new();
    for service in &rendered.services {
        let name = rendered.image_name(service);
        // A digest or an ID always names the same image.
        if split(&name).is_some() && !images.contains_key(&name) {
            let image = image_id(&docker, &name).await?;
            images.insert(name, image);
        }
    }
    Ok(images)
}

/// Records only those of `names` that the steps moved: an image that the deploy fetches later keeps its name.
async fn note_moved(rollout: &mut Rollout<'_>, names: BTreeMap<String, Option<String>>) -> Result<(), Stop> {
    // When the engine does not answer, all names stay recorded.
    let Ok(docker) = rollout.engine().await else { return Ok(()) };
    let mut moved = Vec::new();
    for (name, before) in names {
        let Ok(after) = image_id(&docker, &name).await else { return Ok(()) };
        if after != before {
            moved.push(Undo::Name { name, before, after });
        }
    }
    rollout.has_changed(moved)
}

async fn run(
    rollout: &mut Rollout<'_>,
    work: &DeployWork,
    result: &mut DeployResult,
    seen: &mut Option<(Docker, Rendered)>,
) -> Result<(), Stop> {
    let session = rollout.session;
    let project = &work.project;
    // Within one run any key can be used: nothing of it is stored.
    let key = Key::from([0; 32]);
    rollout.look();
    keep_name("project", "service", &work.release_tag)?;
    is_confirmed(session, work).await?;
    let rendered = render_own(Tool::Run(session), project, &key).await?;
    if let Some(copy) = &work.env_copy {
        let stop = |error| {
            Stop(format!("No encrypted copy of the env file can be stored: {error}. Nothing was changed."))
        };
        copy.ready().map_err(stop)?;
    }
    let docker = rollout.engine().await?;
    room(&docker).await?;
    let (docker, rendered) = &*seen.insert((docker, rendered));
    let before = instances(docker, &rendered.name).await?;
    rollout.journal.project.clone_from(&rendered.name);
    rollout.show(super::observe::services(rendered, &before));
    if rendered.services.is_empty() {
        return Err(Stop("The Compose file declares no services.".to_owned()));
    }

    if work.build && rendered.services.iter().any(|service| service.build) {
        rollout.enter(DeployPhase::Building)?;
        // A build moves the image names one by one; if it fails half way, it would leave a mixture.
        let mut names = Vec::new();
        for service in rendered.services.iter().filter(|service| service.build) {
            let name = rendered.image_name(service);
            let before = image_id(docker, &name).await?;
            names.push(Undo::Name { name, before, after: None });
        }
        rollout.will_change(names)?;
        build(session, work).await?;
        is_confirmed(session, work).await?;
    }

    rollout.enter(DeployPhase::Pinning)?;
    let images = pin(session, docker, work, rendered).await?;
    for (service, id) in &images {
        let name = keep_name(&rendered.name, service, &work.release_tag)?;
        tag(docker, id, &name).await?;
        result.tags.push(name);
    }
    result.images.clone_from(&images);
    let unkept = keep_release(Tool::Run(session), project, rendered, &work.keep_dir, &images, &key).await?;
    result.config_kept = unkept.is_none();
    if let Some(why) = unkept {
        session.say(&format!(
            "The configuration could not be stored ({why}). A rollback to this release will use the Compose files as \
             they are then."
        ));
    }
    rollout.journal.images = images;
    if let Some(copy) = &work.env_copy {
        keep_env(session, work, copy)?;
    }

    rollout.enter(DeployPhase::Starting)?;
    rollout.clean_up(docker, &rendered.name).await?;
    let health = Duration::from_millis(work.health_timeout_ms);
    let argv = project.argv(Rollout::making(rendered));
    let make = Creation { argv, dir: &project.dir, health, short: Vec::new() };
    rollout.begin_touching()?;
    let made = rollout.make(docker, rendered, &before, make).await;
    if made.is_err() {
        rollout.untouched(docker, &rendered.name, &before).await;
    }
    made?;

    rollout.enter(DeployPhase::Probing)?;
    rollout.wait(docker, rendered, &before, health).await?;
    let found = instances(docker, &rendered.name).await?;
    let other: Vec<_> = rendered
        .expected()
        .filter(|service| {
            let pinned = result.images.get(&service.name).map(std::slice::from_ref);
            pinned != Some(running_ids(&found, &service.name).as_slice())
        })
        .map(|service| service.name.clone())
        .collect();
    if !other.is_empty() {
        let names = other.join(", ");
        return Err(Stop(format!(
            "Not running the pinned image: {names}. Another process has moved the image tag. Deploy again."
        )));
    }
    if let Some(command) = &work.migrations_cmd {
        result.migrations = migrations(session, command, &project.dir).await;
    }
    Ok(())
}

fn keep_env(session: &Session, work: &DeployWork, copy: &EnvCopy) -> Result<(), Stop> {
    let Some(path) = work.project.env_path() else { return Ok(()) };
    let env = std::fs::read(&path).map_err(|error| error.kind().to_string());
    env.and_then(|env| copy.keep(&env, &work.keep_dir, &work.release_tag).map_err(|error| error.to_string()))
        .map_err(|why| {
            Stop(format!(
                "The encrypted copy of the env file could not be stored: {why}. Nothing was started."
            ))
        })?;
    session.say("An encrypted copy of the env file is stored with the release.");
    Ok(())
}

/// Refuses when another commit is checked out than the one that was confirmed. Tracked files may differ: steps that
/// run before the deploy may write them.
async fn is_confirmed(session: &Session, work: &DeployWork) -> Result<(), Stop> {
    let sha = |commit: &str| commit.split('+').next().unwrap_or_default().to_owned();
    let Some(confirmed) = work.commit.as_deref().map(sha) else { return Ok(()) };
    let now = git::head(Caller::Run(session), &work.project.dir).await;
    let now =
        now.map_err(|why| Stop(format!("The commit could not be read: {why}. Nothing was started.")))?;
    let now = now.unwrap_or_default();
    if now == confirmed {
        return Ok(());
    }
    let short = |sha: &str| short_commit((!sha.is_empty()).then_some(sha));
    Err(Stop(format!(
        "The commit has changed: HEAD is {}, but {} was confirmed. Nothing was started. Deploy again to confirm the \
         new commit.",
        short(&now),
        short(&confirmed)
    )))
}

async fn build(session: &Session, work: &DeployWork) -> Result<(), Stop> {
    let mut cmd = Cmd::new(work.project.argv(&["build"]));
    cmd.cwd = Some(work.project.dir.clone());
    cmd.clear = true;
    cmd.env = work.build_env.clone();
    // Without the optional Bake plugin, Compose would print a warning at every build.
    cmd.env.insert("COMPOSE_BAKE".to_owned(), "false".to_owned());
    match session.exec(cmd).await {
        Exit::Code(0) => Ok(()),
        exit => Err(Stop(format!("The build failed ({exit}). The running services were not changed."))),
    }
}

/// Finds the image ID of every service; missing images are pulled first.
async fn pin(
    session: &Session,
    docker: &Docker,
    work: &DeployWork,
    rendered: &Rendered,
) -> Result<BTreeMap<String, String>, Stop> {
    let mut images = BTreeMap::new();
    let mut missing = Vec::new();
    for service in rendered.expected() {
        match image_id(docker, &rendered.image_name(service)).await? {
            Some(id) => drop(images.insert(service.name.clone(), id)),
            None if service.build => {
                let hint = if work.build {
                    "the build did not create it"
                } else {
                    "this deploy does not build images"
                };
                return Err(Stop(format!("There is no image for {}: {hint}.", service.name)));
            }
            None => missing.push(service),
        }
    }
    if missing.is_empty() {
        return Ok(images);
    }
    let mut sub = vec!["pull", "--policy", "missing"];
    sub.extend(missing.iter().map(|service| service.name.as_str()));
    let mut cmd = Cmd::new(work.project.argv(&sub));
    cmd.cwd = Some(work.project.dir.clone());
    cmd.clear = true;
    let exit = session.exec(cmd).await;
    for service in missing {
        match image_id(docker, &rendered.image_name(service)).await? {
            Some(id) => drop(images.insert(service.name.clone(), id)),
            None => {
                let name = rendered.image_name(service);
                return Err(Stop(format!(
                    "The image {name} of {} is missing and could not be pulled ({exit}).",
                    service.name
                )));
            }
        }
    }
    Ok(images)
}

/// Fails when the engine's disk is nearly full. An engine on another host, or a directory that cannot be read,
/// is not checked.
async fn room(docker: &Docker) -> Result<(), Stop> {
    if !docker.is_local() {
        return Ok(());
    }
    let info = docker.ask(docker.client().info()).await?;
    let Some(Ok(stat)) = info.docker_root_dir.map(|dir| rustix::fs::statvfs(dir.as_str())) else {
        return Ok(());
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free >= DISK_BYTES {
        return Ok(());
    }
    let (free, needed) = (free / 1_000_000, DISK_BYTES / 1_000_000);
    Err(Stop(format!(
        "The disk of the Docker engine has {free} MB free; a deploy needs {needed} MB. Free disk space, then deploy \
         again."
    )))
}

/// The names that the command prints. `None` when the command fails: unknown is not the same as no migrations.
pub async fn migrations(session: &Session, command: &str, dir: &Path) -> Option<Vec<String>> {
    let mut cmd = Cmd::bash(command);
    cmd.cwd = Some(dir.to_owned());
    cmd.timeout = Some(MIGRATIONS_TIMEOUT);
    let (exit, out) = session.capture(cmd, MIGRATIONS_CAP).await;
    if !exit.is_success() {
        session.say(&format!("The applied migrations could not be listed ({exit})."));
        return None;
    }
    let text = session.redact(&String::from_utf8_lossy(&out));
    Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
