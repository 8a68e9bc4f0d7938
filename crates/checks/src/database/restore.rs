//! A restore test: restores the backup into a temporary database on the same server, compares, and drops it.
//!
//! A backup is older than its source, so rows may have been written, changed or deleted since. These must
//! still match: the tables and columns, and rows wherever the source has rows.
//! With `exact`, every row must be the same.

use std::collections::BTreeMap;

use domain::check::DatabaseSpec;
use domain::evidence::Finding;

use super::super::finding::{count_of, failed, names, passed, unknown, with_value};
use super::super::probe::Probe;
use super::backup::{self, Compression, Dump};
use super::client::{Client, ident};
use runner::{Cmd, Exit};
use system::clock::now_ms;

const PREFIX: &str = "stagegate_rehearsal_";
/// A temporary database that is older and has no connection was left by an aborted test.
const LEFT_BEHIND_MS: u64 = 3_600_000;
/// Lines of a dump that would make `psql` leave the temporary database.
const LEAVES: &str = r"^(\\[!ceigosqw]|(CREATE|DROP|ALTER) DATABASE )";

pub(super) async fn probe(probe: &Probe<'_>, spec: &DatabaseSpec, client: &Client<'_>) -> Finding {
    let wanted = if spec.exact {
        "the newest backup can be restored, and every row equals the source"
    } else {
        "the newest backup can be restored, with the tables and columns of the source, and rows where the source has rows"
    };
    let backup = match backup::find(probe, spec, wanted).await {
        Ok(backup) => backup,
        Err(finding) => return *finding,
    };
    if backup.form.dump == Dump::Sql
        && let Some(finding) = leaves(probe, &backup, wanted).await
    {
        return finding;
    }
    sweep(probe, client).await;
    let name = format!("{PREFIX}{}_{:04x}", now_ms(), std::process::id() & 0xffff);
    probe.say(&format!("Restoring {} into the temporary database {name}.", backup.shown));
    if let Err(exit) = client.query(&format!("create database {} template template0", ident(&name))).await {
        // It may have been created although the response was lost.
        client.drop_database(&name).await;
        let saw = format!("the temporary database could not be created ({exit})");
        return unknown(
            wanted,
            saw,
            "Give the database user the right to create databases. See the run's log for details.",
        );
    }
    let found = rehearse(spec, client, &backup, &name, wanted).await;
    let dropped = client.drop_database(&name).await;
    if dropped.is_success() {
        probe.say(&format!("Dropped {name}."));
        return found;
    }
    unknown(
        wanted,
        format!("{}; then {name} could not be dropped ({dropped})", found.saw),
        format!("Drop the database {name} manually, then run the check again."),
    )
}

