//! Deploy: build, pin, start, wait, verify. Runs inside the supervisor of its run.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use domain::release::short_commit;
use domain::time::human_span;

use super::docker::Docker;
use super::images::{image_id, retained_name, split, tag};
use super::observe::list_containers;
use super::release_snapshot::store_release;
use super::render::render_own;
use super::rollout::{Creation, Rollout, Stop, running_ids, services_are};
use super::tool::Tool;
use crate::journal::JournalKind;
use crate::migrations::applied_migrations;
use crate::progress::DeployPhase;
use crate::rendered::Rendered;
use crate::stack_files::StackFiles;
use crate::undo::Undo;
use crate::work::{DeployResult, DeployWork};
use git::{self, Caller};
use runner::{Cmd, Exit, Outcome, Session};
use secrets::EnvCopy;
use secrets::Key;
use system::files::off_thread;

/// With less free space than this on the engine's disk, a build may fail half way.
const DISK_BYTES: u64 = 500_000_000;

/// Executes `steps` and then the deploy of `files`, as [`DeployWork::execute`] describes it.
pub(crate) async fn deploy(
    session: &Session,
    files: &StackFiles,
    work: &DeployWork,
    steps: &[(&str, &str)],
) -> Outcome {
    let mut rollout =
        Rollout::new(session, files, JournalKind::Deploy, &work.snapshot_dir, &work.release_tag);
    match run_steps(&mut rollout, steps).await {
        Ok(exit) if !exit.is_success() => Outcome::new(exit),
        ready => deploy_in(rollout, work, ready.map(drop)).await,
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
        config_stored: false,
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
async fn run_steps(rollout: &mut Rollout<'_>, steps: &[(&str, &str)]) -> Result<Exit, Stop> {
    if steps.is_empty() {
        return Ok(Exit::Code(0));
    }
    let session = rollout.session;
    rollout.refuse_if_overtaken()?;
    let names = match images_by_name(rollout).await {
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
async fn images_by_name(rollout: &Rollout<'_>) -> Result<BTreeMap<String, Option<String>>, Stop> {
    let rendered = render_own(Tool::Run(rollout.session), rollout.files, &Key::from([0; 32])).await?;
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
    let project = rollout.files;
    // Within one run any key can be used: nothing of it is stored.
    let key = Key::from([0; 32]);
    rollout.begin_preflight();
    retained_name("project", "service", &work.release_tag)?;
    is_confirmed(session, work, &project.dir).await?;
    let rendered = render_own(Tool::Run(session), project, &key).await?;
    let _env_file = project.env_file().await?;
    if let Some(copy) = &work.env_copy {
        let stop = |error| {
            Stop(format!("No encrypted copy of the env file can be stored: {error}. Nothing was changed."))
        };
        copy.ready().map_err(stop)?;
    }
    let docker = rollout.engine().await?;
    check_disk_space(&docker).await?;
    let (docker, rendered) = &*seen.insert((docker, rendered));
    let before = list_containers(docker, &rendered.name).await?;
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
        build(session, project, &work.build_env).await?;
        is_confirmed(session, work, &project.dir).await?;
    }

    rollout.enter(DeployPhase::Pinning)?;
    let images = pin(rollout, docker, work, rendered).await?;
    for (service, id) in &images {
        let name = retained_name(&rendered.name, service, &work.release_tag)?;
        tag(docker, id, &name).await?;
        result.tags.push(name);
    }
    result.images.clone_from(&images);
    let not_stored =
        store_release(Tool::Run(session), project, rendered, &work.snapshot_dir, &images, &key).await?;
    result.config_stored = not_stored.is_none();
    if let Some(why) = not_stored {
        session.say(&format!(
            "The configuration could not be stored ({why}). A rollback to this release will use the Compose files as \
             they are then."
        ));
    }
    rollout.journal.images = images;
    if let Some(copy) = &work.env_copy {
        store_env(session, project, work, copy).await?;
    }

    rollout.enter(DeployPhase::Starting)?;
    rollout.clean_up(docker, &rendered.name).await?;
    let health = Duration::from_millis(work.health_timeout_ms);
    let argv = project.argv(Rollout::create_command(rendered));
    let creation = Creation { argv, dir: &project.dir, health_timeout: health, stop_early: Vec::new() };
    rollout.begin_touching()?;
    let created = rollout.create(docker, rendered, &before, creation).await;
    if created.is_err() {
        rollout.untouched(docker, &rendered.name, &before).await;
    }
    created?;

    rollout.enter(DeployPhase::Probing)?;
    rollout.wait(docker, rendered, &before, health).await?;
    let found = list_containers(docker, &rendered.name).await?;
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
        result.migrations = applied_migrations(session, command, &project.dir).await;
    }
    Ok(())
}

async fn store_env(
    session: &Session,
    project: &StackFiles,
    work: &DeployWork,
    copy: &EnvCopy,
) -> Result<(), Stop> {
    let (project, copy) = (project.clone(), copy.clone());
    let (snapshot_dir, release_tag) = (work.snapshot_dir.clone(), work.release_tag.clone());
    let store = move || -> Result<bool, String> {
        let Some(source) = project.env_in_use() else { return Ok(false) };
        let env = source.text().map_err(|error| io::Error::from(error).kind().to_string())?;
        copy.keep(&env, &snapshot_dir, &release_tag).map_err(|error| error.to_string())?;
        Ok(true)
    };
    let stored = off_thread(store).await.unwrap_or_else(|error| Err(error.kind().to_string()));
    let stored = stored.map_err(|why| {
        Stop(format!("The encrypted copy of the env file could not be stored: {why}. Nothing was started."))
    })?;
    if !stored {
        return Ok(());
    }
    session.say("An encrypted copy of the env file is stored with the release.");
    Ok(())
}

/// Refuses when another commit is checked out than the one that was confirmed. Tracked files may differ: steps that
/// run before the deploy may write them.
async fn is_confirmed(session: &Session, work: &DeployWork, dir: &Path) -> Result<(), Stop> {
    let sha = |commit: &str| commit.split('+').next().unwrap_or_default().to_owned();
    let Some(confirmed) = work.commit.as_deref().map(sha) else { return Ok(()) };
    let now = git::head(Caller::Run(session), dir).await;
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

async fn build(session: &Session, project: &StackFiles, env: &BTreeMap<String, String>) -> Result<(), Stop> {
    let mut cmd = Cmd::new(project.argv(&["build"]));
    cmd.cwd = Some(project.dir.clone());
    cmd.clear = true;
    cmd.env = env.clone();
    // Without the optional Bake plugin, Compose would print a warning at every build.
    cmd.env.insert("COMPOSE_BAKE".to_owned(), "false".to_owned());
    match session.exec(cmd).await {
        Exit::Code(0) => Ok(()),
        exit => Err(Stop(format!("The build failed ({exit}). The running services were not changed."))),
    }
}

/// Finds the image ID of every service; missing images are pulled first.
async fn pin(
    rollout: &Rollout<'_>,
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
    let mut cmd = Cmd::new(rollout.files.argv(&sub));
    cmd.cwd = Some(rollout.files.dir.clone());
    cmd.clear = true;
    let exit = rollout.session.exec(cmd).await;
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
async fn check_disk_space(docker: &Docker) -> Result<(), Stop> {
    if !docker.is_local() {
        return Ok(());
    }
    let info = docker.send(docker.client().info()).await?;
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
