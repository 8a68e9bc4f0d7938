//! Actions of people. The rules allow or refuse each of them; it is written to the audit log before and after it is
//! done, and it is done once per idempotency key.

pub(crate) mod accept_records;
pub(crate) mod action_tasks;
mod address;
mod automatic;
pub(crate) mod claims;
pub(crate) mod confirmed;
mod gates;
mod identity;
mod incidents;
mod ownership;
mod quiet_events;
pub(crate) mod releases;
mod runs;
mod sign_offs;

use automatic::KEY_PREFIX;
pub(crate) use automatic::{Attempt, follow_up_of, key_of};
pub use identity::{Access, NewPerson, Origin, Proof, SignedIn};
pub use releases::{Deployment, Restart, Return};
pub(crate) use runs::CheckRun;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::facts::Actor;
use futures::future::BoxFuture;
use store::Connection;

use crate::Engine;
use crate::error::{Error, FormField};
use crate::view::{Done, Permission};
use claims::Claimed;
use store::audit::{self, AuditAction, Event, Outcome, PendingAction};
use store::{StoreError, idempotency, people as people_store};

/// Who does an action, and with which form.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// The person.
    pub actor: Actor,
    /// The idempotency key of the form.
    pub key: String,
    /// The peer's address.
    pub ip: String,
    /// The hash of the session's id; empty for Stagegate itself. Wrong passwords are counted per session.
    pub session: String,
}

/// An action that is allowed and whose intent is in the audit log.
pub(crate) struct Begun {
    pub act: PendingAction,
    pub key: String,
    /// Set once the answer of the key is stored.
    pub answered: Arc<AtomicBool>,
}

impl Engine {
    /// Executes an action: refuses what the rules refuse, answers a repeated key with the first answer, writes the
    /// intent, then does it. `params` are all values of the form, so that a key cannot be used for something else.
    pub(crate) async fn execute<F, Fut>(
        &self,
        ctx: &Ctx,
        action: AuditAction,
        subject: &str,
        params: &[&str],
        allowed: Permission,
        body: F,
    ) -> Result<Done, Error>
    where
        F: FnOnce(Begun) -> Fut,
        Fut: Future<Output = Result<Done, Error>>,
    {
        let reserved = ctx.key.starts_with(KEY_PREFIX) && ctx.actor.id != people_store::SCHEDULE;
        if ctx.key.is_empty() || ctx.key.len() > 100 || reserved {
            return Err(Error::invalid("The form is incomplete. Reload the page and try again."));
        }
        // A repeated key is answered before the rules are checked: they may refuse now because of the first time.
        let claim = match self.claim(ctx, action, subject, params).await? {
            Claimed::Answered(answer) => return Ok(answer),
            Claimed::Held(claim) => claim,
        };
        let result = self.perform_claimed(ctx, action, subject, allowed, claim.answer_stored(), body).await;
        claim.end().await;
        self.refresh_or_later().await;
        result
    }

    async fn perform_claimed<F, Fut>(
        &self,
        ctx: &Ctx,
        action: AuditAction,
        subject: &str,
        allowed: Permission,
        answered: Arc<AtomicBool>,
        body: F,
    ) -> Result<Done, Error>
    where
        F: FnOnce(Begun) -> Fut,
        Fut: Future<Output = Result<Done, Error>>,
    {
        let release = self.snapshot().current;
        let event = Event::new(self.now(), Some(&ctx.actor), action, subject).on_release(release);
        if let Permission::Denied(why) = allowed {
            let refusal = event.outcome(Outcome::Refused).detail(why.clone());
            self.append_event(refusal).await?;
            return Err(Error::refused(why));
        }
        // A person who was just disabled, or has just lost a role, may still have a session.
        if let Some(why) = self.no_longer(&ctx.actor) {
            self.append_event(event.outcome(Outcome::Refused).detail(why)).await?;
            return Err(Error::refused(why));
        }
        let act = PendingAction::begin(self.store(), event).await?;
        body(Begun { act, key: ctx.key.clone(), answered }).await
    }

    /// Why this person no longer has the access that they had when the request came in.
    fn no_longer(&self, actor: &Actor) -> Option<&'static str> {
        if actor.id == people_store::SCHEDULE {
            return None;
        }
        match self.actor(actor.id) {
            None => Some("You no longer have access to Stagegate."),
            Some(now) if actor.roles.iter().any(|role| !now.roles.contains(role)) => {
                Some("Your roles have changed since this page was shown. Reload the page.")
            }
            Some(_) => None,
        }
    }

    /// Stores the changes, the outcome and the answer of an action in one transaction: all or nothing.
    pub(crate) async fn store_done<W>(
        &self,
        begun: Begun,
        done: Done,
        detail: String,
        write: W,
    ) -> Result<Done, Error>
    where
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<(), StoreError>> + Send + 'static,
    {
        self.try_store_done(begun, done, detail, write).await
    }

    /// The same for changes that the store may refuse with a specific error, such as a value that another person
    /// has replaced since.
    pub(crate) async fn try_store_done<W, E>(
        &self,
        begun: Begun,
        done: Done,
        detail: String,
        write: W,
    ) -> Result<Done, Error>
    where
        W: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<(), E>> + Send + 'static,
        E: From<StoreError> + Send + 'static,
        Error: From<E>,
    {
        let now = self.now();
        let answer = serde_json::to_value(&done).map_err(Error::internal)?;
        let answered = begun.answered.clone();
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    write(&mut *tx).await?;
                    begun.act.done(&mut *tx, now, &detail).await?;
                    idempotency::complete(tx, &begun.key, &answer).await?;
                    Ok::<_, E>(())
                })
            })
            .await?;
        answered.store(true, Ordering::Release);
        Ok(done)
    }

    pub(crate) async fn append_event(&self, event: Event) -> Result<(), Error> {
        self.store()
            .write(move |tx| Box::pin(async move { audit::append(tx, &event).await.map(|_| ()) }))
            .await
            .map_err(|e: StoreError| Error::from(e))
    }

    /// Records that a person tried to open a page that their roles do not allow.
    pub async fn note_refusal(&self, actor: &Actor, path: &str) {
        let event = Event::new(self.now(), Some(actor), AuditAction::RouteRefused, path)
            .outcome(Outcome::Refused)
            .detail("not allowed by the access policy");
        if let Err(error) = self.append_event(event).await {
            tracing::error!(%error, "a refused request could not be recorded");
        }
        self.bump();
    }
}

/// The text of a field that must not be empty: trimmed, at most `longest` characters.
pub(crate) fn said(field: FormField, text: &str, what: &str, longest: usize) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::invalid(format!("Please enter {what}.")).in_field(field));
    }
    if text.chars().count() > longest {
        return Err(Error::invalid(format!(
            "The text is too long. Please enter {what} with at most {longest} characters."
        ))
        .in_field(field));
    }
    Ok(text.to_owned())
}
