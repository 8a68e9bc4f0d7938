//! HTTP requests to a URL of the stack: status, headers, body, latency, errors, rate limits.

use std::collections::BTreeMap;

use domain::check::{CheckSpec, HttpMeasure, Want};
use domain::evidence::Finding;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::finding::{brief, failed, figure, judge_value, passed, unknown};
use super::http_client::{Answer, NoAnswer, ask, client, place};
use super::probe::Probe;
use super::values::by_pointer;

/// What an answer must be like, every template filled.
#[derive(Default)]
struct Expected {
    status: Vec<u16>,
    body: Option<String>,
    present: BTreeMap<String, String>,
    absent: BTreeMap<String, String>,
    pointer: Option<String>,
}

/// The question, every template filled.
struct Question {
    method: Method,
    url: Url,
    headers: HeaderMap,
    requests: u32,
    measure: Option<HttpMeasure>,
    want: Option<Want>,
    expected: Expected,
}

/// What was found out over all requests.
#[derive(Default)]
struct Tally {
    /// Milliseconds of each answer that was as expected.
    good_ms: Vec<f64>,
    limited: u32,
    /// Answers that were not as expected, other than 429, by what was wrong with them.
    bad: BTreeMap<String, u32>,
    /// Faults that only mean that the end of a long body was not seen.
    unseen: Option<String>,
    silent: Vec<NoAnswer>,
    last: Option<Answer>,
}

pub(super) async fn probe(probe: &Probe<'_>) -> Finding {
    let question = match question(probe) {
        Ok(question) => question,
        Err((saw, next)) => return unknown("an answer", saw, next),
    };
    let wanted = question.wanted();
    let client = match client(&question.url) {
        Ok(client) => client,
        Err(saw) => return unknown(wanted, saw, "Install the system's root certificates."),
    };
    let times = if question.requests == 1 { String::new() } else { format!("{} × ", question.requests) };
    probe.say(&format!("Asks: {times}{} {}", question.method, question.url));
    let mut tally = Tally::default();
    for sent in 0..question.requests {
        let left = probe.left();
        if left.is_zero() {
            let saw = format!("only {sent} of {} requests were done in time", question.requests);
            return unknown(wanted, saw, "Give the check a longer timeout, or fewer requests.");
        }
        let answer = ask(&client, &question.method, &question.url, &question.headers, left).await;
        tally.take(&question, answer);
        // Nobody is there: the rest of the requests would say the same.
        if tally.last.is_none() && tally.silent.len() >= 3 {
            break;
        }
    }
    if let Some(answer) = &tally.last {
        let body = String::from_utf8_lossy(&answer.body);
        probe.say(&format!("Answer: {} in {:.0} ms: {}", answer.status, answer.ms, brief(&body, 300)));
    }
    tally.judge(&question, wanted)
}

type Refused = (String, String);

