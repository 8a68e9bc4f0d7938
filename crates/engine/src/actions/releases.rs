//! Opening, deploying, rolling back.

use domain::choice::{DatabaseChoice, EnvChoice, VolumesChoice};
use domain::release::{Release, ReleaseState};

use super::Ctx;
use super::runs::{Start, rollback_images};
use crate::Engine;
use crate::actions::confirmed::as_shown;
use crate::assessment::{Assessment, all, when};
use crate::error::{Error, FormField};
use crate::view::{Done, EnvSince, RestartOffer, Shown};
use orchestrator::{
    DatabaseAction, DeployWork, Removal, RollbackTarget, RollbackWork, release_tag, snapshot_dir,
};
use secrets::EnvCopy;
use store::audit::AuditAction;
use store::runs::RunKind;
use supervisor::{BeforeDeploy, Work};
use system::files::off_thread;

/// A deploy may take this long in addition to the health timeout: builds are slow the first time.
const BUILD_MS: u64 = 45 * 60_000;
/// A rollback may take this long in addition to the health timeout.
const RETURN_MS: u64 = 10 * 60_000;

/// A requested rollback.
#[derive(Debug, Clone, Default)]
pub struct Return {
    /// The target release.
    pub release: i64,
    /// What happens to the database.
    pub database: DatabaseChoice,
    /// What happens to the env file.
    pub env: EnvChoice,
    /// The text typed to confirm; the stack's name for a new database.
    pub typed: String,
    /// Digest of what the confirmation showed ([`crate::view::RollbackOffer::digest`]). `None` for a rollback that no
    /// person confirmed on a page, such as a recovery.
    pub shown: Option<String>,
}

impl Return {
    /// A rollback to a release that keeps database and env file.
    pub fn to(release: i64) -> Return {
        Return { release, ..Return::default() }
    }
}

/// A requested clean restart.
#[derive(Debug, Clone, Default)]
pub struct Restart {
    /// What happens to the volumes.
    pub volumes: VolumesChoice,
    /// The text typed to confirm; the stack's name to remove volumes.
    pub typed: String,
    /// Digest of what the confirmation showed ([`RestartOffer::digest`]).
    pub shown: String,
}

/// A confirmed deploy.
#[derive(Debug, Clone, Default)]
pub struct Deployment {
    /// What the confirmation showed.
    pub shown: Shown,
    /// Skips the backup before the deploy, for a database that cannot be backed up.
    pub without_backup: bool,
}

impl Engine {
    /// Opens a release from the checkout, which must be the one in `shown`.
    pub async fn open_release(&self, ctx: &Ctx, shown: &Shown) -> Result<Done, Error> {
        let (_turn, assessment) = self.turn_after_a_look().await?;
        let allowed = all([assessment.offer_open(&ctx.actor), assessment.still_shows(shown)]);
        let params = [shown.digest.as_str()];
        self.execute(
            ctx,
            AuditAction::ReleaseOpen,
            &assessment.observed.subject,
            &params,
            allowed,
            async |mut begun| {
                let id = self.open_release_row(ctx, &assessment).await?;
                begun.act.on_release(id);
                let done = Done {
                    to: "/".to_owned(),
                    said: format!("Release #{id} is open. The board now shows this release."),
                };
                self.store_done(begun, done, String::new(), |_| Box::pin(async { Ok(()) })).await
            },
        )
        .await
    }

