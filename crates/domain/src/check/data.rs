//! The declaration of a check on a database.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A question to a database of the stack, asked inside its own container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSpec {
    /// What is asked.
    pub assert: DatabaseAssert,
    /// What kind of database it is.
    #[serde(default)]
    pub engine: DatabaseEngine,
    /// The service that runs it. Needed by everything except `backup`.
    #[serde(default)]
    pub service: Option<String>,
    /// The user that asks; `postgres` by default. `${KEY}` of the env file allowed.
    #[serde(default)]
    pub user: Option<String>,
    /// The database; named as the user by default. `${KEY}` of the env file allowed.
    #[serde(default)]
    pub database: Option<String>,
    /// For `migrations`: who keeps the record of what was applied.
    #[serde(default)]
    pub tool: Option<MigrationTool>,
    /// For `migrations`: instead of `tool`, a query that gives the names applied, one a row.
    #[serde(default)]
    pub query: Option<String>,
    /// For `migrations`: the migrations on disk, with `*` in the last part. Directories count for Prisma,
    /// files for everything else.
    #[serde(default)]
    pub files: Option<String>,
    /// For `rows`: the least number of rows by table (`media`, `public.media`).
    #[serde(default)]
    pub rows: BTreeMap<String, u64>,
    /// For `backup` and `restore`: path or glob (`*` in the last part) of the backups. The newest counts.
    #[serde(default)]
    pub path: Option<String>,
    /// For `backup` and `restore`: greatest age of the newest one, such as `24h`.
    #[serde(default)]
    pub max_age: Option<String>,
    /// For `backup`: least size in bytes; 1 by default.
    #[serde(default)]
    pub min_bytes: Option<u64>,
    /// For `restore`: the restored rows must equal those of the source, to the letter. For databases that
    /// nobody writes to meanwhile.
    #[serde(default)]
    pub exact: bool,
}

/// Questions to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseAssert {
    /// Every migration on disk is applied, and every applied one is on disk.
    Migrations,
    /// Tables hold at least so many rows.
    Rows,
    /// A backup is there, fresh, and whole as far as can be told without restoring it.
    Backup,
    /// The newest backup was restored into a disposable database, compared with the source, and dropped.
    Restore,
}

/// The kinds of database that can be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseEngine {
    /// PostgreSQL 11 or later.
    #[default]
    Postgres,
}

/// Who records which migrations were applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationTool {
    /// Knex: the table `knex_migrations`.
    Knex,
    /// Prisma: the table `_prisma_migrations`.
    Prisma,
}
