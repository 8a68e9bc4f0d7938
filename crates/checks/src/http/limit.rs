//! A rate limit: does it turn requests away, and does it let them in again?

use std::cell::Cell;
use std::time::Duration;

use domain::check::HttpRateLimit;
use domain::evidence::Finding;
use futures::stream::{self, StreamExt};
use reqwest::Client;
use tokio::time::Instant;

use super::super::duration_text::parse_span;
use super::super::finding::{failed, figure, judge_value, unknown};
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
        "an answer 429 to at least one of {} requests within {}, and a good answer again within {}",
        limit.requests, limit.within, limit.recovers_within
    );
    if let Some(want) = &question.want {
        wanted = format!("{wanted}; let through before it: {want}");
    }
    let spans = parse_span(&limit.within).zip(parse_span(&limit.recovers_within));
    let Some((within, recovers)) = spans else {
        let saw = "`rate_limit` names no span of time";
        return unknown(wanted, saw, "Write `within` and `recovers_within` as 10s or 2m.");
    };
    let (within, recovers) = (Duration::from_millis(within), Duration::from_millis(recovers));
    probe.say(&format!("Asks: up to {} × {} {}", limit.requests, question.method, question.url));
    let pressed = press(probe, client, question, limit, within).await;
    let n = pressed.sent;
    let let_through = pressed.tally.good_ms.len();
    if pressed.tally.limited == 0 {
        return not_limited(pressed, limit, wanted);
    }
    if let_through == 0 {
        let saw = format!("turned away from the first of {n} requests on: limited already before this check");
        let next = "Wait until the limit has passed, then run it again.";
        return unknown(wanted, saw, next);
    }
    let told = match &pressed.retry_after {
        Some(seconds) => format!(" (Retry-After: {})", seconds.as_secs()),
        None => String::new(),
    };
    let saw = format!("{let_through} requests let through, then 429{told}");
    probe.say(&format!("{saw}. Waits until it lets in again."));
    match recover(probe, client, question, recovers, pressed.retry_after).await {
        Recovered::After(span) => {
            let seconds = figure((span.as_secs_f64() * 10.0).round() / 10.0);
            let saw = format!("{saw}; let in again after {seconds} s");
            let next = "Compare the limit in the service's configuration with the threshold.";
            let judged = judge_value(question.want.as_ref(), let_through as f64, "", saw, next);
            Finding { wanted, ..judged }
        }
        Recovered::StillLimited => {
            let saw = format!("{saw}; still 429 after {}", limit.recovers_within);
            failed(wanted, saw, "Shorten the window of the limit, or count refused requests no longer.")
        }
        Recovered::Broken(fault) => {
            let saw = format!("{saw}; afterwards {fault}");
            failed(wanted, saw, "Look at the service's log: it did not come back as it was.")
        }
        Recovered::Unseen(saw_then, next) => unknown(wanted, format!("{saw}; afterwards {saw_then}"), next),
    }
}

/// What the first part showed.
struct Pressed {
    tally: Tally,
    sent: u32,
    retry_after: Option<Duration>,
    in_time: bool,
}

/// Sends requests until one is turned away, all are sent, or the time is over.
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
    // What is under way when the first is turned away still counts: it was let through, or not.
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
        let nobody = pressed.tally.last.is_none() && pressed.tally.silent.len() >= at_once.max(3);
        if pressed.tally.limited > 0 || nobody {
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
    let saw = format!("none of {sent} answers was 429{}", tally.other_faults());
    let good = tally.good_ms.len();
    if tally.bad.keys().any(|fault| fault == "status 503") && good > 0 {
        let next =
            "If the limiter answers 503 (nginx does unless limit_req_status is set), make it answer 429.";
        return failed(wanted, saw, next);
    }
    if good * 2 < sent as usize {
        return unknown(wanted, saw, "Make the service answer first, then run it again.");
    }
    if !in_time || sent < limit.requests {
        let saw = format!("only {sent} of {} requests were answered within {}", limit.requests, limit.within);
        let next = "Send them side by side (`concurrency`), or give them a longer span.";
        return unknown(wanted, saw, next);
    }
    failed(wanted, saw, "Turn the rate limit on, or send more requests than it allows.")
}

enum Recovered {
    After(Duration),
    StillLimited,
    Broken(String),
    Unseen(String, String),
}

/// Asks now and then until an answer is good, or `recovers` has passed.
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
            return Recovered::Unseen("the check's time was over".to_owned(), next.to_owned());
        }
        let answer = ask(client, &question.method, &question.url, &question.headers, left).await;
        let state = match answer {
            Ok(answer) if answer.status == 429 => Recovered::StillLimited,
            Ok(answer) => match question.expected.fault(&answer) {
                Ok(None) => return Recovered::After(began.elapsed()),
                Ok(Some(fault)) => Recovered::Broken(fault),
                Err(unseen) => {
                    Recovered::Unseen(unseen, "Look for something nearer to the body's beginning.".to_owned())
                }
            },
            Err(none) => Recovered::Unseen(none.saw, none.next),
        };
        if began.elapsed() >= recovers {
            return state;
        }
    }
}

/// The seconds that a limiter asks to wait.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let value = header(answer, "retry-after").into_iter().next()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
