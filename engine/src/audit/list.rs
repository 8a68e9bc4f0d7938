//! Reading the log for pages.

use domain::time::Millis;
use sqlx::SqliteExecutor;

use super::{Event, Outcome, Row};
use crate::store::StoreError;

/// Which events are wanted; `None` means any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// By this person.
    pub actor: Option<i64>,
    /// This act, or with a trailing `.` every act that begins so: `deploy.`.
    pub act: Option<&'a str>,
    /// On this release.
    pub release: Option<i64>,
    /// In this run.
    pub run: Option<i64>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// Older than the event with this `seq`; where the page before ended.
    pub before: Option<i64>,
}

/// Events, newest first, at most `limit`. The next page is asked for with `before` = the last row's `seq`.
pub async fn list(
    db: impl SqliteExecutor<'_>,
    filter: Filter<'_>,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let outcome = filter.outcome.map(Outcome::slug);
    let rows = sqlx::query!(
        r#"SELECT seq AS "seq!: i64", at, actor, actor_name, act, subject, release, run, intent, outcome,
                  detail, prev_hash, hash
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
    rows.into_iter()
        .map(|r| {
            Ok(Row {
                seq: r.seq,
                event: Event {
                    at: Millis(r.at),
                    actor: r.actor,
                    actor_name: r.actor_name,
                    act: r.act,
                    subject: r.subject,
                    release: r.release,
                    run: r.run,
                    intent: r.intent,
                    outcome: Outcome::from_slug(&r.outcome)?,
                    detail: r.detail,
                },
                prev_hash: r.prev_hash,
                hash: r.hash,
            })
        })
        .collect()
}
