//! Incidents: the facts of a real rollback, and the cause and follow-ups that people add.

mod acts;
mod page;

#[cfg(test)]
mod tests;

use domain::pages::Page;
use engine::view::{IncidentRow, IncidentsPage as IncidentsPageView};
use leptos::prelude::*;
use leptos_meta::Title;

pub(crate) use acts::{AddFollowUp, FinishFollowUp, NameCause};
pub use page::{IncidentPage, incident_view};

use crate::ssr::page;
use crate::ui::{Icon, badge, card, cursor, empty, page_head, pager, time};

/// The list of all incidents; `?before=` and `?after=` select the page of the list.
#[component]
pub fn IncidentsPage() -> impl IntoView {
    let cursor = cursor();
    page(move |context| async move {
        let incidents = context.engine.incidents(context.actor()?, cursor).await?;
        Ok(incidents_view(&incidents))
    })
}

/// Renders the list.
pub fn incidents_view(page: &IncidentsPageView) -> AnyView {
    let body = if page.rows.is_empty() {
        empty(
            "No incidents",
            "Stagegate opens an incident after a rollback or a clean restart. Drills do not open incidents.",
        )
    } else {
        incident_list(&page.rows)
    };
    view! {
        <Title text=Page::Incidents.title() />
        {page_head("Incidents", (), ())}
        {card("incident-list", "Newest first", (), body)}
        {pager("/incidents", "Pages of the list", page.pages)}
    }
    .into_any()
}

/// Incidents, one entry each.
pub fn incident_list(incidents: &[IncidentRow]) -> AnyView {
    let rows = incidents.iter().map(line).collect_view();
    view! { <ol class="lines">{rows}</ol> }.into_any()
}

fn line(row: &IncidentRow) -> AnyView {
    let incident = &row.incident;
    let (from, to) = (row.from.clone().unwrap_or_else(|| row.to.clone()), row.to.clone());
    let what = match incident.is_restart() {
        true => format!("All containers of release {to} were recreated"),
        false => format!("From release {from} to release {to}"),
    };
    let cause = match &row.cause {
        Some(cause) => view! { <p class="wrap">{cause.clone()}</p> }.into_any(),
        None => view! { <p class="small warn">"The cause is not recorded yet."</p> }.into_any(),
    };
    let open = match row.open_follow_ups {
        0 => None,
        1 => Some(badge("open", Icon::Circle, "1 open follow-up")),
        n => Some(badge("open", Icon::Circle, &format!("{n} open follow-ups"))),
    };
    view! {
        <li class="stack stack--tight" id=format!("incident-{}", incident.id)>
            <div class="row">
                <a class="strong" href=format!("/incidents/{}", incident.id)>
                    {format!("Incident {}", incident.id)}
                </a>
                {state_badge(row)}
                {open}
            </div>
            <p class="small muted">
                {what} ", decided by " {incident.by_name.clone()} ", " {time(incident.at)}
            </p>
            {cause}
        </li>
    }
    .into_any()
}

/// Whether the rollback was complete and verified.
pub(super) fn state_badge(row: &IncidentRow) -> AnyView {
    let (kind, sign) =
        if row.incident.report.complete { ("pass", Icon::Check) } else { ("fail", Icon::Cross) };
    badge(kind, sign, row.incident.end())
}
