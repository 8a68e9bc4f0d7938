//! Which web pages may read the responses (CORS): requests as from a page of the allowed origin and as from
//! pages of other origins, each with and without a preflight.

use std::time::Duration;

use domain::check::HttpCors;
use domain::evidence::Finding;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url};

use super::super::finding::{brief, failed, passed, unknown};
use super::super::http_client::{Answer, ask};
use super::super::probe::Probe;
use super::question::{Question, Refused, header};

const ALLOW: &str = "access-control-allow-origin";
/// The foreign origin when none is declared. That name cannot be registered.
const FOREIGN: &str = "https://foreign.invalid";
/// Methods that browsers send although they are not listed.
const SIMPLE: [&str; 3] = ["GET", "HEAD", "POST"];

/// What a browser sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Request,
    Preflight,
}

impl Sent {
    fn label(self) -> &'static str {
        match self {
            Sent::Request => "request",
            Sent::Preflight => "preflight",
        }
    }
}

/// The origins that are tried, and what the preflight requests.
struct Trial<'a> {
    allowed: String,
    /// Each with a text for display.
    strangers: Vec<(String, &'static str)>,
    method: String,
    cors: &'a HttpCors,
}

#[derive(Default)]
struct Seen {
    pub faults: Vec<String>,
    unseen: Option<(String, String)>,
}

pub(super) async fn probe(
    probe: &Probe<'_>,
    client: &Client,
    question: &Question,
    cors: &HttpCors,
) -> Finding {
    let trial = match trial(probe, question, cors) {
        Ok(trial) => trial,
        Err((saw, next)) => return unknown("one origin allowed and all others refused", saw, next),
    };
    let wanted = format!("{} allowed, with and without preflight; other origins refused", trial.allowed);
    let mut seen = Seen::default();
    for sent in [Sent::Request, Sent::Preflight] {
        let way = sent.label();
        match send(probe, client, question, &trial, &trial.allowed, sent).await {
            Ok(answer) => trial.allowed_faults(question, &answer, sent, &mut seen),
            Err((saw, next)) => seen.miss(format!("{way} from {}: {saw}", trial.allowed), next),
        }
        for (origin, words) in &trial.strangers {
            match send(probe, client, question, &trial, origin, sent).await {
                Ok(answer) => foreign_faults(&answer, origin, words, way, &mut seen),
                Err((saw, next)) => seen.miss(format!("{way} from {origin}: {saw}"), next),
            }
        }
    }
    if !seen.faults.is_empty() {
        let next = "Allow exactly the intended origins: compare the complete Origin header with a list.";
        return failed(wanted, seen.faults.join("; "), next);
    }
    if let Some((saw, next)) = seen.unseen {
        return unknown(wanted, saw, next);
    }
    let kept: Vec<&str> = trial.strangers.iter().map(|(origin, _)| origin.as_str()).collect();
    passed(wanted, format!("{} is allowed; refused: {}", trial.allowed, kept.join(", ")))
}

fn trial<'a>(probe: &Probe<'_>, question: &Question, cors: &'a HttpCors) -> Result<Trial<'a>, Refused> {
    let origin = |text: &str, key: &str| {
        let next = format!("Write `cors.{key}` as an origin: https://web.example");
        let filled = probe.names.fill(text).map_err(|error| (error.to_string(), next.clone()))?;
        let url = Url::parse(&filled.text).ok().filter(|url| url.host_str().is_some());
        let url = url.filter(|url| url.origin().is_tuple());
        url.ok_or_else(|| (format!("`cors.{key}` is not an origin"), next))
    };
    let allowed = origin(&cors.allowed, "allowed")?;
    let foreign = origin(cors.foreign.as_deref().unwrap_or(FOREIGN), "foreign")?;
    if allowed.origin() == foreign.origin() {
        let next = "Set `cors.foreign` to an origin that must be refused.";
        return Err(("the allowed and the foreign origin are the same".to_owned(), next.to_owned()));
    }
    let port = allowed.port().map_or(String::new(), |port| format!(":{port}"));
    let host = |url: &Url| url.host_str().unwrap_or_default().to_owned();
    let lookalike = format!("{}://{}.{}{port}", allowed.scheme(), host(&allowed), host(&foreign));
    Ok(Trial {
        allowed: allowed.origin().ascii_serialization(),
        strangers: vec![
            (foreign.origin().ascii_serialization(), "the foreign origin is reflected"),
            (lookalike, "an origin that only starts like the allowed one is allowed"),
            ("null".to_owned(), "the origin `null` is allowed, and any sandboxed page can send it"),
        ],
        method: cors.method.clone().unwrap_or_else(|| question.method.to_string()).to_uppercase(),
        cors,
    })
}

