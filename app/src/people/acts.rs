//! The server functions of accounts. The engine checks and decides. A password is never kept to fill in a form
//! again.

#![expect(clippy::too_many_arguments, reason = "a form's fields are the arguments, one each")]

use engine::{Access, Done, Engine, Error, Origin, SignedIn};
use leptos::prelude::*;
use tower_sessions::Session;

use crate::error::AppError;
use crate::ssr::{Envelope, RequestContext, act, finish, local_path};

/// The session key under which the person's id is stored.
const PERSON: &str = "person";

/// Signs the visitor in as this person. The session gets a new id and is stored before this function returns. It runs
/// as part of the action, so a closed connection cannot leave the sign-in half done.
async fn enter(engine: &Engine, session: &Session, who: &SignedIn) -> Result<(), Error> {
    let entered = async {
        session.cycle_id().await.map_err(Error::internal)?;
        session.insert(PERSON, who.actor.id).await.map_err(Error::internal)?;
        session.save().await.map_err(Error::internal)?;
        if engine.has_same_password(who).await? {
            return Ok(());
        }
        Err(Error::conflict("Your password was changed a moment ago. Sign in with the new password."))
    };
    let entered = entered.await;
    if entered.is_err()
        && let Err(error) = session.flush().await
    {
        tracing::error!(%error, "could not end a session that is no longer valid");
    }
    entered
}

/// The two fields of a new password must be equal.
fn same(password: &str, again: &str) -> Result<(), Error> {
    if password == again {
        Ok(())
    } else {
        Err(Error::invalid(
            "The two passwords are different. Nothing was changed. Enter the same password twice.",
        ))
    }
}

fn go_to(page: &str) -> Done {
    Done { to: local_path(page), said: String::new() }
}

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
            let who = engine.sign_in(&typed, &password, origin).await?;
            enter(&engine, &session, &who).await
        };
        context.engine.run_action(sign_in).await?;
        context.remember_browser(&login);
        Ok(go_to(&next))
    };
    let answer = answer.await;
    finish(&context, Envelope { key, back, form }, &[("login", &login)], answer).await
}

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
            let who = engine.use_link(&token, &name, &login, &password, &ip).await?;
            enter(&engine, &session, &who).await?;
            Ok(who.actor)
        };
        let actor = context.engine.run_action(use_link).await?;
        Ok(Done { to: "/".to_owned(), said: format!("Welcome, {}.", actor.name) })
    };
    let answer = answer.await;
    finish(&context, Envelope { key, back, form }, &[("name", &name), ("login", &login)], answer).await
}

/// Ends the session.
#[server(prefix = "/api", endpoint = "sign_out")]
pub(crate) async fn sign_out(key: String, back: String, form: String) -> Result<(), AppError> {
    let context = RequestContext::current();
    let answer = async {
        let (engine, session, actor) =
            (context.engine.clone(), context.session.clone(), context.actor()?.clone());
        let sign_out = async move {
            session.flush().await.map_err(Error::internal)?;
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
        enter(&engine, &session, &who).await?;
        Ok(done)
    })
    .await
}

/// Invites a person; the next page shows the one-time link, once.
#[server(prefix = "/api", endpoint = "invite")]
pub(crate) async fn invite(
    #[server(default)] name: String,
    #[server(default)] login: String,
    #[server(default)] roles: Vec<String>,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = (name.clone(), login.clone(), roles.join(","));
    let fields = [("name", typed.0.as_str()), ("login", typed.1.as_str()), ("roles", typed.2.as_str())];
    act(Envelope { key, back, form }, &fields, |engine, ctx| async move {
        engine.invite(&ctx, &name, &login, &roles, &password).await
    })
    .await
}

/// Withdraws an invitation.
#[server(prefix = "/api", endpoint = "withdraw_invitation")]
pub(crate) async fn withdraw_invitation(
    #[server(default)] invitation: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        engine.withdraw_invitation(&ctx, &invitation).await
    })
    .await
}

/// Sets the roles of a person; `shown` are those that the page showed, separated by commas.
#[server(prefix = "/api", endpoint = "set_roles")]
pub(crate) async fn set_roles(
    person: i64,
    #[server(default)] roles: Vec<String>,
    #[server(default)] shown: String,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = roles.join(",");
    act(Envelope { key, back, form }, &[("roles", &typed)], |engine, ctx| async move {
        let shown: Vec<String> = shown.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        engine.set_roles(&ctx, person, &roles, &shown, &password).await
    })
    .await
}

/// Creates a link for choosing a new password; the old password stops working immediately.
#[server(prefix = "/api", endpoint = "reset_person")]
pub(crate) async fn reset_person(
    person: i64,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        engine.reset_person(&ctx, person, &password).await
    })
    .await
}

/// Disables (`access` is `ended`) or enables (`given`) a person's account.
#[server(prefix = "/api", endpoint = "disable_person")]
pub(crate) async fn disable_person(
    person: i64,
    #[server(default)] access: String,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        let access = Access::from_slug(&access)
            .ok_or_else(|| Error::invalid("The form was incomplete. Reload the page and try again."))?;
        engine.set_access(&ctx, person, access, &password).await
    })
    .await
}
