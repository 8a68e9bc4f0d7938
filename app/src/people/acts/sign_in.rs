//! Signing in with a password.

use engine::{Origin, Proof};
use leptos::prelude::*;

use super::go_to;
use super::session;
use crate::error::AppError;
use crate::ssr::{Envelope, RequestContext, finish};

/// Signs in with login and password, and redirects to `next`.
#[server(prefix = "/api", endpoint = "sign_in")]
pub(crate) async fn sign_in(
    #[server(default)] login: String,
    #[server(default)] password: String,
    #[server(default)] next: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let context = RequestContext::current();
    let answer = async {
        let (engine, typed, ip) = (context.engine.clone(), login.clone(), context.ip.clone());
        let (session, browser) = (context.session.clone(), context.known_browser());
        let sign_in = async move {
            let origin = Origin { ip: &ip, browser: &browser };
            let who = engine.sign_in(Proof::Password { login: &typed, password: &password }, origin).await?;
            session::begin(&engine, &session, &who).await
        };
        context.engine.run_action(sign_in).await?;
        context.remember_browser(&login);
        Ok(go_to(&next))
    };
    let answer = answer.await;
    finish(&context, Envelope { key, back, form }, &[("login", &login)], answer).await
}
