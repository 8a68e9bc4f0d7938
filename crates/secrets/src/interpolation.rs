//! `${…}` references in texts, as Compose substitutes them: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`,
//! `${NAME:+text}`, `${NAME+text}`, `${NAME:?message}`, `${NAME?message}`, nested ones, and `$$` for a dollar sign.
//!
//! Only values that the caller looks up are inserted: no command, no file, no environment of this process.

use std::collections::HashMap;

/// How deep references may be nested within the operands of others.
const DEEPEST: usize = 32;

/// Which characters are special depends on where a text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Compose files and env files.
    Compose,
    /// Texts of `stagegate.toml`: only `${…}` is a reference, since commands and regular expressions contain other
    /// dollar signs. Names may contain dots and hyphens, as those of URLs do.
    Braced,
}

/// What a reference without an operator becomes when its variable has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// An empty text, as in Compose.
    MayBeUnset,
    /// An error.
    MustBeSet,
    /// An error, also when the value is empty.
    MustHaveValue,
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text that stays as it is.
    Text(&'a str),
    /// A reference to a variable.
    Reference(Reference<'a>),
    /// A `${` that is not closed, or not followed by a reference. Compose refuses such a text.
    Malformed(&'a str),
}

/// A reference to a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The variable.
    pub name: &'a str,
    /// What follows the name.
    pub operator: Option<Operator>,
    /// The text after the operator; it may contain references itself.
    pub operand: &'a str,
    /// All between the braces.
    body: &'a str,
}

/// What a reference becomes, depending on whether its variable has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    /// What it does.
    pub kind: OperatorKind,
    /// A colon before it: an empty value counts as none.
    pub empty_is_unset: bool,
}

/// The operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorKind {
    /// `-`: the operand if there is no value.
    Default,
    /// `+`: the operand if there is a value, else nothing.
    Alternative,
    /// `?`: an error if there is no value.
    Required,
}

/// Why references cannot be substituted. Names and texts as they are written, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterpolationError {
    /// See [`Piece::Malformed`]; also references that are nested too deep.
    #[error("a “${{” is not closed, or is not followed by the name of a variable")]
    Malformed,
    /// See [`Plain`].
    #[error("{0} has no value")]
    Unset(String),
    /// A value is missing, and the reference says that it must not.
    #[error("{name} has no value: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message of the reference, its own references unresolved.
        message: String,
    },
}

/// Looks up the value of a variable; `None` if it is not set.
pub type Lookup<'a, E> = dyn FnMut(&str) -> Result<Option<String>, E> + 'a;

/// Replaces the references in `text`.
///
/// # Errors
/// Those of `lookup`, and those of [`InterpolationError`].
pub fn substitute<E: From<InterpolationError>>(
    text: &str,
    syntax: Syntax,
    plain: Plain,
    lookup: &mut Lookup<'_, E>,
) -> Result<String, E> {
    Substitution { syntax, plain, lookup }.fill(text, 0)
}

/// The references in `text` and in their operands; `true` marks the latter, which may not be needed.
pub fn references(text: &str, syntax: Syntax) -> Vec<(Reference<'_>, bool)> {
    let mut found = Vec::new();
    let mut texts = vec![(text, 0)];
    while let Some((text, depth)) = texts.pop() {
        for piece in pieces(text, syntax) {
            if let Piece::Reference(reference) = piece {
                found.push((reference, depth > 0));
                if depth < DEEPEST && !reference.operand.is_empty() {
                    texts.push((reference.operand, depth + 1));
                }
            }
        }
    }
    found
}

/// Splits a text into its parts.
pub fn pieces(text: &str, syntax: Syntax) -> impl Iterator<Item = Piece<'_>> {
    Pieces { text, at: 0, syntax, closing: closing_braces(text) }
}

struct Substitution<'a, 'b, E> {
    syntax: Syntax,
    plain: Plain,
    lookup: &'a mut Lookup<'b, E>,
}

impl<E: From<InterpolationError>> Substitution<'_, '_, E> {
    fn fill(&mut self, text: &str, depth: usize) -> Result<String, E> {
        if depth > DEEPEST {
            return Err(InterpolationError::Malformed.into());
        }
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text, self.syntax) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Reference(reference) => out.push_str(&self.value(&reference, depth)?),
                Piece::Malformed(_) => return Err(InterpolationError::Malformed.into()),
            }
        }
        Ok(out)
    }

    fn value(&mut self, reference: &Reference<'_>, depth: usize) -> Result<String, E> {
        // A hyphen may belong to the name instead of starting a default.
        if self.syntax == Syntax::Braced
            && reference.body.contains('-')
            && let Some(value) = (self.lookup)(reference.body)?
        {
            return Ok(value);
        }
        let name = reference.name;
        let value = (self.lookup)(name)?;
        let Some(operator) = reference.operator else {
            return match value {
                Some(value) if self.plain != Plain::MustHaveValue || !value.is_empty() => Ok(value),
                None if self.plain == Plain::MayBeUnset => Ok(String::new()),
                _ => Err(InterpolationError::Unset(name.to_owned()).into()),
            };
        };
        let value = value.filter(|value| !(operator.empty_is_unset && value.is_empty()));
        match (operator.kind, value) {
            (OperatorKind::Default | OperatorKind::Required, Some(value)) => Ok(value),
            (OperatorKind::Default, None) | (OperatorKind::Alternative, Some(_)) => {
                self.fill(reference.operand, depth + 1)
            }
            (OperatorKind::Alternative, None) => Ok(String::new()),
            (OperatorKind::Required, None) => {
                let message = reference.operand.to_owned();
                Err(InterpolationError::Required { name: name.to_owned(), message }.into())
            }
        }
    }
}

