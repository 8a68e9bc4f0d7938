//! Connects pages and server functions to the engine. Server only.

use std::collections::BTreeMap;
use std::future::Future;

use domain::facts::Actor;
use engine::Token;
use engine::{Ctx, Done, Engine, Error, ErrorKind, FormField};
use http::request::Parts;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use serde::{Deserialize, Serialize};
use tower_sessions::Session;

use crate::error::AppError;
use crate::notices::{Notices, Owner};

/// The context of a request; the server's session layer adds it to the request.
#[derive(Clone)]
pub struct RequestContext {
    /// The engine.
    pub engine: Engine,
    /// The signed-in person, if any.
    pub actor: Option<Actor>,
    /// The session, for signing in and out.
    pub session: Session,
    /// The message of the last action, shown once.
    pub flash: Option<Flash>,
    /// The notices that are still to be shown.
    pub notices: Notices,
    /// Name and attributes of the cookie that connects a browser without a session to its notice.
    pub notice_cookie: NoticeCookie,
    /// The request's path with its query.
    pub path: String,
    /// The peer's address, for throttling.
    pub ip: String,
}

/// How long a browser is remembered after a sign-in, in seconds; the same period as in the engine.
const MONTH_SECONDS: u32 = 30 * 24 * 60 * 60;

impl RequestContext {
    /// The context of the current request.
    ///
    /// # Panics
    /// Never in a running server: the session layer runs before every route.
    pub fn current() -> RequestContext {
        let parts = expect_context::<Parts>();
        #[expect(clippy::expect_used, reason = "the session layer runs before every route")]
        parts.extensions.get::<RequestContext>().cloned().expect("the session layer sets the request context")
    }

    /// The signed-in person; pages that require a sign-in always have one.
    ///
    /// # Errors
    /// If no person is signed in.
    pub fn actor(&self) -> Result<&Actor, Error> {
        self.actor.as_ref().ok_or_else(Error::signed_out)
    }

    /// The value that was entered in the field `name` of `form` before the form was refused; otherwise empty.
    pub fn draft(&self, form: &str, name: &str) -> String {
        self.flash
            .as_ref()
            .filter(|f| f.form == form)
            .and_then(|f| f.fields.get(name).cloned())
            .unwrap_or_default()
    }

    /// A parameter of the query, decoded once. (The router's map decodes twice.)
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.path.split_once('?')?;
        form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The hash of the session id; empty if no person is signed in.
    pub fn session_hash(&self) -> String {
        match (&self.actor, self.session.id()) {
            (Some(_), Some(id)) => engine::session_hash(&id),
            _ => String::new(),
        }
    }

    /// Stores a notice for the next page: under the session or, without one, under a random value that the browser gets
    /// as a cookie. Notices are never written to disk.
    pub fn leave_notice(&self, notice: Flash) {
        let session = self.session_hash();
        if !session.is_empty() {
            self.notices.put(&Owner::Session(session), notice);
            return;
        }
        match Token::generate() {
            Ok(token) => {
                self.notices.put(&Owner::Anonymous(token.reveal().to_owned()), notice);
                self.set_cookie(&self.notice_cookie.holding(token.reveal()));
            }
            // The response is more important than its notice.
            Err(error) => tracing::error!(%error, "could not store a notice for the next page"),
        }
    }

    /// The cookie of the last sign-in in this browser; empty if there is none.
    pub fn known_browser(&self) -> String {
        let parts = use_context::<Parts>();
        let value = parts.as_ref().and_then(|parts| cookie(&parts.headers, self.browser_cookie()));
        value.unwrap_or_default().to_owned()
    }

    /// Stores in the browser that the owner of `login` has signed in there. Then failed attempts of others from the
    /// same address do not lock this person out.
    pub fn remember_browser(&self, login: &str) {
        let Some(value) = self.engine.known_browser(login) else { return };
        let secure = if self.notice_cookie.secure { "; Secure" } else { "" };
        let name = self.browser_cookie();
        self.set_cookie(&format!(
            "{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={MONTH_SECONDS}{secure}"
        ));
    }

    fn browser_cookie(&self) -> &'static str {
        if self.notice_cookie.secure { "__Host-stagegate-browser" } else { "stagegate-browser" }
    }

    fn set_cookie(&self, cookie: &str) {
        if let (Some(response), Ok(value)) =
            (use_context::<ResponseOptions>(), http::HeaderValue::from_str(cookie))
        {
            response.append_header(http::header::SET_COOKIE, value);
        }
    }
}

