//! Checks: typed probes. Each tests one thing and reports the actual value, the expected value and what to do next.
//!
//! A check runs inside the supervisor of its run ([`probe()`]). The results of a step that a user ran are
//! judged by the same rules ([`judge_command`]). A check passes only when it has measured something. This crate
//! does not depend on gates, releases, the store or the web server.

mod alert;
mod changed_files;
mod command;
mod compose;
mod database;
mod drill;
mod env_file;
mod file;
mod finding;
mod git;
mod grafana;
mod http;
mod http_client;
mod idempotence;
mod json_api;
mod judge;
mod junit;
mod k6;
mod logs;
mod migrations;
mod must_not_contain;
mod origins;
mod outage;
mod output;
mod playwright;
mod port;
mod probe;
mod prometheus;
mod reports;
mod roots;
mod stack;
mod suites;
mod template;
mod tls;
mod values;

pub use changed_files::{TrackedFiles, with_remark};
pub use drill::drilled;
use finding::judge_value_in as in_unit_of;
pub use judge::judge_command;
pub use outage::OutageWatch;
pub use output::settled;
pub use output::{Output, OutputLine};
pub use probe::{ProbeWork, probe};
pub use template::fill_urls;
