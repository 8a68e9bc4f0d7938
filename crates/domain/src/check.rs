//! What a check is: a typed probe with a threshold, as `stagegate.toml` declares it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod data;
mod monitor;
mod report;
mod schedule;
mod web;

pub use data::{DatabaseAssert, DatabaseEngine, DatabaseSpec, MigrationTool};
pub use monitor::{GrafanaSpec, LogAssert, LogSource, LogsSpec, PrometheusAssert, PrometheusSpec};
pub use report::{ReportFormat, Twice, ValueSource};
pub use schedule::Schedule;
pub use web::{HttpCors, HttpGate, HttpMeasure, HttpRateLimit, TlsSpec};

use crate::canonical::canonical;
use crate::digest::digest_fields;
use crate::release::{ReleaseComponent, ReleaseComponents};

/// A check as declared: what it probes, what it wants, what it proves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name in `stagegate.toml`, unique within the file.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// The criteria, checklist items and matrix rows that it proves, by their ids.
    pub proves: Vec<String>,
    /// What it does.
    pub spec: CheckSpec,
    /// The measured value it wants. Without one, reaching the end well is enough.
    pub want: Option<Want>,
    /// Longest time it may take, milliseconds.
    pub timeout_ms: u64,
    /// How often it is tried again before its outcome counts.
    pub retries: u32,
    /// Age at which its evidence goes stale, milliseconds. `None`: never by age alone.
    pub valid_for_ms: Option<u64>,
    /// The parts of the release that its evidence depends on.
    pub binds: Vec<ReleaseComponent>,
    /// When it depends on the images: the services whose images count. Empty: all of them.
    #[serde(default)]
    pub images: Vec<String>,
    /// When it runs by itself, and beside what.
    #[serde(default)]
    pub schedule: Schedule,
}

impl Check {
    /// Whether two sets of parts are the same in `part`, as far as this check depends on it. What is not known
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

    /// Digest of everything that decides the outcome. Evidence found under another digest is stale. It begins with
    /// the version of its form.
    pub fn threshold_digest(&self) -> String {
        let want = self.want.as_ref().map(Want::to_string).unwrap_or_default();
        format!("{SECOND_FORM}{}", digest_fields([self.id.as_str(), &canonical(&self.spec), &want]))
    }

    /// The digest in the form of earlier versions, which has no version in front: evidence that was stored then
    /// still counts. It hangs on the names of Rust types and fields; `tests/digests.rs` holds it in place.
    fn first_threshold_digest(&self) -> String {
        let want = self.want.as_ref().map(Want::to_string).unwrap_or_default();
        digest_fields([self.id.as_str(), &format!("{:?}", self.spec), &want])
    }

    /// Whether evidence with this digest was found under the declaration as it is.
    pub fn declared_as(&self, stored: &str) -> bool {
        if stored.contains(':') {
            stored == self.threshold_digest()
        } else {
            stored == self.first_threshold_digest()
        }
    }

    /// As [`Check::declared_as`], for many digests.
    pub fn declaration(&self) -> Declaration {
        Declaration { first: self.first_threshold_digest(), second: self.threshold_digest() }
    }
}

/// Stands before digests that are made of canonical JSON.
const SECOND_FORM: &str = "2:";

/// The digests of a check's declaration in every form that was ever stored.
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

