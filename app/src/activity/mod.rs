//! The audit log page: person, action, object and outcome of every entry, and whether the hash chain of the entries is
//! intact.

mod acts;

#[cfg(test)]
mod tests;

use domain::action::Action;
use domain::pages::Page;
use engine::view::{ActionOutcome, ActivityPage as ActivityView, ActivityRow, Verification};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

pub(crate) use acts::VerifyEverything;

use crate::ssr::page;
use crate::ui::{
    Here, Icon, badge, card, cursor, empty, icon, page_head, pager, post_button, size, table, time,
};

/// The page; `?before=` and `?after=` select the page of the log.
#[component]
pub fn ActivityPage() -> impl IntoView {
    let cursor = cursor();
    page(move |context| async move {
        let activity = context.engine.activity(context.actor()?, cursor).await?;
        Ok(activity_view(&Here::from(&context), &activity))
    })
}

/// Renders the log.
pub fn activity_view(here: &Here, page: &ActivityView) -> AnyView {
    let verified = verification(here, page);
    let body = if page.rows.is_empty() {
        empty(
            "No activity yet",
            view! { <p class="small">"Every action is recorded here, before and after it runs."</p> },
        )
    } else {
        events_table(&page.rows)
    };
    view! {
        <Title text=Page::Activity.title() />
        {page_head(
            "Activity",
            view! {
                <p class="lede">"Every action is recorded before and after it runs. Entries cannot be edited or deleted."</p>
                {verified}
            },
            (),
        )}
        <section class="card" data-live="activity">{body}</section>
        {pager("/activity", "Pages of the log", page.pages)}
        {storage(page)}
    }
    .into_any()
}

/// The result of the last verification, and the hash to store on another machine.
fn verification(here: &Here, page: &ActivityView) -> AnyView {
    let chain = &page.chain;
    let button = page.verify.as_ref().map(|offer| {
        let (form, action) = (Action::VerifyEverything.name(), VerifyEverything::url());
        post_button(here, form, action, &[], "Verify everything now", "btn--small", offer)
    });
    let running = chain.running_since.map(|since| {
        view! { <p class="small">"A full verification has been running since " {time(since)} "."</p> }
    });
    let failed = chain.failed.clone().map(|why| {
        view! {
            <p class="small warn">
                {format!("The last full verification could not be completed: {why}")}
                " Verify again. See the server log for details."
            </p>
        }
    });
    if !chain.problems.is_empty() {
        return mismatch(chain, view! { {running} {failed} {button} }.into_any());
    }
    let head = chain.head.clone().map(|head| {
        let command = format!("stagegate verify --expect {head}");
        view! {
            <details class="small">
                <summary>"Save the hash of the last entry"</summary>
                <p>
                    "Store this command on another machine. It detects whether the log was truncated or rewritten: "
                    <code class="wrap">{command}</code>
                </p>
            </details>
        }
    });
    let result = match (chain.running_since, chain.whole_at) {
        (Some(_), _) => None,
        (None, Some(whole_at)) => Some(
            view! {
                <p class="small go">
                    {icon(Icon::Check)} " All events of the audit log and all records verified: " {time(whole_at)}
                </p>
            }
            .into_any(),
        ),
        (None, None) => Some(
            view! {
                <p class="small">"The audit log has not been verified completely since the server started."</p>
            }
            .into_any(),
        ),
    };
    // New events are verified automatically.
    let newer = chain.at.filter(|at| chain.whole_at.is_some_and(|whole_at| whole_at < *at)).map(|at| {
        view! { <p class="small muted">"Events since then were verified at " {time(at)} "."</p> }
    });
    view! {
        <div class="stack stack--tight" data-live="chain">
            {result} {running} {failed} {newer} {button} {head}
        </div>
    }
    .into_any()
}

/// The records that do not match the log; `below` is shown at the end.
fn mismatch(chain: &Verification, below: AnyView) -> AnyView {
    let problems = chain.problems.iter().map(|p| view! { <li class="wrap">{p.clone()}</li> }).collect_view();
    let when = chain.at.map(|at| view! { ", " {time(at)} });
    view! {
        <div class="notice notice--error" role="alert" data-live="chain">
            <p class="notice__title">
                {icon(Icon::Cross)} " The stored records do not match the audit log" {when}
            </p>
            <ul>{problems}</ul>
            <p>
                "Go is blocked. Restore the data directory from the last good backup or undo the change. If the \
                 change was intended, accept it with " <code>"stagegate verify --accept"</code> ". "
                <code>"stagegate verify"</code> " checks every record."
            </p>
            {below}
        </div>
    }
    .into_any()
}

/// Disk usage of the data, and when data is deleted.
fn storage(page: &ActivityView) -> Option<AnyView> {
    let storage = page.storage?;
    let deleted = match page.retention.as_slice() {
        [] => "Nothing is deleted: stagegate.toml has no [retention] section. ".to_owned(),
        rules => format!("Deleted when no longer referenced: {}. ", rules.join(", ")),
    };
    let body = view! {
        <dl class="kv">
            <dt>"Database"</dt>
            <dd class="num">{size(storage.database_bytes)}</dd>
            <dt>"Run logs"</dt>
            <dd class="num">{size(storage.run_bytes)}</dd>
            <dt>"Rollback targets"</dt>
            <dd class="num">{size(storage.rollback_bytes)}</dd>
        </dl>
        <p class="small muted">
            {deleted} <code>"stagegate prune --dry-run"</code> " shows what would be deleted. Measured: " {time(storage.at)} "."
        </p>
    };
    Some(card("storage", "Storage", (), body))
}

fn events_table(rows: &[ActivityRow]) -> AnyView {
    let rows = rows.iter().map(line).collect_view();
    table(&["No.", "Time", "Person", "Action", "Outcome", "Release and run", "Hash"], rows)
}

fn line(row: &ActivityRow) -> AnyView {
    let who = if row.actor.is_empty() {
        view! { <span class="muted">"Stagegate"</span> }.into_any()
    } else {
        row.actor.clone().into_any()
    };
    let outcome = match row.outcome {
        ActionOutcome::Done => badge("done", Icon::Check, "Done"),
        ActionOutcome::Refused => badge("inconclusive", Icon::Stop, "Refused"),
        ActionOutcome::Failed => badge("failed", Icon::Cross, "Failed"),
        ActionOutcome::Intent => badge("neutral", Icon::Arrow, "Started"),
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
            <td data-label="Time">{time(row.at)}</td>
            <td data-label="Person">{who}</td>
            <td data-label="Action">
                <div class="wrap">
                    <span class="mono small">{row.act.clone()}</span> " " {row.subject.clone()}
                </div>
                {detail}
            </td>
            <td data-label="Outcome">{outcome}</td>
            <td data-label="Release and run" class="small">{release} {run}</td>
            <td data-label="Hash" class="mono small" title=row.hash.clone()>{short}</td>
        </tr>
    }
    .into_any()
}
