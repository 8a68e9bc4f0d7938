//! Comparing tables that triggers fill with what they are computed from: somebody who changes a count there, and no
//! row that the log vouches for, would turn a red check green.
//!
//! Retention removes evidence of scheduled checks, but never a row that `evidence_group` names. So its three numbers
//! are exactly what the rows that are left give, before and after. Only the count of failures may be higher than these
//! rows give, and only once retention has removed evidence at all; lower it is never. Of `evidence_runner` the rows of
//! people are exact, since retention removes no evidence that a person collected; a row of the clock may stay behind.

use std::collections::BTreeSet;

use sqlx::{SqliteConnection, SqlitePool};

use super::check::{Fault, FaultKind, NAMED};
use crate::store::StoreError;

/// Newest releases whose standing [`recent`] looks at.
const NEWEST: i64 = 100;
/// Releases compared at once by [`all`].
const BATCH: i64 = 50;

/// The evidence of one release as the groups that its triggers make of it. The parts of evidence are long and there are
/// few different ones, so each is read once and stands for its rows by a number.
macro_rules! groups {
    () => {
        "WITH shapes AS MATERIALIZED (
           SELECT d.parts, iif(d.parts ->> '$.values.commit' = r.parts ->> '$.values.commit', 'commit ', '')
                  || iif(d.parts ->> '$.values.config' = r.parts ->> '$.values.config', 'config ', '')
                  || iif(d.parts ->> '$.values.env' = r.parts ->> '$.values.env', 'env ', '')
                  || iif(d.parts ->> '$.values.runbook' = r.parts ->> '$.values.runbook', 'runbook ', '') AS same,
                  coalesce(d.parts -> '$.images', '{}') AS images
           FROM (SELECT DISTINCT parts FROM evidence WHERE release = ?1) d JOIN release r ON r.id = ?1),
         keys AS MATERIALIZED (SELECT parts, dense_rank() OVER (ORDER BY same, images) AS k, same, images FROM shapes),
         keyed AS MATERIALIZED (
           SELECT e.id, e.check_id, e.threshold_digest AS digest, e.outcome <> 'pass' AS other, s.k
           FROM evidence e JOIN keys s ON s.parts = e.parts WHERE e.release = ?1),
         grouped AS MATERIALIZED (
           SELECT check_id, digest, k, sum(other) AS n, max(iif(other, NULL, id)) AS last_pass,
                  max(iif(other, id, NULL)) AS last_other
           FROM keyed GROUP BY check_id, digest, k),
         failing AS MATERIALIZED (
           SELECT g.check_id, g.digest, g.k, min(e.id) AS failing_from
           FROM keyed e JOIN grouped g ON g.check_id = e.check_id AND g.digest = e.digest AND g.k = e.k
           WHERE e.other AND e.id > coalesce(g.last_pass, 0) GROUP BY g.check_id, g.digest, g.k),
         expected AS MATERIALIZED (
           SELECT g.check_id, g.digest AS threshold_digest, s.same, s.images, g.n, g.last_pass, g.last_other, f.failing_from
           FROM grouped g JOIN (SELECT DISTINCT k, same, images FROM keys) s ON s.k = g.k
             LEFT JOIN failing f ON f.check_id = g.check_id AND f.digest = g.digest AND f.k = g.k)"
    };
}

/// Who collected evidence of which check of one release.
macro_rules! runners {
    () => {
        "WITH expected AS MATERIALIZED (
           SELECT check_id, by, min(run) AS run FROM evidence WHERE release = ?1 GROUP BY check_id, by)"
    };
}

/// Where one release stands, out of its events.
macro_rules! standing {
    () => {
        "WITH expected AS (
           SELECT r.id AS release,
                  coalesce((SELECT e.kind FROM release_event e WHERE e.release = r.id
                              AND e.kind NOT IN ('bad', 'rollback_point') ORDER BY e.id DESC LIMIT 1), 'opened') AS state,
                  (SELECT max(e.id) FROM release_event e WHERE e.release = r.id AND e.kind = 'deployed') AS deploy,
                  (SELECT e.at FROM release_event e WHERE e.release = r.id AND e.kind = 'deployed'
                   ORDER BY e.id DESC LIMIT 1) AS deployed_at,
                  (SELECT e.at FROM release_event e WHERE e.release = r.id AND e.kind = 'rollback_point'
                     AND NOT EXISTS (SELECT 1 FROM release_event b WHERE b.release = r.id AND b.kind = 'bad' AND b.id > e.id)
                   ORDER BY e.id DESC LIMIT 1) AS point_at,
                  EXISTS (SELECT 1 FROM release_event e WHERE e.release = r.id) AS begun
           FROM release r WHERE r.id = ?1)"
    };
}

