//! Access control of an address: the key of the env file is accepted; no key and a wrong key are refused.

use std::time::Duration;

use domain::check::HttpGate;
use domain::evidence::Finding;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::super::finding::{failed, passed, unknown};
use super::super::http_client::{Answer, NoAnswer, ask};
use super::super::probe::Probe;
use super::question::{Question, Refused, is_own_host, stranger};

/// Sent as the wrong key.
const WRONG: &str = "stagegate-deliberately-wrong";

/// The results of the three requests.
#[derive(Default)]
struct Seen {
    good: Vec<String>,
    pub faults: Vec<String>,
    /// Whether a request without the right key was accepted.
    stands_open: bool,
    unseen: Vec<(String, String)>,
}

pub(super) async fn probe(
    probe: &Probe<'_>,
    client: &Client,
    question: &Question,
    gate: &HttpGate,
) -> Finding {
    let key = &gate.env;
    let refused = if gate.refused.is_empty() { vec![401, 403] } else { gate.refused.clone() };
    let codes: Vec<String> = refused.iter().map(u16::to_string).collect();
    let codes = codes.join(" or ");
    let wanted =
        format!("{} with {key}; status {codes} without it and with a wrong value", question.wanted());
    let (with, wrong) = match keys(probe, question, gate) {
        Ok(keys) => keys,
        Err((saw, next)) => return unknown(wanted, saw, next),
    };
    let Ok(name) = HeaderName::from_bytes(gate.header().as_bytes()) else {
        return unknown(wanted, "the header name of the gate is not valid", "Correct `gate.header`.");
    };
    let mut seen = Seen::default();
    let legs = [
        (format!("with {key}"), Some(with), true),
        (format!("without {key}"), None, false),
        (format!("with a wrong {key}"), Some(wrong), false),
    ];
    for (leg, value, opens) in legs {
        let mut headers: HeaderMap = question.headers.clone();
        headers.remove(&name);
        if let Some(value) = value {
            headers.insert(name.clone(), value);
        }
        probe.say(&format!("Request {leg}: {} {}", question.method, question.url));
        let left = probe.left().max(Duration::from_millis(1));
        let answer = ask(client, &question.method, &question.url, &headers, left).await;
        if let Ok(answer) = &answer {
            probe.say(&format!("Response: {} in {:.0} ms", answer.status, answer.ms));
        }
        seen.take(question, &leg, answer, opens.then_some(()).ok_or(refused.as_slice()));
    }
    seen.judge(question, &wanted, key)
}

/// The header's right value and a wrong one.
fn keys(
    probe: &Probe<'_>,
    question: &Question,
    gate: &HttpGate,
) -> Result<(HeaderValue, HeaderValue), Refused> {
    let key = &gate.env;
    let filled = probe.names.fill(&format!("${{{key}}}")).ok().filter(|f| f.env_keys.contains(key));
    let Some(filled) = filled else {
        return Err((
            format!("{key} is missing or empty in the env file"),
            "Set it in the env file, or correct `gate.env`.".to_owned(),
        ));
    };
    if !is_own_host(probe, &question.url) {
        return Err(stranger(key, &question.url));
    }
    let scheme = match gate.scheme() {
        "" => String::new(),
        scheme => format!("{scheme} "),
    };
    let wrong = if filled.text == WRONG { format!("{WRONG}-too") } else { WRONG.to_owned() };
    let value = |text: &str| {
        let mut value = HeaderValue::from_str(&format!("{scheme}{text}")).map_err(|_| {
            (format!("the value of {key} is not valid in a header"), "Correct it in the env file.".to_owned())
        })?;
        value.set_sensitive(true);
        Ok::<_, Refused>(value)
    };
    Ok((value(&filled.text)?, value(&wrong)?))
}

impl Seen {
    /// Records the response to one request: `Ok` when the key should be accepted, else the codes that mean refused.
    fn take(
        &mut self,
        question: &Question,
        leg: &str,
        answer: Result<Answer, NoAnswer>,
        opens: Result<(), &[u16]>,
    ) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(none) => return self.unseen.push((format!("{leg}: {}", none.saw), none.next)),
        };
        let status = answer.status;
        if status == 429 {
            let next = "Wait until the rate limit has reset, then run the check again.";
            return self.unseen.push((format!("{leg}: status 429"), next.to_owned()));
        }
        match opens {
            Ok(()) => match question.expected.fault(&answer) {
                Ok(None) => self.good.push(format!("status {status} {leg}")),
                Ok(Some(fault)) => self.faults.push(format!("{leg}: {fault}")),
                Err(unseen) => {
                    let next = "Use a text that is within the first 64 KiB of the body.";
                    self.unseen.push((format!("{leg}: {unseen}"), next.to_owned()));
                }
            },
            Err(refused) if refused.contains(&status) => {
                let body = String::from_utf8_lossy(&answer.body);
                match question.expected.body.as_deref().filter(|text| body.contains(text)) {
                    Some(_) => {
                        self.stands_open = true;
                        self.faults.push(format!(
                            "{leg}: status {status}, but the body contains the protected text"
                        ));
                    }
                    None => self.good.push(format!("{status} {leg}")),
                }
            }
            Err(_) => {
                let open = (200..400).contains(&status);
                self.stands_open |= open;
                let word = if open { "accepted, " } else { "" };
                self.faults.push(format!("{leg}: {word}status {status}"));
            }
        }
    }

    fn judge(self, question: &Question, wanted: &str, key: &str) -> Finding {
        let path = question.url.path();
        if !self.faults.is_empty() {
            let next = if self.stands_open {
                format!("Make the service refuse {path} without the right {key}. Anyone can read it now.")
            } else {
                format!("Compare {key} in the env file with the value that the service was started with.")
            };
            return failed(wanted, format!("{path} {}", self.faults.join("; ")), next);
        }
        if let Some((saw, next)) = self.unseen.into_iter().next() {
            return unknown(wanted, saw, next);
        }
        passed(wanted, self.good.join(", "))
    }
}
