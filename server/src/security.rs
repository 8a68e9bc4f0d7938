//! What applies to every route: the origin check and the security headers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// What the layers need to know.
#[derive(Debug, Clone)]
pub struct Site {
    /// The origin that users open, such as `https://go.example.com`; `None`: that of the `Host` header.
    pub public_origin: Option<Arc<str>>,
}

/// Whether a request that changes something comes from our own pages. Fetch metadata decides if
/// the browser sends it; otherwise the `Origin` header must name this host. Without either, the answer is no.
pub fn is_same_origin(headers: &HeaderMap, public_origin: Option<&str>) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site"))
        && site != "same-origin"
    {
        return false;
    }
    let Some(origin) = text(header::ORIGIN) else {
        return text(HeaderName::from_static("sec-fetch-site")) == Some("same-origin");
    };
    match public_origin {
        Some(public) => origin.eq_ignore_ascii_case(public),
        None => {
            let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            host.is_some() && host == text(header::HOST)
        }
    }
}

/// Refuses requests that would change something and do not come from our own pages.
pub async fn origin_gate(State(site): State<Site>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || is_same_origin(request.headers(), site.public_origin.as_deref()) {
        return next.run(request).await;
    }
    // At debug level only: anyone can cause any number of these.
    tracing::debug!(path = %request.uri().path(), "a request from another origin was refused");
    (
        StatusCode::FORBIDDEN,
        "This request was refused: it did not come from a page of this Stagegate server.\n",
    )
        .into_response()
}

/// The policy of responses that have no other policy: nothing may be loaded.
const STRICT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Sets the security headers on every answer.
pub async fn headers(State(site): State<Site>, request: Request, next: Next) -> Response {
    let is_asset = request.uri().path().starts_with("/pkg/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &'static str| {
        headers.entry(HeaderName::from_static(name)).or_insert_with(|| HeaderValue::from_static(value));
    };
    set("content-security-policy", STRICT_POLICY);
    set("x-content-type-options", "nosniff");
    set("x-frame-options", "DENY");
    set("referrer-policy", "same-origin");
    set("cross-origin-opener-policy", "same-origin");
    set("cross-origin-resource-policy", "same-origin");
    set("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()");
    if !is_asset {
        set("cache-control", "no-store");
    }
    if site.public_origin.as_deref().is_some_and(|o| o.starts_with("https://")) {
        set("strict-transport-security", "max-age=31536000");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(pairs: &[(&'static str, &str)], public: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        is_same_origin(&headers, public)
    }

    #[test]
    fn only_our_own_pages_pass() {
        let host = ("host", "127.0.0.1:4400");
        let ours = ("origin", "http://127.0.0.1:4400");
        assert!(same(&[host, ours], None));
        assert!(same(&[host, ours, ("sec-fetch-site", "same-origin")], None));
        assert!(same(&[host, ("sec-fetch-site", "same-origin")], None));
        for refused in [
            &[host][..],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://evil.example")],
            &[host, ("origin", "http://127.0.0.1:4401")],
            &[host, ours, ("sec-fetch-site", "cross-site")],
            &[host, ours, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "none")],
            &[host, ("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
        ] {
            assert!(!same(refused, None), "{refused:?}");
        }
    }

    #[test]
    fn behind_a_proxy_the_public_origin_decides() {
        let host = ("host", "127.0.0.1:4400");
        let public = Some("https://go.example.com");
        assert!(same(&[host, ("origin", "https://go.example.com")], public));
        assert!(!same(&[host, ("origin", "http://127.0.0.1:4400")], public));
    }
}