async fn rehearse(
    spec: &DatabaseSpec,
    client: &Client<'_>,
    backup: &backup::Backup,
    name: &str,
    wanted: &str,
) -> Finding {
    let shown = &backup.shown;
    match client.restore(&backup.path, backup.form, name).await {
        Exit::Code(0) => {}
        Exit::Code(code) if code < 125 => {
            let saw = format!("{shown}: the restore failed (exit code {code})");
            return failed(wanted, saw, "Read the run's log, fix the cause, and make a new backup.");
        }
        other => {
            return unknown(
                wanted,
                format!("{shown}: the restore did not finish ({other})"),
                "Run the check again.",
            );
        }
    }
    let restored = Tables::of(client, name).await;
    let source = Tables::of(client, &client.database).await;
    match (restored, source) {
        (Ok(restored), Ok(source)) => compare(spec.exact, wanted, shown, &restored, &source),
        (Err(exit), _) | (_, Err(exit)) => {
            unknown(wanted, format!("the tables could not be compared ({exit})"), super::STACK_NEXT)
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    columns: String,
    rows: u64,
    /// Checksum that does not depend on the order of the rows.
    sum: String,
}

#[derive(Debug)]
struct Tables(BTreeMap<String, Table>);

impl Tables {
    async fn of(client: &Client<'_>, database: &str) -> Result<Tables, Exit> {
        let listed = client
            .query_in(
                database,
                "select quote_ident(n.nspname) || '.' || quote_ident(c.relname), \
                 coalesce(string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', ' \
                 order by a.attname), '') \
                 from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                 left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
                 where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_' \
                 and n.nspname <> 'information_schema' group by 1",
            )
            .await?;
        let mut tables = BTreeMap::new();
        for row in listed {
            let [name, columns] = row.as_slice() else { continue };
            let sql = format!(
                "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {name} t"
            );
            let counted = client.query_in(database, &sql).await?;
            let cell = |at: usize| counted.first().and_then(|row| row.get(at)).cloned().unwrap_or_default();
            let Ok(rows) = cell(0).parse() else { return Err(Exit::Code(0)) };
            tables.insert(name.clone(), Table { columns: columns.clone(), rows, sum: cell(1) });
        }
        Ok(Tables(tables))
    }
}

fn compare(exact: bool, wanted: &str, shown: &str, restored: &Tables, source: &Tables) -> Finding {
    let (restored, source) = (&restored.0, &source.0);
    let next = "Make a new backup of this database, then run the check again.";
    let missing: Vec<&String> = source.keys().filter(|name| !restored.contains_key(*name)).collect();
    let extra: Vec<&String> = restored.keys().filter(|name| !source.contains_key(*name)).collect();
    if !missing.is_empty() || !extra.is_empty() {
        let mut saw = vec![];
        if !missing.is_empty() {
            saw.push(format!("missing tables: {}", names(missing)));
        }
        if !extra.is_empty() {
            saw.push(format!("tables that the source does not have: {}", names(extra)));
        }
        return failed(wanted, format!("{shown}: {}", saw.join("; ")), next);
    }
    let both = || source.iter().filter_map(|(name, s)| Some((name, s, restored.get(name)?)));
    let other: Vec<&String> = both().filter(|(_, s, r)| s.columns != r.columns).map(|(n, ..)| n).collect();
    if !other.is_empty() {
        return failed(wanted, format!("{shown}: columns differ in {}", names(other)), next);
    }
    let empty: Vec<&String> = both().filter(|(_, s, r)| s.rows > 0 && r.rows == 0).map(|(n, ..)| n).collect();
    if !empty.is_empty() {
        return failed(wanted, format!("{shown}: restored without rows: {}", names(empty)), next);
    }
    let differ: Vec<String> = both()
        .filter(|(_, s, r)| (s.rows, &s.sum) != (r.rows, &r.sum))
        .map(|(name, s, r)| format!("{name} ({} of {} rows)", r.rows, s.rows))
        .collect();
    if exact && !differ.is_empty() {
        return failed(wanted, format!("{shown}: rows differ: {}", names(differ)), next);
    }
    let rows: u64 = restored.values().map(|t| t.rows).sum();
    if rows == 0 {
        return unknown(
            wanted,
            format!("{shown}: no rows to compare, neither in the backup nor in the source"),
            "Seed the database first.",
        );
    }
    let since = if differ.is_empty() {
        "every row equals the source".to_owned()
    } else {
        format!("source changed since in {}", names(differ))
    };
    let saw = format!(
        "{shown}: {} with {rows} rows restored, {since}",
        count_of(restored.len(), "table", "tables")
    );
    with_value(passed(wanted, saw), rows as f64)
}

/// Rejects a dump that would leave the temporary database: restoring it would write elsewhere.
async fn leaves(probe: &Probe<'_>, backup: &backup::Backup, wanted: &str) -> Option<Finding> {
    let read = match backup.form.compression {
        Compression::Gzip => "gzip -dc -- \"$1\"",
        Compression::None => "cat -- \"$1\"",
    };
    // Everything is read, so that the writer is not interrupted; exit code 1 means that nothing was found.
    let script = format!("set -o pipefail; {read} | grep -caE \"$2\"");
    let mut cmd = Cmd::new(["bash", "-c", &script, "bash", &backup.path.to_string_lossy(), LEAVES]);
    cmd.clear = true;
    cmd.timeout = Some(probe.left());
    let (exit, count) = probe.session.capture(cmd, 64).await;
    let count = String::from_utf8_lossy(&count).trim().to_owned();
    match exit {
        Exit::Code(1) if count == "0" => None,
        Exit::Code(0) => Some(unknown(
            wanted,
            format!("{}: not restored, because it names a database or contains psql commands", backup.shown),
            "Make the backup of a single database, without --create.",
        )),
        other => Some(unknown(
            wanted,
            format!("{} could not be read ({other})", backup.shown),
            "Run the check again.",
        )),
    }
}

/// Drops temporary databases that an aborted test left.
async fn sweep(probe: &Probe<'_>, client: &Client<'_>) {
    let sql = format!(
        "select datname from pg_database d where datname like '{PREFIX}%' \
         and not exists (select from pg_stat_activity a where a.datname = d.datname)"
    );
    for row in client.query(&sql).await.unwrap_or_default() {
        let Some(name) = row.first() else { continue };
        let made = name.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next()?.parse::<u64>().ok());
        if made.is_some_and(|made| now_ms().saturating_sub(made) > LEFT_BEHIND_MS) {
            let exit = client.drop_database(name).await;
            probe.say(&format!("Dropped {name}, left by an earlier restore test ({exit})."));
        }
    }
}
