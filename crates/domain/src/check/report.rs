//! Where the measured value of a command is found: its output or a file, report formats, the second of two runs.

use serde::{Deserialize, Serialize};

/// Where a command's measured value is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueSource {
    /// A file relative to the command's directory, written by the run itself; without one, the output.
    #[serde(default)]
    pub file: Option<String>,
    /// JSON pointer (RFC 6901) to a number.
    #[serde(default)]
    pub pointer: Option<String>,
    /// Regular expression whose first group is the number.
    #[serde(default)]
    pub regex: Option<String>,
    /// A known report format, from which the relevant number is read.
    #[serde(default)]
    pub format: Option<ReportFormat>,
}

/// Report formats that are read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// JUnit XML: percentage of tests passed. A suite without tests has no value.
    Junit,
    /// Istanbul/Vitest `coverage-summary.json`: percentage of lines.
    CoverageSummary,
    /// `npm audit --json`: vulnerabilities of severity critical and high. An error report has no value.
    NpmAudit,
    /// `npm audit --json`: critical ones only.
    NpmAuditCritical,
    /// autocannon JSON: p95 latency in milliseconds (p97.5 where p95 is not reported).
    AutocannonP95,
    /// autocannon JSON: percentage of requests that failed (errors, timeouts and non-2xx, without 429).
    AutocannonErrors,
    /// Playwright's JSON report: percentage of tests passed. A test that passed only on a retry counts as
    /// passed and is mentioned.
    Playwright,
    /// Playwright's JSON report: number of tests that passed only on a retry.
    PlaywrightFlaky,
    /// k6 summary (`--summary-export` or `handleSummary`): p95 of the request duration, milliseconds.
    K6P95,
    /// k6 summary: percentage of requests that failed, without 429 where the summary reports them separately.
    K6Errors,
    /// Output of `prisma migrate status`: number of migrations not yet applied. A history that differs, or a
    /// failed migration, is a failure.
    PrismaStatus,
    /// Output of `knex migrate:list` (`migrate:status`): number of pending migrations. A missing file of an
    /// applied migration is a failure.
    KnexStatus,
}

/// How the second of two runs shows that it changed nothing. Exactly one of `pointer`, `regex` and `says`, read from
/// its output or from `file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Twice {
    /// A file relative to the command's directory, written by the second run; without one, its output.
    #[serde(default)]
    pub file: Option<String>,
    /// JSON pointer to the number of changes, which must be 0.
    #[serde(default)]
    pub pointer: Option<String>,
    /// Regular expression whose first group is the number of changes, which must be 0.
    #[serde(default)]
    pub regex: Option<String>,
    /// Regular expression that the second run's text must match, such as `Already up to date`.
    #[serde(default, alias = "contains")]
    pub says: Option<String>,
}
