//! Sessions for tower-sessions, on our own database. Only the SHA-256 of a session's id is stored: a copy of
//! the database holds nothing that a browser could send.

use std::collections::HashMap;

use domain::digest::sha256_hex;
use domain::time::Millis;
use futures::future::BoxFuture;
use sqlx::{SqliteConnection, SqliteExecutor};
use time::OffsetDateTime;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result as SessionResult};

use super::{Store, StoreError, json, now};

/// The key of a session's data that holds the person's id (a JSON integer). Only sessions that have it can be
/// ended by person.
pub const PERSON_KEY: &str = "person";

/// A session ends so long after it was made, however busy it is.
pub const LONGEST_MS: u64 = 12 * 60 * 60 * 1000;

/// The session store handed to tower-sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    store: Store,
}

impl Sessions {
    /// Sessions kept in `store`.
    pub fn new(store: Store) -> Sessions {
        Sessions { store }
    }
}

/// The stored form of a session id.
pub fn id_hash(id: &Id) -> String {
    sha256_hex(id.to_string().as_bytes())
}

/// Ends every session of a person, but the one whose [`id_hash`] is `except`. Returns how many ended.
pub async fn end_all(
    conn: &mut SqliteConnection,
    person: i64,
    except: Option<&str>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "DELETE FROM session WHERE person = ?1 AND (?2 IS NULL OR id_hash <> ?2)",
        person,
        except
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Removes sessions that have ended, and returns how many. They cannot be used either way.
pub async fn prune(conn: &mut SqliteConnection, now: Millis) -> Result<u64, StoreError> {
    let done = sqlx::query!("DELETE FROM session WHERE expires_at <= ?", now.0).execute(conn).await?;
    Ok(done.rows_affected())
}

/// How many sessions of a person can be used.
pub async fn count_of(db: impl SqliteExecutor<'_>, person: i64, now: Millis) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!: i64" FROM session WHERE person = ? AND expires_at > ?"#,
        person,
        now.0
    )
    .fetch_one(db)
    .await?)
}

/// A record in the form of the table's columns.
struct Row {
    id_hash: String,
    person: Option<i64>,
    data: String,
    expires_at: i64,
}

impl Row {
    fn of(record: &Record) -> Result<Row, StoreError> {
        let expires_at = record.expiry_date.unix_timestamp_nanos() / 1_000_000;
        Ok(Row {
            id_hash: id_hash(&record.id),
            person: record.data.get(PERSON_KEY).and_then(serde_json::Value::as_i64),
            data: json::write(&record.data, "session.data")?,
            expires_at: i64::try_from(expires_at).unwrap_or(i64::MAX),
        })
    }
}

fn backend(error: StoreError) -> Error {
    tracing::error!(error = ?error, "a session could not be read or written");
    Error::Backend(error.to_string())
}

impl SessionStore for Sessions {
    fn create<'a, 'b, 'c>(&'a self, record: &'b mut Record) -> BoxFuture<'c, SessionResult<()>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            // An id of 128 random bits collides never; if one does, taking another is the cure.
            for _ in 0..3 {
                let row = Row::of(record).map_err(backend)?;
                match self.store.write(move |tx| Box::pin(insert(tx, row))).await {
                    Err(error) if error.is_unique_violation() => record.id = Id::default(),
                    result => return result.map_err(backend),
                }
            }
            Err(Error::Backend("no free session id was found".to_owned()))
        })
    }

    fn save<'a, 'b, 'c>(&'a self, record: &'b Record) -> BoxFuture<'c, SessionResult<()>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            let row = Row::of(record).map_err(backend)?;
            self.store.write(move |tx| Box::pin(update(tx, row))).await.map_err(backend)
        })
    }

    fn load<'a, 'b, 'c>(&'a self, id: &'b Id) -> BoxFuture<'c, SessionResult<Option<Record>>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move { load(self.store.readers(), *id).await.map_err(backend) })
    }

    fn delete<'a, 'b, 'c>(&'a self, id: &'b Id) -> BoxFuture<'c, SessionResult<()>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let hash = id_hash(id);
        Box::pin(async move { self.store.write(move |tx| Box::pin(delete(tx, hash))).await.map_err(backend) })
    }
}

async fn insert(conn: &mut SqliteConnection, row: Row) -> Result<(), StoreError> {
    let created_at = now();
    let latest = created_at.plus(LONGEST_MS);
    sqlx::query!(
        "INSERT INTO session (id_hash, person, data, created_at, expires_at)
         VALUES (?, ?, ?, ?, min(?, ?))",
        row.id_hash,
        row.person,
        row.data,
        created_at.0,
        row.expires_at,
        latest.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Only ever updates: a session that was ended while a request of it went on must stay ended.
async fn update(conn: &mut SqliteConnection, row: Row) -> Result<(), StoreError> {
    let longest = Millis(0).plus(LONGEST_MS);
    sqlx::query!(
        "UPDATE session SET person = ?, data = ?, expires_at = min(?, created_at + ?) WHERE id_hash = ?",
        row.person,
        row.data,
        row.expires_at,
        longest.0,
        row.id_hash
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn delete(conn: &mut SqliteConnection, hash: String) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM session WHERE id_hash = ?", hash).execute(conn).await?;
    Ok(())
}

async fn load(db: impl SqliteExecutor<'_>, id: Id) -> Result<Option<Record>, StoreError> {
    let (hash, now) = (id_hash(&id), now());
    let row = sqlx::query!(
        r#"SELECT s.data AS "data!: String", s.expires_at AS "expires_at!: i64"
           FROM session s LEFT JOIN person p ON p.id = s.person
           WHERE s.id_hash = ? AND s.expires_at > ? AND coalesce(p.disabled, 0) = 0"#,
        hash,
        now.0
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let data: HashMap<String, serde_json::Value> = json::read(&row.data, "session.data")?;
    let expiry_date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(row.expires_at) * 1_000_000)
        .map_err(|_| StoreError::Damaged { what: "session.expires_at" })?;
    Ok(Some(Record { id, data, expiry_date }))
}
