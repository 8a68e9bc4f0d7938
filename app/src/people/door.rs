//! Signing in, and one-time links. Both work with no script at all.

use engine::view::LinkView;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::acts::{SignIn, UseLink};
use crate::ssr::page;
use crate::ui::{Here, envelope, hidden, page_head, param};

/// Name and password.
#[component]
pub fn SignInPage() -> impl IntoView {
    let next = use_query_map().read_untracked().get("next").unwrap_or_default();
    page(move |visit| async move { Ok(sign_in_view(&Here::from(&visit), &next)) })
}

/// The form as it is laid out.
pub fn sign_in_view(here: &Here, next: &str) -> AnyView {
    let form = "sign_in";
    view! {
        <Title text="Sign in" />
        <div class="door">
            {page_head("Sign in", (), ())}
            <form class="stack" method="post" action=SignIn::url()>
                {envelope(here, form)}
                {hidden(&[("next", next)])}
                {field(here, form, "login", "Name", "text", "username")}
                {field(here, form, "password", "Password", "password", "current-password")}
                <button class="btn btn--primary" type="submit">"Sign in"</button>
            </form>
            <p class="small muted">
                "No account, or the password is gone? An admin gives you a one-time link."
            </p>
        </div>
    }
    .into_any()
}

/// What a one-time link opens. Looking at it does not use it up, so previews in a chat do no harm.
#[component]
pub fn LinkPage() -> impl IntoView {
    let token = param("token");
    page(move |visit| async move {
        let link = visit.engine.link(&token).await?;
        Ok(link_view(&Here::from(&visit), &link, &token))
    })
}

/// The link's page as it is laid out.
pub fn link_view(here: &Here, link: &LinkView, token: &str) -> AnyView {
    let form = "use_link";
    let is_setup = link.kind == "setup";
    let title = if is_setup { "The first admin".to_owned() } else { format!("Welcome, {}", link.name) };
    let lede = if is_setup {
        "Nobody exists here yet. Whoever fills this in looks after the people from now on."
    } else if link.wants_password {
        "Choose a password; you need it again whenever you sign a release."
    } else {
        "This link signs you in once."
    };
    let who = if is_setup {
        view! {
            {field(here, form, "name", "Your name, as others see it", "text", "name")}
            {field(here, form, "login", "The name you sign in with", "text", "username")}
        }
        .into_any()
    } else {
        let login = link.login.clone();
        view! {
            <p>"You sign in as " <strong>{login.clone()}</strong> "."</p>
            // Password managers want to know whose password it is.
            <input type="hidden" name="login" autocomplete="username" value=login />
        }
        .into_any()
    };
    let passwords = link.wants_password.then(|| {
        view! {
            {field(here, form, "password", "Password (10 characters or more)", "password", "new-password")}
            {field(here, form, "again", "The same again", "password", "new-password")}
        }
    });
    let button = if link.wants_password {
        "Choose and sign in".to_owned()
    } else {
        format!("Sign in as {}", link.name)
    };
    view! {
        <Title text="Welcome" />
        <div class="door">
            {page_head(title, view! { <p class="lede">{lede}</p> }, ())}
            <form class="stack" method="post" action=UseLink::url()>
                {envelope(here, form)}
                {hidden(&[("token", token)])}
                {who}
                {passwords}
                <button class="btn btn--primary" type="submit">{button}</button>
            </form>
        </div>
    }
    .into_any()
}

/// A labelled line; passwords are never filled in again.
pub(super) fn field(
    here: &Here,
    form: &str,
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    complete: &'static str,
) -> AnyView {
    let id = format!("{form}:{name}");
    let value = if kind == "password" { String::new() } else { here.draft(form, name) };
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <input type=kind id=id.clone() name=name value=value required=true autocomplete=complete />
        </div>
    }
    .into_any()
}
