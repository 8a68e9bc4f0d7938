//! Sessions for tower-sessions in our own database. Only the SHA-256 of a session's id is stored, so a copy of
//! the database contains no usable session cookies.
//!
//! Each row carries an HMAC over all of its columns, made with a key that is not in the database. A row without the
//! correct HMAC is not a session: write access to the file without the key is not enough to create one.
//!
//! A session is read from memory as long as nothing was written since it was last read, and reading never
//! writes. If the disk is full, a new session is kept in memory, so that people can still sign in and roll back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use domain::digest::{digest_fields, sha256_hex};
use domain::time::Millis;
use futures::future::BoxFuture;
use sqlx::{SqliteConnection, SqliteExecutor};
use time::OffsetDateTime;
use tokio::sync::watch;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result as SessionResult};

use super::{Store, StoreError, json, people};
use secrets::Key;
use system::clock::now;

/// The key of a session's data that holds the person's id (a JSON integer). Only sessions that have it can be
/// ended by person.
pub const PERSON_KEY: &str = "person";

/// Maximum duration of a session, even if it is active.
pub const LONGEST_MS: u64 = 12 * 60 * 60 * 1000;

/// How long a session is used from memory before it is read from the database again, because another process may
/// have ended it. Writes of this process take effect immediately.
const BELIEVED_FOR: Duration = Duration::from_secs(2);
/// Maximum number of sessions in memory; when it is reached, the cache is cleared.
const REMEMBERED: usize = 10_000;
/// Maximum duration of a session that could not be stored because the disk is full.
const UNSAVED_MS: u64 = 60 * 60 * 1000;
/// Maximum number of such sessions.
const MOST_UNSAVED: usize = 100;

/// The session store for tower-sessions. Clones share their cache.
#[derive(Debug, Clone)]
pub struct Sessions {
    store: Store,
    key: Key,
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct Memory {
    /// Sessions that were read, by the hash of their id.
    seen: Mutex<HashMap<String, Seen>>,
    /// Sessions that could not be stored because the disk is full.
    unsaved: Mutex<HashMap<String, Unsaved>>,
    /// Sessions whose end could not be stored because the disk is full.
    revoked: Mutex<HashSet<String>>,
    /// Number of sessions that were ended by their id.
    ended: watch::Sender<u64>,
}

#[derive(Debug)]
struct Seen {
    record: Record,
    /// The store's number of writes before the session was read.
    writes: u64,
    at: Instant,
}

#[derive(Debug)]
struct Unsaved {
    record: Record,
    ends_at: Millis,
    /// Digest of the person's password hash: a changed password ends the session.
    password: String,
}

impl Sessions {
    /// Sessions stored in `store`, authenticated with `key`.
    pub fn new(store: Store, key: Key) -> Sessions {
        let memory = Memory {
            seen: Mutex::default(),
            unsaved: Mutex::default(),
            revoked: Mutex::default(),
            ended: watch::Sender::new(0),
        };
        Sessions { store, key, memory: Arc::new(memory) }
    }

    /// Changes when a session is ended by its id, for instance by signing out.
    pub fn ended(&self) -> watch::Receiver<u64> {
        self.memory.ended.subscribe()
    }

    /// The person of a valid session.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn person_of(&self, id: &Id) -> Result<Option<i64>, StoreError> {
        Ok(self.find(*id).await?.and_then(|record| person(&record)))
    }

    async fn find(&self, id: Id) -> Result<Option<Record>, StoreError> {
        let hash = id_hash(&id);
        if locked(&self.memory.revoked).contains(&hash) {
            return Ok(None);
        }
        let writes = self.store.writes();
        {
            let seen = locked(&self.memory.seen);
            if let Some(found) = seen.get(&hash)
                && found.writes == writes
                && found.at.elapsed() < BELIEVED_FOR
                && found.record.expiry_date > OffsetDateTime::now_utc()
            {
                return Ok(Some(found.record.clone()));
            }
        }
        let Some(record) = load(self.store.readers(), &self.key, id).await? else {
            locked(&self.memory.seen).remove(&hash);
            return self.find_unsaved(&hash).await;
        };
        let mut seen = locked(&self.memory.seen);
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(hash, Seen { record: record.clone(), writes, at: Instant::now() });
        Ok(Some(record))
    }

