//! Who visits: the session becomes a person, and the policy table decides whether they may pass.

use app::ssr::{FLASH, Flash, Visit};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use domain::policy::{Door, admits, rule_for};
use engine::Engine;
use http::{Method, StatusCode, Uri};
use std::net::SocketAddr;
use tower_sessions::Session;

/// The session key of the person's id.
pub const PERSON: &str = "person";
/// Header with which the live island re-reads a page; such a read does not use up the notice.
const LIVE: &str = "x-stagegate-live";

/// Finds out who visits and refuses what the policy table does not allow.
pub async fn doorman(State(engine): State<Engine>, mut request: Request, next: Next) -> Response {
    let Some(session) = request.extensions().get::<Session>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let person: Option<i64> = match session.get(PERSON).await {
        Ok(person) => person,
        Err(error) => {
            tracing::error!(%error, "the session could not be read");
            return (StatusCode::SERVICE_UNAVAILABLE, "Sessions cannot be read right now.\n").into_response();
        }
    };
    let actor = person.and_then(|id| engine.actor(id));
    let path = request.uri().path().to_owned();
    let Some(rule) = rule_for(&path) else {
        // Not in the table: only the page that says so may answer, and only to a read.
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return StatusCode::NOT_FOUND.into_response();
        }
        let visit = visit(engine, actor, session, None, request.uri());
        request.extensions_mut().insert(visit);
        return next.run(request).await;
    };
    let wants_page = rule.door == Door::Page && *request.method() == Method::GET;
    if !admits(rule.who, actor.as_ref().map(|a| a.roles.as_slice())) {
        return match actor {
            None if wants_page => Redirect::to(&sign_in_path(request.uri())).into_response(),
            None => (StatusCode::UNAUTHORIZED, "Please sign in.\n").into_response(),
            Some(actor) => {
                let back = referer(request.headers());
                engine.note_refusal(&actor, &path).await;
                match rule.door {
                    Door::Act => refuse_act(&session, &back, &path).await,
                    _ => StatusCode::FORBIDDEN.into_response(),
                }
            }
        };
    }
    let is_live_read = request.headers().contains_key(LIVE);
    let flash: Option<Flash> = if !wants_page {
        None
    } else if is_live_read {
        session.get(FLASH).await.ok().flatten()
    } else {
        session.remove(FLASH).await.ok().flatten()
    };
    let ip = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|c| c.0.ip().to_string())
        .unwrap_or_default();
    let mut visit = visit(engine, actor, session, flash, request.uri());
    visit.ip = ip;
    request.extensions_mut().insert(visit);
    next.run(request).await
}

fn visit(
    engine: Engine,
    actor: Option<domain::facts::Actor>,
    session: Session,
    flash: Option<Flash>,
    uri: &Uri,
) -> Visit {
    let path = uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    Visit { engine, actor, session, flash, path, ip: String::new() }
}

fn sign_in_path(uri: &Uri) -> String {
    let path = uri.path();
    if path == "/" { "/sign-in".to_owned() } else { format!("/sign-in?next={path}") }
}

/// The page of ours that a request came from.
fn referer(headers: &http::HeaderMap) -> String {
    headers
        .get(http::header::REFERER)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<Uri>().ok())
        .map_or_else(|| "/".to_owned(), |u| app::ssr::local_path(u.path()))
}

/// A person without the role pressed a button that should have been disabled: send them back with
/// the reason.
async fn refuse_act(session: &Session, back: &str, path: &str) -> Response {
    let act = path.trim_start_matches("/api/");
    let flash = Flash {
        ok: false,
        text: format!("Not done: this is for {}.", domain::policy::who_may(act)),
        form: String::new(),
        fields: Default::default(),
    };
    if session.insert(FLASH, &flash).await.is_err() {
        return (StatusCode::FORBIDDEN, flash.text).into_response();
    }
    Redirect::to(back).into_response()
}
