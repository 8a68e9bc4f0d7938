//! Finds and reads a measured value in a text.
//!
//! Nothing is guessed: an ambiguous text has no number.

use domain::check::{ReportFormat, ValueSource};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::{junit, k6, migrations, playwright, reports};

/// A number that was found, and its description.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// The number.
    pub(super) value: f64,
    /// The unit; empty when only the threshold defines it.
    pub(super) unit: &'static str,
    /// A description for display.
    pub(super) detail: String,
    /// Whether the value explains why the command ended with an error: tests that failed,
    /// vulnerabilities that were found.
    pub(super) explains_exit: bool,
}

/// Why there is no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoValue {
    /// What was found instead.
    pub(super) saw: String,
    /// What to do about it.
    pub(super) next: String,
    /// Whether the tool itself reports that it could not check, or had nothing to check. That overrides
    /// its exit code.
    pub(super) did_not_look: bool,
    /// Whether the result is a failure whatever the number.
    pub(super) is_bad: bool,
}

impl NoValue {
    pub(super) fn new(saw: impl Into<String>, next: impl Into<String>) -> NoValue {
        NoValue { saw: saw.into(), next: next.into(), did_not_look: false, is_bad: false }
    }

    /// The result is a failure whatever the number.
    pub(super) fn bad(saw: impl Into<String>, next: impl Into<String>) -> NoValue {
        NoValue { is_bad: true, ..NoValue::new(saw, next) }
    }

    /// The tool reports that it could not check.
    pub(super) fn did_not_look(saw: impl Into<String>, next: impl Into<String>) -> NoValue {
        NoValue { did_not_look: true, ..NoValue::new(saw, next) }
    }
}

/// Reads the number that `source` points to out of `text`.
pub(super) fn read_value(source: &ValueSource, text: &str) -> Result<Reading, NoValue> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match (&source.pointer, &source.regex, source.format) {
        (Some(pointer), None, None) => by_pointer(pointer, text),
        // A report file is not masked as the log is, so it is never quoted.
        (None, Some(pattern), None) => by_regex(pattern, text, source.file.is_none()),
        (None, None, Some(format)) => by_format(format, text),
        (None, None, None) => match parse_number(text.trim()) {
            Some(value) => Ok(plain(value, format!("the number {}", super::finding::figure(value)))),
            None => Err(NoValue::new(
                "the text is not a single number",
                "Give `value` a pointer, a regex or a format that finds the number.",
            )),
        },
        _ => Err(NoValue::new(
            "the check declares more than one way to read the value",
            "Keep one of pointer, regex and format.",
        )),
    }
}

/// The threshold of a report format when the check declares none.
pub(super) fn usual_want(format: ReportFormat) -> Option<&'static str> {
    match format {
        ReportFormat::Junit | ReportFormat::Playwright => Some(">= 100 %"),
        ReportFormat::NpmAudit
        | ReportFormat::NpmAuditCritical
        | ReportFormat::PlaywrightFlaky
        | ReportFormat::PrismaStatus
        | ReportFormat::KnexStatus => Some("== 0"),
        ReportFormat::CoverageSummary
        | ReportFormat::AutocannonP95
        | ReportFormat::AutocannonErrors
        | ReportFormat::K6P95
        | ReportFormat::K6Errors => None,
    }
}

/// Whether a format is plain text of a tool, which may be on both streams, and not a document.
pub(super) fn is_words(format: ReportFormat) -> bool {
    matches!(format, ReportFormat::PrismaStatus | ReportFormat::KnexStatus)
}

fn plain(value: f64, detail: String) -> Reading {
    Reading { value, unit: "", detail, explains_exit: false }
}

/// The number at a JSON pointer (RFC 6901).
pub(super) fn by_pointer(pointer: &str, text: &str) -> Result<Reading, NoValue> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(NoValue::new(
            format!("“{pointer}” is not a JSON pointer"),
            "Start the pointer with a slash: /total/lines/pct.",
        ));
    }
    let documents = json_documents(text);
    if documents.is_empty() {
        return Err(no_json(text));
    }
    let mut found: Vec<f64> = vec![];
    let mut other = None;
    for document in &documents {
        match document.pointer(pointer) {
            Some(value) => match number_of(value) {
                Some(number) => found.push(number),
                None => other = Some(kind_of(value)),
            },
            None => continue,
        }
    }
    let next = "Compare the pointer with the report and correct it, or make the command write the number.";
    match (found.first(), other) {
        (_, Some(kind)) => Err(NoValue::new(format!("{pointer} is {kind}, not a number"), next)),
        (None, None) => Err(NoValue::new(format!("{pointer} does not exist"), next)),
        (Some(first), None) if found.iter().all(|v| v == first) => {
            Ok(plain(*first, format!("{pointer} is {}", super::finding::figure(*first))))
        }
        _ => Err(NoValue::new(
            format!("{} documents have different values at {pointer}", found.len()),
            "Write the report to a separate file and set `value.file` to it.",
        )),
    }
}

