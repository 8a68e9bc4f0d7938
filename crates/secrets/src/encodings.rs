//! The forms in which a secret may occur in output: raw, quoted, encoded, and combinations of these.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use super::normalise::normalised;
use super::quoting::{around, quoted};

/// Shorter forms are not searched for: they would mask too much of every log.
pub(super) const MIN_BYTES: usize = 6;
/// Single lines of a longer secret are searched for if they have at least this length.
const LINE_MIN: usize = 12;
/// For longer secrets, nested quoting is not searched for: it would need too much memory.
const NESTED_MAX: usize = 256;
/// Line lengths of `base64` and of PEM files.
const WRAPS: [usize; 2] = [76, 64];

/// Every form of `secret` that is searched for, without the parts that the search skips.
pub(super) fn encodings(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut texts = BTreeSet::new();
    of_value(secret, true, &mut texts);
    // Some programs replace `\n` in a value by line breaks.
    let unfolded = secret.replace("\\n", "\n");
    if unfolded != secret {
        of_value(&unfolded, true, &mut texts);
    }
    let lines: BTreeSet<&str> = unfolded.lines().map(str::trim).collect();
    if lines.len() > 1 {
        for line in lines.into_iter().filter(|line| line.len() >= LINE_MIN && !line.starts_with("-----")) {
            of_value(line, false, &mut texts);
        }
    }
    let mut encodings = BTreeSet::new();
    for text in texts {
        let (text, inner) = normalised(text.as_bytes());
        // The text of a title follows the number of its kind.
        let titles =
            inner.iter().filter_map(|text| Some(text.splitn(2, |byte| *byte == b';').nth(1)?.to_vec()));
        let titles: Vec<_> = titles.collect();
        encodings
            .extend(inner.into_iter().chain(titles).chain([text]).filter(|form| form.len() >= MIN_BYTES));
    }
    encodings
}

fn of_value(value: &str, whole: bool, texts: &mut BTreeSet<String>) {
    let raw = value.as_bytes();
    let mut first: BTreeSet<String> = quoted(value).into_iter().collect();
    let base64 = base64_forms(raw);
    for text in &base64 {
        for width in WRAPS.into_iter().filter(|width| text.len() > *width) {
            let pieces = text.as_bytes().chunks(width).map(String::from_utf8_lossy);
            texts.extend(pieces.filter(|piece| piece.len() >= LINE_MIN).map(String::from));
        }
    }
    first.extend(base64);
    first.extend(hex_forms(raw, whole));
    if whole && value.len() <= NESTED_MAX {
        // Nested data: a JSON text or Base64 that is encoded once more, as in tokens and stored settings.
        let mut inner: BTreeSet<String> = base64_inner(raw).into_iter().collect();
        inner.extend(around(value).into_iter().filter(|text| text != value));
        texts.extend(inner.iter().flat_map(|text| base64_inner(text.as_bytes())));
        texts.extend(first.iter().flat_map(|text| around(text)));
    } else {
        texts.extend(around(value));
    }
    texts.extend(first);
}

/// The bytes in hexadecimal, with and without separators, as tools print them.
fn hex_forms(raw: &[u8], apart: bool) -> Vec<String> {
    let digits: Vec<String> = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut out = Vec::new();
    let between: &[&str] = if apart { &["", " ", ":", "\\x", ", 0x"] } else { &[""] };
    for between in between {
        let text = digits.join(between);
        out.push(text.to_uppercase().replace('X', "x"));
        out.push(text);
    }
    out
}

/// Base64 of the secret, and of the secret at any place in longer data.
fn base64_forms(raw: &[u8]) -> Vec<String> {
    let mut out = base64_inner(raw);
    for alphabet in [STANDARD, URL_SAFE] {
        let alone = GeneralPurpose::new(&alphabet, NO_PAD).encode(raw);
        let padding = "=".repeat((4 - alone.len() % 4) % 4);
        out.push(format!("{alone}{padding}"));
        out.push(alone);
    }
    out
}

/// Base64 of the secret in longer data, without the characters that also depend on the data around it.
fn base64_inner(raw: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    for alphabet in [STANDARD, URL_SAFE] {
        let coder = GeneralPurpose::new(&alphabet, NO_PAD);
        for shift in 0..3_usize {
            let mut data = vec![0; shift];
            data.extend_from_slice(raw);
            let text = coder.encode(&data);
            let shared = (shift * 8).div_ceil(6);
            let whole = data.len() * 8 / 6;
            out.extend(text.get(shared..whole).map(str::to_owned));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(secret: &str, form: &str) -> bool {
        encodings(secret).contains(form.as_bytes())
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
        assert!(has("a'b\"c$d", r#"a'b\\\"c$d"#));
        assert!(has("a'b\"c$d", "a''b\"c$$d"));
        assert!(has("s3cr3t", r"73\x33\x63\x72\x33\x74"));
        // Twice base64, and base64 of a JSON text.
        assert!(has("s3cr3t", "Y3pOamNqTj"));
        assert!(has("say \"hi\"", "c2F5IFwiaGlcI"));
    }

    #[test]
    fn single_lines_of_a_secret_are_found() {
        let key = "-----BEGIN KEY-----\nMIIBVgIBADANBgkqhkiG\n9w0BAQEFAASCAUAw\nx\n-----END KEY-----";
        for text in [key.to_owned(), key.replace('\n', "\\n")] {
            assert!(has(&text, "MIIBVgIBADANBgkqhkiG") && has(&text, "9w0BAQEFAASCAUAw"));
            assert!(!has(&text, "-----BEGIN KEY-----") && !has(&text, "x"));
        }
    }

    #[test]
    fn inner_base64_is_found_at_each_of_the_three_places() {
        let secret = "tr0ub4dor&3";
        let coder = GeneralPurpose::new(&STANDARD, NO_PAD);
        for before in ["", "x", "xy", "xyz", "user:"] {
            let text = coder.encode(format!("{before}{secret}@tail"));
            let found = encodings(secret).iter().any(|form| text.contains(&*String::from_utf8_lossy(form)));
            assert!(found, "not found in {text}");
        }
    }

    #[test]
    fn forms_too_short_to_search_for_are_left_out() {
        assert!(encodings("ab").iter().all(|form| form.len() >= MIN_BYTES));
    }
}
