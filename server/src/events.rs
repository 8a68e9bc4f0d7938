//! The one event stream of a tab: `changed` when anything shown may differ, `run` while the run
//! that the page is about goes on.

use std::convert::Infallible;
use std::time::Duration;

use app::ssr::Visit;
use axum::Extension;
use axum::extract::Query;
use axum::response::sse::{Event, KeepAlive, Sse};
use engine::runner::Tip;
use futures::Stream;
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Which run the page is about, if it is about one.
#[derive(Debug, Deserialize)]
pub struct Topics {
    run: Option<i64>,
}

struct Feed {
    revision: watch::Receiver<u64>,
    run: Option<(i64, watch::Receiver<Tip>)>,
    stop: CancellationToken,
    greeted: bool,
}

/// `GET /events?run=…`.
pub async fn events(
    Query(topics): Query<Topics>,
    Extension(visit): Extension<Visit>,
    Extension(stop): Extension<CancellationToken>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let run = topics.run.and_then(|id| Some((id, visit.engine.run_tip(id)?)));
    let feed = Feed { revision: visit.engine.revisions(), run, stop, greeted: false };
    let stream = futures::stream::unfold(feed, |mut feed| async move {
        let event = next_event(&mut feed).await?;
        Some((Ok(event), feed))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

async fn next_event(feed: &mut Feed) -> Option<Event> {
    if !feed.greeted {
        // What a page shows may be older than this stream: the first event says where we are.
        feed.greeted = true;
        if let Some((id, tip)) = &mut feed.run {
            return Some(run_event(*id, &tip.borrow_and_update().clone()));
        }
        return Some(changed_event(*feed.revision.borrow_and_update()).retry(Duration::from_secs(1)));
    }
    loop {
        tokio::select! {
            () = feed.stop.cancelled() => return None,
            changed = feed.revision.changed() => {
                changed.ok()?;
                return Some(changed_event(*feed.revision.borrow_and_update()));
            }
            moved = next_tip(&mut feed.run) => match moved {
                Some((id, tip)) => return Some(run_event(id, &tip)),
                // The run is over: the stream goes on with the board's own changes.
                None => feed.run = None,
            },
        }
    }
}

async fn next_tip(run: &mut Option<(i64, watch::Receiver<Tip>)>) -> Option<(i64, Tip)> {
    match run {
        None => std::future::pending().await,
        Some((id, tip)) => {
            tip.changed().await.ok()?;
            Some((*id, tip.borrow_and_update().clone()))
        }
    }
}

fn changed_event(revision: u64) -> Event {
    Event::default().event("changed").id(revision.to_string()).data(revision.to_string())
}

fn run_event(id: i64, tip: &Tip) -> Event {
    let over = tip.state.is_over();
    let data = format!("{{\"id\":{id},\"lines\":{},\"bytes\":{},\"over\":{over}}}", tip.lines, tip.bytes);
    Event::default().event("run").data(data)
}
