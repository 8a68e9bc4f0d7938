//! What runs found for checks. Append-only.

use domain::evidence::{Evidence, Finding, Outcome};
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};

/// Adds evidence; its `id` is ignored, the store's is returned.
pub async fn add(conn: &mut SqliteConnection, evidence: &Evidence) -> Result<i64, StoreError> {
    let parts = json::write(&evidence.parts, "evidence.parts")?;
    let (finding, outcome) = (&evidence.finding, evidence.finding.outcome.slug());
    // A measured value that is no number cannot be stored as one, and says nothing.
    let value = finding.value.filter(|v| v.is_finite());
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO evidence (check_id, outcome, value, saw, wanted, next, threshold_digest, parts,
                                 release, run, by, at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        evidence.check,
        outcome,
        value,
        finding.saw,
        finding.wanted,
        finding.next,
        evidence.threshold_digest,
        parts,
        evidence.release,
        evidence.run,
        evidence.by,
        evidence.at.0
    )
    .fetch_one(conn)
    .await?)
}

/// What the rules need to judge a release: all evidence found on it, and the last `per_check` findings of
/// every check whatever they were found on. Oldest first.
pub async fn for_judging(
    db: impl SqliteExecutor<'_>,
    release: Option<i64>,
    per_check: i64,
) -> Result<Vec<Evidence>, StoreError> {
    select(db, Pick { judged: Some((release.unwrap_or(0), per_check)), ..Pick::default() }).await
}

/// The last findings of one check, newest first, at most `limit`.
pub async fn of_check(
    db: impl SqliteExecutor<'_>,
    check: &str,
    limit: i64,
) -> Result<Vec<Evidence>, StoreError> {
    let mut found = select(db, Pick { check: Some(check), limit: Some(limit), ..Pick::default() }).await?;
    found.reverse();
    Ok(found)
}

/// What a run found, oldest first.
pub async fn of_run(db: impl SqliteExecutor<'_>, run: i64) -> Result<Vec<Evidence>, StoreError> {
    select(db, Pick { run: Some(run), ..Pick::default() }).await
}

#[derive(Default)]
struct Pick<'a> {
    judged: Option<(i64, i64)>,
    check: Option<&'a str>,
    run: Option<i64>,
    limit: Option<i64>,
}

async fn select(db: impl SqliteExecutor<'_>, pick: Pick<'_>) -> Result<Vec<Evidence>, StoreError> {
    let (release, per_check) = pick.judged.unzip();
    let limit = pick.limit.unwrap_or(-1);
    let rows = sqlx::query!(
        r#"SELECT id AS "id!: i64", check_id AS "check_id!: String", outcome AS "outcome!: String",
                  value AS "value?: f64", saw AS "saw!: String", wanted AS "wanted!: String",
                  next AS "next!: String", threshold_digest AS "threshold_digest!: String",
                  parts AS "parts!: String", release AS "release!: i64", run AS "run!: i64",
                  by AS "by!: i64", at AS "at!: i64"
           FROM (SELECT * FROM evidence e
                 WHERE (?1 IS NULL OR check_id = ?1) AND (?2 IS NULL OR run = ?2)
                   AND (?3 IS NULL OR release = ?3 OR
                        (SELECT count(*) FROM (SELECT 1 FROM evidence l
                                               WHERE l.check_id = e.check_id AND l.id > e.id LIMIT ?4)) < ?4)
                 ORDER BY id DESC LIMIT ?5)
           ORDER BY id"#,
        pick.check,
        pick.run,
        release,
        per_check,
        limit
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            let outcome = [Outcome::Pass, Outcome::Fail, Outcome::Inconclusive]
                .into_iter()
                .find(|o| o.slug() == r.outcome)
                .ok_or(StoreError::Damaged { what: "evidence.outcome" })?;
            Ok(Evidence {
                id: r.id,
                check: r.check_id,
                finding: Finding { outcome, value: r.value, saw: r.saw, wanted: r.wanted, next: r.next },
                threshold_digest: r.threshold_digest,
                parts: json::read(&r.parts, "evidence.parts")?,
                release: r.release,
                run: r.run,
                by: r.by,
                at: Millis(r.at),
            })
        })
        .collect()
}
