//! Generates monitoring files for the stack: a Prometheus configuration, three alert rules, a Grafana dashboard of
//! the golden signals, an Alertmanager route. The same input gives the same files.

use regex::Regex;
use serde_json::{Value, json};

/// The input for the files.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitoring {
    /// Name of the scrape job.
    pub job: String,
    /// `host:port` of the target, as Prometheus reaches it.
    pub target: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Path of the metrics.
    pub path: String,
    /// File with the bearer token, as Prometheus sees it.
    pub token_file: String,
    /// `host:port` of Alertmanager, as Prometheus reaches it.
    pub alertmanager: String,
    /// Name of the histogram of request durations in seconds, without `_bucket`.
    pub histogram: String,
    /// Label that holds the status code.
    pub status: String,
    /// Name of the receiver of alerts.
    pub receiver: String,
    /// The thresholds.
    pub thresholds: Thresholds,
}

/// When the three alerts fire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Failed scrapes in a row.
    pub failed_checks: u32,
    /// 95th percentile of the request duration, milliseconds, and for how many minutes.
    pub p95_ms: f64,
    /// Minutes that it must be exceeded.
    pub p95_minutes: u32,
    /// Share of responses with a 5xx status, per cent.
    pub errors_per_cent: f64,
    /// Minutes that it must be exceeded.
    pub errors_minutes: u32,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            failed_checks: 3,
            p95_ms: 600.0,
            p95_minutes: 10,
            errors_per_cent: 1.0,
            errors_minutes: 10,
        }
    }
}

