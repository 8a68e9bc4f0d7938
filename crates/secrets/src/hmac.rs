//! Digests that reveal nothing about their input to a reader without the key.

use ::hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;
/// Shorter values occur too often in a configuration; only the outer digest hides them.
const MIN_SECRET: usize = 6;

/// A 32-byte key of this installation. Its debug output does not show it.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Key {
    /// HMAC-SHA256 of `bytes` (RFC 2104), 64 lowercase hex digits.
    pub fn digest(&self, bytes: &[u8]) -> String {
        // HMAC pads a short key with zeros to the length of a block.
        let mut block = [0; BLOCK];
        block[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = <Hmac<Sha256> as ::hmac::digest::KeyInit>::new(&block.into());
        mac.update(bytes);
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Replaces every text that contains one of `secrets` by its keyed digest, and the directories `roots` at the
/// beginning of texts by `.`, so that the location of a checkout does not matter.
pub fn hide(value: &mut Value, secrets: &[String], roots: &[String], key: &Key) {
    match value {
        Value::String(text) => {
            let is_secret = |secret: &String| secret.len() >= MIN_SECRET && text.contains(secret.as_str());
            if secrets.iter().any(is_secret) {
                *text = format!("keyed:{}", key.digest(text.as_bytes()));
            } else {
                for root in roots {
                    *text = without_root(text, root);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, secrets, roots, key)),
        Value::Object(map) => map.values_mut().for_each(|item| hide(item, secrets, roots, key)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn without_root(text: &str, root: &str) -> String {
    match text.strip_prefix(root) {
        Some("") => ".".to_owned(),
        Some(rest) if rest.starts_with('/') => format!(".{rest}"),
        _ => text.to_owned(),
    }
}

/// The JSON text of a value with sorted keys and no spaces: equal values give equal texts.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (at, (name, item)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_published_hmac_vector_holds() {
        // RFC 4231, case 1: the key is padded with zeros to the block anyway.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        assert_eq!(
            Key::from(key).digest(b"Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }

    #[test]
    fn secrets_and_places_vanish_and_differences_stay() {
        let key = Key::from([7; 32]);
        let hidden = |secret: &str, root: &str| {
            let mut value = json!({"env": {"A": format!("x{secret}y"), "B": "plain"}, "src": format!("{root}/data"), "ctx": root});
            hide(&mut value, &[secret.to_owned()], &[root.to_owned()], &key);
            canonical(&value)
        };
        let one = hidden("hunter2hunter2", "/srv/one");
        assert!(!one.contains("hunter2") && !one.contains("/srv/one"), "{one}");
        assert!(one.contains("\"src\":\"./data\"") && one.contains("\"ctx\":\".\""), "{one}");
        assert_eq!(one, hidden("hunter2hunter2", "/srv/two"));
        assert_ne!(one, hidden("hunter3hunter3", "/srv/one"));
    }

    #[test]
    fn a_directory_with_the_same_beginning_is_another_one() {
        assert_eq!(without_root("/srv/one-more/x", "/srv/one"), "/srv/one-more/x");
    }

    #[test]
    fn the_order_of_keys_does_not_count() {
        assert_eq!(canonical(&json!({"b": [1, null], "a": "\""})), r#"{"a":"\"","b":[1,null]}"#);
    }
}
