//! The audit log as people read it: who did what, to what, with what outcome, and whether the chain
//! of entries is whole.

mod acts;

#[cfg(test)]
mod tests;

use engine::view::{ActivityPage as ActivityView, ActivityRow};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

pub(crate) use acts::VerifyEverything;

use crate::ssr::page;
use crate::ui::{
    Here, Icon, badge, card, cursor, empty, icon, page_head, pager, post_button, size, table, time,
};

/// The page; `?before=` and `?after=` go on from an entry.
#[component]
pub fn ActivityPage() -> impl IntoView {
    let cursor = cursor();
    page(move |context| async move {
        let activity = context.engine.activity(context.actor()?, cursor).await?;
        Ok(activity_view(&Here::from(&context), &activity))
    })
}

/// The log as it is laid out.
pub fn activity_view(here: &Here, page: &ActivityView) -> AnyView {
    let chain = verification(here, page);
    let body = if page.rows.is_empty() {
        empty(
            "Nothing has been done yet",
            view! { <p class="small">"Every act is written here, before and after it is done."</p> },
        )
    } else {
        events_table(&page.rows)
    };
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
        {pager("/activity", "Pages of the log", page.pages)}
        {storage(page)}
    }
    .into_any()
}

/// What the last verification has shown, and the hash to note elsewhere.
fn verification(here: &Here, page: &ActivityView) -> AnyView {
    let found = &page.chain;
    let button = page.verify.as_ref().map(|offer| {
        let (form, action) = ("verify_everything", VerifyEverything::url());
        post_button(here, form, action, &[], "Verify everything now", "btn--small", offer)
    });
    let running = found.running_since.map(|since| {
        view! { <p class="small">"A full verification has been running since " {time(since)} "."</p> }
    });
    let failed = found.failed.clone().map(|why| {
        view! {
            <p class="small warn">
                {format!("The last full verification could not be completed: {why}")}
                " Verify again; the log of the server has more."
            </p>
        }
    });
    if !found.problems.is_empty() {
        let problems =
            found.problems.iter().map(|p| view! { <li class="wrap">{p.clone()}</li> }).collect_view();
        let when = found.at.map(|at| view! { ", " {time(at)} });
        return view! {
            <div class="notice notice--error" role="alert" data-live="chain">
                <p class="notice__title">
                    {icon(Icon::Cross)} " The stored records do not match the audit log" {when}
                </p>
                <ul>{problems}</ul>
                <p>
                    "Go is blocked. Restore the data directory from the last good backup, undo the change, or, if the \
                     change was meant, accept it with " <code>"stagegate verify --accept"</code> ". "
                    <code>"stagegate verify"</code> " checks every record."
                </p>
                {running} {failed} {button}
            </div>
        }
        .into_any();
    }
    let head = found.head.clone().map(|head| {
        let command = format!("stagegate verify --expect {head}");
        view! {
            <details class="small">
                <summary>"Note the end of the log"</summary>
                <p>
                    "Keep this line outside of this machine. The command then finds a log that was cut or rewritten: "
                    <code class="wrap">{command}</code>
                </p>
            </details>
        }
    });
    let result = match (found.running_since, found.whole_at) {
        (Some(_), _) => None,
        (None, Some(whole_at)) => Some(
            view! {
                <p class="small go">
                    {icon(Icon::Check)} " Everything matched, " {time(whole_at)}
                    ": every event of the audit log and every record."
                </p>
            }
            .into_any(),
        ),
        (None, None) => Some(
            view! {
                <p class="small">"The audit log has not been verified completely since the start."</p>
            }
            .into_any(),
        ),
    };
    // New events are verified by themselves.
    let newer = found.at.filter(|at| found.whole_at.is_some_and(|whole_at| whole_at < *at)).map(|at| {
        view! { <p class="small muted">"Events since then were verified at " {time(at)} "."</p> }
    });
    view! {
        <div class="stack stack--tight" data-live="chain">
            {result} {running} {failed} {newer} {button} {head}
        </div>
    }
    .into_any()
}

/// How much room the data takes, and what is removed when.
fn storage(page: &ActivityView) -> Option<AnyView> {
    let room = page.storage?;
    let removed = match page.retention.as_slice() {
        [] => "Everything is kept: stagegate.toml has no [retention]. ".to_owned(),
        words => format!("Removed when nothing refers to them: {}. ", words.join(", ")),
    };
    let body = view! {
        <dl class="kv">
            <dt>"Database"</dt>
            <dd class="num">{size(room.database_bytes)}</dd>
            <dt>"Logs of runs"</dt>
            <dd class="num">{size(room.run_bytes)}</dd>
            <dt>"Rollback targets"</dt>
            <dd class="num">{size(room.rollback_bytes)}</dd>
        </dl>
        <p class="small muted">
            {removed} <code>"stagegate prune --dry-run"</code> " shows what would be removed. Measured " {time(room.at)} "."
        </p>
    };
    Some(card("storage", "Storage", (), body))
}

fn events_table(rows: &[ActivityRow]) -> AnyView {
    let rows = rows.iter().map(line).collect_view();
    table(&["No.", "When", "Who", "Did what", "Outcome", "Where", "Hash"], rows)
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
