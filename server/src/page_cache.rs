//! Rendered pages, shared: as long as nothing shown differs, a page that a person asks for again is not rendered
//! again. What must be fresh in every answer (the nonce of the content policy, the idempotency key of each form) is
//! put into the copy when it is answered.
//!
//! An open page that reads itself again (`X-Stagegate-Live: own-keys`) runs no script of the answer and gives its forms
//! keys of its own. It gets the same bytes as every other page of that person: compressed once, and not copied.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use app::ssr::RequestContext;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::facts::Actor;
use domain::policy::{RouteKind, rule_for};
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use leptos::nonce::Nonce;

use crate::auth_layer::LIVE;

/// How long a page is shared: what it says of the time is never older.
const FRESH: Duration = Duration::from_secs(1);
/// Pages that are held at most.
const MOST: usize = 128;
/// A page that is longer is not held.
const LONGEST: usize = 1 << 20;
/// What stands before the idempotency key of a form; markup, so no text of a person can look like it.
const KEY_FIELD: &[u8] = br#"<input type="hidden" name="key" value=""#;
/// Length of a key, in hex.
const KEY: usize = 32;
/// Value of the header of a page that reads itself again and gives its forms keys of its own.
const OWN_KEYS: &str = "own-keys";
/// Longest list of encodings that an answer is shared for, bytes: browsers send some twenty.
const LONGEST_ENCODINGS: usize = 64;

/// The pages rendered lately. Clones share them.
#[derive(Clone, Default)]
pub struct PageCache(Arc<Mutex<HashMap<Key, Slot>>>);

/// One page for one person, while nothing differs.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    path: String,
    person: i64,
    name: String,
    roles: Vec<&'static str>,
    revision: u64,
    form: Form,
}

/// In which form a page is shared.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    /// As it was rendered; each answer is a copy with a nonce and keys of its own.
    Rendered,
    /// As an open page reads it again, for this `Accept-Encoding`.
    Live(String),
}

impl Form {
    fn of(headers: &HeaderMap) -> Form {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let accepts = text(&ACCEPT_ENCODING).unwrap_or_default();
        match text(&HeaderName::from_static(LIVE)) {
            Some(OWN_KEYS) if accepts.len() <= LONGEST_ENCODINGS => Form::Live(accepts.to_owned()),
            _ => Form::Rendered,
        }
    }
}

/// Held while the page is rendered: of many who ask at once, one renders.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Page>>>>;

/// A rendered page, and where the parts are that differ in every answer.
struct Page {
    since: Instant,
    parts: Parts,
    body: Bytes,
    nonce: String,
    nonces: Vec<Range<usize>>,
    keys: Vec<Range<usize>>,
}

/// Answers a page from the cache, or renders it for whoever asks next.
pub async fn share(State(cache): State<PageCache>, mut request: Request, next: Next) -> Response {
    let Some(key) = key_of(&request) else { return next.run(request).await };
    let form = key.form.clone();
    if form == Form::Rendered {
        // A copy that is changed in places cannot be compressed before.
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    let slot = cache.slot(key);
    let mut held = slot.lock().await;
    if let Some(page) = held.as_ref().filter(|page| page.since.elapsed() < FRESH) {
        let page = Arc::clone(page);
        drop(held);
        return page.answer();
    }
    let since = Instant::now();
    let (parts, body) = next.run(request).await.into_parts();
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered to its end");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let page = match form {
        Form::Rendered => Page::of(since, &parts, &body),
        Form::Live(_) => Page::live(since, &parts, &body),
    };
    match page {
        Some(page) => *held = Some(Arc::new(page)),
        None => *held = None,
    }
    Response::from_parts(parts, Body::from(body))
}

/// Under which key a request's answer is shared; `None`: it is not.
fn key_of(request: &Request) -> Option<Key> {
    let context = request.extensions().get::<RequestContext>()?;
    let Actor { id, name, roles } = context.actor.as_ref()?;
    let path = request.uri().path();
    let is_page = rule_for(path).is_some_and(|rule| rule.kind == RouteKind::Page);
    // What is shown once, or is about a person's own account, is nobody else's business.
    let shared = is_page
        && *request.method() == Method::GET
        && context.flash.is_none()
        && !["/sign-in", "/account", "/people"].contains(&path)
        && !path.starts_with("/link/");
    shared.then(|| Key {
        path: context.path.clone(),
        person: *id,
        name: name.clone(),
        roles: roles.iter().map(|r| r.slug()).collect(),
        revision: *context.engine.revisions().borrow(),
        form: Form::of(request.headers()),
    })
}

