//! A rate limit: does it reject requests, and does it accept them again afterwards?

use std::cell::Cell;
use std::time::Duration;

use domain::check::HttpRateLimit;
use domain::evidence::Finding;
use domain::time::parse_span;
use futures::stream::{self, StreamExt};
use reqwest::Client;
use tokio::time::Instant;

use super::super::finding::{count_of, failed, figure, judge_value, unknown};
use super::super::http_client::{Answer, ask};
use super::super::probe::Probe;
use super::question::{Question, header};
use super::tally::Tally;

pub(super) async fn probe(
    probe: &Probe<'_>,
    client: &Client,
    question: &Question,
    limit: &HttpRateLimit,
) -> Finding {
    let mut wanted = format!(
        "status 429 for at least one of {} requests within {}, and requests accepted again within {}",
        limit.requests, limit.within, limit.recovers_within
    );
    if let Some(want) = &question.want {
        wanted = format!("{wanted}; accepted before that: {want}");
    }
    let spans = parse_span(&limit.within).zip(parse_span(&limit.recovers_within));
    let Some((within, recovers)) = spans else {
        let saw = "`rate_limit` has no valid duration";
        return unknown(wanted, saw, "Write `within` and `recovers_within` as 10s or 2m.");
    };
    let (within, recovers) = (Duration::from_millis(within), Duration::from_millis(recovers));
    probe.say(&format!("Requests: up to {} × {} {}", limit.requests, question.method, question.url));
    let pressed = press(probe, client, question, limit, within).await;
    let let_through = pressed.tally.good_ms.len();
    if pressed.tally.limited == 0 {
        return not_limited(pressed, limit, wanted);
    }
    if let_through == 0 {
        let saw = "no request was accepted, status 429: the rate limit was used up before this check";
        let next = "Wait until the rate limit has reset, then run the check again.";
        return unknown(wanted, saw, next);
    }
    let told = match &pressed.retry_after {
        Some(seconds) => format!(" (Retry-After: {})", seconds.as_secs()),
        None => String::new(),
    };
    let saw = format!("{} accepted, then 429{told}", count_of(let_through, "request", "requests"));
    probe.say(&format!("{saw}. Waiting until requests are accepted again."));
    match recover(probe, client, question, recovers, pressed.retry_after).await {
        Recovered::After(span) => {
            let seconds = figure((span.as_secs_f64() * 10.0).round() / 10.0);
            let saw = format!("{saw}; accepted again after {seconds} s");
            let next = "Compare the limit in the configuration of the service with the threshold.";
            let judged = judge_value(question.want.as_ref(), let_through as f64, "", saw, next);
            Finding { wanted, ..judged }
        }
        Recovered::StillLimited => {
            let saw = format!("{saw}; still 429 after {}", limit.recovers_within);
            failed(wanted, saw, "Shorten the window of the rate limit, or stop counting rejected requests.")
        }
        Recovered::Broken(fault) => {
            let saw = format!("{saw}; afterwards {fault}");
            failed(wanted, saw, "Check the log of the service: it does not respond as before.")
        }
        Recovered::Unseen(saw_then, next) => unknown(wanted, format!("{saw}; afterwards {saw_then}"), next),
    }
}

/// The result of the first phase.
struct Pressed {
    tally: Tally,
    sent: u32,
    retry_after: Option<Duration>,
    in_time: bool,
}

