//! References in values of an env file to values above them.

use super::interpolation::{InterpolationError, Plain, Syntax, substitute};

/// Resolves references. `value_of` gives the value of an earlier assignment. A text that Compose refuses stays as it is:
/// it is still a value that must be masked.
pub(super) fn fill<'a>(text: &str, value_of: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut lookup = |name: &str| Ok::<_, InterpolationError>(value_of(name).map(str::to_owned));
    substitute(text, Syntax::Compose, Plain::MayBeUnset, &mut lookup).unwrap_or_else(|_| text.to_owned())
}
