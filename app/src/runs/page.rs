//! The page of a run: details, progress, outcome and terminal.

use domain::action::Action;
use domain::pages::Page;
use domain::time::human_span;
use engine::Error;
use engine::view::{Permission, RunPage as RunPageView, RunState, RunView};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use leptos_meta::Title;

use super::acts::CancelRun;
use super::outcome::outcome;
use super::tail::tail;
use super::terminal::Terminal;
use crate::ssr::page;
use crate::ui::{
    Here, Icon, form_name, health_badge, icon, page_head, param, post_button, run_badge, since, span, time,
};

/// The page of one run.
#[component]
pub fn RunPage() -> impl IntoView {
    let id = param("id");
    page(move |context| async move {
        let number = id.parse().map_err(|_| Error::not_found("A run with this number"))?;
        let run = context.engine.run(context.actor()?, number).await?;
        Ok(run_view(&Here::from(&context), &run))
    })
}

/// The layout of a run.
pub fn run_view(here: &Here, page: &RunPageView) -> AnyView {
    let run = &page.run;
    let running = run.state == RunState::Running;
    let under = view! {
        <div class="row" data-live="run-state">
            {run_badge(run.state)} <span class="muted wrap">{run.summary.clone()}</span>
        </div>
    };
    let log = format!("/runs/{}/log", run.id);
    let whole =
        page.pruned_at.is_none().then(|| view! { <a class="btn" href=log download="">"Download log"</a> });
    let beside = view! {
        <span data-live="run-cancel">{running.then(|| cancel(here, run.id, &page.cancel))}</span>
        {whole}
    };
    let terminal = match page.pruned_at {
        Some(at) => view! {
            <section class="card" aria-label="Log">
                <div class="card__body">
                    <p>"Log removed on " {time(at)} " by log retention. The evidence of the run is kept."</p>
                </div>
            </section>
        }
        .into_any(),
        None => view! {
            <section class="terminal" aria-label="Log">
                <Terminal run=run.id lines=page.lines running=running />
                {tail(run.id, page.lines, &page.tail)}
            </section>
        }
        .into_any(),
    };
    // Without scripts, the page reloads itself while the run is in progress.
    let again = running.then(|| view! { <noscript><meta http-equiv="refresh" content="3" /></noscript> });
    view! {
        <Title text=Page::Run.title_of(format!("{}: {}", run.id, run.title)) />
        {page_head(run.title.clone(), under, beside)}
        <div data-live="run-progress">{running.then(|| progress(run))}</div>
        <div class="stack" data-live="run-outcome">{outcome(here, page)}</div>
        {facts(page)}
        {terminal}
        {again}
    }
    .into_any()
}

fn cancel(here: &Here, run: i64, offer: &Permission) -> AnyView {
    let number = run.to_string();
    post_button(
        here,
        &form_name(Action::CancelRun, run),
        CancelRun::url(),
        &[("run", &number)],
        view! { {icon(Icon::Stop)} "Cancel run" },
        "btn--danger",
        offer,
    )
}

/// Elapsed and expected time, and each service of a deploy. The browser keeps the bar up to date.
fn progress(run: &RunView) -> AnyView {
    let expected = run.expected_ms.filter(|ms| *ms > 0);
    let bar = match expected {
        Some(ms) => view! {
            <progress
                class="bar"
                max="100"
                value="0"
                data-from=run.started_at.0.to_string()
                data-expected=ms.to_string()
                aria-label="Progress, estimated from the last successful run"
            ></progress>
        }
        .into_any(),
        None => view! { <progress class="bar bar--unknown" aria-label="In progress"></progress> }.into_any(),
    };
    let estimate = match expected {
        Some(ms) => format!(" of about {}", human_span(ms)),
        None => "; no earlier run to estimate the duration from".to_owned(),
    };
    let services = run
        .services
        .iter()
        .map(|s| {
            view! {
                <li class="row row--between">
                    <span class="mono small">{s.name.clone()}</span>
                    {health_badge(s.health)}
                </li>
            }
        })
        .collect_view();
    let services = (!run.services.is_empty()).then(|| view! { <ul class="lines">{services}</ul> });
    view! {
        <section class="card" aria-label="Progress">
            <div class="card__body">
                <p class="row row--between">
                    <span class="strong wrap">{run.summary.clone()}</span>
                    <span class="small muted">{since(run.started_at, None)} {estimate}</span>
                </p>
                {bar}
                {services}
            </div>
        </section>
    }
    .into_any()
}

fn facts(page: &RunPageView) -> AnyView {
    let run = &page.run;
    let length = match run.ended_at {
        Some(end) => span(end.since(run.started_at)),
        None => since(run.started_at, None),
    };
    let usual = run.expected_ms.map(|ms| format!(" (usually {})", human_span(ms)));
    let ended = run.ended_at.map(|at| view! { <dt>"Ended"</dt><dd>{time(at)}</dd> });
    let exit = page.exit.clone().map(|exit| view! { <dt>"Exit"</dt><dd class="mono">{exit}</dd> });
    let release = run.release.map(|id| {
        view! {
            <dt>"Release"</dt>
            <dd><a href=format!("/releases/{id}")>{format!("#{id}")}</a></dd>
        }
    });
    let subject = (!run.subject.is_empty() && run.subject != run.title).then(|| {
        let subject = run.subject.clone();
        view! { <dt>"Subject"</dt><dd class="mono">{subject}</dd> }
    });
    let command = (!page.command.is_empty()).then(|| {
        let command = page.command.clone();
        view! { <pre class="command">{command}</pre> }
    });
    view! {
        <section class="card" data-live="run-facts">
            <div class="card__body">
                {command}
                <dl class="kv">
                    <dt>"Run"</dt>
                    <dd>{format!("{}, {}", run.id, run.kind.slug())}</dd>
                    {subject}
                    <dt>"Started"</dt>
                    <dd>{time(run.started_at)} " by " {run.by_name.clone()}</dd>
                    {ended}
                    <dt>{if run.ended_at.is_some() { "Duration" } else { "Elapsed" }}</dt>
                    <dd>{length} {usual}</dd>
                    {exit}
                    {release}
                </dl>
            </div>
        </section>
    }
    .into_any()
}
