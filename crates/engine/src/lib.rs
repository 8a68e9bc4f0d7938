//! The state of a stack, the actions of people on it, and the background tasks. Pages and commands use [`Engine`].
//!
//! `assessment` applies the rules to the facts of one moment, `actions` are what people do, `pages` what they are
//! shown, `background` the tasks. There is no HTML and no HTTP server in this crate.

mod actions;
mod assessment;
mod background;
mod error;
mod pages;
mod retained_images;
mod stack;
mod stack_urls;
pub mod view;

use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock};

use domain::facts::Actor;
use domain::observed::Observed;
use domain::runbook::Problem;
use domain::time::Millis;
use tokio::sync::watch;

pub use actions::accept_records::AcceptError;
pub use actions::{Access, Ctx, Deployment, NewPerson, Origin, Proof, Restart, Return, SignedIn};
pub use auth::passwords::SHORTEST as SHORTEST_PASSWORD;
pub use auth::tokens::Token;
pub use background::housekeeping::Tidied;
pub use background::retention::{PruneMode, Pruned, Rotation};
pub use error::{Error, ErrorKind, FormField};
pub use secrets::KeyError;
pub use stack::{KeptEnv, kept_env};
pub use stack_urls::{StackUrl, UrlRefusal};
pub use store::sessions::PERSON_KEY as SESSION_PERSON;
pub use store::sessions::id_hash as session_hash;
pub use view::Done;

use assessment::Assessment;
use assessment::snapshot::StoreSnapshot;
use auth::confirmations::Confirmations;
use auth::passwords::{Cost, Passwords};
use auth::refusals::Refusals;
use auth::throttle::Throttle;
use background::audit_verification::AuditState;
use background::observer::Observation;
use retained_images::RetainedImages;
use secrets::Key;
use stack::Stack;
use store::Store;
use store::sessions::Sessions;

