//! The way from pages and server functions to the engine. Server only.

use std::collections::BTreeMap;
use std::future::Future;

use domain::facts::Actor;
use engine::{Ctx, Done, Engine, Error, ErrorKind};
use http::request::Parts;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use crate::error::AppError;

/// Who visits, and with what: put into the request by the server's session layer.
#[derive(Clone)]
pub struct Visit {
    /// The engine.
    pub engine: Engine,
    /// The person, when signed in.
    pub actor: Option<Actor>,
    /// The session, for notices and sign-in.
    pub session: Session,
    /// What the last act said, shown once.
    pub flash: Option<Flash>,
    /// The request's path with its query.
    pub path: String,
    /// The peer's address, for throttling.
    pub ip: String,
}

impl Visit {
    /// The visit of this request.
    ///
    /// # Panics
    /// Never in a running server: the session layer stands before every route.
    pub fn current() -> Visit {
        let parts = expect_context::<Parts>();
        #[expect(clippy::expect_used, reason = "the session layer stands before every route")]
        parts.extensions.get::<Visit>().cloned().expect("the session layer sets the visit")
    }

    /// The person who is signed in; pages behind a sign-in always have one.
    pub fn actor(&self) -> Result<&Actor, Error> {
        self.actor.as_ref().ok_or_else(Error::signed_out)
    }

    /// What somebody typed in the field `name` of `form` before it was refused, else nothing.
    pub fn draft(&self, form: &str, name: &str) -> String {
        self.flash
            .as_ref()
            .filter(|f| f.form == form)
            .and_then(|f| f.fields.get(name).cloned())
            .unwrap_or_default()
    }
}

/// What an act says on the next page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// It was done; else it was refused or failed.
    pub ok: bool,
    /// One or two sentences.
    pub text: String,
    /// The form it came from, such as `accept_gate:A`.
    pub form: String,
    /// What was typed in that form, so that nothing is lost. Never passwords.
    pub fields: BTreeMap<String, String>,
}

/// The session key of the flash.
pub const FLASH: &str = "flash";

/// Renders a page: loads with the visit, shows the view or the error with its status.
pub fn page<F, Fut, V>(body: F) -> impl IntoView
where
    F: FnOnce(Visit) -> Fut,
    Fut: Future<Output = Result<V, Error>> + Send + 'static,
    V: IntoView + Send + 'static,
{
    let response = use_context::<ResponseOptions>();
    let work = body(Visit::current());
    view! {
        <Suspense>
            {Suspend::new(async move {
                match work.await {
                    Ok(view) => view.into_any(),
                    Err(error) => {
                        if let Some(response) = response {
                            response.set_status(status_of(error.kind()));
                        }
                        crate::ui::error_page(&error.public()).into_any()
                    }
                }
            })}
        </Suspense>
    }
}

/// The HTTP status of an engine error.
pub fn status_of(kind: ErrorKind) -> http::StatusCode {
    use http::StatusCode;
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Refused => StatusCode::FORBIDDEN,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Throttled => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What every form sends beside its own fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Envelope {
    /// Idempotency key, fresh for each form shown.
    pub key: String,
    /// The page it came from; errors go back there.
    pub back: String,
    /// The form's name, so that what was typed can be shown again.
    pub form: String,
}

/// Carries out an act for the signed-in person and sends the browser on. The act goes on when the browser closes its
/// connection. Refusals and failures go
/// back to the form with what was typed; `fields` must hold no password.
pub async fn act<F, Fut>(envelope: Envelope, fields: &[(&str, &str)], body: F) -> Result<(), AppError>
where
    F: FnOnce(Engine, Ctx) -> Fut,
    Fut: Future<Output = Result<Done, Error>> + Send + 'static,
{
    let visit = Visit::current();
    let ctx = Ctx { actor: visit.actor()?.clone(), key: envelope.key.clone(), ip: visit.ip.clone() };
    let answer = visit.engine.run_action(body(visit.engine.clone(), ctx)).await;
    finish(&visit, envelope, fields, answer).await
}

/// Sends the browser on after an act, with what there is to say.
pub async fn finish(
    visit: &Visit,
    envelope: Envelope,
    fields: &[(&str, &str)],
    answer: Result<Done, Error>,
) -> Result<(), AppError> {
    let (to, flash) = match answer {
        Ok(done) => {
            let flash = Flash { ok: true, text: done.said, form: envelope.form, fields: BTreeMap::new() };
            (done.to, flash)
        }
        Err(error) => {
            let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let flash = Flash { ok: false, text: error.public(), form: envelope.form, fields };
            (local_path(&envelope.back), flash)
        }
    };
    if !flash.text.is_empty() {
        visit.session.insert(FLASH, &flash).await.map_err(|e| AppError::from(Error::internal(e)))?;
    }
    leptos_axum::redirect(&to);
    Ok(())
}

/// Only paths of this site are gone back to.
pub fn local_path(path: &str) -> String {
    let safe = path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if safe { path.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_gone_back_to() {
        assert_eq!(local_path("/gates/A?x=1#note"), "/gates/A?x=1#note");
        for bad in ["", "//evil.example", "https://evil.example", "/\\evil", "/a\r\nLocation: x"] {
            assert_eq!(local_path(bad), "/", "{bad:?}");
        }
    }
}
