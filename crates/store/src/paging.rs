//! Pages of long lists: the ids of the rows on a page, by key. The cost of a page does not depend on the length of the
//! list.

use domain::paging::{Cursor, Pages};
use sqlx::SqliteConnection;

use super::StoreError;

/// A list that has pages.
#[derive(Debug, Clone, Copy)]
pub struct Paged {
    /// Ids below an id, the highest first.
    older: &'static str,
    /// Ids above an id, the lowest first.
    newer: &'static str,
}

macro_rules! paged {
    ($table:literal, $key:literal, $only:literal) => {
        Paged {
            older: concat!(
                "SELECT ",
                $key,
                " FROM ",
                $table,
                " WHERE ",
                $key,
                " < ?1 AND ",
                $only,
                " ORDER BY ",
                $key,
                " DESC LIMIT ?2"
            ),
            newer: concat!(
                "SELECT ",
                $key,
                " FROM ",
                $table,
                " WHERE ",
                $key,
                " > ?1 AND ",
                $only,
                " ORDER BY ",
                $key,
                " LIMIT ?2"
            ),
        }
    };
}

/// All releases.
pub const RELEASES: Paged = paged!("release", "id", "true");
/// All runs.
pub const RUNS: Paged = paged!("run", "id", "true");
/// Runs of the kind given as the filter.
pub const RUNS_OF_KIND: Paged = paged!("run", "id", "kind = ?3");
/// Entries of the field given as the filter.
pub const ENTRIES_OF_FIELD: Paged = paged!("ownership_entry", "id", "field = ?3");
/// All invitations, by time of creation. Those of the same millisecond are on the same page.
pub const INVITATIONS: Paged = paged!("link", "created_at", "kind = 'invite'");
/// All incidents.
pub const INCIDENTS: Paged = paged!("incident", "id", "true");
/// All events of the audit log.
pub const EVENTS: Paged = paged!("audit_event", "seq", "true");
/// The evidence of the check given as the filter.
pub const EVIDENCE_OF_CHECK: Paged = paged!("evidence", "id", "check_id = ?3");

/// The ids on a page, the highest first, and where the previous and next page begin.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn page(
    conn: &mut SqliteConnection,
    list: Paged,
    filter: Option<&str>,
    cursor: Cursor,
    size: u32,
) -> Result<(Vec<i64>, Pages), StoreError> {
    if let Cursor::After(after) = cursor {
        let mut ids = numbers(&mut *conn, list.newer, filter, after, size + 1).await?;
        let more = ids.len() > size as usize;
        ids.truncate(size as usize);
        ids.reverse();
        // If the page is not full, the newest page is returned instead.
        if let (true, Some(first), Some(last)) = (more || ids.len() == size as usize, ids.first(), ids.last())
        {
            let older = numbers(&mut *conn, list.older, filter, *last, 1).await?;
            let pages = Pages { newer: more.then_some(*first), older: (!older.is_empty()).then_some(*last) };
            return Ok((ids, pages));
        }
    }
    let below = match cursor {
        Cursor::Before(before) => before,
        Cursor::Newest | Cursor::After(_) => i64::MAX,
    };
    let mut ids = numbers(&mut *conn, list.older, filter, below, size + 1).await?;
    let more = ids.len() > size as usize;
    ids.truncate(size as usize);
    let above = match ids.first() {
        Some(first) if below != i64::MAX => numbers(conn, list.newer, filter, *first, 1).await?,
        _ => vec![],
    };
    let newer = ids.first().copied().filter(|_| !above.is_empty());
    let older = ids.last().copied().filter(|_| more);
    Ok((ids, Pages { newer, older }))
}

async fn numbers(
    conn: &mut SqliteConnection,
    sql: &'static str,
    filter: Option<&str>,
    from: i64,
    size: u32,
) -> Result<Vec<i64>, StoreError> {
    let query = sqlx::query_scalar(sql).bind(from).bind(size);
    Ok(match filter {
        Some(filter) => query.bind(filter.to_owned()).fetch_all(conn).await?,
        None => query.fetch_all(conn).await?,
    })
}
