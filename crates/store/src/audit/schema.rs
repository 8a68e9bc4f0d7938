//! Comparing triggers, indexes and views with those of the migrations.
//!
//! Triggers fill the tables that judgements read, and unique indexes prevent duplicates. If one of them is missing,
//! stored rows do not differ at first, but rows that are stored later may be wrong.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tokio::sync::OnceCell;

use super::check::{Fault, FaultKind};
use crate::{MIGRATOR, StoreError};

/// Used instead of a table name in faults of the schema.
pub(super) const SCHEMA: &str = "schema";

/// Type and name of an object, and the SQL that makes it.
type Objects = BTreeMap<(String, String), String>;

/// The objects that the migrations create.
static EXPECTED: OnceCell<Objects> = OnceCell::const_new();

/// Triggers, indexes and views that are missing, that differ from those of the migrations, or that were added. An
/// added index or view does not change what is stored or read, and is not a fault.
///
/// # Errors
/// Fails when the store cannot be read.
pub(super) async fn faults(conn: &mut SqliteConnection) -> Result<BTreeSet<Fault>, StoreError> {
    let expected = expected().await?;
    let stored = objects(conn).await?;
    let missing = expected.keys().filter(|key| !stored.contains_key(*key));
    let added = stored.keys().filter(|key| key.0 == "trigger" && !expected.contains_key(*key));
    let changed = expected
        .iter()
        .filter(|(key, sql)| stored.get(*key).is_some_and(|found| plain(found) != plain(sql)))
        .map(|(key, _)| key);
    Ok(missing
        .map(|key| (key, FaultKind::Removed))
        .chain(added.map(|key| (key, FaultKind::Inserted)))
        .chain(changed.map(|key| (key, FaultKind::Changed)))
        .map(|((kind, name), what)| Fault {
            table: SCHEMA,
            entry: 0,
            kind: what,
            check: format!("{kind} {name}"),
        })
        .collect())
}

/// Restores the object that a fault names to that of the migrations, or drops it if the migrations do not create it.
pub(super) async fn put_right(conn: &mut SqliteConnection, fault: &Fault) -> Result<(), StoreError> {
    let Some((kind, name)) = fault.check.split_once(' ') else { return Ok(()) };
    let kind = match kind {
        "trigger" => "TRIGGER",
        "index" => "INDEX",
        "view" => "VIEW",
        _ => return Ok(()),
    };
    let drop = format!("DROP {kind} IF EXISTS \"{}\"", name.replace('"', "\"\""));
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *conn).await?;
    let key = (kind.to_lowercase(), name.to_owned());
    if let Some(sql) = expected().await?.get(&key) {
        sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut *conn).await?;
    }
    Ok(())
}

/// The objects that the migrations create in an empty database. SQLite rewrites the SQL of an object when a table is
/// renamed, so the SQL of the migrations cannot be compared directly.
async fn expected() -> Result<&'static Objects, StoreError> {
    EXPECTED
        .get_or_try_init(|| async {
            let mut conn = SqliteConnection::connect("sqlite::memory:").await?;
            for migration in MIGRATOR.iter() {
                sqlx::raw_sql(migration.sql.clone()).execute(&mut conn).await?;
            }
            objects(&mut conn).await
        })
        .await
}

async fn objects(conn: &mut SqliteConnection) -> Result<Objects, StoreError> {
    // An object without SQL is an index that SQLite creates for a constraint.
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'index', 'view') AND sql IS NOT NULL",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|(kind, name, sql)| ((kind, name), sql)).collect())
}

/// The SQL without characters that versions of SQLite write differently.
fn plain(sql: &str) -> String {
    sql.chars().filter(|c| !c.is_whitespace() && *c != '"').collect()
}
