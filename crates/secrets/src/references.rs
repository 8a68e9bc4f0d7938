//! References to other variables inside the values of an env file.

use super::env_file::EnvFile;
use super::interpolation::{InterpolationError, Plain, Syntax, substitute};

/// Resolves references from the earlier assignments. A text that Compose refuses stays as it is: it is still a value
/// that must be masked.
pub(super) fn fill(text: &str, before: &EnvFile) -> String {
    let mut lookup = |name: &str| Ok::<_, InterpolationError>(before.get(name).map(str::to_owned));
    substitute(text, Syntax::Compose, Plain::MayBeUnset, &mut lookup).unwrap_or_else(|_| text.to_owned())
}
