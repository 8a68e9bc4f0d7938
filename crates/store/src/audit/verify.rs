//! Checking the chain, some events at a time: from its first row, or from the place where it was verified last.

use std::collections::VecDeque;
use std::str::FromStr;

use sqlx::{SqliteConnection, SqlitePool};

use super::rows::Vouched;
use super::{GENESIS, check, checkpoint, list};
use crate::StoreError;

/// Events read at once.
const BATCH: i64 = 1000;
/// Rows that events vouch for, read at once.
const ROWS: i64 = 2000;

/// The last row of a chain: whoever keeps one elsewhere can tell later that nothing before it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 for an empty log.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

/// A head that was noted elsewhere: a hash, and the number of its event where that was noted too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The event's number.
    pub seq: Option<i64>,
    /// Its hash.
    pub hash: String,
}

impl From<Head> for Noted {
    fn from(head: Head) -> Noted {
        Noted { seq: Some(head.seq), hash: head.hash }
    }
}

/// A text is no noted head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex digits, with or without the event's number and a colon before them (4711:9f86…)")]
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

/// A chain that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many events it has.
    pub events: u64,
    /// Its end.
    pub head: Head,
}

/// The place where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log is broken at event {seq}: {why}")]
pub struct Broken {
    /// The number of the first event that is wrong or missing.
    pub seq: i64,
    /// What is wrong, one phrase.
    pub why: String,
}

/// The chain does not hold, or could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VerifyError {
    /// It does not hold.
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

/// Checks the whole chain: that it is as long as it once was, and that it still contains the event up to which it
/// was verified last.
///
/// # Errors
/// Fails at the first event that is wrong or missing, and when the store cannot be read.
pub async fn verify(db: &SqlitePool) -> Result<VerifyReport, VerifyError> {
    let known = checkpoint(db).await?;
    let start = Head { seq: 0, hash: GENESIS.to_owned() };
    walk(db, start, known.map(Noted::from).as_slice()).await
}

/// [`verify`], and that the chain contains `noted`, a head that was kept elsewhere. This also tells a tail that was
/// cut with all its traces, and a chain that was written again.
///
/// # Errors
/// As [`verify`].
pub async fn verify_against(db: &SqlitePool, noted: &Noted) -> Result<VerifyReport, VerifyError> {
    let mut wanted: Vec<Noted> = checkpoint(db).await?.map(Noted::from).into_iter().collect();
    wanted.push(noted.clone());
    walk(db, Head { seq: 0, hash: GENESIS.to_owned() }, &wanted).await
}

/// Checks that `head`, where the chain was verified before, is still there, and the chain from there on.
///
/// # Errors
/// As [`verify`].
pub async fn verify_since(db: &SqlitePool, head: &Head) -> Result<VerifyReport, VerifyError> {
    if head.seq > 0 {
        match list::one(db, head.seq).await? {
            None => return Err(broken(head.seq, "it was verified before and is missing now")),
            Some(row) if row.hash != head.hash => {
                return Err(broken(head.seq, "it is not the event that was verified before"));
            }
            Some(_) => {}
        }
    }
    walk(db, head.clone(), &[]).await
}

/// The rows that events vouch for, in the order of the events, read some at a time: one event may vouch for hundreds.
struct VouchedRows {
    /// The last one that was read: event, table, number.
    after: (i64, String, i64),
    /// Number of the last event to read rows for.
    last: i64,
    read: VecDeque<(i64, Vouched)>,
    is_all_read: bool,
}

impl VouchedRows {
    /// Those of the events after one, up to another.
    fn after(seq: i64, last: i64) -> VouchedRows {
        // No table has an empty name, so the first one comes after this.
        let after = (seq.saturating_add(1), String::new(), i64::MIN);
        VouchedRows { after, last, read: VecDeque::new(), is_all_read: false }
    }

    /// Those of the events up to this one that were not given out before.
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
        // The counter, events and what they vouch for are of the same moment; between two reads others get their turn.
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
                return Err(broken(seq, "it is missing"));
            }
            let row = stored.read().map_err(|_| broken(seq, "its outcome is unknown"))?;
            if row.prev_hash != head.hash {
                return Err(broken(seq, "it does not follow the event before it"));
            }
            let rows = vouched.up_to(&mut tx, seq).await?;
            check::holds(&row, &rows).map_err(|why| broken(seq, why))?;
            head = Head { seq, hash: row.hash };
            for (noted, found) in wanted.iter().zip(found.iter_mut()) {
                if noted.seq == Some(head.seq) && noted.hash != head.hash {
                    return Err(broken(seq, "it is not the event that was noted"));
                }
                *found |= noted.hash == head.hash;
            }
        }
        if !full {
            if !vouched.up_to(&mut tx, i64::MAX).await?.is_empty() {
                return Err(broken(head.seq + 1, "rows are vouched for by an event that does not exist"));
            }
            break;
        }
        drop(tx);
        tokio::task::yield_now().await;
    }
    if head.seq < highest {
        return Err(broken(head.seq + 1, "it and those after it are missing"));
    }
    for (noted, found) in wanted.iter().zip(found) {
        match noted.seq {
            Some(seq) if seq > head.seq => {
                return Err(broken(head.seq + 1, &format!("event {seq} was noted and is missing")));
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
