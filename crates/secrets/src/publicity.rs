//! Decides which values of an env file are secrets. All are, except those that match a rule of this module.

use super::encodings::MIN_BYTES;

/// Keys whose values are public, or are names that occur in every log.
const PUBLIC_KEYS: &[&str] = &[
    "NEXT_PUBLIC_*",
    "VITE_*",
    "PUBLIC_*",
    "COMPOSE_*",
    "NODE_ENV",
    "LOG_LEVEL",
    "TZ",
    "PORT",
    "*_PORT",
    "HOST",
    "*_HOST",
    "*_HOSTNAME",
    "*_USER",
    "*_USERNAME",
    "*_DB",
    "*_DATABASE",
    "*_TAG",
    "*_VERSION",
];

/// Common words in settings. They are not secret, and masking them would make logs unreadable.
const PLAIN_WORDS: &[&str] = &[
    "development",
    "production",
    "staging",
    "testing",
    "preview",
    "warning",
    "notice",
    "verbose",
    "silent",
    "localhost",
    "enabled",
    "disabled",
    "default",
    "postgres",
    "postgresql",
    "sqlite",
    "memory",
    "strict",
    "always",
    "prefer",
    "require",
    "disable",
    "verify-full",
    "no-verify",
    "unless-stopped",
    "bridge",
    "combined",
    "pretty",
];

/// Parts of key names that say "this is a secret".
const SECRET_PARTS: &[&str] = &[
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PRIVATE",
    "CREDENTIAL",
    "APIKEY",
    "API_KEY",
    "SALT",
    "PEPPER",
    "SIGNING",
    "ENCRYPTION",
    "WEBHOOK",
    "DSN",
];

/// Distinguishes secrets from settings.
pub(super) struct Publicity<'a> {
    public_keys: &'a [String],
}

impl<'a> Publicity<'a> {
    pub(super) fn new(public_keys: &'a [String]) -> Self {
        Self { public_keys }
    }

    fn is_public_key(&self, key: &str) -> bool {
        let named = self.public_keys.iter().any(|glob| matches(glob, key));
        // A built-in pattern must not unmask a key whose name says that it is a secret; `public_keys` may.
        let built_in = !sounds_secret(key) || key.starts_with("NEXT_PUBLIC_") || key.starts_with("VITE_");
        named || (built_in && PUBLIC_KEYS.iter().any(|glob| matches(glob, key)))
    }

    /// The texts to mask for one assignment: none, the value, or the value and the password inside it.
    pub(super) fn secrets(&self, key: &str, value: &str) -> Vec<String> {
        let value = value.trim();
        if value.len() < MIN_BYTES || self.is_public_key(key) || is_plain(value) {
            return Vec::new();
        }
        let inside = value.split(',').flat_map(of_url).collect::<Vec<_>>();
        if inside.is_empty() && !sounds_secret(key) && value.split(',').all(|part| is_address(part.trim())) {
            return Vec::new();
        }
        let mut found = vec![value.to_owned()];
        found.extend(inside);
        found
    }

    /// Whether a key has a secret-looking name and a value that is not masked, because it is too short or too common.
    pub(super) fn is_weak(&self, key: &str, value: &str) -> bool {
        let named = sounds_secret(key) && !self.is_public_key(key);
        named && !value.trim().is_empty() && self.secrets(key, value).is_empty()
    }
}

fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    key.ends_with("_KEY") || key.ends_with("_PASS") || SECRET_PARTS.iter().any(|part| key.contains(part))
}

