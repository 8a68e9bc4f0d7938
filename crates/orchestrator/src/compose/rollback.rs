//! Rollback: return to the images of an earlier release, and to its configuration where that differs, and verify it.
//! Runs inside the supervisor of its run. Nothing is pulled or built, so it works without a network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::time::human_span;

use super::docker::Docker;
use super::env_restore::restore_env;
use super::images::{before as before_tag, image_id, retained_name, split, tag};
use super::observe::{list_containers, services};
use super::release_snapshot::{config_path, override_of, stored_name};
use super::render::{render_own, render_stored};
use super::rollout::{Creation, Rollout, Stop, missing_images, running_ids, services_are};
use super::tool::Tool;
use crate::container::Container;
use crate::error::OrchestratorError;
use crate::journal::JournalKind;
use crate::progress::DeployPhase;
use crate::rendered::Rendered;
use crate::stack_files::StackFiles;
use crate::undo::Undo;
use crate::work::{BACKUP, Proof, RECREATE, Removal, RollbackResult, RollbackTarget, RollbackWork};
use runner::{Cmd, Exit, Outcome, Session};
use secrets::Key;
use system::files::write_durably;

/// Executes a rollback of `files`, as [`RollbackWork::execute`] describes it.
pub(crate) async fn rollback(session: &Session, files: &StackFiles, work: &RollbackWork) -> Outcome {
    let target = &work.target;
    let mut rollout =
        Rollout::new(session, files, JournalKind::Rollback, &target.snapshot_dir, &target.release_tag);
    let mut result = RollbackResult {
        phase: DeployPhase::Preflight,
        ok: false,
        missing: Vec::new(),
        proof: Vec::new(),
        used_stored_config: false,
        services: Vec::new(),
        failing: Vec::new(),
        last_logs: Vec::new(),
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
    let (project, target) = (rollout.files, &work.target);
    rollout.begin_preflight();
    retained_name("project", "service", &target.release_tag)?;
    if let Some(copy) = &work.env {
        restore_env(rollout, project, target, copy).await?;
    }
    project.check()?;
    let _env_file = project.env_file().await?;
    let config = Config::choose(session, project, target).await?;
    let docker = rollout.engine().await?;
    let (docker, rendered) = &*seen.insert((docker, config.rendered.clone()));
    result.used_stored_config = config.stored.is_some();
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
    let before = list_containers(docker, &rendered.name).await?;
    rollout.journal.project.clone_from(&rendered.name);
    rollout.journal.images.clone_from(&target.images);
    rollout.show(services(rendered, &before));
    for service in work.changed.iter().filter(|name| !work.stateless.contains(name)) {
        session.say(&format!("{service} stores data and gets a different image."));
    }

    let backup = match &work.removal {
        Removal::Volumes { backup: Some(command), .. } => Some((BACKUP, command.as_str())),
        _ => None,
    };
    for step in work.database.before_retagging().into_iter().chain(backup) {
        rollout.enter(DeployPhase::Migrating)?;
        change_database(session, project, step).await?;
    }
    // The log of a container is removed together with it.
    result.last_logs = rollout.collect_logs(docker, &before).await;

    let by_id = retag(rollout, docker, work, rendered, &before).await?;

    if let Some(step) = work.database.after_retagging() {
        change_database(session, project, step).await?;
    }
    rollout.enter(DeployPhase::Starting)?;
    let health = Duration::from_millis(work.health_timeout_ms);
    rollout.clean_up(docker, &rendered.name).await?;
    let replaced = Instant::now();
    let files = config.files(session, project, &by_id)?;
    let argv = config.argv(project, files.as_deref(), Rollout::create_command(rendered));
    rollout.begin_touching()?;
    let emptied = match &work.removal {
        Removal::Nothing => Ok(()),
        Removal::Containers => {
            session.say("Removing all containers and networks; volumes are kept.");
            let argv = config.argv(project, files.as_deref(), &["down", "--remove-orphans"]);
            if let Err(Stop(why)) = rollout.down(docker, &rendered.name, argv, &project.dir).await {
                session.say(&format!(
                    "Not everything could be removed: {why} Continuing: all that can be recreated is recreated."
                ));
            }
            Ok(())
        }
        Removal::Volumes { recreate, .. } => {
            session.say("Removing all containers, networks and volumes.");
            let argv = config.argv(project, files.as_deref(), &["down", "--remove-orphans", "--volumes"]);
            let down = rollout.down(docker, &rendered.name, argv, &project.dir).await;
            let down = down.map_err(|Stop(why)| Stop(format!("Not all volumes could be removed: {why}")));
            match (down, recreate) {
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
    let stop_early = old.cloned().collect();
    let creation = Creation { argv, dir: &project.dir, health_timeout: health, stop_early };
    let created = rollout.create(docker, rendered, &before, creation).await;
    if created.is_err() {
        rollout.untouched(docker, &rendered.name, &before).await;
    }
    created?;
    if !config.extra.is_empty() {
        remove(session, project, &config.extra).await;
    }

    rollout.enter(DeployPhase::Probing)?;
    let waited = rollout.wait(docker, rendered, &before, health).await;
    let outage = u64::try_from(replaced.elapsed().as_millis()).unwrap_or(u64::MAX);
    let found = list_containers(docker, &rendered.name).await?;
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
    if config.stored.is_some() {
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
    project: &StackFiles,
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
struct Config {
    rendered: Rendered,
    /// The stored configuration, where the project's own files differ from it.
    stored: Option<PathBuf>,
    /// Services of the project's own files that the target does not have.
    extra: Vec<String>,
}

impl Config {
    /// The project's own files are preferred: a manual `docker compose up` afterwards then changes nothing. If they
    /// have changed since, or are invalid, the configuration stored with the target is used.
    async fn choose(session: &Session, project: &StackFiles, target: &RollbackTarget) -> Result<Self, Stop> {
        let key = Key::from([0; 32]);
        let path = config_path(&target.snapshot_dir);
        let own = async || render_own(Tool::Run(session), project, &key).await;
        if !path.is_file() {
            session.say("No configuration is stored with this release. Using the project's Compose files.");
            return Ok(Self { rendered: own().await?, stored: None, extra: Vec::new() });
        }
        let files = [path.as_path()];
        let stored = async |name: &str| render_stored(Tool::Run(session), project, name, &files, &key).await;
        // Compose takes a while to answer, so both are requested together if the name is known beforehand.
        let likely = match &project.name {
            Some(name) => Some(name.clone()),
            None => stored_name(target.snapshot_dir.clone()).await,
        };
        let (own, early) = match &likely {
            Some(name) => {
                let (own, stored) = tokio::join!(own(), stored(name));
                (own, Some(stored))
            }
            None => (own().await, None),
        };
        let name = match (&own, &project.name) {
            (Ok(own), _) => own.name.clone(),
            (Err(_), Some(name)) => name.clone(),
            (Err(OrchestratorError::DefinitionInvalid { .. }), None) => likely.clone().unwrap_or_default(),
            (Err(_), None) => String::new(),
        };
        if name.is_empty() {
            return Err(own.err().map_or_else(|| Stop("The project has no name.".to_owned()), Stop::from));
        }
        let stored = match early.filter(|_| likely.as_deref() == Some(name.as_str())) {
            Some(stored) => stored,
            None => stored(&name).await,
        };
        match (own, stored) {
            (Ok(own), Ok(stored)) if own.run_digest == stored.run_digest => {
                Ok(Self { rendered: own, stored: None, extra: Vec::new() })
            }
            (own, Ok(stored)) => {
                let extra =
                    own.iter().flat_map(|own| &own.services).filter(|s| stored.service(&s.name).is_none());
                let extra = extra.map(|service| service.name.clone()).collect();
                session.say(
                    "The Compose files have changed since this release. Using the configuration stored with it.",
                );
                Ok(Self { rendered: stored, stored: Some(path), extra })
            }
            (Ok(own), Err(error)) => {
                session.say(&format!(
                    "The configuration stored with the release cannot be used ({error}). Using the project's Compose \
                     files."
                ));
                Ok(Self { rendered: own, stored: None, extra: Vec::new() })
            }
            (Err(error), Err(_)) => Err(error.into()),
        }
    }

    /// The Compose files that replace the project's own, if any. `by_id` are services whose image can only be
    /// referenced by its ID.
    fn files(
        &self,
        session: &Session,
        project: &StackFiles,
        by_id: &BTreeMap<String, String>,
    ) -> Result<Option<Vec<PathBuf>>, Stop> {
        if self.stored.is_none() && by_id.is_empty() {
            return Ok(None);
        }
        let mut files = self.stored.clone().map_or_else(|| project.file_paths(), |stored| vec![stored]);
        if !by_id.is_empty() {
            let path = session.dir().join("images.yaml");
            write_durably(&path, override_of(by_id).as_bytes())
                .map_err(OrchestratorError::io("write the image IDs", &path))?;
            files.push(path);
        }
        Ok(Some(files))
    }

    fn argv(&self, project: &StackFiles, files: Option<&[PathBuf]>, sub: &[&str]) -> Vec<String> {
        let Some(files) = files else { return project.argv(sub) };
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        project.argv_with(&self.rendered.name, &files, sub)
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
    before: &[Container],
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
            rollout.journal.moved_names.insert(name.clone(), is_now);
        }
        moves.insert(name, id.clone());
    }
    rollout.enter(DeployPhase::Retagging)?;
    // Written before the first name moves.
    rollout.will_change(undo)?;
    let spare = before_tag(&target.release_tag);
    for one in before.iter().filter(|one| target.images.get(&one.service) != Some(&one.image)) {
        let name = retained_name(&rendered.name, &one.service, &spare)?;
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

fn prove(rendered: &Rendered, target: &RollbackTarget, found: &[Container]) -> Vec<Proof> {
    let expected =
        rendered.expected().filter_map(|service| Some((service, target.images.get(&service.name)?)));
    expected
        .map(|(service, id)| Proof {
            service: service.name.clone(),
            expected: id.clone(),
            actual: running_ids(found, &service.name).join(","),
        })
        .collect()
}

/// Removes the services that the target does not have. Their volumes are kept.
async fn remove(session: &Session, project: &StackFiles, extra: &[String]) {
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
