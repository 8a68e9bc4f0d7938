//! An action in progress: its intent is stored before anything happens, its outcome afterwards.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::time::Millis;
use sqlx::SqliteConnection;

use super::event::unescape;
use super::{Event, Filter, Outcome, Row, append, list};
use crate::{Store, StoreError};
use system::clock::now;

/// An action whose intent is stored. It ends with [`PendingAction::done`] or [`PendingAction::failed`]. If it is
/// dropped before, it is recorded as failed, so that every intent gets an outcome unless the server itself stops.
#[derive(Debug)]
#[must_use = "an action ends with done() or failed()"]
pub struct PendingAction {
    store: Store,
    event: Event,
    intent: i64,
    open: bool,
    /// The outcome that is recorded if the action is dropped.
    late: (Outcome, &'static str),
}

/// The outcome of an action that was dropped before its end.
const BROKEN_OFF: (Outcome, &str) = (Outcome::Failed, "aborted before it was finished");
/// Maximum pause between two attempts to store a late outcome.
const MAX_PAUSE: Duration = Duration::from_secs(60);

impl PendingAction {
    /// Stores the intent and returns when it is durable. If this fails, the action must not be executed.
    pub async fn begin(store: &Store, event: Event) -> Result<PendingAction, StoreError> {
        let event = Event { outcome: Outcome::Intent, intent: None, ..event };
        let mut beginning =
            Beginning { store: store.clone(), event: event.clone(), written: Arc::default(), open: true };
        let (intent, written) = (event.clone(), beginning.written.clone());
        let row = store
            .write(move |tx| {
                Box::pin(async move {
                    let row = append(tx, &intent).await?;
                    let _ = written.set((row.seq, row.hash.clone()));
                    Ok::<_, StoreError>(row)
                })
            })
            .await;
        beginning.open = false;
        Ok(PendingAction { store: store.clone(), event, intent: row?.seq, open: true, late: BROKEN_OFF })
    }

    /// `seq` of the intent.
    pub fn intent(&self) -> i64 {
        self.intent
    }

    /// Sets the run that the action started; the outcome contains it.
    pub fn in_run(&mut self, run: i64) {
        self.event.run = Some(run);
    }

    /// The action has taken effect and continues independently, such as a run whose supervisor has started: from now
    /// on it is recorded as done if it is dropped.
    pub fn has_happened(&mut self) {
        self.late = (Outcome::Done, "recorded late");
    }

    /// Sets the release that the action created or selected; the outcome contains it.
    pub fn on_release(&mut self, release: i64) {
        self.event.release = Some(release);
    }

    /// Records that the action was done, in the transaction of its changes: both are kept or neither. If that
    /// transaction is rolled back, the action is recorded as failed.
    pub async fn done(
        self,
        conn: &mut SqliteConnection,
        at: Millis,
        detail: &str,
    ) -> Result<Row, StoreError> {
        // Still open: only the commit decides whether this row is kept. `drop` checks that.
        append(conn, &self.outcome(Outcome::Done, at, detail)).await
    }

    /// Records that the action failed, in its own transaction, with a reason that can be shown to people.
    pub async fn failed(mut self, at: Millis, why: &str) -> Result<Row, StoreError> {
        let event = self.outcome(Outcome::Failed, at, why);
        let row = self.store.write(move |tx| Box::pin(async move { append(tx, &event).await })).await?;
        self.open = false;
        Ok(row)
    }

    fn outcome(&self, outcome: Outcome, at: Millis, detail: &str) -> Event {
        Event { outcome, at, intent: Some(self.intent), detail: detail.to_owned(), ..self.event.clone() }
    }
}

impl Drop for PendingAction {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let (outcome, detail) = self.late;
        let event = self.outcome(outcome, now(), detail);
        let store = self.store.clone();
        // Inside a job this is queued after the job's own commit, so it sees its result.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let mut pause = Duration::from_millis(100);
                loop {
                    let event = event.clone();
                    let settled =
                        store.write(move |tx| Box::pin(async move { settle(tx, &event).await })).await;
                    match settled {
                        Ok(()) | Err(StoreError::Closed) => return,
                        Err(error) => {
                            tracing::error!(
                                error = ?error,
                                "the outcome of an action could not be recorded; trying again"
                            );
                        }
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            });
        }
    }
}

/// An intent that is being stored. If the caller stops waiting, the action is not executed, so an intent that is stored
/// nevertheless gets an outcome.
struct Beginning {
    store: Store,
    event: Event,
    /// `seq` and hash of the row, when it is written.
    written: Arc<OnceLock<(i64, String)>>,
    open: bool,
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let (event, written) = (self.event.clone(), self.written.clone());
        let store = self.store.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Queued after the intent, so by then it is either written or never will be.
                let settled = store
                    .write(move |tx| {
                        Box::pin(async move {
                            let Some((seq, hash)) = written.get() else { return Ok(()) };
                            let filter = Filter { before: Some(seq + 1), ..Filter::default() };
                            let there = list(&mut *tx, filter, 1).await?.pop();
                            if there.is_some_and(|row| row.seq == *seq && row.hash == *hash) {
                                let detail = "aborted before it began".to_owned();
                                let outcome = Outcome::Failed;
                                let event = Event { outcome, at: now(), intent: Some(*seq), detail, ..event };
                                settle(tx, &event).await?;
                            }
                            Ok::<_, StoreError>(())
                        })
                    })
                    .await;
                if let Err(error) = settled
                    && !matches!(error, StoreError::Closed)
                {
                    tracing::error!(error = ?error, "the outcome of an action could not be recorded");
                }
            });
        }
    }
}

/// Appends `event`, the outcome of an intent, unless the intent already has one.
async fn settle(conn: &mut SqliteConnection, event: &Event) -> Result<(), StoreError> {
    let outcomes = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!: i64" FROM audit_event WHERE intent = ?"#,
        event.intent
    )
    .fetch_one(&mut *conn)
    .await?;
    if outcomes == 0 {
        append(conn, event).await?;
    }
    Ok(())
}

/// Records an outcome for every intent without one, and returns how many there were. To be called once at start-up:
/// these actions were in progress when the server stopped.
pub async fn settle_orphans(conn: &mut SqliteConnection, at: Millis) -> Result<usize, StoreError> {
    let orphans = sqlx::query_scalar!(r#"SELECT seq AS "seq!: i64" FROM open_intent ORDER BY seq"#)
        .fetch_all(&mut *conn)
        .await?;
    for seq in &orphans {
        let filter = Filter { before: Some(seq + 1), ..Filter::default() };
        let Some(intent) = list(&mut *conn, filter, 1).await?.pop() else { continue };
        let event = Event {
            at,
            intent: Some(intent.seq),
            outcome: Outcome::Failed,
            detail: "the server stopped before its outcome was known".to_owned(),
            // Stored texts are escaped; unescaping prevents that they are escaped twice.
            actor_name: unescape(&intent.event.actor_name),
            act: unescape(&intent.event.act),
            subject: unescape(&intent.event.subject),
            ..intent.event
        };
        append(conn, &event).await?;
    }
    Ok(orphans.len())
}
