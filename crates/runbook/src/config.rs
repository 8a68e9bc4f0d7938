//! `stagegate.toml`: the stack, the deploy, the owners and the checks, and whether they match the
//! runbook. All mistakes are reported in one list with file, line and column. It runs nothing, and it
//! knows no more about the kinds of check than [`CheckSpec`] defines.

mod checks;
mod cross;
mod duration;
mod old_keys;
mod rules;
mod schedule;
mod sense;
mod sense_data;
mod sense_monitor;
mod sense_web;
mod tables;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::check::Check;
#[cfg(doc)]
use domain::check::CheckSpec;
use domain::role::Role;
use domain::rules::Rules;
use domain::runbook::{Problem, Runbook, Severity};

pub use duration::parse_duration;

/// Largest configuration that is read, bytes.
const LARGEST: usize = 4 * 1024 * 1024;

/// A complete configuration. Paths are absolute, or relative to the working directory of the process.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// The runbook's file.
    pub runbook: PathBuf,
    /// The stack of containers.
    pub stack: Stack,
    /// How it is deployed.
    pub deploy: Deploy,
    /// What is retained for a rollback.
    pub rollback: Rollback,
    /// What is removed after some time.
    pub retention: Retention,
    /// The owners of gates that name some, by gate id.
    pub gate_owners: BTreeMap<String, Vec<Role>>,
    /// Criteria and checklist items that need an attestation in addition to their checks.
    pub attest: Vec<String>,
    /// How long attestations and waivers are valid, and the parts of checklist items.
    pub rules: Rules,
    /// The checks in the order of the file.
    pub checks: Vec<Check>,
}

/// The Compose project of the stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Name shown to people.
    pub name: String,
    /// Compose project; with `None` Compose chooses the name.
    pub project: Option<String>,
    /// Directory in which all commands run.
    pub directory: PathBuf,
    /// Compose files, relative to the directory.
    pub files: Vec<PathBuf>,
    /// Env file, relative to the directory. It may not exist yet.
    pub env_file: Option<PathBuf>,
    /// Its example, relative to the directory.
    pub env_example: Option<PathBuf>,
    /// Keys whose values are not secret; `*` matches any text.
    pub public_keys: Vec<String>,
    /// Services that store no data.
    pub stateless: Vec<String>,
    /// Addresses by name; `${KEY}` is replaced with the value of the env file when it is used.
    pub urls: BTreeMap<String, String>,
    /// Line and column of each address in the file.
    pub url_places: BTreeMap<String, (usize, usize)>,
}

/// How the stack is deployed and rolled back.
#[derive(Debug, Clone, PartialEq)]
pub struct Deploy {
    /// Steps that run first, by id.
    pub steps_before: Vec<String>,
    /// How long services may take to become healthy, milliseconds.
    pub health_timeout_ms: u64,
    /// What happens after a failed deploy.
    pub on_failed: OnFailedDeploy,
    /// Command that lists the applied migrations, one on a line.
    pub migrations: Option<String>,
    /// Command that reverts the last migrations.
    pub db_rollback: Option<String>,
    /// Command that takes a backup of the database.
    pub db_backup: Option<String>,
    /// Whether a backup is taken before every deploy except the first.
    pub backup_before: bool,
    /// Command that recreates the database with seed data. A backup is always taken first.
    pub db_fresh: Option<String>,
    /// Checks that run again after a deploy and a rollback, by id.
    pub smoke: Vec<String>,
}

impl Default for Deploy {
    fn default() -> Deploy {
        Deploy {
            steps_before: vec![],
            health_timeout_ms: 120_000,
            on_failed: OnFailedDeploy::Stay,
            migrations: None,
            db_rollback: None,
            db_backup: None,
            backup_before: false,
            db_fresh: None,
            smoke: vec![],
        }
    }
}

/// What is retained for a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// How many releases are retained in addition to the running one; at least two.
    pub keep: usize,
    /// The key file for the encrypted copies of the env files of releases; `None` keeps no copies.
    pub env_copy_key: Option<PathBuf>,
}

impl Rollback {
    /// The smallest value of `keep`.
    pub const LEAST: usize = 2;
}

impl Default for Rollback {
    fn default() -> Rollback {
        Rollback { keep: 3, env_copy_key: None }
    }
}

