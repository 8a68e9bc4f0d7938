//! Releases and their events. The state of a release is derived from its events.

use std::collections::BTreeMap;

use domain::release::{Release, ReleaseState};
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};

/// A release about to be opened.
#[derive(Debug, Clone)]
pub struct NewRelease<'a> {
    /// Its parts as read from the directory.
    pub parts: &'a domain::release::ReleaseComponents,
    /// Subject line of the commit; empty when there is none.
    pub subject: &'a str,
    /// Who opens it: person id.
    pub by: i64,
    /// Their name.
    pub by_name: &'a str,
    /// When.
    pub at: Millis,
}

/// What happened to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was opened; [`open`] records this itself.
    Opened,
    /// It was deployed and healthy.
    Deployed {
        /// Image ID of each service. The first deploy sets them; a later deploy with different images is rejected.
        images: BTreeMap<String, String>,
        /// Names of the migrations applied when the deploy ended; `None` when they could not be read.
        migrations: Option<Vec<String>>,
    },
    /// Its deploy failed.
    Failed,
    /// It was rolled back.
    RolledBackFrom,
    /// It was the target of a rollback and is running again.
    RolledBackTo {
        /// See [`What::Deployed`].
        migrations: Option<Vec<String>>,
    },
    /// It was marked as bad and is no longer a rollback target.
    Bad,
    /// Its evidence made it a rollback target.
    RollbackPoint,
}

impl What {
    /// The value in the store.
    pub fn slug(&self) -> &'static str {
        match self {
            What::Opened => "opened",
            What::Deployed { .. } => "deployed",
            What::Failed => "failed",
            What::RolledBackFrom => "rolled_back_from",
            What::RolledBackTo { .. } => "rolled_back_to",
            What::Bad => "bad",
            What::RollbackPoint => "rollback_point",
        }
    }
}

/// One event of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseEvent {
    /// Id; set by the store.
    pub id: i64,
    /// The release.
    pub release: i64,
    /// What happened.
    pub what: What,
    /// Who caused it: person id.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// When.
    pub at: Millis,
    /// The run in which it happened.
    pub run: Option<i64>,
    /// The reason or observation; may be empty.
    pub note: String,
}

/// Opens a release and makes it the current one. Returns its number.
pub async fn open(conn: &mut SqliteConnection, new: &NewRelease<'_>) -> Result<i64, StoreError> {
    let parts = json::write(new.parts, "release.parts")?;
    let id = sqlx::query_scalar!(
        r#"INSERT INTO release (parts, subject, opened_by, opened_at) VALUES (?, ?, ?, ?)
           RETURNING id AS "id!""#,
        parts,
        new.subject,
        new.by,
        new.at.0
    )
    .fetch_one(&mut *conn)
    .await?;
    let event = ReleaseEvent {
        id: 0,
        release: id,
        what: What::Opened,
        by: new.by,
        by_name: new.by_name.to_owned(),
        at: new.at,
        run: None,
        note: String::new(),
    };
    record(conn, &event).await?;
    Ok(id)
}

/// Records an event of a release; `event.id` is ignored. Rejected by the store
/// ([`StoreError::Refused`]) if a second deploy has different images.
pub async fn record(conn: &mut SqliteConnection, event: &ReleaseEvent) -> Result<i64, StoreError> {
    let (images, migrations) = match &event.what {
        What::Deployed { images, migrations } => (Some(images), migrations.as_ref()),
        What::RolledBackTo { migrations } => (None, migrations.as_ref()),
        _ => (None, None),
    };
    let images = images.map(|i| json::write(i, "release_event.images")).transpose()?;
    let migrations = migrations.map(|m| json::write(m, "release_event.migrations")).transpose()?;
    let kind = event.what.slug();
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO release_event (release, kind, by, by_name, at, run, note, images, migrations)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        event.release,
        kind,
        event.by,
        event.by_name,
        event.at.0,
        event.run,
        event.note,
        images,
        migrations
    )
    .fetch_one(conn)
    .await?)
}

/// All events of a release, oldest first.
pub async fn events(db: impl SqliteExecutor<'_>, release: i64) -> Result<Vec<ReleaseEvent>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", release, kind, by, by_name, at, run, note, images, migrations
           FROM release_event WHERE release = ? ORDER BY id"#,
        release
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            let migrations = json::read_some(r.migrations, "release_event.migrations")?;
            let what = match (r.kind.as_str(), r.images) {
                ("opened", _) => What::Opened,
                ("deployed", Some(images)) => {
                    What::Deployed { images: json::read(&images, "release_event.images")?, migrations }
                }
                ("failed", _) => What::Failed,
                ("rolled_back_from", _) => What::RolledBackFrom,
                ("rolled_back_to", _) => What::RolledBackTo { migrations },
                ("bad", _) => What::Bad,
                ("rollback_point", _) => What::RollbackPoint,
                _ => return Err(StoreError::Damaged { what: "release_event.kind" }),
            };
            Ok(ReleaseEvent {
                id: r.id,
                release: r.release,
                what,
                by: r.by,
                by_name: r.by_name,
                at: Millis(r.at),
                run: r.run,
                note: r.note,
            })
        })
        .collect()
}