/// The number in the first group of a regular expression. The last of several matches counts,
/// because totals are at the end.
fn by_regex(pattern: &str, text: &str, quoted: bool) -> Result<Reading, NoValue> {
    let regex = by_pattern(pattern)?;
    if regex.captures_len() < 2 {
        return Err(NoValue::new(
            "value.regex has no group",
            "Put parentheses around the number in `value.regex`.",
        ));
    }
    let next = "Compare `value.regex` with the output and correct it.";
    let Some(group) = regex.captures_iter(text).last().and_then(|c| c.get(1)) else {
        return Err(NoValue::new("value.regex has no match", next));
    };
    match parse_number(group.as_str()) {
        Some(value) if !quoted => Ok(plain(value, super::finding::figure(value))),
        Some(value) => {
            let line = text[..group.start()].rfind('\n').map_or(0, |at| at + 1);
            let end = text[group.end()..].find('\n').map_or(text.len(), |at| group.end() + at);
            let quote = super::finding::brief(&text[line..end], 120);
            Ok(plain(value, format!("{} in “{quote}”", super::finding::figure(value))))
        }
        None if !quoted => Err(NoValue::new("the match of value.regex is not a number", next)),
        None => Err(NoValue::new(
            format!("“{}” is not a number", super::finding::brief(group.as_str(), 40)),
            next,
        )),
    }
}

/// A declared regular expression, in which `^` and `$` match the ends of lines.
pub(super) fn by_pattern(pattern: &str) -> Result<Regex, NoValue> {
    RegexBuilder::new(pattern).multi_line(true).size_limit(1 << 20).build().map_err(|_| {
        NoValue::new("the regular expression of the check is not valid", "Correct it in stagegate.toml.")
    })
}

fn by_format(format: ReportFormat, text: &str) -> Result<Reading, NoValue> {
    match format {
        ReportFormat::Junit => return junit::read(text),
        ReportFormat::PrismaStatus => return migrations::prisma(text),
        ReportFormat::KnexStatus => return migrations::knex(text),
        _ => {}
    }
    let documents = json_documents(text);
    if documents.is_empty() {
        return Err(no_json(text));
    }
    match format {
        ReportFormat::CoverageSummary => reports::coverage(&documents),
        ReportFormat::NpmAudit => reports::npm_audit(&documents, false),
        ReportFormat::NpmAuditCritical => reports::npm_audit(&documents, true),
        ReportFormat::AutocannonP95 => reports::autocannon_p95(&documents),
        ReportFormat::AutocannonErrors => reports::autocannon_errors(&documents),
        ReportFormat::Playwright => playwright::passed(&documents),
        ReportFormat::PlaywrightFlaky => playwright::flaky(&documents),
        ReportFormat::K6P95 => k6::p95(&documents),
        ReportFormat::K6Errors => k6::errors(&documents),
        ReportFormat::Junit | ReportFormat::PrismaStatus | ReportFormat::KnexStatus => Err(no_json(text)),
    }
}

/// There is no JSON document in a text.
pub(super) fn no_json(text: &str) -> NoValue {
    let saw = if text.trim().is_empty() { "the text is empty" } else { "no complete JSON document" };
    NoValue::new(saw, "Make the command write JSON, and check that it ran to its end.")
}

/// The JSON documents in a text: the whole text, or those that begin at the start of a line, as in
/// the output of a script runner that writes its own lines around them.
pub(super) fn json_documents(text: &str) -> Vec<Value> {
    /// Attempts at a document before giving up: each may read to the end of the text.
    const ATTEMPTS: usize = 200;
    let text = text.trim();
    if let Ok(value) = serde_json::from_str(text) {
        return vec![value];
    }
    let mut documents = vec![];
    let mut attempts = 0;
    let mut at = 0;
    while at < text.len() && attempts < ATTEMPTS {
        let rest = &text[at..];
        if rest.starts_with(['{', '[']) {
            attempts += 1;
            let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            if let Some(Ok(value)) = stream.next() {
                at += stream.byte_offset();
                documents.push(value);
            }
        }
        // Continue on the next line; inner objects of a broken document are indented and so not read.
        at = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
    }
    documents
}

/// A JSON number, or a string that contains only a number.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64().filter(|v| v.is_finite()),
        Value::String(s) => parse_number(s),
        _ => None,
    }
}

