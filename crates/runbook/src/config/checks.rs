//! The `[[check]]` tables: the common keys are read here, the keys of a kind by its type.

use std::ops::Range;

use domain::check::{Check, CheckKind, CheckSpec, Want};
use domain::release::ReleaseComponent;
use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::old_keys::is_old;
use super::schedule::read_schedule;
use super::sense::make_sense;
use super::walk::{At, Walk, suggestion};

/// Keys that every kind of check has.
const COMMON: [&str; 13] = [
    "id",
    "title",
    "kind",
    "proves",
    "timeout",
    "retries",
    "valid_for",
    "binds",
    "expect",
    "after",
    "every",
    "parallel",
    "after_deploy",
];

/// What an entry of `proves` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimTarget {
    Criterion,
    MatrixRow,
    ChecklistItem,
}

impl ClaimTarget {
    const ALL: [ClaimTarget; 3] =
        [ClaimTarget::Criterion, ClaimTarget::MatrixRow, ClaimTarget::ChecklistItem];

    /// Its key in the entry.
    fn key(self) -> &'static str {
        match self {
            ClaimTarget::Criterion => "criterion",
            ClaimTarget::MatrixRow => "matrix",
            ClaimTarget::ChecklistItem => "checklist",
        }
    }
}

/// An entry of `proves`.
pub(super) struct Claim {
    /// `None` when only an id was given.
    pub target: Option<ClaimTarget>,
    /// The id.
    pub id: At<String>,
    /// Words that the text of the target must contain.
    pub says: Option<At<String>>,
}

/// A check with the places that the cross-check reports.
pub(super) struct ReadCheck {
    /// Its id; empty when it is missing or not valid.
    pub id: String,
    pub id_at: usize,
    pub step_at: usize,
    pub claims: Vec<Claim>,
    /// The checks and steps in `after`.
    pub after: Vec<At<String>>,
    /// Whether it has an entry in `proves`, valid or not.
    pub claims_something: bool,
    /// The check, when it is valid.
    pub check: Option<Check>,
}

/// Reads all checks and reports their mistakes.
pub(super) fn read_checks(walk: &mut Walk<'_>, root: &DeTable<'_>) -> Vec<ReadCheck> {
    let Some(value) = root.get("check") else { return vec![] };
    let DeValue::Array(items) = value.get_ref() else {
        walk.error(value.span().start, "checks are written as [[check]] tables", "use [[check]]");
        return vec![];
    };
    let mut read = Vec::new();
    for item in items.iter() {
        match item.get_ref() {
            DeValue::Table(table) => read.push(read_check(walk, table, item.span())),
            _ => walk.error(item.span().start, "a check must be a table", "use [[check]]"),
        }
    }
    read
}

fn read_check(walk: &mut Walk<'_>, table: &DeTable<'_>, span: Range<usize>) -> ReadCheck {
    let (id, id_at) = read_id(walk, table, span.start);
    let title = walk.string(table, "title").map(|t| t.value);
    let claims = read_claims(walk, table);
    let timeout = walk.duration(table, "timeout");
    let retries = walk.number(table, "retries", 100).unwrap_or(0);
    let valid_for_ms = walk.duration(table, "valid_for");
    let (binds, images) = read_binds(walk, table).unzip();
    let after = walk.strings(table, "after").unwrap_or_default();
    let schedule = read_schedule(walk, table, &after);
    let want = read_want(walk, table);
    let check = read_spec(walk, table, &span).map(|spec| {
        one_of_step_and_run(walk, &spec, span.start);
        let timeout_ms = timeout.unwrap_or(spec.kind().default_timeout_ms());
        make_sense(walk, table, span.start, &spec, want.as_ref(), timeout_ms);
        Check {
            id: id.clone(),
            title: title.unwrap_or_else(|| id.clone()),
            proves: claims.iter().map(|c| c.id.value.clone()).collect(),
            timeout_ms,
            retries,
            valid_for_ms: valid_for_ms.or(spec.kind().default_valid_for_ms()),
            binds: binds.unwrap_or_else(|| spec.default_binds()),
            images: images.unwrap_or_default(),
            schedule,
            want,
            spec,
        }
    });
    let claims_something = match table.get("proves").map(|v| v.get_ref()) {
        Some(DeValue::Array(entries)) => !entries.is_empty(),
        other => other.is_some(),
    };
    let step_at = table.get("step").map_or(span.start, |v| v.span().start);
    ReadCheck { id, id_at, step_at, claims, after, claims_something, check }
}