/// A query for releases. The columns are always the same; the rest differs, so that each query can use an index.
macro_rules! releases {
    ($db:expr, $rest:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT r.id AS "id!: i64", r.parts AS "parts!: String", r.subject AS "subject!: String",
                      r.opened_by AS "opened_by!: i64", r.opened_at AS "opened_at!: i64",
                      s.state AS "state!: String", s.point_at AS "point_at?: i64",
                      d.by AS "deployed_by?: i64", d.at AS "deployed_at?: i64", d.images AS "images?: String",
                      (SELECT l.names FROM
                         (SELECT e.migrations AS names, e.at AS at, 0 AS late, e.id AS id FROM release_event e
                          WHERE e.release = r.id AND e.kind IN ('deployed', 'rolled_back_to')
                          UNION ALL
                          SELECT m.names, m.at, 1, m.id FROM migration_list m WHERE m.release = r.id) l
                       ORDER BY l.at DESC, l.late DESC, l.id DESC LIMIT 1) AS "migrations?: String"
               FROM release r JOIN release_standing s ON s.release = r.id
                 LEFT JOIN release_event d ON d.id = s.deploy "# + $rest
            $(, $arg)*
        )
        .fetch_all($db)
        .await?
        .into_iter()
        .map(Row::read)
        .collect::<Result<Vec<Release>, StoreError>>()
    };
}

/// The current release: the one last opened, deployed or rolled back to.
pub async fn current(db: impl SqliteExecutor<'_>) -> Result<Option<Release>, StoreError> {
    Ok(releases!(
        db,
        "WHERE r.id = (SELECT release FROM release_event INDEXED BY release_event_moves
                       WHERE kind IN ('opened', 'deployed', 'rolled_back_to') ORDER BY id DESC LIMIT 1)"
    )?
    .pop())
}

/// The release that was last deployed (successfully or not) or rolled back to. A release that was only opened since
/// then is ignored.
pub async fn ran_last(db: impl SqliteExecutor<'_>) -> Result<Option<Release>, StoreError> {
    Ok(releases!(
        db,
        "WHERE r.id = (SELECT release FROM release_event INDEXED BY release_event_runs
                       WHERE kind IN ('deployed', 'failed', 'rolled_back_to') ORDER BY id DESC LIMIT 1)"
    )?
    .pop())
}

/// The release with this number.
pub async fn by_id(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Release>, StoreError> {
    Ok(releases!(db, "WHERE r.id = ?", id)?.pop())
}

/// Releases, newest first, at most `limit`.
pub async fn list(db: impl SqliteExecutor<'_>, limit: i64) -> Result<Vec<Release>, StoreError> {
    before(db, i64::MAX, limit).await
}

/// Releases with a lower number than `before`, newest first, at most `limit`.
pub async fn before(
    db: impl SqliteExecutor<'_>,
    before: i64,
    limit: i64,
) -> Result<Vec<Release>, StoreError> {
    releases!(db, "WHERE r.id < ? ORDER BY r.id DESC LIMIT ?", before, limit)
}

/// The releases with these numbers, newest first.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn these(db: impl SqliteExecutor<'_>, ids: &[i64]) -> Result<Vec<Release>, StoreError> {
    let ids = json::write(&ids, "release.id")?;
    releases!(db, "WHERE r.id IN (SELECT value FROM json_each(?)) ORDER BY r.id DESC", ids)
}

/// For each of these releases the id of the newest earlier release that was deployed, if there is one.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn deployed_before(
    db: impl SqliteExecutor<'_>,
    releases: &[i64],
) -> Result<BTreeMap<i64, i64>, StoreError> {
    let releases = json::write(&releases, "release.id")?;
    let rows = sqlx::query!(
        r#"SELECT r.id AS "release!: i64",
                  (SELECT s.release FROM release_standing s INDEXED BY release_standing_with_images
                   WHERE s.deploy IS NOT NULL AND s.release < r.id ORDER BY s.release DESC LIMIT 1) AS "before?: i64"
           FROM release r WHERE r.id IN (SELECT value FROM json_each(?))"#,
        releases
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.release, row.before?))).collect())
}

