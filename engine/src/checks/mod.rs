//! Checks: typed probes that look at one thing and say what they saw, what was wanted, and what to do next.
//!
//! A check runs inside the supervisor of its run ([`probe`]); the figures of a step that somebody ran are
//! judged by the same rules ([`judge_command`]). Nothing here passes without having been seen, and nothing
//! here knows gates, releases, the store or the web.

mod absent;
mod command;
mod compose;
mod docker;
mod env_file;
mod file;
mod finding;
mod git;
mod http;
mod http_client;
mod judge;
mod junit;
mod k6;
mod migrations;
mod origins;
mod output;
mod placeholders;
mod playwright;
mod port;
mod probe;
mod prometheus;
mod reports;
mod roots;
mod span;
mod suites;
mod template;
mod tls;
mod tree;
mod twice;
mod values;

pub use judge::judge_command;
pub(crate) use output::settled;
pub use output::{Output, OutputLine};
pub use probe::{ProbeWork, probe};
pub use tree::{TrackedFiles, with_remark};
