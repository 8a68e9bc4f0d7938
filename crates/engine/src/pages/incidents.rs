//! Incidents: the list, one of them, and its report as Markdown.

use domain::action::Action;
use domain::facts::Actor;
use domain::incident::{Incident, Note, cause, follow_ups, markdown};
use domain::paging::Cursor;

use crate::Engine;
use crate::error::Error;
use crate::view::{IncidentPage, IncidentRow, IncidentsPage};
use store::{StoreError, incidents, paging};

/// Incidents on a page of the list.
const ROWS: u32 = 25;

impl Engine {
    /// A page of the incidents.
    pub async fn incidents(&self, _actor: &Actor, cursor: Cursor) -> Result<IncidentsPage, Error> {
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let (ids, pages) = paging::page(&mut db, paging::INCIDENTS, None, cursor, ROWS).await?;
        let rows = incidents::these(&mut *db, &ids).await?;
        drop(db);
        Ok(IncidentsPage { rows: self.incident_rows(&rows).await?, pages })
    }

    /// One incident with everything that was added to it.
    pub async fn incident(&self, actor: &Actor, id: i64) -> Result<IncidentPage, Error> {
        let assessment = self.assessment();
        let incident = self.find_incident(id).await?;
        let notes = incidents::notes(self.store().readers(), id).await?;
        let names = self.release_names(&incident).await?;
        Ok(IncidentPage {
            row: incident_row(&incident, &notes, |id| name_of(&names, id)),
            notes,
            note: assessment.may(actor, Action::NameCause),
        })
    }

    /// The report of an incident, for use outside of Stagegate.
    pub async fn incident_markdown(&self, id: i64) -> Result<String, Error> {
        let assessment = self.assessment();
        let incident = self.find_incident(id).await?;
        let notes = incidents::notes(self.store().readers(), id).await?;
        Ok(markdown(&assessment.stack.name, &incident, &notes))
    }

    /// Incidents as lists show them.
    async fn incident_rows(&self, incidents: &[Incident]) -> Result<Vec<IncidentRow>, Error> {
        let mut rows = Vec::new();
        for incident in incidents {
            let notes = incidents::notes(self.store().readers(), incident.id).await?;
            let names = self.release_names(incident).await?;
            rows.push(incident_row(incident, &notes, |id| name_of(&names, id)));
        }
        Ok(rows)
    }

    /// The newest incidents as lists show them.
    pub(crate) async fn newest_incidents(&self, limit: i64) -> Result<Vec<IncidentRow>, Error> {
        let newest = incidents::list(self.store().readers(), None, limit).await?;
        self.incident_rows(&newest).await
    }

    pub(crate) async fn find_incident(&self, id: i64) -> Result<Incident, Error> {
        let found = incidents::by_id(self.store().readers(), id).await?;
        found.ok_or_else(|| Error::not_found(format!("Incident {id}")))
    }

    /// The names of the releases that an incident is about.
    async fn release_names(&self, incident: &Incident) -> Result<Vec<(i64, String)>, Error> {
        let mut names = Vec::new();
        for id in incident.from.into_iter().chain([incident.to]) {
            if let Some(release) = self.find_release(id).await? {
                names.push((id, release.name()));
            }
        }
        Ok(names)
    }
}

fn name_of(names: &[(i64, String)], id: i64) -> String {
    names
        .iter()
        .find(|(release, _)| *release == id)
        .map_or_else(|| format!("#{id}"), |(_, name)| name.clone())
}

/// An incident as lists show it; `name` names a release.
pub(crate) fn incident_row(incident: &Incident, notes: &[Note], name: impl Fn(i64) -> String) -> IncidentRow {
    IncidentRow {
        from: incident.from.map(&name),
        to: name(incident.to),
        cause: cause(notes).map(|n| n.text.clone()),
        open_follow_ups: follow_ups(notes).iter().filter(|(_, done)| done.is_none()).count(),
        incident: incident.clone(),
    }
}