    async fn find_unsaved(&self, hash: &str) -> Result<Option<Record>, StoreError> {
        let (record, password) = {
            let mut unsaved = locked(&self.memory.unsaved);
            unsaved.retain(|_, session| session.ends_at > now());
            let Some(session) = unsaved.get(hash) else { return Ok(None) };
            (session.record.clone(), session.password.clone())
        };
        let is_valid = match person(&record) {
            Some(person) => password_digest(&self.store, person).await? == Some(password),
            None => false,
        };
        if !is_valid {
            locked(&self.memory.unsaved).remove(hash);
        }
        Ok(is_valid.then_some(record))
    }

    /// Keeps a session in memory because the disk is full.
    async fn keep_unsaved(&self, record: &Record) -> Result<(), StoreError> {
        let Some(person) = person(record) else { return Err(StoreError::Full) };
        let Some(password) = password_digest(&self.store, person).await? else {
            return Err(StoreError::Full);
        };
        let hash = id_hash(&record.id);
        let session = Unsaved { record: record.clone(), ends_at: now().plus(UNSAVED_MS), password };
        let mut unsaved = locked(&self.memory.unsaved);
        unsaved.retain(|_, session| session.ends_at > now());
        if unsaved.len() >= MOST_UNSAVED {
            return Err(StoreError::Full);
        }
        unsaved.insert(hash, session);
        tracing::warn!("the disk is full: a session is kept in memory only, for at most 1 hour");
        Ok(())
    }

    /// Updates a session that is only in memory; `false` if it is not one of those.
    fn save_unsaved(&self, record: &Record) -> bool {
        match locked(&self.memory.unsaved).get_mut(&id_hash(&record.id)) {
            Some(session) => {
                session.record = record.clone();
                true
            }
            None => false,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn person(record: &Record) -> Option<i64> {
    record.data.get(PERSON_KEY).and_then(serde_json::Value::as_i64)
}

/// A digest of the password hash of a person who can sign in.
pub async fn password_digest(store: &Store, person: i64) -> Result<Option<String>, StoreError> {
    let Some(person) = people::by_id(store.readers(), person).await? else { return Ok(None) };
    let found = people::credentials(store.readers(), &person.login).await?;
    Ok(found.and_then(|c| c.password_hash).as_deref().map(digest_of_hash))
}

/// The [`password_digest`] of this hash.
pub fn digest_of_hash(hash: &str) -> String {
    sha256_hex(hash.as_bytes())
}

/// The stored form of a session id.
pub fn id_hash(id: &Id) -> String {
    sha256_hex(id.to_string().as_bytes())
}

/// Ends all sessions of a person except the one whose [`id_hash`] is `except`. Returns how many ended.
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

/// Deletes sessions that have expired, and returns how many. They could not be used anyway.
pub async fn prune(conn: &mut SqliteConnection, now: Millis) -> Result<u64, StoreError> {
    let done = sqlx::query!("DELETE FROM session WHERE expires_at <= ?", now.0).execute(conn).await?;
    Ok(done.rows_affected())
}

/// Number of valid sessions of a person.
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
            person: person(record),
            data: json::write(&record.data, "session.data")?,
            expires_at: i64::try_from(expires_at).unwrap_or(i64::MAX),
        })
    }
}

/// A row of the table.
struct Stored {
    id_hash: String,
    person: Option<i64>,
    data: String,
    created_at: i64,
    expires_at: i64,
    mac: String,
}

impl Stored {
    /// The row of a session that was created at a time. It ends [`LONGEST_MS`] after that at the latest.
    fn of(row: Row, created_at: i64) -> Stored {
        let latest = Millis(created_at).plus(LONGEST_MS).0;
        let Row { id_hash, person, data, expires_at } = row;
        Stored { id_hash, person, data, created_at, expires_at: expires_at.min(latest), mac: String::new() }
    }

    fn mac(&self, key: &Key) -> String {
        let person = self.person.map(|id| id.to_string()).unwrap_or_default();
        let digest = digest_fields([
            "stagegate-session-1",
            &self.id_hash,
            &person,
            &self.data,
            &self.created_at.to_string(),
            &self.expires_at.to_string(),
        ]);
        key.digest(digest.as_bytes())
    }

