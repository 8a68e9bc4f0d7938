//! The last step of a page: characters that hide or reorder text become visible, anywhere in the page. Values that a
//! form sends back are not changed.

use std::borrow::Cow;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::visible::{Kind, Part, is_suspicious, name, note, parts, visible};
use http::{StatusCode, header};

/// Attributes that people read.
const SHOWN: [&str; 5] = ["title", "aria-label", "alt", "placeholder", "label"];
/// Elements whose text is not markup and not shown, or is edited by people.
const RAW: [&str; 3] = ["script", "style", "textarea"];
/// Elements that contain only text.
const TEXT_ONLY: [&str; 2] = ["title", "option"];
/// Elements whose text is code or program output.
const CODE: [&str; 4] = ["code", "pre", "kbd", "samp"];

/// Makes hidden characters of pages visible.
pub async fn show_hidden(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/html")) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // One of our own pages: it is already in memory.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let changed = match std::str::from_utf8(&bytes).map(page) {
        Ok(Cow::Owned(text)) => Some(text),
        Ok(Cow::Borrowed(_)) | Err(_) => None,
    };
    match changed {
        Some(text) => {
            head.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(head, Body::from(text))
        }
        None => Response::from_parts(head, Body::from(bytes)),
    }
}

/// A page with its hidden characters made visible.
fn page(html: &str) -> Cow<'_, str> {
    if !is_suspicious(html) {
        return Cow::Borrowed(html);
    }
    let mut out = String::with_capacity(html.len() + 256);
    let mut rest = html;
    let mut code = 0_u32;
    let mut only_text = false;
    while !rest.is_empty() {
        let at = rest.find('<').unwrap_or(rest.len());
        let kind = if code > 0 { Kind::Code } else { Kind::Prose };
        text(&rest[..at], kind, only_text, &mut out);
        rest = &rest[at..];
        if rest.is_empty() {
            break;
        }
        let (tag, after) = rest.split_at(tag_end(rest));
        rest = after;
        let is_end = tag.starts_with("</");
        let name = tag_name(tag);
        let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        attributes(tag, &mut out);
        if is(&CODE) && !tag.ends_with("/>") {
            code = if is_end { code.saturating_sub(1) } else { code + 1 };
        }
        if is(&TEXT_ONLY) {
            only_text = !is_end;
        }
        if is(&RAW) && !is_end {
            let close = format!("</{name}");
            let end = rest.find(&close).unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    Cow::Owned(out)
}

fn text(text: &str, kind: Kind, only_text: bool, out: &mut String) {
    if only_text {
        out.push_str(&visible(text, kind));
        return;
    }
    for part in parts(text, kind) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Hidden(c) => {
                let code = u32::from(c);
                let (what, note) = (name(c), note(c));
                out.push_str(&format!(
                    r#"<span class="hidden-character" title="U+{code:04X}: {what}">{note}</span>"#
                ));
            }
        }
    }
}

/// Where the tag or comment at the beginning of `text` ends.
fn tag_end(text: &str) -> usize {
    if text.starts_with("<!--") {
        return text.find("-->").map_or(text.len(), |at| at + 3);
    }
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    text.len()
}

fn tag_name(tag: &str) -> &str {
    let name = tag.trim_start_matches(['<', '/']);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(name.len());
    &name[..end]
}

/// Writes a tag with the attributes that people read made visible.
fn attributes(tag: &str, out: &mut String) {
    if tag.starts_with("<!") || !is_suspicious(tag) {
        out.push_str(tag);
        return;
    }
    let mut rest = tag;
    while let Some(equals) = rest.find("=\"") {
        let (head, value) = rest.split_at(equals + 2);
        let name = head[..equals].rsplit([' ', '\n', '\t', '"']).next().unwrap_or_default();
        let end = value.find('"').unwrap_or(value.len());
        out.push_str(head);
        if SHOWN.contains(&name) {
            out.push_str(&visible(&value[..end], Kind::Prose));
        } else {
            out.push_str(&value[..end]);
        }
        rest = &value[end..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN_RLO: &str = "<span class=\"hidden-character\" title=\"U+202E: Right-to-left override\">\u{27e8}U+202E\u{27e9}</span>";

    #[test]
    fn text_and_read_attributes_become_visible() {
        assert_eq!(page("<p>a\u{202e}b</p>"), format!("<p>a{SHOWN_RLO}b</p>"));
        assert_eq!(
            page("<b title=\"x\u{202e}\" data-x=\"y\u{202e}\">c</b>"),
            "<b title=\"x\u{27e8}U+202E\u{27e9}\" data-x=\"y\u{202e}\">c</b>"
        );
        assert_eq!(page("<title>a\u{200b}</title>"), "<title>a\u{27e8}U+200B\u{27e9}</title>");
        assert_eq!(
            page("<option value=\"\u{200b}\">\u{feff}</option>"),
            "<option value=\"\u{200b}\">\u{27e8}U+FEFF\u{27e9}</option>"
        );
    }

    #[test]
    fn form_values_and_scripts_are_not_changed() {
        for html in [
            "<input value=\"a\u{202e}\">",
            "<textarea>a\u{202e}<b></textarea>",
            "<script>\"<p>\u{202e}\"</script>",
            "<!-- \u{202e} --><p>a</p>",
            "<p>\u{1f468}\u{200d}\u{1f469} \u{2764}\u{fe0f} \u{a0} typed\r\ntext</p>",
        ] {
            assert_eq!(page(html), html);
        }
        assert!(matches!(page("<p>plain \u{2192}</p>"), Cow::Borrowed(_)));
    }

    #[test]
    fn in_code_every_odd_character_is_shown() {
        let got =
            page("<pre class=\"x\"><code>rm\u{a0}\u{1f468}\u{200d}\u{1f469}</code></pre><p>a\u{a0}b</p>");
        assert!(got.contains("U+00A0\u{27e9}") && got.contains("U+200D\u{27e9}"), "{got}");
        assert!(got.ends_with("<p>a\u{a0}b</p>"), "{got}");
        assert!(page("<p title=\"a > b\">\u{202e}</p>").starts_with("<p title=\"a > b\"><span"));
    }
}
