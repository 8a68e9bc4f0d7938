//! Regular clean-up in small batches: rows that are no longer needed, and data that `[retention]` limits. It does not
//! affect judgements, and open pages are not refreshed.

use std::time::Duration;

use domain::time::Millis;
use futures::future::BoxFuture;
use store::Connection;

use crate::Engine;
use crate::background::retention::Rotation;
use crate::error::Error;
use store::{StoreError, housekeeping};

const EVERY: Duration = Duration::from_secs(60 * 60);
/// Other tasks come first after a start.
const FIRST: Duration = Duration::from_secs(60);
/// Retention is applied and sizes are measured once in this many rounds.
const DAILY: u32 = 24;
/// Rows in one transaction.
const BATCH: i64 = 200;
/// How long idempotency keys are kept: a form that is sent again later counts as a new one.
const KEYS_MS: u64 = 2 * 24 * 60 * 60 * 1000;
/// How long used and expired links are kept, so that their state can be shown.
const LINKS_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// How many rows were removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Ended sessions.
    pub sessions: u64,
    /// Idempotency keys.
    pub keys: u64,
    /// Used and expired one-time links.
    pub links: u64,
}

type Batch = for<'c> fn(&'c mut Connection, Millis) -> BoxFuture<'c, Result<u64, StoreError>>;

/// Cleans up until the engine stops.
pub(super) struct Housekeeping {
    engine: Engine,
    round: u32,
    /// Where the last round of retention stopped.
    rotation: Rotation,
}

impl Housekeeping {
    pub(super) fn new(engine: Engine) -> Housekeeping {
        Housekeeping { engine, round: 0, rotation: Rotation::default() }
    }

    pub(super) async fn run(mut self) {
        tokio::time::sleep(FIRST).await;
        loop {
            if let Err(error) = self.engine.clean_up().await {
                tracing::warn!(%error, "old sessions and keys could not be removed");
            }
            if self.round.is_multiple_of(DAILY)
                && let Err(error) = self.engine.prune_daily(&mut self.rotation).await
            {
                tracing::warn!(%error, "retention could not be applied");
            }
            self.round = self.round.wrapping_add(1);
            tokio::time::sleep(EVERY).await;
        }
    }
}

impl Engine {
    /// Removes rows that are no longer needed.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn clean_up(&self) -> Result<Tidied, Error> {
        let now = self.now();
        let before = |ms: u64| Millis(now.0.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)));
        Ok(Tidied {
            sessions: self.in_batches(now, |tx, at| Box::pin(housekeeping::sessions(tx, at, BATCH))).await?,
            keys: self
                .in_batches(before(KEYS_MS), |tx, at| Box::pin(housekeeping::keys(tx, at, BATCH)))
                .await?,
            links: self
                .in_batches(before(LINKS_MS), |tx, at| Box::pin(housekeeping::links(tx, at, BATCH)))
                .await?,
        })
    }

    /// Repeats a deletion until nothing is left to delete; other writes can happen in between.
    async fn in_batches(&self, at: Millis, batch: Batch) -> Result<u64, Error> {
        let mut all = 0;
        loop {
            let done: Result<u64, StoreError> = self.store().write(move |tx| batch(tx, at)).await;
            let done = done.map_err(Error::from)?;
            all += done;
            if i64::try_from(done).unwrap_or(i64::MAX) < BATCH {
                return Ok(all);
            }
        }
    }
}
