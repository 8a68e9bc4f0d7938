//! Checking the chain from its first row to its last, one row at a time in memory.

use domain::time::Millis;
use futures::TryStreamExt as _;
use sqlx::SqlitePool;

use super::{Event, GENESIS, Outcome, event};
use crate::store::StoreError;

/// The last row of a chain: whoever keeps one elsewhere can tell later that nothing before it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 for an empty log.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
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

/// Checks the whole chain, and that it is as long as it once was.
pub async fn verify(db: &SqlitePool) -> Result<VerifyReport, VerifyError> {
    walk(db, None).await
}

/// Checks the whole chain, and that it still contains `witness`, a head that was kept elsewhere. This also
/// tells a chain that was written anew.
pub async fn verify_against(db: &SqlitePool, witness: &Head) -> Result<VerifyReport, VerifyError> {
    walk(db, Some(witness)).await
}

async fn walk(db: &SqlitePool, witness: Option<&Head>) -> Result<VerifyReport, VerifyError> {
    // One read transaction, so that the counter and the rows are of the same moment.
    let mut tx = db.begin().await?;
    let highest = sqlx::query_scalar!(
        r#"SELECT coalesce(max(seq), 0) AS "seq!: i64" FROM sqlite_sequence WHERE name = 'audit_event'"#
    )
    .fetch_one(&mut *tx)
    .await?;
    let mut head = Head { seq: 0, hash: GENESIS.to_owned() };
    {
        let mut rows = sqlx::query!(
            r#"SELECT seq AS "seq!: i64", at, actor, actor_name, act, subject, release, run, intent,
                      outcome, detail, prev_hash, hash
               FROM audit_event ORDER BY seq"#
        )
        .fetch(&mut *tx);
        while let Some(r) = rows.try_next().await? {
            let seq = head.seq + 1;
            if r.seq != seq {
                return Err(broken(seq, "it is missing"));
            }
            if r.prev_hash != head.hash {
                return Err(broken(seq, "it does not follow the event before it"));
            }
            let event = Event {
                at: Millis(r.at),
                actor: r.actor,
                actor_name: r.actor_name,
                act: r.act,
                subject: r.subject,
                release: r.release,
                run: r.run,
                intent: r.intent,
                outcome: Outcome::from_slug(&r.outcome).map_err(|_| broken(seq, "its outcome is unknown"))?,
                detail: r.detail,
            };
            if r.hash != event::hash(seq, &event, &head.hash) {
                return Err(broken(seq, "its content does not match its hash"));
            }
            head = Head { seq, hash: r.hash };
            if witness.is_some_and(|w| w.seq == head.seq && w.hash != head.hash) {
                return Err(broken(seq, "it is not the event that was witnessed"));
            }
        }
    }
    if head.seq < highest {
        return Err(broken(head.seq + 1, "it and those after it are missing"));
    }
    if let Some(witness) = witness.filter(|w| w.seq > head.seq) {
        return Err(broken(head.seq + 1, &format!("event {} was witnessed", witness.seq)));
    }
    Ok(VerifyReport { events: u64::try_from(head.seq).unwrap_or(0), head })
}
