//! Actions run in tasks of their own: a browser that closes its connection drops the request, not the action.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

use crate::Engine;
use crate::error::Error;

/// How long a stopping server waits for actions that have begun.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Counts the actions that have begun and not ended.
pub(crate) struct ActionTasks(watch::Sender<usize>);

impl Default for ActionTasks {
    fn default() -> ActionTasks {
        ActionTasks(watch::Sender::new(0))
    }
}

/// Counted for as long as it lives.
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
                "actions were still running when the server stopped; the next start settles them"
            );
        }
    }
}

impl Engine {
    /// Carries out an action in a task of its own and waits for its answer. A caller who stops waiting, such as a
    /// request whose browser has gone, does not stop the action: it is done fully, and the same idempotency key
    /// gets its answer later.
    ///
    /// # Errors
    /// Those of the action; an internal error when it panicked.
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
