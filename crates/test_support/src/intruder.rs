//! An attacker who has the database file, and can bypass its triggers without a trace.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};

pub struct Intruder {
    pub conn: SqliteConnection,
}

impl Intruder {
    pub async fn at(file: &Path) -> Intruder {
        let options = SqliteConnectOptions::new().filename(file).foreign_keys(false);
        Intruder { conn: options.connect().await.unwrap() }
    }

    /// Runs SQL without triggers; they are restored in the same transaction.
    pub async fn run(&mut self, sql: &str) {
        let triggers: Vec<(String, String)> =
            sqlx::query_as("SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'")
                .fetch_all(&mut self.conn)
                .await
                .unwrap();
        let drop: String = triggers.iter().map(|(name, _)| format!("DROP TRIGGER {name};\n")).collect();
        let back: String = triggers.iter().map(|(_, sql)| format!("{sql};\n")).collect();
        let all = format!("BEGIN IMMEDIATE;\n{drop}{sql};\n{back}COMMIT");
        sqlx::raw_sql(AssertSqlSafe(all)).execute(&mut self.conn).await.unwrap();
    }
}
