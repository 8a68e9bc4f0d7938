//! Checks: typed probes with a threshold, as declared in `stagegate.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod data;
mod kind;
mod monitor;
mod report;
mod schedule;
mod want;
mod web;

pub use data::{DatabaseAssert, DatabaseEngine, DatabaseSpec, MigrationTool};
pub use kind::CheckKind;
pub use monitor::{GrafanaSpec, LogAssert, LogSource, LogsSpec, PrometheusAssert, PrometheusSpec};
pub use report::{ReportFormat, Twice, ValueSource};
pub use schedule::Schedule;
pub use want::{BadWant, Comparison, Want};
pub use web::{HttpCors, HttpGate, HttpMeasure, HttpRateLimit, TlsSpec};

use crate::canonical::canonical;
use crate::digest::digest_fields;
use crate::release::{ReleaseComponent, ReleaseComponents};

/// A check as declared: what it probes, what it expects, what it proves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name in `stagegate.toml`, unique within the file.
    pub id: String,
    /// Title shown to people, one line.
    pub title: String,
    /// Ids of the criteria, checklist items and matrix rows that it proves.
    pub proves: Vec<String>,
    /// What it does.
    pub spec: CheckSpec,
    /// The threshold for the measured value. Without one, a successful end is enough.
    pub want: Option<Want>,
    /// Longest time it may take, milliseconds.
    pub timeout_ms: u64,
    /// How often it is retried before its outcome counts.
    pub retries: u32,
    /// Age at which its evidence becomes stale, milliseconds. `None`: never because of its age alone.
    pub valid_for_ms: Option<u64>,
    /// The parts of the release that its evidence depends on.
    pub binds: Vec<ReleaseComponent>,
    /// If it depends on the images: the services whose images count. Empty: all services.
    #[serde(default)]
    pub images: Vec<String>,
    /// When it runs on schedule, and whether other checks may run at the same time.
    #[serde(default)]
    pub schedule: Schedule,
}

impl Check {
    /// Whether two sets of parts have the same `part`, as far as this check depends on it. A part that is not known
    /// on both sides is not the same.
    pub fn agrees(&self, one: &ReleaseComponents, other: &ReleaseComponents, part: ReleaseComponent) -> bool {
        if part != ReleaseComponent::Images || self.images.is_empty() {
            return one.agrees(other, part);
        }
        self.images.iter().all(|service| match (one.images.get(service), other.images.get(service)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        })
    }

    /// Digest of everything that decides the outcome. Evidence with a different digest is stale. The digest begins with
    /// the version of its format.
    pub fn threshold_digest(&self) -> String {
        let want = self.want.as_ref().map(Want::to_string).unwrap_or_default();
        format!("{SECOND_FORM}{}", digest_fields([self.id.as_str(), &canonical(&self.spec), &want]))
    }

    /// The digest in the format of earlier versions, without a version prefix, so that evidence stored by them still
    /// counts. It depends on the names of Rust types and fields; `tests/digests.rs` makes sure that it does not change.
    fn first_threshold_digest(&self) -> String {
        let want = self.want.as_ref().map(Want::to_string).unwrap_or_default();
        digest_fields([self.id.as_str(), &format!("{:?}", self.spec), &want])
    }

    /// Whether evidence with this digest was found under the current declaration.
    pub fn declared_as(&self, stored: &str) -> bool {
        if stored.contains(':') {
            stored == self.threshold_digest()
        } else {
            stored == self.first_threshold_digest()
        }
    }

    /// Like [`Check::declared_as`], for many digests.
    pub fn declaration(&self) -> Declaration {
        Declaration { first: self.first_threshold_digest(), second: self.threshold_digest() }
    }
}

/// Prefix of digests that are made from canonical JSON.
const SECOND_FORM: &str = "2:";

/// The digests of a check's declaration in every format that was ever stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    first: String,
    second: String,
}

impl Declaration {
    /// Whether evidence with this digest was found under the declaration.
    pub fn matches(&self, stored: &str) -> bool {
        stored == self.second || stored == self.first
    }
}