/// Intents of the log without an outcome.
macro_rules! intents {
    () => {
        "WITH expected AS MATERIALIZED (
           SELECT i.seq FROM audit_event i
           WHERE i.outcome = 'intent' AND NOT EXISTS (SELECT 1 FROM audit_event o WHERE o.intent = i.seq))"
    };
}

/// Checks of a release whose groups are others than its evidence gives.
const GROUP_FAULTS: &str = concat!(
    groups!(),
    ", stored AS MATERIALIZED (SELECT * FROM evidence_group WHERE release = ?1)
     SELECT check_id FROM
       (SELECT check_id, threshold_digest, same, images, last_pass, last_other, failing_from FROM expected
        EXCEPT SELECT check_id, threshold_digest, same, images, last_pass, last_other, failing_from FROM stored)
     UNION SELECT check_id FROM
       (SELECT check_id, threshold_digest, same, images, last_pass, last_other, failing_from FROM stored
        EXCEPT SELECT check_id, threshold_digest, same, images, last_pass, last_other, failing_from FROM expected)
     UNION SELECT s.check_id FROM stored s JOIN expected x USING (check_id, threshold_digest, same, images)
       WHERE s.not_passed < x.n
          OR (s.not_passed > x.n AND NOT EXISTS (SELECT 1 FROM pruned WHERE kind = 'evidence'))
     ORDER BY 1"
);

/// Checks of a release whose runners are others than its evidence gives. The run is only shown: it must be one of
/// theirs.
const RUNNER_FAULTS: &str = concat!(
    runners!(),
    ", stored AS MATERIALIZED (SELECT check_id, by, run FROM evidence_runner WHERE release = ?1)
     SELECT check_id FROM (SELECT check_id, by FROM expected EXCEPT SELECT check_id, by FROM stored)
     UNION SELECT check_id FROM
       (SELECT check_id, by FROM stored
        WHERE by <> 0 OR NOT EXISTS (SELECT 1 FROM pruned WHERE kind = 'evidence')
        EXCEPT SELECT check_id, by FROM expected)
     UNION SELECT s.check_id FROM stored s
       WHERE s.by <> 0 AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.run = s.run AND e.release = ?1
                                       AND e.check_id = s.check_id AND e.by = s.by)
     ORDER BY 1"
);

/// One row when a release stands otherwise than its events say.
const STANDING_FAULTS: &str = concat!(
    standing!(),
    ", stored AS (SELECT release, state, deploy, deployed_at, point_at FROM release_standing WHERE release = ?1)
     SELECT '' FROM (SELECT release, state, deploy, deployed_at, point_at FROM expected WHERE begun
                     EXCEPT SELECT * FROM stored)
     UNION SELECT '' FROM (SELECT * FROM stored
                           EXCEPT SELECT release, state, deploy, deployed_at, point_at FROM expected)"
);

/// Events that are open intents and not listed as such, or listed and none.
const INTENT_FAULTS: &str = concat!(
    intents!(),
    " SELECT seq FROM (SELECT seq FROM expected EXCEPT SELECT seq FROM open_intent)
      UNION SELECT seq FROM (SELECT seq FROM open_intent EXCEPT SELECT seq FROM expected)
      ORDER BY seq LIMIT 100"
);

/// Compares what the judgement of `judged` rests on, and where `releases` and the newest ones stand. Its cost follows
/// the evidence of that one release and the number of `releases`, not the age of the store.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn recent(
    db: &SqlitePool,
    judged: Option<i64>,
    releases: &BTreeSet<i64>,
) -> Result<Vec<Fault>, StoreError> {
    let mut tx = db.begin().await?;
    let mut faults = BTreeSet::new();
    if let Some(release) = judged {
        evidence(&mut tx, release, &mut faults).await?;
    }
    let newest: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM (SELECT id FROM release ORDER BY id DESC LIMIT ?1)
         UNION SELECT release FROM (SELECT release FROM release_standing ORDER BY release DESC LIMIT ?1)",
    )
    .bind(NEWEST)
    .fetch_all(&mut *tx)
    .await?;
    for release in releases.iter().copied().chain(newest).collect::<BTreeSet<i64>>() {
        standing(&mut tx, release, &mut faults).await?;
    }
    Ok(faults.into_iter().take(NAMED).collect())
}

