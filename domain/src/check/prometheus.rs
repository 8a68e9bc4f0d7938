//! What a `prometheus` check asks.

use serde::{Deserialize, Serialize};

/// A question to a Prometheus server: exactly one of `target`, `rule` and `query`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrometheusSpec {
    /// Address of the server, without `/api/v1`; `${NAME}` is filled from `[stack.urls]` and the env file.
    pub url: String,
    /// Bearer token, as `${KEY}` of the env file. Sent to the scheme, host and port of a declared URL only.
    #[serde(default)]
    pub bearer: Option<String>,
    /// PEM file of the authorities trusted instead of the system's, relative to the stack's directory.
    #[serde(default)]
    pub ca: Option<String>,
    /// A target that must be up and freshly scraped.
    #[serde(default)]
    pub target: Option<PrometheusTarget>,
    /// An alerting rule that must be loaded and evaluated.
    #[serde(default)]
    pub rule: Option<PrometheusRule>,
    /// An instant query. Every series of its answer must be as `want` says; the worst one is told.
    #[serde(default)]
    pub query: Option<String>,
}

/// A target of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrometheusTarget {
    /// The `job` label.
    pub job: String,
    /// The `instance` label; every instance of the job when left out.
    #[serde(default)]
    pub instance: Option<String>,
    /// Greatest age of the last scrape, such as `60s`, which is the default.
    #[serde(default)]
    pub within: Option<String>,
    /// Whether the address that is scraped must also refuse (401, 403) a request without a token.
    #[serde(default)]
    pub gated: bool,
}

/// An alerting rule of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrometheusRule {
    /// The alert's name.
    pub alert: String,
    /// The expression, threshold included; not compared when left out.
    #[serde(default)]
    pub expr: Option<String>,
    /// How long it must hold before the alert fires, such as `10m`; not compared when left out.
    #[serde(default)]
    pub r#for: Option<String>,
}
