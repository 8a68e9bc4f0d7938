//! Asking Prometheus' HTTP API, and telling why it gave no answer.

use domain::check::PrometheusSpec;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Url};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::finding::brief;
use super::super::http::{Refused, is_own_host, stranger};
use super::super::http_client::{ask_up_to, client, place};
use super::super::probe::Probe;
use super::super::roots;

/// Most bytes of an answer; a server with thousands of rules or targets stays below.
const ANSWER_MAX: usize = 16 << 20;

/// A server that can be asked.
pub(super) struct Server {
    pub(super) client: Client,
    base: Url,
    headers: HeaderMap,
}

/// Why the API gave no `data`.
pub(super) enum NoData {
    /// Prometheus understood, and says what is wrong with the question.
    Refused(Refused),
    /// This server does not know the path.
    Unsupported,
    /// Nobody could be asked, or the answer could not be read.
    Unseen(Refused),
}

impl NoData {
    /// What was seen, and what to do next.
    pub(super) fn words(self) -> Refused {
        match self {
            NoData::Refused(words) | NoData::Unseen(words) => words,
            NoData::Unsupported => (
                "the server answers 404: it does not have Prometheus' API there".into(),
                "Correct the URL of the check; it ends before /api/v1.".into(),
            ),
        }
    }
}

impl Server {
    /// The server of the declaration, every template filled.
    pub(super) fn new(probe: &Probe<'_>, spec: &PrometheusSpec) -> Result<Server, Refused> {
        let correct = |what: &str| format!("Correct the {what} in the declaration, or the env file.");
        let filled = probe.names.fill(&spec.url).map_err(|error| (error.to_string(), correct("URL")))?;
        let base: Url = format!("{}/", filled.text.trim_end_matches('/'))
            .parse()
            .map_err(|_| ("the filled URL of the check is no URL".to_owned(), correct("URL")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(("the URL of the check is neither http nor https".into(), correct("URL")));
        }
        let mut headers = HeaderMap::new();
        if let Some(bearer) = &spec.bearer {
            let token = probe.names.fill(bearer).map_err(|error| (error.to_string(), correct("bearer")))?;
            if let Some(key) = token.env_keys.iter().next()
                && !is_own_host(probe, &base)
            {
                return Err(stranger(key, &base));
            }
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.text))
                .map_err(|_| ("the bearer token cannot be sent".to_owned(), correct("bearer")))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let read = |ca: &String| roots::of_file(&probe.work.project.dir, ca);
        let trusted = spec.ca.as_ref().map(read).transpose().map_err(|saw| (saw, correct("ca")))?;
        let client =
            client(&base, trusted).map_err(|saw| (saw, "Install the system's root certificates.".into()))?;
        Ok(Server { client, base, headers })
    }

    /// The `data` of an answer to `GET /api/v1/<path>`.
    pub(super) async fn data(
        &self,
        probe: &Probe<'_>,
        path: &str,
        params: &[(&str, &str)],
    ) -> Result<Value, NoData> {
        let unseen = |saw: String, next: &str| NoData::Unseen((saw, next.to_owned()));
        let mut url = self.base.join(&format!("api/v1/{path}")).map_err(|_| {
            unseen("the filled URL of the check cannot be extended".into(), "Correct the URL of the check.")
        })?;
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
        probe.say(&format!("Asks: GET {url}"));
        let answer = ask_up_to(ANSWER_MAX, &self.client, &Method::GET, &url, &self.headers, probe.left())
            .await
            .map_err(|none| NoData::Unseen((none.saw, none.next)))?;
        let at = place(&url);
        let json: Option<Value> = serde_json::from_slice(&answer.body).ok().filter(|_| !answer.cut);
        match (answer.status, json) {
            (401 | 403, _) => Err(unseen(
                format!("Prometheus at {at} refuses this check: status {}", answer.status),
                "Give the check the bearer token that the server wants.",
            )),
            (200, Some(mut json)) if json["status"] == "success" => Ok(json["data"].take()),
            (_, Some(json)) if json["status"] == "error" => {
                let why = brief(json["error"].as_str().unwrap_or("an error without words"), 200);
                let next = "Correct the expression in the declaration.".to_owned();
                match json["errorType"].as_str() {
                    Some("bad_data") => Err(NoData::Refused((format!("Prometheus says: {why}"), next))),
                    _ => Err(unseen(
                        format!("Prometheus could not answer: {why}"),
                        "Look at the log of Prometheus.",
                    )),
                }
            }
            (404, _) => Err(NoData::Unsupported),
            (status, _) => Err(unseen(
                format!("{at} answered {status}, but not as Prometheus does"),
                "Correct the URL of the check, or look at the log of Prometheus.",
            )),
        }
    }
}

/// Milliseconds since 1970 of a time as the API writes it; `None` for “never” and for no time at all.
pub(super) fn at_ms(text: &Value) -> Option<u64> {
    let time = OffsetDateTime::parse(text.as_str()?, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok().filter(|ms| *ms > 0)
}
