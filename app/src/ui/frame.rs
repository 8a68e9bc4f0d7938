//! The frame of a page: its path, its head, and what it shows when it is empty or an error occurred.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use crate::ssr::{Flash, RequestContext};

/// The page of a form: the path to return to, and the values to fill in again.
pub trait Place {
    /// The page's path with its query.
    fn path(&self) -> &str;
    /// The message of the last action.
    fn flash(&self) -> Option<&Flash>;
}

impl Place for RequestContext {
    fn path(&self) -> &str {
        &self.path
    }

    fn flash(&self) -> Option<&Flash> {
        self.flash.as_ref()
    }
}

/// The part of the request context that views use: no engine, no session.
#[derive(Debug, Clone, Default)]
pub struct Here {
    /// The page's path with its query.
    pub path: String,
    /// The message of the last action.
    pub flash: Option<Flash>,
}

impl Here {
    /// The value that was entered in the field `name` of `form` before the form was refused; otherwise empty.
    pub fn draft(&self, form: &str, name: &str) -> String {
        self.flash
            .as_ref()
            .filter(|f| f.form == form)
            .and_then(|f| f.fields.get(name).cloned())
            .unwrap_or_default()
    }

    /// Whether the message is about the field `name` of `form`.
    pub fn is_invalid(&self, form: &str, name: &str) -> bool {
        self.flash
            .as_ref()
            .is_some_and(|f| !f.ok && f.form == form && f.field.is_some_and(|field| field.name() == name))
    }

    /// Whether `form` was just refused, so that its panel is opened again.
    pub fn refused(&self, form: &str) -> bool {
        self.flash.as_ref().is_some_and(|f| !f.ok && f.form == form)
    }
}

impl From<&RequestContext> for Here {
    fn from(context: &RequestContext) -> Here {
        Here { path: context.path.clone(), flash: context.flash.clone() }
    }
}

impl Place for Here {
    fn path(&self) -> &str {
        &self.path
    }

    fn flash(&self) -> Option<&Flash> {
        self.flash.as_ref()
    }
}

/// The parameter `name` of the route; empty when the route has none.
pub fn param(name: &str) -> String {
    use_params_map().with_untracked(|params| params.get(name).unwrap_or_default())
}

/// A page's heading with the content below and beside it.
pub fn page_head(title: impl IntoView, under: impl IntoView, beside: impl IntoView) -> AnyView {
    view! {
        <div class="page__head">
            <div class="stack stack--tight">
                <h1>{title.into_view()}</h1>
                {under.into_view()}
            </div>
            <div class="row no-print">{beside.into_view()}</div>
        </div>
    }
    .into_any()
}

/// A card with a heading; `live` is the id under which it is kept up to date.
pub fn card(live: &str, title: impl IntoView, beside: impl IntoView, body: impl IntoView) -> AnyView {
    view! {
        <section class="card" data-live=live.to_owned()>
            <div class="card__head">
                <h2>{title.into_view()}</h2>
                {beside.into_view()}
            </div>
            <div class="card__body">{body.into_view()}</div>
        </section>
    }
    .into_any()
}

/// The empty state of a page or list: a title, and how to get content.
pub fn empty(title: &str, how: impl IntoView) -> AnyView {
    view! {
        <div class="empty">
            <p class="empty__title">{title.to_owned()}</p>
            {how.into_view()}
        </div>
    }
    .into_any()
}

/// The error page: the reason, and links to continue.
pub fn error_page(why: &str) -> AnyView {
    view! {
        <div class="page__head">
            <h1>"This page cannot be shown"</h1>
        </div>
        <div class="notice notice--error" role="alert">
            <p class="wrap">{why.to_owned()}</p>
            <p class="row">
                <a class="btn" href="/">"Go to the board"</a>
                <a class="btn btn--quiet" href="">"Retry"</a>
            </p>
        </div>
    }
    .into_any()
}
