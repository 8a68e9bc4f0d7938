//! Comparing rows with the digests in the audit log: the rows that a judgement depends on, or all rows.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqlitePool};

use super::event::{self, Row};
use super::rows::{TABLES, Table, Vouched, digest_of, vouched};
use super::schema::SCHEMA;
use super::{Broken, VerifyError};
use crate::StoreError;

/// Maximum number of faults that are listed.
pub(super) const NAMED: usize = 20;
/// Rows read at once by a full comparison.
const BATCH: i64 = 500;
/// Events read at once: each may cover hundreds of rows.
const EVENTS: usize = 20;
/// Number of newest rows of each table that [`recent`] compares.
const NEWEST: i64 = 100;
/// Number of newest rows of each scope that [`recent`] compares.
pub const OF_A_SCOPE: i64 = 50;

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// It was inserted by a program other than Stagegate.
    Inserted,
    /// It differs from its digest in the log.
    Changed,
    /// It was deleted by a program other than Stagegate.
    Removed,
    /// It is computed from other rows and differs from the result of the computation.
    Derived,
}

/// A row that does not match the audit log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Its table; `schema` for a trigger, an index or a view.
    pub table: &'static str,
    /// Its id; in a table that is computed from others, the id of the release or event it is about; 0 for the
    /// schema.
    pub entry: i64,
    /// What is wrong.
    pub kind: FaultKind,
    /// The check that it is about, if its name includes one; for the schema, the object: `trigger evidence_added`.
    pub check: String,
}

