//! Accepting the current state of records that differ from the audit log, with a command on the server.

use domain::time::Millis;
use sqlx::SqliteConnection;

use super::check::{Fault, FaultKind};
use super::schema::{self, SCHEMA};
use super::{AuditAction, Event, Outcome, Row, append, derived, rows};
use crate::StoreError;

/// Maximum length of the reason in characters: an event contains the reason and the names of rows.
pub const LONGEST_REASON: usize = 300;
/// Maximum number of characters for the names of rows in one event; more rows need more events.
const ROWS_TEXT: usize = 600;

/// Makes the audit log cover the current state of the rows named in `faults`, recomputes rows of derived tables, and
/// restores triggers and indexes to those of the migrations. The events name each row and the reason. The chain of the
/// log itself must be verified before.
///
/// # Errors
/// Fails when the store cannot be written.
pub async fn accept(
    conn: &mut SqliteConnection,
    faults: &[Fault],
    reason: &str,
    at: Millis,
) -> Result<Vec<Row>, StoreError> {
    let mut events = Vec::new();
    for part in parts(faults) {
        for fault in part {
            match fault.kind {
                _ if fault.table == SCHEMA => schema::put_right(&mut *conn, fault).await?,
                FaultKind::Derived => derived::compute_again(&mut *conn, fault).await?,
                _ => rows::note(&mut *conn, fault.table, fault.entry).await?,
            }
        }
        let subject = if part.len() == 1 { "1 record".to_owned() } else { format!("{} records", part.len()) };
        let detail = format!("from the console: {reason}; accepted in the current state: {}", named(part));
        let event =
            Event::new(at, None, AuditAction::RecordsAccept, subject).outcome(Outcome::Done).detail(detail);
        events.push(append(&mut *conn, &event).await?);
    }
    Ok(events)
}

/// Splits `faults` into parts that fit into one event each.
fn parts(faults: &[Fault]) -> Vec<&[Fault]> {
    let most = usize::try_from(rows::PER_EVENT).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let mut rest = faults;
    while !rest.is_empty() {
        let mut end = 1;
        while end < rest.len().min(most) && named(&rest[..=end]).chars().count() <= ROWS_TEXT {
            end += 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}

/// `sign_off 3 (inserted), evidence 5 to 80 (changed)`.
fn named(faults: &[Fault]) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut rest = faults;
    while let Some(first) = rest.first() {
        let follows = |(n, fault): &(usize, &Fault)| {
            fault.table == first.table
                && fault.kind == first.kind
                && fault.kind != FaultKind::Derived
                && fault.table != SCHEMA
                && i64::try_from(*n).is_ok_and(|n| first.entry.checked_add(n) == Some(fault.entry))
        };
        let run = rest.iter().enumerate().take_while(follows).count().max(1);
        let (these, after) = rest.split_at(run);
        rest = after;
        let what = match first.kind {
            _ if first.table == SCHEMA => "restored to its definition",
            FaultKind::Inserted => "inserted",
            FaultKind::Changed => "changed",
            FaultKind::Removed => "deleted",
            FaultKind::Derived => "recomputed",
        };
        match these.last().filter(|last| last.entry != first.entry) {
            Some(last) => out.push(format!("{} to {} ({what})", first.row(), last.entry)),
            None => out.push(format!("{} ({what})", first.row())),
        }
    }
    out.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(table: &'static str, entry: i64) -> Fault {
        Fault { table, entry, kind: FaultKind::Changed, check: String::new() }
    }

    #[test]
    fn consecutive_rows_are_named_together() {
        let mut faults: Vec<Fault> = (5..=80).map(|entry| changed("evidence", entry)).collect();
        faults.push(changed("evidence", 90));
        faults.push(Fault {
            kind: FaultKind::Derived,
            check: "unit".to_owned(),
            ..changed("evidence_group", 2)
        });
        faults.push(Fault { kind: FaultKind::Inserted, ..changed("sign_off", 3) });
        assert_eq!(
            named(&faults),
            "evidence 5 to 80 (changed), evidence 90 (changed), evidence_group of release 2, check unit (recomputed), \
             sign_off 3 (inserted)"
        );
        assert_eq!(parts(&faults).len(), 1);
    }

    #[test]
    fn no_event_names_more_than_it_can_hold() {
        let faults: Vec<Fault> = (0..300).map(|n| changed("evidence", n * 2)).collect();
        let parts = parts(&faults);
        assert!(parts.len() > 1 && parts.iter().all(|part| named(part).chars().count() <= ROWS_TEXT));
        assert_eq!(parts.concat(), faults);
    }
}
