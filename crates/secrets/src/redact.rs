//! Masks secrets in a stream of bytes, before the bytes are stored or sent.
//!
//! Covered: each value in the encodings of `encodings.rs`, across the borders of chunks, and across escape codes,
//! invisible characters and line breaks inside it (a wrapped value whose parts are written within one flush); also
//! inside the strings that a program sends to the terminal (titles, links).
//! Not covered: values that were compressed, encrypted, hashed, reversed, or indented while wrapped at places that
//! are neither their own line ends nor those of `base64`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;

use super::encodings::encodings;
use super::env_file::EnvValues;
use super::normalise::Normalised;
use super::publicity::{self, Publicity};

/// There are too many secrets for the search.
#[derive(Debug, thiserror::Error)]
#[error("the env file has too many secrets: the filter that masks them cannot be built")]
pub struct TooManySecrets(#[source] Box<aho_corasick::BuildError>);

/// Maximum number of bytes that are held back. Only codes without end within a possible secret would need more.
const HELD_MAX: usize = 256 * 1024;

/// The secrets of one run, ready to be searched for. Cheap to clone.
#[derive(Clone)]
pub struct Secrets(Arc<Inner>);

struct Inner {
    search: Option<AhoCorasick>,
    /// All encodings, sorted, to find out whether a text can be the beginning of one.
    sorted: Vec<Vec<u8>>,
    /// The mask of each encoding, in the order of the search.
    masks: Vec<String>,
    /// The first two bytes of all encodings: one bit each.
    begins: Vec<u64>,
    first: [bool; 256],
    longest: usize,
    weak: Vec<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} forms)", self.0.masks.len())
    }
}

impl Secrets {
    /// Takes the secrets among these values. Values of keys that match `public_keys` (`*` matches any text) or the
    /// built-in list of public keys are not secret. Fails when the search cannot be built.
    pub fn of(env: &EnvValues, public_keys: &[String]) -> Result<Self, TooManySecrets> {
        let publicity = Publicity::new(public_keys);
        let mut weak = Vec::new();
        let mut pairs = Vec::new();
        for var in &env.vars {
            // The text as written is masked too: a tool may read the file by other rules.
            for value in [&var.value, &var.raw] {
                pairs.extend(
                    publicity.secrets(&var.key, value).into_iter().map(|secret| (var.key.clone(), secret)),
                );
            }
            if publicity.is_weak(&var.key, &var.value) {
                weak.push(var.key.clone());
            }
        }
        Self::build(pairs, weak)
    }

    /// Takes exactly these secrets, each with the name for its mask.
    pub fn from_pairs<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Result<Self, TooManySecrets> {
        Self::build(pairs.into_iter().collect(), Vec::new())
    }

    /// These secrets, and those in the user part of the URLs `more` (for example proxy addresses).
    pub fn with_urls(
        self,
        env: &EnvValues,
        public_keys: &[String],
        more: &[(String, String)],
    ) -> Result<Self, TooManySecrets> {
        let hidden: Vec<_> = more
            .iter()
            .flat_map(|(key, url)| publicity::of_url(url).into_iter().map(|secret| (key.clone(), secret)))
            .collect();
        if hidden.is_empty() {
            return Ok(self);
        }
        let publicity = Publicity::new(public_keys);
        let own = env.vars.iter().flat_map(|var| {
            let found = publicity
                .secrets(&var.key, &var.value)
                .into_iter()
                .chain(publicity.secrets(&var.key, &var.raw));
            found.map(|secret| (var.key.clone(), secret)).collect::<Vec<_>>()
        });
        Self::build(own.chain(hidden).collect(), self.0.weak.clone())
    }

    fn build(pairs: Vec<(String, String)>, weak: Vec<String>) -> Result<Self, TooManySecrets> {
        let mut by_encoding: BTreeMap<Vec<u8>, String> = BTreeMap::new();
        for (key, secret) in pairs {
            for form in encodings(&secret) {
                by_encoding.entry(form).or_insert_with(|| format!("[{key}]"));
            }
        }
        Self::of_encodings(by_encoding, weak)
    }

    /// These secrets and the `other` ones.
    pub fn and(&self, other: &Secrets) -> Result<Self, TooManySecrets> {
        let all = |secrets: &Secrets| {
            let pairs = secrets.0.sorted.iter().cloned().zip(secrets.0.masks.iter().cloned());
            pairs.collect::<Vec<_>>()
        };
        let by_encoding = all(other).into_iter().chain(all(self)).collect();
        let mut weak = [self.0.weak.clone(), other.0.weak.clone()].concat();
        weak.sort();
        weak.dedup();
        Self::of_encodings(by_encoding, weak)
    }

