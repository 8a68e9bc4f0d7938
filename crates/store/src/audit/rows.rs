//! The digests of rows in audit events, which show rows that were written outside of Stagegate.
//!
//! Triggers that exist only on the writer's connection record which rows its jobs write. The next event
//! in the same transaction contains their digests; rows without such an event get their own event
//! when the job ends. Other programs that write to the file do not fire these triggers, so their rows have no
//! digest in the log, or a different one.

use domain::digest::digest_fields;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Row as _, SqliteConnection, TypeInfo as _, ValueRef as _};

use super::{AuditAction, Event, Outcome, append};
use crate::StoreError;
use system::clock::now;

/// Maximum number of rows per event where the number can be chosen, so that comparing a few rows reads only few.
pub const PER_EVENT: i64 = 500;

/// A table whose rows are covered by the log.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name.
    pub name: &'static str,
    /// The column by which its rows are selected together.
    pub scope: Option<&'static str>,
    /// The row with an id.
    pub one: &'static str,
    /// The newest rows, up to a limit.
    pub newest: &'static str,
    /// The newest rows of one scope; empty without one.
    pub scoped: &'static str,
    /// Rows after an id, in order.
    pub after: &'static str,
    /// Whether a deleted row is a fault. It is not for rows that are only needed until they are used.
    pub stays: bool,
}

macro_rules! table {
    ($name:literal) => {
        table!($name, concat!("SELECT * FROM ", $name), "1", None, "")
    };
    ($name:literal by $scope:literal) => {
        table!(
            $name,
            concat!("SELECT * FROM ", $name),
            "1",
            Some($scope),
            concat!("SELECT * FROM ", $name, " WHERE ", $scope, " = ?1 ORDER BY id DESC LIMIT ?2")
        )
    };
    ($name:literal, $select:expr, $only:literal, $scope:expr, $scoped:expr) => {
        Table {
            name: $name,
            scope: $scope,
            one: concat!($select, " WHERE id = ?1"),
            newest: concat!($select, " WHERE ", $only, " ORDER BY id DESC LIMIT ?1"),
            scoped: $scoped,
            after: concat!($select, " WHERE ", $only, " AND id > ?1 ORDER BY id LIMIT ?2"),
            stays: true,
        }
    };
}

/// The table of one-time links.
const LINK: &str = "link";

/// All tables that a judgement depends on, and one-time links, which give access to accounts.
pub(super) static TABLES: [Table; 16] = [
    // The password's hash and the roles are part of a person. Id 0 is the scheduler, which is not a person.
    table!(
        "person",
        "SELECT *, (SELECT group_concat(role) FROM (SELECT role FROM person_role WHERE person = person.id \
         ORDER BY role)) AS roles FROM person",
        "id <> 0",
        None,
        ""
    ),
    table!("release"),
    table!("release_event" by "release"),
    table!("run"),
    table!("evidence" by "check_id"),
    table!("attestation" by "item"),
    table!("waiver" by "item"),
    table!("acceptance" by "release"),
    table!("sign_off" by "release"),
    table!("decision" by "release"),
    table!("migration_list" by "release"),
    table!("ownership_entry" by "field"),
    table!("incident"),
    table!("incident_note" by "incident"),
    table!("change" by "key"),
    Table { stays: false, ..table!("link") },
];

/// The table with this name.
pub(super) fn table(name: &str) -> Result<&'static Table, StoreError> {
    TABLES.iter().find(|t| t.name == name).ok_or(StoreError::Damaged { what: "audit_row.kind" })
}

/// A row as covered by the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vouched {
    /// Its table.
    pub kind: String,
    /// Its id.
    pub entry: i64,
    /// Value of the table's scope.
    pub scope: String,
    /// Digest of its content; empty if Stagegate deleted it.
    pub digest: String,
}

/// Digest of the rows that an event covers; empty without rows. `rows` are sorted by table and id.
pub(super) fn digest_of(rows: &[Vouched]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let fields =
        rows.iter().flat_map(|r| [r.kind.clone(), r.entry.to_string(), r.scope.clone(), r.digest.clone()]);
    digest_fields(std::iter::once("stagegate-rows-1".to_owned()).chain(fields))
}

