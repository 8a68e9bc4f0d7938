//! Links that people add to an attestation.

use crate::error::Error;

/// Reads a link: a web address, or a path of this board such as `/runs/12`. Empty stays empty.
///
/// # Errors
/// Anything else; the message says what is allowed.
pub(super) fn address(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() || is_web_address(text) || is_path(text) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(
        "A link must start with https:// or http://, or be a path of this board such as /runs/12. It must not contain spaces.",
    ))
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|r| !r.is_empty() && !r.starts_with('/')) && is_plain(text)
}

/// Two slashes would lead to another host, and browsers read `\` as `/`.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//") && !text.contains('\\') && is_plain(text)
}

fn is_plain(text: &str) -> bool {
    text.chars().count() <= 2_000 && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_link_is_counted_in_characters() {
        let link = |n: usize| format!("https://example.org/{}", "\u{fc}".repeat(n));
        assert!(address(&link(1_980)).is_ok() && address(&link(1_981)).is_err());
    }

    #[test]
    fn links_lead_to_the_web_or_to_this_board() {
        for good in
            ["", "https://grafana.example/d/1", "http://127.0.0.1:3000/x?y=1#z", "/runs/12", " /runs/12 "]
        {
            assert_eq!(address(good).unwrap(), good.trim(), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//evil.example",
            "/\\evil.example",
            "https://a b",
            "https://",
            "https:///x",
            "runs/12",
            "/a\nb",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
