//! What a session is bound to, and the end of a session. The sessions themselves are in [`store::sessions`].

use domain::facts::Actor;
use store::audit::AuditAction;

use crate::Engine;
use crate::error::Error;
use store::audit::{Event, Outcome};
use store::{StoreError, sessions};

/// A person who has just authenticated, and the password that was valid then.
#[derive(Clone)]
pub struct SignedIn {
    /// The person.
    pub actor: Actor,
    /// Digest of the password hash; `None`: they have no password.
    password: Option<String>,
}

impl SignedIn {
    pub(super) fn new(actor: Actor, hash: Option<&str>) -> SignedIn {
        SignedIn { actor, password: hash.map(sessions::digest_of_hash) }
    }
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl Engine {
    /// Whether what the person signed in with is still valid: their password must not have changed. To be called after
    /// their session is stored: a change of the password ends only the sessions that are stored by then.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn is_still_valid(&self, who: &SignedIn) -> Result<bool, Error> {
        Ok(sessions::password_digest(self.store(), who.actor.id).await? == who.password)
    }

    /// Records a sign-out.
    ///
    /// # Errors
    /// The event could not be stored.
    pub async fn note_sign_out(&self, actor: &Actor) -> Result<(), Error> {
        let event =
            Event::new(self.now(), Some(actor), AuditAction::SessionSignOut, "").outcome(Outcome::Done);
        match self.append_quietly(event).await {
            Err(StoreError::Full) => {
                tracing::error!(name = %actor.name, "the disk is full: a sign-out is not in the audit log");
                Ok(())
            }
            result => result.map_err(Error::from),
        }
    }
}
