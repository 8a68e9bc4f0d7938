//! The event stream of a tab: `changed` when anything shown may have changed, `run` while the run
//! that the page shows is in progress. A stream ends with its session.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::ssr::RequestContext;
use axum::Extension;
use axum::extract::Query;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use runner::Tip;
use serde::Deserialize;
use store::sessions::Sessions;
use tokio::sync::watch;
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;
use tower_sessions::session::Id;

/// Most streams of one session at a time. A hidden tab has none.
const MOST_OF_A_SESSION: usize = 16;
/// How often a stream without events checks whether its session is still valid.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Which run the page shows, if any.
#[derive(Debug, Deserialize)]
pub struct Topics {
    run: Option<i64>,
}

/// How many streams each session has. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    open: Arc<Mutex<HashMap<Id, usize>>>,
}

impl Streams {
    /// A place for one more stream of the session; freed when dropped.
    fn enter(&self, session: Id) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        let count = open.entry(session).or_default();
        if *count >= MOST_OF_A_SESSION {
            return None;
        }
        *count += 1;
        Some(Place { streams: self.clone(), session })
    }
}

struct Place {
    streams: Streams,
    session: Id,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(count) = open.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.session);
            }
        }
    }
}

/// The session that a stream belongs to.
struct Holder {
    person: i64,
    sessions: Sessions,
    ended: watch::Receiver<u64>,
    place: Place,
}

impl Holder {
    /// Whether the session is still valid for the same person. If the store cannot be read, the stream continues.
    async fn stands(&self, engine: &engine::Engine) -> bool {
        match self.sessions.person_of(&self.place.session).await {
            Ok(person) => person == Some(self.person) && engine.actor(self.person).is_some(),
            Err(error) => {
                tracing::warn!(?error, "the session of an event stream could not be read");
                true
            }
        }
    }
}

struct Feed {
    engine: engine::Engine,
    revision: watch::Receiver<u64>,
    run: Option<(i64, watch::Receiver<Tip>)>,
    stop: CancellationToken,
    holder: Holder,
    look: Interval,
    greeted: bool,
}

/// `GET /events?run=…`.
pub async fn events(
    Query(topics): Query<Topics>,
    Extension(context): Extension<RequestContext>,
    Extension(stop): Extension<CancellationToken>,
    Extension(streams): Extension<Streams>,
) -> Response {
    let (Some(actor), Some(session)) = (&context.actor, context.session.id()) else {
        return (StatusCode::UNAUTHORIZED, "Please sign in.\n").into_response();
    };
    let Some(place) = streams.enter(session) else {
        let text = "Too many open pages in this session. Close some, then reload this page.\n";
        return (StatusCode::TOO_MANY_REQUESTS, text).into_response();
    };
    let sessions = context.engine.sessions();
    let holder = Holder { person: actor.id, ended: sessions.ended(), sessions, place };
    let run = match topics.run {
        Some(id) => context.engine.run_tip(id).await.map(|tip| (id, tip)),
        None => None,
    };
    let revision = context.engine.revisions();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let feed = Feed { engine: context.engine, revision, run, stop, holder, look, greeted: false };
    let stream = futures::stream::unfold(feed, |mut feed| async move {
        let event = next_event(&mut feed).await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

async fn next_event(feed: &mut Feed) -> Option<Event> {
    if !feed.greeted {
        // What a page shows may be older than this stream: the first event gives the current revision.
        feed.greeted = true;
        if let Some((id, tip)) = &mut feed.run {
            return Some(run_event(*id, &tip.borrow_and_update().clone()));
        }
        return Some(changed_event(*feed.revision.borrow_and_update()).retry(Duration::from_secs(1)));
    }
    loop {
        let event = tokio::select! {
            () = feed.stop.cancelled() => return None,
            changed = feed.revision.changed() => {
                changed.ok()?;
                Some(changed_event(*feed.revision.borrow_and_update()))
            }
            moved = next_tip(&mut feed.run) => match moved {
                Some((id, tip)) => Some(run_event(id, &tip)),
                // The run is over: the stream continues with changes of the board.
                None => {
                    feed.run = None;
                    None
                }
            },
            _ = feed.holder.ended.changed() => None,
            _ = feed.look.tick() => None,
        };
        if !feed.holder.stands(&feed.engine).await {
            return None;
        }
        if event.is_some() {
            return event;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_of_a_session_are_limited_and_freed() {
        let streams = Streams::default();
        let (one, other) = (Id(1), Id(2));
        let places: Vec<Place> = (0..MOST_OF_A_SESSION).map(|_| streams.enter(one).unwrap()).collect();
        assert!(streams.enter(one).is_none());
        assert!(streams.enter(other).is_some(), "other sessions have their own");
        drop(places);
        assert!(streams.enter(one).is_some());
        assert!(streams.open.lock().unwrap().is_empty());
    }
}
