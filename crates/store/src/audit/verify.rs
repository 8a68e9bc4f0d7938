//! Verifying the chain in batches: from its first row, or from the last checkpoint.

use std::collections::VecDeque;
use std::str::FromStr;

use sqlx::{SqliteConnection, SqlitePool};

use super::rows::Vouched;
use super::{GENESIS, check, checkpoint, list};
use crate::StoreError;

/// Events read at once.
const BATCH: i64 = 1000;
/// Covered rows read at once.
const ROWS: i64 = 2000;

/// The last row of a chain. With a copy that is kept elsewhere, later changes of earlier events can be detected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its `seq`; 0 for an empty log.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

/// A head that was noted elsewhere: a hash, and the `seq` of its event if that was noted too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The event's `seq`.
    pub seq: Option<i64>,
    /// Its hash.
    pub hash: String,
}

impl From<Head> for Noted {
    fn from(head: Head) -> Noted {
        Noted { seq: Some(head.seq), hash: head.hash }
    }
}

/// The text is not a noted head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex digits, optionally preceded by the event number and a colon (4711:9f86…)")]
pub struct UnreadableHead;

impl FromStr for Noted {
    type Err = UnreadableHead;

    fn from_str(text: &str) -> Result<Noted, UnreadableHead> {
        let (seq, hash) = match text.trim().split_once(':') {
            Some((seq, hash)) => (Some(seq.parse().map_err(|_| UnreadableHead)?), hash),
            None => (None, text.trim()),
        };
        let hash = hash.to_ascii_lowercase();
        if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(UnreadableHead);
        }
        Ok(Noted { seq, hash })
    }
}

/// The result for a valid chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Number of events.
    pub events: u64,
    /// Its end.
    pub head: Head,
}

/// The position at which the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log is broken at event {seq}: {why}")]
pub struct Broken {
    /// The `seq` of the first event that is wrong or missing.
    pub seq: i64,
    /// The reason, one phrase.
    pub why: String,
}

/// The chain is broken, or could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerifyError {
    /// It is broken.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for VerifyError {
    fn from(error: sqlx::Error) -> VerifyError {
        StoreError::from(error).into()
    }
}

fn broken(seq: i64, why: &str) -> VerifyError {
    Broken { seq, why: why.to_owned() }.into()
}

/// Verifies the whole chain, including that it was not shortened and that it still contains the event of the last
/// checkpoint.
///
/// # Errors
/// Fails at the first event that is wrong or missing, and when the store cannot be read.
pub async fn verify(db: &SqlitePool) -> Result<VerifyReport, VerifyError> {
    let known = checkpoint(db).await?;
    let start = Head { seq: 0, hash: GENESIS.to_owned() };
    walk(db, start, known.map(Noted::from).as_slice()).await
}

/// Like [`verify`], and checks that the chain contains `noted`, a head that was kept elsewhere. This also detects an
/// end that was cut off without traces, and a rewritten chain.
///
/// # Errors
/// See [`verify`].
pub async fn verify_against(db: &SqlitePool, noted: &Noted) -> Result<VerifyReport, VerifyError> {
    let mut wanted: Vec<Noted> = checkpoint(db).await?.map(Noted::from).into_iter().collect();
    wanted.push(noted.clone());
    walk(db, Head { seq: 0, hash: GENESIS.to_owned() }, &wanted).await
}

/// Checks that `head`, up to which the chain was verified before, still exists, and verifies the chain from there on.
///
/// # Errors
/// See [`verify`].
pub async fn verify_since(db: &SqlitePool, head: &Head) -> Result<VerifyReport, VerifyError> {
    if head.seq > 0 {
        match list::one(db, head.seq).await? {
            None => return Err(broken(head.seq, "this event was verified before and is now missing")),
            Some(row) if row.hash != head.hash => {
                return Err(broken(head.seq, "this is not the event that was verified before"));
            }
            Some(_) => {}
        }
    }
    walk(db, head.clone(), &[]).await
}

/// The rows that events cover, in the order of the events, read in batches: one event may cover hundreds.
struct VouchedRows {
    /// The last one that was read: event, table, id.
    after: (i64, String, i64),
    /// `seq` of the last event to read rows for.
    last: i64,
    read: VecDeque<(i64, Vouched)>,
    is_all_read: bool,
}