/// The last deployed release among those that were not rolled back, except `but`.
pub async fn healthy_last(
    db: impl SqliteExecutor<'_>,
    but: Option<i64>,
) -> Result<Option<Release>, StoreError> {
    let but = but.unwrap_or(0);
    Ok(releases!(
        db,
        "WHERE r.id = (SELECT release FROM release_standing INDEXED BY release_standing_healthy
                       WHERE deployed_at IS NOT NULL AND state <> 'rolled_back_from' AND release <> ?
                       ORDER BY deployed_at DESC, release DESC LIMIT 1)",
        but
    )?
    .pop())
}

/// Releases that are rollback targets, newest first: they became one and were not marked as bad since.
pub async fn rollback_points(db: impl SqliteExecutor<'_>) -> Result<Vec<Release>, StoreError> {
    releases!(db, "WHERE s.point_at IS NOT NULL ORDER BY r.id DESC")
}

/// The releases that decisions need, newest first: the current one, the newest, the one that ran last, the first that
/// was deployed, the best `targets` rollback targets of each kind, and those in `named`.
pub async fn needed(
    db: impl SqliteExecutor<'_>,
    targets: i64,
    named: &[i64],
) -> Result<Vec<Release>, StoreError> {
    let named = json::write(named, "release numbers")?;
    releases!(
        db,
        "WHERE r.id IN (
           SELECT (SELECT release FROM release_event INDEXED BY release_event_moves
                   WHERE kind IN ('opened', 'deployed', 'rolled_back_to') ORDER BY id DESC LIMIT 1)
           UNION SELECT (SELECT release FROM release_event INDEXED BY release_event_runs
                         WHERE kind IN ('deployed', 'failed', 'rolled_back_to') ORDER BY id DESC LIMIT 1)
           UNION SELECT (SELECT max(id) FROM release)
           UNION SELECT (SELECT min(release) FROM release_standing INDEXED BY release_standing_with_images
                         WHERE deploy IS NOT NULL)
           UNION SELECT release FROM
             (SELECT release FROM release_standing INDEXED BY release_standing_deployed
              WHERE deployed_at IS NOT NULL AND state IN ('deployed', 'rolled_back_to')
              ORDER BY deployed_at DESC, release DESC LIMIT ?1)
           UNION SELECT release FROM
             (SELECT release FROM release_standing INDEXED BY release_standing_healthy
              WHERE deployed_at IS NOT NULL AND state <> 'rolled_back_from'
              ORDER BY deployed_at DESC, release DESC LIMIT ?1)
           UNION SELECT release FROM
             (SELECT release FROM release_standing INDEXED BY release_standing_points
              WHERE point_at IS NOT NULL AND deployed_at IS NOT NULL AND state <> 'rolled_back_from'
              ORDER BY deployed_at DESC, release DESC LIMIT ?1)
           UNION SELECT release FROM
             (SELECT release FROM release_standing INDEXED BY release_standing_all_points
              WHERE point_at IS NOT NULL ORDER BY point_at DESC, release DESC LIMIT ?1)
           UNION SELECT value FROM json_each(?2))
         ORDER BY r.id DESC",
        targets,
        named
    )
}

/// A release's row as it is stored.
struct Row {
    id: i64,
    parts: String,
    subject: String,
    opened_by: i64,
    opened_at: i64,
    state: String,
    point_at: Option<i64>,
    deployed_by: Option<i64>,
    deployed_at: Option<i64>,
    images: Option<String>,
    migrations: Option<String>,
}

impl Row {
    fn read(self) -> Result<Release, StoreError> {
        let mut parts: domain::release::ReleaseComponents = json::read(&self.parts, "release.parts")?;
        if let Some(images) = json::read_some(self.images, "release_event.images")? {
            parts.images = images;
        }
        Ok(Release {
            id: self.id,
            parts,
            subject: self.subject,
            opened_by: self.opened_by,
            opened_at: Millis(self.opened_at),
            deployed_by: self.deployed_by,
            deployed_at: self.deployed_at.map(Millis),
            state: match self.state.as_str() {
                "opened" => ReleaseState::Opened,
                "deployed" | "rolled_back_to" => ReleaseState::Deployed,
                "failed" => ReleaseState::Failed,
                "rolled_back_from" => ReleaseState::RolledBackFrom,
                _ => return Err(StoreError::Damaged { what: "release_standing.state" }),
            },
            migrations: json::read_some(self.migrations, "release_event.migrations")?,
            rollback_point_at: self.point_at.map(Millis),
        })
    }
}
