//! Releases, and what happened to them. Where a release stands is always read from its events.

use std::collections::BTreeMap;

use domain::release::{Release, ReleaseState};
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};

/// A release about to be opened.
#[derive(Debug, Clone)]
pub struct NewRelease<'a> {
    /// Its parts as found.
    pub parts: &'a domain::release::Parts,
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
        /// Image ID of each service. The first deploy settles them; another set is refused later.
        images: BTreeMap<String, String>,
        /// Names of the migrations applied when the deploy ended; `None` when they could not be read.
        migrations: Option<Vec<String>>,
    },
    /// Its deploy failed.
    Failed,
    /// Somebody rolled back from it.
    RolledBackFrom,
    /// Somebody rolled back to it, and it runs again.
    RolledBackTo {
        /// As in [`What::Deployed`].
        migrations: Option<Vec<String>>,
    },
    /// It was found bad: it is no rollback point any more.
    Bad,
    /// Its evidence made it a rollback point.
    RollbackPoint,
}

impl What {
    /// The word in the store.
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
    /// Number in the store; set by it.
    pub id: i64,
    /// The release.
    pub release: i64,
    /// What happened.
    pub what: What,
    /// Who made it happen: person id.
    pub by: i64,
    /// Their name at the time.
    pub by_name: String,
    /// When.
    pub at: Millis,
    /// The run in which it happened.
    pub run: Option<i64>,
    /// Why, or what was seen; may be empty.
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

/// Records that something happened to a release; `event.id` is ignored. Refused by the store
/// ([`StoreError::Refused`]) when a second deploy brings other images.
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

/// The release that is judged: the one last opened, deployed or rolled back to.
pub async fn current(db: impl SqliteExecutor<'_>) -> Result<Option<Release>, StoreError> {
    Ok(select(db, Pick { current: true, ..Pick::default() }).await?.pop())
}

/// The release that ran last, or was to: the one last deployed, well or not, or rolled back to. One that was only
/// opened since plays no part.
pub async fn ran_last(conn: &mut SqliteConnection) -> Result<Option<Release>, StoreError> {
    let id = sqlx::query_scalar!(
        r#"SELECT release AS "id!" FROM release_event
           WHERE kind IN ('deployed', 'failed', 'rolled_back_to') ORDER BY id DESC LIMIT 1"#
    )
    .fetch_optional(&mut *conn)
    .await?;
    match id {
        Some(id) => by_id(&mut *conn, id).await,
        None => Ok(None),
    }
}

/// The release with this number.
pub async fn by_id(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Release>, StoreError> {
    Ok(select(db, Pick { id: Some(id), ..Pick::default() }).await?.pop())
}

/// Releases, newest first, at most `limit`.
pub async fn list(db: impl SqliteExecutor<'_>, limit: i64) -> Result<Vec<Release>, StoreError> {
    select(db, Pick { limit: Some(limit), ..Pick::default() }).await
}

/// Releases that are rollback points, newest first: they became one and were not found bad since.
pub async fn rollback_points(db: impl SqliteExecutor<'_>) -> Result<Vec<Release>, StoreError> {
    select(db, Pick { points: true, ..Pick::default() }).await
}

#[derive(Default)]
struct Pick {
    id: Option<i64>,
    current: bool,
    points: bool,
    limit: Option<i64>,
}

async fn select(db: impl SqliteExecutor<'_>, pick: Pick) -> Result<Vec<Release>, StoreError> {
    let limit = pick.limit.unwrap_or(-1);
    let rows = sqlx::query!(
        r#"WITH seen AS (
             SELECT r.id, r.parts, r.subject, r.opened_by, r.opened_at,
               (SELECT e.kind FROM release_event e WHERE e.release = r.id AND e.kind NOT IN ('bad', 'rollback_point')
                ORDER BY e.id DESC LIMIT 1) AS state,
               (SELECT max(e.id) FROM release_event e WHERE e.release = r.id AND e.kind = 'deployed') AS deploy,
               (SELECT l.names FROM
                  (SELECT e.migrations AS names, e.at AS at, 0 AS late, e.id AS id FROM release_event e
                   WHERE e.release = r.id AND e.kind IN ('deployed', 'rolled_back_to')
                   UNION ALL
                   SELECT m.names, m.at, 1, m.id FROM migration_list m WHERE m.release = r.id) l
                ORDER BY l.at DESC, l.late DESC, l.id DESC LIMIT 1) AS migrations,
               (SELECT e.at FROM release_event e WHERE e.release = r.id AND e.kind = 'rollback_point'
                  AND NOT EXISTS (SELECT 1 FROM release_event b WHERE b.release = r.id AND b.kind = 'bad' AND b.id > e.id)
                ORDER BY e.id DESC LIMIT 1) AS point_at
             FROM release r
             WHERE (?1 IS NULL OR r.id = ?1)
               AND (NOT ?2 OR r.id = (SELECT release FROM release_event
                                      WHERE kind IN ('opened', 'deployed', 'rolled_back_to') ORDER BY id DESC LIMIT 1)))
           SELECT s.id AS "id!: i64", s.parts AS "parts!: String", s.subject AS "subject!: String",
                  s.opened_by AS "opened_by!: i64", s.opened_at AS "opened_at!: i64",
                  s.state AS "state!: String", s.migrations AS "migrations?: String",
                  s.point_at AS "point_at?: i64", d.by AS "deployed_by?: i64", d.at AS "deployed_at?: i64",
                  d.images AS "images?: String"
           FROM seen s LEFT JOIN release_event d ON d.id = s.deploy
           WHERE (NOT ?3 OR s.point_at IS NOT NULL)
           ORDER BY s.id DESC LIMIT ?4"#,
        pick.id,
        pick.current,
        pick.points,
        limit
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            let mut parts: domain::release::Parts = json::read(&r.parts, "release.parts")?;
            if let Some(images) = json::read_some(r.images, "release_event.images")? {
                parts.images = images;
            }
            Ok(Release {
                id: r.id,
                parts,
                subject: r.subject,
                opened_by: r.opened_by,
                opened_at: Millis(r.opened_at),
                deployed_by: r.deployed_by,
                deployed_at: r.deployed_at.map(Millis),
                state: match r.state.as_str() {
                    "opened" => ReleaseState::Opened,
                    "deployed" | "rolled_back_to" => ReleaseState::Deployed,
                    "failed" => ReleaseState::Failed,
                    "rolled_back_from" => ReleaseState::RolledBackFrom,
                    _ => return Err(StoreError::Damaged { what: "release_event.kind" }),
                },
                migrations: json::read_some(r.migrations, "release_event.migrations")?,
                rollback_point_at: r.point_at.map(Millis),
            })
        })
        .collect()
}
