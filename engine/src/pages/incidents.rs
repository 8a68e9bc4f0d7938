//! Incidents: the list, one of them, and its report as Markdown.

use domain::facts::Actor;
use domain::incident::{Incident, cause, follow_ups, markdown};
use domain::page::Cursor;

use crate::Engine;
use crate::error::Error;
use crate::judging::Judged;
use crate::store::{StoreError, incidents, paging};
use crate::view::{IncidentPage, IncidentRow, IncidentsPage};

/// Incidents on a page of the list.
const ROWS: u32 = 25;

impl Engine {
    /// A page of the incidents.
    pub async fn incidents(&self, _actor: &Actor, cursor: Cursor) -> Result<IncidentsPage, Error> {
        let judged = self.judged();
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let (ids, pages) = paging::page(&mut db, paging::INCIDENTS, None, cursor, ROWS).await?;
        let rows = incidents::these(&mut *db, &ids).await?;
        Ok(IncidentsPage { rows: rows.iter().map(|i| incident_row(&judged, i)).collect(), pages })
    }

    /// One incident with all that was added to it.
    pub async fn incident(&self, actor: &Actor, id: i64) -> Result<IncidentPage, Error> {
        let judged = self.judged();
        let incident = find(&judged, id)?;
        Ok(IncidentPage {
            row: incident_row(&judged, incident),
            notes: judged.known.incident_notes.iter().filter(|n| n.incident == id).cloned().collect(),
            note: judged.may(actor, "name_cause"),
        })
    }

    /// The report of an incident, to be kept elsewhere.
    pub async fn incident_markdown(&self, id: i64) -> Result<String, Error> {
        let judged = self.judged();
        let incident = find(&judged, id)?;
        let notes: Vec<_> =
            judged.known.incident_notes.iter().filter(|n| n.incident == id).cloned().collect();
        Ok(markdown(&judged.stack.name, incident, &notes))
    }
}

fn find(judged: &Judged, id: i64) -> Result<&Incident, Error> {
    let found = judged.known.incidents.iter().find(|i| i.id == id);
    found.ok_or_else(|| Error::not_found(format!("Incident {id}")))
}

/// An incident as lists show it.
pub(crate) fn incident_row(judged: &Judged, incident: &Incident) -> IncidentRow {
    let notes: Vec<_> =
        judged.known.incident_notes.iter().filter(|n| n.incident == incident.id).cloned().collect();
    let name = |id| judged.known.release(id).map_or_else(|| format!("#{id}"), |r| r.name());
    IncidentRow {
        from: incident.from.map(name),
        to: name(incident.to),
        cause: cause(&notes).map(|n| n.text.clone()),
        open_follow_ups: follow_ups(&notes).iter().filter(|(_, done)| done.is_none()).count(),
        incident: incident.clone(),
    }
}