    fn of_encodings(
        by_encoding: BTreeMap<Vec<u8>, String>,
        weak: Vec<String>,
    ) -> Result<Self, TooManySecrets> {
        let (sorted, masks): (Vec<_>, Vec<_>) = by_encoding.into_iter().unzip();
        let mut first = [false; 256];
        let mut begins = vec![0_u64; 1024];
        for form in &sorted {
            if let Some((slot, bit)) = form.first_chunk().map(|pair| pair_bit(*pair))
                && let Some(bits) = begins.get_mut(slot)
            {
                *bits |= bit;
            }
            if let Some(slot) = form.first().and_then(|byte| first.get_mut(usize::from(*byte))) {
                *slot = true;
            }
        }
        let search = if sorted.is_empty() {
            None
        } else {
            let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&sorted);
            Some(built.map_err(|error| TooManySecrets(Box::new(error)))?)
        };
        let longest = sorted.iter().map(Vec::len).max().unwrap_or(0);
        Ok(Self(Arc::new(Inner { search, sorted, masks, begins, first, longest, weak })))
    }

    /// Keys with secret-looking names whose values are too short or too common to be masked.
    pub fn weak_keys(&self) -> &[String] {
        &self.0.weak
    }

    /// Masks a whole text.
    pub fn redact(&self, text: &str) -> String {
        let mut stream = self.stream();
        let mut out = Vec::with_capacity(text.len());
        stream.push(text.as_bytes(), &mut out);
        stream.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Masks every text in a JSON value; its structure does not change. Numbers that contain a secret become text.
    pub fn redact_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.redact(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(map) => {
                let old = std::mem::take(map);
                for (key, mut item) in old {
                    self.redact_json(&mut item);
                    map.insert(self.redact(&key), item);
                }
            }
            Value::Number(number) => {
                let text = number.to_string();
                let masked = self.redact(&text);
                if masked != text {
                    *value = Value::String(masked);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// A filter for one stream of bytes.
    pub fn stream(&self) -> Redactor {
        Redactor { secrets: self.clone(), held: Vec::new() }
    }
}

impl Inner {
    /// The earliest place, from `from` on, of a text that may become a secret with the following bytes.
    fn undecided(&self, text: &[u8], from: usize) -> usize {
        let earliest = (text.len() + 1).saturating_sub(self.longest).max(from);
        (earliest..text.len())
            .find(|at| {
                let tail = text.get(*at..).unwrap_or_default();
                let likely = match tail.first_chunk() {
                    Some(pair) => {
                        let (slot, bit) = pair_bit(*pair);
                        self.begins.get(slot).is_some_and(|bits| bits & bit != 0)
                    }
                    None => tail.first().is_some_and(|byte| self.first[usize::from(*byte)]),
                };
                likely && self.begins_a_form(tail)
            })
            .unwrap_or(text.len())
    }

    /// Secrets inside the strings for the terminal (titles, links, clipboard), which `normalised` skips.
    fn inside(&self, raw: &[u8], normalised: &Normalised) -> Vec<(Range<usize>, &str)> {
        let Some(search) = &self.search else { return Vec::new() };
        let mut all = Vec::new();
        for place in normalised.inner() {
            for found in search.find_iter(&raw[place.clone()]) {
                let mask = self.masks[found.pattern().as_usize()].as_str();
                all.push((place.start + found.start()..place.start + found.end(), mask));
            }
        }
        all
    }

    fn begins_a_form(&self, text: &[u8]) -> bool {
        // Encodings that begin with `text` follow it directly in sorted order; `text` itself is complete.
        let after = self.sorted.partition_point(|form| form.as_slice() <= text);
        self.sorted.get(after).is_some_and(|form| form.starts_with(text))
    }
}

/// The bit in the table of first pairs for encodings that begin with these bytes.
fn pair_bit(pair: [u8; 2]) -> (usize, u64) {
    let number = u16::from_be_bytes(pair);
    (usize::from(number >> 6), 1 << (number & 63))
}

/// Masks one stream, holding back only bytes that may be the beginning of a secret.
#[derive(Debug)]
pub struct Redactor {
    secrets: Secrets,
    held: Vec<u8>,
}

impl Redactor {
    /// Adds bytes, and appends to `out` the bytes that are certain.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.secrets.0.search.is_none() {
            out.extend_from_slice(bytes);
            return;
        }
        self.held.extend_from_slice(bytes);
        self.drain(false, out);
        if self.held.len() > HELD_MAX + self.secrets.0.longest {
            self.drain(true, out);
        }
    }

    /// For a pause in the stream: releases whole lines that were held back because a secret might continue in the
    /// next line. The beginning of a secret within the last line is still held back.
    pub fn quiet(&mut self, out: &mut Vec<u8>) {
        let Some(end) = self.held.iter().rposition(|byte| *byte == b'\n') else {
            return;
        };
        let tail = self.held.split_off(end + 1);
        self.drain(true, out);
        self.held = tail;
        self.drain(false, out);
    }

    /// The stream has ended: appends the rest.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.drain(true, out);
    }

    fn drain(&mut self, last: bool, out: &mut Vec<u8>) {
        let inner = &self.secrets.0;
        let Some(search) = &inner.search else { return };
        let normalised = Normalised::of(&self.held, last);
        let text = normalised.text.as_slice();
        let emit = Emit { raw: &self.held, hidden: inner.inside(&self.held, &normalised) };
        let hold = |from: usize| {
            if last { text.len() } else { inner.undecided(text, from) }
        };
        let mut stop = hold(0);
        let mut done = 0; // in normalised bytes
        let mut written = 0; // in raw bytes
        for found in search.find_iter(text) {
            if found.start() >= stop {
                break;
            }
            let (start, end) = (normalised.raw(found.start()), normalised.raw_end(found.end()));
            emit.copy(written..start, out);
            out.extend_from_slice(inner.masks[found.pattern().as_usize()].as_bytes());
            // Colour codes and line breaks inside the secret are kept after the mask.
            for gap in normalised.working(found.start(), found.end()) {
                out.extend_from_slice(&self.held[gap]);
            }
            written = end;
            done = found.end();
            if done > stop {
                stop = hold(done);
            }
        }
        // Skipped bytes before a possible secret are certain; an unfinished code at the end is not.
        let keep = if stop >= text.len() { normalised.certain } else { normalised.raw(stop.max(done)) };
        let keep = keep.max(written);
        emit.copy(written..keep, out);
        self.held.drain(..keep);
    }
}

