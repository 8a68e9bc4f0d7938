//! The filter for secrets, against many secrets, forms and chunk borders.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use engine::runner::env_file::EnvFile;
use engine::runner::redact::Secrets;
use proptest::prelude::*;

/// Secrets as they occur: tokens, sentences, URLs, quotes, a key of several lines.
fn samples() -> Vec<(String, String)> {
    let mut all: Vec<String> = vec![
        "hunter2".into(),
        "correct horse battery staple".into(),
        "a'b\"c`d$e\\f/g".into(),
        "p@ss+word=&<tag>;%20".into(),
        "gr\u{fc}\u{df}e-\u{1f511}-token".into(),
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.s1gn4tur3".into(),
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----".into(),
    ];
    for n in 0_u64..43 {
        let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let len = 8 + n % 40;
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&*+-/=?@^_.~";
        all.push((0..len).map(|_| char::from(letters[(next() % letters.len() as u64) as usize])).collect());
    }
    all.into_iter().enumerate().map(|(n, secret)| (format!("S{n}"), secret)).collect()
}

static SAMPLES: LazyLock<Vec<(String, String)>> = LazyLock::new(samples);
static FILTER: LazyLock<Secrets> = LazyLock::new(|| Secrets::from_pairs(SAMPLES.clone()).unwrap());

fn percent(text: &str, upper: bool) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
            b if upper => format!("%{b:02X}"),
            b => format!("%{b:02x}"),
        })
        .collect()
}

fn hex(text: &str) -> String {
    text.bytes().map(|b| format!("{b:02x}")).collect()
}

/// The secret in one of the claimed forms, and a part of it that must not be left.
fn dressed(secret: &str, form: usize) -> String {
    let json = serde_json::to_string(secret).unwrap();
    let chars: Vec<char> = secret.chars().collect();
    let (head, tail) = chars.split_at(chars.len() / 2);
    let (head, tail): (String, String) = (head.iter().collect(), tail.iter().collect());
    match form {
        0 => secret.to_owned(),
        1 => STANDARD.encode(secret),
        2 => URL_SAFE.encode(secret),
        3 => hex(secret),
        4 => hex(secret).to_uppercase(),
        5 => percent(secret, true),
        6 => percent(secret, false),
        7 => json[1..json.len() - 1].to_owned(),
        8 => secret.replace('\'', "'\\''"),
        9 => secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;"),
        10 => format!("{head}\x1b[1;33m{tail}"),
        _ => format!("{head}\n{tail}"),
    }
}

fn filtered(text: &str, cuts: &[usize]) -> String {
    let mut stream = FILTER.stream();
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*cut).min(rest.len()));
        stream.push(now, &mut out);
        rest = later;
    }
    stream.finish(&mut out);
    String::from_utf8(out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn each_form_of_each_secret_becomes_its_mask_across_any_chunks(
        n in 0..50_usize, form in 0..12_usize, cuts in proptest::collection::vec(1..9_usize, 1..12),
        before in "[ :=\\[{\\n]{0,12}", after in "[ ,;\\]}\\n]{0,12}",
    ) {
        let (key, secret) = &SAMPLES[n];
        let text = format!("{before}{}{after}", dressed(secret, form));
        let out = filtered(&text, &cuts);
        let mask = format!("[{key}]");
        let kept: String = out.replace(&mask, "").replace("\x1b[1;33m", "");
        let rest = kept.trim_matches(|c| " :=[{\n,;]}".contains(c));
        prop_assert_eq!(rest, "", "form {} of {:?} left {:?}", form, secret, out);
        prop_assert!(out.contains(&mask));
    }

    #[test]
    fn base64_of_a_text_around_a_secret_does_not_give_it_away(
        n in 0..50_usize, before in "[a-z:]{0,7}", after in "[a-z@]{0,7}", cuts in proptest::collection::vec(1..9_usize, 1..12),
    ) {
        let (key, secret) = &SAMPLES[n];
        let text = STANDARD_NO_PAD.encode(format!("{before}{secret}{after}"));
        let out = filtered(&text, &cuts);
        let mask = format!("[{key}]");
        prop_assert!(out.contains(&mask), "{:?} of {:?}", out, secret);
        // At most the characters shared with the neighbours are left on either side.
        let left = out.replace(&mask, "").len();
        prop_assert!(left <= (before.len() + after.len()) * 4 / 3 + 6, "{:?}", out);
    }

    #[test]
    fn chunks_change_nothing(
        parts in proptest::collection::vec((0..50_usize, 0..12_usize, "[a-z \\n\\x1b\\[0-9;m\r]{0,20}"), 0..6),
        cuts in proptest::collection::vec(1..30_usize, 1..12),
    ) {
        let text: String = parts.iter().map(|(n, form, filler)| dressed(&SAMPLES[*n].1, *form) + filler).collect();
        prop_assert_eq!(filtered(&text, &cuts), filtered(&text, &[usize::MAX]));
    }
}

#[test]
fn text_without_secrets_is_not_touched() {
    let mut text = String::new();
    for n in 0..60_000_u64 {
        let state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        text.push_str(&format!(
            "12:00:{:02} [backend] GET /api/items/{n} 200 {state:016x} hunter correct horse\n",
            n % 60
        ));
    }
    assert!(text.len() > 4_000_000);
    assert_eq!(filtered(&text, &[65_536]), text);
}

#[test]
fn an_env_file_decides_what_is_masked() {
    let env = EnvFile::parse(
        b"NODE_ENV=production\nPORT=3000\nNEXT_PUBLIC_API_URL=https://api.example.org\nJWT_SECRET=abcdef123456\n\
          POSTGRES_USER=medianest\nDATABASE_URL=postgres://medianest:s3cretpw@db:5432/medianest\nPASS_TOKEN=abc\n\
          BUILD_ID=not-secret-here\n",
    )
    .unwrap();
    let secrets = Secrets::of(&env, &["BUILD_*".to_owned()]).unwrap();
    let text = "production 3000 https://api.example.org abcdef123456 medianest-backend-1 s3cretpw not-secret-here \
                postgres://medianest:s3cretpw@db:5432/medianest";
    let want = "production 3000 https://api.example.org [JWT_SECRET] medianest-backend-1 [DATABASE_URL] not-secret-here \
                [DATABASE_URL]";
    assert_eq!(secrets.redact(text), want);
    assert_eq!(secrets.weak_keys(), ["PASS_TOKEN"]);
    assert!(!format!("{secrets:?}").contains("abcdef"));
}
