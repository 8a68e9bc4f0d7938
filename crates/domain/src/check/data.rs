//! The declaration of a check on a database.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A check on a database of the stack, run inside its own container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSpec {
    /// What is checked.
    pub assert: DatabaseAssert,
    /// The kind of database.
    #[serde(default)]
    pub engine: DatabaseEngine,
    /// The service that runs it. Needed by everything except `backup`.
    #[serde(default)]
    pub service: Option<String>,
    /// The database user; `postgres` by default. `${KEY}` of the env file allowed.
    #[serde(default)]
    pub user: Option<String>,
    /// The database; the name of the user by default. `${KEY}` of the env file allowed.
    #[serde(default)]
    pub database: Option<String>,
    /// For `migrations`: the tool that records which migrations were applied.
    #[serde(default)]
    pub tool: Option<MigrationTool>,
    /// For `migrations`: instead of `tool`, a query that returns the names of applied migrations, one per row.
    #[serde(default)]
    pub query: Option<String>,
    /// For `migrations`: the migrations on disk, with `*` in the last part. Directories count for Prisma,
    /// files for everything else.
    #[serde(default)]
    pub files: Option<String>,
    /// For `rows`: the minimum number of rows per table (`media`, `public.media`).
    #[serde(default)]
    pub rows: BTreeMap<String, u64>,
    /// For `backup` and `restore`: path or glob (`*` in the last part) of the backups. The newest counts.
    #[serde(default)]
    pub path: Option<String>,
    /// For `backup` and `restore`: maximum age of the newest backup, such as `24h`.
    #[serde(default)]
    pub max_age: Option<String>,
    /// For `backup`: minimum size in bytes; 1 by default.
    #[serde(default)]
    pub min_bytes: Option<u64>,
    /// For `restore`: the restored rows must be identical to those of the source. For databases that
    /// do not change during the restore test.
    #[serde(default)]
    pub exact: bool,
}

/// Assertions about a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseAssert {
    /// Every migration on disk is applied, and every applied one is on disk.
    Migrations,
    /// Tables have at least the declared number of rows.
    Rows,
    /// A backup exists, is recent, and is complete as far as can be checked without restoring it.
    Backup,
    /// The newest backup was restored into a disposable database, compared with the source, and dropped.
    Restore,
}

/// The supported kinds of database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseEngine {
    /// PostgreSQL 11 or later.
    #[default]
    Postgres,
}

/// The tool that records which migrations were applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationTool {
    /// Knex: the table `knex_migrations`.
    Knex,
    /// Prisma: the table `_prisma_migrations`.
    Prisma,
}
