//! Signing in with a one-time link.

#![expect(clippy::too_many_arguments, reason = "a form's fields are the arguments, one each")]

use engine::{Done, Proof};
use leptos::prelude::*;

use super::{same, session};
use crate::error::AppError;
use crate::ssr::{Envelope, RequestContext, finish};

/// Redeems a one-time link: creates or loads the person, sets the password if one was chosen, and signs in.
#[server(prefix = "/api", endpoint = "use_link")]
pub(crate) async fn use_link(
    token: String,
    #[server(default)] name: String,
    #[server(default)] login: String,
    #[server(default)] password: String,
    #[server(default)] again: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let context = RequestContext::current();
    let answer = async {
        same(&password, &again)?;
        let (engine, session, ip) = (context.engine.clone(), context.session.clone(), context.ip.clone());
        let (name, login) = (name.clone(), login.clone());
        let use_link = async move {
            let proof = Proof::Link { token: &token, name: &name, login: &login, password: &password };
            let who = engine.sign_in(proof, ip.as_str()).await?;
            session::begin(&engine, &session, &who).await?;
            Ok(who.actor)
        };
        let actor = context.engine.run_action(use_link).await?;
        Ok(Done { to: "/".to_owned(), said: format!("Welcome, {}.", actor.name) })
    };
    let answer = answer.await;
    finish(&context, Envelope { key, back, form }, &[("name", &name), ("login", &login)], answer).await
}