    /// Whether the row was written by this installation. The comparison need not take constant time: the HMAC is
    /// compared with a stored value, not with a value from a browser.
    fn is_authentic(&self, key: &Key) -> bool {
        self.mac == self.mac(key)
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
            // Ids of 128 random bits practically never collide; if one does, another one is used.
            for _ in 0..3 {
                let (key, row) = (self.key.clone(), Row::of(record).map_err(backend)?);
                match self.store.write(move |tx| Box::pin(insert(tx, key, row))).await {
                    Err(error) if error.is_unique_violation() => record.id = Id::default(),
                    Err(StoreError::Full) => return self.keep_unsaved(record).await.map_err(backend),
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
            if self.save_unsaved(record) {
                return Ok(());
            }
            let (key, row) = (self.key.clone(), Row::of(record).map_err(backend)?);
            self.store.write(move |tx| Box::pin(update(tx, key, row))).await.map_err(backend)
        })
    }

    fn load<'a, 'b, 'c>(&'a self, id: &'b Id) -> BoxFuture<'c, SessionResult<Option<Record>>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move { self.find(*id).await.map_err(backend) })
    }

    fn delete<'a, 'b, 'c>(&'a self, id: &'b Id) -> BoxFuture<'c, SessionResult<()>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let (id, hash) = (*id, id_hash(id));
        Box::pin(async move {
            let was_unsaved = locked(&self.memory.unsaved).remove(&hash).is_some();
            // A session that does not exist needs no write.
            if !was_unsaved && load(self.store.readers(), &self.key, id).await.map_err(backend)?.is_some() {
                let row = hash.clone();
                match self.store.write(move |tx| Box::pin(delete(tx, row))).await {
                    Err(StoreError::Full) => {
                        locked(&self.memory.revoked).insert(hash);
                    }
                    result => result.map_err(backend)?,
                }
            }
            self.memory.ended.send_modify(|n| *n += 1);
            Ok(())
        })
    }
}

async fn insert(conn: &mut SqliteConnection, key: Key, row: Row) -> Result<(), StoreError> {
    let created_at = now();
    let stored = Stored::of(row, created_at.0);
    let mac = stored.mac(&key);
    sqlx::query!(
        "INSERT INTO session (id_hash, person, data, created_at, expires_at, mac) VALUES (?, ?, ?, ?, ?, ?)",
        stored.id_hash,
        stored.person,
        stored.data,
        stored.created_at,
        stored.expires_at,
        mac
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Updates only: a session that was ended during one of its requests must stay ended.
async fn update(conn: &mut SqliteConnection, key: Key, row: Row) -> Result<(), StoreError> {
    let found = sqlx::query_as!(
        Stored,
        r#"SELECT id_hash AS "id_hash!", person, data, created_at, expires_at, mac FROM session WHERE id_hash = ?"#,
        row.id_hash
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(found) = found.filter(|found| found.is_authentic(&key)) else { return Ok(()) };
    let stored = Stored::of(row, found.created_at);
    let mac = stored.mac(&key);
    sqlx::query!(
        "UPDATE session SET person = ?, data = ?, expires_at = ?, mac = ? WHERE id_hash = ?",
        stored.person,
        stored.data,
        stored.expires_at,
        mac,
        stored.id_hash
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn delete(conn: &mut SqliteConnection, hash: String) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM session WHERE id_hash = ?", hash).execute(conn).await?;
    Ok(())
}

async fn load(db: impl SqliteExecutor<'_>, key: &Key, id: Id) -> Result<Option<Record>, StoreError> {
    let (hash, now) = (id_hash(&id), now());
    let row = sqlx::query_as!(
        Stored,
        r#"SELECT s.id_hash AS "id_hash!: String", s.person AS "person?: i64", s.data AS "data!: String",
                  s.created_at AS "created_at!: i64", s.expires_at AS "expires_at!: i64", s.mac AS "mac!: String"
           FROM session s LEFT JOIN person p ON p.id = s.person
           WHERE s.id_hash = ? AND s.expires_at > ? AND coalesce(p.disabled, 0) = 0"#,
        hash,
        now.0
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if !row.is_authentic(key) {
        tracing::warn!("a session was rejected: its row was not written by this installation");
        return Ok(None);
    }
    let data: HashMap<String, serde_json::Value> = json::read(&row.data, "session.data")?;
    let expiry_date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(row.expires_at) * 1_000_000)
        .map_err(|_| StoreError::Damaged { what: "session.expires_at" })?;
    Ok(Some(Record { id, data, expiry_date }))
}
