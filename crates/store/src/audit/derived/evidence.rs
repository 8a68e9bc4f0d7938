//! The expected rows of `evidence_group` and `evidence_runner` for one release, computed from its evidence.
//!
//! The evidence is read row by row and counted here, because SQL would sort all of it, with memory proportional to the
//! number of rows. Here the memory is proportional to the number of groups.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::TryStreamExt as _;
use sqlx::SqliteConnection;

use crate::StoreError;
use crate::people::SCHEDULE;

/// The key of a group: check, declaration, parts equal to those of the release, images.
type GroupKey = (String, String, String, String);
/// A check, and who ran it.
type RunnerKey = (String, i64);

/// The derived values of a group.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Group {
    not_passed: i64,
    last_pass: Option<i64>,
    last_other: Option<i64>,
    failing_from: Option<i64>,
}

impl Group {
    /// Adds a row. Rows must be added in the order of their ids, as the triggers see them.
    fn add(&mut self, id: i64, passed: bool) {
        if passed {
            self.last_pass = Some(id);
            self.failing_from = None;
        } else {
            self.not_passed += 1;
            self.last_other = Some(id);
            self.failing_from.get_or_insert(id);
        }
    }

    /// Whether everything except the count is the same.
    fn names_the_same(&self, other: &Group) -> bool {
        Group { not_passed: other.not_passed, ..*self } == *other
    }
}

/// The derived rows of one release, computed from its evidence.
pub(super) struct Expected {
    groups: BTreeMap<GroupKey, Group>,
    /// With the first run of each.
    runners: BTreeMap<RunnerKey, i64>,
    /// Retention has removed evidence, so counts may be higher than in the remaining rows.
    is_pruned: bool,
}