struct Pieces<'a> {
    text: &'a str,
    at: usize,
    syntax: Syntax,
    /// The position of each opening brace's closing one.
    closing: HashMap<usize, usize>,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = &self.text[self.at..];
        let Some(after) = rest.strip_prefix('$') else {
            let end = rest.find('$').unwrap_or(rest.len());
            self.at += end;
            return (end > 0).then(|| Piece::Text(&rest[..end]));
        };
        if after.starts_with('{') {
            let open = self.at + 1;
            let whole = self.closing.get(&open).and_then(|close| {
                let reference = Reference::within(&self.text[open + 1..*close], self.syntax)?;
                Some((reference, close + 1))
            });
            let Some((reference, end)) = whole else {
                self.at += 2;
                return Some(Piece::Malformed(&rest[..2]));
            };
            self.at = end;
            return Some(Piece::Reference(reference));
        }
        let length = name_length(after, Syntax::Compose);
        match self.syntax {
            Syntax::Compose if after.starts_with('$') => self.at += 2,
            Syntax::Compose if length > 0 => {
                self.at += 1 + length;
                let name = &after[..length];
                return Some(Piece::Reference(Reference { name, operator: None, operand: "", body: name }));
            }
            _ => self.at += 1,
        }
        Some(Piece::Text(&rest[..1]))
    }
}

