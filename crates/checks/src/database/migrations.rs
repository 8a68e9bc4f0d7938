//! Migrations: compares those on disk with those that are recorded as applied in the database.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use domain::check::{DatabaseSpec, MigrationTool};
use domain::evidence::Finding;

use super::super::finding::{failed, names, passed, unknown, with_value};
use super::super::probe::Probe;
use super::client::{Client, Row, literal};
use domain::pattern::fits;

const KNEX: &str = "knex_migrations";
const PRISMA: &str = "_prisma_migrations";

pub(super) async fn probe(probe: &Probe<'_>, spec: &DatabaseSpec, client: &Client<'_>) -> Finding {
    let wanted = "every migration on disk is applied, and every applied migration is on disk";
    let Some(pattern) = &spec.files else {
        return unknown(
            wanted,
            "the check does not declare where the migrations are",
            "Set `files` in the check.",
        );
    };
    let prisma = spec.tool == Some(MigrationTool::Prisma);
    let on_disk = match entries(probe.work.stack.dir(), pattern, prisma) {
        Ok(found) if found.is_empty() => {
            return unknown(wanted, format!("no migration matches {pattern}"), "Correct `files`.");
        }
        Ok(found) => found,
        Err(error) => {
            let saw = format!("{pattern} cannot be read ({})", error.kind());
            return unknown(wanted, saw, "Correct `files` or the permissions of the directory.");
        }
    };
    let applied = match applied(spec, client).await {
        Ok(applied) => applied,
        Err(saw) => return unknown(wanted, saw, super::STACK_NEXT),
    };
    if !applied.unfinished.is_empty() {
        let saw = format!("started but not finished: {}", names(&applied.unfinished));
        let next = "Resolve them with prisma migrate resolve, then run prisma migrate deploy again.";
        return failed(wanted, saw, next);
    }
    // Knex and Prisma store the complete name; a custom table may omit the extension.
    let same = |file: &str, name: &str| {
        file == name || (spec.query.is_some() && file.rsplit_once('.').is_some_and(|(stem, _)| stem == name))
    };
    let pending: Vec<&String> =
        on_disk.iter().filter(|file| !applied.done.iter().any(|name| same(file, name))).collect();
    let lost: Vec<&String> =
        applied.done.iter().filter(|name| !on_disk.iter().any(|file| same(file, name))).collect();
    let count = pending.len() as f64;
    match (pending.is_empty(), lost.is_empty()) {
        (true, true) => {
            with_value(passed(wanted, format!("{} applied, none pending", applied.done.len())), count)
        }
        (false, true) => {
            let saw =
                format!("{} applied, {} pending: {}", applied.done.len(), pending.len(), names(pending));
            with_value(failed(wanted, saw, "Run the migrations on this database."), count)
        }
        (pending_none, false) => {
            let more = if pending_none { String::new() } else { format!("; pending: {}", names(pending)) };
            let saw = format!("applied, but not on disk: {}{more}", names(lost));
            let next = "Check out the commit that contains these migrations, or restore their files.";
            with_value(failed(wanted, saw, next), count)
        }
    }
}

struct Applied {
    done: BTreeSet<String>,
    unfinished: Vec<String>,
}

async fn applied(spec: &DatabaseSpec, client: &Client<'_>) -> Result<Applied, String> {
    let (table, sql) = match (spec.tool, &spec.query) {
        (Some(MigrationTool::Knex), None) => (KNEX, format!("select name, 't' from {KNEX}")),
        (Some(MigrationTool::Prisma), None) => (
            PRISMA,
            format!(
                "select migration_name, finished_at is not null from {PRISMA} where rolled_back_at is null"
            ),
        ),
        (None, Some(query)) => ("", query.clone()),
        _ => return Err("the check names neither a tool nor a query, or both".to_owned()),
    };
    if !table.is_empty() {
        let there = client.query(&format!("select to_regclass({}) is not null", literal(table))).await;
        match there.map(|rows| rows.first().is_some_and(|row| row.first().is_some_and(|v| v == "t"))) {
            Ok(true) => {}
            // No migration was ever applied to this database.
            Ok(false) => return Ok(Applied { done: BTreeSet::new(), unfinished: vec![] }),
            Err(exit) => {
                return Err(format!("whether table {table} exists could not be checked ({exit})"));
            }
        }
    }
    let rows = client
        .query(&sql)
        .await
        .map_err(|exit| format!("the applied migrations could not be read ({exit})"))?;
    let name = |row: &Row| row.first().filter(|name| !name.is_empty()).cloned();
    let (done, rest): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| spec.query.is_some() || row.get(1).is_some_and(|v| v == "t"));
    let done: BTreeSet<String> = done.iter().filter_map(name).collect();
    let unfinished = rest.iter().filter_map(name).filter(|name| !done.contains(name)).collect();
    Ok(Applied { done, unfinished })
}

/// The names of the files (or directories) that match a pattern with `*` in its last part.
fn entries(dir: &Path, pattern: &str, directories: bool) -> io::Result<BTreeSet<String>> {
    let whole = Path::new(pattern);
    let last = whole.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let parent = whole.parent().map_or_else(|| dir.to_owned(), |parent| dir.join(parent));
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let about = fs::metadata(entry.path())?;
        if fits(last, &name) && !name.starts_with('.') && about.is_dir() == directories {
            found.insert(name);
        }
    }
    Ok(found)
}
