//! The interface of this crate: a declared stack, and what runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::observed::Observed;
use runner::{Outcome, Session};
use secrets::{EnvSource, Key, SecretFile};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::compose::{self, Address};
use crate::container::{Container, LogLines};
use crate::error::Result;
use crate::file_times::FileTimes;
use crate::images::ImageInventory;
use crate::parts::{PartsReader, PartsSeen};
use crate::rendered::Rendered;
use crate::stack_files::StackFiles;
use crate::undo::TakenBack;
use crate::watcher::Watcher;
use crate::work::{DeployWork, RollbackWork};

/// A declared stack, together with what runs it. It is a handle: cheap to clone, and stored in the plans of runs.
///
/// Each `match` here is exhaustive, so a further orchestrator is a variant and the arms that the compiler then asks
/// for. Plans store [`Orchestrator::Compose`] as its files alone. A further variant needs a field that tells its plans
/// apart, and comes first: serde takes the first variant that fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Orchestrator {
    /// Docker Compose.
    Compose(StackFiles),
}

/// The declaration.
impl Orchestrator {
    /// Where the stack is declared.
    pub fn files(&self) -> &StackFiles {
        match self {
            Self::Compose(files) => files,
        }
    }

    /// The directory in which a person would type the commands.
    pub fn dir(&self) -> &Path {
        &self.files().dir
    }

    /// The declared source of the values, with an absolute path, whether there is something to read or not.
    pub fn env_source(&self) -> Option<EnvSource> {
        self.files().env_source.as_ref().map(|source| source.resolved(self.dir()))
    }

    /// The file that the command lines of this stack name, such as that of [`Orchestrator::exec_argv`]. It exists as
    /// long as the result, so that must be kept until the command has ended.
    ///
    /// # Errors
    /// [`crate::OrchestratorError::EnvFileInvalid`], when the values cannot be read or written to a file.
    pub async fn env_file(&self) -> Result<Option<SecretFile>> {
        self.files().env_file().await
    }

    /// What the configuration declares. `key` hides secret values in what is stored of it.
    ///
    /// # Errors
    /// The directory or env file is missing, the files are not valid, or the command-line tool is not installed.
    pub async fn render(&self, key: &Key) -> Result<Rendered> {
        match self {
            Self::Compose(files) => compose::render(files, key).await,
        }
    }

    /// The same for a check: a requested stop of its run ends it. The digests in the result can be compared within the
    /// run only.
    ///
    /// # Errors
    /// As [`Orchestrator::render`].
    pub async fn render_in(&self, session: &Session) -> Result<Rendered> {
        match self {
            Self::Compose(files) => compose::render_in(session, files).await,
        }
    }

    /// Times, sizes and permissions of the files that declare the stack.
    pub async fn file_times(&self) -> FileTimes {
        FileTimes::of(self.files()).await
    }

    /// A reader for the components of a release on disk. `key` belongs to this installation: with it the digests of
    /// the env file, and of the secrets in the configuration, reveal nothing.
    pub fn parts_reader(&self, key: Key) -> PartsReader {
        PartsReader::new(self.clone(), key)
    }
}

/// The state in the engine. All of this only reads.
impl Orchestrator {
    /// All containers of the stack, in order of service, except those of single commands (`docker compose run`).
    ///
    /// # Errors
    /// The engine does not respond.
    pub async fn containers(&self, rendered: &Rendered) -> Result<Vec<Container>> {
        match self {
            Self::Compose(files) => compose::containers(&Address::of(files), rendered).await,
        }
    }

    /// Begins to watch the stack. Must be called inside a Tokio runtime.
    pub fn watch(&self, key: Key) -> Watcher {
        Watcher::start(self.clone(), key)
    }

    /// Publishes the state of the stack in the engine, and the components that `parts` delivers, until the senders of
    /// `parts` are dropped.
    pub(crate) async fn follow(
        self,
        parts: watch::Receiver<Option<PartsSeen>>,
        publish: watch::Sender<Observed>,
    ) {
        match self {
            Self::Compose(files) => compose::Look::new(Address::of(&files), parts, publish).forever().await,
        }
    }

    /// The TCP ports on which processes inside of a container accept connections from outside of it.
    ///
    /// # Errors
    /// They cannot be read on this host, and the engine does not respond or has no `cat` in the container.
    pub async fn listening_ports(&self, container: &Container) -> Result<Vec<u16>> {
        match self {
            Self::Compose(files) => compose::listening_ports(&Address::of(files), container).await,
        }
    }

