//! Where a command's figures stand: places, report formats, the second of two runs.

use serde::{Deserialize, Serialize};

/// Where a command's measured value stands.
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
    /// A whole format: read the number that matters in it.
    #[serde(default)]
    pub format: Option<ReportFormat>,
}

/// Report formats that are read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// JUnit XML: per cent of tests passed. A suite that ran no test has no number.
    Junit,
    /// Istanbul/Vitest `coverage-summary.json`: per cent of lines.
    CoverageSummary,
    /// `npm audit --json`: vulnerabilities of severity critical and high. An error answer has no number.
    NpmAudit,
    /// `npm audit --json`: critical ones only.
    NpmAuditCritical,
    /// autocannon JSON: p95 latency in milliseconds (p97.5 where p95 is not reported).
    AutocannonP95,
    /// autocannon JSON: per cent of requests that failed (errors, timeouts and non-2xx, without 429).
    AutocannonErrors,
    /// Playwright's JSON report: per cent of tests passed; one that passed only when tried again counts as
    /// passed and is told.
    Playwright,
    /// Playwright's JSON report: number of tests that passed only when tried again.
    PlaywrightFlaky,
    /// k6 summary (`--summary-export` or `handleSummary`): p95 of the request duration, milliseconds.
    K6P95,
    /// k6 summary: per cent of requests that failed, without 429 where the summary tells them apart.
    K6Errors,
    /// Output of `prisma migrate status`: number of migrations not yet applied. A history that differs, or a
    /// failed migration, is a failure.
    PrismaStatus,
    /// Output of `knex migrate:list` (`migrate:status`): number of pending migrations. A missing file of an
    /// applied migration is a failure.
    KnexStatus,
}

/// How the second of two runs says that it changed nothing. Exactly one of the three, read from its
/// output or from `file`.
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
    #[serde(default)]
    pub says: Option<String>,
}