fn question(probe: &Probe<'_>) -> Result<Question, Refused> {
    let CheckSpec::Http {
        url,
        method,
        headers,
        status,
        body_contains,
        expect_headers,
        forbid_headers,
        requests,
        measure,
        pointer,
    } = &probe.work.check.spec
    else {
        return Err(("this check asks nothing over HTTP".into(), "Correct the declaration.".into()));
    };
    let correct = |what: &str| format!("Correct the {what} in the declaration, or the env file.");
    let fill =
        |text: &str, what: &str| probe.names.fill(text).map_err(|error| (error.to_string(), correct(what)));
    let filled_url = fill(url, "URL")?;
    let parsed: Url = filled_url
        .text
        .parse()
        .map_err(|_| ("the filled URL of the check is no URL".to_owned(), correct("URL")))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(("the URL of the check is neither http nor https".into(), correct("URL")));
    }
    let method = method.as_deref().unwrap_or("GET").to_uppercase();
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| ("the method of the check is none".to_owned(), correct("method")))?;
    let mut sent = HeaderMap::new();
    for (name, template) in headers {
        let value = fill(template, "headers")?;
        if let Some(key) = value.env_keys.iter().next()
            && !is_own_host(probe, &parsed)
        {
            return Err((
                format!("{key} was not sent: {} is none of the stack's URLs", place(&parsed)),
                "Declare the address in [stack.urls] and use its name in the check.".into(),
            ));
        }
        let bad = || (format!("the header {name} cannot be sent"), correct("headers"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let mut value = HeaderValue::from_str(&value.text).map_err(|_| bad())?;
        value.set_sensitive(true);
        sent.append(name, value);
    }
    let filled = |map: &BTreeMap<String, String>| {
        map.iter()
            .map(|(name, text)| Ok((name.to_lowercase(), fill(text, "headers")?.text)))
            .collect::<Result<BTreeMap<_, _>, Refused>>()
    };
    Ok(Question {
        method,
        url: parsed,
        headers: sent,
        requests: requests.unwrap_or(1).max(1),
        measure: *measure,
        want: probe.work.check.want.clone().or_else(|| {
            let usual = match measure.as_ref()? {
                HttpMeasure::RateLimited => ">= 1",
                HttpMeasure::ErrorRate => "<= 0 %",
                HttpMeasure::P95 => return None,
            };
            usual.parse().ok()
        }),
        expected: Expected {
            status: if status.is_empty() { vec![200] } else { status.clone() },
            body: body_contains.as_deref().map(|text| fill(text, "body text")).transpose()?.map(|f| f.text),
            present: filled(expect_headers)?,
            absent: filled(forbid_headers)?,
            pointer: pointer.clone(),
        },
    })
}

/// Whether the address is one of the stack's own, by scheme, host and port. Only those get secrets.
fn is_own_host(probe: &Probe<'_>, url: &Url) -> bool {
    let urls = probe.names.urls();
    urls.values().filter_map(|own| Url::parse(own).ok()).any(|own| own.origin() == url.origin())
}

impl Question {
    fn wanted(&self) -> String {
        let status: Vec<String> = self.expected.status.iter().map(u16::to_string).collect();
        let mut parts = match self.measure {
            Some(HttpMeasure::RateLimited) => vec![],
            _ => vec![format!("status {}", status.join(" or "))],
        };
        if let Some(text) = &self.expected.body {
            parts.push(format!("a body with “{}”", brief(text, 60)));
        }
        for (name, value) in &self.expected.present {
            parts.push(if value.is_empty() {
                format!("header {name}")
            } else {
                format!("header {name}: {value}")
            });
        }
        for (name, value) in &self.expected.absent {
            let value = if value.is_empty() { String::new() } else { format!(": {value}") };
            parts.push(format!("no header {name}{value}"));
        }
        if let Some(want) = &self.want {
            let what = match (self.measure, &self.expected.pointer) {
                (Some(HttpMeasure::P95), _) => "p95 ".to_owned(),
                (Some(HttpMeasure::ErrorRate), _) => "error rate ".to_owned(),
                (Some(HttpMeasure::RateLimited), _) => "answers 429 ".to_owned(),
                (None, Some(pointer)) => format!("{pointer} "),
                (None, None) => String::new(),
            };
            parts.push(format!("{what}{want}"));
        }
        if self.requests > 1 {
            parts.push(format!("over {} requests", self.requests));
        }
        parts.join(", ")
    }
}

impl Expected {
    /// What is wrong with an answer; `Err` when the end of a long body would have to be seen.
    fn fault(&self, answer: &Answer) -> Result<Option<String>, String> {
        if !self.status.contains(&answer.status) {
            return Ok(Some(format!("status {}", answer.status)));
        }
        for (name, value) in &self.present {
            let values = header(answer, name);
            if values.is_empty() {
                return Ok(Some(format!("no header {name}")));
            }
            if !value.is_empty() && !values.iter().any(|v| holds(v, value)) {
                return Ok(Some(format!("header {name}: {}", brief(&values.join(", "), 80))));
            }
        }
        for (name, value) in &self.absent {
            let values = header(answer, name);
            if let Some(found) = values.iter().find(|v| value.is_empty() || holds(v, value)) {
                return Ok(Some(format!("header {name}: {}", brief(found, 80))));
            }
        }
        if let Some(text) = &self.body
            && !String::from_utf8_lossy(&answer.body).contains(text.as_str())
        {
            return if answer.cut {
                Err("the text does not stand in the first 64 KiB of the body, and the rest was not read"
                    .to_owned())
            } else {
                Ok(Some(format!("a body without “{}”", brief(text, 60))))
            };
        }
        Ok(None)
    }
}

fn header(answer: &Answer, name: &str) -> Vec<String> {
    let values = answer.headers.get_all(name).iter();
    values.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).collect()
}

