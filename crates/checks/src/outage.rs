//! Measures the outage that users see while the containers of the stack are replaced.

use std::time::{Duration, Instant};

use domain::check::CheckSpec;
use domain::incident::Outage;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Url};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::http_client::{ask, client};
use super::probe::ProbeWork;
use super::roots;
use super::template::Names;
use runner::Session;

/// Pause between two requests to one address.
const EVERY: Duration = Duration::from_millis(50);
/// A request without a response for this long counts as failed.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Sends requests during a rollback.
pub struct OutageWatch {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<Outage>>,
}

impl OutageWatch {
    /// Starts to send requests to the addresses of the smoke checks that are plain requests: GET, without
    /// headers, one at a time. Others could have side effects when they are sent twenty times per second.
    pub fn begin(session: &Session, smoke: &[ProbeWork]) -> OutageWatch {
        let stop = CancellationToken::new();
        let tasks = smoke
            .iter()
            .filter_map(|work| question(session, work))
            .map(|question| tokio::spawn(question.watch(stop.clone())))
            .collect();
        OutageWatch { stop, tasks }
    }

    /// Stops and returns the measured outages, in the order of the checks.
    pub async fn end(self) -> Vec<Outage> {
        self.stop.cancel();
        let mut seen = Vec::new();
        for task in self.tasks {
            if let Ok(outage) = task.await {
                seen.push(outage);
            }
        }
        seen
    }
}

struct Question {
    what: String,
    client: Client,
    url: Url,
    status: Vec<u16>,
}

fn question(session: &Session, work: &ProbeWork) -> Option<Question> {
    let CheckSpec::Http { url, method, headers, status, ca, gate, cors, rate_limit, .. } = &work.check.spec
    else {
        return None;
    };
    let is_more = gate.is_some() || cors.is_some() || rate_limit.is_some();
    let is_plain =
        !is_more && headers.is_empty() && method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case("get"));
    if !is_plain {
        return None;
    }
    let names = Names::new(&work.urls, (*session.env()).clone());
    let url = Url::parse(&names.fill(url).ok()?.text).ok()?;
    let roots = ca.as_ref().map(|ca| roots::of_file(work.stack.dir(), ca)).transpose().ok()?;
    let client = client(&url, roots).ok()?;
    let status = if status.is_empty() { vec![200] } else { status.clone() };
    Some(Question { what: work.check.title.clone(), client, url, status })
}

impl Question {
    async fn watch(self, stop: CancellationToken) -> Outage {
        let mut outage =
            Outage { what: self.what.clone(), asked: 0, missed: 0, longest_ms: 0, answers_now: false };
        let mut down_since: Option<Instant> = None;
        loop {
            // The last request is sent after the stop: its result counts as the final state.
            let last = stop.is_cancelled();
            let sent = Instant::now();
            let headers = HeaderMap::new();
            let asked = ask(&self.client, &Method::GET, &self.url, &headers, TIMEOUT);
            let answer = tokio::select! {
                // A request that was in flight at the stop is ignored.
                () = stop.cancelled(), if !last => continue,
                answer = asked => answer,
            };
            outage.asked += 1;
            let good = answer.is_ok_and(|a| self.status.contains(&a.status));
            outage.answers_now = good;
            if good {
                down_since = None;
            } else {
                outage.missed += 1;
                // From when the first failed request was sent: the outage began then or earlier, not later.
                let since = *down_since.get_or_insert(sent);
                let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                outage.longest_ms = outage.longest_ms.max(ms);
            }
            if last {
                return outage;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }
}