/// Sends requests until one is rejected, all are sent, or the time is over.
async fn press(
    probe: &Probe<'_>,
    client: &Client,
    question: &Question,
    limit: &HttpRateLimit,
    within: Duration,
) -> Pressed {
    let until = Instant::now() + within.min(probe.left());
    let enough = Cell::new(false);
    let one = async |_| {
        let left = until.saturating_duration_since(Instant::now());
        if enough.get() || left.is_zero() {
            return None;
        }
        Some(ask(client, &question.method, &question.url, &question.headers, left).await)
    };
    let at_once = question.concurrency.clamp(1, super::CONCURRENT_MAX) as usize;
    let mut answers = std::pin::pin!(stream::iter(0..limit.requests).map(one).buffer_unordered(at_once));
    let mut pressed = Pressed { tally: Tally::default(), sent: 0, retry_after: None, in_time: true };
    // Requests in flight when the first is rejected still count.
    while let Some(answer) = answers.next().await {
        let Some(answer) = answer else {
            pressed.in_time &= enough.get();
            continue;
        };
        pressed.sent += 1;
        if let Ok(answer) = &answer
            && answer.status == 429
        {
            pressed.retry_after = pressed.retry_after.or(retry_after(answer));
        }
        pressed.tally.take(question, answer);
        let no_response = pressed.tally.last.is_none() && pressed.tally.silent.len() >= at_once.max(3);
        if pressed.tally.limited > 0 || no_response {
            enough.set(true);
        }
    }
    pressed
}

fn not_limited(pressed: Pressed, limit: &HttpRateLimit, wanted: String) -> Finding {
    let Pressed { tally, sent, in_time, .. } = pressed;
    if tally.last.is_none() {
        let none = tally.silent.into_iter().next();
        let (saw, next) = none.map_or_else(
            || ("no request was sent".to_owned(), "Give the check a longer timeout.".to_owned()),
            |none| (none.saw, none.next),
        );
        return unknown(wanted, saw, next);
    }
    let saw = format!("none of {sent} responses was 429{}", tally.other_faults());
    let good = tally.good_ms.len();
    if tally.bad.keys().any(|fault| fault == "status 503") && good > 0 {
        let next =
            "If the limiter responds with 503 (nginx without limit_req_status), make it respond with 429.";
        return failed(wanted, saw, next);
    }
    if good * 2 < sent as usize {
        return unknown(wanted, saw, "Make the service respond as expected first, then run the check again.");
    }
    if !in_time || sent < limit.requests {
        let saw =
            format!("only {sent} of {} requests got a response within {}", limit.requests, limit.within);
        let next = "Send them in parallel (`concurrency`), or allow more time (`within`).";
        return unknown(wanted, saw, next);
    }
    failed(wanted, saw, "Enable the rate limit, or send more requests than it allows.")
}

enum Recovered {
    After(Duration),
    StillLimited,
    Broken(String),
    Unseen(String, String),
}

/// Sends a request from time to time until one is accepted, or `recovers` has passed.
async fn recover(
    probe: &Probe<'_>,
    client: &Client,
    question: &Question,
    recovers: Duration,
    retry_after: Option<Duration>,
) -> Recovered {
    let began = Instant::now();
    let pause = (recovers / 20).clamp(Duration::from_millis(200), Duration::from_secs(5));
    let mut next_pause = retry_after.unwrap_or(pause).clamp(pause, recovers.max(pause));
    loop {
        tokio::time::sleep(next_pause.min(recovers.saturating_sub(began.elapsed()))).await;
        next_pause = pause;
        let left = probe.left();
        if left.is_zero() {
            let next = "Give the check a longer timeout.";
            return Recovered::Unseen("the check timed out".to_owned(), next.to_owned());
        }
        let answer = ask(client, &question.method, &question.url, &question.headers, left).await;
        let state = match answer {
            Ok(answer) if answer.status == 429 => Recovered::StillLimited,
            Ok(answer) => match question.expected.fault(&answer) {
                Ok(None) => return Recovered::After(began.elapsed()),
                Ok(Some(fault)) => Recovered::Broken(fault),
                Err(unseen) => Recovered::Unseen(
                    unseen,
                    "Use a text that is within the first 64 KiB of the body.".to_owned(),
                ),
            },
            Err(none) => Recovered::Unseen(none.saw, none.next),
        };
        if began.elapsed() >= recovers {
            return state;
        }
    }
}

/// The time to wait according to the Retry-After header.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let value = header(answer, "retry-after").into_iter().next()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