impl Expected {
    /// Reads the evidence of a release.
    pub(super) async fn of(conn: &mut SqliteConnection, release: i64) -> Result<Expected, StoreError> {
        // The parts of evidence are long, but there are only few different values.
        let shapes: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT d.parts, iif(d.parts ->> '$.values.commit' = r.parts ->> '$.values.commit', 'commit ', '')
                    || iif(d.parts ->> '$.values.config' = r.parts ->> '$.values.config', 'config ', '')
                    || iif(d.parts ->> '$.values.env' = r.parts ->> '$.values.env', 'env ', '')
                    || iif(d.parts ->> '$.values.runbook' = r.parts ->> '$.values.runbook', 'runbook ', ''),
                    coalesce(d.parts -> '$.images', '{}')
             FROM (SELECT DISTINCT parts FROM evidence WHERE release = ?1) d JOIN release r ON r.id = ?1",
        )
        .bind(release)
        .fetch_all(&mut *conn)
        .await?;
        let shapes: HashMap<String, (String, String)> =
            shapes.into_iter().map(|(parts, same, images)| (parts, (same, images))).collect();
        let is_pruned = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pruned WHERE kind = 'evidence')")
            .fetch_one(&mut *conn)
            .await?;
        let mut expected = Expected { groups: BTreeMap::new(), runners: BTreeMap::new(), is_pruned };
        let mut rows = sqlx::query_as::<_, (i64, String, String, bool, String, i64, i64)>(
            "SELECT id, check_id, threshold_digest, outcome = 'pass', parts, by, run
             FROM evidence WHERE release = ?1 ORDER BY id",
        )
        .bind(release)
        .fetch(conn);
        while let Some((id, check, digest, passed, parts, by, run)) = rows.try_next().await? {
            // Both reads are in one transaction, so the parts of every row exist.
            let Some((same, images)) = shapes.get(&parts).cloned() else { continue };
            let first = expected.runners.entry((check.clone(), by)).or_insert(run);
            *first = run.min(*first);
            expected.groups.entry((check, digest, same, images)).or_default().add(id, passed);
        }
        Ok(expected)
    }

    /// Checks whose groups differ.
    pub(super) async fn wrong_groups(
        &self,
        conn: &mut SqliteConnection,
        release: i64,
    ) -> Result<BTreeSet<String>, StoreError> {
        let stored = stored_groups(conn, release).await?;
        let differs = |key: &GroupKey| match (self.groups.get(key), stored.get(key)) {
            (Some(expected), Some(stored)) => {
                let fewer = stored.not_passed < expected.not_passed;
                let more = stored.not_passed > expected.not_passed;
                !stored.names_the_same(expected) || fewer || (more && !self.is_pruned)
            }
            _ => true,
        };
        Ok(self
            .groups
            .keys()
            .chain(stored.keys())
            .filter(|key| differs(key))
            .map(|key| key.0.clone())
            .collect())
    }

    /// Checks whose runners differ. The run is only for display; it must be a run of that person.
    pub(super) async fn wrong_runners(
        &self,
        conn: &mut SqliteConnection,
        release: i64,
    ) -> Result<BTreeSet<String>, StoreError> {
        let stored: Vec<(String, i64, bool)> = sqlx::query_as(
            "SELECT s.check_id, s.by, EXISTS (SELECT 1 FROM evidence e WHERE e.run = s.run AND e.release = s.release
                                              AND e.check_id = s.check_id AND e.by = s.by)
             FROM evidence_runner s WHERE s.release = ?",
        )
        .bind(release)
        .fetch_all(conn)
        .await?;
        let stored: BTreeMap<RunnerKey, bool> =
            stored.into_iter().map(|(check, by, ran)| ((check, by), ran)).collect();
        let missing = self.runners.keys().filter(|key| !stored.contains_key(*key));
        let wrong = stored.iter().filter(|(key, ran)| {
            let may_stay_behind = key.1 == SCHEDULE && self.is_pruned;
            (!may_stay_behind && !self.runners.contains_key(*key)) || (key.1 != SCHEDULE && !**ran)
        });
        Ok(missing.chain(wrong.map(|(key, _)| key)).map(|key| key.0.clone()).collect())
    }

    /// Stores the expected groups. A count that may be higher because of retention is not lowered.
    pub(super) async fn store_groups(
        &self,
        conn: &mut SqliteConnection,
        release: i64,
    ) -> Result<(), StoreError> {
        let stored = stored_groups(conn, release).await?;
        sqlx::query("DELETE FROM evidence_group WHERE release = ?").bind(release).execute(&mut *conn).await?;
        for (key, group) in &self.groups {
            let before = stored.get(key).filter(|_| self.is_pruned).map_or(0, |before| before.not_passed);
            let (check, digest, same, images) = key;
            sqlx::query("INSERT INTO evidence_group VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(release)
                .bind(check)
                .bind(digest)
                .bind(same)
                .bind(images)
                .bind(group.not_passed.max(before))
                .bind(group.last_pass)
                .bind(group.last_other)
                .bind(group.failing_from)
                .execute(&mut *conn)
                .await?;
        }
        Ok(())
    }

    /// Stores the expected runners.
    pub(super) async fn store_runners(
        &self,
        conn: &mut SqliteConnection,
        release: i64,
    ) -> Result<(), StoreError> {
        // A row of the scheduler may remain after retention has removed its evidence.
        sqlx::query(
            "DELETE FROM evidence_runner AS s WHERE release = ? AND (by <> ? OR NOT ?)
               AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.run = s.run AND e.release = s.release
                               AND e.check_id = s.check_id AND e.by = s.by)",
        )
        .bind(release)
        .bind(SCHEDULE)
        .bind(self.is_pruned)
        .execute(&mut *conn)
        .await?;
        for ((check, by), run) in &self.runners {
            sqlx::query("INSERT INTO evidence_runner VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(release)
                .bind(check)
                .bind(by)
                .bind(run)
                .execute(&mut *conn)
                .await?;
        }
        Ok(())
    }
}

async fn stored_groups(
    conn: &mut SqliteConnection,
    release: i64,
) -> Result<BTreeMap<GroupKey, Group>, StoreError> {
    type Row = (String, String, String, String, i64, Option<i64>, Option<i64>, Option<i64>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT check_id, threshold_digest, same, images, not_passed, last_pass, last_other, failing_from
         FROM evidence_group WHERE release = ?",
    )
    .bind(release)
    .fetch_all(conn)
    .await?;
    let of = |(check, digest, same, images, not_passed, last_pass, last_other, failing_from): Row| {
        ((check, digest, same, images), Group { not_passed, last_pass, last_other, failing_from })
    };
    Ok(rows.into_iter().map(of).collect())
}
