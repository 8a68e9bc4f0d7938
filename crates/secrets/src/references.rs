//! References to other variables inside the values of an env file.

use super::env_file::EnvFile;

/// Resolves `$NAME`, `${NAME}`, `${NAME-text}` and `${NAME:-text}` from the earlier assignments.
pub(super) fn fill(text: &str, before: &EnvFile) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (value, used) = reference(after, before);
        match value {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..at + 1 + used]),
        }
        rest = &after[used..];
    }
    out.push_str(rest);
    out
}

/// The value of the reference after a `$`, and its length in bytes; `None` when it is not a reference.
fn reference(after: &str, before: &EnvFile) -> (Option<String>, usize) {
    let name_len = |text: &str| {
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        if starts { end } else { 0 }
    };
    if let Some(inner) = after.strip_prefix('{') {
        let Some(close) = inner.find('}') else {
            return (None, 0);
        };
        let body = &inner[..close];
        let len = name_len(body);
        let known = before.get(&body[..len]);
        let value = match &body[len..] {
            "" if len > 0 => Some(known.unwrap_or_default().to_owned()),
            rest if len > 0 && rest.starts_with(":-") => {
                Some(known.filter(|value| !value.is_empty()).unwrap_or(&rest[2..]).to_owned())
            }
            rest if len > 0 && rest.starts_with('-') => Some(known.unwrap_or(&rest[1..]).to_owned()),
            _ => None,
        };
        return (value, close + 2);
    }
    match name_len(after) {
        0 => (None, 0),
        len => (Some(before.get(&after[..len]).unwrap_or_default().to_owned()), len),
    }
}
