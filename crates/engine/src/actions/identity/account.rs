//! What people change on their own account.

use super::sessions::SignedIn;
use crate::Engine;
use crate::actions::Ctx;
use crate::error::{Error, FormField};
use crate::view::Done;
use store::audit::AuditAction;
use store::people::{self, PersonError};
use store::sessions;

impl Engine {
    /// Changes the person's own password; all their sessions end. The server renews the current session with the
    /// second value that this returns.
    pub async fn change_password(&self, ctx: &Ctx, old: &str, new: &str) -> Result<(Done, SignedIn), Error> {
        let current =
            self.confirm_password(ctx, old, "your password was not changed").await.map_err(|e| {
                match e.field() {
                    Some(FormField::Password) => e.in_field(FormField::CurrentPassword),
                    _ => e,
                }
            })?;
        let snapshot = self.snapshot();
        let me = snapshot.people.iter().find(|p| p.id == ctx.actor.id).ok_or_else(Error::signed_out)?;
        self.check_new_password(new, &me.login, &me.name).await?;
        let hash = self.passwords().hash(new.to_owned()).await?;
        let signed_in = SignedIn::new(ctx.actor.clone(), Some(&hash));
        let allowed = crate::view::Permission::Allowed;
        let done = self.execute(ctx, AuditAction::PasswordChange, &me.login, &[], allowed, async |begun| {
            let id = ctx.actor.id;
            let done = Done { to: "/account".to_owned(), said: "Your password has been changed.".to_owned() };
            self.try_store_done(begun, done, String::new(), move |tx| {
                Box::pin(async move {
                    // A reset may have removed the password that was confirmed.
                    if !people::replace_password(&mut *tx, id, &current, &hash).await? {
                        return Err(PersonError::PasswordChanged);
                    }
                    // The current session too: the server gives it a new id in the same request.
                    sessions::end_all(tx, id, None).await?;
                    Ok(())
                })
            })
            .await
        });
        Ok((done.await?, signed_in))
    }
}
