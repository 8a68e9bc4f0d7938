//! Replaces containers: Compose creates them, Stagegate starts them and waits for their health.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use domain::time::human_span;

use super::super::clean_up::{clean_up, is_leftover};
use super::super::docker::Docker;
use super::super::early_stop::stop_early;
use super::super::observe::list_containers;
use super::super::probe::{Waited, wait_ready};
use super::super::start::{Starter, start};
use super::{Rollout, Stop};
use crate::container::Container;
use crate::rendered::Rendered;
use runner::{Cmd, Exit};

/// Time limit for removing everything, in addition to [`UP_TIMEOUT`]: services may have a long grace period.
const DOWN_TIMEOUT: Duration = Duration::from_secs(600);
/// How often, and with what pause, stopped containers are searched for and started again.
const AGAIN_PASSES: u32 = 8;
const AGAIN_EVERY: Duration = Duration::from_millis(500);
/// How often containers that the engine does not start are recreated.
const WEDGED_TRIES: u32 = 2;
/// Starting may wait for services that others depend on; this is the time limit in addition to their health.
const UP_TIMEOUT: Duration = Duration::from_secs(120);

/// The input for Compose to create containers.
pub(in crate::compose) struct Creation<'a> {
    /// The command.
    pub(in crate::compose) argv: Vec<String>,
    /// The directory in which it runs.
    pub(in crate::compose) dir: &'a Path,
    /// How long services may take to become healthy.
    pub(in crate::compose) health_timeout: Duration,
    /// Old containers without data; they get a short grace period.
    pub(in crate::compose) stop_early: Vec<Container>,
}