/// The keys of each kind of check. What a kind itself declares is in [`CheckKind`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CheckSpec {
    /// A command of the runbook or of `stagegate.toml`; passes when it exits 0 and its value meets the threshold.
    Command {
        /// A step of the runbook whose last run is evaluated. Running the check runs the step.
        #[serde(default)]
        step: Option<String>,
        /// Otherwise the command itself, passed to `bash -c` unchanged.
        #[serde(default)]
        run: Option<String>,
        /// Where it runs, relative to the stack's directory.
        #[serde(default)]
        cwd: Option<String>,
        /// Where the measured value is found.
        #[serde(default)]
        value: Option<ValueSource>,
        /// Exit codes that mean "could not be evaluated" (Inconclusive) rather than "evaluated and failed".
        #[serde(default)]
        inconclusive_exit: Vec<i32>,
        /// Runs it twice: the second run must change nothing. This declares how its output shows that.
        #[serde(default, alias = "idempotence")]
        twice: Option<Twice>,
    },
    /// One or more HTTP requests to a URL of the stack.
    Http {
        /// The address; `${NAME}` is filled from `[stack.urls]` and the env file.
        url: String,
        /// Request method, `GET` by default.
        #[serde(default)]
        method: Option<String>,
        /// Request headers; values may name `${KEY}` of the env file. Such values are sent to the scheme,
        /// host and port of a declared URL only.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Accepted status codes; 200 by default.
        #[serde(default)]
        status: Vec<u16>,
        /// Text that the body must contain.
        #[serde(default)]
        body_contains: Option<String>,
        /// Headers that must be present, with the text that the value must contain (`""`: any).
        #[serde(default)]
        expect_headers: BTreeMap<String, String>,
        /// Headers that must not be present (or not with that value, when one is given).
        #[serde(default)]
        forbid_headers: BTreeMap<String, String>,
        /// How many requests are sent. 1 by default.
        #[serde(default)]
        requests: Option<u32>,
        /// How many requests run at the same time. 1 by default.
        #[serde(default)]
        concurrency: Option<u32>,
        /// What is measured over the requests.
        #[serde(default)]
        measure: Option<HttpMeasure>,
        /// JSON pointer (RFC 6901) into the body, measured as the value.
        #[serde(default)]
        pointer: Option<String>,
        /// PEM file of the authorities trusted instead of the system's, relative to the stack's directory.
        #[serde(default)]
        ca: Option<String>,
        /// Sends requests with a key of the env file, without it and with a wrong one.
        #[serde(default)]
        gate: Option<Box<HttpGate>>,
        /// Sends requests as pages of an allowed origin and of foreign origins do, with and without preflight.
        #[serde(default)]
        cors: Option<Box<HttpCors>>,
        /// Sends requests until one is rejected, then until one is accepted again.
        #[serde(default)]
        rate_limit: Option<Box<HttpRateLimit>>,
    },
    /// A condition of the running stack, read from the Docker engine.
    Compose {
        /// What is checked.
        assert: ComposeAssert,
        /// The services to check; all services when empty.
        #[serde(default)]
        services: Vec<String>,
        /// For `no_restarts`: seconds that must have passed without a restart. 60 by default.
        #[serde(default)]
        seconds: Option<u64>,
        /// For `ports`: the host ports that may be published, as `443`, `127.0.0.1:3000` (on that address
        /// only) or `127.0.0.1:*`; `${KEY}` of the env file allowed.
        #[serde(default)]
        allowed: Vec<String>,
        /// For `versions`: minimum Docker engine version.
        #[serde(default)]
        engine: Option<String>,
        /// For `versions`: minimum Compose version.
        #[serde(default)]
        compose: Option<String>,
    },
    /// A condition of the env file. Values never leave the check.
    EnvFile {
        /// What is checked.
        assert: EnvAssert,
        /// The keys to check, where the assertion needs keys. For `keys`: `NAME*` requires at least one such key,
        /// `NAME?` makes a key of the example optional. For `no_placeholders`: keys that are
        /// secrets although their names do not show it. For `origins`: `ALLOWED_ORIGINS` when empty.
        #[serde(default)]
        keys: Vec<String>,
        /// For `equals`: the value that the key must have. For `origins`: exactly the origins that the list must
        /// contain, separated by commas; without it, only origins of declared URLs are allowed.
        /// `${NAME}` from `[stack.urls]` allowed.
        #[serde(default)]
        equals: Option<String>,
        /// For `mode`: the expected octal mode; `0600` by default. A stricter mode passes too.
        #[serde(default)]
        mode: Option<String>,
        /// For `owner`: the user's name or number; by default the user that Stagegate runs as.
        #[serde(default)]
        owner: Option<String>,
        /// For `secrets`: minimum number of characters; 16 by default.
        #[serde(default)]
        min_length: Option<u32>,
        /// For `secrets`: minimum estimated entropy in bits; 64 by default.
        #[serde(default)]
        min_bits: Option<u32>,
        /// For `urls`: the allowed schemes; any when empty.
        #[serde(default)]
        schemes: Vec<String>,
        /// For `urls`: the expected value of each key. `${NAME}` from `[stack.urls]` allowed.
        #[serde(default)]
        declared: BTreeMap<String, String>,
        /// For `rotated`: the day (`2026-10-01`, UTC) on which each secret was last replaced.
        #[serde(default)]
        rotated: BTreeMap<String, String>,
        /// For `rotated`: maximum age, such as `90d`.
        #[serde(default)]
        max_age: Option<String>,
    },
    /// A file that must exist, be recent, and not be empty. The newest one counts; its size in bytes is the value.
    File {
        /// Path or glob (`*` within the last part), relative to the stack's directory.
        path: String,
        /// Minimum size in bytes; 1 by default.
        #[serde(default)]
        min_bytes: Option<u64>,
        /// Maximum age, such as `24h`.
        #[serde(default)]
        max_age: Option<String>,
    },
    /// The repository: a clean tree on a commit.
    Git {
        /// What is checked.
        assert: GitAssert,
        /// For `untracked`: the file that must never have been committed.
        #[serde(default)]
        path: Option<String>,
        /// For `at`, one of these three: the commit, as 7 digits or more; `${NAME}` allowed.
        #[serde(default)]
        commit: Option<String>,
        /// For `at`: the branch whose tip must be checked out; `${NAME}` allowed.
        #[serde(default)]
        branch: Option<String>,
        /// For `at`: the tag that must be checked out; `${NAME}` allowed.
        #[serde(default)]
        tag: Option<String>,
    },
    /// A TCP port.
    Port {
        /// `host:port`; `${KEY}` of the env file allowed.
        address: String,
        /// Whether it must accept (`true`, the default) or refuse connections.
        #[serde(default)]
        open: Option<bool>,
    },
    /// A rollback drill whose rollback and return were both verified. `want` is the threshold for the duration of the
    /// rollback; `valid_for` is how long the drill counts.
    Drill {},
    /// A TLS certificate: its chain, its names, its dates.
    Tls(TlsSpec),
    /// A condition of Prometheus: a target, a rule, a query, or the delivery of an alert.
    Prometheus(Box<PrometheusSpec>),
    /// A dashboard whose panels must have recent data.
    Grafana(GrafanaSpec),
    /// Log lines of services, read where they are collected.
    Logs(LogsSpec),
    /// A database of the stack: migrations, rows, backups, a restore test.
    Database(Box<DatabaseSpec>),
}