/// The id and its place; empty when it is missing or not valid.
fn read_id(walk: &mut Walk<'_>, table: &DeTable<'_>, at: usize) -> (String, usize) {
    if !table.contains_key("id") {
        walk.error(at, "this check has no `id`", "add a short, unique id: id = \"health\"");
    }
    let Some(At { value, span }) = walk.string(table, "id") else { return (String::new(), at) };
    if is_plain(&value) {
        return (value, span.start);
    }
    let message = format!("“{value}” is not a valid check id");
    walk.error(span.start, message, "use at most 64 letters, digits, `-`, `_` and `.`");
    (String::new(), span.start)
}

fn is_plain(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

fn one_of_step_and_run(walk: &mut Walk<'_>, spec: &CheckSpec, at: usize) {
    let CheckSpec::Command { step, run, .. } = spec else { return };
    match (step, run) {
        (None, None) => {
            walk.error(at, "this command check has neither `step` nor `run`", "add one of them");
        }
        (Some(_), Some(_)) => {
            walk.error(at, "this command check has both `step` and `run`", "keep only one of them");
        }
        _ => {}
    }
}

fn read_claims(walk: &mut Walk<'_>, table: &DeTable<'_>) -> Vec<Claim> {
    let Some(value) = table.get("proves") else { return vec![] };
    let DeValue::Array(items) = value.get_ref() else {
        let hint = "write proves = [{ criterion = \"A.1\", contains = \"…\" }]";
        walk.error(value.span().start, "`proves` must be a list", hint);
        return vec![];
    };
    let mut claims = Vec::new();
    for item in items.iter() {
        match item.get_ref() {
            DeValue::String(id) => {
                let id = At { value: id.to_string(), span: item.span() };
                claims.push(Claim { target: None, id, says: None });
            }
            DeValue::Table(inner) => claims.extend(read_claim(walk, inner, item.span().start)),
            _ => walk.error(
                item.span().start,
                "an entry of `proves` must be a table or an id",
                "write { criterion = \"A.1\", contains = \"…\" }",
            ),
        }
    }
    claims
}

fn read_claim(walk: &mut Walk<'_>, table: &DeTable<'_>, at: usize) -> Option<Claim> {
    walk.unknown_keys(table, &["criterion", "matrix", "checklist", "contains"], "`proves`");
    let named: Vec<ClaimTarget> =
        ClaimTarget::ALL.into_iter().filter(|target| table.contains_key(target.key())).collect();
    let says = walk.string(table, "contains");
    match named.as_slice() {
        [target] => {
            let id = walk.string(table, target.key())?;
            Some(Claim { target: Some(*target), id, says })
        }
        _ => {
            let message =
                "an entry of `proves` must have exactly one of `criterion`, `matrix` and `checklist`";
            walk.error(at, message, "write { criterion = \"A.1\", contains = \"…\" }");
            None
        }
    }
}

/// The parts of `binds`, and the services of single images: `image:backend` is the image of one service.
fn read_binds(walk: &mut Walk<'_>, table: &DeTable<'_>) -> Option<(Vec<ReleaseComponent>, Vec<String>)> {
    let names = walk.strings(table, "binds")?;
    let labels: Vec<&str> = ReleaseComponent::ALL.iter().map(|p| p.label()).collect();
    let (mut parts, mut images): (Vec<ReleaseComponent>, Vec<String>) = (Vec::new(), Vec::new());
    let mut all_images = None;
    for At { value, span } in names {
        let service = value.strip_prefix("image:");
        let part = match service {
            Some("") => None,
            Some(_) => Some(ReleaseComponent::Images),
            None => ReleaseComponent::ALL.into_iter().find(|p| p.label() == value),
        };
        let Some(part) = part else {
            let message = format!("`{value}` is not a part of a release");
            let hint = match service {
                Some(_) => "add the service, such as `image:backend`".to_owned(),
                None => suggestion(&value, &labels),
            };
            walk.error(span.start, message, hint);
            continue;
        };
        match service {
            Some(name) if !images.iter().any(|i| i == name) => images.push(name.to_owned()),
            None if part == ReleaseComponent::Images => all_images = Some(span.start),
            _ => {}
        }
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    if let (Some(at), false) = (all_images, images.is_empty()) {
        let message = "`images` already includes the images of all services";
        walk.error(at, message, "keep either `images` or the single images");
    }
    Some((parts, images))
}

fn read_want(walk: &mut Walk<'_>, table: &DeTable<'_>) -> Option<Want> {
    let At { value, span } = walk.string(table, "expect")?;
    match value.parse() {
        Ok(want) => Some(want),
        Err(error) => {
            walk.error(span.start, format!("`expect`: {error}"), "");
            None
        }
    }
}

/// Reads the keys of the kind. Deserialization stops at the first mistake, so that key is reported and
/// removed, and the rest is read again.
fn read_spec(walk: &mut Walk<'_>, table: &DeTable<'_>, span: &Range<usize>) -> Option<CheckSpec> {
    if !table.contains_key("kind") {
        let kinds: Vec<&str> = CheckKind::ALL.iter().map(|kind| kind.name()).collect();
        walk.error(span.start, "this check has no `kind`", format!("add one: {}", kinds.join(", ")));
        return None;
    }
    let mut rest: DeTable<'_> = table
        .iter()
        .filter(|(key, _)| key.get_ref() == "kind" || !COMMON.contains(&&**key.get_ref()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut spoiled: Vec<String> = Vec::new();
    loop {
        let error = match try_spec(&rest, span) {
            Ok(spec) if spoiled.is_empty() => return Some(spec),
            Ok(_) => return None,
            Err(error) => error,
        };
        let message = error.message().to_owned();
        let Some(culprit) = culprit(&rest, &message, span) else {
            let missing = quoted(&message).first().cloned().unwrap_or_default();
            // A key that is missing because it was removed above has been reported already.
            if !spoiled.contains(&missing) {
                walk.error(span.start, format!("this check is incomplete: {message}"), "");
            }
            return None;
        };
        tell(walk, &rest, &culprit, &message);
        rest.remove(culprit.as_str());
        spoiled.push(culprit);
        // Without the kind the other keys cannot be checked, and very long lists are not useful.
        if spoiled.len() > 50 || spoiled.last().is_some_and(|key| key == "kind") {
            return None;
        }
    }
}

fn try_spec(table: &DeTable<'_>, span: &Range<usize>) -> Result<CheckSpec, toml::de::Error> {
    let value = Spanned::new(span.clone(), DeValue::Table(table.clone()));
    CheckSpec::deserialize(ValueDeserializer::from(value))
}

/// The key that the message is about: the one in the message, else the one whose removal changes the
/// message. `None` when a key is missing.
fn culprit(table: &DeTable<'_>, message: &str, span: &Range<usize>) -> Option<String> {
    if message.starts_with("missing field") {
        // It may be missing in an inner table.
        return table
            .iter()
            .filter(|(_, value)| matches!(value.get_ref(), DeValue::Table(_)))
            .map(|(key, _)| key.get_ref().to_string())
            .find(|key| differs_without(table, key, message, span));
    }
    let named = quoted(message).into_iter().next().filter(|name| table.contains_key(name.as_str()));
    if message.starts_with("unknown field") && named.is_some() {
        return named;
    }
    let mut keys: Vec<String> = table.keys().map(|k| k.get_ref().to_string()).collect();
    // Without the kind every message changes, so `kind` is tried last.
    keys.sort_by_key(|k| k == "kind");
    keys.into_iter().find(|key| differs_without(table, key, message, span))
}

fn differs_without(table: &DeTable<'_>, key: &str, message: &str, span: &Range<usize>) -> bool {
    let mut without = table.clone();
    without.remove(key);
    match try_spec(&without, span) {
        Ok(_) => true,
        Err(error) => error.message() != message,
    }
}

/// Reports the mistake at the place of the key, or within its value.
fn tell(walk: &mut Walk<'_>, table: &DeTable<'_>, culprit: &str, message: &str) {
    let Some((key, value)) = table.get_key_value(culprit) else { return };
    let names = quoted(message);
    let name = names.first().map_or("", String::as_str);
    let expected: Vec<&str> = names.iter().skip(1).map(String::as_str).filter(|name| !is_old(name)).collect();
    if message.starts_with("unknown field") {
        let inner = value.get_ref().as_table().and_then(|t| t.get_key_value(name));
        let at = inner.map_or(key.span().start, |(k, _)| k.span().start);
        let place = if inner.is_some() { format!("`{culprit}`") } else { "this check".to_owned() };
        let mut known = expected;
        if inner.is_none() {
            known.extend(COMMON);
        }
        walk.error(at, format!("unknown key `{name}` in {place}"), suggestion(name, &known));
    } else if message.starts_with("unknown variant") {
        let text = format!("`{culprit}` cannot be `{name}`");
        walk.error(value.span().start, text, suggestion(name, &expected));
    } else {
        walk.error(value.span().start, format!("`{culprit}`: {message}"), "");
    }
}

/// The words in backticks of a message, in order.
fn quoted(message: &str) -> Vec<String> {
    message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