    /// Deploys the checkout, which must be the one that was shown when the deploy was confirmed.
    pub async fn deploy(&self, ctx: &Ctx, wish: &Deployment) -> Result<Done, Error> {
        let (_turn, assessment) = self.turn_after_a_look().await?;
        let allowed = all([assessment.offer_deploy(&ctx.actor), assessment.still_shows(&wish.shown)]);
        let backup = !wish.without_backup;
        let how = if backup { "" } else { "without backup" };
        let params = [how, wish.shown.digest.as_str()];
        self.execute(ctx, AuditAction::DeployStart, &assessment.stack.name, &params, allowed, async |begun| {
            // A release that was deployed before keeps its images; a new build is a new release.
            let release = match assessment.release() {
                Some(r) if r.state == ReleaseState::Opened && assessment.moved_parts().is_empty() => r.id,
                _ => self.open_release_row(ctx, &assessment).await?,
            };
            let start = self.deploy_plan(&assessment, release, backup);
            self.start(ctx, begun, start).await
        })
        .await
    }

    fn deploy_plan(&self, assessment: &Assessment, release: i64, backup: bool) -> Start {
        let stack = &assessment.stack;
        let backup = assessment.backup_before_deploy().filter(|_| backup).map(|command| BeforeDeploy {
            title: "Backup of the database".to_owned(),
            command: command.clone(),
        });
        let steps = stack.steps_before.iter().filter_map(|id| stack.runbook.step(id));
        let steps = steps.map(|s| BeforeDeploy { title: s.title.clone(), command: s.command.clone() });
        let before = backup.into_iter().chain(steps).collect();
        let commit =
            assessment.observed.parts.get(domain::release::ReleaseComponent::Commit).unwrap_or_default();
        let deploy = DeployWork {
            stack: stack.orchestrator.clone(),
            release_tag: release_tag(release),
            build: true,
            commit: Some(commit.clone()).filter(|commit| !commit.is_empty()),
            build_env: [("GIT_COMMIT".to_owned(), commit)].into(),
            health_timeout_ms: stack.health_timeout_ms,
            migrations_cmd: stack.migrations.clone(),
            snapshot_dir: self.snapshot_dir(release),
            env_copy: stack.env_copy.clone(),
        };
        Start {
            kind: RunKind::Deploy,
            subject: format!("release {release}"),
            gate: None,
            title: format!("Deploy release #{release}"),
            release,
            // The checkout is what will run, independent of the release before it.
            parts: assessment.observed.parts.clone(),
            work: Work::Deploy { before, deploy: Box::new(deploy), smoke: self.smoke(assessment) },
            timeout_ms: BUILD_MS + stack.health_timeout_ms,
            locks: true,
        }
    }

    /// Rolls back to a release.
    pub async fn roll_back(&self, ctx: &Ctx, wish: &Return) -> Result<Done, Error> {
        // Before the turn, so that other actions do not have to wait for a Docker engine that does not answer.
        self.make_room().await;
        let _turn = self.in_turn_even_if_stale().await;
        let assessment = self.assessment();
        let target = self
            .find_release(wish.release)
            .await?
            .ok_or_else(|| Error::not_found(format!("Release {}", wish.release)))?;
        let db = database_action(&assessment, wish.database, &wish.typed)?;
        let env = env_choice(&assessment, wish.env)?;
        let offer = assessment.rollback_to(&ctx.actor, &target);
        let allowed = all([
            when(!target.parts.images.is_empty() && target.deployed_at.is_some(), || {
                "This release was never deployed successfully on this host.".to_owned()
            }),
            when(env.is_none() || offer.env != EnvSince::Changed, || {
                "No copy of this release's env file was kept. Choose to keep the current env file.".to_owned()
            }),
            offer.offer.clone(),
            as_shown(
                wish.shown.as_deref().unwrap_or(&offer.digest),
                &offer.digest,
                "The plan of this rollback",
            ),
        ]);
        let subject = target.name();
        let shown = wish.shown.as_deref().unwrap_or_default();
        let params = [wish.database.value(), wish.env.value(), shown];
        self.execute(ctx, AuditAction::RollbackStart, &subject, &params, allowed, async |begun| {
            let mut rollback = self.rollback_work(&assessment, &target, offer.services.clone(), db);
            rollback.env = env;
            let title = format!("Roll back to release {}", target.name());
            self.start(ctx, begun, self.return_plan(&assessment, &target, title, rollback)).await
        })
        .await
    }

