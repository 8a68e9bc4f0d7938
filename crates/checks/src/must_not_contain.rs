//! `want = "absent"`: something must not stand in a text.
//!
//! That nothing was found counts only where the text could be read as what it should be.

use domain::check::ValueSource;
use domain::evidence::Finding;

use super::finding::{brief, failed, passed, unknown};
use super::values::{NoValue, by_pattern, json_documents, kind_of, no_json};

/// What a look for something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing; a phrase that says where.
    Nothing(String),
    /// Something; a phrase that says what.
    Something(String),
}

/// Looks for what `source` points to. Fails where the text cannot be read.
pub(super) fn look(source: &ValueSource, text: &str) -> Result<Look, NoValue> {
    match (&source.pointer, &source.regex) {
        (Some(pointer), None) => at_pointer(pointer, text),
        (None, Some(pattern)) => by_regex(pattern, text, source.file.is_none()),
        _ => Err(NoValue::new(
            "“absent” needs a pointer or a regex that must find nothing",
            "Give `value` one of pointer and regex.",
        )),
    }
}

/// Looks for a value at a JSON pointer. `null` is a value.
pub(super) fn at_pointer(pointer: &str, text: &str) -> Result<Look, NoValue> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        let saw = format!("“{pointer}” is no JSON pointer");
        return Err(NoValue::new(saw, "Begin the pointer with a slash: /total/lines/pct."));
    }
    let documents = json_documents(text.strip_prefix('\u{feff}').unwrap_or(text));
    if documents.is_empty() {
        return Err(no_json(text));
    }
    Ok(match documents.iter().find_map(|document| document.pointer(pointer)) {
        Some(value) => Look::Something(format!("{pointer} holds {}", kind_of(value))),
        None => Look::Nothing(format!("nothing at {pointer}")),
    })
}

fn by_regex(pattern: &str, text: &str, quoted: bool) -> Result<Look, NoValue> {
    let regex = by_pattern(pattern)?;
    Ok(match regex.find(text) {
        None => Look::Nothing(format!("“{}” occurs nowhere", brief(pattern, 60))),
        Some(_) if !quoted => Look::Something(format!("“{}” occurs", brief(pattern, 60))),
        Some(found) => Look::Something(format!("“{}”", brief(found.as_str(), 120))),
    })
}

/// The finding of a look; `before` says what else was seen.
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
    fn nothing_counts_only_in_a_text_that_can_be_read() {
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
