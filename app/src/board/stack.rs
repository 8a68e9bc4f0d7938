//! The running stack, and the current release with the buttons to deploy and roll back.

use engine::view::BoardView;
use leptos::prelude::*;

use super::drift;
use crate::ui::{
    Here, card, chips, deploy_confirm, empty, health_badge, release_badge, rollback_confirm, rollback_words,
    since, table_of, time,
};

/// The services with their health.
pub(super) fn services(board: &BoardView) -> AnyView {
    let observed = &board.observed;
    let rows = observed
        .services
        .iter()
        .map(|s| {
            let up = s.started_at.map(|at| since(at, board.now));
            let image = if s.tag.is_empty() { short_image(&s.image) } else { s.tag.clone() };
            view! {
                <tr>
                    <td data-label="Service" class="mono">{s.name.clone()}</td>
                    <td data-label="Health">{health_badge(s.health)}</td>
                    <td data-label="Uptime" class="nowrap">{up}</td>
                    <td data-label="Restarts" class="num">{s.restarts.to_string()}</td>
                    <td data-label="Image" class="mono small wrap" title=s.image.clone()>{image}</td>
                    <td data-label="Ports" class="mono small">{s.ports.join(" ")}</td>
                </tr>
            }
        })
        .collect_view();
    let table = if observed.services.is_empty() {
        empty(
            "No services",
            view! { <p class="small">"The Compose file defines no services, or it cannot be read."</p> },
        )
    } else {
        table_of("services", &["Service", "Health", "Uptime", "Restarts", "Image", "Ports"], rows)
    };
    let engine = (!observed.engine_version.is_empty()).then(|| format!("Docker {}", observed.engine_version));
    view! {
        <div id="services">
            {card(
                "services",
                "Services",
                view! { <span class="small muted">{engine}</span> },
                view! { {drift::drift(board)} {table} },
            )}
        </div>
    }
    .into_any()
}

fn short_image(id: &str) -> String {
    id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect()
}

/// The current release, deploy and rollback.
pub(super) fn release(here: &Here, board: &BoardView) -> AnyView {
    let facts = match &board.release {
        None => view! {
            <p class="small muted">
                "No release is open. The first step or the first deploy opens one."
            </p>
        }
        .into_any(),
        Some(release) => {
            let deployed = release.deployed_at.map(|at| {
                let by = board.deployed_by.as_ref().map(|n| format!(" by {n}"));
                view! { <dt>"Deployed"</dt><dd>{time(at)} {by}</dd> }
            });
            let good = release
                .rollback_point_at
                .map(|at| view! { <dt>"Rollback target since"</dt><dd>{time(at)}</dd> });
            view! {
                <div class="row">
                    <a class="strong mono" href=format!("/releases/{}", release.id)>
                        {release.name()}
                    </a>
                    {release_badge(release.state)}
                </div>
                <p class="small wrap">{release.subject.clone()}</p>
                <dl class="kv">
                    <dt>"Opened"</dt>
                    <dd>{time(release.opened_at)}</dd>
                    {deployed}
                    {good}
                    <dt>"Images"</dt>
                    <dd>{chips(release.parts.images.keys())}</dd>
                </dl>
            }
            .into_any()
        }
    };
    // After a failed deploy the alert at the top of the page offers the rollback; do not offer it twice.
    let back = board.rollback.as_ref().filter(|_| board.failed_deploy.is_none()).map(|offer| {
        view! {
            <div class="stack stack--tight">
                {rollback_confirm(here, offer, "")}
                <span class="muted">{rollback_words(offer)}</span>
            </div>
        }
    });
    let deploy = board
        .failed_deploy
        .is_none()
        .then(|| deploy_confirm(here, &board.observed, &board.shown, &board.deploy, board.backup, ""));
    card(
        "release",
        "Release",
        view! { <a class="small" href="/releases">"All releases"</a> },
        view! { {facts} <div class="stack no-print">{deploy} {back}</div> },
    )
}