    /// Removes all containers and recreates them from the images of a healthy release: the running one, otherwise the
    /// first rollback target.
    pub async fn clean_restart(&self, ctx: &Ctx, wish: &Restart) -> Result<Done, Error> {
        self.make_room().await;
        let _turn = self.in_turn_even_if_stale().await;
        let assessment = self.assessment();
        let removal = removal_choice(&assessment, wish.volumes, &wish.typed)?;
        let RestartOffer { target, offer, digest, .. } = assessment.offer_restart(&ctx.actor);
        let allowed = all([offer, as_shown(&wish.shown, &digest, "The plan of this restart")]);
        let subject = target.as_ref().map(Release::name).unwrap_or_default();
        let params = [wish.volumes.value(), &wish.shown];
        self.execute(ctx, AuditAction::RestartStart, &subject, &params, allowed, async |begun| {
            let target = target.clone().ok_or_else(|| Error::refused("There is no release to start."))?;
            let changed = target.parts.changed_services(&assessment.observed.parts);
            let mut work = self.rollback_work(&assessment, &target, changed, DatabaseAction::KeepSchema);
            let volumes =
                if matches!(removal, Removal::Volumes { .. }) { ", with empty volumes" } else { "" };
            work.removal = removal;
            let title = format!("Clean restart on release {}{volumes}", target.name());
            self.start(ctx, begun, self.return_plan(&assessment, &target, title, work)).await
        })
        .await
    }

    fn return_plan(
        &self,
        assessment: &Assessment,
        target: &Release,
        title: String,
        work: RollbackWork,
    ) -> Start {
        Start {
            kind: RunKind::Rollback,
            subject: format!("release {}", target.id),
            gate: None,
            title,
            release: target.id,
            parts: target.parts.clone(),
            work: Work::Rollback { rollback: Box::new(work), smoke: self.smoke(assessment) },
            timeout_ms: RETURN_MS + assessment.stack.health_timeout_ms,
            locks: true,
        }
    }

    /// Releases the disk space that is reserved for a rollback, and checks whether the images exist.
    async fn make_room(&self) {
        let data = self.paths().data.clone();
        match off_thread(move || system::disk_reserve::release(&data)).await.and_then(|released| released) {
            Ok(true) => {
                tracing::warn!("the disk is full: the disk space reserved for a rollback was released")
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "the disk space reserved for a rollback could not be released")
            }
        }
        self.look_for_images_first().await;
    }

    fn rollback_work(
        &self,
        assessment: &Assessment,
        target: &Release,
        changed: Vec<String>,
        database: DatabaseAction,
    ) -> RollbackWork {
        let stack = &assessment.stack;
        RollbackWork {
            stack: stack.orchestrator.clone(),
            target: RollbackTarget {
                release_tag: release_tag(target.id),
                images: target.parts.images.clone(),
                snapshot_dir: self.snapshot_dir(target.id),
            },
            health_timeout_ms: stack.health_timeout_ms,
            changed,
            stateless: stack.stateless.clone(),
            database,
            removal: Removal::Nothing,
            env: None,
        }
    }

    /// Rolls back to the last good release and returns, as an exercise; the schema stays. `shown` is the digest of what
    /// the confirmation showed.
    pub async fn drill(&self, ctx: &Ctx, shown: &str) -> Result<Done, Error> {
        self.look_for_images_first().await;
        let (_turn, assessment) = self.turn_after_a_look().await?;
        let (target, offer) = assessment.offer_drill(&ctx.actor);
        let now = assessment.drill_digest(target.as_ref());
        let allowed = all([offer, as_shown(shown, &now, "The plan of this drill")]);
        let subject = target.as_ref().map(Release::name).unwrap_or_default();
        self.execute(ctx, AuditAction::DrillStart, &subject, &[shown], allowed, async |begun| {
            let missing = || Error::refused("There is no earlier release to roll back to.");
            let target = target.clone().ok_or_else(missing)?;
            let current = assessment.release().cloned().ok_or_else(missing)?;
            let changed = target.parts.changed_services(&current.parts);
            let work_to = |to: &Release| {
                Box::new(self.rollback_work(&assessment, to, changed.clone(), DatabaseAction::KeepSchema))
            };
            let work = Work::Drill {
                away: work_to(&target),
                back: work_to(&current),
                smoke: self.smoke(&assessment),
                records: assessment.stack.checks.iter().filter(|c| !c.spec.can_be_run()).cloned().collect(),
            };
            let start = Start {
                kind: RunKind::Drill,
                subject: format!("release {}", target.id),
                gate: None,
                title: format!("Drill: to release {} and back", target.name()),
                release: current.id,
                parts: current.parts.clone(),
                work,
                timeout_ms: 2 * (RETURN_MS + assessment.stack.health_timeout_ms),
                locks: true,
            };
            self.start(ctx, begun, start).await
        })
        .await
    }

    fn smoke(&self, assessment: &Assessment) -> Vec<checks::ProbeWork> {
        let points = rollback_images(assessment);
        assessment
            .stack
            .smoke
            .iter()
            .filter_map(|id| assessment.stack.check(id))
            .map(|c| assessment.stack.probe(c, &points))
            .collect()
    }

    /// The directory of a release's stored files.
    pub(crate) fn snapshot_dir(&self, release: i64) -> std::path::PathBuf {
        snapshot_dir(&self.paths().data, release)
    }
}

