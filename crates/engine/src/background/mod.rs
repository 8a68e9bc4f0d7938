//! Background tasks. Each task is a struct with its private state; it has the engine because it acts by the same rules
//! as people. Values that pages and actions read from a task (`Observation`, `AuditState`, `RetainedImages`) are
//! separate.

pub(crate) mod audit_verification;
pub(crate) mod follow_ups;
pub(crate) mod housekeeping;
pub(crate) mod image_retention;
pub(crate) mod incident;
pub(crate) mod observer;
pub(crate) mod recovery;
mod refusal_recorder;
pub(crate) mod retention;
pub(crate) mod run_completion;
pub(crate) mod run_watch;
pub(crate) mod scheduler;

use std::time::Duration;

use secrets::Key;
use tokio::sync::oneshot;

use crate::Engine;
use crate::error::Error;
use audit_verification::AuditVerifier;
use housekeeping::Housekeeping;
use image_retention::ImageRetention;
use observer::Observer;
use refusal_recorder::RefusalRecorder;
use run_watch::RunSweeper;
use scheduler::Scheduler;

/// How long the start waits for the first observation of the stack.
const FIRST_LOOK_TIMEOUT: Duration = Duration::from_secs(4);

impl Engine {
    /// Starts the background tasks, after the first observation of the stack or a timeout.
    ///
    /// # Errors
    /// The runs that continued without a server cannot be read.
    pub(crate) async fn start_background(&self, key: Key) -> Result<(), Error> {
        let (first, looked) = oneshot::channel();
        let engine = self.clone();
        tokio::spawn(async move { Observer::new(engine, key, first).await.run().await });
        tokio::spawn(ImageRetention::new(self.clone()).run());
        let _ = tokio::time::timeout(FIRST_LOOK_TIMEOUT, looked).await;
        self.resume_runs().await?;
        tokio::spawn(RunSweeper::new(self.clone()).run());
        tokio::spawn(AuditVerifier::new(self.clone()).run());
        tokio::spawn(Housekeeping::new(self.clone()).run());
        tokio::spawn(Scheduler::new(self.clone()).run());
        tokio::spawn(RefusalRecorder::new(self.clone()).run());
        Ok(())
    }
}
