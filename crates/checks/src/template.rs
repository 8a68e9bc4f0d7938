//! Texts with `${NAME}` variables, as used in the declarations of checks.
//!
//! Filling only inserts known values: no command, no file, no environment of this process.

use std::collections::{BTreeMap, BTreeSet};

use secrets::interpolation::{InterpolationError, Plain, Syntax, substitute};

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
    /// It has no value, and the template says that it must have one.
    #[error("${{{name}}} has no value: {message}")]
    Required {
        /// The name.
        name: String,
        /// The message of the template.
        message: String,
    },
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

    /// Fills `${NAME}`, `${NAME:-default}` and the other forms of Compose. Everything else is unchanged, other dollar
    /// signs included.
    pub(super) fn fill(&self, template: &str) -> Result<Filled, TemplateError> {
        let mut keys = BTreeSet::new();
        let text = substitute(template, Syntax::Braced, Plain::MustHaveValue, &mut |name| {
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
        let mut from_env = |name: &str| Ok::<_, TemplateError>(self.env.get(name).cloned());
        let text = substitute(template, Syntax::Braced, Plain::MustHaveValue, &mut from_env)?;
        Ok(Filled { text, env_keys: BTreeSet::new() })
    }
}

/// The declared URLs that can be filled from an env file, by name.
pub fn fill_urls(urls: &BTreeMap<String, String>, env: BTreeMap<String, String>) -> BTreeMap<String, String> {
    Names::new(urls, env).urls()
}

impl From<InterpolationError> for TemplateError {
    fn from(error: InterpolationError) -> TemplateError {
        match error {
            InterpolationError::Malformed => TemplateError::Malformed,
            InterpolationError::Unset(name) => TemplateError::Unknown(name),
            InterpolationError::Required { name, message } => TemplateError::Required { name, message },
        }
    }
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
        assert_eq!(fill("${EMPTY:-${NONE:-${PORT}}}${PORT:+, set}"), Ok("3100, set".into()));
        assert_eq!(fill("$HOME $ {x} $$"), Ok("$HOME $ {x} $$".into()));
    }

    #[test]
    fn an_unknown_or_empty_name_is_an_error() {
        assert!(fill("Bearer ${NOT_SET}").is_err_and(|e| e.contains("NOT_SET")));
        assert!(fill("Bearer ${EMPTY}").is_err_and(|e| e.contains("EMPTY")));
        assert!(fill("${").is_err() && fill("${}").is_err());
        assert_eq!(fill("${NONE:?ask ${PORT}}"), Err("${NONE} has no value: ask ${PORT}".into()));
    }

    #[test]
    fn the_env_keys_of_a_text_are_recorded() {
        let filled = names().fill("Bearer ${METRICS_TOKEN}").unwrap();
        assert_eq!(filled.env_keys.into_iter().collect::<Vec<_>>(), ["METRICS_TOKEN"]);
        assert!(names().fill("${api}").unwrap().env_keys.is_empty());
    }
}