    /// The last `n` log lines of each container of these services, by service. A log driver whose lines the engine
    /// cannot read has none.
    ///
    /// # Errors
    /// The engine does not respond.
    pub async fn log_lines(
        &self,
        rendered: &Rendered,
        services: &[String],
        n: usize,
    ) -> Result<BTreeMap<String, LogLines>> {
        match self {
            Self::Compose(files) => compose::log_lines(&Address::of(files), rendered, services, n).await,
        }
    }

    /// The version of the engine; empty when it does not report one.
    ///
    /// # Errors
    /// The engine does not respond.
    pub async fn engine_version(&self) -> Result<String> {
        match self {
            Self::Compose(files) => {
                Ok(compose::Docker::connect(&Address::of(files)).await?.version().to_owned())
            }
        }
    }

    /// The version of the command-line tool.
    ///
    /// # Errors
    /// It is not installed, or does not respond.
    pub async fn tool_version(&self, session: &Session) -> Result<String> {
        match self {
            Self::Compose(files) => compose::tool_version(session, files).await,
        }
    }
}

/// Images that are retained for rollbacks. `stack` is the name of the stack in the engine.
impl Orchestrator {
    /// The name of the stack in the engine that is stored with a release; `None` when nothing is stored of it.
    pub async fn stored_name(&self, snapshot_dir: PathBuf) -> Option<String> {
        match self {
            Self::Compose(_) => compose::stored_name(snapshot_dir).await,
        }
    }

    /// Whether the images `ids` exist, and how large they are.
    ///
    /// # Errors
    /// The engine does not respond.
    pub async fn find_images(&self, ids: &BTreeSet<String>) -> Result<ImageInventory> {
        match self {
            Self::Compose(files) => compose::find_images(&Address::of(files), ids).await,
        }
    }

    /// Pins exactly the images `ids`, so that nothing but Stagegate removes them. Returns those from which no container
    /// can be created, so that they cannot be started either.
    ///
    /// # Errors
    /// The engine does not respond or refuses to pin for another reason, such as a full disk.
    pub async fn pin_images(&self, stack: &str, ids: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        match self {
            Self::Compose(files) => compose::pin_images(&Address::of(files), stack, ids).await,
        }
    }

    /// Removes the protective tags for which `retains` returns false, and the images that have no other name. Images
    /// that ran before a rollback to a retained release are retained too, and so are images in use. Returns the removed
    /// tags.
    ///
    /// # Errors
    /// The engine does not respond or refuses.
    pub async fn prune_images(&self, stack: &str, retains: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        match self {
            Self::Compose(files) => compose::prune_images(&Address::of(files), stack, retains).await,
        }
    }
}

/// Changes.
impl Orchestrator {
    /// The command line that runs `command` inside of a container of `service`, without a terminal and with the
    /// caller's standard input. It is to be run in [`Orchestrator::dir`] with a cleared environment, while the result of
    /// [`Orchestrator::env_file`] is kept.
    pub fn exec_argv(&self, service: &str, command: &[&str]) -> Vec<String> {
        match self {
            Self::Compose(files) => files.argv(&[&["exec", "-T", service], command].concat()),
        }
    }

    /// Undoes what the last run in the journal had changed before it changed any service. To be called only when no run
    /// is active and nothing else completes that run.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub async fn take_back_journal(&self, journal: &Path) -> Result<TakenBack> {
        match self {
            Self::Compose(files) => compose::take_back_journal(&Address::of(files), journal).await,
        }
    }
}

impl DeployWork {
    /// Executes steps (each a title and a command for `bash -c`) and then the deploy. The outcome's result is a
    /// [`crate::DeployResult`]; a deploy that fails in the preflight ends as [`runner::Exit::NotStarted`] and has
    /// changed nothing.
    ///
    /// A step that fails ends it: the outcome has the step's exit and no result. Image names that the steps moved are
    /// restored when it ends before any service is changed; other changes of the steps are not undone.
    pub async fn execute(&self, session: &Session, steps: &[(&str, &str)]) -> Outcome {
        match &self.stack {
            Orchestrator::Compose(files) => compose::deploy(session, files, self, steps).await,
        }
    }
}

impl RollbackWork {
    /// Executes a rollback. The outcome's result is a [`crate::RollbackResult`]; a rollback that fails in the preflight
    /// ends as [`runner::Exit::NotStarted`] and has changed nothing.
    pub async fn execute(&self, session: &Session) -> Outcome {
        match &self.stack {
            Orchestrator::Compose(files) => compose::rollback(session, files, self).await,
        }
    }
}