/// The row as the log covers it: with a digest over its named fields. Empty fields are left out, so that a column
/// that is added later does not change the digest of rows in which it is empty.
pub(super) fn vouched(table: &Table, row: &SqliteRow) -> Result<Vouched, StoreError> {
    let mut entry = 0;
    let mut scope = String::new();
    let mut fields = Vec::new();
    for column in row.columns() {
        let (name, at) = (column.name(), column.ordinal());
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            continue;
        }
        let kind = raw.type_info().name().to_owned();
        let value = match kind.as_str() {
            "INTEGER" => {
                let number: i64 = row.try_get_unchecked(at)?;
                if name == "id" {
                    entry = number;
                }
                format!("i{number}")
            }
            // As bits, because a printed number may be rounded.
            "REAL" => format!("r{:016x}", row.try_get_unchecked::<f64, _>(at)?.to_bits()),
            _ => format!("t{}", row.try_get_unchecked::<String, _>(at)?),
        };
        let Some(text) = value.get(1..).filter(|text| !text.is_empty()) else { continue };
        if table.scope == Some(name) {
            text.clone_into(&mut scope);
        }
        fields.push((name.to_owned(), value));
    }
    fields.sort();
    let head = ["stagegate-row-1".to_owned(), table.name.to_owned()];
    let digest = digest_fields(head.into_iter().chain(fields.into_iter().flat_map(|(n, v)| [n, v])));
    Ok(Vouched { kind: table.name.to_owned(), entry, scope, digest })
}

/// Prepares the writer's connection: from now on it records the rows that it writes.
pub(crate) async fn prepare(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut sql = String::from(
        "CREATE TEMP TABLE IF NOT EXISTS unvouched (kind TEXT NOT NULL, entry INTEGER NOT NULL,
                                                    PRIMARY KEY (kind, entry)) WITHOUT ROWID;",
    );
    let mut on = |kind: &str, table: &str, change: &str, when: &str, row: &str| {
        sql.push_str(&format!(
            "CREATE TEMP TRIGGER IF NOT EXISTS vouch_{table}_{change} AFTER {change} ON main.{table} {when}
             BEGIN INSERT OR IGNORE INTO unvouched VALUES ('{kind}', {row}); END;"
        ));
    };
    for table in &TABLES {
        on(table.name, table.name, "INSERT", "", "NEW.id");
        on(table.name, table.name, "UPDATE", "", "NEW.id");
        // Used and expired links are deleted in bulk; they have no effect any more.
        let usable =
            "WHEN OLD.used_at IS NULL AND OLD.withdrawn_at IS NULL AND OLD.expires_at > unixepoch() * 1000";
        on(table.name, table.name, "DELETE", if table.name == LINK { usable } else { "" }, "OLD.id");
    }
    on("person", "person_role", "INSERT", "", "NEW.person");
    on("person", "person_role", "UPDATE", "", "NEW.person");
    on("person", "person_role", "DELETE", "", "OLD.person");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}

/// Takes the rows written since the last event of this transaction, sorted by table and id.
pub(super) async fn take_pending(conn: &mut SqliteConnection) -> Result<Vec<Vouched>, StoreError> {
    let pending: Vec<(String, i64)> =
        sqlx::query_as("SELECT kind, entry FROM unvouched ORDER BY kind, entry")
            .fetch_all(&mut *conn)
            .await?;
    if pending.is_empty() {
        return Ok(vec![]);
    }
    let mut rows = Vec::with_capacity(pending.len());
    for (kind, entry) in pending {
        let table = table(&kind)?;
        rows.push(match sqlx::query(table.one).bind(entry).fetch_optional(&mut *conn).await? {
            Some(row) => vouched(table, &row)?,
            None => {
                let scope: Option<String> = sqlx::query_scalar(
                    "SELECT scope FROM audit_row WHERE kind = ? AND entry = ? ORDER BY seq DESC LIMIT 1",
                )
                .bind(&kind)
                .bind(entry)
                .fetch_optional(&mut *conn)
                .await?;
                Vouched { kind, entry, scope: scope.unwrap_or_default(), digest: String::new() }
            }
        });
    }
    sqlx::query("DELETE FROM unvouched").execute(conn).await?;
    Ok(rows)
}

