//! `expect = "absent"`: something must not be in a text.
//!
//! An empty search result counts only when the text has the expected form.

use domain::check::ValueSource;
use domain::evidence::Finding;

use super::finding::{brief, failed, passed, unknown};
use super::values::{NoValue, by_pattern, json_documents, kind_of, no_json};

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// Not found; a text that names the place.
    Nothing(String),
    /// Found; a text that describes it.
    Something(String),
}

/// Searches for what `source` describes. Fails when the text cannot be read.
pub(super) fn look(source: &ValueSource, text: &str) -> Result<Look, NoValue> {
    match (&source.pointer, &source.regex) {
        (Some(pointer), None) => at_pointer(pointer, text),
        (None, Some(pattern)) => by_regex(pattern, text, source.file.is_none()),
        _ => Err(NoValue::new("“absent” needs a pointer or a regex", "Add a pointer or a regex to `value`.")),
    }
}

/// Searches for a value at a JSON pointer. `null` is a value.
pub(super) fn at_pointer(pointer: &str, text: &str) -> Result<Look, NoValue> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        let saw = format!("“{pointer}” is not a JSON pointer");
        return Err(NoValue::new(saw, "Start the pointer with a slash: /total/lines/pct."));
    }
    let documents = json_documents(text.strip_prefix('\u{feff}').unwrap_or(text));
    if documents.is_empty() {
        return Err(no_json(text));
    }
    Ok(match documents.iter().find_map(|document| document.pointer(pointer)) {
        Some(value) => Look::Something(format!("{} at {pointer}", kind_of(value))),
        None => Look::Nothing(format!("{pointer} does not exist")),
    })
}

fn by_regex(pattern: &str, text: &str, quoted: bool) -> Result<Look, NoValue> {
    let regex = by_pattern(pattern)?;
    Ok(match regex.find(text) {
        None => Look::Nothing(format!("“{}” not found", brief(pattern, 60))),
        Some(_) if !quoted => Look::Something(format!("a match of “{}”", brief(pattern, 60))),
        Some(found) => Look::Something(format!("“{}”", brief(found.as_str(), 120))),
    })
}

/// The finding of a search; `before` is what else was found.
pub(super) fn judge(look: Result<Look, NoValue>, wanted: &str, before: &str, next: &str) -> Finding {
    match look {
        Ok(Look::Nothing(what)) => passed(wanted, format!("{before}, {what}")),
        Ok(Look::Something(what)) => failed(wanted, format!("{before}, {what}"), next),
        Err(none) => unknown(wanted, format!("{before}, but {}", none.saw), none.next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(pointer: Option<&str>, regex: Option<&str>, text: &str) -> Result<bool, String> {
        let source = ValueSource {
            file: None,
            pointer: pointer.map(str::to_owned),
            regex: regex.map(str::to_owned),
            format: None,
        };
        look(&source, text).map(|l| matches!(l, Look::Nothing(_))).map_err(|none| none.saw)
    }

    #[test]
    fn absent_counts_only_in_a_text_that_can_be_read() {
        assert_eq!(see(Some("/error"), None, r#"{"ok":true}"#), Ok(true));
        for there in [r#"{"error":null}"#, r#"{"error":"x"}"#, r#"{"error":0}"#] {
            assert_eq!(see(Some("/error"), None, there), Ok(false), "{there}");
        }
        for broken in ["", "{\"ok\":", "oops"] {
            assert!(see(Some("/error"), None, broken).is_err(), "{broken}");
        }
        assert_eq!(see(None, Some("WARN|ERROR"), "all\nfine\n"), Ok(true));
        assert_eq!(see(None, Some("^ERROR"), "fine\nERROR 3"), Ok(false));
        assert!(see(None, Some("("), "x").is_err() && see(None, None, "x").is_err());
        assert!(see(Some("error"), None, "{}").is_err());
    }
}
