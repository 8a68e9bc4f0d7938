//! The sign-in page. The message is the same for a wrong name and a wrong password.

use domain::action::Action;
use domain::pages::Page;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

use super::acts::SignIn;
use super::{Secret, login_field, secret_field};
use crate::ssr::{local_path, page};
use crate::ui::{Here, envelope, hidden};

const FORM: &str = Action::SignIn.name();

/// The page; `?next=` is the page to open after signing in.
#[component]
pub fn SignInPage() -> impl IntoView {
    page(move |context| async move {
        let next = context.query("next").unwrap_or_default();
        let name = context.actor.as_ref().map(|a| a.name.clone());
        Ok(sign_in_view(&Here::from(&context), &local_path(&next), context.engine.is_new(), name.as_deref()))
    })
}

/// The sign-in form. `is_new`: there are no accounts yet. `already`: the name of the person who is signed in.
pub fn sign_in_view(here: &Here, next: &str, is_new: bool, already: Option<&str>) -> AnyView {
    let first = is_new.then(|| {
        view! {
            <div class="notice notice--info">
                <p class="notice__title">"There are no accounts yet"</p>
                <p>
                    "Open the one-time link that the server printed when it started. A restart prints a new link."
                </p>
            </div>
        }
    });
    let already = already.map(|name| {
        let text = format!("You are signed in as {name}. ");
        view! { <p class="small muted">{text} <a href="/">"Go to the board"</a></p> }
    });
    view! {
        <Title text=Page::SignIn.title() />
        <div class="auth stack">
            <h1>"Sign in"</h1>
            {first}
            <section class="card">
                <form class="form card__body" method="post" action=SignIn::url()>
                    {envelope(here, FORM)}
                    {hidden(&[("next", next)])}
                    {login_field(here, FORM, "")}
                    {secret_field(here, FORM, "password", "Password", Secret::Present)}
                    <button type="submit" class="btn btn--primary btn--big">"Sign in"</button>
                </form>
            </section>
            {already}
            <p class="small muted">"No password, or forgot it? Ask an admin for a one-time link."</p>
        </div>
    }
    .into_any()
}
