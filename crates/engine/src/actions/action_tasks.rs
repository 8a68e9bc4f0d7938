//! Actions run in separate tasks: a browser that closes its connection aborts the request, not the action.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

use crate::Engine;
use crate::error::Error;

/// How long a stopping server waits for actions that have begun.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Counts the actions that are in progress.
pub(crate) struct ActionTasks(watch::Sender<usize>);

impl Default for ActionTasks {
    fn default() -> ActionTasks {
        ActionTasks(watch::Sender::new(0))
    }
}

/// An action in progress; counted until it is dropped.
struct Counted(watch::Sender<usize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl ActionTasks {
    fn count(&self) -> Counted {
        self.0.send_modify(|running| *running += 1);
        Counted(self.0.clone())
    }

    /// Waits until no action is running, for a bounded time.
    pub(crate) async fn wait(&self) {
        let mut running = self.0.subscribe();
        let ended = tokio::time::timeout(STOP_TIMEOUT, running.wait_for(|running| *running == 0)).await;
        if ended.is_err() {
            tracing::error!(
                "actions were still running when the server stopped; the next start completes or aborts them"
            );
        }
    }
}

impl Engine {
    /// Runs an action in a separate task and waits for its answer. If the caller stops waiting, for instance because
    /// the browser has closed the connection, the action still completes, and the same idempotency key gets its answer
    /// later.
    ///
    /// # Errors
    /// The errors of the action; an internal error when it panicked.
    pub async fn run_action<T, F>(&self, action: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let counted = self.0.actions.count();
        let task = tokio::spawn(async move {
            let _counted = counted;
            action.await
        });
        task.await.unwrap_or_else(|error| Err(Error::internal(error)))
    }
}
