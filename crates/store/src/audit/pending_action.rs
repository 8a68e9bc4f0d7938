//! An action in progress: its intent is on the disk before anything happens, its outcome after.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::time::Millis;
use sqlx::SqliteConnection;

use super::event::unescape;
use super::{Event, Filter, Outcome, Row, append, list};
use crate::{Store, StoreError};
use system::clock::now;

/// An action whose intent is written. It ends with [`PendingAction::done`] or [`PendingAction::failed`]; one that is dropped before
/// is recorded as failed, so that no intent stays without an outcome unless the server itself dies.
#[derive(Debug)]
#[must_use = "an act ends with done() or failed()"]
pub struct PendingAction {
    store: Store,
    event: Event,
    intent: i64,
    open: bool,
    /// The outcome that is written when the action is dropped.
    late: (Outcome, &'static str),
}

/// What is written of an action that was dropped before its end.
const BROKEN_OFF: (Outcome, &str) = (Outcome::Failed, "broken off before it was finished");
/// Longest pause between two attempts to write a late outcome.
const MAX_PAUSE: Duration = Duration::from_secs(60);

impl PendingAction {
    /// Writes the intent and returns once it is durable. When this fails, the action must not be done.
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

    /// Names the run that the action started; the outcome carries it.
    pub fn in_run(&mut self, run: i64) {
        self.event.run = Some(run);
    }

    /// What the action is about has happened and goes on by itself, such as a run whose supervisor is at work: from here
    /// on it is recorded as done, as soon as that can be stored.
    pub fn has_happened(&mut self) {
        self.late = (Outcome::Done, "recorded late");
    }

    /// Names the release that the action made or chose; the outcome carries it.
    pub fn on_release(&mut self, release: i64) {
        self.event.release = Some(release);
    }

    /// Writes that the action was done, in the transaction of its changes: both are kept or neither. When that
    /// transaction is undone after all, the action is recorded as failed.
    pub async fn done(
        self,
        conn: &mut SqliteConnection,
        at: Millis,
        detail: &str,
    ) -> Result<Row, StoreError> {
        // Still open: only after the commit is it known whether this row stays. Dropping `self` looks then.
        append(conn, &self.outcome(Outcome::Done, at, detail)).await
    }

    /// Writes that the action failed, in a transaction of its own, with the reason in words fit for pages.
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
        // Inside a job this queues behind the job's own commit, and so sees what became of it.
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
                            tracing::error!(error = ?error, "the outcome of an act could not be written yet");
                        }
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            });
        }
    }
}

/// An intent on its way to the disk. Whoever stops waiting for it does not do the action, so an intent that is written
/// all the same gets its outcome.
struct Beginning {
    store: Store,
    event: Event,
    /// Number and hash of the row, once it is written.
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
                // Queued behind the intent, which is written or never will be by then.
                let settled = store
                    .write(move |tx| {
                        Box::pin(async move {
                            let Some((seq, hash)) = written.get() else { return Ok(()) };
                            let filter = Filter { before: Some(seq + 1), ..Filter::default() };
                            let there = list(&mut *tx, filter, 1).await?.pop();
                            if there.is_some_and(|row| row.seq == *seq && row.hash == *hash) {
                                let detail = "broken off before it began".to_owned();
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
                    tracing::error!(error = ?error, "the outcome of an act could not be written");
                }
            });
        }
    }
}

/// Appends `event`, the outcome of an intent, unless the intent has one.
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

/// Gives every intent that has no outcome one, and returns how many there were. To be called once at start-up:
/// they were under way when the server died.
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
            // Read back as stored; taking the escapes away keeps them from being escaped twice.
            actor_name: unescape(&intent.event.actor_name),
            act: unescape(&intent.event.act),
            subject: unescape(&intent.event.subject),
            ..intent.event
        };
        append(conn, &event).await?;
    }
    Ok(orphans.len())
}
