//! What checks over the network declare beyond an address: figures, gates, origins, limits, certificates.

use serde::{Deserialize, Serialize};

/// What is measured over the requests of an HTTP check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpMeasure {
    /// Median of the response time, milliseconds.
    P50,
    /// 90th percentile of the response time, milliseconds.
    P90,
    /// 95th percentile of the response time, milliseconds.
    P95,
    /// 99th percentile of the response time, milliseconds.
    P99,
    /// Longest response time, milliseconds.
    Max,
    /// Per cent of requests with an unexpected answer.
    ErrorRate,
    /// Number of 429 answers among the requests.
    RateLimited,
}

impl HttpMeasure {
    /// The percentile of the response time that is measured; `None` when it is not about time.
    pub fn percentile(self) -> Option<f64> {
        Some(match self {
            HttpMeasure::P50 => 50.0,
            HttpMeasure::P90 => 90.0,
            HttpMeasure::P95 => 95.0,
            HttpMeasure::P99 => 99.0,
            HttpMeasure::Max => 100.0,
            HttpMeasure::ErrorRate | HttpMeasure::RateLimited => return None,
        })
    }

    /// The words for it in a sentence.
    pub fn label(self) -> &'static str {
        match self {
            HttpMeasure::P50 => "p50",
            HttpMeasure::P90 => "p90",
            HttpMeasure::P95 => "p95",
            HttpMeasure::P99 => "p99",
            HttpMeasure::Max => "longest",
            HttpMeasure::ErrorRate => "error rate",
            HttpMeasure::RateLimited => "answers 429",
        }
    }
}

/// A gate in front of an address: open with the key, shut without it and with a wrong one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGate {
    /// The key of the env file whose value opens the gate.
    pub env: String,
    /// The header that carries it; `Authorization` by default.
    #[serde(default)]
    pub header: Option<String>,
    /// The word before the value; `Bearer` by default in `Authorization`, nothing in other headers.
    #[serde(default)]
    pub scheme: Option<String>,
    /// Status codes that mean refused; 401 and 403 by default.
    #[serde(default)]
    pub refused: Vec<u16>,
}

impl HttpGate {
    /// The header that carries the value.
    pub fn header(&self) -> &str {
        self.header.as_deref().unwrap_or("Authorization")
    }

    /// The word before the value; empty for none.
    pub fn scheme(&self) -> &str {
        match &self.scheme {
            Some(scheme) => scheme,
            None if self.header().eq_ignore_ascii_case("authorization") => "Bearer",
            None => "",
        }
    }
}

/// Which web pages may read the answers (CORS).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCors {
    /// The origin that must be let in; `${NAME}` allowed.
    pub allowed: String,
    /// An origin that must be kept out.
    #[serde(default)]
    pub foreign: Option<String>,
    /// The method that the preflight asks for; that of the check by default.
    #[serde(default)]
    pub method: Option<String>,
    /// Request headers that the preflight asks for.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Whether the allowed origin must be let in with cookies; not asked by default.
    #[serde(default)]
    pub credentials: bool,
}

/// A rate limit that must bite, and let go again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRateLimit {
    /// Requests that are sent; at least one of them must be answered 429.
    pub requests: u32,
    /// Within which span they are sent, such as `10s`.
    pub within: String,
    /// Within which span after them a request must be answered well again, such as `60s`.
    pub recovers_within: String,
}

/// A TLS certificate as a server shows it. The measured value is the number of days left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// `host`, `host:port` or an `https://` URL; `${NAME}` allowed. Port 443 by default.
    pub address: String,
    /// The name asked for and checked; the address's host by default.
    #[serde(default)]
    pub server_name: Option<String>,
    /// PEM file of the authorities trusted instead of the system's, relative to the stack's directory.
    #[serde(default)]
    pub ca: Option<String>,
}
