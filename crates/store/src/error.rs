//! Errors of the store. The message is for people; the cause is available from `source()`.

use std::sync::Arc;

use sqlx::error::DatabaseError;

/// An error of the store. Cheap to clone: one failed commit is returned to many writers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database was written by a newer version.
    #[error(
        "the data directory was written by a newer version of Stagegate (schema {found}; this version supports up to {known}); install that version, or choose another directory with --data"
    )]
    NewerData {
        /// The newest migration found in the database.
        found: i64,
        /// The newest migration of this version.
        known: i64,
    },
    /// The linked SQLite version can lose committed writes.
    #[error("SQLite {found} can lose committed data; 3.51.3 or newer is required")]
    OldSqlite {
        /// Its version.
        found: String,
    },
    /// The data directory cannot be used.
    #[error("the data directory cannot be used: {source}")]
    Directory {
        /// The error of the operating system.
        source: Arc<std::io::Error>,
    },
    /// The schema could not be upgraded.
    #[error("the database schema could not be upgraded")]
    Migrate(#[source] Arc<sqlx::migrate::MigrateError>),
    /// The disk is full; nothing of the action was saved.
    #[error("the disk is full; nothing was saved")]
    Full,
    /// The disk failed; nothing of the action was saved.
    #[error("the database could not be read or written; nothing was saved")]
    Io(#[source] Arc<sqlx::Error>),
    /// Another process kept the database locked.
    #[error("the database is busy; try again")]
    Busy,
    /// A rule of the schema was violated (append-only, unique, a check); the text names the rule.
    #[error("the database rejected the change: {0}")]
    Refused(String),
    /// A stored value cannot be read.
    #[error("the database contains a value that cannot be read ({what})")]
    Damaged {
        /// Table and column.
        what: &'static str,
    },
    /// The store was closed.
    #[error("Stagegate is shutting down")]
    Closed,
    /// A job panicked or took too long; its changes were undone.
    #[error("the action was aborted; nothing was saved")]
    BrokenOff,
    /// Any other error of the database.
    #[error("the database reported an error")]
    Database(#[source] Arc<sqlx::Error>),
}

// Primary result codes of SQLite; extended codes contain them in their low byte.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const CONSTRAINT: i32 = 19;
const NOTADB: i32 = 26;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        let code = error.as_database_error().and_then(primary_code);
        match (code, &error) {
            (Some(FULL), _) => StoreError::Full,
            (Some(BUSY | LOCKED), _) => StoreError::Busy,
            (Some(IOERR | CANTOPEN | READONLY | CORRUPT | NOTADB), _) | (None, sqlx::Error::Io(_)) => {
                StoreError::Io(Arc::new(error))
            }
            (Some(CONSTRAINT), sqlx::Error::Database(e)) => StoreError::Refused(e.message().to_owned()),
            (None, sqlx::Error::PoolClosed) => StoreError::Closed,
            _ => StoreError::Database(Arc::new(error)),
        }
    }
}

fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    error.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}

impl StoreError {
    /// Whether the file itself is damaged; a retry does not help then.
    pub fn is_damage(&self) -> bool {
        let code = match self {
            StoreError::Io(error) => error.as_database_error().and_then(primary_code),
            _ => None,
        };
        matches!(code, Some(CORRUPT | NOTADB))
    }

    /// Whether a value that must be unique exists already.
    pub(crate) fn is_unique_violation(&self) -> bool {
        matches!(self, StoreError::Refused(rule) if rule.starts_with("UNIQUE"))
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions as _, SqliteConnection};

    use super::*;

    async fn ask(conn: Result<SqliteConnection, sqlx::Error>) -> StoreError {
        match conn {
            Err(error) => error.into(),
            Ok(mut conn) => {
                sqlx::query("SELECT count(*) FROM sqlite_master").execute(&mut conn).await.unwrap_err().into()
            }
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_distinguished_from_one_that_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("db");
        std::fs::write(&file, vec![b'x'; 8192]).unwrap();
        let damaged = ask(SqliteConnectOptions::new().filename(&file).connect().await).await;
        assert!(matches!(damaged, StoreError::Io(_)) && damaged.is_damage(), "{damaged:?}");
        let missing =
            ask(SqliteConnectOptions::new().filename(dir.path().join("none")).connect().await).await;
        assert!(matches!(missing, StoreError::Io(_)) && !missing.is_damage(), "{missing:?}");
    }
}