/// The kinds of check and what each needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CheckSpec {
    /// A command of the runbook or of `stagegate.toml`; passes when it exits 0 and its value is wanted.
    Command {
        /// A step of the runbook whose last run is judged. Running the check runs the step.
        #[serde(default)]
        step: Option<String>,
        /// Else: the command itself, given to `bash -c` unchanged.
        #[serde(default)]
        run: Option<String>,
        /// Where it runs, relative to the stack's directory.
        #[serde(default)]
        cwd: Option<String>,
        /// Where the measured value stands.
        #[serde(default)]
        value: Option<ValueSource>,
        /// Exit codes that mean "could not look" (Inconclusive) and not "looked and it is bad".
        #[serde(default)]
        inconclusive_exit: Vec<i32>,
        /// Runs it twice: the second run must change nothing, and this is where it says so.
        #[serde(default)]
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
        /// Text that the body must hold.
        #[serde(default)]
        body_contains: Option<String>,
        /// Header that must be present, with the value it must hold (`""`: any).
        #[serde(default)]
        expect_headers: BTreeMap<String, String>,
        /// Headers that must not be present (or not with that value, when one is given).
        #[serde(default)]
        forbid_headers: BTreeMap<String, String>,
        /// How many requests are sent. 1 by default.
        #[serde(default)]
        requests: Option<u32>,
        /// How many of them are under way at the same time. 1 by default.
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
        /// Asks with a key of the env file, without it and with a wrong one.
        #[serde(default)]
        gate: Option<Box<HttpGate>>,
        /// Asks as a page of an allowed origin and of foreign ones would, with and without preflight.
        #[serde(default)]
        cors: Option<Box<HttpCors>>,
        /// Asks until it is turned away, and then until it is let in again.
        #[serde(default)]
        rate_limit: Option<Box<HttpRateLimit>>,
    },
    /// Something about the running stack, asked of the engine.
    Compose {
        /// What is asked.
        assert: ComposeAssert,
        /// The services meant; all of them when empty.
        #[serde(default)]
        services: Vec<String>,
        /// For `no_restarts`: seconds that must have passed without one. 60 by default.
        #[serde(default)]
        seconds: Option<u64>,
        /// For `ports`: the host ports that may be published, as `443`, `127.0.0.1:3000` (on that address
        /// only) or `127.0.0.1:*`; `${KEY}` of the env file allowed.
        #[serde(default)]
        allowed: Vec<String>,
        /// For `versions`: least Engine version.
        #[serde(default)]
        engine: Option<String>,
        /// For `versions`: least Compose version.
        #[serde(default)]
        compose: Option<String>,
    },
    /// Something about the env file. Values never leave the check.
    EnvFile {
        /// What is asked.
        assert: EnvAssert,
        /// The keys meant, where the question needs some. For `keys`: `NAME*` wants at least one such key,
        /// `NAME?` frees a key of the example from being required. For `no_placeholders`: keys that are
        /// secrets though their names do not say so. For `origins`: `ALLOWED_ORIGINS` when empty.
        #[serde(default)]
        keys: Vec<String>,
        /// For `equals`: what the one key must be. For `origins`: exactly the origins that the list must
        /// hold, separated by commas; without it, only origins of declared URLs may stand there.
        /// `${NAME}` from `[stack.urls]` allowed.
        #[serde(default)]
        equals: Option<String>,
        /// For `mode`: the octal mode wanted; `0600` by default. A stricter one is good too.
        #[serde(default)]
        mode: Option<String>,
        /// For `owner`: the user's name or number; by default the user that Stagegate runs as.
        #[serde(default)]
        owner: Option<String>,
        /// For `secrets`: least number of characters; 16 by default.
        #[serde(default)]
        min_length: Option<u32>,
        /// For `secrets`: least estimated entropy in bits; 64 by default.
        #[serde(default)]
        min_bits: Option<u32>,
        /// For `urls`: the schemes that may be used; any when empty.
        #[serde(default)]
        schemes: Vec<String>,
        /// For `urls`: what keys must be, by key. `${NAME}` from `[stack.urls]` allowed.
        #[serde(default)]
        declared: BTreeMap<String, String>,
        /// For `rotated`: the day (`2026-10-01`, UTC) on which each secret was last replaced.
        #[serde(default)]
        rotated: BTreeMap<String, String>,
        /// For `rotated`: greatest age, such as `90d`.
        #[serde(default)]
        max_age: Option<String>,
    },
    /// A file that must exist, be fresh, and not be empty. The newest counts; its size in bytes is the value.
    File {
        /// Path or glob (`*` within the last part), relative to the stack's directory.
        path: String,
        /// Least size in bytes; 1 by default.
        #[serde(default)]
        min_bytes: Option<u64>,
        /// Greatest age, such as `24h`.
        #[serde(default)]
        max_age: Option<String>,
    },
    /// The repository: a clean tree on a commit.
    Git {
        /// What is asked.
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
    /// A rollback drill that was proved at both ends. `want` judges how long the way back took;
    /// `valid_for` says how long it counts.
    Drill {},
    /// A TLS certificate: its chain, its names, its dates.
    Tls(TlsSpec),
    /// Something about Prometheus: a target, a rule, a query, an alert on its way.
    Prometheus(Box<PrometheusSpec>),
    /// A dashboard whose panels must have fresh data.
    Grafana(GrafanaSpec),
    /// Lines that services wrote, where they are collected.
    Logs(LogsSpec),
    /// A database of the stack: migrations, rows, backups, a rehearsed restore.
    Database(Box<DatabaseSpec>),
}

impl CheckSpec {
    /// The word used for it in `stagegate.toml`.
    pub fn kind(&self) -> &'static str {
        match self {
            CheckSpec::Command { .. } => "command",
            CheckSpec::Http { .. } => "http",
            CheckSpec::Compose { .. } => "compose",
            CheckSpec::EnvFile { .. } => "env_file",
            CheckSpec::File { .. } => "file",
            CheckSpec::Git { .. } => "git",
            CheckSpec::Port { .. } => "port",
            CheckSpec::Drill {} => "drill",
            CheckSpec::Tls(_) => "tls",
            CheckSpec::Prometheus(_) => "prometheus",
            CheckSpec::Grafana(_) => "grafana",
            CheckSpec::Logs(_) => "logs",
            CheckSpec::Database(_) => "database",
        }
    }

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
            // A certificate is renewed without any part of a release changing: its evidence only ages.
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

    /// Whether running the check looks at something; a drill is only recorded.
    pub fn can_be_run(&self) -> bool {
        !matches!(self, CheckSpec::Drill {})
    }

    /// The runbook step it judges, if it judges one.
    pub fn step(&self) -> Option<&str> {
        match self {
            CheckSpec::Command { step, .. } => step.as_deref(),
            _ => None,
        }
    }
}

