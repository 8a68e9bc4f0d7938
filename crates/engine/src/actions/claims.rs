//! Claims on idempotency keys: the first request with a key does the action, and the same request sent again gets the
//! same answer. If the action is aborted (dropped, panicked, the server died), its claim is released.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::digest::digest_fields;
use store::Connection;

use super::Ctx;
use crate::Engine;
use crate::error::Error;
use crate::view::Done;
use auth::short_reference;
use store::audit::AuditAction;
use store::idempotency::{self, Claim};
use store::runs::{self, RunState};
use store::{Store, StoreError};

/// How long the second of two equal requests waits for the answer of the first.
const TWIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest pause between two attempts to release a claim.
const MAX_RELEASE_PAUSE: Duration = Duration::from_secs(60);

/// What has to be done for a request with a key.
pub(super) enum Claimed {
    /// Nothing: this is the answer.
    Answered(Done),
    /// The action.
    Held(HeldClaim),
}

/// A claim of this attempt. It is released when it is dropped without an answer.
pub(super) struct HeldClaim {
    store: Store,
    key: String,
    owner: String,
    /// The answer is stored, or there is nothing to release.
    answered: Arc<AtomicBool>,
}

impl HeldClaim {
    /// To be set when the answer is stored.
    pub(super) fn answer_stored(&self) -> Arc<AtomicBool> {
        self.answered.clone()
    }

    /// The action has ended. Without an answer the same form can be sent again, or is answered with the run that was
    /// started. If this cannot be stored now, it is stored later.
    pub(super) async fn end(self) {
        if !self.answered.load(Ordering::Acquire) {
            let settled = settle(&self.store, &self.key, &self.owner).await.is_ok();
            self.answered.store(settled, Ordering::Release);
        }
    }
}

impl Drop for HeldClaim {
    fn drop(&mut self) {
        if self.answered.load(Ordering::Acquire) {
            return;
        }
        let (store, key, owner) = (self.store.clone(), self.key.clone(), self.owner.clone());
        // Queued behind what the action itself has queued, so that its answer, if there is one, stays.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let mut pause = Duration::from_millis(100);
                while let Err(error) = settle(&store, &key, &owner).await {
                    if matches!(error, StoreError::Closed) {
                        return;
                    }
                    tracing::error!(error = ?error, "the claim on an idempotency key could not be released yet; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_RELEASE_PAUSE);
                }
            });
        }
    }
}

async fn settle(store: &Store, key: &str, owner: &str) -> Result<(), StoreError> {
    let (key, owner) = (key.to_owned(), owner.to_owned());
    store
        .write(move |tx| {
            Box::pin(async move {
                if idempotency::is_held(&mut *tx, &key, &owner).await? {
                    settle_key(tx, &key).await?;
                }
                Ok(())
            })
        })
        .await
}

/// Answers a key with the run that was started with it; without such a run the key is released.
async fn settle_key(tx: &mut Connection, key: &str) -> Result<(), StoreError> {
    match last_run(&mut *tx, key).await?.0 {
        Some(run) if run.state != RunState::Interrupted => {
            let answer = serde_json::to_value(answer_of(run.id))
                .map_err(|_| StoreError::Damaged { what: "idempotency.answer" })?;
            idempotency::complete(tx, key, &answer).await
        }
        _ => idempotency::abandon(tx, key).await,
    }
}

/// At start-up no action is in progress: every claim without an answer was abandoned. Returns their number.
pub(crate) async fn settle_abandoned(tx: &mut Connection) -> Result<usize, StoreError> {
    let keys = idempotency::unanswered(&mut *tx).await?;
    for key in &keys {
        settle_key(&mut *tx, key).await?;
    }
    Ok(keys.len())
}

/// The last run that was started with a key, and the key for the next one: a run whose supervisor did not start keeps
/// its key, and the next attempt uses a key that is derived from it.
async fn last_run(tx: &mut Connection, key: &str) -> Result<(Option<runs::Run>, String), StoreError> {
    let (mut last, mut next) = (None, key.to_owned());
    while let Some(run) = runs::by_key(&mut *tx, &next).await? {
        next = format!("{key} after run {}", run.id);
        last = Some(run);
    }
    Ok((last, next))
}

/// The key under which the next run of an action is stored.
pub(super) async fn free_run_key(tx: &mut Connection, key: &str) -> Result<String, StoreError> {
    Ok(last_run(tx, key).await?.1)
}

fn answer_of(run: i64) -> Done {
    Done { to: format!("/runs/{run}"), said: String::new() }
}

impl Engine {
    pub(super) async fn claim(
        &self,
        ctx: &Ctx,
        action: AuditAction,
        subject: &str,
        params: &[&str],
    ) -> Result<Claimed, Error> {
        let digest = digest_fields([subject].into_iter().chain(params.iter().copied()));
        let owner = short_reference();
        let deadline = tokio::time::Instant::now() + TWIN_TIMEOUT;
        loop {
            // Made first, so that the claim is also released when the caller stops waiting for it.
            let held = HeldClaim {
                store: self.store().clone(),
                key: ctx.key.clone(),
                owner: owner.clone(),
                answered: Arc::default(),
            };
            let (key, person) = (ctx.key.clone(), ctx.actor.id);
            let (digest, owner, now) = (digest.clone(), owner.clone(), self.now());
            let claim: Claim = self
                .store()
                .write(move |tx| {
                    Box::pin(async move {
                        let new = idempotency::NewClaim {
                            key: &key,
                            person,
                            action,
                            params_digest: &digest,
                            owner: &owner,
                            at: now,
                        };
                        idempotency::claim(tx, &new).await
                    })
                })
                .await
                .map_err(|e: StoreError| Error::from(e))?;
            if claim == Claim::Fresh {
                return Ok(Claimed::Held(held));
            }
            // Another request has the claim.
            held.answered.store(true, Ordering::Release);
            match claim {
                Claim::Fresh => {}
                Claim::Replay(answer) => {
                    return serde_json::from_value(answer).map(Claimed::Answered).map_err(Error::internal);
                }
                Claim::InFlight if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Claim::InFlight => {
                    return Err(Error::conflict(
                        "This action was already sent and is still in progress. Wait a moment, then reload the page.",
                    ));
                }
                Claim::Mismatch => {
                    return Err(Error::conflict(
                        "This form was already sent with other contents. Reload the page and try again.",
                    ));
                }
            }
        }
    }
}
