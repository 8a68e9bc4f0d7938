//! The declared addresses of the stack, and a rule for them that the server provides: only the server knows under
//! which host names it is reachable.

use std::collections::BTreeMap;

use domain::runbook::{Problem, Severity};

use crate::Engine;
use crate::error::Error;
use checks::fill_urls;
use runbook::Config;
use secrets::EnvSource;
use secrets::interpolation::{InterpolationError, Plain, Syntax, substitute};
use system::files::off_thread;

/// An address of `[stack.urls]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackUrl {
    /// Its name in the file.
    pub name: String,
    /// As it is written in the file.
    pub declared: String,
    /// With the values of the env source, as checks use it; a value that cannot be filled in stays as declared. It may
    /// contain secrets and must not be shown.
    pub filled: String,
}

impl StackUrl {
    /// The address with the defaults of references that could not be filled in, and nothing for those that have none,
    /// that require a value, or that are malformed. It must not be shown either.
    pub fn with_defaults(&self) -> String {
        let mut unset = |_: &str| Ok::<_, InterpolationError>(None);
        substitute(&self.filled, Syntax::Braced, Plain::MayBeUnset, &mut unset)
            .unwrap_or_else(|_| without_references(&self.filled))
    }
}

/// A text without anything in `${…}`.
fn without_references(text: &str) -> String {
    let mut parts = text.split("${");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        rest.push_str(part.split_once('}').map_or("", |(_, after)| after));
    }
    rest
}

/// Why a rule refuses an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlRefusal {
    /// The problem, one sentence without a full stop.
    pub message: String,
    /// The next action.
    pub hint: String,
}

pub(crate) type UrlRule = Box<dyn Fn(&StackUrl) -> Result<(), UrlRefusal> + Send + Sync>;

/// The addresses with the values that checks fill in. Blocks.
fn with_values(urls: &BTreeMap<String, String>, source: Option<&EnvSource>) -> Vec<StackUrl> {
    // Without readable values the addresses stay as declared, and no check runs either.
    let env = source.and_then(|source| source.values().ok()).unwrap_or_default().to_map();
    let mut filled = fill_urls(urls, env);
    let url = |(name, declared): (&String, &String)| StackUrl {
        name: name.clone(),
        declared: declared.clone(),
        filled: filled.remove(name).unwrap_or_else(|| declared.clone()),
    };
    urls.iter().map(url).collect()
}

impl Engine {
    /// The addresses of the current stack.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn stack_urls(&self) -> Result<Vec<StackUrl>, Error> {
        let stack = self.stack();
        off_thread(move || with_values(&stack.urls, stack.orchestrator.env_source().as_ref()))
            .await
            .map_err(Error::internal)
    }

    /// From now on, changed files are refused if one of their addresses breaks this rule. There is at most one rule; a
    /// second one is ignored.
    pub fn refuse_urls(&self, rule: impl Fn(&StackUrl) -> Result<(), UrlRefusal> + Send + Sync + 'static) {
        let _ = self.0.url_rule.set(Box::new(rule));
    }

    /// The addresses in loaded files that break the rule. Blocks.
    pub(crate) fn refused_urls(&self, config: &Config) -> Vec<Problem> {
        let Some(rule) = self.0.url_rule.get() else { return vec![] };
        let declared = &config.stack;
        let source = EnvSource::declared(&declared.directory, declared.env_file.as_deref());
        let problem = |url: StackUrl| {
            let UrlRefusal { message, hint } = rule(&url).err()?;
            let (line, column) = declared.url_places.get(&url.name).copied().unwrap_or((1, 1));
            let file = Some(config.path.display().to_string());
            Some(Problem { file, line, column, severity: Severity::Error, message, hint })
        };
        with_values(&declared.urls, source.as_ref()).into_iter().filter_map(problem).collect()
    }
}
