//! Texts with `${NAME}` variables, as used in the declarations of checks.
//!
//! Filling only inserts known values: no command, no file, no environment of this process.

use std::collections::{BTreeMap, BTreeSet};

/// The values that a template may name: the stack's URLs first, then the env file.
#[derive(Clone, Default)]
pub(super) struct Names {
    urls: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
}

/// A filled template.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Filled {
    /// The text.
    pub(super) text: String,
    /// The keys of the env file whose values it contains.
    pub(super) env_keys: BTreeSet<String>,
}

/// Why a template cannot be filled. Names only, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    /// The name is unknown or has no value.
    #[error("${{{0}}} is not a URL of the stack, and is missing or empty in the env file")]
    Unknown(String),
    /// A `${` that is never closed, or without a name.
    #[error("a “${{” in the check is not closed or has no name")]
    Malformed,
}

impl Names {
    /// Names from the declared URLs, which may themselves contain keys of the env file.
    pub(super) fn new(urls: &BTreeMap<String, String>, env: BTreeMap<String, String>) -> Names {
        Names { urls: urls.clone(), env }
    }

    /// The URLs that can be filled, by name.
    pub(super) fn urls(&self) -> BTreeMap<String, String> {
        let filled = |text: &String| self.fill_from_env(text).ok().map(|f| f.text);
        self.urls.iter().filter_map(|(name, text)| Some((name.clone(), filled(text)?))).collect()
    }

    /// Fills `${NAME}`, `${NAME:-default}` and `${NAME-default}`. Everything else is unchanged.
    pub(super) fn fill(&self, template: &str) -> Result<Filled, TemplateError> {
        let mut keys = BTreeSet::new();
        let text = substitute(template, &mut |name| {
            if let Some(url) = self.urls.get(name) {
                // Keys inside a declared URL are part of an address; they are not sent as a separate value.
                return self.fill_from_env(url).map(|filled| Some(filled.text));
            }
            let value = self.env.get(name).cloned();
            if value.is_some() {
                keys.insert(name.to_owned());
            }
            Ok(value)
        })?;
        Ok(Filled { text, env_keys: keys })
    }

    fn fill_from_env(&self, template: &str) -> Result<Filled, TemplateError> {
        let text = substitute(template, &mut |name| Ok(self.env.get(name).cloned()))?;
        Ok(Filled { text, env_keys: BTreeSet::new() })
    }
}

/// The declared URLs that can be filled from an env file, by name.
pub fn fill_urls(urls: &BTreeMap<String, String>, env: BTreeMap<String, String>) -> BTreeMap<String, String> {
    Names::new(urls, env).urls()
}

type Lookup<'a> = dyn FnMut(&str) -> Result<Option<String>, TemplateError> + 'a;

fn substitute(template: &str, lookup: &mut Lookup) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let close = inner.find('}').ok_or(TemplateError::Malformed)?;
        let body = &inner[..close];
        let end =
            body.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.')).unwrap_or(body.len());
        // A name may contain hyphens, which would otherwise start a default.
        let whole = if body.contains('-') { lookup(body)? } else { None };
        if let Some(value) = whole {
            out.push_str(&value);
            rest = &inner[close + 1..];
            continue;
        }
        let (name, default) = body.split_at(end);
        if name.is_empty() {
            return Err(TemplateError::Malformed);
        }
        let value = lookup(name)?;
        let text = match (value, default) {
            (Some(v), "") if !v.is_empty() => v,
            (Some(v), d) if d.starts_with(":-") && !v.is_empty() => v,
            (_, d) if d.starts_with(":-") => d[2..].to_owned(),
            (Some(v), d) if d.starts_with('-') => v,
            (None, d) if d.starts_with('-') => d[1..].to_owned(),
            (_, "") => return Err(TemplateError::Unknown(name.to_owned())),
            _ => return Err(TemplateError::Malformed),
        };
        out.push_str(&text);
        rest = &inner[close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let map =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Names::new(
            &map(&[("api", "http://127.0.0.1:${PORT:-3000}"), ("my-web", "http://w")]),
            map(&[("PORT", "3100"), ("METRICS_TOKEN", "s3cret"), ("EMPTY", "")]),
        )
    }

    fn fill(text: &str) -> Result<String, String> {
        names().fill(text).map(|f| f.text).map_err(|e| e.to_string())
    }

    #[test]
    fn urls_and_keys_are_filled_with_defaults() {
        assert_eq!(fill("${api}/health"), Ok("http://127.0.0.1:3100/health".into()));
        assert_eq!(fill("${my-web}/x"), Ok("http://w/x".into()));
        assert_eq!(fill("a${EMPTY:-b}${NONE-c}${EMPTY-d}"), Ok("abc".into()));
        assert_eq!(fill("$HOME $ {x} $$"), Ok("$HOME $ {x} $$".into()));
    }

    #[test]
    fn an_unknown_or_empty_name_is_an_error() {
        assert!(fill("Bearer ${NOT_SET}").is_err_and(|e| e.contains("NOT_SET")));
        assert!(fill("Bearer ${EMPTY}").is_err_and(|e| e.contains("EMPTY")));
        assert!(fill("${").is_err() && fill("${}").is_err() && fill("${a?b}").is_err());
    }

    #[test]
    fn the_env_keys_of_a_text_are_recorded() {
        let filled = names().fill("Bearer ${METRICS_TOKEN}").unwrap();
        assert_eq!(filled.env_keys.into_iter().collect::<Vec<_>>(), ["METRICS_TOKEN"]);
        assert!(names().fill("${api}").unwrap().env_keys.is_empty());
    }
}
