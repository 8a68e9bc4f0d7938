//! Tests the masking with many secrets, forms and chunk borders.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::process::Command;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use proptest::prelude::*;
use secrets::EnvValues;
use secrets::redact::Secrets;

/// Realistic secrets: tokens, sentences, URLs, quotes, a key of several lines.
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

/// The text inside the quotes of a JSON text.
fn json(text: &str) -> String {
    let whole = serde_json::to_string(text).unwrap();
    whole[1..whole.len() - 1].to_owned()
}

/// JSON for ASCII, as `\u00e9` with surrogate pairs.
fn ascii_json(text: &str) -> String {
    json(text)
        .encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        })
        .collect()
}

/// `printf %q` of bash.
fn shell_words(text: &str) -> String {
    if text.contains('\n') {
        return text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
    }
    let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_./:=@%+~#".contains(c);
    text.chars().map(|c| if plain(c) { c.to_string() } else { format!("\\{c}") }).collect()
}

/// The text cut in the middle, with something between the halves.
fn cut(text: &str, between: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (head, tail) = chars.split_at(chars.len() / 2);
    format!("{}{between}{}", head.iter().collect::<String>(), tail.iter().collect::<String>())
}

const FORMS: usize = 44;

/// The secret in one of the claimed forms.
fn dressed(secret: &str, form: usize) -> String {
    match form {
        0 => secret.to_owned(),
        1 => STANDARD.encode(secret),
        2 => URL_SAFE.encode(secret),
        3 => hex(secret),
        4 => hex(secret).to_uppercase(),
        5 => percent(secret, true),
        6 => percent(secret, false),
        7 => json(secret),
        8 => secret.replace('\'', "'\\''"),
        9 => secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;"),
        10 => cut(secret, "\x1b[1;33m"),
        11 => cut(secret, "\n"),
        12 => secret.replace('$', "$$"),
        13 => secret.replace('\'', "''"),
        14 => secret.replace('\'', "\\'"),
        15 => secret.replace('\\', "\\\\").replace('\'', "\\'"),
        16 => ascii_json(secret),
        17 => ascii_json(secret)
            .replace("\\u00fc", "\\u00FC")
            .replace("\\u00df", "\\u00DF")
            .replace("\\ud83d\\udd11", "\\uD83D\\uDD11"),
        18 => shell_words(secret),
        19 => json(&json(secret)),
        20 => json(&json(&json(secret))),
        21 => json(&secret.replace('$', "$$")),
        22 => secret.replace('$', "$$").replace('\'', "''"),
        23 => format!("{secret:?}").trim_matches('"').to_owned(),
        24 => secret.escape_default().to_string(),
        25 => percent(secret, true).replace("%20", "+"),
        26 => STANDARD.encode(secret).replace('=', "%3D").replace('+', "%2B").replace('/', "%2F"),
        27 => hex(secret)
            .as_bytes()
            .chunks(2)
            .map(|two| str::from_utf8(two).unwrap().to_owned() + ":")
            .collect::<String>()
            .trim_end_matches(':')
            .to_owned(),
        28 => secret.bytes().map(|byte| format!("\\x{byte:02x}")).collect(),
        29 => secret.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        30 => secret.replace('"', "\"\""),
        31 => json(&secret.replace('\'', "'\\''")),
        32 => cut(secret, "\x1b]0;a title\x07"),
        33 => cut(secret, "\x1b]8;;https://example.org\x1b\\"),
        34 => cut(secret, "\u{9b}1m"),
        35 => cut(secret, "\x1bP1$r0m\x1b\\\x1b_Gi=1\x1b\\\x1b^x\x1b\\"),
        36 => cut(secret, "\u{200b}\u{202e}\0\u{8}"),
        37 => cut(secret, "\x1b(B\x1b[m\x1b7\r\n\x1b[K"),
        38 => format!("\x1b]0;{}\x07", secret.replace('\n', " ")),
        39 => format!("\x1b]8;;https://example.org/?t={}\x1b\\", percent(secret, true)),
        40 => STANDARD
            .encode(secret)
            .as_bytes()
            .chunks(76)
            .map(|line| str::from_utf8(line).unwrap().to_owned() + "\n")
            .collect(),
        41 => secret.chars().map(|c| format!("{c}\x1b[0m")).collect(),
        42 => secret.replace('%', "%%"),
        _ => shell_words(secret).replace('\\', "\\\\"),
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
        n in 0..50_usize, form in 0..FORMS, cuts in proptest::collection::vec(1..9_usize, 1..12),
        before in "[ :=\\[{\\n]{0,12}", after in "[ ,;\\]}\\n]{0,12}",
    ) {
        let (key, secret) = &SAMPLES[n];
        let text = format!("{before}{}{after}", dressed(secret, form));
        let out = filtered(&text, &cuts);
        let mask = format!("[{key}]");
        prop_assert!(out.contains(&mask), "form {} of {:?} left {:?}", form, secret, out);
        if (38..40).contains(&form) {
            // In a title only the secret is masked; in a value of several lines each line is masked.
            prop_assert!(!secret.lines().any(|line| !line.starts_with("-----") && out.contains(line)), "{:?}", out);
        } else {
            let kept: String = out.replace(&mask, "").chars().filter(|c| !c.is_control()).collect();
            let codes = ["[1;33m", "1m", "(B", "[m", "7", "[K", "[0m"];
            let rest = codes.iter().fold(kept, |kept, code| kept.replace(code, ""));
            let rest = rest.replace("\\x", "");
            let rest = rest.trim_matches(|c| " :=[{\n,;]}".contains(c));
            prop_assert_eq!(rest, "", "form {} of {:?} left {:?}", form, secret, out);
        }
    }

    #[test]
    fn a_secret_within_base64_of_a_longer_text_is_masked(
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
    fn chunk_borders_do_not_change_the_result(
        parts in proptest::collection::vec((0..50_usize, 0..FORMS, "[a-z \\n\\x1b\\[\\]0-9;m\r\u{7}\u{9b}\u{200b}]{0,20}"), 0..6),
        cuts in proptest::collection::vec(1..30_usize, 1..12),
    ) {
        let text: String = parts.iter().map(|(n, form, filler)| dressed(&SAMPLES[*n].1, *form) + filler).collect();
        prop_assert_eq!(filtered(&text, &cuts), filtered(&text, &[usize::MAX]));
    }
}

/// Prints its argument in the quotings of each language, one per line.
const PYTHON: &str = r#"
import sys, json, shlex, html, urllib.parse, base64, binascii, re, quopri
s = sys.argv[1]
b = s.encode()
for text in [repr(s), ascii(s), repr(b), json.dumps(s), json.dumps(s, ensure_ascii=False), json.dumps(json.dumps(s)),
             json.dumps({"a": json.dumps([s])}), shlex.quote(s), html.escape(s), html.escape(s, False), urllib.parse.quote(s),
             urllib.parse.quote(s, safe=""), urllib.parse.quote_plus(s), base64.b64encode(b).decode(),
             base64.encodebytes(b).decode().replace("\n", ""), base64.urlsafe_b64encode(b).decode(), binascii.hexlify(b).decode(),
             b.hex(":"), b.hex(" "), re.escape(s), repr(json.dumps(s)), s.encode("ascii", "xmlcharrefreplace").decode(),
             s.encode("ascii", "backslashreplace").decode(), base64.b64encode(base64.b64encode(b)).decode(),
             base64.b64encode(json.dumps({"k": s}).encode()).decode(), str([s]), repr({"a": s})]:
    print(text)
"#;
const BASH: &str = r#"printf '%q\n' "$1"; printf '%s\n' "${1@Q}"; x=$1; declare -p x; env printf '%q\n' "$1"; set -x; : "$1""#;
const NODE: &str = r#"
const s = process.argv[1], util = require("util");
for (const text of [JSON.stringify(s), util.inspect(s), util.inspect({a: s}), encodeURIComponent(s), encodeURI(s),
                    new URLSearchParams({a: s}).toString(), JSON.stringify(JSON.stringify(s)), util.format("%o", s),
                    Buffer.from(s).toString("base64"), Buffer.from(s).toString("base64url"), Buffer.from(s).toString("hex")])
  console.log(text);
"#;
const PERL: &str = r#"use Data::Dumper; $Data::Dumper::Terse = 1; print Dumper($ARGV[0]); print quotemeta($ARGV[0]), "\n"; $Data::Dumper::Useqq = 1; print Dumper($ARGV[0]);"#;

#[test]
fn secrets_quoted_by_real_tools_are_masked() {
    let secrets = [
        "a'b\"c`d$e\\f/g",
        "p@ss+word=&<tag>;%20",
        "gr\u{fc}\u{df}e-\u{1f511}-token",
        "it's $HOME, {x} #1 ~ [y]!",
        "pa$$wd'quoted'!",
        "sp ace*and?glob(s)|x^y",
        "tab\there and\u{1b}[31mcolour",
    ];
    for secret in secrets {
        let filter = Secrets::from_pairs([("K".to_owned(), secret.to_owned())]).unwrap();
        for (program, script) in [
            ("python3", ["-c", PYTHON]),
            ("bash", ["-c", BASH]),
            ("node", ["-e", NODE]),
            ("perl", ["-e", PERL]),
        ] {
            let mut command = Command::new(program);
            command.args(script);
            if program == "bash" {
                command.arg("bash");
            }
            // Perl treats its arguments as bytes unless UTF-8 is enabled.
            command.env("PERL_UNICODE", "SA");
            let Ok(output) = command.arg(secret).output() else {
                test_support::tools::missing(program);
                continue;
            };
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            let text = [output.stdout, output.stderr].concat();
            for line in String::from_utf8_lossy(&text).lines() {
                let masked = filter.redact(line);
                let known = ["{\"k\": \"", "declare -- x=", "{ a: ", "eyJrIjogI", "a=", "+ : ", "\u{1b}"];
                let rest =
                    known.iter().fold(masked.replace("[K]", ""), |rest, known| rest.replace(known, ""));
                let rest: String = rest.chars().filter(|c| !"'\"$bua{}[]: \\=,`".contains(*c)).collect();
                // Base64 inside base64 shares a few characters with its neighbours.
                assert!(
                    masked.contains("[K]") && rest.chars().count() < 6,
                    "{program} wrote {line}, masked {masked}"
                );
            }
        }
    }
}

#[test]
fn lines_of_a_long_secret_are_masked_one_by_one() {
    let secret = &SAMPLES[6].1;
    let indented: String = secret.lines().map(|line| format!("backend-1  |   {line}\n")).collect();
    let out = filtered(&indented, &[7]);
    assert_eq!(out.matches("[S6]").count(), 2, "{out}");
    let long = "x1Y2z3".repeat(60);
    let filter = Secrets::from_pairs([("K".to_owned(), long.clone())]).unwrap();
    let wrapped: Vec<String> = STANDARD
        .encode(&long)
        .as_bytes()
        .chunks(76)
        .map(|line| format!("  {}\n", str::from_utf8(line).unwrap()))
        .collect();
    let out = filter.redact(&wrapped.concat());
    assert!(out.replace("[K]", "").trim().is_empty(), "{out}");
}

#[test]
fn a_secret_that_holds_escape_codes_itself_is_found() {
    let secret = "begin\x1b]0;the hidden half\x07end-of-it";
    let filter = Secrets::from_pairs([("K".to_owned(), secret.to_owned())]).unwrap();
    for size in 1..20 {
        let mut stream = filter.stream();
        let mut out = Vec::new();
        format!("<{secret}> the hidden half")
            .as_bytes()
            .chunks(size)
            .for_each(|chunk| stream.push(chunk, &mut out));
        stream.finish(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "<[K]> [K]");
    }
}

#[test]
fn codes_without_end_are_not_held_back_forever() {
    let filter = Secrets::from_pairs([("K".to_owned(), "s3cr3tvalue".to_owned())]).unwrap();
    for filler in ["\x1b[0m", "\n", "\x1b]0;never ended", "\u{200b}", "\x1b]"] {
        let mut stream = filter.stream();
        let mut out = Vec::new();
        stream.push(b"s3cr", &mut out);
        for _ in 0..60_000 {
            stream.push(filler.repeat(20).as_bytes(), &mut out);
            if !out.is_empty() {
                break;
            }
        }
        assert!(!out.is_empty(), "{filler:?} was held back forever");
    }
}

#[test]
fn text_without_secrets_is_not_changed() {
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
    let env = EnvValues::parse(
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