impl<'a> Reference<'a> {
    /// Reads the text between the braces.
    fn within(body: &'a str, syntax: Syntax) -> Option<Reference<'a>> {
        let (name, tail) = body.split_at(name_length(body, syntax));
        if name.is_empty() {
            return None;
        }
        if tail.is_empty() {
            return Some(Reference { name, operator: None, operand: "", body });
        }
        let bare = tail.strip_prefix(':').unwrap_or(tail);
        let kind = match bare.chars().next()? {
            '-' => OperatorKind::Default,
            '+' => OperatorKind::Alternative,
            '?' => OperatorKind::Required,
            _ => return None,
        };
        let operand = &bare[1..];
        // Compose reads a reference within one line.
        if syntax == Syntax::Compose && operand.contains('\n') {
            return None;
        }
        let operator = Some(Operator { kind, empty_is_unset: bare.len() < tail.len() });
        Some(Reference { name, operator, operand, body })
    }
}

/// The length in bytes of the name at the start of a text; 0 if there is none.
fn name_length(text: &str, syntax: Syntax) -> usize {
    let belongs = |c: char| c.is_ascii_alphanumeric() || c == '_' || (syntax == Syntax::Braced && c == '.');
    if syntax == Syntax::Compose && text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// The position of the closing brace of each opening one. Found for all at once, so that the cost does not depend on
/// how many there are.
fn closing_braces(text: &str) -> HashMap<usize, usize> {
    let (mut open, mut pairs) = (Vec::new(), HashMap::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open.push(at),
            b'}' => pairs.extend(open.pop().map(|start| (start, at))),
            _ => {}
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str, syntax: Syntax, plain: Plain) -> Result<String, InterpolationError> {
        substitute(text, syntax, plain, &mut |name| {
            let value = match name {
                "U" => Some("me"),
                "EMPTY" => Some(""),
                "my-web" => Some("http://w"),
                _ => None,
            };
            Ok(value.map(str::to_owned))
        })
    }

    fn required(message: &str) -> Result<String, InterpolationError> {
        Err(InterpolationError::Required { name: "X".to_owned(), message: message.to_owned() })
    }

    /// Each line was given to `docker compose config` 2.40 with `U=me` and `EMPTY=`.
    #[test]
    fn substitution_is_that_of_compose() {
        for (text, result) in [
            ("$U ${U} $Ué ${UNSET}|$UNSET|", "me me meé ||"),
            ("${X:-d}${X-d}${EMPTY:-d}|${EMPTY-d}|${U:-d}", "ddd||me"),
            ("${U:+d}${U+d}${EMPTY:+d}|${EMPTY+d}|${X:+d}|${X+d}", "dd|d||"),
            ("${U:?no}${U?no}${EMPTY?no}", "meme"),
            ("${U?}", "me"),
            ("${X:-}${X-a-b:-c}", "a-b:-c"),
            ("${X:-a:?b}", "a:?b"),
            ("${X:-$U}${X:-${U}}${X:-${Y:-z}}", "memez"),
            ("${U:+[${X:-y}]}", "[y]"),
            ("${X-${U:-q}z}", "mez"),
            ("${X:-{a}}${U:-{a}}", "{a}me"),
            ("${X:-a${U}b${U}}c}", "amebmec}"),
            ("${X+a}b", "b"),
            ("$$ $${U} $$$U ${X:-$$U}", "$ ${U} $me $U"),
            ("a$ $1 $ x $", "a$ $1 $ x $"),
        ] {
            assert_eq!(fill(text, Syntax::Compose, Plain::MayBeUnset).as_deref(), Ok(result), "{text}");
        }
        for text in ["${", "${}", "${U", "${1}", "${U.x}", "${U:x}", "${U!x}", "${é}", "${X=d}", "${X:-a\nb}"]
        {
            let result = fill(text, Syntax::Compose, Plain::MayBeUnset);
            assert_eq!(result, Err(InterpolationError::Malformed), "{text}");
        }
        for text in ["${X:?why}", "${X?why}", "${U-no}${X:?why}", "${Y-${X?why}}"] {
            assert_eq!(fill(text, Syntax::Compose, Plain::MayBeUnset), required("why"), "{text}");
        }
        assert_eq!(fill("${U-${X:?not needed}}", Syntax::Compose, Plain::MayBeUnset).as_deref(), Ok("me"));
    }

    #[test]
    fn a_message_does_not_contain_values() {
        assert_eq!(fill("${X:?ask ${U}}", Syntax::Compose, Plain::MayBeUnset), required("ask ${U}"));
    }

    #[test]
    fn in_other_texts_only_braces_are_references() {
        let fill = |text: &str| fill(text, Syntax::Braced, Plain::MustHaveValue);
        assert_eq!(fill("^$U$ $$ ${U}").as_deref(), Ok("^$U$ $$ me"));
        assert_eq!(fill("${my-web}/${my-x}/${a.b-c}").as_deref(), Ok("http://w/x/c"));
        assert_eq!(fill("${EMPTY-}${EMPTY:-d}").as_deref(), Ok("d"));
        for name in ["UNSET", "EMPTY"] {
            assert_eq!(fill(&format!("${{{name}}}")), Err(InterpolationError::Unset(name.to_owned())));
        }
    }

    #[test]
    fn a_variable_may_have_to_be_set() {
        let fill = |text: &str| fill(text, Syntax::Compose, Plain::MustBeSet);
        assert_eq!(fill("${EMPTY}${X-}").as_deref(), Ok(""));
        assert_eq!(fill("${X-$Y}"), Err(InterpolationError::Unset("Y".to_owned())));
    }

    #[test]
    fn references_are_listed_with_those_in_operands() {
        let text = "$A ${B:-${C:+${D}}} ${E:?${F}} $$G ${} $H";
        let mut names: Vec<(&str, bool)> =
            references(text, Syntax::Compose).into_iter().map(|(r, nested)| (r.name, nested)).collect();
        names.sort_unstable();
        let nested = |name| matches!(name, "C" | "D" | "F");
        assert_eq!(names, ["A", "B", "C", "D", "E", "F", "H"].map(|name| (name, nested(name))));
    }

    #[test]
    fn endless_nesting_ends() {
        let deep = format!("{}x{}", "${X:-".repeat(100_000), "}".repeat(100_000));
        assert_eq!(fill(&deep, Syntax::Compose, Plain::MayBeUnset), Err(InterpolationError::Malformed));
        assert_eq!(references(&deep, Syntax::Compose).len(), DEEPEST + 1);
        let open = "${X:-".repeat(100_000);
        assert_eq!(pieces(&open, Syntax::Compose).count(), 200_000);
    }

    proptest::proptest! {
        #[test]
        fn pieces_lose_nothing_but_escapes(text in "[AB${}:?+é\n-]{0,40}") {
            let mut out = String::new();
            for piece in pieces(&text, Syntax::Braced) {
                match piece {
                    Piece::Text(text) | Piece::Malformed(text) => out.push_str(text),
                    Piece::Reference(reference) => out.push_str(&format!("${{{}}}", reference.body)),
                }
            }
            proptest::prop_assert_eq!(out, text);
        }

        #[test]
        fn a_text_without_dollar_signs_stays_as_it_is(text in "[^$]{0,40}") {
            let filled = fill(&text, Syntax::Compose, Plain::MayBeUnset);
            proptest::prop_assert_eq!(filled, Ok(text));
        }
    }
}
