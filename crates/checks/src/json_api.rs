//! Client for servers with a JSON API: Prometheus, Alertmanager, Grafana, Loki, Elasticsearch.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response, Url};
use serde_json::Value;

use domain::evidence::Finding;

use super::finding::{brief, unknown};
use super::http_client::{client, place};
use super::probe::Probe;

/// Largest response that is read, bytes.
const LARGEST: usize = 8 << 20;
/// Longest time from a request to the last byte of its response.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A server and how to reach it.
pub(super) struct Api {
    client: Client,
    base: Url,
    headers: HeaderMap,
    /// Its name for display.
    pub(super) name: &'static str,
}

/// Why there is no usable response.
pub(super) struct NoJson {
    /// The HTTP status, when there was one.
    pub(super) status: Option<u16>,
    pub(super) saw: String,
    pub(super) next: String,
}

impl NoJson {
    /// The finding that the check could not be evaluated.
    pub(super) fn finding(self, wanted: &str) -> Finding {
        unknown(wanted, self.saw, self.next)
    }
}

impl Api {
    /// A server at a declared address. `bearer` may use a key of the env file; it is sent only to declared addresses.
    pub(super) fn new(
        probe: &Probe<'_>,
        name: &'static str,
        url: &str,
        bearer: Option<&str>,
    ) -> Result<Api, NoJson> {
        let wrong = |saw: String, next: &str| NoJson { status: None, saw, next: next.to_owned() };
        let filled =
            probe.names.fill(url).map_err(|e| wrong(e.to_string(), "Correct the address in the check."))?;
        let mut base = Url::parse(filled.text.trim()).map_err(|_| {
            wrong(format!("the address of {name} is not a valid URL"), "Correct the address in the check.")
        })?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong(
                format!("the address of {name} has scheme {}", base.scheme()),
                "Use http or https.",
            ));
        }
        // Paths are appended to it.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client =
            client(&base, None).map_err(|saw| wrong(saw, "Check the root certificates of this host."))?;
        let mut headers = HeaderMap::new();
        if let Some(template) = bearer {
            let token =
                probe.names.fill(template).map_err(|e| wrong(e.to_string(), "Set it in the env file."))?;
            // A value of the env file is sent only to a declared address.
            if !token.env_keys.is_empty() && !is_declared(probe, &base) {
                let saw = format!(
                    "{} is not a declared URL, so no value of the env file is sent to it",
                    place(&base)
                );
                return Err(wrong(saw, "Declare the address in [stack.urls]."));
            }
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.text))
                .map_err(|_| wrong("the token is not valid in a header".to_owned(), "Correct the token."))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Api { client, base, headers, name })
    }

    /// `host:port`.
    pub(super) fn place(&self) -> String {
        place(&self.base)
    }

    /// Sends a GET request.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, NoJson> {
        self.send(Method::GET, path, query, None).await
    }

    /// Sends a GET request whose response is plain text.
    pub(super) async fn text(&self, path: &str) -> Result<String, NoJson> {
        let silent = || NoJson {
            status: None,
            saw: format!("{} at {} could not be reached", self.name, self.place()),
            next: format!("Start {}, or correct its address in the check.", self.name),
        };
        let url = self.base.join(path).map_err(|_| silent())?;
        let request = self.client.get(url).headers(self.headers.clone()).timeout(ANSWER_MAX);
        let response = request.send().await.map_err(|_| silent())?;
        if !response.status().is_success() {
            let status = response.status().as_u16();
            let saw = format!("{} responded with status {status}", self.name);
            return Err(NoJson {
                status: Some(status),
                saw,
                next: "Set a token with read permission in the check.".to_owned(),
            });
        }
        let bytes = self.body(response).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sends JSON with POST.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, NoJson> {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// The body of a response, up to the size limit.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, NoJson> {
        let status = Some(response.status().as_u16());
        let stopped = |saw: String| NoJson {
            status,
            saw,
            next: format!(
                "Check that {} listens on this address, and check the request of the check.",
                self.name
            ),
        };
        let mut bytes = Vec::new();
        loop {
            let chunk = response.chunk().await.map_err(|error| {
                let how = if error.is_timeout() {
                    "did not complete its response in time"
                } else {
                    "closed the connection"
                };
                stopped(format!("{} at {} {how}", self.name, self.place()))
            })?;
            let Some(chunk) = chunk else { return Ok(bytes) };
            if bytes.len() + chunk.len() > LARGEST {
                return Err(stopped(format!("the response of {} is larger than 8 MiB", self.name)));
            }
            bytes.extend_from_slice(&chunk);
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, NoJson> {
        let name = self.name;
        let place = self.place();
        let mut url = self.base.join(path).map_err(|_| NoJson {
            status: None,
            saw: format!("{path} is not a valid path"),
            next: "Correct the check in stagegate.toml.".to_owned(),
        })?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url).headers(self.headers.clone()).timeout(ANSWER_MAX);
        if let Some(body) = body {
            request = request.json(body);
        }
        let silent = |saw: String| NoJson {
            status: None,
            saw,
            next: format!("Start {name}, or correct its address in the check."),
        };
        let response = request.send().await.map_err(|error| {
            let how = if error.is_timeout() { "did not respond in time" } else { "could not be reached" };
            silent(format!("{name} at {place} {how}"))
        })?;
        let status = response.status();
        let bytes = self.body(response).await?;
        if matches!(status.as_u16(), 401 | 403) {
            return Err(NoJson {
                status: Some(status.as_u16()),
                saw: format!("{name} at {place} refused the request (status {})", status.as_u16()),
                next: "Set a token with read permission in the check.".to_owned(),
            });
        }
        let json: Option<Value> =
            if bytes.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&bytes).ok() };
        match json {
            Some(json) if status.is_success() => Ok(json),
            Some(json) => {
                let said =
                    ["error", "message"].iter().find_map(|k| json.get(*k)?.as_str()).unwrap_or_default();
                Err(NoJson {
                    status: Some(status.as_u16()),
                    saw: format!("{name} responded with status {}: {}", status.as_u16(), brief(said, 160)),
                    next: format!("Check {name}, and the request of the check."),
                })
            }
            None => Err(NoJson {
                status: Some(status.as_u16()),
                saw: format!("{name} at {place} responded with status {} and no JSON", status.as_u16()),
                next: "Check whether another server listens on this address.".to_owned(),
            }),
        }
    }
}

/// Whether an address has scheme, host and port of a declared URL.
fn is_declared(probe: &Probe<'_>, url: &Url) -> bool {
    let urls = probe.names.urls();
    urls.values().filter_map(|text| Url::parse(text).ok()).any(|known| known.origin() == url.origin())
}
