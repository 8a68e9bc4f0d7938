//! The strength of secrets: length, estimated entropy, weak words, duplicates. Values are judged
//! and never shown.

use std::collections::BTreeMap;

use domain::check::CheckSpec;
use domain::evidence::Finding;

use super::super::finding::{count_of, failed, names, passed, unknown, with_value};
use super::Subject;
use domain::pattern::fits;
use secrets::{could_be_secret, is_secret_key};

const USUAL_LENGTH: u32 = 16;
const USUAL_BITS: u32 = 64;
/// Words that attackers try first. A secret that mostly consists of them counts as weak.
const WEAK: [&str; 23] = [
    "password",
    "passwort",
    "secret",
    "changeme",
    "letmein",
    "welcome",
    "admin",
    "root",
    "qwerty",
    "default",
    "example",
    "staging",
    "production",
    "test",
    "token",
    "master",
    "monkey",
    "dragon",
    "postgres",
    "redis",
    "abcdef",
    "123456",
    "1q2w3e",
];

pub(super) async fn judge(file: &Subject, spec: &CheckSpec) -> Finding {
    let CheckSpec::EnvFile { keys, min_length, min_bits, .. } = spec else {
        return unknown(
            "an env file",
            "this is not an env file check",
            "Correct the check in stagegate.toml.",
        );
    };
    let (length, bits) = (min_length.unwrap_or(USUAL_LENGTH), min_bits.unwrap_or(USUAL_BITS));
    let wanted = format!("secrets of at least {length} characters and {bits} bits of entropy, all different");
    let env = match file.values(&wanted).await {
        Ok(env) => env,
        Err(found) => return found,
    };
    let held: BTreeMap<&str, &str> =
        env.vars.iter().map(|v| (v.key.as_str(), env.get(&v.key).unwrap_or_default().trim())).collect();
    let meant = |key: &str, value: &str| {
        if keys.is_empty() {
            is_secret_key(key) && could_be_secret(value)
        } else {
            keys.iter().any(|pattern| fits(pattern, key))
        }
    };
    let mut bad: Vec<String> = keys
        .iter()
        .filter(|pattern| !held.keys().any(|key| fits(pattern, key)))
        .map(|key| format!("{key} is missing"))
        .collect();
    let secrets: Vec<(&str, &str)> = held.into_iter().filter(|(key, value)| meant(key, value)).collect();
    if secrets.is_empty() && bad.is_empty() {
        let saw = format!("{} has no key with the name of a secret", file.shown);
        return unknown(wanted, saw, "Set `keys` to the keys that contain secrets.");
    }
    for (key, value) in &secrets {
        bad.extend(weakness(value, length, bits).map(|why| format!("{key} {why}")));
    }
    for (at, (key, value)) in secrets.iter().enumerate() {
        let twin = secrets.iter().skip(at + 1).find(|(_, other)| other == value && !value.is_empty());
        bad.extend(twin.map(|(other, _)| format!("{key} and {other} are the same")));
    }
    let many = bad.len() as f64;
    if bad.is_empty() {
        return with_value(
            passed(wanted, format!("{} as expected", count_of(secrets.len(), "secret", "secrets"))),
            many,
        );
    }
    let next = format!(
        "Generate new secrets (openssl rand -hex 32) and store them in {} and the vault.",
        file.shown
    );
    with_value(failed(wanted, names(bad), next), many)
}

/// What is wrong with a secret.
fn weakness(value: &str, length: u32, bits: u32) -> Option<String> {
    let many = value.chars().count();
    if many == 0 {
        return Some("is empty".to_owned());
    }
    if (many as u64) < u64::from(length) {
        return Some(format!("has {}", count_of(many, "character", "characters")));
    }
    if period(value) * 2 <= many {
        return Some("repeats itself".to_owned());
    }
    let lower = value.to_lowercase();
    let left = WEAK.iter().fold(lower.clone(), |text, word| text.replace(word, ""));
    if left.chars().count() * 2 < many {
        return Some("consists of common words".to_owned());
    }
    if runs(&lower) * 2 > many {
        return Some("is a sequence of adjacent characters".to_owned());
    }
    let found = entropy(value);
    (found < f64::from(bits)).then(|| format!("has about {found:.0} bits of entropy"))
}

/// Bits of Shannon entropy of the distribution of characters in the value, times its length. It
/// cannot know how a value was generated: it detects weak values, but does not prove that one is strong.
fn entropy(value: &str) -> f64 {
    let mut counts: BTreeMap<char, f64> = BTreeMap::new();
    for c in value.chars() {
        *counts.entry(c).or_default() += 1.0;
    }
    let all = value.chars().count() as f64;
    let each: f64 = counts.values().map(|n| -(n / all) * (n / all).log2()).sum();
    each * all
}

/// Length of the shortest part whose repetition is the value; the whole length when there is none.
fn period(value: &str) -> usize {
    let chars: Vec<char> = value.chars().collect();
    (1..=chars.len())
        .find(|n| chars.iter().enumerate().all(|(at, c)| chars[at % n] == *c))
        .unwrap_or(chars.len())
}

/// Characters that are equal or adjacent to the one before: `aaaa`, `12345`, `gfed`.
fn runs(value: &str) -> usize {
    let codes: Vec<u32> = value.chars().map(u32::from).collect();
    codes.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_secrets_are_reported_and_random_ones_are_not() {
        let weak = |value: &str| weakness(value, 16, 64);
        for (value, why) in [
            ("", "empty"),
            ("s8Jd02kqPz", "has 10 characters"),
            ("abcabcabcabcabcabc", "repeats"),
            ("aaaaaaaaaaaaaaaaaaaaaaaa", "repeats"),
            ("StagingPassword123456", "common words"),
            ("mnopqrstuvwxyzghijkl", "adjacent"),
            ("abbcabdbacdabbdcabdb", "bits"),
        ] {
            assert!(weak(value).is_some_and(|w| w.contains(why)), "{value}: {:?}", weak(value));
        }
        // Hexadecimal, base64 and a UUID as machines make them.
        for value in [
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "q83vEjRWeJCrze8SNFZ4kKvN7xI0",
            "3e1f9c2a-7b4d-4c58-9a60-d2e8b1f5a7c3",
        ] {
            assert_eq!(weak(value), None, "{value}");
        }
    }
}
