//! The request of an HTTP check with every template filled, and the expected response.

use std::collections::BTreeMap;

use domain::check::{CheckSpec, HttpMeasure, Want};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::super::finding::brief;
use super::super::http_client::{Answer, place};
use super::super::probe::Probe;

/// The expected response, every template filled.
#[derive(Default)]
pub(super) struct Expected {
    pub(super) status: Vec<u16>,
    pub(super) body: Option<String>,
    pub(super) present: BTreeMap<String, String>,
    pub(super) absent: BTreeMap<String, String>,
    pub(super) pointer: Option<String>,
}

/// The request, every template filled.
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) requests: u32,
    /// How many are in flight at the same time.
    pub(super) concurrency: u32,
    pub(super) measure: Option<HttpMeasure>,
    pub(super) want: Option<Want>,
    pub(super) expected: Expected,
}

/// Why the request cannot be sent, and what to do.
pub(super) type Refused = (String, String);

/// Fills in the templates of the check.
pub(super) fn question(probe: &Probe<'_>) -> Result<Question, Refused> {
    let CheckSpec::Http {
        url,
        method,
        headers,
        status,
        body_contains,
        expect_headers,
        forbid_headers,
        requests,
        concurrency,
        measure,
        pointer,
        ca: _,
        gate: _,
        cors: _,
        rate_limit: _,
    } = &probe.work.check.spec
    else {
        return Err(("this is not an HTTP check".into(), "Correct the check in stagegate.toml.".into()));
    };
    let correct = |what: &str| format!("Correct the {what} of the check in stagegate.toml, or the env file.");
    let fill =
        |text: &str, what: &str| probe.names.fill(text).map_err(|error| (error.to_string(), correct(what)));
    let filled_url = fill(url, "URL")?;
    let parsed: Url = filled_url.text.parse().map_err(|_| {
        ("the URL of the check is not valid after its variables are filled in".to_owned(), correct("URL"))
    })?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(("the URL of the check is not an http or https URL".into(), correct("URL")));
    }
    let method = method.as_deref().unwrap_or("GET").to_uppercase();
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| ("the method of the check is not an HTTP method".to_owned(), correct("method")))?;
    let mut sent = HeaderMap::new();
    for (name, template) in headers {
        let value = fill(template, "headers")?;
        if let Some(key) = value.env_keys.iter().next()
            && !is_own_host(probe, &parsed)
        {
            return Err(stranger(key, &parsed));
        }
        let bad = || (format!("header {name} is not valid and cannot be sent"), correct("headers"));
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
        concurrency: concurrency.unwrap_or(1).max(1),
        measure: *measure,
        want: probe.work.check.want.clone().or_else(|| {
            let usual = match measure.as_ref()? {
                HttpMeasure::RateLimited => ">= 1",
                HttpMeasure::ErrorRate => "<= 0 %",
                _ => return None,
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

/// Whether the address is a URL of the stack, by scheme, host and port. Secrets are sent only to those.
pub(super) fn is_own_host(probe: &Probe<'_>, url: &Url) -> bool {
    let urls = probe.names.urls();
    urls.values().filter_map(|own| Url::parse(own).ok()).any(|own| own.origin() == url.origin())
}

/// The value of `key` was not sent, because `url` is not a URL of the stack.
pub(super) fn stranger(key: &str, url: &Url) -> Refused {
    (
        format!("{key} was not sent: {} is not a URL of the stack", place(url)),
        "Declare the address in [stack.urls] and use that name in the check.".into(),
    )
}

impl Question {
    /// The expected result as text.
    pub(super) fn wanted(&self) -> String {
        let status: Vec<String> = self.expected.status.iter().map(u16::to_string).collect();
        let mut parts = match self.measure {
            Some(HttpMeasure::RateLimited) => vec![],
            _ => vec![format!("status {}", status.join(" or "))],
        };
        if let Some(text) = &self.expected.body {
            parts.push(format!("body contains “{}”", brief(text, 60)));
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
                (Some(measure), _) => format!("{} ", measure.label()),
                (None, Some(pointer)) => format!("{pointer} "),
                (None, None) => String::new(),
            };
            parts.push(format!("{what}{want}"));
        }
        if self.requests > 1 {
            let at_once = match self.concurrency {
                0 | 1 => String::new(),
                n => format!(", {n} at a time"),
            };
            parts.push(format!("over {} requests{at_once}", self.requests));
        }
        parts.join(", ")
    }
}

impl Expected {
    /// What is wrong with a response; `Err` when the rest of a long body would be needed.
    pub(super) fn fault(&self, answer: &Answer) -> Result<Option<String>, String> {
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
                Err("the text is not in the first 64 KiB of the body, and the rest was not read".to_owned())
            } else {
                Ok(Some(format!("body does not contain “{}”", brief(text, 60))))
            };
        }
        Ok(None)
    }
}

/// The values of a header, in the order in which they were sent.
pub(super) fn header(answer: &Answer, name: &str) -> Vec<String> {
    let values = answer.headers.get_all(name).iter();
    values.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).collect()
}

/// Whether a header's value contains `wanted` as a whole word: not as a part of a longer host name or number.
fn holds(value: &str, wanted: &str) -> bool {
    let (value, wanted) = (value.to_lowercase(), wanted.trim().to_lowercase());
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/');
    value.match_indices(&wanted).any(|(at, _)| {
        let before = value[..at].chars().next_back();
        let after = value[at + wanted.len()..].chars().next();
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_match_whole_words_only() {
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