/// What is removed when it is old and nothing refers to it; with `None` nothing is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Age at which the log of a run is removed, milliseconds.
    pub runs_ms: Option<u64>,
    /// Age at which evidence of scheduled checks is removed, milliseconds.
    pub evidence_ms: Option<u64>,
}

impl Retention {
    /// The shortest retention: one day, milliseconds.
    pub const LEAST_MS: u64 = 24 * 60 * 60 * 1000;

    /// The settings as text, one phrase each; empty when everything is kept.
    pub fn words(&self) -> Vec<String> {
        let span = domain::time::human_span;
        let runs = self.runs_ms.map(|ms| format!("logs of runs after {}", span(ms)));
        let evidence = self.evidence_ms.map(|ms| format!("evidence of scheduled checks after {}", span(ms)));
        runs.into_iter().chain(evidence).collect()
    }
}

/// What happens after a failed deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailedDeploy {
    /// Nothing: a person decides.
    Stay,
    /// The rollback starts automatically.
    Rollback,
}

/// The `[server]` table. Flags and environment variables can set the same values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerTable {
    /// Address to listen on.
    pub listen: Option<String>,
    /// Where state is kept, relative to the file.
    pub data: Option<String>,
    /// The address that people open in the browser.
    pub public_url: Option<String>,
    /// Additional accepted host names.
    pub allowed_hosts: Vec<String>,
    /// Whether the stack may be served on the same host name.
    pub share_host: bool,
}

/// Reads only the `[server]` table. A value that is missing or has a wrong type is `None`;
/// [`Config::load`] reports the mistake.
pub fn server_table(text: &str) -> ServerTable {
    let root: toml::Table = text.parse().unwrap_or_default();
    let get = |key: &str| root.get("server").and_then(|s| s.get(key));
    let read = |key: &str| get(key).and_then(|v| v.as_str()).map(str::to_owned);
    let hosts = get("allowed_hosts").and_then(|v| v.as_array()).into_iter().flatten();
    ServerTable {
        listen: read("listen"),
        data: read("data"),
        public_url: read("public_url"),
        allowed_hosts: hosts.filter_map(|v| v.as_str()).map(str::to_owned).collect(),
        share_host: get("share_host").and_then(|v| v.as_bool()).unwrap_or_default(),
    }
}

/// A configuration that matches its runbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Its runbook.
    pub runbook: Runbook,
    /// Warnings and notes about the configuration; none is an error.
    pub problems: Vec<Problem>,
}

impl Config {
    /// Reads a configuration and its runbook and checks them against each other.
    ///
    /// # Errors
    /// All problems of the configuration, when at least one of them is an error. The runbook's own
    /// problems do not count here; they are in [`Runbook::problems`].
    pub fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
        let Reading { config, runbook, problems, .. } = read(path);
        let broken = problems.iter().any(|p| p.severity == Severity::Error);
        match (config, runbook) {
            (Some(config), Some(runbook)) if !broken => Ok(Loaded { config, runbook, problems }),
            _ => Err(problems),
        }
    }
}

/// The parts that could be read.
pub struct Reading {
    /// The configuration, if it could be understood.
    pub config: Option<Config>,
    /// The runbook, if its file could be read.
    pub runbook: Option<Runbook>,
    /// The name shown for the runbook's file.
    pub runbook_file: String,
    /// The configuration's problems.
    pub problems: Vec<Problem>,
}

/// Reads all parts that can be read.
pub fn read(path: &Path) -> Reading {
    let file = path.display().to_string();
    let nothing = |message: String, hint: &str| {
        let mut problem = super::problem(Severity::Error, message, hint);
        problem.file = Some(file.clone());
        Reading { config: None, runbook: None, runbook_file: file.clone(), problems: vec![problem] }
    };
    let bytes = match system::files::read_bounded(path, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            return nothing("the configuration is larger than 4 MiB".into(), "");
        }
        Err(error) => return nothing(format!("the configuration cannot be read: {error}"), ""),
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..good].iter().filter(|b| **b == b'\n').count() + 1;
            let message = format!("the configuration is not valid UTF-8 in line {line}");
            return nothing(message, "save it as UTF-8");
        }
    };
    // A byte order mark is not valid TOML, and editors that write one do not show it.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    tables::read_document(path, &file, text)
}