fn database_action(
    assessment: &Assessment,
    choice: DatabaseChoice,
    typed: &str,
) -> Result<DatabaseAction, Error> {
    let stack = &assessment.stack;
    match choice {
        DatabaseChoice::Keep => Ok(DatabaseAction::KeepSchema),
        DatabaseChoice::Rollback => {
            let command = stack.db_rollback.clone().ok_or_else(|| {
                Error::invalid("This stack declares no command that rolls its database back (db_rollback).")
            })?;
            Ok(DatabaseAction::RollbackCommand(command))
        }
        DatabaseChoice::Fresh => {
            let (Some(backup), Some(fresh)) = (&stack.db_backup, &stack.db_fresh) else {
                return Err(Error::invalid(
                    "This stack declares no commands that back up and recreate its database (db_backup, db_recreate).",
                ));
            };
            confirm_by_name(assessment, typed, "A new database deletes all current data.")?;
            Ok(DatabaseAction::Recreate { backup: backup.clone(), recreate: fresh.clone() })
        }
    }
}

/// An action that cannot be undone requires that the stack's name is typed.
fn confirm_by_name(assessment: &Assessment, typed: &str, why: &str) -> Result<(), Error> {
    let name = &assessment.stack.name;
    if typed.trim() == name {
        return Ok(());
    }
    Err(Error::invalid(format!("{why} To confirm, type the stack's name: {name}"))
        .in_field(FormField::StackName))
}

fn env_choice(assessment: &Assessment, choice: EnvChoice) -> Result<Option<EnvCopy>, Error> {
    match choice {
        EnvChoice::Keep => Ok(None),
        EnvChoice::Restore => {
            let copy = assessment.stack.env_copy.clone();
            copy.map(Some).ok_or_else(|| Error::invalid("This stack keeps no copies of its env file."))
        }
    }
}

fn removal_choice(assessment: &Assessment, choice: VolumesChoice, typed: &str) -> Result<Removal, Error> {
    let stack = &assessment.stack;
    match choice {
        VolumesChoice::Keep => Ok(Removal::Containers),
        VolumesChoice::Remove => {
            confirm_by_name(assessment, typed, "Removing the volumes deletes all data of the stack.")?;
            Ok(Removal::Volumes { backup: stack.db_backup.clone(), recreate: stack.db_fresh.clone() })
        }
    }
}
