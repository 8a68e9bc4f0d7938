//! Keys that had another name in earlier versions. The old name works for one more version; a note says what to write.

use std::collections::BTreeMap;

use domain::runbook::Severity;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::walk::Walk;

/// A key of `[[check]]`.
const CHECK: [(&str, &str); 2] = [("want", "expect"), ("twice", "idempotence")];
/// A key of an entry of `proves`, and of `idempotence`.
const CONTAINS: [(&str, &str); 1] = [("says", "contains")];
const WAIVERS: [(&str, &str); 1] = [("longest", "max_duration")];
const DEPLOY: [(&str, &str); 1] = [("db_fresh", "db_recreate")];

/// Whether a key is the old name of another one.
pub(super) fn is_old(key: &str) -> bool {
    [&CHECK[..], &CONTAINS, &WAIVERS, &DEPLOY].concat().iter().any(|(old, _)| *old == key)
}

/// Gives every old key of the document its current name, so that no other code has to know the old ones. One note for
/// each old name, at its first place.
pub(super) fn rename_old_keys(walk: &mut Walk<'_>, root: &mut DeTable<'_>) {
    let mut found = Found::new();
    rename_all(walk, root, &mut found);
    for ((old, new), mut places) in found {
        places.sort_unstable();
        let count = match places.len() {
            1 => String::new(),
            n => format!(", used in {n} places"),
        };
        let message = format!("`{old}` is the old name of `{new}`{count}; it still works in this version");
        let at = places.first().copied().unwrap_or_default();
        walk.say(Severity::Note, at, message, format!("write `{new}` instead"));
    }
}

/// The places of each old name, with the new one.
type Found = BTreeMap<(&'static str, &'static str), Vec<usize>>;

fn rename_all(walk: &mut Walk<'_>, root: &mut DeTable<'_>, found: &mut Found) {
    if let Some(table) = root.get_mut("waivers").and_then(as_table) {
        rename(walk, table, &WAIVERS, found);
    }
    if let Some(table) = root.get_mut("deploy").and_then(as_table) {
        rename(walk, table, &DEPLOY, found);
    }
    let Some(DeValue::Array(checks)) = root.get_mut("check").map(Spanned::get_mut) else { return };
    for check in checks.iter_mut().filter_map(as_table) {
        rename(walk, check, &CHECK, found);
        if let Some(table) = check.get_mut("idempotence").and_then(as_table) {
            rename(walk, table, &CONTAINS, found);
        }
        if let Some(DeValue::Array(claims)) = check.get_mut("proves").map(Spanned::get_mut) {
            for claim in claims.iter_mut().filter_map(as_table) {
                rename(walk, claim, &CONTAINS, found);
            }
        }
    }
}

fn as_table<'t, 'i>(value: &'t mut Spanned<DeValue<'i>>) -> Option<&'t mut DeTable<'i>> {
    match value.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn rename(
    walk: &mut Walk<'_>,
    table: &mut DeTable<'_>,
    names: &[(&'static str, &'static str)],
    found: &mut Found,
) {
    for (old, new) in names {
        let Some((key, value)) = table.remove_entry(*old) else { continue };
        let at = key.span();
        if table.contains_key(*new) {
            let message = format!("`{old}` is the old name of `{new}`, and both are set");
            walk.error(at.start, message, format!("remove `{old}`"));
            continue;
        }
        found.entry((*old, *new)).or_default().push(at.start);
        table.insert(Spanned::new(at, (*new).into()), value);
    }
}
