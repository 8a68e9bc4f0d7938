//! A cache of rendered pages: as long as the content is unchanged, a page that a person requests again is not rendered
//! again. Values that must be new in every response (the nonce of the content policy, the idempotency key of each form)
//! are inserted into the copy.
//!
//! An open page that reloads itself (`X-Stagegate-Live: own-keys`) runs no script of the response and generates the
//! keys of its forms itself. It gets the same bytes as every other tab of that person: compressed once, not copied.

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
use domain::pages;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use leptos::nonce::Nonce;

use crate::auth_layer::LIVE;

/// How long a page is shared: relative times on it are never older.
const FRESH: Duration = Duration::from_secs(1);
/// Most pages in the cache.
const MOST: usize = 128;
/// A longer page is not cached.
const LONGEST: usize = 1 << 20;
/// The markup before the idempotency key of a form; text that a person entered cannot look like it.
const KEY_FIELD: &[u8] = br#"<input type="hidden" name="key" value=""#;
/// Length of a key, in hex.
const KEY: usize = 32;
/// Value of the header of a page that reloads itself and generates the keys of its forms.
const OWN_KEYS: &str = "own-keys";
/// Longest list of encodings for which a response is shared, bytes: browsers send about twenty.
const LONGEST_ENCODINGS: usize = 64;

/// The recently rendered pages. Clones share them.
#[derive(Clone, Default)]
pub struct PageCache(Arc<Mutex<HashMap<Key, Slot>>>);

/// One page for one person, while its content is unchanged.
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
    /// As it was rendered; each response is a copy with its own nonce and keys.
    Rendered,
    /// For an open page that reloads itself, for this `Accept-Encoding`.
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

/// Locked while the page is rendered: of many parallel requests, one renders.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Page>>>>;

/// A rendered page, and the positions of the parts that differ in every response.
struct Page {
    since: Instant,
    parts: Parts,
    body: Bytes,
    nonce: String,
    nonces: Vec<Range<usize>>,
    keys: Vec<Range<usize>>,
}

/// Answers with a page from the cache, or renders and caches it.
pub async fn share(State(cache): State<PageCache>, mut request: Request, next: Next) -> Response {
    let Some(key) = key_of(&request) else { return next.run(request).await };
    let form = key.form.clone();
    if form == Form::Rendered {
        // A copy that is modified cannot be compressed beforehand.
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
            tracing::error!(%error, "a page could not be rendered completely");
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

/// The key under which the response to a request is shared; `None`: it is not shared.
fn key_of(request: &Request) -> Option<Key> {
    let context = request.extensions().get::<RequestContext>()?;
    let Actor { id, name, roles } = context.actor.as_ref()?;
    let page = pages::Page::at(request.uri().path());
    let shared = page.is_some_and(pages::Page::is_cacheable)
        && *request.method() == Method::GET
        && context.flash.is_none();
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

/// Whether a slot is being filled or contains a page that is still shared.
fn is_fresh(slot: &Slot) -> bool {
    match slot.try_lock() {
        Ok(held) => held.as_ref().is_some_and(|page| page.since.elapsed() < FRESH),
        Err(_) => true,
    }
}

impl Page {
    /// The page for an open page that reloads itself, if it can be shared.
    fn live(since: Instant, parts: &Parts, body: &Bytes) -> Option<Page> {
        if !can_be_shared(parts, body) {
            return None;
        }
        let (nonces, keys) = (vec![], vec![]);
        Some(Page { since, parts: parts.clone(), body: body.clone(), nonce: String::new(), nonces, keys })
    }

    /// The page, if it can be shared: a complete response with a content policy whose nonce is known.
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

    /// A copy with its own nonce and keys; for an open page that reloads itself, the same bytes.
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

/// Whether this is a complete page without content for a single response.
fn can_be_shared(parts: &Parts, body: &Bytes) -> bool {
    parts.status == StatusCode::OK && body.len() <= LONGEST && !parts.headers.contains_key("set-cookie")
}

/// The positions of `wanted` in `body`; `part` is the relevant part of it.
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
    async fn each_response_has_its_own_nonce_and_keys() {
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