/// Compares every derived table with what it is computed from, some releases at a time.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn all(db: &SqlitePool) -> Result<Vec<Fault>, StoreError> {
    let mut faults = BTreeSet::new();
    let mut after = i64::MIN;
    loop {
        let mut tx = db.begin().await?;
        let releases: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM release WHERE id > ?1
             UNION SELECT release FROM release_standing WHERE release > ?1
             UNION SELECT release FROM evidence_group WHERE release > ?1
             UNION SELECT release FROM evidence_runner WHERE release > ?1
             ORDER BY 1 LIMIT ?2",
        )
        .bind(after)
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?;
        let Some(last) = releases.last().copied() else { break };
        drop(tx);
        for release in releases {
            // What is compared is of one moment; between two releases others get their turn.
            let mut tx = db.begin().await?;
            evidence(&mut tx, release, &mut faults).await?;
            standing(&mut tx, release, &mut faults).await?;
        }
        after = last;
    }
    let seqs: Vec<i64> = sqlx::query_scalar(INTENT_FAULTS).fetch_all(db).await?;
    faults.extend(seqs.into_iter().map(|seq| fault("open_intent", seq, String::new())));
    Ok(faults.into_iter().collect())
}

fn fault(table: &'static str, entry: i64, check: String) -> Fault {
    Fault { table, entry, kind: FaultKind::Derived, check }
}

async fn evidence(
    conn: &mut SqliteConnection,
    release: i64,
    faults: &mut BTreeSet<Fault>,
) -> Result<(), StoreError> {
    for (table, sql) in [("evidence_group", GROUP_FAULTS), ("evidence_runner", RUNNER_FAULTS)] {
        let checks: Vec<String> = sqlx::query_scalar(sql).bind(release).fetch_all(&mut *conn).await?;
        faults.extend(checks.into_iter().map(|check| fault(table, release, check)));
    }
    Ok(())
}

async fn standing(
    conn: &mut SqliteConnection,
    release: i64,
    faults: &mut BTreeSet<Fault>,
) -> Result<(), StoreError> {
    let differs: Vec<String> =
        sqlx::query_scalar(STANDING_FAULTS).bind(release).fetch_all(&mut *conn).await?;
    faults.extend(differs.into_iter().map(|check| fault("release_standing", release, check)));
    Ok(())
}

/// Computes the derived rows that a fault names again. Of a count that retention may have made higher than the rows
/// give, the higher number stays.
pub(super) async fn compute_again(conn: &mut SqliteConnection, fault: &Fault) -> Result<(), StoreError> {
    let steps: &[&'static str] = match fault.table {
        "evidence_group" => &[
            concat!(
                groups!(),
                " DELETE FROM evidence_group AS g WHERE release = ?1 AND NOT EXISTS
                    (SELECT 1 FROM expected x WHERE x.check_id = g.check_id AND x.threshold_digest = g.threshold_digest
                       AND x.same = g.same AND x.images = g.images)"
            ),
            concat!(
                groups!(),
                " INSERT INTO evidence_group (release, check_id, threshold_digest, same, images, not_passed, last_pass,
                                              last_other, failing_from)
                  SELECT ?1, check_id, threshold_digest, same, images, n, last_pass, last_other, failing_from
                  FROM expected WHERE true
                  ON CONFLICT DO UPDATE SET
                    not_passed = iif(EXISTS (SELECT 1 FROM pruned WHERE kind = 'evidence'),
                                     max(not_passed, excluded.not_passed), excluded.not_passed),
                    last_pass = excluded.last_pass, last_other = excluded.last_other,
                    failing_from = excluded.failing_from"
            ),
        ],
        "evidence_runner" => &[
            "DELETE FROM evidence_runner AS s WHERE release = ?1
               AND (by <> 0 OR NOT EXISTS (SELECT 1 FROM pruned WHERE kind = 'evidence'))
               AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.run = s.run AND e.release = ?1
                               AND e.check_id = s.check_id AND e.by = s.by)",
            concat!(
                runners!(),
                " INSERT INTO evidence_runner (release, check_id, by, run)
                  SELECT ?1, check_id, by, run FROM expected WHERE true ON CONFLICT DO NOTHING"
            ),
        ],
        "release_standing" => &[concat!(
            standing!(),
            " INSERT INTO release_standing (release, state, deploy, deployed_at, point_at)
              SELECT release, state, deploy, deployed_at, point_at FROM expected WHERE true
              ON CONFLICT DO UPDATE SET state = excluded.state, deploy = excluded.deploy,
                deployed_at = excluded.deployed_at, point_at = excluded.point_at"
        )],
        "open_intent" => &[
            concat!(intents!(), " DELETE FROM open_intent WHERE seq = ?1 AND seq NOT IN (SELECT seq FROM expected)"),
            concat!(
                intents!(),
                " INSERT OR IGNORE INTO open_intent (seq) SELECT seq FROM expected WHERE seq = ?1"
            ),
        ],
        _ => &[],
    };
    for sql in steps {
        sqlx::query(*sql).bind(fault.entry).execute(&mut *conn).await?;
    }
    Ok(())
}
