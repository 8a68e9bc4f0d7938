//! The stack: `stagegate.toml` and its runbook as last read. If a changed file cannot be read, the last valid version
//! stays in use and the board shows the problem.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::check::Check;
use domain::role::Role;
use domain::rules::Rules;
use domain::runbook::{Problem, Runbook, StepKind};

use crate::StartError;
use crate::error::{Error, sentence};
use crate::retained_images::RetainedImages;
use checks::ProbeWork;
use orchestrator::{Orchestrator, StackFiles, open_replaced_env, release_tag, snapshot_dir};
use preflight::{Preflight, preflight};
use runbook::{Config, Loaded, OnFailedDeploy, Retention};
use secrets::{EnvCopy, EnvSource};
use supervisor::SetupStep;

/// The content of the files.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stack {
    pub name: String,
    pub dir: PathBuf,
    pub orchestrator: Orchestrator,
    pub runbook: Runbook,
    pub runbook_path: PathBuf,
    pub checks: Vec<Check>,
    pub attest: Vec<String>,
    pub rules: Rules,
    pub gate_owners: BTreeMap<String, Vec<Role>>,
    pub urls: BTreeMap<String, String>,
    pub env_example: Option<PathBuf>,
    pub public_keys: Vec<String>,
    pub stateless: Vec<String>,
    pub health_timeout_ms: u64,
    pub migrations: Option<String>,
    pub db_rollback: Option<String>,
    pub db_backup: Option<String>,
    /// Back up the database before every deploy except the first.
    pub backup_before: bool,
    pub db_fresh: Option<String>,
    pub smoke: Vec<String>,
    pub steps_before: Vec<String>,
    pub on_failed_deploy: OnFailedDeploy,
    pub problems: Vec<Problem>,
    pub preflight: Preflight,
    /// Number of rollback targets whose images are retained.
    pub keep: usize,
    /// What is removed after some time.
    pub retention: Retention,
    /// How copies of the env file are encrypted, if they are kept.
    pub env_copy: Option<EnvCopy>,
    pub images: std::sync::Arc<RetainedImages>,
}

impl Stack {
    /// Converts the loaded files into the form that the engine uses, and runs preflight. Blocks.
    pub(crate) fn of(loaded: Loaded, images: std::sync::Arc<RetainedImages>) -> Stack {
        let Loaded { config, runbook, mut problems } = loaded;
        let preflight = preflight(&config, &runbook);
        let env_copy = env_copy(&config);
        let dir = std::path::absolute(&config.stack.directory).unwrap_or(config.stack.directory);
        let within = |path: &Path| dir.join(path);
        // Problems of `stagegate.toml`, such as old names of keys, are also written to the log.
        let file = config.path.display().to_string();
        for problem in problems.iter().filter(|p| p.file.as_deref() == Some(&file)) {
            tracing::info!("{problem}");
        }
        problems.extend(runbook.problems.iter().cloned());
        Stack {
            name: config.stack.name,
            orchestrator: Orchestrator::Compose(StackFiles {
                name: config.stack.project,
                dir: dir.clone(),
                files: config.stack.files.iter().map(|f| within(f)).collect(),
                env_source: EnvSource::declared(&dir, config.stack.env_file.as_deref()),
                engine: None,
            }),
            runbook,
            runbook_path: config.runbook,
            checks: config.checks,
            attest: config.attest,
            rules: config.rules,
            gate_owners: config.gate_owners,
            urls: config.stack.urls,
            env_example: config.stack.env_example.as_deref().map(within),
            public_keys: config.stack.public_keys,
            stateless: config.stack.stateless,
            health_timeout_ms: config.deploy.health_timeout_ms,
            migrations: config.deploy.migrations,
            db_rollback: config.deploy.db_rollback,
            db_backup: config.deploy.db_backup,
            backup_before: config.deploy.backup_before,
            db_fresh: config.deploy.db_fresh,
            smoke: config.deploy.smoke,
            steps_before: config.deploy.steps_before,
            on_failed_deploy: config.deploy.on_failed,
            problems,
            preflight,
            keep: config.rollback.keep,
            retention: config.retention,
            env_copy,
            images,
            dir,
        }
    }

    pub(crate) fn check(&self, id: &str) -> Option<&Check> {
        self.checks.iter().find(|c| c.id == id)
    }

    /// The gate whose acceptance makes a deployed release a validated rollback target: F, otherwise the last gate
    /// before the decision.
    pub(crate) fn rollback_gate(&self) -> Option<&str> {
        let decision = domain::item::decision_gate(&self.runbook);
        let gates: Vec<&str> = self
            .runbook
            .gates
            .iter()
            .map(|g| g.id.as_str())
            .filter(|g| Some(*g) != decision.as_deref())
            .collect();
        gates.iter().find(|g| **g == "F").or(gates.last()).copied()
    }

    /// The steps that these checks require and that none of them judges, in the runbook's order. Manual steps, steps
    /// that start the stack and rollback steps are left to people.
    pub(crate) fn setup_of(&self, checks: &[Check]) -> Vec<SetupStep> {
        let wanted = |id: &str| checks.iter().any(|c| c.schedule.after.iter().any(|a| a == id));
        let is_judged = |id: &str| checks.iter().any(|c| c.spec.step() == Some(id));
        self.runbook
            .steps
            .iter()
            .filter(|s| wanted(&s.id) && !is_judged(&s.id) && !s.manual && !s.deploys())
            .filter(|s| s.kind != StepKind::Rollback)
            .map(|s| SetupStep { id: s.id.clone(), title: s.title.clone(), command: s.command.clone() })
            .collect()
    }

    /// What a supervisor needs to run a check.
    pub(crate) fn probe(&self, check: &Check, rollback_images: &[BTreeMap<String, String>]) -> ProbeWork {
        let command = match &check.spec {
            domain::check::CheckSpec::Command { step: Some(step), .. } => {
                self.runbook.step(step).map(|s| s.command.clone())
            }
            domain::check::CheckSpec::Command { run, .. } => run.clone(),
            _ => None,
        };
        ProbeWork {
            check: check.clone(),
            stack: self.orchestrator.clone(),
            urls: self.urls.clone(),
            command,
            env_example: self.env_example.clone(),
            rollback_images: rollback_images.to_vec(),
        }
    }
}

fn env_copy(config: &Config) -> Option<EnvCopy> {
    let key = config.rollback.env_copy_key.as_ref()?;
    Some(EnvCopy {
        key: std::path::absolute(key).unwrap_or_else(|_| key.clone()),
        stack: config.stack.name.clone(),
    })
}

/// Which env file [`kept_env`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptEnv {
    /// The one with which the release was deployed.
    OfRelease,
    /// The one that the last rollback to the release has replaced.
    Replaced,
}

/// An env file that is kept with a release. Reads only files, so it works without a running server.
///
/// # Errors
/// The configuration cannot be used, or there is no such copy. The message is for people.
pub fn kept_env(config: &Path, data: &Path, release: i64, which: KeptEnv) -> Result<Vec<u8>, StartError> {
    let loaded =
        Config::load(config).map_err(|problems| StartError::Config { file: config.to_owned(), problems })?;
    let copy = env_copy(&loaded.config).ok_or_else(|| {
        Error::invalid("No copies of the env file are kept: [rollback] has no env_copy_key.")
    })?;
    let snapshot = snapshot_dir(data, release);
    let opened = match which {
        KeptEnv::OfRelease => copy.open(&snapshot, &release_tag(release)),
        KeptEnv::Replaced => open_replaced_env(&copy, &snapshot),
    };
    opened.map_err(|error| Error::unavailable(sentence(&error.to_string())).into())
}