/// Raw bytes to be written, with the secrets inside strings for the terminal.
struct Emit<'a> {
    raw: &'a [u8],
    hidden: Vec<(Range<usize>, &'a str)>,
}

impl Emit<'_> {
    fn copy(&self, place: Range<usize>, out: &mut Vec<u8>) {
        let mut at = place.start;
        let first = self.hidden.partition_point(|(hidden, _)| hidden.start < place.start);
        for (hidden, mask) in self.hidden.iter().skip(first).take_while(|(hidden, _)| hidden.end <= place.end)
        {
            out.extend_from_slice(&self.raw[at..hidden.start]);
            out.extend_from_slice(mask.as_bytes());
            at = hidden.end;
        }
        out.extend_from_slice(&self.raw[at..place.end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(pairs: &[(&str, &str)]) -> Secrets {
        Secrets::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))).unwrap()
    }

    fn in_chunks(secrets: &Secrets, text: &[u8], size: usize) -> String {
        let mut stream = secrets.stream();
        let mut out = Vec::new();
        text.chunks(size).for_each(|chunk| stream.push(chunk, &mut out));
        stream.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_mask_names_the_key_for_any_size_of_chunks() {
        let secrets = secrets(&[("JWT", "abcabcabd"), ("DB", "abcabc")]);
        for size in 1..20 {
            let out = in_chunks(&secrets, b"x abcabcabcabd y abcabcab z abcabcabd", size);
            assert_eq!(out, "x [DB]abcabd y [DB]ab z [JWT]", "chunks of {size}");
        }
    }

    #[test]
    fn colour_codes_and_wraps_inside_a_secret_do_not_hide_it() {
        let secrets = secrets(&[("K", "s3cr3tvalue")]);
        for size in 1..30 {
            let out = in_chunks(&secrets, b"a s3cr\x1b[1;31m3tva\x1b[0mlue b\ns3cr3\r\ntvalue\nc\n", size);
            assert_eq!(out, "a [K]\x1b[1;31m\x1b[0m b\n[K]\r\n\nc\n", "chunks of {size}");
        }
    }

    #[test]
    fn a_secret_of_several_lines_is_masked_as_one() {
        let key = "-----BEGIN KEY-----\nMIIBVgIBADANBg\nkqhkiG9w0BAQ\n-----END KEY-----";
        let secrets = secrets(&[("PEM", key)]);
        assert_eq!(in_chunks(&secrets, format!("<{key}>").as_bytes(), 5), "<[PEM]\n\n\n>");
        let json = serde_json::to_string(key).unwrap();
        assert_eq!(in_chunks(&secrets, json.as_bytes(), 5), "\"[PEM]\"");
    }

    #[test]
    fn bytes_that_cannot_begin_a_secret_are_not_held_back() {
        let secrets = secrets(&[("K", "s3cr3tvalue")]);
        let mut stream = secrets.stream();
        let mut out = Vec::new();
        stream.push(b"password: ", &mut out);
        assert_eq!(out, b"password: ");
        stream.push(b"line s3c\n", &mut out);
        assert_eq!(out, b"password: line ");
        stream.quiet(&mut out);
        assert_eq!(out, b"password: line s3c\n");
    }

    #[test]
    fn json_keeps_its_structure() {
        let secrets = secrets(&[("K", "1234567"), ("Q", "a\"b\"c\"d")]);
        let mut value = serde_json::json!({"n": 12345678, "q": ["x a\"b\"c\"d"], "ok": true});
        secrets.redact_json(&mut value);
        assert_eq!(value, serde_json::json!({"n": "[K]8", "q": ["x [Q]"], "ok": true}));
    }

    #[test]
    fn without_secrets_no_byte_is_changed() {
        let secrets = secrets(&[]);
        assert_eq!(in_chunks(&secrets, "a\r\n\x1b[1mb\r".as_bytes(), 1), "a\r\n\x1b[1mb\r");
    }
}
