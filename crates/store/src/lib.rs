//! The store: all state in one SQLite file, with one writer and a pool of readers. One module per kind of record.
//!
//! Only this crate contains SQL. It contains no rules: the caller decides what may be stored and when.

pub mod audit;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, SqliteConnection};

mod error;
mod json;
mod writer;

pub mod acceptances;
pub mod attestations;
pub mod changes;
pub mod decisions;
pub mod evidence;
pub mod housekeeping;
pub mod idempotency;
pub mod incidents;
pub mod invitations;
pub mod links;
pub mod migration_lists;
pub mod ownership;
pub mod paging;
pub mod people;
pub mod releases;
pub mod retention;
pub mod revisions;
pub mod run_follow_ups;
pub mod runs;
pub mod sessions;
pub mod sign_offs;
pub mod waivers;

pub use error::StoreError;
/// A connection; inside a transaction if it comes from [`Store::write`].
pub use sqlx::SqliteConnection as Connection;
pub use writer::Others;

/// The migrations of the schema.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Name of the database file in the data directory.
pub const FILE_NAME: &str = "stagegate.db";
/// The first SQLite version without the bug that loses commits in WAL mode with several connections.
const LEAST_SQLITE: (u32, u32, u32) = (3, 51, 3);
const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The store: clones share one writer and one pool.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    file: PathBuf,
    readers: SqlitePool,
    writer: writer::Writer,
    /// Counts commits of this process.
    writes: Arc<AtomicU64>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("file", &self.inner.file).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens (or creates) the database in the directory `data` and upgrades its schema. The directory
    /// is made private to this user. Fails on data of a newer version without changing anything.
    pub async fn open(data: &Path) -> Result<Store, StoreError> {
        let file = data.join(FILE_NAME);
        make_private(data, &file).map_err(|e| StoreError::Directory { source: Arc::new(e) })?;
        let base = SqliteConnectOptions::new().filename(&file).foreign_keys(true).busy_timeout(BUSY_TIMEOUT);
        let probe = base.clone().connect().await?;
        refuse_what_cannot_work(probe).await?;
        let write = base
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // Without it, INSERT OR REPLACE would delete rows without firing the triggers.
            .pragma("recursive_triggers", "ON")
            // Deleted and replaced content is overwritten, not only unlinked.
            .pragma("secure_delete", "ON")
            // The list of rows that the audit log must still cover needs no file.
            .pragma("temp_store", "MEMORY");
        let mut conn = write.connect().await?;
        MIGRATOR.run(&mut conn).await.map_err(|e| StoreError::Migrate(Arc::new(e)))?;
        crate::audit::rows::prepare(&mut conn).await?;
        match crate::audit::rows::adopt(&mut conn).await {
            // The server must also start when the disk is full; the next start repeats this.
            Err(StoreError::Full) => {
                tracing::error!(
                    "the disk is full: the audit log does not cover records of an earlier version yet; free space and restart"
                );
                // SQLite may have ended the transaction itself, and then sqlx has a wrong state of this connection.
                drop(conn);
                conn = write.connect().await?;
                crate::audit::rows::prepare(&mut conn).await?;
            }
            done => done?,
        }
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(base.read_only(true))
            .await?;
        let writes = Arc::new(AtomicU64::new(0));
        let writer = writer::Writer::start(conn, write, writes.clone());
        Ok(Store { inner: Arc::new(Inner { file, readers, writer, writes }) })
    }

    /// The readers. They see everything that [`Store::write`] has confirmed.
    pub fn readers(&self) -> &SqlitePool {
        &self.inner.readers
    }

    /// Runs `job` in its own transaction and returns when its changes are durable. An `Err` of the job
    /// undoes all its changes, and only those. The job must not wait for anything except the connection.
    ///
    /// ```ignore
    /// let id = store
    ///     .write(move |tx| Box::pin(async move {
    ///         let id = sign_offs::add(tx, &sign_off).await?;
    ///         act.done(tx, now, "").await?;
    ///         Ok::<_, StoreError>(id)
    ///     }))
    ///     .await?;
    /// ```
    pub async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.inner.writer.write(job).await
    }

    /// How many transactions this process has committed. A cache stores the number from before it read:
    /// while the number is the same, this process has written nothing since.
    pub fn writes(&self) -> u64 {
        self.inner.writes.load(Ordering::Acquire)
    }

    /// Checks whether other connections have written to the file since the store was opened.
    ///
    /// # Errors
    /// Fails when the store cannot be read.
    pub async fn others(&self) -> Result<Others, StoreError> {
        self.inner.writer.others(false).await
    }

    /// The same, and searches again for an event that was missing from the audit log: if it is back, it no longer
    /// counts as missing.
    ///
    /// # Errors
    /// Fails when the store cannot be read.
    pub async fn others_settled(&self) -> Result<Others, StoreError> {
        self.inner.writer.others(true).await
    }

    /// Path of the database.
    pub fn file(&self) -> &Path {
        &self.inner.file
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.inner.readers.is_closed()
    }

    /// Finishes queued writes and closes the file. Later calls on any clone fail with [`StoreError::Closed`].
    pub async fn close(&self) {
        // Readers first: the writer closes last, so that it can checkpoint the WAL.
        self.inner.readers.close().await;
        self.inner.writer.stop().await;
    }
}

/// Makes the directory 0700 and the file 0600 before SQLite touches them; its WAL inherits the file's mode.
fn make_private(data: &Path, file: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(data)?;
    std::fs::set_permissions(data, Permissions::from_mode(0o700))?;
    OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    std::fs::set_permissions(file, Permissions::from_mode(0o600))
}

async fn refuse_what_cannot_work(mut conn: SqliteConnection) -> Result<(), StoreError> {
    use sqlx::Connection as _;
    let found: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut conn).await?;
    if !is_safe_sqlite(&found) {
        return Err(StoreError::OldSqlite { found });
    }
    // Without the checked macros, because a new file does not have this table yet.
    let migrated: Option<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE name = '_sqlx_migrations'")
            .fetch_optional(&mut conn)
            .await?;
    if migrated.is_some() {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut conn).await?;
        let known = MIGRATOR.iter().map(|m| m.version).max().unwrap_or(0);
        if let Some(found) = found.filter(|found| *found > known) {
            return Err(StoreError::NewerData { found, known });
        }
    }
    conn.close().await?;
    Ok(())
}

/// The version of SQLite that is linked in.
pub fn sqlite_version() -> String {
    String::from_utf8_lossy(libsqlite3_sys::SQLITE_VERSION.to_bytes()).into_owned()
}

fn is_safe_sqlite(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next()) >= LEAST_SQLITE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linked_sqlite_is_safe() {
        assert!(is_safe_sqlite(&sqlite_version()), "{}", sqlite_version());
    }

    #[test]
    fn only_versions_without_the_wal_bug_are_safe() {
        for (version, safe) in [
            ("3.51.3", true),
            ("3.51.2", false),
            ("3.50.7", false),
            ("3.52.0", true),
            ("4.0.0", true),
            ("3.9.9", false),
            ("", false),
        ] {
            assert_eq!(is_safe_sqlite(version), safe, "{version}");
        }
    }
}