impl Fault {
    /// The name of the row: `sign_off 3`; `evidence_group of release 2, check unit`.
    pub fn row(&self) -> String {
        let Fault { table, entry, kind, check } = self;
        match kind {
            _ if *table == SCHEMA => check.clone(),
            FaultKind::Derived if *table == "open_intent" => format!("{table} of event {entry}"),
            FaultKind::Derived if check.is_empty() => format!("{table} of release {entry}"),
            FaultKind::Derived => format!("{table} of release {entry}, check {check}"),
            _ => format!("{table} {entry}"),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.kind {
            FaultKind::Inserted => "was inserted outside of Stagegate",
            FaultKind::Changed => "was changed outside of Stagegate",
            FaultKind::Removed => "was deleted outside of Stagegate",
            FaultKind::Derived => {
                "was changed outside of Stagegate: it differs from the records it is computed from"
            }
        };
        write!(f, "{} {what}", self.row())
    }
}

/// The rows that a judgement depends on in addition to the newest of each table: (table, value of its scope).
pub type Scopes = BTreeSet<(&'static str, String)>;

/// Compares the newest rows of every table, all people, and the newest rows of each of `scopes`. Its cost depends on
/// `scopes`, not on the age of the store.
///
/// # Errors
/// Fails when the store cannot be read, or when an event that covers such a row was changed.
pub async fn recent(db: &SqlitePool, scopes: &Scopes) -> Result<Vec<Fault>, VerifyError> {
    let mut tx = db.begin().await?;
    let mut found = Found::default();
    for table in &TABLES {
        let limit = if table.name == "person" { -1 } else { NEWEST };
        let rows = sqlx::query(table.newest).bind(limit).fetch_all(&mut *tx).await?;
        let known = sqlx::query_as(
            "SELECT entry, seq, digest FROM audit_row WHERE kind = ? ORDER BY entry DESC, seq DESC LIMIT ?",
        )
        .bind(table.name)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        found.compare(&mut tx, table, &rows, known).await?;
    }
    for (name, scope) in scopes {
        let table = super::rows::table(name)?;
        if table.scope.is_none() {
            continue;
        }
        let rows = sqlx::query(table.scoped).bind(scope).bind(OF_A_SCOPE).fetch_all(&mut *tx).await?;
        let known = sqlx::query_as(
            "SELECT entry, seq, digest FROM audit_row WHERE kind = ? AND scope = ?
             ORDER BY entry DESC, seq DESC LIMIT ?",
        )
        .bind(table.name)
        .bind(scope)
        .bind(OF_A_SCOPE)
        .fetch_all(&mut *tx)
        .await?;
        found.compare(&mut tx, table, &rows, known).await?;
    }
    events_hold(&mut tx, &found.events).await?;
    Ok(found.faults.into_iter().take(NAMED).collect())
}

/// Compares the rows of one table with these ids.
///
/// # Errors
/// See [`recent`].
pub async fn these(db: &SqlitePool, table: &str, entries: &[i64]) -> Result<Vec<Fault>, VerifyError> {
    let table = super::rows::table(table)?;
    let mut tx = db.begin().await?;
    let mut found = Found::default();
    for entry in entries {
        let rows: Vec<SqliteRow> =
            sqlx::query(table.one).bind(entry).fetch_optional(&mut *tx).await?.into_iter().collect();
        found.compare(&mut tx, table, &rows, vec![]).await?;
    }
    events_hold(&mut tx, &found.events).await?;
    Ok(found.faults.into_iter().take(NAMED).collect())
}

/// Whether a row matches the log: its digest is the last one that the log has for it, and the event with the digest
/// was not changed.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn vouches_for(conn: &mut SqliteConnection, table: &str, entry: i64) -> Result<bool, StoreError> {
    let table = super::rows::table(table)?;
    let Some(row) = sqlx::query(table.one).bind(entry).fetch_optional(&mut *conn).await? else {
        return Ok(false);
    };
    let mut found = Found::default();
    let compared = found.compare(&mut *conn, table, &[row], vec![]).await;
    let held = match compared {
        Ok(()) if found.faults.is_empty() => events_hold(conn, &found.events).await,
        Ok(()) => return Ok(false),
        Err(error) => Err(error),
    };
    match held {
        Ok(()) => Ok(true),
        Err(VerifyError::Broken(_)) => Ok(false),
        Err(VerifyError::Store(error)) => Err(error),
    }
}

/// The result of a comparison so far.
#[derive(Default)]
struct Found {
    faults: BTreeSet<Fault>,
    /// The events that cover the rows.
    events: BTreeSet<i64>,
}

impl Found {
    /// Compares rows with known digests of some of them (entry, event, digest; the newest of an entry first), and
    /// reads the digests of the others.
    async fn compare(
        &mut self,
        conn: &mut SqliteConnection,
        table: &'static Table,
        rows: &[SqliteRow],
        known: Vec<(i64, i64, String)>,
    ) -> Result<(), VerifyError> {
        let mut there = BTreeMap::new();
        for row in rows {
            let row = vouched(table, row)?;
            there.insert(row.entry, row);
        }
        let mut last: BTreeMap<i64, (i64, String)> = BTreeMap::new();
        for (entry, seq, digest) in known {
            last.entry(entry).or_insert((seq, digest));
        }
        for entry in there.keys().chain(last.keys()).copied().collect::<BTreeSet<i64>>() {
            let digest = match last.remove(&entry) {
                Some(digest) => Some(digest),
                None => {
                    sqlx::query_as(
                        "SELECT seq, digest FROM audit_row WHERE kind = ? AND entry = ? ORDER BY seq DESC LIMIT 1",
                    )
                    .bind(table.name)
                    .bind(entry)
                    .fetch_optional(&mut *conn)
                    .await?
                }
            };
            let row = match there.remove(&entry) {
                Some(row) => Some(row),
                None => match sqlx::query(table.one).bind(entry).fetch_optional(&mut *conn).await? {
                    Some(row) => Some(vouched(table, &row)?),
                    None => None,
                },
            };
            self.faults.extend(fault(
                table,
                entry,
                row.as_ref(),
                digest.as_ref().map(|(_, digest)| digest.as_str()),
            ));
            self.events.extend(digest.map(|(seq, _)| seq));
        }
        Ok(())
    }
}

/// Whether events and the rows that they cover are unchanged; their positions in the chain are verified elsewhere.
async fn events_hold(conn: &mut SqliteConnection, events: &BTreeSet<i64>) -> Result<(), VerifyError> {
    let events: Vec<i64> = events.iter().copied().collect();
    for some in events.chunks(EVENTS) {
        these_hold(&mut *conn, some).await?;
    }
    Ok(())
}

async fn these_hold(conn: &mut SqliteConnection, events: &[i64]) -> Result<(), VerifyError> {
    let list = serde_json::json!(events).to_string();
    let mut rows: BTreeMap<i64, Vec<Vouched>> = BTreeMap::new();
    let vouched = sqlx::query!(
        r#"SELECT seq AS "seq!: i64", kind, entry AS "entry!: i64", scope, digest FROM audit_row
           WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq, kind, entry"#,
        list
    )
    .fetch_all(&mut *conn)
    .await?;
    for r in vouched {
        let row = Vouched { kind: r.kind, entry: r.entry, scope: r.scope, digest: r.digest };
        rows.entry(r.seq).or_default().push(row);
    }
    let mut missing: BTreeSet<i64> = events.iter().copied().collect();
    for stored in super::list::these(conn, &list).await? {
        let seq = stored.seq;
        missing.remove(&seq);
        let wrong = |why: &str| VerifyError::from(Broken { seq, why: why.to_owned() });
        let row = stored.read().map_err(|_| wrong("its outcome is unknown"))?;
        holds(&row, rows.get(&seq).map_or(&[], Vec::as_slice)).map_err(wrong)?;
    }
    match missing.first() {
        Some(seq) => Err(Broken { seq: *seq, why: "this event is missing".to_owned() }.into()),
        None => Ok(()),
    }
}

/// Whether an event of the log matches its hash and covers exactly `rows`.
pub(super) fn holds(row: &Row, rows: &[Vouched]) -> Result<(), &'static str> {
    if row.rows_digest != digest_of(rows) {
        return Err("the records it covers were changed");
    }
    if row.hash != event::hash(row.seq, &row.event, &row.prev_hash, &row.rows_digest) {
        return Err("its content does not match its hash");
    }
    Ok(())
}

