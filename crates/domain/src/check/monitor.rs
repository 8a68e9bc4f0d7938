//! Checks of the monitoring: Prometheus and Alertmanager, dashboards, logs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A check on Prometheus, and on the Alertmanager that it sends alerts to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrometheusSpec {
    /// Its address; `${NAME}` from `[stack.urls]` and the env file.
    pub url: String,
    /// What is checked.
    pub assert: PrometheusAssert,
    /// Bearer token for the API, such as `${PROMETHEUS_TOKEN}`.
    #[serde(default)]
    pub bearer: Option<String>,
    /// For `target`: the job.
    #[serde(default)]
    pub job: Option<String>,
    /// For `target`: the instance; any instance of the job when absent.
    #[serde(default)]
    pub instance: Option<String>,
    /// For `target`: the longest time since the last scrape; `1m` by default. For `alert`: how long the alert
    /// may take to fire and to reach Alertmanager; `1m` by default.
    #[serde(default)]
    pub within: Option<String>,
    /// For `target`: the job must be configured to send credentials.
    #[serde(default)]
    pub authorized: bool,
    /// For `rule` and `alert`: the alert's name.
    #[serde(default)]
    pub alert: Option<String>,
    /// For `rule`: the expression that it must have. Prometheus itself normalises both expressions.
    #[serde(default)]
    pub expr: Option<String>,
    /// For `rule`: how long the expression must hold, `10m`.
    #[serde(default, rename = "for")]
    pub hold: Option<String>,
    /// For `query`: PromQL; every series of the result is compared with `want`.
    #[serde(default)]
    pub query: Option<String>,
    /// For `alert`: the address of Alertmanager.
    #[serde(default)]
    pub alertmanager: Option<String>,
    /// For `alert`: the receiver that it must be routed to.
    #[serde(default)]
    pub receiver: Option<String>,
    /// For `alert`: a command that makes the alert fire. Without one, a test alert is sent directly to
    /// Alertmanager, which tests the delivery from there on.
    #[serde(default)]
    pub fire: Option<String>,
    /// For `alert`: the command that undoes `fire`. It always runs.
    #[serde(default)]
    pub clear: Option<String>,
}

/// Assertions about Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrometheusAssert {
    /// The target is up and was scraped recently.
    Target,
    /// An alerting rule is loaded with the expected expression and duration, and evaluates without errors.
    Rule,
    /// The result of a query meets the threshold.
    Query,
    /// A test alert reaches Alertmanager, and clears.
    Alert,
}

/// A dashboard whose panels must have recent data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrafanaSpec {
    /// Grafana's address. If set, the dashboard is read from Grafana.
    #[serde(default)]
    pub url: Option<String>,
    /// Token of a service account, such as `${GRAFANA_TOKEN}`.
    #[serde(default)]
    pub token: Option<String>,
    /// The dashboard's uid, or its title.
    #[serde(default)]
    pub dashboard: Option<String>,
    /// Without a Grafana: the dashboard's JSON, relative to the stack's directory …
    #[serde(default)]
    pub file: Option<String>,
    /// … and the address of the Prometheus that its panels query.
    #[serde(default)]
    pub prometheus: Option<String>,
    /// Maximum age of the newest data point of each panel; `5m` by default.
    #[serde(default)]
    pub fresh: Option<String>,
    /// Values of the dashboard's variables.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
}

/// Log lines of services, read where they are collected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogsSpec {
    /// Where the lines are collected.
    pub source: LogSource,
    /// What is checked.
    pub assert: LogAssert,
    /// Address of Loki or Elasticsearch.
    #[serde(default)]
    pub url: Option<String>,
    /// Bearer token for it.
    #[serde(default)]
    pub bearer: Option<String>,
    /// The services to check; all services of the stack when empty.
    #[serde(default)]
    pub services: Vec<String>,
    /// Label (Loki) or field (Elasticsearch) that names the service; `service` by default.
    #[serde(default)]
    pub label: Option<String>,
    /// Elasticsearch: the index or pattern; `logs-*` by default.
    #[serde(default)]
    pub index: Option<String>,
    /// For `fresh`: maximum age of the newest line; `10m` by default.
    #[serde(default)]
    pub fresh: Option<String>,
    /// For `retention`: how long lines must be kept; `7d` by default.
    #[serde(default)]
    pub keep: Option<String>,
}

/// Where lines are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// Grafana Loki.
    Loki,
    /// Elasticsearch or OpenSearch.
    Elasticsearch,
    /// Docker's own log driver.
    Docker,
}

/// Assertions about log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogAssert {
    /// Every service wrote a line recently.
    Fresh,
    /// Share of lines that are JSON objects, per cent; `>= 90 %` by default.
    Json,
    /// Lines are kept long enough.
    Retention,
}