/// The type of a JSON value as text.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.as_f64().is_none_or(|v| !v.is_finite()) => "a number out of range",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Reads a number as users and tools write it: `71.2`, `71,2`, `1,234.5`, `12_000`, `1.2k`, `98 %`.
///
/// A comma before exactly three digits (`1,234`) is ambiguous (thousands or decimals), so it is
/// not a number unless a second separator decides.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches('%').trim_end();
    let (text, factor) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (text[..at].trim_end(), 1e3),
        (at, 'M') => (text[..at].trim_end(), 1e6),
        _ => (text, 1.0),
    };
    let (sign, digits) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let begins = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let fits = digits.chars().all(|c| c.is_ascii_digit() || ".,_eE+-".contains(c));
    if !begins || !fits || digits.starts_with("._") {
        return None;
    }
    let commas: Vec<usize> = digits.match_indices(',').map(|(at, _)| at).collect();
    let dots = digits.matches('.').count();
    let plain = match (commas.as_slice(), dots) {
        ([], 0 | 1) => digits.replace('_', ""),
        ([], _) => return None,
        // A single comma is a decimal separator, unless exactly three digits follow.
        ([at], 0) => match digits.len() - at - 1 {
            1 | 2 | 4.. => digits.replace(',', "."),
            _ => return None,
        },
        // Commas before a dot, or several commas: thousands, if three digits follow each.
        (_, 0 | 1) => {
            let whole = digits.split('.').next().unwrap_or_default();
            let mut groups = whole.split(',');
            let first = groups.next().unwrap_or_default().len();
            let grouped = (1..=3).contains(&first) && groups.all(|g| g.len() == 3);
            if !grouped || digits.rfind(',') > digits.find('.').or(Some(usize::MAX)) {
                return None;
            }
            digits.replace(',', "")
        }
        _ => return None,
    };
    let value: f64 = plain.parse().ok()?;
    let value = sign * value * factor;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> ValueSource {
        ValueSource { file: None, pointer: None, regex: None, format: None }
    }

    fn pointer(p: &str, text: &str) -> Result<f64, String> {
        let source = ValueSource { pointer: Some(p.into()), ..source() };
        read_value(&source, text).map(|r| r.value).map_err(|e| e.saw)
    }

    fn regex(p: &str, text: &str) -> Result<f64, String> {
        let source = ValueSource { regex: Some(p.into()), ..source() };
        read_value(&source, text).map(|r| r.value).map_err(|e| e.saw)
    }

    #[test]
    fn numbers_are_read_as_tools_write_them() {
        for (text, wanted) in [
            ("71.2", 71.2),
            (" 98 % ", 98.0),
            ("71,2", 71.2),
            ("1.2k", 1_200.0),
            ("12.34 k", 12_340.0),
            ("3M", 3_000_000.0),
            ("1,234.5", 1_234.5),
            ("1,234,567", 1_234_567.0),
            ("12_000", 12_000.0),
            ("-3", -3.0),
            ("+3", 3.0),
            ("1e3", 1_000.0),
            (".5", 0.5),
        ] {
            assert_eq!(parse_number(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn an_ambiguous_text_is_not_a_number() {
        for text in [
            "",
            "%",
            "k",
            "abc",
            "1,234",
            "1.2.3",
            "1,2,3",
            "nan",
            "inf",
            "1e999",
            "0x10",
            "12 34",
            "1.234,5",
            "--1",
            "1,23,456",
            "5 ms",
            ",5",
            "1,234.5.6",
        ] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }

    #[test]
    fn a_pointer_finds_its_number_with_and_without_other_lines() {
        assert_eq!(pointer("/a/b", r#"{"a":{"b":3.5}}"#), Ok(3.5));
        assert_eq!(pointer("/a~1b/0", "\u{feff}{\"a/b\":[\"7 %\"]}"), Ok(7.0));
        assert_eq!(pointer("", "12"), Ok(12.0));
        let output = "\n> app@1.0.0 load\n> node load.js\n\n{\n  \"p95\": 12\n}\ndone\n";
        assert_eq!(pointer("/p95", output), Ok(12.0));
        assert_eq!(pointer("/p95", "{\"x\":1}\n{\"p95\":9}\n"), Ok(9.0));
    }

    #[test]
    fn a_pointer_without_a_single_number_is_an_error() {
        for (p, text) in [
            ("/a", ""),
            ("/a", "no json at all"),
            ("/b", r#"{"a":1}"#),
            ("/a", r#"{"a":null}"#),
            ("/a", r#"{"a":{"b":1}}"#),
            ("/a", r#"{"a":"Unknown"}"#),
            ("/a", "{\"a\":1}\n{\"a\":2}"),
            ("a", r#"{"a":1}"#),
            // The outer document is incomplete; an inner object must not be mistaken for it.
            ("/a", "{\n\"rows\": [\n  {\"a\": 1},\n  {\"a\": 1}\n"),
        ] {
            assert!(pointer(p, text).is_err(), "{p} in {text}");
        }
    }

    #[test]
    fn the_last_of_several_matches_counts() {
        let text = "Lines : 10.0 %\nrerun\nLines : 71.2 % ( 712/1000 )\n";
        assert_eq!(regex(r"^Lines\s*:\s*([\d.]+)", text), Ok(71.2));
        assert_eq!(regex(r"(\d+\.\d+k) requests", "1.5k requests in 3s"), Ok(1_500.0));
        for (pattern, text) in
            [("(", "1"), (r"\d+", "1"), (r"x(\d+)", "1"), (r"(\w+)", "words"), (r"a(\d+)?", "a")]
        {
            assert!(regex(pattern, text).is_err(), "{pattern}");
        }
    }

    #[test]
    fn without_a_pointer_or_regex_the_whole_text_must_be_the_number() {
        assert_eq!(read_value(&source(), " 42\n").map(|r| r.value), Ok(42.0));
        assert!(read_value(&source(), "42 apples").is_err());
        let both = ValueSource { pointer: Some("/a".into()), regex: Some("(1)".into()), ..source() };
        assert!(read_value(&both, "{\"a\":1}").is_err());
    }
}
