//! Reading events of the log.

use domain::time::Millis;
use sqlx::SqliteExecutor;

use super::{Event, Outcome, Row};
use crate::StoreError;

/// Filter for events; `None` means any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// By this person.
    pub actor: Option<i64>,
    /// This action; with a trailing `.` all actions with this prefix: `deploy.`.
    pub act: Option<&'a str>,
    /// On this release.
    pub release: Option<i64>,
    /// In this run.
    pub run: Option<i64>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// Older than the event with this `seq`, the last one of the previous page.
    pub before: Option<i64>,
}

/// Events, newest first, at most `limit`. For the next page, set `before` to the last row's `seq`.
pub async fn list(
    db: impl SqliteExecutor<'_>,
    filter: Filter<'_>,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let outcome = filter.outcome.map(Outcome::slug);
    let rows = sqlx::query_as!(
        Stored,
        r#"SELECT seq AS "seq!: i64", at, actor, actor_name, act, subject, release, run, intent, outcome,
                  detail, prev_hash, hash, rows_digest
           FROM audit_event
           WHERE (?1 IS NULL OR actor = ?1)
             AND (?2 IS NULL OR act = ?2 OR (?2 LIKE '%.' AND substr(act, 1, length(?2)) = ?2))
             AND (?3 IS NULL OR release = ?3) AND (?4 IS NULL OR run = ?4)
             AND (?5 IS NULL OR outcome = ?5) AND (?6 IS NULL OR seq < ?6)
           ORDER BY seq DESC LIMIT ?7"#,
        filter.actor,
        filter.act,
        filter.release,
        filter.run,
        outcome,
        filter.before,
        limit
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Stored::read).collect()
}

/// The event with this `seq`.
pub(super) async fn one(db: impl SqliteExecutor<'_>, seq: i64) -> Result<Option<Row>, StoreError> {
    let row = sqlx::query_as!(
        Stored,
        r#"SELECT seq AS "seq!: i64", at, actor, actor_name, act, subject, release, run, intent, outcome,
                  detail, prev_hash, hash, rows_digest
           FROM audit_event WHERE seq = ?"#,
        seq
    )
    .fetch_optional(db)
    .await?;
    row.map(Stored::read).transpose()
}

/// Events after `seq`, oldest first, at most `limit`, as stored in the table.
pub(super) async fn after(
    db: impl SqliteExecutor<'_>,
    seq: i64,
    limit: i64,
) -> Result<Vec<Stored>, StoreError> {
    Ok(sqlx::query_as!(
        Stored,
        r#"SELECT seq AS "seq!: i64", at, actor, actor_name, act, subject, release, run, intent, outcome,
                  detail, prev_hash, hash, rows_digest
           FROM audit_event WHERE seq > ? ORDER BY seq LIMIT ?"#,
        seq,
        limit
    )
    .fetch_all(db)
    .await?)
}

/// The events whose `seq` is in the JSON list `seqs`.
pub(super) async fn these(db: impl SqliteExecutor<'_>, seqs: &str) -> Result<Vec<Stored>, StoreError> {
    Ok(sqlx::query_as!(
        Stored,
        r#"SELECT seq AS "seq!: i64", at, actor, actor_name, act, subject, release, run, intent, outcome,
                  detail, prev_hash, hash, rows_digest
           FROM audit_event WHERE seq IN (SELECT value FROM json_each(?))"#,
        seqs
    )
    .fetch_all(db)
    .await?)
}

/// A row of the table.
pub(super) struct Stored {
    pub seq: i64,
    at: i64,
    actor: Option<i64>,
    actor_name: String,
    act: String,
    subject: String,
    release: Option<i64>,
    run: Option<i64>,
    intent: Option<i64>,
    outcome: String,
    detail: String,
    prev_hash: String,
    hash: String,
    rows_digest: String,
}

impl Stored {
    pub(super) fn read(self) -> Result<Row, StoreError> {
        Ok(Row {
            seq: self.seq,
            event: Event {
                at: Millis(self.at),
                actor: self.actor,
                actor_name: self.actor_name,
                act: self.act,
                subject: self.subject,
                release: self.release,
                run: self.run,
                intent: self.intent,
                outcome: Outcome::from_slug(&self.outcome)?,
                detail: self.detail,
            },
            prev_hash: self.prev_hash,
            rows_digest: self.rows_digest,
            hash: self.hash,
        })
    }
}