/// Stores the rows that the event `seq` covers.
pub(super) async fn store(conn: &mut SqliteConnection, seq: i64, rows: &[Vouched]) -> Result<(), StoreError> {
    for row in rows {
        sqlx::query!(
            "INSERT INTO audit_row (kind, entry, seq, scope, digest) VALUES (?, ?, ?, ?, ?)",
            row.kind,
            row.entry,
            seq,
            row.scope,
            row.digest
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Ends a job of the writer: rows that are not covered by one of its events get their own event.
pub(crate) async fn seal(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let pending: Vec<(String, i64)> =
        sqlx::query_as("SELECT kind, count(*) FROM unvouched GROUP BY kind ORDER BY kind")
            .fetch_all(&mut *conn)
            .await?;
    if pending.is_empty() {
        return Ok(());
    }
    let what: Vec<String> = pending.iter().map(|(kind, n)| format!("{kind} ({n})")).collect();
    let event = Event::new(now(), None, AuditAction::RecordsWrite, what.join(", ")).outcome(Outcome::Done);
    append(conn, &event).await.map(|_| ())
}

/// Adds the rows of a database of an earlier version, without row digests, to the log. This happens once per table,
/// when the first version with row digests opens it; afterwards a row without a digest was not written by Stagegate.
pub(crate) async fn adopt(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    use sqlx::Connection as _;
    let begun: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM audit_row) OR EXISTS (SELECT 1 FROM audit_event WHERE rows_digest <> '')",
    )
    .fetch_one(&mut *conn)
    .await?;
    if begun && !lacks_links(&mut *conn).await? && !lacks_running_runs(&mut *conn).await? {
        return Ok(());
    }
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    if !begun {
        for table in TABLES.iter().filter(|table| table.name != LINK) {
            adopt_table(&mut tx, table).await?;
        }
    }
    if lacks_links(&mut tx).await? && adopt_table(&mut tx, table(LINK)?).await? == 0 {
        // That there were none is recorded too, so that a link that appears later is not taken for an old one.
        let event =
            Event::new(now(), None, AuditAction::RecordsAdopt, LINK).outcome(Outcome::Done).detail("no rows");
        append(&mut tx, &event).await?;
    }
    if lacks_running_runs(&mut tx).await? {
        let runs: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM run r WHERE state = 'running'
               AND NOT EXISTS (SELECT 1 FROM audit_row a WHERE a.kind = 'run' AND a.entry = r.id) ORDER BY id",
        )
        .fetch_all(&mut *tx)
        .await?;
        for run in &runs {
            note(&mut tx, "run", *run).await?;
        }
        let event = Event::new(now(), None, AuditAction::RecordsAdopt, RUNNING_RUNS).outcome(Outcome::Done);
        let count = if runs.len() == 1 { "1 row".to_owned() } else { format!("{} rows", runs.len()) };
        append(&mut tx, &event.detail(count)).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The runs that were in progress at the upgrade to the first version that covers runs from their start.
const RUNNING_RUNS: &str = "running runs";

/// Whether the log is older than the version that covers links. A log without events is new.
async fn lacks_links(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM audit_event) AND NOT EXISTS (SELECT 1 FROM audit_row WHERE kind = ?1)
           AND NOT EXISTS (SELECT 1 FROM audit_event WHERE act = ?2 AND subject = ?1)",
    )
    .bind(LINK)
    .bind(AuditAction::RecordsAdopt.name())
    .fetch_one(conn)
    .await?)
}

/// Whether the log is older than the version that covers runs from their start.
async fn lacks_running_runs(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM audit_event) AND NOT EXISTS (SELECT 1 FROM audit_event WHERE act = ?1)
           AND NOT EXISTS (SELECT 1 FROM audit_event WHERE act = ?2 AND subject = ?3)",
    )
    .bind(AuditAction::RunCreate.name())
    .bind(AuditAction::RecordsAdopt.name())
    .bind(RUNNING_RUNS)
    .fetch_one(conn)
    .await?)
}

/// Adds the current state of all rows of a table to the log, and returns how many there are.
async fn adopt_table(conn: &mut SqliteConnection, table: &Table) -> Result<usize, StoreError> {
    let mut count = 0;
    let mut last = i64::MIN;
    loop {
        let ids = sqlx::query(table.after).bind(last).bind(PER_EVENT).fetch_all(&mut *conn).await?;
        let (Some(first), Some(end)) = (ids.first(), ids.last()) else { return Ok(count) };
        let (first, end): (i64, i64) = (first.try_get("id")?, end.try_get("id")?);
        for row in &ids {
            note(&mut *conn, table.name, row.try_get("id")?).await?;
        }
        let detail = format!("rows {first} to {end}, written before row digests were kept");
        let event = Event::new(now(), None, AuditAction::RecordsAdopt, table.name).outcome(Outcome::Done);
        append(&mut *conn, &event.detail(detail)).await?;
        count += ids.len();
        last = end;
    }
}

/// Makes the next event cover the current state of a row.
pub(super) async fn note(conn: &mut SqliteConnection, kind: &str, entry: i64) -> Result<(), StoreError> {
    sqlx::query("INSERT OR IGNORE INTO unvouched VALUES (?, ?)").bind(kind).bind(entry).execute(conn).await?;
    Ok(())
}
