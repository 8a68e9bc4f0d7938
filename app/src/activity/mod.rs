//! The audit log as people read it: who did what, to what, with what outcome, and whether the chain
//! of entries is whole.

#[cfg(test)]
mod tests;

use engine::view::{ActivityPage as ActivityView, ActivityRow};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::ssr::page;
use crate::ui::{Icon, badge, empty, icon, page_head, time};

/// The page; `?before=` goes on from an entry.
#[component]
pub fn ActivityPage() -> impl IntoView {
    let before = use_query_map().with_untracked(|q| q.get("before")).and_then(|b| b.parse().ok());
    page(move |visit| async move {
        let activity = visit.engine.activity(visit.actor()?, before).await?;
        Ok(activity_view(&activity, before.is_some()))
    })
}

/// The log as it is laid out; `is_later` on every page but the first.
pub fn activity_view(page: &ActivityView, is_later: bool) -> AnyView {
    let chain = match &page.chain {
        Ok(said) => {
            view! { <p class="small go" data-live="chain">{icon(Icon::Check)} " " {said.clone()}</p> }
                .into_any()
        }
        Err(why) => view! {
            <div class="notice notice--error" role="alert" data-live="chain">
                <p class="notice__title">{icon(Icon::Cross)} " The log does not verify"</p>
                <p class="wrap">{why.clone()}</p>
            </div>
        }
        .into_any(),
    };
    let body = if page.rows.is_empty() {
        empty(
            "Nothing has been done yet",
            view! { <p class="small">"Every act is written here, before and after it is done."</p> },
        )
    } else {
        table(&page.rows)
    };
    let newest = is_later.then(|| view! { <a class="btn" href="/activity">"Newest"</a> });
    let older = page.more_before.map(|seq| {
        view! { <a class="btn" rel="next" href=format!("/activity?before={seq}")>"Older"</a> }
    });
    view! {
        <Title text="Activity" />
        {page_head(
            "Activity",
            view! {
                <p class="lede">"Every act, before and after it was done. Nobody can change an entry."</p>
                {chain}
            },
            (),
        )}
        <section class="card" data-live="activity">{body}</section>
        <nav class="row no-print" aria-label="Pages of the log">{newest} {older}</nav>
    }
    .into_any()
}

fn table(rows: &[ActivityRow]) -> AnyView {
    let rows = rows.iter().map(line).collect_view();
    view! {
        <div class="table-wrap">
            <table class="table table--cards">
                <thead>
                    <tr>
                        <th scope="col">"No."</th>
                        <th scope="col">"When"</th>
                        <th scope="col">"Who"</th>
                        <th scope="col">"Did what"</th>
                        <th scope="col">"Outcome"</th>
                        <th scope="col">"Where"</th>
                        <th scope="col">"Hash"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn line(row: &ActivityRow) -> AnyView {
    let who = if row.actor.is_empty() {
        view! { <span class="muted">"Stagegate"</span> }.into_any()
    } else {
        row.actor.clone().into_any()
    };
    let outcome = match row.outcome.as_str() {
        "done" => badge("done", Icon::Check, "Done"),
        "refused" => badge("inconclusive", Icon::Stop, "Refused"),
        "failed" => badge("failed", Icon::Cross, "Failed"),
        "intent" => badge("neutral", Icon::Arrow, "Begun"),
        other => badge("neutral", Icon::Circle, other),
    };
    let release =
        row.release.map(|id| view! { <a href=format!("/releases/{id}")>{format!("release #{id}")}</a> " " });
    let run = row.run.map(|id| view! { <a href=format!("/runs/{id}")>{format!("run {id}")}</a> });
    let detail = (!row.detail.is_empty()).then(|| {
        let detail = row.detail.clone();
        view! { <div class="small muted wrap">{detail}</div> }
    });
    let short: String = row.hash.chars().take(10).collect();
    view! {
        <tr id=format!("entry-{}", row.seq)>
            <td data-label="No." class="num">
                <a href=format!("#entry-{}", row.seq)>{row.seq.to_string()}</a>
            </td>
            <td data-label="When">{time(row.at)}</td>
            <td data-label="Who">{who}</td>
            <td data-label="Did what">
                <div class="wrap">
                    <span class="mono small">{row.act.clone()}</span> " " {row.subject.clone()}
                </div>
                {detail}
            </td>
            <td data-label="Outcome">{outcome}</td>
            <td data-label="Where" class="small">{release} {run}</td>
            <td data-label="Hash" class="mono small" title=row.hash.clone()>{short}</td>
        </tr>
    }
    .into_any()
}
