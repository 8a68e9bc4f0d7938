//! Acts: what people do. Each is allowed by the rules or refused, is in the audit log before it is done
//! and after, and is done once for one idempotency key.

mod address;
mod gates;
mod incidents;
mod ownership;
mod people;
pub(crate) mod releases;
mod runs;
mod sign_offs;

pub use people::NewPerson;
pub(crate) use people::token_hash;
pub use releases::{Restart, Return};
pub(crate) use runs::CheckRun;

use std::future::Future;
use std::time::Duration;

use domain::digest::digest_fields;
use domain::facts::Actor;
use futures::future::BoxFuture;
use sqlx::SqliteConnection;

use crate::Engine;
use crate::audit::{self, Act, Event, Outcome};
use crate::error::Error;
use crate::store::idempotency::{self, Claim};
use crate::store::{StoreError, people as people_store, runs as run_store};
use crate::view::{Done, Offer};

/// Who acts, and with which form.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// The person.
    pub actor: Actor,
    /// The idempotency key of the form.
    pub key: String,
    /// The peer's address.
    pub ip: String,
}

/// An act that is allowed and whose intent is written.
pub(crate) struct Begun {
    pub act: Act,
    pub key: String,
}

/// How long the second of two equal requests waits for the first one's answer.
const WAIT_FOR_TWIN: Duration = Duration::from_secs(10);

impl Engine {
    /// Carries out an act: refuses what the rules refuse, answers a repeated key with the first
    /// answer, writes the intent, then does it. `params` are all that the form said, so that a key
    /// cannot be used for something else.
    pub(crate) async fn perform<F, Fut>(
        &self,
        ctx: &Ctx,
        name: &str,
        subject: &str,
        params: &[&str],
        allowed: Offer,
        body: F,
    ) -> Result<Done, Error>
    where
        F: FnOnce(Begun) -> Fut,
        Fut: Future<Output = Result<Done, Error>>,
    {
        if ctx.key.is_empty() || ctx.key.len() > 100 {
            return Err(Error::invalid("The form was incomplete; please reload the page."));
        }
        // A repeated key is answered before the rules are asked: the first time may be why they
        // would refuse now.
        if let Some(answer) = self.claim(ctx, name, subject, params).await? {
            return Ok(answer);
        }
        let result = self.perform_claimed(ctx, name, subject, allowed, body).await;
        if result.is_err() {
            let key = ctx.key.clone();
            let _: Result<(), StoreError> = self
                .store()
                .write(move |tx| Box::pin(async move { idempotency::abandon(tx, &key).await }))
                .await;
        }
        self.refresh().await?;
        result
    }

    async fn perform_claimed<F, Fut>(
        &self,
        ctx: &Ctx,
        name: &str,
        subject: &str,
        allowed: Offer,
        body: F,
    ) -> Result<Done, Error>
    where
        F: FnOnce(Begun) -> Fut,
        Fut: Future<Output = Result<Done, Error>>,
    {
        let release = self.known().current;
        let event = Event::new(self.now(), Some(&ctx.actor), name, subject).on_release(release);
        if let Offer::No(why) = allowed {
            let refusal = event.outcome(Outcome::Refused).detail(why.clone());
            self.append_event(refusal).await?;
            return Err(Error::refused(why));
        }
        // Who was disabled a moment ago may still hold a session of that moment.
        if ctx.actor.id != people_store::SCHEDULE && self.actor(ctx.actor.id).is_none() {
            let why = "You may not act here any more.";
            self.append_event(event.outcome(Outcome::Refused).detail(why)).await?;
            return Err(Error::refused(why));
        }
        let act = Act::begin(self.store(), event).await?;
        body(Begun { act, key: ctx.key.clone() }).await
    }

    async fn claim(
        &self,
        ctx: &Ctx,
        name: &str,
        subject: &str,
        params: &[&str],
    ) -> Result<Option<Done>, Error> {
        let digest = digest_fields([subject].into_iter().chain(params.iter().copied()));
        let deadline = tokio::time::Instant::now() + WAIT_FOR_TWIN;
        loop {
            let (key, person, act) = (ctx.key.clone(), ctx.actor.id, name.to_owned());
            let (digest, now) = (digest.clone(), self.now());
            let claim: Claim = self
                .store()
                .write(move |tx| {
                    Box::pin(async move { idempotency::claim(tx, &key, person, &act, &digest, now).await })
                })
                .await
                .map_err(|e: StoreError| Error::from(e))?;
            match claim {
                Claim::Fresh => return Ok(None),
                Claim::Replay(answer) => {
                    return serde_json::from_value(answer).map(Some).map_err(Error::internal);
                }
                Claim::InFlight if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Claim::InFlight => {
                    // The server may have stopped between starting the run and answering.
                    if let Some(run) = run_store::by_key(self.store().readers(), &ctx.key).await? {
                        let to = format!("/runs/{}", run.id);
                        return Ok(Some(Done { to, said: String::new() }));
                    }
                    return Err(Error::conflict("This was sent already and is still being done."));
                }
                Claim::Mismatch => {
                    return Err(Error::conflict(
                        "This form was sent before with other contents; please reload the page.",
                    ));
                }
            }
        }
    }

    /// Stores an act's changes, its outcome and its answer in one transaction: all or nothing.
    pub(crate) async fn store_done<W>(
        &self,
        begun: Begun,
        done: Done,
        detail: String,
        write: W,
    ) -> Result<Done, Error>
    where
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<(), StoreError>> + Send + 'static,
    {
        let now = self.now();
        let answer = serde_json::to_value(&done).map_err(Error::internal)?;
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    write(&mut *tx).await?;
                    begun.act.done(&mut *tx, now, &detail).await?;
                    idempotency::complete(tx, &begun.key, &answer).await
                })
            })
            .await
            .map_err(|e: StoreError| Error::from(e))?;
        Ok(done)
    }

    pub(crate) async fn append_event(&self, event: Event) -> Result<(), Error> {
        self.store()
            .write(move |tx| Box::pin(async move { audit::append(tx, &event).await.map(|_| ()) }))
            .await
            .map_err(|e: StoreError| Error::from(e))
    }

    /// Records that somebody tried a door that is not theirs.
    pub async fn note_refusal(&self, actor: &Actor, path: &str) {
        let event = Event::new(self.now(), Some(actor), "door.refused", path)
            .outcome(Outcome::Refused)
            .detail("the policy table does not allow it");
        if let Err(error) = self.append_event(event).await {
            tracing::error!(%error, "a refusal could not be recorded");
        }
        self.bump();
    }
}

/// A text that must say something: trimmed, at most `longest` characters.
pub(crate) fn said(text: &str, what: &str, longest: usize) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::invalid(format!("Please write {what}.")));
    }
    if text.chars().count() > longest {
        return Err(Error::invalid(format!("Please keep {what} to {longest} characters.")));
    }
    Ok(text.to_owned())
}
