//! A password as the proof of who somebody is.

use super::proven::{Credential, Outcome, Proven};
use crate::Engine;
use crate::error::{Error, FormField, sentence};
use auth::passwords::{Priority, Verdict, check_rule};
use store::people;
use system::files::off_thread;

impl Engine {
    /// Compares the password with the stored hash, and renews a hash of another cost. The work is the same if there is
    /// no such person.
    pub(super) async fn verify_password(
        &self,
        login: &str,
        password: &str,
        priority: Priority,
    ) -> Result<Outcome, Error> {
        let credentials = people::credentials(self.store().readers(), login).await?;
        let hash = credentials.as_ref().and_then(|c| c.password_hash.clone());
        let verdict = self.passwords().verify(password.to_owned(), hash.clone(), priority).await?;
        let actor = credentials.and_then(|c| self.actor(c.person));
        let (Some(actor), Some(mut hash)) = (actor, hash) else { return Ok(Outcome::Wrong) };
        match verdict {
            Verdict::Wrong => return Ok(Outcome::Wrong),
            Verdict::Right => {}
            // The old hash is sufficient to sign in if the new one cannot be stored.
            Verdict::RightButRehash => match self.renew_hash(actor.id, &hash, password).await {
                Ok(Some(new)) => hash = new,
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "a password hash could not be renewed"),
            },
        }
        let credential = Credential::Password { login: login.to_owned(), hash };
        Ok(Outcome::Proven(Proven { actor, credential }))
    }

    /// Hashes a password with the current cost, replaces `old` and returns the new hash. `None`: `old` was replaced in
    /// the meantime, for instance because the password was changed; the newer hash stays.
    async fn renew_hash(&self, person: i64, old: &str, password: &str) -> Result<Option<String>, Error> {
        let new = self.passwords().hash(password.to_owned()).await?;
        let (old, hash) = (old.to_owned(), new.clone());
        let renewed = self.store().write(move |tx| {
            Box::pin(async move { people::replace_password(tx, person, &old, &hash).await })
        });
        Ok(renewed.await?.then_some(new))
    }

    /// Whether a new password follows the rules. Estimating its strength can take a good part of a second, so it is
    /// done off the async threads.
    ///
    /// # Errors
    /// It breaks a rule.
    pub(super) async fn check_new_password(
        &self,
        password: &str,
        login: &str,
        name: &str,
    ) -> Result<(), Error> {
        let (password, login, name) = (password.to_owned(), login.to_owned(), name.to_owned());
        let stack = self.stack().name.clone();
        let checked = off_thread(move || check_rule(&password, &login, &name, &stack));
        checked.await.map_err(Error::internal)?.map_err(weak_password)
    }
}

/// The refusal of a new password that breaks a rule.
fn weak_password(rule: impl std::fmt::Display) -> Error {
    Error::invalid(sentence(&rule.to_string())).in_field(FormField::Password)
}