impl Rollout<'_> {
    /// The Compose arguments that create the containers; when Compose has more to do than start them, it starts them
    /// too. All images are available by now, and a registry could only deliver different ones.
    pub(in crate::compose) fn create_command(rendered: &Rendered) -> &'static [&'static str] {
        if rendered.plain_start {
            &["create", "--no-build", "--pull", "never"]
        } else {
            &["up", "-d", "--no-build", "--pull", "never"]
        }
    }

    /// Lets Compose create the containers; those that were stopped and could not be replaced are started again.
    pub(in crate::compose) async fn create(
        &mut self,
        docker: &Docker,
        rendered: &Rendered,
        before: &[Container],
        creation: Creation<'_>,
    ) -> Result<(), Stop> {
        self.created_with = Some((creation.argv.clone(), creation.dir.to_owned()));
        let created = {
            let Creation { argv, dir, health_timeout, stop_early: old } = creation;
            let mut compose = pin!(self.compose(docker, &rendered.name, argv, dir, health_timeout));
            tokio::select! {
                done = &mut compose => done,
                () = stop_early(docker, &rendered.name, old) => compose.await,
            }
        };
        if created.is_err()
            && let Err(Stop(why)) = self.start_again(docker, rendered, before).await
        {
            self.session.say(&format!("Not all containers that ran before could be started again: {why}"));
        }
        created
    }

    async fn start_again(
        &self,
        docker: &Docker,
        rendered: &Rendered,
        before: &[Container],
    ) -> Result<(), Stop> {
        let _busy = self.session.activate();
        let ran = |service: &str| before.iter().any(|one| one.is_running() && one.service == service);
        let mut refused = Ok(());
        // More than one pass: some containers are still stopping, some wait for others, and the engine may carry out
        // requests of the failed Compose only now.
        for pass in 0..AGAIN_PASSES {
            if pass > 0 {
                tokio::time::sleep(AGAIN_EVERY).await;
            }
            self.clean_up(docker, &rendered.name).await?;
            refused = Ok(());
            for one in list_containers(docker, &rendered.name).await? {
                if one.is_running() || !ran(&one.service) || is_leftover(&one.name) {
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

    /// Lets Compose remove everything.
    pub(in crate::compose) async fn down(
        &self,
        docker: &Docker,
        project: &str,
        argv: Vec<String>,
        dir: &Path,
    ) -> Result<(), Stop> {
        self.compose(docker, project, argv, dir, DOWN_TIMEOUT).await
    }

    /// Runs Compose. A requested stop waits until it is done: stopping it in the middle leaves services stopped.
    /// If it was ended nevertheless, it is run once more, which repairs the state.
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
                "Docker Compose was interrupted ({exit}). Running it again, so that no container is left half replaced."
            ));
            // It would mistake a container that it left half renamed for a finished one.
            self.clean_up(docker, project).await?;
            exit = self.session.exec(cmd).await;
            // The engine may have carried out requests of the killed Compose only now.
            self.clean_up(docker, project).await?;
        }
        if let Some(why) = self.session.stopped() {
            self.session.say(&format!(
                "Stop requested ({why}). Docker Compose was allowed to finish, so that no service is left stopped."
            ));
        }
        match exit {
            Exit::Code(0) => Ok(()),
            exit => Err(Stop(format!("Docker Compose could not replace or remove the containers ({exit})."))),
        }
    }

    /// Starts the created containers and waits until every service is healthy.
    pub(in crate::compose) async fn wait(
        &mut self,
        docker: &Docker,
        rendered: &Rendered,
        before: &[Container],
        health: Duration,
    ) -> Result<(), Stop> {
        // A requested stop is handled in there, once every service was started.
        let _busy = self.session.activate();
        let mut again = 0;
        let waited = loop {
            let stop = self.session.cancelled();
            let starter = rendered.plain_start.then(|| Starter::new(docker));
            let show = |services| self.show(services);
            match wait_ready(docker, rendered, before, starter, health, stop, show).await {
                Waited::Wedged(names) if again < WEDGED_TRIES => {
                    again += 1;
                    self.recreate(docker, rendered, &names, health).await?;
                }
                waited => break waited,
            }
        };
        Err(Stop(match waited {
            Waited::Ready => return Ok(()),
            Waited::Wedged(names) => {
                format!(
                    "The Docker engine cannot start {}: it reports them as already started.",
                    names.join(", ")
                )
            }
            Waited::Failing(all) => {
                self.seen_failing = all.iter().map(|(name, _)| name.clone()).collect();
                let each: Vec<_> = all.into_iter().map(|(name, why)| format!("{name}: {why}")).collect();
                format!("Not all services are healthy. {}.", each.join("; "))
            }
            Waited::TimedOut(names) => format!(
                "Not healthy within {}: {}.",
                human_span(u64::try_from(health.as_millis()).unwrap_or(u64::MAX)),
                names.join(", ")
            ),
            Waited::Stopped => {
                let why = self.session.stopped().map(|exit| exit.to_string()).unwrap_or_default();
                format!(
                    "Stopped while waiting for health ({why}). The containers were started and keep running."
                )
            }
            Waited::EngineGone(why) => {
                format!("The Docker engine became unreachable while waiting for health: {why}.")
            }
        }))
    }

    /// Lets Compose recreate the containers of these services; their volumes are kept.
    async fn recreate(
        &self,
        docker: &Docker,
        rendered: &Rendered,
        names: &[String],
        health: Duration,
    ) -> Result<(), Stop> {
        let Some((argv, dir)) = self.created_with.clone() else { return Ok(()) };
        self.session.say(&format!(
            "The Docker engine reports {} as already started and does not start them. Recreating their containers.",
            names.join(", ")
        ));
        let argv = argv.into_iter().chain(["--force-recreate".to_owned()]).chain(names.iter().cloned());
        self.compose(docker, &rendered.name, argv.collect(), &dir, health).await
    }

    /// Cleans up what a killed Compose left behind.
    pub(in crate::compose) async fn clean_up(&self, docker: &Docker, project: &str) -> Result<(), Stop> {
        for said in clean_up(docker, project).await? {
            self.session.say(&said);
        }
        Ok(())
    }
}