impl VouchedRows {
    /// The rows of the events after `seq`, up to `last`.
    fn after(seq: i64, last: i64) -> VouchedRows {
        // No table has an empty name, so the first row comes after this.
        let after = (seq.saturating_add(1), String::new(), i64::MIN);
        VouchedRows { after, last, read: VecDeque::new(), is_all_read: false }
    }

    /// The rows of the events up to `seq` that were not returned before.
    async fn up_to(&mut self, conn: &mut SqliteConnection, seq: i64) -> Result<Vec<Vouched>, StoreError> {
        let mut rows = Vec::new();
        loop {
            while let Some((_, row)) = self.read.pop_front_if(|(of, _)| *of <= seq) {
                rows.push(row);
            }
            if self.is_all_read || !self.read.is_empty() {
                return Ok(rows);
            }
            let (event, kind, entry) = &self.after;
            let found = sqlx::query!(
                r#"SELECT seq AS "seq!: i64", kind, entry AS "entry!: i64", scope, digest FROM audit_row
                   WHERE (seq, kind, entry) > (?1, ?2, ?3) AND seq <= ?4 ORDER BY seq, kind, entry LIMIT ?5"#,
                event,
                kind,
                entry,
                self.last,
                ROWS
            )
            .fetch_all(&mut *conn)
            .await?;
            self.is_all_read = i64::try_from(found.len()).unwrap_or(ROWS) < ROWS;
            if let Some(last) = found.last() {
                self.after = (last.seq, last.kind.clone(), last.entry);
            }
            self.read.extend(found.into_iter().map(|r| {
                (r.seq, Vouched { kind: r.kind, entry: r.entry, scope: r.scope, digest: r.digest })
            }));
        }
    }
}

async fn walk(db: &SqlitePool, start: Head, wanted: &[Noted]) -> Result<VerifyReport, VerifyError> {
    let mut head = start;
    let mut found = vec![false; wanted.len()];
    let mut highest = 0;
    loop {
        // The counter, events and covered rows are read in one transaction; others can write between two batches.
        let mut tx = db.begin().await?;
        highest = highest.max(
            sqlx::query_scalar!(
                r#"SELECT coalesce(max(seq), 0) AS "seq!: i64" FROM sqlite_sequence WHERE name = 'audit_event'"#
            )
            .fetch_one(&mut *tx)
            .await?,
        );
        let events = list::after(&mut *tx, head.seq, BATCH).await?;
        let full = i64::try_from(events.len()).unwrap_or(BATCH) == BATCH;
        let last = events.last().filter(|_| full).map_or(i64::MAX, |e| e.seq);
        let mut vouched = VouchedRows::after(head.seq, last);
        for stored in events {
            let seq = head.seq + 1;
            if stored.seq != seq {
                return Err(broken(seq, "this event is missing"));
            }
            let row = stored.read().map_err(|_| broken(seq, "its outcome is unknown"))?;
            if row.prev_hash != head.hash {
                return Err(broken(seq, "this event does not follow the event before it"));
            }
            let rows = vouched.up_to(&mut tx, seq).await?;
            check::holds(&row, &rows).map_err(|why| broken(seq, why))?;
            head = Head { seq, hash: row.hash };
            for (noted, found) in wanted.iter().zip(found.iter_mut()) {
                if noted.seq == Some(head.seq) && noted.hash != head.hash {
                    return Err(broken(seq, "this event does not have the noted hash"));
                }
                *found |= noted.hash == head.hash;
            }
        }
        if !full {
            if !vouched.up_to(&mut tx, i64::MAX).await?.is_empty() {
                return Err(broken(head.seq + 1, "records are covered by an event that does not exist"));
            }
            break;
        }
        drop(tx);
        tokio::task::yield_now().await;
    }
    if head.seq < highest {
        return Err(broken(head.seq + 1, "this event and all later events are missing"));
    }
    for (noted, found) in wanted.iter().zip(found) {
        match noted.seq {
            Some(seq) if seq > head.seq => {
                return Err(broken(head.seq + 1, &format!("event {seq} was noted but is missing")));
            }
            None if !found => {
                let why = "the event with the noted hash is missing: the end of the log was cut or rewritten";
                return Err(broken(head.seq + 1, why));
            }
            _ => {}
        }
    }
    Ok(VerifyReport { events: u64::try_from(head.seq).unwrap_or(0), head })
}
