//! Which parts of the store have changed since they were last read. Triggers count changes in the transaction of the
//! change, so this includes changes by other processes.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::StoreError;

/// A part of the store that is cached in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StorePart {
    /// People and their roles.
    People,
    /// Releases, their events and migrations.
    Releases,
    /// Evidence of checks.
    Evidence,
    /// Runs.
    Runs,
    /// Attestations, waivers, acceptances, sign-offs, decisions.
    Words,
    /// Changes of observed things.
    Changes,
    /// Incidents and their notes.
    Incidents,
}

impl StorePart {
    fn slug(self) -> &'static str {
        match self {
            StorePart::People => "people",
            StorePart::Releases => "releases",
            StorePart::Evidence => "evidence",
            StorePart::Runs => "runs",
            StorePart::Words => "words",
            StorePart::Changes => "changes",
            StorePart::Incidents => "incidents",
        }
    }
}

/// How often each part was written to, and the newest audit event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revisions {
    parts: BTreeMap<String, i64>,
    audit: i64,
}

impl Revisions {
    /// How often a part was written to; 0 if it was never read.
    pub fn get(&self, part: StorePart) -> i64 {
        self.parts.get(part.slug()).copied().unwrap_or(0)
    }

    /// Id of the newest audit event.
    pub fn head(&self) -> i64 {
        self.audit
    }

    /// Whether no part has changed between the two.
    pub fn same_parts(&self, other: &Revisions) -> bool {
        self.parts == other.parts
    }
}

/// The current revisions.
pub async fn read(conn: &mut SqliteConnection) -> Result<Revisions, StoreError> {
    let rows = sqlx::query!(r#"SELECT part AS "part!", n AS "n!: i64" FROM part_revision"#)
        .fetch_all(&mut *conn)
        .await?;
    let audit = sqlx::query_scalar!(r#"SELECT coalesce(max(seq), 0) AS "seq!: i64" FROM audit_event"#)
        .fetch_one(&mut *conn)
        .await?;
    Ok(Revisions { parts: rows.into_iter().map(|r| (r.part, r.n)).collect(), audit })
}