impl PageCache {
    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if !slots.contains_key(&key) {
            slots.retain(|_, slot| is_fresh(slot));
            if slots.len() >= MOST {
                slots.clear();
            }
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

/// Whether a slot is being filled or holds a page that is still shared.
fn is_fresh(slot: &Slot) -> bool {
    match slot.try_lock() {
        Ok(held) => held.as_ref().is_some_and(|page| page.since.elapsed() < FRESH),
        Err(_) => true,
    }
}

impl Page {
    /// The page as an open page reads it again, when it can be shared.
    fn live(since: Instant, parts: &Parts, body: &Bytes) -> Option<Page> {
        if !can_be_shared(parts, body) {
            return None;
        }
        let (nonces, keys) = (vec![], vec![]);
        Some(Page { since, parts: parts.clone(), body: body.clone(), nonce: String::new(), nonces, keys })
    }

    /// The page, when it can be shared: a whole answer with a content policy whose nonce is known.
    fn of(since: Instant, parts: &Parts, body: &Bytes) -> Option<Page> {
        let policy = parts.headers.get(CONTENT_SECURITY_POLICY)?.to_str().ok()?;
        let nonce = policy.split("'nonce-").nth(1)?.split('\'').next()?.to_owned();
        if nonce.is_empty() || !can_be_shared(parts, body) {
            return None;
        }
        let nonces = places(body, nonce.as_bytes(), 0..nonce.len());
        let keys = places(body, KEY_FIELD, KEY_FIELD.len()..KEY_FIELD.len() + KEY);
        let whole = |place: &Range<usize>| {
            body.get(place.clone()).is_some_and(|key| key.iter().all(u8::is_ascii_hexdigit))
        };
        if !keys.iter().all(whole) {
            return None;
        }
        let mut parts = parts.clone();
        parts.headers.remove(CONTENT_LENGTH);
        Some(Page { since, parts, body: body.clone(), nonce, nonces, keys })
    }

    /// A copy with a nonce and keys of its own; of what an open page reads again, the very same.
    fn answer(&self) -> Response {
        if self.nonce.is_empty() {
            return Response::from_parts(self.parts.clone(), Body::from(self.body.clone()));
        }
        let nonce = Nonce::new();
        let mut parts = self.parts.clone();
        let mut body = self.body.to_vec();
        if nonce.len() != self.nonce.len() {
            tracing::error!("nonces differ in length; the page is not shared");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        for place in &self.nonces {
            body[place.clone()].copy_from_slice(nonce.as_bytes());
        }
        for place in &self.keys {
            body[place.clone()].copy_from_slice(app::ui::random_key().as_bytes());
        }
        let policy = parts.headers.get(CONTENT_SECURITY_POLICY).and_then(|p| p.to_str().ok());
        let policy = policy.map(|p| p.replace(&self.nonce, &nonce)).unwrap_or_default();
        match HeaderValue::from_str(&policy) {
            Ok(policy) => parts.headers.insert(CONTENT_SECURITY_POLICY, policy),
            Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
        Response::from_parts(parts, Body::from(body))
    }
}

/// Whether this is a whole page that says nothing to one visitor alone.
fn can_be_shared(parts: &Parts, body: &Bytes) -> bool {
    parts.status == StatusCode::OK && body.len() <= LONGEST && !parts.headers.contains_key("set-cookie")
}

/// Where `wanted` stands in `body`; `part` is the part of it that is meant.
fn places(body: &[u8], wanted: &[u8], part: Range<usize>) -> Vec<Range<usize>> {
    memchr::memmem::find_iter(body, wanted).map(|at| at + part.start..at + part.end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Option<Page> {
        let response = http::Response::builder()
            .header(CONTENT_SECURITY_POLICY, "script-src 'nonce-AAAAAAAAAAAAAAAAAAAAAA' 'strict-dynamic'")
            .body(())
            .ok()?;
        Page::of(Instant::now(), &response.into_parts().0, &Bytes::copy_from_slice(body.as_bytes()))
    }

    async fn text(response: Response) -> (String, String) {
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap_or_default().to_owned();
        let body = to_bytes(response.into_body(), LONGEST).await.unwrap_or_default();
        (policy, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn each_answer_has_a_nonce_and_keys_of_its_own() {
        let key = "0123456789abcdef0123456789abcdef";
        let field = format!(r#"<input type="hidden" name="key" value="{key}">"#);
        let nonce = Nonce::new();
        assert_eq!(nonce.len(), "AAAAAAAAAAAAAAAAAAAAAA".len(), "the test's nonce is as long as a real one");
        let page =
            page(&format!("<script nonce=\"AAAAAAAAAAAAAAAAAAAAAA\"></script>{field}{field}")).unwrap();
        let (policy, one) = text(page.answer()).await;
        let (_, two) = text(page.answer()).await;
        assert_ne!(one, two);
        assert!(!one.contains("AAAAAAAA") && !policy.contains("AAAAAAAA") && !one.contains(key));
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert!(one.contains(nonce));
        let keys: Vec<&str> = one.split("name=\"key\" value=\"").skip(1).map(|rest| &rest[..KEY]).collect();
        assert!(keys.len() == 2 && keys[0] != keys[1], "{keys:?}");
    }

    #[test]
    fn a_page_with_a_key_of_another_shape_is_not_shared() {
        assert!(page(r#"<input type="hidden" name="key" value="short">"#).is_none());
        assert!(page("no forms at all").is_some());
    }
}