impl Thresholds {
    /// The thresholds in a runbook's text; defaults for those that it does not contain.
    pub fn of_runbook(text: &str) -> Thresholds {
        let usual = Thresholds::default();
        let find = |pattern: &str| -> Option<Vec<f64>> {
            let found = Regex::new(pattern).ok()?.captures(text)?;
            found.iter().skip(1).map(|g| g?.as_str().parse().ok()).collect()
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few digits of a text")]
        let whole = |n: f64| n.clamp(1.0, 10_000.0) as u32;
        let p95 = find(r"(?i)p95\s*>\s*([0-9.]+)\s*ms\s+for\s+([0-9]+)\s*m");
        let errors = find(r"(?i)5xx\s*>\s*([0-9.]+)\s*%\s+for\s+([0-9]+)\s*m");
        let checks = find(r"(?i)\b([0-9]+) (?:consecutive|failed) (?:failed |health ?)?checks?");
        Thresholds {
            failed_checks: checks.as_ref().map_or(usual.failed_checks, |c| whole(c[0])),
            p95_ms: p95.as_ref().map_or(usual.p95_ms, |p| p[0]),
            p95_minutes: p95.as_ref().map_or(usual.p95_minutes, |p| whole(p[1])),
            errors_per_cent: errors.as_ref().map_or(usual.errors_per_cent, |e| e[0]),
            errors_minutes: errors.as_ref().map_or(usual.errors_minutes, |e| whole(e[1])),
        }
    }
}

/// Seconds between two scrapes.
const SCRAPE: u32 = 15;

impl Monitoring {
    /// The files, by name.
    pub fn files(&self) -> [(&'static str, String); 4] {
        [
            ("prometheus.yml", self.prometheus()),
            ("alerts.yml", self.rules()),
            ("alertmanager.yml", self.alertmanager()),
            ("dashboard.json", self.dashboard()),
        ]
    }

    fn prometheus(&self) -> String {
        let Monitoring { job, target, scheme, path, token_file, alertmanager, .. } = self;
        format!(
            "# Written by stagegate monitoring.\nglobal:\n  scrape_interval: {SCRAPE}s\n  evaluation_interval: {SCRAPE}s\n\n\
             rule_files:\n  - alerts.yml\n\nalerting:\n  alertmanagers:\n    - static_configs:\n        - targets: [{}]\n\n\
             scrape_configs:\n  - job_name: {}\n    scheme: {scheme}\n    metrics_path: {}\n    authorization:\n      \
             type: Bearer\n      credentials_file: {}\n    static_configs:\n      - targets: [{}]\n",
            text(alertmanager),
            text(job),
            text(path),
            text(token_file),
            text(target)
        )
    }

    /// The expression of each alert: failing checks, slow responses, failing responses.
    pub fn expressions(&self) -> [String; 3] {
        let Monitoring { job, histogram, status, thresholds, .. } = self;
        let own = format!("job={}", text(job));
        let window = thresholds.failed_checks * SCRAPE;
        [
            format!("max_over_time(up{{{own}}}[{window}s]) == 0"),
            format!(
                "histogram_quantile(0.95, sum by (le) (rate({histogram}_bucket{{{own}}}[5m]))) > {}",
                thresholds.p95_ms / 1_000.0
            ),
            format!(
                "sum(rate({histogram}_count{{{own},{status}=~\"5..\"}}[5m])) / sum(rate({histogram}_count{{{own}}}[5m])) > {}",
                thresholds.errors_per_cent / 100.0
            ),
        ]
    }

    fn rules(&self) -> String {
        let t = &self.thresholds;
        let [down, slow, errors] = self.expressions();
        let rule = |name: &str, expr: &str, hold: Option<u32>, severity: &str, summary: String| {
            let hold = hold.map_or_else(String::new, |m| format!("        for: {m}m\n"));
            format!(
                "      - alert: {name}\n        expr: {}\n{hold}        labels:\n          severity: {severity}\n        annotations:\n          summary: {}\n",
                text(expr),
                text(&summary)
            )
        };
        format!(
            "# Written by stagegate monitoring.\ngroups:\n  - name: stagegate\n    rules:\n{}{}{}",
            rule(
                "HealthcheckFailing",
                &down,
                None,
                "critical",
                match t.failed_checks {
                    1 => "1 check failed".to_owned(),
                    n => format!("{n} consecutive checks failed"),
                }
            ),
            rule(
                "HighLatency",
                &slow,
                Some(t.p95_minutes),
                "warning",
                format!("p95 is over {} ms", t.p95_ms)
            ),
            rule(
                "HighErrorRate",
                &errors,
                Some(t.errors_minutes),
                "warning",
                format!("over {} % of the responses are 5xx", t.errors_per_cent)
            ),
        )
    }

    fn alertmanager(&self) -> String {
        let receiver = text(&self.receiver);
        format!(
            "# Written by stagegate monitoring. Add to the receiver how your team is notified.\nroute:\n  receiver: {receiver}\n  group_by: [alertname]\n  group_wait: 10s\n  \
             group_interval: 1m\n  repeat_interval: 4h\n\nreceivers:\n  - name: {receiver}\n"
        )
    }

    fn dashboard(&self) -> String {
        let Monitoring { job, histogram, status, .. } = self;
        let own = format!("job={}", text(job));
        let quantile = |q: &str| {
            format!(
                "histogram_quantile({q}, sum by (le) (rate({histogram}_bucket{{{own}}}[$__rate_interval])))"
            )
        };
        let rate = |class: &str| {
            format!(
                "sum(rate({histogram}_count{{{own},{status}=~\"{class}\"}}[$__rate_interval])) or vector(0)"
            )
        };
        let panels = [
            (
                "Request rate",
                "reqps",
                vec![(format!("sum(rate({histogram}_count{{{own}}}[$__rate_interval]))"), "requests")],
            ),
            ("Latency p95 and p99", "s", vec![(quantile("0.95"), "p95"), (quantile("0.99"), "p99")]),
            ("Responses 4xx and 5xx", "reqps", vec![(rate("4.."), "4xx"), (rate("5.."), "5xx")]),
            (
                "CPU by service",
                "percentunit",
                vec![(
                    format!("sum by (service) (rate(process_cpu_seconds_total{{{own}}}[$__rate_interval]))"),
                    "{{service}}",
                )],
            ),
            (
                "Memory by service",
                "bytes",
                vec![(format!("sum by (service) (process_resident_memory_bytes{{{own}}})"), "{{service}}")],
            ),
        ];
        let panels: Vec<Value> = panels
            .into_iter()
            .enumerate()
            .map(|(i, (title, unit, queries))| {
                let targets: Vec<Value> = queries
                    .into_iter()
                    .zip(["A", "B"])
                    .map(|((expr, legend), id)| json!({"refId": id, "expr": expr, "legendFormat": legend}))
                    .collect();
                json!({
                    "id": i + 1,
                    "type": "timeseries",
                    "title": title,
                    "datasource": {"type": "prometheus", "uid": "${datasource}"},
                    "gridPos": {"x": 12 * (i % 2), "y": 8 * (i / 2), "w": 12, "h": 8},
                    "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                    "targets": targets,
                })
            })
            .collect();
        let dashboard = json!({
            "uid": "stagegate-golden",
            "title": format!("Golden signals of {job}"),
            "schemaVersion": 39,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "templating": {"list": [{
                "name": "datasource", "type": "datasource", "query": "prometheus",
                "current": {"text": "default", "value": "default"},
            }]},
            "panels": panels,
        });
        serde_json::to_string_pretty(&dashboard).unwrap_or_default() + "\n"
    }
}

/// A string literal that is valid in both YAML and PromQL.
fn text(value: &str) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_from_the_runbook() {
        let text =
            "- Healthcheck failing (5 consecutive checks)\n- p95 > 450ms for 5m\n- 5xx > 0.5% for 15m\n";
        let seen = Thresholds::of_runbook(text);
        assert_eq!((seen.failed_checks, seen.p95_ms, seen.p95_minutes), (5, 450.0, 5));
        assert_eq!((seen.errors_per_cent, seen.errors_minutes), (0.5, 15));
        assert_eq!(Thresholds::of_runbook("nothing"), Thresholds::default());
    }
}
