//! HTTP requests to a URL of the stack: status, headers, body, response times, errors; and whether access control
//! refuses wrong keys, foreign origins are refused, and a rate limit works.

mod cors;
mod gate;
mod limit;
mod question;
mod tally;

use domain::check::CheckSpec;
use domain::evidence::Finding;
use futures::stream::{self, StreamExt};
use reqwest::Client;

use super::finding::{brief, unknown};
use super::http_client::{ask, client};
use super::probe::Probe;
use super::roots;
use question::{Question, question};
use tally::Tally;

/// Most requests in flight at the same time.
const CONCURRENT_MAX: u32 = 64;

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let CheckSpec::Http { ca, gate, cors, rate_limit, .. } = &probe.work.check.spec else {
        return unknown("a response", "this is not an HTTP check", "Correct the check in stagegate.toml.");
    };
    let question = match question(probe) {
        Ok(question) => question,
        Err((saw, next)) => return unknown("a response", saw, next),
    };
    let roots = ca.as_ref().map(|ca| roots::of_file(probe.work.stack.dir(), ca)).transpose();
    let roots = match roots {
        Ok(roots) => roots,
        Err(saw) => return unknown(question.wanted(), saw, "Correct `ca`, or add the file."),
    };
    let client = match client(&question.url, roots) {
        Ok(client) => client,
        Err(saw) => return unknown(question.wanted(), saw, "Install the system's root certificates."),
    };
    if let Some(gate) = gate {
        gate::probe(probe, &client, &question, gate).await
    } else if let Some(cors) = cors {
        cors::probe(probe, &client, &question, cors).await
    } else if let Some(limit) = rate_limit {
        limit::probe(probe, &client, &question, limit).await
    } else {
        requests(probe, &client, &question).await
    }
}

/// Sends the declared number of requests and judges the result.
async fn requests(probe: &Probe<'_>, client: &Client, question: &Question) -> Finding {
    let wanted = question.wanted();
    let times = if question.requests == 1 { String::new() } else { format!("{} × ", question.requests) };
    probe.say(&format!("Request: {times}{} {}", question.method, question.url));
    let mut tally = Tally::default();
    let one = async |_| {
        let left = probe.left();
        if left.is_zero() {
            return None;
        }
        Some(ask(client, &question.method, &question.url, &question.headers, left).await)
    };
    let at_once = question.concurrency.clamp(1, CONCURRENT_MAX) as usize;
    let mut answers = std::pin::pin!(stream::iter(0..question.requests).map(one).buffer_unordered(at_once));
    let mut done = 0;
    while let Some(answer) = answers.next().await {
        let Some(answer) = answer else {
            let saw = format!("only {done} of {} requests were completed in time", question.requests);
            return unknown(wanted, saw, "Give the check a longer timeout or fewer requests.");
        };
        done += 1;
        tally.take(question, answer);
        // No service responds: the other requests would have the same result.
        if tally.last.is_none() && tally.silent.len() >= at_once.max(3) {
            break;
        }
    }
    if let Some(answer) = &tally.last {
        let body = String::from_utf8_lossy(&answer.body);
        probe.say(&format!("Response: {} in {:.0} ms: {}", answer.status, answer.ms, brief(&body, 300)));
    }
    tally.judge(question, wanted)
}