/// `*` matches any text; the comparison is case-sensitive.
fn matches(glob: &str, key: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|head| key.strip_prefix(head)) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((tail, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(tail)
}

fn is_plain(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    PLAIN_WORDS.contains(&lower.as_str())
}

/// The whole URL, the password of the user part as written, and the decoded password; empty without a user part.
pub(super) fn of_url(value: &str) -> Vec<String> {
    let Some((_, rest)) = value.split_once("://") else {
        return Vec::new();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A password with an unescaped slash is not allowed in a URL, but common.
    let end = if authority.contains('@') { authority.rfind('@') } else { rest.rfind('@') };
    let Some(user) = end.and_then(|end| rest.get(..end)) else {
        return Vec::new();
    };
    let password = user.split_once(':').map_or(user, |(_, password)| password);
    let mut found = vec![value.trim().to_owned()];
    for text in [password.to_owned(), decoded(password)] {
        if text.len() >= MIN_BYTES && !is_plain(&text) {
            found.push(text);
        }
    }
    found.dedup();
    found
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| *byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(code) => {
                out.push(code);
                rest = &tail[2..];
            }
            None => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A URL or host without secrets: no user part, no query, no path part long enough to be a key.
fn is_address(value: &str) -> bool {
    let (scheme, rest) = value.split_once("://").map_or((None, value), |(scheme, rest)| (Some(scheme), rest));
    if rest.contains(['@', '?', '#', ' '])
        || scheme.is_some_and(|s| !s.bytes().all(|b| b.is_ascii_lowercase()))
    {
        return false;
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_host = !host.is_empty()
        && host.len() <= 80
        && host
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'*'))
        && host.split('.').all(|label| (1..=30).contains(&label.len()));
    let is_port =
        port.is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit()));
    let says_so = scheme.is_some() || port.is_some() || host.contains('.');
    is_host && is_port && says_so && path.split('/').all(|part| part.len() <= 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, value: &str) -> Vec<String> {
        Publicity::new(&["MY_*_ID".to_owned()]).secrets(key, value)
    }

    #[test]
    fn settings_are_not_secrets() {
        for (key, value) in [
            ("NEXT_PUBLIC_API_URL", "anything-at-all"),
            ("VITE_X", "anything-at-all"),
            ("MY_APP_ID", "anything-at-all"),
            ("SHORT", "abc12"),
            ("NUMBER", "65535"),
            ("FLAG", "false"),
            ("MODE", "production"),
            ("MODE", "Staging"),
            ("WHERE", "https://staging.example.org:8443/api/v1"),
            ("WHERE", "redis:6379"),
            ("ALLOWED", "https://a.example.org, http://localhost:3001"),
        ] {
            assert!(of(key, value).is_empty(), "{key}={value} was taken for a secret");
        }
    }

    #[test]
    fn everything_else_is_a_secret() {
        for (key, value) in [
            ("JWT_SECRET", "hunter2hunter2"),
            ("ANYTHING", "hunter2hunter2"),
            ("NUMBER", "1234567"),
            ("API_TOKEN", "abc.def.ghi"),
            ("SESSION", "eyJhbGciOi.eyJzdWIiOiIx.c2ln"),
            ("HOOK", "https://hooks.example.org/T000/B0000000/abcdefghijklmnopqrstuvwx"),
            ("HOOK", "https://example.org/?token=abc"),
            ("TOKEN_PORT", "abcdefgh"),
        ] {
            assert_eq!(of(key, value), [value], "{key}");
        }
    }

    #[test]
    fn the_password_inside_a_url_is_a_secret_of_its_own() {
        let url = "postgresql://me:p%40ssw0rd@db:5432/app?schema=public";
        assert_eq!(of("DATABASE_URL", url), [url, url, "p%40ssw0rd", "p@ssw0rd"]);
        let short = "redis://:abc@redis:6379";
        assert_eq!(of("REDIS_URL", short), [short, short]);
    }

    #[test]
    fn secrets_too_short_to_mask_are_named_as_weak() {
        let publicity = Publicity::new(&[]);
        assert!(publicity.is_weak("DB_PASSWORD", "abc"));
        assert!(publicity.is_weak("JWT_SECRET", "production"));
        assert!(!publicity.is_weak("DB_PASSWORD", ""));
        assert!(!publicity.is_weak("DB_PASSWORD", "long enough"));
        assert!(!publicity.is_weak("MODE", "dev"));
    }

    #[test]
    fn patterns_match_whole_keys() {
        assert!(matches("*_PORT", "FRONTEND_PORT") && matches("A*C*E", "ABCDE") && matches("A", "A"));
        assert!(!matches("PORT", "PORTAL") && !matches("A*B", "AC") && !matches("AB*BC", "ABC"));
    }
}
