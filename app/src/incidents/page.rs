//! One incident: the facts in order, then cause and follow-ups.

use domain::action::Action;
use domain::incident::{LastWords, Note, cause, follow_ups, outage_lines};
use domain::pages::Page;
use engine::Error;
use engine::view::{IncidentPage as IncidentPageView, Permission};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

use super::{AddFollowUp, FinishFollowUp, NameCause, state_badge};
use crate::ssr::page;
use crate::ui::{
    Here, Icon, card, envelope, form_name, hidden, icon, lines, note_field, offer_button, page_head, param,
    post_button, text_field, time,
};

/// The page of one incident.
#[component]
pub fn IncidentPage() -> impl IntoView {
    let id = param("id");
    page(move |context| async move {
        let number = id.parse().map_err(|_| Error::not_found("This incident"))?;
        let incident = context.engine.incident(context.actor()?, number).await?;
        Ok(incident_view(&Here::from(&context), &incident))
    })
}

/// Renders an incident.
pub fn incident_view(here: &Here, page: &IncidentPageView) -> AnyView {
    let incident = &page.row.incident;
    let report = &incident.report;
    let title = Page::Incident.title_of(incident.id);
    let under = view! {
        <div class="row">
            {state_badge(&page.row)} <span class="muted wrap">{report.message.clone()}</span>
        </div>
    };
    let end = view! {
        <div class="row no-print">
            <a class="btn" href=format!("/incidents/{}/report.md", incident.id) download="">
                "Export as Markdown"
            </a>
            <a class="btn btn--quiet" href=format!("/runs/{}", incident.run)>"Run log"</a>
        </div>
    };
    let moments = report
        .timeline
        .iter()
        .map(|m| {
            view! {
                <li>
                    <span class="timeline__at">{time(m.at)}</span>
                    <span class="timeline__what wrap">{m.what.clone()}</span>
                </li>
            }
        })
        .collect_view();
    let differs = report.diff.as_ref().map(|d| {
        let subjects = view! {
            <p class="small muted wrap">{d.subjects.0.clone()} " → " {d.subjects.1.clone()}</p>
        };
        card("incident-diff", "Differences", (), view! { {lines(d.lines())} {subjects} })
    });
    let failing = report.failing.iter().map(last_lines).collect_view();
    let others = (!report.others.is_empty()).then(|| {
        let all = report.others.iter().map(last_lines).collect_view();
        view! {
            <details class="stack" data-keep="">
                <summary>{format!("Last log lines of the other {}", services(report.others.len()))}</summary>
                <div class="stack">{all}</div>
            </details>
        }
    });
    view! {
        <Title text=title.clone() />
        {page_head(title, under, end)}
        <div class="split">
            <div class="stack">
                {card("incident-timeline", "Timeline", (), view! { <ol class="timeline">{moments}</ol> })}
                {failing}
                {others}
            </div>
            <div class="stack">
                {card("incident-outage", "Outage", (), lines(outage_lines(report)))}
                {differs}
            </div>
        </div>
        {notes(here, page)}
    }
    .into_any()
}

fn services(n: usize) -> String {
    if n == 1 { "service".to_owned() } else { format!("{n} services") }
}

fn last_lines(words: &LastWords) -> AnyView {
    let text = if words.lines.is_empty() { "No output.".to_owned() } else { words.lines.join("\n") };
    card(
        &format!("incident-said-{}", words.service),
        format!("Last log lines of {} ({})", words.service, words.health),
        (),
        view! { <pre class="command">{text}</pre> },
    )
}

fn notes(here: &Here, page: &IncidentPageView) -> AnyView {
    let id = page.row.incident.id.to_string();
    let shown = cause(&page.notes).map_or(0, |note| note.id).to_string();
    let known = match cause(&page.notes) {
        Some(note) => view! { <p class="wrap">{note.text.clone()}</p> {signed(note)} }.into_any(),
        None => view! { <p class="warn">"The cause is not recorded yet."</p> }.into_any(),
    };
    let form = form_name(Action::NameCause, &id);
    let cause_form = view! {
        <form class="form no-print" method="post" action=NameCause::url()>
            {envelope(here, &form)} {hidden(&[("incident", &id), ("shown", &shown)])}
            {note_field(here, &form, "text", "Cause", "A new entry replaces the current cause. Earlier entries remain on the Activity page.", true)}
            {offer_button("Record cause", "", &page.note)}
        </form>
    };
    let all = follow_ups(&page.notes);
    let list = all.iter().map(|(note, done)| follow_up(here, &id, note, *done, &page.note)).collect_view();
    let none = all.is_empty().then(|| view! { <p class="muted">"None yet."</p> });
    let form = form_name(Action::AddFollowUp, &id);
    let follow_form = view! {
        <form class="form no-print" method="post" action=AddFollowUp::url()>
            {envelope(here, &form)} {hidden(&[("incident", &id)])}
            {text_field(here, &form, "text", "New follow-up", "What to do to prevent a repeat, and who does it.", true)}
            {offer_button("Add follow-up", "", &page.note)}
        </form>
    };
    view! {
        <div class="grid" id="notes">
            {card("incident-cause", "Cause", (), view! { <div class="stack">{known} {cause_form}</div> })}
            {card(
                "incident-follow-ups",
                "Follow-ups",
                (),
                view! { <div class="stack">{none} <ul class="lines">{list}</ul> {follow_form}</div> },
            )}
        </div>
    }
    .into_any()
}

fn signed(note: &Note) -> AnyView {
    view! { <p class="small muted">{note.by_name.clone()} ", " {time(note.at)}</p> }.into_any()
}

fn follow_up(here: &Here, incident: &str, note: &Note, done: Option<&Note>, offer: &Permission) -> AnyView {
    let state = match done {
        Some(done) => view! {
            <p class="small go">{icon(Icon::Check)} " Done, confirmed by " {done.by_name.clone()} ", " {time(done.at)}</p>
        }
        .into_any(),
        None => {
            let number = note.id.to_string();
            let fields = [("incident", incident), ("follow_up", number.as_str())];
            let form = form_name(Action::FinishFollowUp, &number);
            post_button(here, &form, FinishFollowUp::url(), &fields, "Mark as done", "btn--small", offer)
        }
    };
    view! {
        <li class="stack stack--tight">
            <p class="wrap">{note.text.clone()}</p>
            {signed(note)} {state}
        </li>
    }
    .into_any()
}
