//! Signing in, in three steps:
//!
//! 1. The person proves who they are ([`Proof`]), within the limits on attempts.
//! 2. Further factors that their account requires. None are required yet; they belong between the other two, in
//!    `Engine::prove`.
//! 3. The sign-in is recorded, and the person may get a session ([`SignedIn`]).

use domain::facts::Actor;

use super::origin::{Origin, address};
use super::proof::Proof;
use super::proven::{Credential, Outcome as ProofOutcome, Proven};
use super::sessions::SignedIn;
use crate::Engine;
use crate::error::{Error, FormField};
use auth::browsers;
use auth::passwords::Priority;
use auth::throttle::Attempt;
use store::audit::{self, AuditAction, Event, Outcome};
use store::{StoreError, people};

/// How often a proof is verified in one sign-in, in case the credential is replaced meanwhile.
const MAX_VERIFICATIONS: usize = 3;
/// Why a sign-in was refused, for the audit log.
const WRONG: &str = "wrong name or password";

impl Engine {
    /// Signs a person in. The answer and its timing do not reveal which logins exist.
    ///
    /// # Errors
    /// Refused or throttled; or the store cannot be read.
    pub async fn sign_in<'a>(
        &self,
        proof: Proof<'_>,
        from: impl Into<Origin<'a>>,
    ) -> Result<SignedIn, Error> {
        let from = from.into();
        // Always the same field: it must not reveal which of the two is wrong.
        let is_wrong = || Error::refused("Name or password is wrong.").in_field(FormField::Password);
        if !proof.fits() {
            self.note_refusal_of(None, address(from.ip), WRONG).await;
            return Err(is_wrong());
        }
        let login = proof.limited_login();
        let attempt = match &login {
            Some(login) => Some(self.begin_attempt(login, from).await?),
            None => None,
        };
        let proven = self.prove(&proof, from, priority(attempt.as_ref(), from)).await;
        match (proven, attempt) {
            (Ok(Some(signed_in)), attempt) => {
                if let Some(attempt) = attempt {
                    self.throttle().succeeded(attempt);
                }
                Ok(signed_in)
            }
            (Ok(None), _) => {
                self.note_refusal_of(login.as_deref(), address(from.ip), WRONG).await;
                Err(is_wrong())
            }
            (Err(error), attempt) => {
                // An overloaded server or a failed store is not a wrong attempt.
                if let Some(attempt) = attempt {
                    self.throttle().release(attempt);
                }
                Err(error)
            }
        }
    }

    /// Counts an attempt at this login, or refuses it.
    async fn begin_attempt(&self, login: &str, from: Origin<'_>) -> Result<Attempt, Error> {
        let (ip, now) = (address(from.ip), self.now());
        let browser = browsers::known(&self.0.session_key, login, from.browser, now);
        // The guard must not live across an await.
        let attempt = self.throttle().attempt(login, ip, browser, now);
        match attempt {
            Ok(attempt) => Ok(attempt),
            Err(retry_after) => {
                self.note_refusal_of(Some(login), ip, "too many attempts").await;
                Err(retry_after.into())
            }
        }
    }

    /// The three steps; `None`: the proof is wrong. If the credential is replaced between the first step and the last,
    /// the proof is verified again.
    async fn prove(
        &self,
        proof: &Proof<'_>,
        from: Origin<'_>,
        priority: Priority,
    ) -> Result<Option<SignedIn>, Error> {
        for _ in 0..MAX_VERIFICATIONS {
            let proven = match self.verify(proof, from, priority).await? {
                ProofOutcome::Proven(proven) => proven,
                ProofOutcome::Wrong => return Ok(None),
            };
            // A factor that the account of `proven` requires in addition is to be asked for here.
            if let Some(signed_in) = self.complete_sign_in(proven).await? {
                return Ok(Some(signed_in));
            }
        }
        Ok(None)
    }

    /// Records the sign-in of a person who has given all proofs that are required. `None`: their credential has been
    /// replaced since.
    async fn complete_sign_in(&self, proven: Proven) -> Result<Option<SignedIn>, Error> {
        let Proven { actor, credential } = proven;
        match credential {
            Credential::Password { login, hash } => {
                let is_noted = self.note_signed_in(&login, &actor, hash.clone()).await?;
                Ok(is_noted.then(|| SignedIn::new(actor, Some(&hash))))
            }
            // The use of the link is in the audit log already, written in the transaction that used it up.
            Credential::Link { password_hash } => Ok(Some(SignedIn::new(actor, password_hash.as_deref()))),
        }
    }

    /// Records a sign-in, if the password is still the one with this hash; returns whether it is.
    async fn note_signed_in(&self, login: &str, actor: &Actor, hash: String) -> Result<bool, Error> {
        let event =
            Event::new(self.now(), Some(actor), AuditAction::SessionSignIn, login).outcome(Outcome::Done);
        let typed = login.to_owned();
        let noted = self.store().write(move |tx| {
            Box::pin(async move {
                let now = people::credentials(&mut *tx, &typed).await?;
                if now.and_then(|c| c.password_hash) != Some(hash) {
                    return Ok(None);
                }
                Ok::<_, StoreError>(Some(audit::append(tx, &event).await?.seq))
            })
        });
        match noted.await {
            Ok(Some(seq)) => {
                self.note_quiet(seq);
                Ok(true)
            }
            Ok(None) => Ok(false),
            // A person who wants to roll back must be able to sign in while the disk is full. Their actions are
            // recorded before they are done, and no password can have been changed.
            Err(StoreError::Full) => {
                tracing::error!(%login, "the disk is full: a sign-in is not in the audit log");
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The place in the password queue.
fn priority(attempt: Option<&Attempt>, from: Origin<'_>) -> Priority {
    if attempt.is_some_and(Attempt::is_from_known_origin) {
        Priority::KnownOrigin
    } else {
        Priority::UnknownOrigin(address(from.ip))
    }
}
