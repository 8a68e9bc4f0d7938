//! Comparing tables that are filled by triggers with the rows they are computed from. Without this, a changed count in
//! such a table could make a failed check look passed, although all rows match the log.
//!
//! Retention removes evidence of scheduled checks, but never a row that `evidence_group` names. So its three ids
//! always match the remaining rows. Only the number of failures may be higher than in the remaining rows, and only
//! after retention has removed evidence; it is never lower. In `evidence_runner` the rows of people are exact, because
//! retention removes no evidence that a person collected; a row of the scheduler may remain without evidence.

mod evidence;

use std::collections::BTreeSet;

use sqlx::{SqliteConnection, SqlitePool};

use evidence::Expected;

use super::check::{Fault, FaultKind, NAMED};
use super::schema;
use crate::StoreError;

/// Number of newest releases whose state [`recent`] compares.
const NEWEST: i64 = 100;
/// Releases compared at once by [`all`].
const BATCH: i64 = 50;

/// The state of one release, computed from its events.
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

/// One row if the stored state of a release differs from its events.
const STANDING_FAULTS: &str = concat!(
    standing!(),
    ", stored AS (SELECT release, state, deploy, deployed_at, point_at FROM release_standing WHERE release = ?1)
     SELECT '' FROM (SELECT release, state, deploy, deployed_at, point_at FROM expected WHERE begun
                     EXCEPT SELECT * FROM stored)
     UNION SELECT '' FROM (SELECT * FROM stored
                           EXCEPT SELECT release, state, deploy, deployed_at, point_at FROM expected)"
);

/// Events that are open intents but not listed as such, or listed but not open intents.
const INTENT_FAULTS: &str = concat!(
    intents!(),
    " SELECT seq FROM (SELECT seq FROM expected EXCEPT SELECT seq FROM open_intent)
      UNION SELECT seq FROM (SELECT seq FROM open_intent EXCEPT SELECT seq FROM expected)
      ORDER BY seq LIMIT 100"
);

/// Compares the derived rows of the release `judged`, and the states of `releases` and of the newest releases. Its cost
/// depends on the evidence of that one release and the number of `releases`, not on the age of the store.
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
        evidence_faults(&mut tx, release, &mut faults).await?;
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
    faults.extend(schema::faults(&mut tx).await?);
    Ok(faults.into_iter().take(NAMED).collect())
}

/// Compares all derived tables with the rows they are computed from, in batches of releases, and the triggers that fill
/// them with those of the migrations.
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
            // One transaction per release, so that others can write in between.
            let mut tx = db.begin().await?;
            evidence_faults(&mut tx, release, &mut faults).await?;
            standing(&mut tx, release, &mut faults).await?;
        }
        after = last;
    }
    faults.extend(schema::faults(&mut *db.acquire().await?).await?);
    let seqs: Vec<i64> = sqlx::query_scalar(INTENT_FAULTS).fetch_all(db).await?;
    faults.extend(seqs.into_iter().map(|seq| fault("open_intent", seq, String::new())));
    Ok(faults.into_iter().collect())
}

fn fault(table: &'static str, entry: i64, check: String) -> Fault {
    Fault { table, entry, kind: FaultKind::Derived, check }
}

async fn evidence_faults(
    conn: &mut SqliteConnection,
    release: i64,
    faults: &mut BTreeSet<Fault>,
) -> Result<(), StoreError> {
    let expected = Expected::of(conn, release).await?;
    let groups = expected.wrong_groups(conn, release).await?;
    faults.extend(groups.into_iter().map(|check| fault("evidence_group", release, check)));
    let runners = expected.wrong_runners(conn, release).await?;
    faults.extend(runners.into_iter().map(|check| fault("evidence_runner", release, check)));
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

/// Recomputes the derived rows that a fault names. A count that may be higher than the remaining rows because of
/// retention is not lowered.
pub(super) async fn compute_again(conn: &mut SqliteConnection, fault: &Fault) -> Result<(), StoreError> {
    let steps: &[&'static str] = match fault.table {
        "evidence_group" => {
            return Expected::of(conn, fault.entry).await?.store_groups(conn, fault.entry).await;
        }
        "evidence_runner" => {
            return Expected::of(conn, fault.entry).await?.store_runners(conn, fault.entry).await;
        }
        "release_standing" => &[concat!(
            standing!(),
            " INSERT INTO release_standing (release, state, deploy, deployed_at, point_at)
              SELECT release, state, deploy, deployed_at, point_at FROM expected WHERE true
              ON CONFLICT DO UPDATE SET state = excluded.state, deploy = excluded.deploy,
                deployed_at = excluded.deployed_at, point_at = excluded.point_at"
        )],
        "open_intent" => &[
            concat!(
                intents!(),
                " DELETE FROM open_intent WHERE seq = ?1 AND seq NOT IN (SELECT seq FROM expected)"
            ),
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
