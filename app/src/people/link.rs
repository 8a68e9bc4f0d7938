//! The page of a one-time link. Opening the page does not redeem the link, because link previews open it too.

use domain::action::Action;
use engine::view::{LinkKind, LinkView};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

use super::acts::UseLink;
use super::{login_field, new_password};
use crate::ssr::page;
use crate::ui::{Here, envelope, hidden, param, text_field};

const FORM: &str = Action::UseLink.name();

/// The page of a one-time link.
#[component]
pub fn LinkPage() -> impl IntoView {
    let token = param("token");
    page(move |context| async move {
        let link = context.engine.link(&token).await?;
        Ok(link_view(&Here::from(&context), &token, &link))
    })
}

/// Renders the link.
pub fn link_view(here: &Here, token: &str, link: &LinkView) -> AnyView {
    let is_setup = link.kind == LinkKind::Setup;
    let (title, about, button) = match link.kind {
        LinkKind::Setup => (
            "Set up Stagegate".to_owned(),
            "You will be the first admin. Afterwards, invite the other people. The Admin role alone does not allow any action on a release: that requires another role.",
            "Create my account".to_owned(),
        ),
        LinkKind::Invite => {
            (format!("Welcome, {}", link.name), "Choose a password to join.", "Join".to_owned())
        }
        LinkKind::Reset => (
            format!("New password for {}", link.name),
            "Your old password no longer works.",
            "Set password and sign in".to_owned(),
        ),
        LinkKind::SignIn => (
            format!("Sign in as {}", link.name),
            if link.wants_password {
                "Choose a password. You need it to confirm sign-offs."
            } else {
                "This link works once."
            },
            format!("Sign in as {}", link.name),
        ),
    };
    let who = if is_setup {
        view! {
            {text_field(here, FORM, "name", "Your name", "Other people see this name.", true)}
            {login_field(here, FORM, "You sign in with it. It can be an e-mail address.")}
        }
        .into_any()
    } else {
        let login = link.login.clone();
        // Hidden, but filled: password managers store the password for this login.
        view! {
            <p class="small muted">"Login: " <span class="mono">{login.clone()}</span></p>
            <input
                class="visually-hidden"
                type="text"
                name="login"
                value=login
                autocomplete="username"
                tabindex="-1"
                aria-hidden="true"
                readonly=true
            />
        }
        .into_any()
    };
    let password = link.wants_password.then(|| new_password(here, FORM));
    view! {
        <Title text=title.clone() />
        <div class="auth stack">
            <h1 class="wrap">{title}</h1>
            <p class="muted">{about}</p>
            <section class="card">
                <form class="form card__body" method="post" action=UseLink::url()>
                    {envelope(here, FORM)} {hidden(&[("token", token)])} {who} {password}
                    <button type="submit" class="btn btn--primary btn--big">{button}</button>
                </form>
            </section>
        </div>
    }
    .into_any()
}