/// The cookie that connects a browser without a session to its notice. It grants no access and expires by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeCookie {
    /// Whether the site is served over HTTPS.
    pub secure: bool,
}

impl NoticeCookie {
    /// Its name.
    pub fn name(self) -> &'static str {
        if self.secure { "__Host-stagegate-notice" } else { "stagegate-notice" }
    }

    /// The `Set-Cookie` header with this value.
    pub fn holding(self, value: &str) -> String {
        self.header(value, 600)
    }

    /// The `Set-Cookie` header that removes the cookie.
    pub fn gone(self) -> String {
        self.header("", 0)
    }

    fn header(self, value: &str, seconds: u32) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}", self.name())
    }

    /// The value from the request headers, if it has the right format.
    pub fn of(self, headers: &http::HeaderMap) -> Option<String> {
        let token = Token::parse(cookie(headers, self.name())?)?;
        Some(token.reveal().to_owned())
    }
}

/// The value of the first cookie of this name.
fn cookie<'a>(headers: &'a http::HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// The message of an action on the next page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flash {
    /// `true`: done; `false`: refused or failed.
    pub ok: bool,
    /// One or two sentences.
    pub text: String,
    /// The form that was sent, such as `accept_gate:A`.
    pub form: String,
    /// The values entered in that form, so that they can be shown again. Never passwords.
    pub fields: BTreeMap<String, String>,
    /// The field that a refusal is about, if it is about one.
    pub field: Option<FormField>,
}

/// Renders a page: loads its data and shows the view, or the error with its HTTP status.
pub fn page<F, Fut, V>(body: F) -> impl IntoView
where
    F: FnOnce(RequestContext) -> Fut,
    Fut: Future<Output = Result<V, Error>> + Send + 'static,
    V: IntoView + Send + 'static,
{
    let response = use_context::<ResponseOptions>();
    let work = body(RequestContext::current());
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
        ErrorKind::SignedOut => StatusCode::UNAUTHORIZED,
        ErrorKind::Refused => StatusCode::FORBIDDEN,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Throttled => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The fields that every form sends in addition to its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Envelope {
    /// Idempotency key, new for each rendered form.
    pub key: String,
    /// The page of the form; errors redirect to it.
    pub back: String,
    /// The name of the form, so that its values can be shown again.
    pub form: String,
}

/// Executes an action for the signed-in person and redirects the browser. The action continues if the browser closes
/// the connection. After a refusal or failure, the browser returns to the form with the entered values; `fields` must
/// not contain a password.
///
/// # Errors
/// If no person is signed in.
pub async fn act<F, Fut>(envelope: Envelope, fields: &[(&str, &str)], body: F) -> Result<(), AppError>
where
    F: FnOnce(Engine, Ctx) -> Fut,
    Fut: Future<Output = Result<Done, Error>> + Send + 'static,
{
    let context = RequestContext::current();
    let ctx = Ctx {
        actor: context.actor()?.clone(),
        key: envelope.key.clone(),
        ip: context.ip.clone(),
        session: context.session_hash(),
    };
    let answer = context.engine.run_action(body(context.engine.clone(), ctx)).await;
    finish(&context, envelope, fields, answer).await
}

/// Redirects the browser after an action and stores the message for the next page.
pub async fn finish(
    context: &RequestContext,
    envelope: Envelope,
    fields: &[(&str, &str)],
    answer: Result<Done, Error>,
) -> Result<(), AppError> {
    let (to, flash) = match answer {
        Ok(done) => {
            let flash = Flash { ok: true, text: done.said, form: envelope.form, ..Flash::default() };
            (done.to, flash)
        }
        Err(error) => {
            let fields = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let flash =
                Flash { ok: false, text: error.public(), form: envelope.form, fields, field: error.field() };
            (local_path(&envelope.back), flash)
        }
    };
    if !flash.text.is_empty() {
        context.leave_notice(flash);
    }
    leptos_axum::redirect(&to);
    Ok(())
}

/// The path if it is one of this site; otherwise `/`.
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
    fn only_paths_of_this_site_are_redirect_targets() {
        assert_eq!(local_path("/gates/A?x=1#note"), "/gates/A?x=1#note");
        for bad in ["", "//evil.example", "https://evil.example", "/\\evil", "/a\r\nLocation: x"] {
            assert_eq!(local_path(bad), "/", "{bad:?}");
        }
    }
}
