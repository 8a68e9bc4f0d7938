//! The shapes in which a secret may turn up in output: raw, encoded, escaped, quoted.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Shorter forms are not searched for: they would mask half of every log.
pub(super) const MIN_BYTES: usize = 6;

/// Every form of `secret` that is searched for, line breaks removed (the search skips them).
pub(super) fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    let raw = secret.as_bytes();
    forms.insert(raw.to_vec());
    base64_forms(raw, &mut forms);
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.insert(hex.to_uppercase().into_bytes());
    forms.insert(hex.into_bytes());
    for kept in ["-_.~", "-_.~!*'()", "-_.~!*'();:@&=+$,/?#"] {
        let upper = percent(raw, kept);
        forms.insert(lower_escapes(&upper).into_bytes());
        forms.insert(upper.replace("%20", "+").into_bytes());
        forms.insert(upper.into_bytes());
    }
    if let Ok(json) = serde_json::to_string(secret) {
        let inner = json[1..json.len() - 1].to_owned();
        forms.insert(inner.replace('/', "\\/").into_bytes());
        let go = inner.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
        forms.insert(go.into_bytes());
        // A JSON text inside a JSON text, as log shippers make.
        forms.insert(inner.replace('\\', "\\\\").replace('"', "\\\"").into_bytes());
        forms.insert(inner.into_bytes());
    }
    forms.insert(secret.replace('\'', r"'\''").into_bytes());
    forms.insert(secret.replace('\'', r#"'"'"'"#).into_bytes());
    forms.insert(backslashed(secret, |c| matches!(c, '$' | '`' | '"' | '\\')).into_bytes());
    forms.insert(backslashed(secret, |c| c.is_ascii() && !is_shell_plain(c)).into_bytes());
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    forms.insert(html.clone().into_bytes());
    for quote in ["&quot;", "&#34;"] {
        for apostrophe in ["&#39;", "&#x27;", "&apos;"] {
            forms.insert(html.replace('"', quote).replace('\'', apostrophe).into_bytes());
        }
    }
    forms
        .into_iter()
        .map(|mut form| {
            form.retain(|byte| !matches!(byte, b'\n' | b'\r'));
            form
        })
        .filter(|form| form.len() >= MIN_BYTES)
        .collect()
}

/// Base64 of the secret itself, and of the secret at any place inside longer data: there the characters that
/// it shares with its neighbours are left out.
fn base64_forms(raw: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    for alphabet in [STANDARD, URL_SAFE] {
        let coder = GeneralPurpose::new(&alphabet, NO_PAD);
        let alone = coder.encode(raw);
        let padding = "=".repeat((4 - alone.len() % 4) % 4);
        forms.insert(format!("{alone}{padding}").into_bytes());
        forms.insert(alone.into_bytes());
        for shift in 0..3_usize {
            let mut data = vec![0; shift];
            data.extend_from_slice(raw);
            let text = coder.encode(&data).into_bytes();
            let shared = (shift * 8).div_ceil(6);
            let whole = data.len() * 8 / 6;
            if let Some(inner) = text.get(shared..whole) {
                forms.insert(inner.to_vec());
            }
        }
    }
}

fn percent(raw: &[u8], kept: &str) -> String {
    let mut out = String::new();
    for byte in raw {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn lower_escapes(text: &str) -> String {
    let mut left = 0;
    text.chars()
        .map(|c| {
            left = if c == '%' {
                2
            } else if left > 0 {
                left - 1
            } else {
                return c;
            };
            c.to_ascii_lowercase()
        })
        .collect()
}

fn is_shell_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '=' | '@' | '%' | '+' | ',')
}

fn backslashed(text: &str, needs: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if needs(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(secret: &str, form: &str) -> bool {
        forms(secret).contains(form.as_bytes())
    }

    #[test]
    fn every_claimed_form_is_among_the_forms() {
        assert!(has("s3cr3t/&'x\"", "s3cr3t/&'x\""));
        assert!(has("s3cr3t", "czNjcjN0"));
        assert!(has("s3cr3t7", "czNjcjN0Nw=="));
        assert!(has("s3cr3t", "733363723374"));
        assert!(has("s3cr3t~\u{fc}", "7333637233747EC3BC"));
        assert!(has("a/b c&d'e", "a%2Fb%20c%26d%27e"));
        assert!(has("a/b c&d'e", "a%2fb%20c%26d%27e"));
        assert!(has("a/b c&d'e", "a%2Fb+c%26d'e"));
        assert!(has("a\"b\\c/d", r#"a\"b\\c/d"#));
        assert!(has("a\"b\\c/d", r#"a\"b\\c\/d"#));
        assert!(has("a'b c$d", r"a'\''b c$d"));
        assert!(has("a'b c$d", r"a\'b\ c\$d"));
        assert!(has("a&b<c>'\"", "a&amp;b&lt;c&gt;&#39;&quot;"));
    }

    #[test]
    fn inner_base64_is_found_at_each_of_the_three_places() {
        let secret = "tr0ub4dor&3";
        let coder = GeneralPurpose::new(&STANDARD, NO_PAD);
        for before in ["", "x", "xy", "xyz", "user:"] {
            let text = coder.encode(format!("{before}{secret}@tail"));
            let found = forms(secret).iter().any(|form| text.contains(&*String::from_utf8_lossy(form)));
            assert!(found, "not found in {text}");
        }
    }

    #[test]
    fn forms_too_short_to_search_for_are_left_out() {
        assert!(forms("ab").iter().all(|form| form.len() >= MIN_BYTES));
    }
}