/// Whether a header's value holds `wanted` as a whole word: not as a part of a longer host name or number.
fn holds(value: &str, wanted: &str) -> bool {
    let (value, wanted) = (value.to_lowercase(), wanted.trim().to_lowercase());
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/');
    value.match_indices(&wanted).any(|(at, _)| {
        let before = value[..at].chars().next_back();
        let after = value[at + wanted.len()..].chars().next();
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

impl Tally {
    fn take(&mut self, question: &Question, answer: Result<Answer, NoAnswer>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(none) => return self.silent.push(none),
        };
        if answer.status == 429 && !question.expected.status.contains(&429) {
            self.limited += 1;
        } else {
            match question.expected.fault(&answer) {
                Ok(None) => {
                    self.limited += u32::from(answer.status == 429);
                    self.good_ms.push(answer.ms);
                }
                Ok(Some(fault)) => *self.bad.entry(fault).or_default() += 1,
                Err(unseen) => self.unseen = Some(unseen),
            }
        }
        self.last = Some(answer);
    }

    fn bad_count(&self) -> u32 {
        self.bad.values().sum()
    }

    /// The faults with how often each was seen.
    fn faults(&self) -> String {
        let many = self.bad_count() > 1 || self.bad.len() > 1;
        let each =
            |(fault, n): (&String, &u32)| if many { format!("{fault} ({n} ×)") } else { fault.clone() };
        self.bad.iter().take(4).map(each).collect::<Vec<_>>().join(", ")
    }

    fn judge(self, question: &Question, wanted: String) -> Finding {
        let Some(last) = &self.last else {
            let (saw, next) = self.silent.into_iter().next().map_or_else(
                || ("no request was sent".to_owned(), "Run it again.".to_owned()),
                |none| (none.saw, none.next),
            );
            return unknown(wanted, saw, next);
        };
        let mut found = match question.measure {
            None => self.judge_answers(question, last),
            Some(HttpMeasure::P95) => self.judge_p95(question),
            Some(HttpMeasure::ErrorRate) => self.judge_errors(question),
            Some(HttpMeasure::RateLimited) => self.judge_limit(question),
        };
        found.wanted = wanted;
        found
    }

    fn judge_answers(&self, question: &Question, last: &Answer) -> Finding {
        let look = "Look at the service's log and at the answer in the run's log.";
        if !self.bad.is_empty() {
            return failed("", format!("{} answered {}", question.url.path(), self.faults()), look);
        }
        if self.limited > 0 && !question.expected.status.contains(&429) {
            let saw =
                format!("{} of {} answers were 429: too many requests", self.limited, question.requests);
            return unknown("", saw, "Wait until the rate limit has passed, then run it again.");
        }
        if let Some(unseen) = &self.unseen {
            return unknown("", unseen.clone(), "Look for something nearer to the body's beginning.");
        }
        if let Some(none) = self.silent.first() {
            let saw = format!(
                "{} of {} requests got no answer: {}",
                self.silent.len(),
                question.requests,
                none.saw
            );
            return unknown("", saw, none.next.clone());
        }
        let saw = format!("status {} in {:.0} ms", last.status, last.ms);
        let Some(pointer) = &question.expected.pointer else {
            if question.want.is_some() {
                return unknown(
                    "",
                    format!("{saw}, and nothing to compare"),
                    "Give the check a `measure` or a `pointer`.",
                );
            }
            return passed("", saw);
        };
        if last.cut {
            return unknown(
                "",
                "the body is longer than 64 KiB and was not read to its end",
                "Ask for a smaller body.",
            );
        }
        match by_pointer(pointer, &String::from_utf8_lossy(&last.body)) {
            Ok(reading) => {
                let saw = format!("{saw}, {}", reading.detail);
                judge_value(question.want.as_ref(), reading.value, "", saw, look)
            }
            Err(none) => unknown("", format!("{saw}, but {}", none.saw), none.next),
        }
    }

    fn judge_p95(&self, question: &Question) -> Finding {
        let counted = self.good_ms.len() + self.bad_count() as usize + self.silent.len();
        let Some(p95) = percentile(&self.good_ms, 95.0) else {
            let saw = format!("no answer to measure: {}", self.summary(question));
            return unknown("", saw, "Make the service answer as expected first.");
        };
        let saw = format!("p95 {} ms over {} answers{}", figure(p95), self.good_ms.len(), self.remarks());
        if self.limited as usize > self.good_ms.len() {
            return unknown("", saw, "Most answers were 429: exempt this machine, or send fewer requests.");
        }
        if self.good_ms.len() * 10 < counted * 9 {
            // Fast errors would otherwise pass for a fast service.
            return failed(
                "",
                format!("{saw}; more than a tenth of the requests failed"),
                "Look at the service's log.",
            );
        }
        judge_value(question.want.as_ref(), p95, "ms", saw, "Look for what slows the service down.")
    }

    fn judge_errors(&self, question: &Question) -> Finding {
        let errors = self.bad_count() as usize + self.silent.len();
        let counted = self.good_ms.len() + errors;
        if counted == 0 {
            let saw = format!("no request counts: {}", self.summary(question));
            return unknown("", saw, "Wait until the rate limit has passed, then run it again.");
        }
        let rate = errors as f64 * 100.0 / counted as f64;
        let saw = format!("{errors} of {counted} requests failed ({} %){}", figure(rate), self.remarks());
        judge_value(
            question.want.as_ref(),
            rate,
            "%",
            saw,
            "Look at the service's log for the failed requests.",
        )
    }

    fn judge_limit(&self, question: &Question) -> Finding {
        let saw = self.summary(question);
        let next = "Turn the rate limit on, or send more requests than it allows.";
        let found = judge_value(question.want.as_ref(), f64::from(self.limited), "", saw, next);
        let most_failed = (self.bad_count() as usize + self.silent.len()) * 2 > question.requests as usize;
        if found.outcome == domain::evidence::Outcome::Fail && most_failed {
            // A service that fails does not show whether it would limit.
            return unknown("", found.saw, "Make the service answer first, then run it again.");
        }
        found
    }

    fn summary(&self, question: &Question) -> String {
        let n = question.requests;
        format!("{} of {n} answers were 429{}", self.limited, self.other_faults())
    }

    fn remarks(&self) -> String {
        let limited = match self.limited {
            0 => String::new(),
            n => format!("; {n} answers 429 counted apart"),
        };
        format!("{limited}{}", self.other_faults())
    }

    fn other_faults(&self) -> String {
        let mut text = String::new();
        if !self.bad.is_empty() {
            text.push_str(&format!("; {}", self.faults()));
        }
        if let Some(none) = self.silent.first() {
            text.push_str(&format!("; {} without answer ({})", self.silent.len(), none.saw));
        }
        text
    }
}

/// The nearest-rank percentile: the least value that `per_cent` of all do not exceed.
fn percentile(values: &[f64], per_cent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (per_cent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 95.0), Some(95.0));
        assert_eq!(percentile(&[7.0], 95.0), Some(7.0));
        assert_eq!(percentile(&values[..10], 95.0), Some(100.0));
        assert_eq!(percentile(&[], 95.0), None);
    }

    #[test]
    fn header_values_hold_whole_words_only() {
        assert!(holds("https://a.example", "https://a.example"));
        assert!(holds("default-src 'self'; img-src *", "default-src 'self'"));
        assert!(holds("max-age=600, public", "public"));
        assert!(holds("*", "*") && !holds("https://a.example", "*"));
        for longer in ["https://a.example.evil", "https://a.example:8443", "xhttps://a.example"] {
            assert!(!holds(longer, "https://a.example"), "{longer}");
        }
        assert!(!holds("max-age=315360001", "max-age=31536000"));
    }
}
