//! The ownership log: typed fields, their history, suggested values, and the export as Markdown.

use domain::action::Action;
use domain::facts::Actor;
use domain::ownership::markdown;
use domain::paging::Cursor;
use domain::release::ReleaseState;
use domain::runbook::{Field, FieldKind, OwnershipLine};
use domain::time::human_span;

use crate::Engine;
use crate::assessment::Assessment;
use crate::error::Error;
use crate::pages::releases::drill_figures;
use crate::view::{OwnershipEntry, OwnershipFieldView, OwnershipHistory, OwnershipLineView, OwnershipPage};
use store::ownership::{self, Entry};
use store::{StoreError, paging};

/// Number of entries shown beside each field.
const ENTRIES: usize = 20;
/// Number of entries on the history page of a field.
const ROWS: u32 = 50;

impl Engine {
    /// The ownership log.
    pub async fn ownership(&self, actor: &Actor) -> Result<OwnershipPage, Error> {
        let assessment = self.assessment();
        let entries = ownership::recent(self.store().readers(), ENTRIES as i64 + 1).await?;
        let lines: Vec<OwnershipLineView> = assessment
            .stack
            .runbook
            .ownership
            .iter()
            .map(|line| OwnershipLineView {
                line: line.clone(),
                fields: line.fields.iter().map(|f| field_view(&assessment, &entries, line, f)).collect(),
            })
            .collect();
        let all: Vec<&OwnershipFieldView> = lines.iter().flat_map(|l| &l.fields).collect();
        let filled = all.iter().filter(|f| !f.history.is_empty()).count();
        let filled = (filled, all.len());
        Ok(OwnershipPage { filled, lines, fill: assessment.may(actor, Action::FillField) })
    }

    /// A page of all values that were ever entered in a field.
    ///
    /// # Errors
    /// The runbook has no such field, or the store cannot be read.
    pub async fn ownership_history(
        &self,
        _actor: &Actor,
        field: &str,
        cursor: Cursor,
    ) -> Result<OwnershipHistory, Error> {
        let stack = self.stack();
        let mut fields = stack.runbook.ownership.iter().flat_map(|l| &l.fields);
        let found =
            fields.find(|f| f.id == field).ok_or_else(|| Error::not_found(format!("Field {field}")))?;
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let (ids, pages) = paging::page(&mut db, paging::ENTRIES_OF_FIELD, Some(field), cursor, ROWS).await?;
        let entries = ownership::by_ids(&mut *db, &ids).await?.into_iter().map(entry_view).collect();
        Ok(OwnershipHistory { field: found.clone(), entries, pages })
    }

    /// The runbook's own section, filled in, as Markdown.
    pub async fn ownership_markdown(&self) -> Result<String, Error> {
        let assessment = self.assessment();
        let latest = ownership::latest(self.store().readers()).await?;
        let value = |id: &str| latest.iter().find(|e| e.field == id).map(|e| e.value.as_str());
        Ok(markdown("Ownership Log", &assessment.stack.runbook.ownership, value))
    }
}

fn field_view(
    assessment: &Assessment,
    entries: &[Entry],
    line: &OwnershipLine,
    field: &Field,
) -> OwnershipFieldView {
    let mut history: Vec<OwnershipEntry> =
        entries.iter().filter(|e| e.field == field.id).cloned().map(entry_view).collect();
    let has_more = history.len() > ENTRIES;
    history.truncate(ENTRIES);
    let suggestion =
        suggestion(assessment, line, field).filter(|s| history.first().is_none_or(|e| e.value != *s));
    OwnershipFieldView { field: field.clone(), history, has_more, suggestion }
}

fn entry_view(entry: Entry) -> OwnershipEntry {
    OwnershipEntry { id: entry.id, value: entry.value, by_name: entry.by_name, at: entry.at }
}

/// A value for the first-deploy line or the drill line, taken from recorded runs. A person has to confirm it.
fn suggestion(assessment: &Assessment, line: &OwnershipLine, field: &Field) -> Option<String> {
    let text = line.text.to_lowercase();
    if text.contains("deploy") {
        let first = assessment
            .snapshot
            .releases
            .iter()
            .rev()
            .find(|r| r.state == ReleaseState::Deployed || r.deployed_at.is_some())?;
        return match field.kind {
            FieldKind::Commit => {
                let short = first.short_commit();
                let short = short.trim_end_matches('*');
                short.bytes().all(|b| b.is_ascii_hexdigit()).then(|| short.to_owned())
            }
            FieldKind::Date => first.deployed_at.map(|at| at.date()),
            FieldKind::Tags => Some(format!("r{}", first.id)),
            FieldKind::Person => first.deployed_by.map(|id| assessment.snapshot.name(id)),
            FieldKind::Duration | FieldKind::Text => None,
        };
    }
    if text.contains("drill") || text.contains("rollback") {
        let runs = &assessment.snapshot.runs;
        // Without a drill yet, a real rollback gives the same values.
        let drill = runs.drill.as_ref().or(runs.rollback.as_ref())?;
        let figures = drill_figures(drill);
        return match field.kind {
            FieldKind::Date => drill.ended_at.map(|at| at.date()),
            FieldKind::Duration => Some(human_span(drill.ended_at?.since(drill.started_at))),
            FieldKind::Person => Some(drill.by_name.clone()),
            FieldKind::Commit | FieldKind::Tags => None,
            FieldKind::Text => Some(match &figures {
                None => format!("run {}: {}", drill.id, drill.title),
                Some(f) => format!(
                    "run {}: rollback in {}, return in {}{}",
                    drill.id,
                    human_span(f.away_ms),
                    human_span(f.back_ms),
                    f.outages
                        .iter()
                        .map(|o| o.longest_ms)
                        .max()
                        .map_or_else(String::new, |ms| format!(", longest outage {}", human_span(ms)))
                ),
            }),
        };
    }
    None
}
