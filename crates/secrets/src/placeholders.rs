//! Finds values of an env file that are still placeholders. Values are checked but never shown.

use domain::pattern::fits;

/// Whether the name of a key says that its value is a secret.
pub fn is_secret_key(key: &str) -> bool {
    const PUBLIC: [&str; 3] = ["NEXT_PUBLIC_*", "VITE_*", "PUBLIC_*"];
    const WORDS: [&str; 9] =
        ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASS", "KEY", "APIKEY", "CREDENTIALS", "CREDENTIAL"];
    let key = key.to_uppercase();
    !PUBLIC.iter().any(|p| fits(p, &key)) && key.split('_').any(|part| WORDS.contains(&part))
}

/// Whether a value is a placeholder.
pub fn is_placeholder(value: &str) -> bool {
    const PHRASES: [&str; 12] = [
        "changeme",
        "replaceme",
        "fillme",
        "fillin",
        "placeholder",
        "yoursecret",
        "yourtoken",
        "yourpassword",
        "yourkey",
        "putyour",
        "insertyour",
        "tobedefined",
    ];
    const WHOLE: [&str; 7] = ["todo", "tbd", "fixme", "xxx", "secret", "password", "dummy"];
    let lower = value.trim().to_lowercase();
    let letters: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    if PHRASES.iter().any(|p| letters.contains(p)) || WHOLE.contains(&letters.as_str()) {
        return true;
    }
    // `<your token>`, `[token]`, `{{token}}`, `your-api-key-here`, `xxxxxxxx`, `____`, `...`
    let wrapped = [('<', '>'), ('[', ']'), ('{', '}')].iter().any(|(a, b)| {
        let inner = lower.strip_prefix(*a).and_then(|rest| rest.strip_suffix(*b));
        // Lists and objects in JSON have quotes, colons or commas; a placeholder has only words.
        inner.is_some_and(|i| !i.is_empty() && i.chars().all(|c| c.is_alphanumeric() || " _-.{}".contains(c)))
    });
    let yours = lower.starts_with("your-") || lower.starts_with("your_");
    let same = lower.chars().next().filter(|c| "x*_.-?".contains(*c));
    let filler = lower.len() >= 3 && same.is_some_and(|first| lower.chars().all(|c| c == first));
    let inside = ['<', '>'].iter().all(|c| lower.contains(*c)) && lower.find('<') < lower.rfind('>');
    wrapped || yours || filler || (inside && !lower.contains(' '))
}

/// Whether a key certainly has a placeholder value: a secret that is a placeholder, a placeholder as the password in
/// a URL, or any value with words such as “change me”.
pub fn unfilled_secret(key: &str, value: &str) -> bool {
    let letters: String = value.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let says_so = ["changeme", "replaceme", "fillmein"].iter().any(|p| letters.contains(p));
    says_so || (is_secret_key(key) && is_placeholder(value)) || password_in(value).is_some_and(is_placeholder)
}

/// Whether the value that a key shares with the example can be a secret. Booleans, numbers and durations of keys with
/// secret-looking names (`TOKEN_TTL=15m`) cannot.
pub fn could_be_secret(value: &str) -> bool {
    let value = value.trim();
    let plain = matches!(value.to_lowercase().as_str(), "" | "true" | "false" | "yes" | "no" | "on" | "off");
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let small = value.len() <= 6 && value.len() - number.len() <= 3 && number.parse::<u64>().is_ok();
    !plain && !small
}

/// The password in a URL with user information, such as the URL of a database.
pub fn password_in(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user_info, _) = authority.rsplit_once('@')?;
    user_info.split_once(':').map(|(_, password)| password).filter(|p| !p.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_many_shapes_are_seen() {
        for value in [
            "changeme",
            "change-me-please",
            "CHANGE_ME",
            "<your token>",
            "[token]",
            "{{secret}}",
            "your-api-key",
            "YOUR_SECRET_HERE",
            "replace_me",
            "xxx",
            "xxxxxxxx",
            "____",
            "todo",
            "TBD",
            "placeholder",
            "password",
            "https://<domain>/x",
        ] {
            assert!(is_placeholder(value), "{value}");
        }
    }

    #[test]
    fn real_values_are_none() {
        for value in [
            "https://staging.medianest.example.com",
            "production",
            "3000",
            "s8Jd02kqPz",
            "[\"a\",\"b\"]",
            "{\"a\":1}",
            "",
            "yes",
            "15m",
            "YourCompany",
            "*",
            "x",
            "a<b",
            "postgres://u:p9Q2@db:5432/app",
            "todolist",
        ] {
            assert!(!is_placeholder(value), "{value}");
        }
    }

    #[test]
    fn secrets_are_known_by_name_and_switches_are_none() {
        for key in ["JWT_SECRET", "METRICS_TOKEN", "REDIS_PASSWORD", "TMDB_API_KEY", "ENCRYPTION_KEY"] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in ["PORT", "KEYCLOAK_URL", "NEXT_PUBLIC_API_KEY", "PASSENGERS", "ALLOWED_ORIGINS"] {
            assert!(!is_secret_key(key), "{key}");
        }
        for value in ["true", "15m", "7d", "3600", "86400s", ""] {
            assert!(!could_be_secret(value), "{value}");
        }
        for value in ["admin", "hunter2", "1234567890", "dev-secret"] {
            assert!(could_be_secret(value), "{value}");
        }
        assert_eq!(password_in("postgres://user:p:w@db/app"), Some("p:w"));
        assert_eq!(password_in("redis://:pw@redis:6379"), Some("pw"));
        assert_eq!(password_in("https://host/a@b:c"), None);
    }
}
