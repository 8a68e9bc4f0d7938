//! The audit log: every action before and after it is executed, and every refusal, in a chain of hashes.
//!
//! Each row's hash covers its own fields and the hash of the row before it, so a row that was changed, deleted,
//! inserted or moved breaks the chain at that position. An event also contains the digests of the rows of other tables
//! that were written with it ([`recent`] and [`all_rows`] compare them). Tables that are computed from those are
//! compared with the rows they are computed from ([`recent_derived`], [`all_derived`]). A person who can write the file
//! can also write a whole new chain. To detect that, verification compares the chain with a [`Noted`] head that is kept
//! elsewhere. The row hashes can be used as leaves of a Merkle tree with signed heads later.

mod accept;
mod action;
mod check;
mod checkpoint;
mod derived;
mod event;
mod list;
mod pending_action;
pub mod rows;
mod schema;
mod verify;

pub use accept::{LONGEST_REASON, accept};
pub use action::AuditAction;
pub use check::vouches_for;
pub use check::{Fault, FaultKind, OF_A_SCOPE, Scopes, all as all_rows, every_fault, recent, these};
pub use checkpoint::{checkpoint, set_checkpoint};
pub use derived::{all as all_derived, recent as recent_derived};
pub use event::{Event, Outcome, Row, escape};
pub use list::{Filter, list};
pub use pending_action::{PendingAction, settle_orphans};
pub use verify::{
    Broken, Head, Noted, UnreadableHead, VerifyError, VerifyReport, verify, verify_against, verify_since,
};

use sqlx::SqliteConnection;

use crate::StoreError;

/// The previous hash of the first row.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Appends an event to the chain. Must run in a transaction of [`crate::Store::write`], which allows only one
/// writer at a time, so that two events can never follow the same row. The event covers the rows that its
/// transaction has written so far.
pub async fn append(conn: &mut SqliteConnection, event: &Event) -> Result<Row, StoreError> {
    let event = event.cleaned();
    let last = sqlx::query!(r#"SELECT seq AS "seq!", hash FROM audit_event ORDER BY seq DESC LIMIT 1"#)
        .fetch_optional(&mut *conn)
        .await?;
    let (seq, prev_hash) = match last {
        Some(last) => (last.seq + 1, last.hash),
        None => (1, GENESIS.to_owned()),
    };
    let vouched = rows::take_pending(&mut *conn).await?;
    let rows_digest = rows::digest_of(&vouched);
    let hash = event::hash(seq, &event, &prev_hash, &rows_digest);
    let outcome = event.outcome.slug();
    sqlx::query!(
        "INSERT INTO audit_event (seq, at, actor, actor_name, act, subject, release, run, intent, outcome,
                                  detail, prev_hash, hash, rows_digest)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        seq,
        event.at.0,
        event.actor,
        event.actor_name,
        event.act,
        event.subject,
        event.release,
        event.run,
        event.intent,
        outcome,
        event.detail,
        prev_hash,
        hash,
        rows_digest
    )
    .execute(&mut *conn)
    .await?;
    rows::store(conn, seq, &vouched).await?;
    Ok(Row { seq, event, prev_hash, rows_digest, hash })
}