/// Questions to the engine about the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComposeAssert {
    /// Every service runs and none is unhealthy.
    Healthy,
    /// No service restarted in the last seconds.
    NoRestarts,
    /// Only allowed host ports are published.
    Ports,
    /// Engine and Compose are at least of these versions.
    Versions,
    /// The images of the last two rollback points exist.
    RollbackImages,
    /// `docker compose config` accepts the files.
    Valid,
    /// Data stores are reachable inside the stack's own networks only.
    Internal,
    /// Behind every published port a process listens.
    PortMapping,
}

/// Questions about the env file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvAssert {
    /// Its permissions are the wanted ones.
    Mode,
    /// Every key of the example (and every named one) is present and not empty.
    Keys,
    /// No placeholder, and no value of the example for a secret key.
    NoPlaceholders,
    /// One key equals a declared value.
    Equals,
    /// A list of origins holds only declared ones, and no `*`.
    Origins,
    /// The file is neither tracked by git nor in its history.
    Untracked,
    /// It belongs to the wanted user.
    Owner,
    /// Secrets are long, hard to guess, and each a different one.
    Secrets,
    /// Addresses are well-formed, of an accepted scheme, and as declared.
    Urls,
    /// Named secrets were replaced lately, by the days declared.
    Rotated,
}

/// Questions about the repository.
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

/// A threshold: comparison, number, unit. Written `>= 65 %`, `< 600 ms`, `== 0`; or `absent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Want {
    /// How the measured value is compared.
    pub comparison: Comparison,
    /// The number on the right.
    pub number: f64,
    /// Unit, as written; empty for counts.
    pub unit: String,
}

/// The comparisons of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    Greater,
    /// `absent`: nothing may be there. No number meets it.
    Absent,
}

impl Comparison {
    fn symbol(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::Equal => "==",
            Comparison::AtLeast => ">=",
            Comparison::Greater => ">",
            Comparison::Absent => "absent",
        }
    }
}

impl Want {
    /// Whether nothing may be there at all.
    pub fn is_absent(&self) -> bool {
        self.comparison == Comparison::Absent
    }

    /// Whether `value` is wanted. Not a number never is.
    pub fn is_met_by(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Less => value < self.number,
            Comparison::AtMost => value <= self.number,
            Comparison::Equal => value == self.number,
            Comparison::AtLeast => value >= self.number,
            Comparison::Greater => value > self.number,
            Comparison::Absent => false,
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_absent() {
            return f.write_str(self.comparison.symbol());
        }
        write!(f, "{} {}", self.comparison.symbol(), self.number)?;
        if !self.unit.is_empty() {
            write!(f, " {}", self.unit)?;
        }
        Ok(())
    }
}

impl From<Want> for String {
    fn from(want: Want) -> String {
        want.to_string()
    }
}

impl TryFrom<String> for Want {
    type Error = BadWant;

    fn try_from(s: String) -> Result<Want, BadWant> {
        s.parse()
    }
}

/// The text is no threshold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no threshold; write one as “>= 65 %”, “< 600 ms”, “== 0” or “absent”")]
pub struct BadWant(pub String);

impl FromStr for Want {
    type Err = BadWant;

    fn from_str(s: &str) -> Result<Want, BadWant> {
        let bad = || BadWant(s.to_owned());
        let text = s.trim();
        if text == Comparison::Absent.symbol() {
            return Ok(Want { comparison: Comparison::Absent, number: 0.0, unit: String::new() });
        }
        let table = [
            ("<=", Comparison::AtMost),
            ("≤", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("≥", Comparison::AtLeast),
            ("==", Comparison::Equal),
            ("=", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let (symbol, comparison) =
            table.into_iter().find(|(symbol, _)| text.starts_with(symbol)).ok_or_else(bad)?;
        let rest = text[symbol.len()..].trim();
        let split =
            rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(rest.len());
        let number: f64 = rest[..split].parse().map_err(|_| bad())?;
        if !number.is_finite() {
            return Err(bad());
        }
        Ok(Want { comparison, number, unit: rest[split..].trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_read_and_print() {
        for (text, shown) in [
            (">= 65 %", ">= 65 %"),
            ("≥65%", ">= 65 %"),
            ("< 600ms", "< 600 ms"),
            ("== 0", "== 0"),
            ("≤ 1.5 %", "<= 1.5 %"),
            (" absent", "absent"),
        ] {
            assert_eq!(text.parse::<Want>().map(|w| w.to_string()), Ok(shown.to_owned()));
        }
        for text in ["", "65 %", ">=", ">= x", "about 3", "absent 3", "== absent"] {
            assert!(text.parse::<Want>().is_err(), "{text} must not be a threshold");
        }
    }

    #[test]
    fn borders_belong_to_the_right_side() {
        let least: Want = ">= 65 %".parse().unwrap();
        assert!(least.is_met_by(65.0) && !least.is_met_by(64.999) && !least.is_met_by(f64::NAN));
        let less: Want = "< 600 ms".parse().unwrap();
        assert!(!"absent".parse::<Want>().unwrap().is_met_by(0.0));
        assert!(less.is_met_by(599.9) && !less.is_met_by(600.0));
    }

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
