//! Confirming an action by authenticating again: the password is asked for once more, and wrong ones are limited.

use std::sync::MutexGuard;
use store::audit::AuditAction;

use crate::Engine;
use crate::actions::Ctx;
use crate::error::{Error, FormField};
use auth::confirmations::Confirmations;
use auth::passwords::{Priority, Verdict};
use store::audit::{Event, Outcome};
use store::people;

impl Engine {
    /// Confirms an action, such as a sign-off, with the password. Wrong passwords are counted by person and session,
    /// so other people cannot use up the attempts. `not_done` is for the refusal, such as "nothing was signed".
    /// Returns the stored hash that was compared.
    pub(crate) async fn confirm_password(
        &self,
        ctx: &Ctx,
        password: &str,
        not_done: &str,
    ) -> Result<String, Error> {
        if password.is_empty() {
            return Err(Error::invalid(format!("Please enter your password; {not_done}."))
                .in_field(FormField::Password));
        }
        let snapshot = self.snapshot();
        let me = snapshot.people.iter().find(|p| p.id == ctx.actor.id).ok_or_else(Error::signed_out)?;
        let attempt = self.confirmations().attempt(me.id, &ctx.session, self.now())?;
        let compared = async {
            let credentials = people::credentials(self.store().readers(), &me.login).await?;
            let hash = credentials.and_then(|c| c.password_hash);
            let verdict =
                self.passwords().verify(password.to_owned(), hash.clone(), Priority::SignedIn).await?;
            Ok::<_, Error>((verdict, hash))
        };
        match compared.await {
            Err(error) => {
                self.confirmations().release(&attempt);
                Err(error)
            }
            Ok((Verdict::Wrong, _) | (_, None)) => {
                let event = Event::new(self.now(), Some(&ctx.actor), AuditAction::PasswordConfirm, &me.login)
                    .outcome(Outcome::Refused)
                    .detail("wrong password");
                self.append_event(event).await?;
                Err(Error::refused(format!("The password is wrong; {not_done}. Type your password again."))
                    .in_field(FormField::Password))
            }
            Ok((Verdict::Right | Verdict::RightButRehash, Some(hash))) => {
                self.confirmations().succeeded(&attempt);
                self.remember_network(me.id, &ctx.ip);
                Ok(hash)
            }
        }
    }

    fn confirmations(&self) -> MutexGuard<'_, Confirmations> {
        self.0.confirmations.lock().unwrap_or_else(|e| e.into_inner())
    }
}