/// Sends one request as a page of `origin` would. Fails with the result and what to do.
async fn send(
    probe: &Probe<'_>,
    client: &Client,
    question: &Question,
    trial: &Trial<'_>,
    origin: &str,
    sent: Sent,
) -> Result<Answer, Refused> {
    let bad = || ("the declared headers are not valid".to_owned(), "Correct `cors`.".to_owned());
    // A browser sends neither the page's headers nor its keys with a preflight.
    let mut headers = match sent {
        Sent::Preflight => HeaderMap::new(),
        Sent::Request => question.headers.clone(),
    };
    headers.insert("origin", HeaderValue::from_str(origin).map_err(|_| bad())?);
    let mut method = question.method.clone();
    if sent == Sent::Preflight {
        method = Method::OPTIONS;
        let asked = HeaderValue::from_str(&trial.method).map_err(|_| bad())?;
        headers.insert(HeaderName::from_static("access-control-request-method"), asked);
        if !trial.cors.headers.is_empty() {
            let asked = trial.cors.headers.join(",").to_lowercase();
            let asked = HeaderValue::from_str(&asked).map_err(|_| bad())?;
            headers.insert(HeaderName::from_static("access-control-request-headers"), asked);
        }
    }
    probe.say(&format!("Request as {origin}: {method} {}", question.url));
    let left = probe.left().max(Duration::from_millis(1));
    let answer = ask(client, &method, &question.url, &headers, left).await;
    let answer = answer.map_err(|none| (none.saw, none.next))?;
    let allows = header(&answer, ALLOW).join(", ");
    let allows = if allows.is_empty() { "no origin".to_owned() } else { brief(&allows, 80) };
    probe.say(&format!("Response: {}, allows {allows}", answer.status));
    if answer.status == 429 {
        let next = "Wait until the rate limit has reset, then run the check again.";
        return Err(("status 429".to_owned(), next.to_owned()));
    }
    Ok(answer)
}

impl Trial<'_> {
    fn allowed_faults(&self, question: &Question, answer: &Answer, sent: Sent, seen: &mut Seen) {
        let answer_name = format!("{} from {}", sent.label(), self.allowed);
        if sent == Sent::Preflight && !(200..300).contains(&answer.status) {
            return seen.fault(format!("{answer_name}: status {}", answer.status));
        }
        if sent == Sent::Request {
            match question.expected.fault(answer) {
                Ok(None) => {}
                Ok(Some(fault)) => return seen.fault(format!("{answer_name}: {fault}")),
                Err(unseen) => {
                    seen.miss(unseen, "Use a text that is within the first 64 KiB of the body.".into())
                }
            }
        }
        let values = header(answer, ALLOW);
        match values.as_slice() {
            [] => return seen.fault(format!("{answer_name} is refused: no {ALLOW}")),
            [one] if one.trim() == "*" => return seen.fault(every(ALLOW)),
            [one] if one.trim() == self.allowed => {}
            [one] => {
                let fault = format!("{answer_name}: response has {ALLOW}: {}", brief(one, 80));
                return seen.fault(fault);
            }
            many => {
                return seen.fault(format!(
                    "{answer_name}: response has {} {ALLOW} headers, which browsers refuse",
                    many.len()
                ));
            }
        }
        if self.cors.credentials && header(answer, "access-control-allow-credentials").concat() != "true" {
            seen.fault(format!(
                "{answer_name} may not send cookies: no access-control-allow-credentials: true"
            ));
        }
        if sent == Sent::Preflight {
            let listed = |name: &str, wanted: &str| {
                let all = header(answer, name).join(",");
                let wildcard = !self.cors.credentials;
                all.split(',')
                    .map(str::trim)
                    .any(|one| one.eq_ignore_ascii_case(wanted) || (one == "*" && wildcard))
            };
            if !SIMPLE.contains(&self.method.as_str())
                && !listed("access-control-allow-methods", &self.method)
            {
                seen.fault(format!("{answer_name} may not use {}", self.method));
            }
            for name in &self.cors.headers {
                if !listed("access-control-allow-headers", name) {
                    seen.fault(format!("{answer_name} may not send {name}"));
                }
            }
        }
    }
}

fn every(header: &str) -> String {
    format!("{header}: * allows every origin")
}

fn foreign_faults(answer: &Answer, origin: &str, words: &str, way: &str, seen: &mut Seen) {
    for value in header(answer, ALLOW) {
        match value.trim() {
            "*" => seen.fault(every(ALLOW)),
            "null" if origin != "null" => {
                seen.fault(format!("{ALLOW}: null allows any sandboxed page ({way} from {origin})"));
            }
            value if value == origin => seen.fault(format!("{words} ({way} from {origin})")),
            _ => {}
        }
    }
}

impl Seen {
    fn fault(&mut self, text: String) {
        if !self.faults.contains(&text) {
            self.faults.push(text);
        }
    }

    fn miss(&mut self, saw: String, next: String) {
        self.unseen.get_or_insert((saw, next));
    }
}
