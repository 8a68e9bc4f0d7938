//! Which addresses and methods exist. Each page, action and file has exactly one spelling; every other spelling is
//! refused first, so that the policy table and the router cannot interpret one address differently.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::policy::{RouteKind, rule_for};
use http::{Method, StatusCode, header};

/// Longest path, bytes.
const LONGEST: usize = 512;

/// Whether a path is spelled in the only form that this server uses: segments of letters, digits and `-._~`, none of
/// them empty, `.` or `..`, and no slash at the end. No path needs an escape, so none is accepted.
pub fn is_canonical(path: &str) -> bool {
    if path == "/" {
        return true;
    }
    let Some(rest) = path.strip_prefix('/') else { return false };
    path.len() <= LONGEST && rest.split('/').all(is_segment)
}

fn is_segment(segment: &str) -> bool {
    !segment.is_empty()
        && segment != "."
        && segment != ".."
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}

/// The methods that this path accepts, in the form of an `Allow` header.
fn methods(path: &str) -> &'static str {
    match rule_for(path).map(|rule| rule.kind) {
        Some(RouteKind::Action(_)) => "POST",
        // A HEAD request would hold a stream open.
        Some(RouteKind::Stream) => "GET",
        Some(RouteKind::Page | RouteKind::File) | None => "GET, HEAD",
    }
}

/// Refuses paths that are not canonical and methods that the path does not accept. It reads no session and records
/// nothing: a user may have been tricked into following a link.
pub async fn gate(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !is_canonical(path) {
        return (StatusCode::NOT_FOUND, "There is no such address.\n").into_response();
    }
    let allowed = methods(path);
    let method = request.method();
    if allowed.split(", ").any(|name| name == method.as_str()) {
        return next.run(request).await;
    }
    // A path that is not in the table does not exist, for any method.
    if rule_for(path).is_none() && *method != Method::OPTIONS {
        return (StatusCode::NOT_FOUND, "There is no such address.\n").into_response();
    }
    let text = format!("This address accepts only {allowed}.\n");
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allowed)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_table_is_canonical() {
        for rule in domain::policy::RULES {
            let path = rule.path.replace("{id}", "A").replace("{token}", "a-_9").replace("{*rest}", "a.b.js");
            assert!(is_canonical(&path), "{path}");
        }
    }

    #[test]
    fn no_path_has_a_second_spelling() {
        let bad = [
            "",
            "*",
            "//",
            "/gates/A/",
            "//gates/A",
            "/gates//A",
            "/./gates/A",
            "/gates/./A",
            "/gates/../gates/A",
            "/gates/A/..",
            "/gates/%41",
            "/%67ates/A",
            "/gates/A%2f",
            "/gates%2FA",
            "/%2e%2e/gates/A",
            "/gates/A;x=1",
            "/gates;x/A",
            "/gates\\A",
            "/gates/A%00",
            "/gates/A\0",
            "/gates/A%",
            "/gates/A%zz",
            "/gates/A+",
            "/gates/A ",
            "/gates/Ä",
            "/gates/A%C3%84",
            "/gates/A:",
            "/gates/@A",
            "/gates/{id}",
            "/gates/*",
            "gates/A",
            "/gates/A\t",
        ];
        for path in bad {
            assert!(!is_canonical(path), "{path:?}");
        }
        assert!(!is_canonical(&format!("/{}", "a".repeat(LONGEST))));
        assert!(is_canonical("/"));
    }

    #[test]
    fn actions_are_posted_and_everything_else_is_read() {
        assert_eq!(methods("/api/deploy"), "POST");
        assert_eq!(methods("/gates/A"), "GET, HEAD");
        assert_eq!(methods("/events"), "GET");
        assert_eq!(methods("/nowhere"), "GET, HEAD");
    }
}