/// The paths of files and directories.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The stack's `stagegate.toml`.
    pub config: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// The directory of the runs, in the data directory.
    pub runs: PathBuf,
    /// This binary, which supervises runs.
    pub exe: PathBuf,
}

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `stagegate.toml` or its runbook cannot be used; with all problems, not only the first.
    #[error("{} cannot be used:\n{}", .file.display(), list(.problems))]
    Config {
        /// The file.
        file: PathBuf,
        /// The problems.
        problems: Vec<Problem>,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// A key file cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Something else.
    #[error(transparent)]
    Engine(#[from] Error),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|p| format!("  {p}")).collect::<Vec<_>>().join("\n")
}

/// The engine: one for each data directory. Clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    paths: Paths,
    store: Store,
    stack: RwLock<Arc<Stack>>,
    snapshot: RwLock<Arc<StoreSnapshot>>,
    observation: Observation,
    audit: AuditState,
    /// The last judgement, reused as long as no fact changes.
    assessment: Mutex<Option<Arc<Assessment>>>,
    /// Counts changes of anything shown; pages listen to it.
    revision: watch::Sender<u64>,
    tails: runner::Tails,
    passwords: Passwords,
    /// Proves that sessions and known browsers were created by this installation.
    session_key: Key,
    throttle: Mutex<Throttle>,
    confirmations: Mutex<Confirmations>,
    sessions: Sessions,
    /// Refused sign-ins, counted in memory so that they cannot fill the audit log.
    refusals: Mutex<Refusals>,
    /// Newest audit event that changed nothing on pages, as long as no other event came in between.
    quiet_head: AtomicI64,
    /// The disk usage when it was last measured.
    storage: RwLock<Option<view::Storage>>,
    images: Arc<RetainedImages>,
    /// One refresh at a time, so that an older reading never replaces a newer one.
    refreshing: tokio::sync::Mutex<()>,
    /// Held by actions whose rules depend on other actions, so that the facts on which an action was allowed still
    /// apply when it begins.
    acting: tokio::sync::Mutex<()>,
    /// The runs that are being followed.
    watched: background::run_watch::InHand,
    /// The follow-ups that are being carried out.
    following: background::run_watch::InHand,
    /// The actions in progress.
    actions: actions::action_tasks::ActionTasks,
    /// The server's rule for addresses of the stack.
    url_rule: OnceLock<stack_urls::UrlRule>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("paths", &self.0.paths).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the data directory and reads the configuration. Starts nothing yet: see [`Engine::start_up`].
    pub async fn open(config: PathBuf, data: PathBuf, exe: PathBuf) -> Result<Engine, StartError> {
        let images = Arc::new(RetainedImages::default());
        let loaded = runbook::Config::load(&config)
            .map_err(|problems| StartError::Config { file: config.clone(), problems })?;
        let stack = Stack::of(loaded, images.clone());
        let store = Store::open(&data).await?;
        let snapshot = StoreSnapshot::load(&store, stack.keep, &StoreSnapshot::default()).await?;
        let key = secrets::installation_key(&data, "session.key", "all users must sign in again")?;
        let session_key = Key::from(key);
        let sessions = Sessions::new(store.clone(), session_key.clone());
        let passwords = Passwords::new(Cost::STANDARD).map_err(Error::from)?;
        let paths = Paths { runs: data.join("runs"), config, data, exe };
        Ok(Engine(Arc::new(Inner {
            paths,
            store,
            stack: RwLock::new(Arc::new(stack)),
            snapshot: RwLock::new(Arc::new(snapshot)),
            observation: Observation::default(),
            audit: AuditState::default(),
            assessment: Mutex::default(),
            revision: watch::Sender::new(1),
            tails: runner::Tails::default(),
            passwords,
            session_key,
            throttle: Mutex::new(Throttle::new()),
            confirmations: Mutex::default(),
            sessions,
            refusals: Mutex::default(),
            quiet_head: AtomicI64::new(0),
            storage: RwLock::default(),
            images,
            refreshing: tokio::sync::Mutex::new(()),
            acting: tokio::sync::Mutex::new(()),
            watched: background::run_watch::InHand::default(),
            following: background::run_watch::InHand::default(),
            actions: actions::action_tasks::ActionTasks::default(),
            url_rule: OnceLock::new(),
        })))
    }

    /// Starts to observe the stack, and resumes runs that continued without a server.
    pub async fn start_up(&self) -> Result<(), Error> {
        let key = self.keys().await?;
        let now = self.now();
        let settled = self
            .0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    store::audit::settle_orphans(&mut *tx, now).await?;
                    actions::claims::settle_abandoned(tx).await
                })
            })
            .await;
        match settled {
            Err(store::StoreError::Full) => {
                // The board must start: a rollback frees disk space. The next start completes or aborts them.
                tracing::warn!(
                    "the disk is full: unfinished actions of the last server stay open until the next start"
                );
            }
            settled => settled.map(|_| ()).map_err(Error::from)?,
        }
        if let Err(error) = system::disk_reserve::keep(&self.paths().data) {
            tracing::warn!(%error, "disk space for a rollback could not be reserved");
        }
        self.start_background(key).await
    }

    /// The stack's name.
    pub fn stack_name(&self) -> String {
        self.stack().name.clone()
    }

    /// Counts changes of anything that pages show.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.0.revision.subscribe()
    }

    /// The person, if they may sign in.
    pub fn actor(&self, id: i64) -> Option<Actor> {
        self.snapshot().actor(id)
    }

    /// The session store for the server.
    pub fn sessions(&self) -> Sessions {
        self.0.sessions.clone()
    }

    /// Waits a bounded time for actions in progress, writes queued changes and closes the store.
    pub async fn close(&self) {
        self.0.actions.wait().await;
        self.record_refusals(true).await;
        self.0.store.close().await;
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The paths of files and directories.
    pub fn paths(&self) -> &Paths {
        &self.0.paths
    }

    pub(crate) fn now(&self) -> Millis {
        system::clock::now()
    }

    pub(crate) fn stack(&self) -> Arc<Stack> {
        self.0.stack.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    pub(crate) fn snapshot(&self) -> Arc<StoreSnapshot> {
        self.0.snapshot.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    pub(crate) fn observed(&self) -> Arc<Observed> {
        self.0.observation.observed()
    }

    pub(crate) fn subject(&self) -> String {
        self.0.observation.subject()
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    pub(crate) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.0.throttle.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn tails(&self) -> &runner::Tails {
        &self.0.tails
    }

    /// Tells open pages that something may have changed.
    pub(crate) fn bump(&self) {
        self.0.revision.send_modify(|r| *r += 1);
    }

    /// Tells the observer to observe the stack now.
    pub(crate) fn look_again(&self) {
        self.0.observation.look_again();
    }

    /// Takes the turn, so that actions that depend on one another run one after another. It is taken before the rules
    /// are checked, so that they are checked against everything that was stored before.
    ///
    /// # Errors
    /// The store cannot be read: rules that are checked against an older state could allow too much.
    pub(crate) async fn in_turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        let turn = self.0.acting.lock().await;
        self.up_to_date().await?;
        self.end_lost_runs().await?;
        Ok(turn)
    }

    /// The same for actions that must always work, such as a rollback: with the state that was read last if no newer
    /// one can be read.
    pub(crate) async fn in_turn_even_if_stale(&self) -> tokio::sync::MutexGuard<'_, ()> {
        let turn = self.0.acting.lock().await;
        let fresh = async {
            self.up_to_date().await?;
            self.end_lost_runs().await
        };
        if let Err(error) = fresh.await {
            tracing::error!(%error, "the store cannot be read; continuing with the state that was read last");
        }
        turn
    }

    /// Reads what was stored since the store was last read, by this process or another one, such as the command line.
    pub(crate) async fn up_to_date(&self) -> Result<(), Error> {
        self.refresh().await
    }

    /// The same in the background, where it is retried soon.
    pub(crate) async fn catch_up(&self) {
        if let Err(error) = self.up_to_date().await {
            tracing::debug!(%error, "the store could not be read; trying again");
        }
    }

    /// Reads the store again after a change that is already stored: a failure here must not be reported as a failure
    /// of the change. The next action and [`Engine::catch_up`] read it again.
    pub(crate) async fn refresh_or_later(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "stored changes could not be read yet; trying again");
        }
    }

    /// Reads what was written to the store since it was last read: only the parts that differ are read again, and if
    /// none differs, open pages are not refreshed.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let _one = self.0.refreshing.lock().await;
        let before = self.snapshot();
        let keep = self.stack().keep;
        // Writes from outside of Stagegate may not have updated the revisions: then everything is read again.
        let others = match self.0.store.others().await {
            Ok(others) => !self.has_seen(&others),
            Err(error) => {
                tracing::debug!(%error, "the store could not be read; trying again");
                false
            }
        };
        let from = if others { Arc::default() } else { Arc::clone(&before) };
        let snapshot = StoreSnapshot::load(&self.0.store, keep, &from).await?;
        // If another connection has written, the rows are compared with the audit log before they are judged.
        self.check_what_others_wrote(&snapshot).await;
        // Events that change nothing on pages do not refresh them.
        let seen = before.revisions.head().max(self.quiet_head());
        let same = snapshot.revisions.same_parts(&before.revisions) && snapshot.revisions.head() <= seen;
        if same && !others && snapshot.targets == before.targets {
            return Ok(());
        }
        *self.0.snapshot.write().unwrap_or_else(|e| e.into_inner()) = Arc::new(snapshot);
        self.bump();
        Ok(())
    }
}
