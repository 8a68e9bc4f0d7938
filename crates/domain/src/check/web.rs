//! Settings of network checks other than the address: measures, access control, origins, rate limits, certificates.

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
    /// Percentage of requests with an unexpected response.
    ErrorRate,
    /// Number of 429 responses.
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

    /// Its name within a sentence.
    pub fn label(self) -> &'static str {
        match self {
            HttpMeasure::P50 => "p50",
            HttpMeasure::P90 => "p90",
            HttpMeasure::P95 => "p95",
            HttpMeasure::P99 => "p99",
            HttpMeasure::Max => "max",
            HttpMeasure::ErrorRate => "error rate",
            HttpMeasure::RateLimited => "429 responses",
        }
    }
}

/// Access control of an address: allowed with the key, refused without it and with a wrong one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGate {
    /// The key of the env file whose value gives access.
    pub env: String,
    /// The header that carries it; `Authorization` by default.
    #[serde(default)]
    pub header: Option<String>,
    /// The scheme before the value; `Bearer` by default in `Authorization`, nothing in other headers.
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

    /// The scheme before the value; empty for none.
    pub fn scheme(&self) -> &str {
        match &self.scheme {
            Some(scheme) => scheme,
            None if self.header().eq_ignore_ascii_case("authorization") => "Bearer",
            None => "",
        }
    }
}

/// Which origins may read the responses (CORS).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCors {
    /// The origin that must be allowed; may contain `${NAME}`.
    pub allowed: String,
    /// An origin that must be refused.
    #[serde(default)]
    pub foreign: Option<String>,
    /// The method that the preflight asks for; that of the check by default.
    #[serde(default)]
    pub method: Option<String>,
    /// Request headers that the preflight asks for.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Whether the allowed origin must also be allowed to send cookies; not checked by default.
    #[serde(default)]
    pub credentials: bool,
}

/// A rate limit that must reject requests, and accept them again later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRateLimit {
    /// Number of requests; at least one of them must be answered with 429.
    pub requests: u32,
    /// Time within which they are sent, such as `10s`.
    pub within: String,
    /// Time after them within which a request must succeed again, such as `60s`.
    pub recovers_within: String,
}

/// A TLS certificate as presented by a server. The measured value is the number of days left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// `host`, `host:port` or an `https://` URL; `${NAME}` allowed. Port 443 by default.
    pub address: String,
    /// The name that is requested and checked; the host of the address by default.
    #[serde(default)]
    pub server_name: Option<String>,
    /// PEM file of the authorities trusted instead of the system's, relative to the stack's directory.
    #[serde(default)]
    pub ca: Option<String>,
}
