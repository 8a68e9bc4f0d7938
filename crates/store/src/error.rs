//! What can go wrong in the store. The message is for people; the cause stays behind `source()`.

use std::sync::Arc;

use sqlx::error::DatabaseError;

/// The store could not do what was asked. Cheap to clone: one failed commit answers many writers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database was written by a newer version.
    #[error(
        "the data directory belongs to a newer version of Stagegate (its schema is {found}, this version knows {known}); install that version, or point --data elsewhere"
    )]
    NewerData {
        /// The newest migration found in the database.
        found: i64,
        /// The newest migration that this version knows.
        known: i64,
    },
    /// The linked SQLite is one that can lose committed writes.
    #[error("SQLite {found} can lose committed data; 3.51.3 or newer is needed")]
    OldSqlite {
        /// Its version.
        found: String,
    },
    /// The data directory cannot be used.
    #[error("the data directory cannot be used: {source}")]
    Directory {
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// The schema could not be brought up to date.
    #[error("the database could not be brought up to date")]
    Migrate(#[source] Arc<sqlx::migrate::MigrateError>),
    /// The disk is full; nothing of the action was stored.
    #[error("the disk is full; nothing was stored")]
    Full,
    /// The disk failed; nothing of the action was stored.
    #[error("the database could not be read or written; nothing was stored")]
    Io(#[source] Arc<sqlx::Error>),
    /// Another process kept the database locked.
    #[error("the database is busy; try again")]
    Busy,
    /// A rule of the schema said no (append-only, unique, a check); the text names the rule.
    #[error("the store refused it: {0}")]
    Refused(String),
    /// A stored value cannot be read back.
    #[error("the store holds a value that cannot be read ({what})")]
    Damaged {
        /// Table and column.
        what: &'static str,
    },
    /// The store was closed.
    #[error("Stagegate is shutting down")]
    Closed,
    /// A job panicked or took too long; its changes were undone.
    #[error("the act was broken off; nothing was stored")]
    BrokenOff,
    /// Anything else that the database said.
    #[error("the database could not answer")]
    Database(#[source] Arc<sqlx::Error>),
}

// Primary result codes of SQLite; extended codes hold them in their low byte.
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
    /// Whether the file itself is damaged, which does not go away by itself.
    pub fn is_damage(&self) -> bool {
        let code = match self {
            StoreError::Io(error) => error.as_database_error().and_then(primary_code),
            _ => None,
        };
        matches!(code, Some(CORRUPT | NOTADB))
    }

    /// Whether the message tells of a value that must be unique and is not.
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
    async fn a_damaged_file_is_told_from_one_that_cannot_be_read_now() {
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
