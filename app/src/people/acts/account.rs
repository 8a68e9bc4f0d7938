//! Signing out, and changing one's own password.

use leptos::prelude::*;

use super::{go_to, same, session};
use crate::error::AppError;
use crate::ssr::{Envelope, RequestContext, act, finish};

/// Ends the session.
#[server(prefix = "/api", endpoint = "sign_out")]
pub(crate) async fn sign_out(key: String, back: String, form: String) -> Result<(), AppError> {
    let context = RequestContext::current();
    let answer = async {
        let (engine, session, actor) =
            (context.engine.clone(), context.session.clone(), context.actor()?.clone());
        let sign_out = async move {
            session::end(&session).await?;
            engine.note_sign_out(&actor).await
        };
        context.engine.run_action(sign_out).await?;
        Ok(go_to("/sign-in"))
    };
    let answer = answer.await;
    finish(&context, Envelope { key, back, form }, &[], answer).await
}

/// Changes the password of the signed-in person.
#[server(prefix = "/api", endpoint = "change_password")]
pub(crate) async fn change_password(
    #[server(default)] old: String,
    #[server(default)] password: String,
    #[server(default)] again: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let session = RequestContext::current().session;
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        same(&password, &again)?;
        let (done, who) = engine.change_password(&ctx, &old, &password).await?;
        // The new session id makes copies of the old session useless. The notice is stored under the new id.
        session::begin(&engine, &session, &who).await?;
        Ok(done)
    })
    .await
}
