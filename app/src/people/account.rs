//! The account page of the signed-in person: roles, password, sign-out.

use domain::action::Action;
use domain::facts::Actor;
use domain::pages::Page;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

use super::acts::{ChangePassword, SignOut};
use super::{Secret, new_password, secret_field};
use crate::ssr::page;
use crate::ui::{Here, envelope, form_name, page_head, roles};

const FORM: &str = Action::ChangePassword.name();

/// The page.
#[component]
pub fn AccountPage() -> impl IntoView {
    page(move |context| async move { Ok(account_view(&Here::from(&context), context.actor()?)) })
}

/// Renders the account.
pub fn account_view(here: &Here, actor: &Actor) -> AnyView {
    let held = if actor.roles.is_empty() {
        view! { <p class="muted">"You have no role yet: you can view everything, but you cannot change anything."</p> }
            .into_any()
    } else {
        roles(&actor.roles)
    };
    view! {
        <Title text=Page::Account.title() />
        {page_head(actor.name.clone(), (), ())}
        <div class="split">
            <section class="card">
                <div class="card__head">
                    <h2>"Change password"</h2>
                </div>
                <form class="form card__body" method="post" action=ChangePassword::url()>
                    {envelope(here, FORM)} {secret_field(here, FORM, "old", "Current password", Secret::Present)}
                    {new_password(here, FORM)}
                    <p class="row">
                        <button type="submit" class="btn btn--primary">"Change password"</button>
                    </p>
                </form>
            </section>
            <div class="stack">
                <section class="card">
                    <div class="card__head">
                        <h2>"Your roles"</h2>
                    </div>
                    <div class="card__body">
                        {held}
                        <p class="small muted">"Admins assign roles on the " <a href="/people">"People"</a> " page."</p>
                    </div>
                </section>
                <section class="card">
                    <form class="form card__body" method="post" action=SignOut::url()>
                        {envelope(here, &form_name(Action::SignOut, "account"))}
                        <p class="row">
                            <button type="submit" class="btn">"Sign out in this browser"</button>
                        </p>
                    </form>
                </section>
            </div>
        </div>
    }
    .into_any()
}