impl CheckSpec {
    /// The parts that evidence of this kind depends on when the declaration names none.
    pub fn default_binds(&self) -> Vec<ReleaseComponent> {
        match self {
            CheckSpec::Command { .. } => vec![ReleaseComponent::Commit],
            CheckSpec::Http { .. } | CheckSpec::Compose { .. } | CheckSpec::Port { .. } => {
                vec![ReleaseComponent::Images, ReleaseComponent::Config, ReleaseComponent::Env]
            }
            CheckSpec::EnvFile { .. } => vec![ReleaseComponent::Env],
            CheckSpec::Git { .. } => vec![ReleaseComponent::Commit],
            CheckSpec::File { .. } | CheckSpec::Drill {} => vec![],
            // A certificate is renewed without a change of the release, so its evidence depends on its age only.
            CheckSpec::Tls(_) => vec![],
            CheckSpec::Prometheus(_) | CheckSpec::Grafana(_) | CheckSpec::Logs(_) => {
                vec![ReleaseComponent::Config]
            }
            CheckSpec::Database(db) => match db.assert {
                DatabaseAssert::Migrations => {
                    vec![ReleaseComponent::Commit, ReleaseComponent::Images, ReleaseComponent::Env]
                }
                DatabaseAssert::Rows | DatabaseAssert::Restore => {
                    vec![ReleaseComponent::Images, ReleaseComponent::Env]
                }
                DatabaseAssert::Backup => vec![],
            },
        }
    }

    /// The runbook step that it evaluates, if any.
    pub fn step(&self) -> Option<&str> {
        match self {
            CheckSpec::Command { step, .. } => step.as_deref(),
            _ => None,
        }
    }
}

/// Assertions about the running stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComposeAssert {
    /// Every service is running and none is unhealthy.
    Healthy,
    /// No service restarted in the last seconds.
    NoRestarts,
    /// Only allowed host ports are published.
    Ports,
    /// The Docker engine and Compose have at least these versions.
    Versions,
    /// The images of the last two rollback targets exist.
    RollbackImages,
    /// `docker compose config` accepts the files.
    Valid,
    /// Data stores are reachable only inside the stack's own networks.
    Internal,
    /// A process listens behind every published port.
    PortMapping,
}

/// Assertions about the env file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvAssert {
    /// Its permissions are as expected.
    Mode,
    /// Every key of the example (and every named one) is present and not empty.
    Keys,
    /// No placeholder, and no value of the example for a secret key.
    NoPlaceholders,
    /// One key equals a declared value.
    Equals,
    /// A list of origins contains only declared origins, and no `*`.
    Origins,
    /// The file is neither tracked by git nor in its history.
    Untracked,
    /// It belongs to the expected user.
    Owner,
    /// Secrets are long, hard to guess, and all different.
    Secrets,
    /// URLs are well-formed, use an allowed scheme, and match their declaration.
    Urls,
    /// The named secrets were replaced recently, according to the declared days.
    Rotated,
}

/// Assertions about the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GitAssert {
    /// There is a commit and no tracked file differs from it.
    Clean,
    /// A path was never committed.
    Untracked,
    /// The declared commit, branch or tag is checked out.
    At,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_threshold_changes_the_digest() {
        let check = |want: &str| Check {
            id: "coverage".into(),
            title: "Coverage".into(),
            proves: vec!["A.1".into()],
            spec: CheckSpec::Git {
                assert: GitAssert::Clean,
                path: None,
                commit: None,
                branch: None,
                tag: None,
            },
            want: Some(want.parse().unwrap()),
            timeout_ms: 1,
            retries: 0,
            valid_for_ms: None,
            binds: vec![],
            images: vec![],
            schedule: Schedule::default(),
        };
        assert_ne!(check(">= 65 %").threshold_digest(), check(">= 60 %").threshold_digest());
    }
}