fn fault(table: &Table, entry: i64, row: Option<&Vouched>, digest: Option<&str>) -> Option<Fault> {
    let kind = match (row, digest) {
        (None, None | Some("")) => None,
        (None, Some(_)) => table.stays.then_some(FaultKind::Removed),
        (Some(_), None | Some("")) => Some(FaultKind::Inserted),
        (Some(row), Some(digest)) => (row.digest != digest).then_some(FaultKind::Changed),
    };
    kind.map(|kind| Fault { table: table.name, entry, kind, check: String::new() })
}

/// Compares all rows of all tables in batches. Returns the number of rows and the first faults.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn all(db: &SqlitePool) -> Result<(u64, Vec<Fault>), StoreError> {
    up_to(NAMED, db).await
}

/// The same, with all faults.
///
/// # Errors
/// See [`all`].
pub async fn every_fault(db: &SqlitePool) -> Result<Vec<Fault>, StoreError> {
    Ok(up_to(usize::MAX, db).await?.1)
}

async fn up_to(most: usize, db: &SqlitePool) -> Result<(u64, Vec<Fault>), StoreError> {
    let mut faults = BTreeSet::new();
    let mut count = 0_u64;
    for table in &TABLES {
        let mut after = i64::MIN;
        while faults.len() < most {
            // Rows and their digests are read in the same transaction.
            let mut tx = db.begin().await?;
            let rows = sqlx::query(table.after).bind(after).bind(BATCH).fetch_all(&mut *tx).await?;
            let mut found = BTreeMap::new();
            for row in &rows {
                let row = vouched(table, row)?;
                found.insert(row.entry, row);
            }
            let full = i64::try_from(rows.len()).unwrap_or(BATCH) == BATCH;
            let end = match found.keys().next_back() {
                Some(last) if full => *last,
                _ => i64::MAX,
            };
            // If a row has several digests, the last one counts.
            let known: Vec<(i64, String)> = sqlx::query_as(
                "SELECT entry, digest FROM audit_row a WHERE kind = ?1 AND entry > ?2 AND entry <= ?3
                   AND digest <> '' AND seq = (SELECT max(seq) FROM audit_row b WHERE b.kind = ?1 AND b.entry = a.entry)
                 ORDER BY entry LIMIT 100000",
            )
            .bind(table.name)
            .bind(after)
            .bind(end)
            .fetch_all(&mut *tx)
            .await?;
            drop(tx);
            count += u64::try_from(found.len()).unwrap_or(0);
            let known: BTreeMap<i64, String> = known.into_iter().collect();
            for entry in found.keys().chain(known.keys()).copied().collect::<BTreeSet<i64>>() {
                let digest = known.get(&entry).map(String::as_str);
                faults.extend(fault(table, entry, found.get(&entry), digest));
            }
            if end == i64::MAX {
                break;
            }
            after = end;
            tokio::task::yield_now().await;
        }
    }
    Ok((count, faults.into_iter().take(most).collect()))
}
