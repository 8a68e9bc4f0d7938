//! One release: its parts, images, migrations, runs and decisions.

use domain::pages::Page;
use domain::release::ReleaseComponent;
use engine::Error;
use engine::view::ReleaseRow;
use leptos::prelude::*;
use leptos_meta::Title;

use super::history::decision;
use crate::ssr::page;
use crate::ui::{card, lines, page_head, param, release_badge, run_table, table, time};

/// The page of one release.
#[component]
pub fn ReleasePage() -> impl IntoView {
    let id = param("id");
    page(move |context| async move {
        let number = id.parse().map_err(|_| Error::not_found("A release with this number"))?;
        let row = context.engine.release(context.actor()?, number).await?;
        Ok(release_view(&row))
    })
}

/// The layout of a release.
pub fn release_view(row: &ReleaseRow) -> AnyView {
    let release = &row.release;
    let under = view! {
        <div class="row" data-live="release-state">
            {release_badge(release.state)} <span class="muted wrap">{release.subject.clone()}</span>
        </div>
    };
    let back = view! { <a class="btn btn--quiet" href="/releases">"All releases"</a> };
    let runs = if row.runs.is_empty() {
        view! { <p class="muted">"Not deployed yet."</p> }.into_any()
    } else {
        run_table(&row.runs, None)
    };
    view! {
        <Title text=Page::Release.title_of(release.name()) />
        {page_head(format!("Release {}", release.name()), under, back)}
        <div class="split">
            <div class="stack">
                {card("release-runs", "Deploys and rollbacks", (), runs)}
                {decisions(row)}
                {images(row)}
            </div>
            <div class="stack">{facts(row)} {migrations(row)}</div>
        </div>
    }
    .into_any()
}

fn facts(row: &ReleaseRow) -> AnyView {
    let release = &row.release;
    let deployed = release.deployed_at.map(|at| {
        let by = row.deployed_by.as_ref().map(|name| format!(" by {name}"));
        view! { <dt>"Deployed"</dt><dd>{time(at)} {by}</dd> }
    });
    let good =
        release.rollback_point_at.map(|at| view! { <dt>"Rollback target since"</dt><dd>{time(at)}</dd> });
    let parts = [
        ReleaseComponent::Commit,
        ReleaseComponent::Config,
        ReleaseComponent::Env,
        ReleaseComponent::Runbook,
    ]
    .into_iter()
    .map(|part| {
        let value = release.parts.get(part).unwrap_or_else(|| "could not be read".to_owned());
        view! { <dt>{part.label()}</dt><dd class="mono small">{value}</dd> }
    })
    .collect_view();
    card(
        "release-facts",
        "Details",
        (),
        view! {
            <dl class="kv">
                <dt>"Opened"</dt>
                <dd>{time(release.opened_at)} " by " {row.opened_by.clone()}</dd>
                {deployed}
                {good}
                {parts}
                <dt>"Fingerprint"</dt>
                <dd class="mono small">{release.parts.fingerprint()}</dd>
            </dl>
        },
    )
}

fn images(row: &ReleaseRow) -> AnyView {
    let images = &row.release.parts.images;
    let body = if images.is_empty() {
        view! { <p class="muted">"Images are known after the first deploy."</p> }.into_any()
    } else {
        let lines = images
            .iter()
            .map(|(service, image)| {
                let new = row.changed.contains(service).then_some("new");
                view! {
                    <tr>
                        <td data-label="Service" class="mono strong">{service.clone()}</td>
                        <td data-label="Image" class="mono small wrap">{image.clone()}</td>
                        <td data-label="Changed">{new}</td>
                    </tr>
                }
            })
            .collect_view();
        table(&["Service", "Image ID", "Compared with the previous release"], lines)
    };
    card("release-images", "Images", (), body)
}

fn migrations(row: &ReleaseRow) -> AnyView {
    let body = match &row.release.migrations {
        None => view! { <p class="small muted">"Not recorded."</p> }.into_any(),
        Some(names) if names.is_empty() => {
            view! { <p class="small muted">"None when the deploy ended."</p> }.into_any()
        }
        Some(names) => lines(names),
    };
    card("release-migrations", "Applied migrations", (), body)
}

fn decisions(row: &ReleaseRow) -> AnyView {
    if row.decisions.is_empty() {
        return view! { <div data-live="release-decisions"></div> }.into_any();
    }
    let each = row
        .decisions
        .iter()
        .map(|d| {
            view! {
                <li class="stack stack--tight">
                    <div class="row">{decision(d)} <span class="small muted">{time(d.at)}</span></div>
                    <p class="wrap">{d.note.clone()}</p>
                </li>
            }
        })
        .collect_view();
    card("release-decisions", "Decisions", (), view! { <ul class="lines">{each}</ul> })
}
