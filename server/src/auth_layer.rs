//! Authentication and authorisation: finds the person of the session; the policy table decides what they may do.

use std::net::SocketAddr;
use std::time::Duration;

use app::notices::{Notices, Owner};
use app::ssr::{Flash, NoticeCookie, RequestContext};
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use domain::action::Action;
use domain::policy::{RouteKind, admits, rule_for, who_may};
use engine::Engine;
use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use tower_sessions::Session;

use crate::connections::Client;

/// Header with which the live island re-reads a page; such a read does not use up the notice.
pub const LIVE: &str = "x-stagegate-live";
/// Longest body that is read from a user who is not signed in: a password form.
const MAX_ANONYMOUS_BODY_BYTES: usize = 16 << 10;
/// Longest body that is read from a user who is signed in.
const MAX_BODY_BYTES: usize = 512 << 10;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// What [`authenticate`] needs to know.
#[derive(Debug, Clone)]
pub struct AuthLayer {
    /// The engine.
    pub engine: Engine,
    /// The notices that wait to be shown.
    pub notices: Notices,
    /// The cookie for users without a session.
    pub notice_cookie: NoticeCookie,
}

/// Finds the user of a request and refuses what the policy table does not allow.
pub async fn authenticate(State(layer): State<AuthLayer>, mut request: Request, next: Next) -> Response {
    let mut context = match identify(&layer, request.extensions(), request.uri()).await {
        Ok(context) => context,
        Err(unavailable) => return unavailable,
    };
    let path = request.uri().path().to_owned();
    let Some(rule) = rule_for(&path) else {
        // Not in the table: only the “not found” page may answer, and only to a read.
        request.extensions_mut().insert(context);
        return next.run(request).await;
    };
    // The rule that was applied and the route that answers must be the same.
    if request.extensions().get::<MatchedPath>().is_some_and(|matched| matched.as_str() != rule.path) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let wants_page = rule.kind == RouteKind::Page && *request.method() == Method::GET;
    if !admits(rule.who, context.actor.as_ref().map(|a| a.roles.as_slice())) {
        return refuse(&context, request.headers(), request.uri(), rule.kind, wants_page).await;
    }
    if matches!(rule.kind, RouteKind::Action(_)) {
        let limit = if context.actor.is_some() { MAX_BODY_BYTES } else { MAX_ANONYMOUS_BODY_BYTES };
        request = match with_whole_body(request, limit).await {
            Ok(request) => request,
            Err(refusal) => return refusal,
        };
    }
    let mut used_cookie = false;
    if wants_page {
        let is_live_read = request.headers().contains_key(LIVE);
        (context.flash, used_cookie) = notice_for(&context, request.headers(), is_live_read);
    }
    request.extensions_mut().insert(context);
    let mut response = next.run(request).await;
    if used_cookie && let Ok(gone) = HeaderValue::from_str(&layer.notice_cookie.gone()) {
        response.headers_mut().append(header::SET_COOKIE, gone);
    }
    response
}

/// The context of a request, with the person of its session. Other credentials that a request may carry belong here.
///
/// # Errors
/// The response if sessions cannot be read.
async fn identify(layer: &AuthLayer, extensions: &Extensions, uri: &Uri) -> Result<RequestContext, Response> {
    let Some(session) = extensions.get::<Session>().cloned() else {
        return Err(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    let person = app::people::person_of_session(&session).await.map_err(|error| {
        tracing::error!(%error, "the session could not be read");
        let text = "Sessions cannot be read at the moment. Try again later.\n";
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    })?;
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    Ok(RequestContext {
        engine: layer.engine.clone(),
        actor: person.and_then(|id| layer.engine.actor(id)),
        session,
        flash: None,
        notices: layer.notices.clone(),
        notice_cookie: layer.notice_cookie,
        path: uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
        ip: peer.map(|c| c.0.ip().to_canonical().to_string()).unwrap_or_default(),
    })
}

/// The answer to a request that the policy table does not allow.
async fn refuse(
    context: &RequestContext,
    headers: &HeaderMap,
    uri: &Uri,
    kind: RouteKind,
    wants_page: bool,
) -> Response {
    let Some(actor) = &context.actor else {
        return match wants_page {
            true => Redirect::to(&sign_in_path(uri)).into_response(),
            false => (StatusCode::UNAUTHORIZED, "Please sign in.\n").into_response(),
        };
    };
    let path = uri.path();
    context.engine.note_refusal(actor, path).await;
    match kind {
        RouteKind::Action(action) => refuse_action(context, &referer(headers), action),
        _ => StatusCode::FORBIDDEN.into_response(),
    }
}

/// The notice that waits for this user, and whether its cookie is no longer needed.
fn notice_for(context: &RequestContext, headers: &HeaderMap, is_live_read: bool) -> (Option<Flash>, bool) {
    let find = |owner: &Owner| match is_live_read {
        true => context.notices.peek(owner),
        false => context.notices.take(owner),
    };
    let session = context.session_hash();
    if !session.is_empty()
        && let Some(notice) = find(&Owner::Session(session))
    {
        return (Some(notice), false);
    }
    match context.notice_cookie.of(headers) {
        Some(value) => (find(&Owner::Anonymous(value)), !is_live_read),
        None => (None, false),
    }
}

/// The request with its body in memory: complete, not too long, and in time, before it is processed.
async fn with_whole_body(request: Request, limit: usize) -> Result<Request, Response> {
    let too_long = || {
        let text =
            format!("The form is too long: the limit is {} kB. Shorten it and send it again.\n", limit >> 10);
        (StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")], text).into_response()
    };
    // No body is decompressed: a form of some kilobytes could become gigabytes, and browsers do not compress forms.
    let encoding = request.headers().get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if encoding.is_some_and(|name| !name.eq_ignore_ascii_case(b"identity")) {
        let text = "Compressed requests are not supported. Send the form without Content-Encoding.\n";
        let close = [(header::CONNECTION, "close")];
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, close, text).into_response());
    }
    let stated = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if stated.is_some_and(|length: usize| length > limit) {
        return Err(too_long());
    }
    let client = request.extensions().get::<Client>().cloned();
    let (parts, body) = request.into_parts();
    if let Some(client) = &client {
        client.is_awaited();
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, limit)).await;
    if let Some(client) = &client {
        client.is_served();
    }
    match read {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(too_long()),
        Err(_) => {
            let text = "The form took too long to arrive. Send it again.\n";
            Err((StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")], text).into_response())
        }
    }
}

/// The sign-in page that continues to the requested address, query included.
fn sign_in_path(uri: &Uri) -> String {
    let wanted = uri.path_and_query().map_or("/", |path| path.as_str());
    if wanted == "/" {
        return "/sign-in".to_owned();
    }
    let mut to = "/sign-in?next=".to_owned();
    for byte in wanted.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            to.push_str(&format!("%{byte:02X}"));
        }
    }
    to
}

/// The Stagegate page that a request came from.
fn referer(headers: &HeaderMap) -> String {
    headers
        .get(header::REFERER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<Uri>().ok())
        .map_or_else(|| "/".to_owned(), |u| app::ssr::local_path(u.path()))
}

/// A user without the role pressed a button that should have been disabled: redirects them back and
/// shows the reason.
fn refuse_action(context: &RequestContext, back: &str, action: Action) -> Response {
    context.leave_notice(Flash {
        ok: false,
        text: format!("Not done: your roles do not allow this. Only {} can do it.", who_may(action)),
        ..Flash::default()
    });
    Redirect::to(back).into_response()
}
