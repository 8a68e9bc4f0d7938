//! The command line. Every setting can also stand in the environment as `STAGEGATE_…`, and the
//! server's in the `[server]` table of `stagegate.toml`: flag, environment, file, in that order.
#![allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, reason = "the comments are what --help prints")]

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use store::audit::Noted;

/// A staging runbook in Markdown, turned into a live go/no-go board for a Docker Compose stack.
#[derive(Debug, Parser)]
#[command(name = "stagegate", version, max_term_width = 100, disable_version_flag = true)]
#[command(after_help = "\
Examples:
  stagegate check --runbook docs/staging-runbook.md   what is recognised in a runbook
  stagegate check --config stagegate.toml --json      the same with checks, for machines
  stagegate serve --config stagegate.toml             the board, on http://stagegate.localhost:4400
  stagegate user add --config stagegate.toml ada --name 'Ada Byron' --role qa --role po
  stagegate monitoring --out monitoring --target backend:3000   what Gate G needs
  stagegate verify --config stagegate.toml            is the audit log whole?")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the board of the stack that stagegate.toml declares
    Serve(Serve),
    /// Say what is recognised in a runbook and its stagegate.toml, and what is not and why
    Check(Check),
    /// Add people, give roles, make a one-time link for who forgot the password
    User {
        /// What to do with whom.
        #[command(subcommand)]
        action: User,
    },
    /// Write what Prometheus, Alertmanager and Grafana need to watch the stack
    Monitoring(Monitoring),
    /// Check the audit log from its first event to its last, and every record that it vouches for
    Verify(Verify),
    /// Remove logs of runs and evidence of scheduled checks that [retention] lets go
    Prune(Prune),
    /// Print the env file that was kept encrypted with a release
    EnvCopy {
        /// The stack.
        #[command(flatten)]
        stack: Stack,
        /// The release's number
        release: i64,
        /// The env file that lay there before a rollback put the release's own back
        #[arg(long)]
        replaced: bool,
    },
    /// Carry out one run (started by the server; not for people)
    #[command(hide = true)]
    Supervise {
        /// The run's directory.
        dir: PathBuf,
    },
    /// Print version and SQLite version
    Version,
}

/// Which stack is meant.
#[derive(Debug, Clone, Args)]
pub struct Stack {
    /// The stack's stagegate.toml
    #[arg(long, short, env = "STAGEGATE_CONFIG", default_value = "stagegate.toml")]
    pub config: PathBuf,
    /// Where state is kept [default: .stagegate beside stagegate.toml]
    #[arg(long, env = "STAGEGATE_DATA")]
    pub data: Option<PathBuf>,
}

/// `stagegate verify`.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// The stack.
    #[command(flatten)]
    pub stack: Stack,
    /// A head noted earlier (NUMBER:HASH or HASH); the log must still contain it
    #[arg(long, value_name = "HEAD")]
    pub expect: Option<Noted>,
    /// Accept records that differ as they are now: a change that was meant. The audit log names each and the reason
    #[arg(long, requires = "reason")]
    pub accept: bool,
    /// Why they are accepted; stands in the audit log
    #[arg(long, requires = "accept", value_name = "TEXT")]
    pub reason: Option<String>,
    /// Accept without asking
    #[arg(long, requires = "accept")]
    pub yes: bool,
}

/// `stagegate prune`.
#[derive(Debug, Clone, Args)]
pub struct Prune {
    /// The stack.
    #[command(flatten)]
    pub stack: Stack,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
}

/// `stagegate serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// The stack.
    #[command(flatten)]
    pub stack: Stack,
    /// Address and port to listen on [default: 127.0.0.1:4400]
    #[arg(long, env = "STAGEGATE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// The address people type, when a proxy stands in front: https://go.example.com
    #[arg(long, env = "STAGEGATE_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Another host name to answer to, such as go.example.com or go.example.com:4400; may be repeated
    #[arg(long = "allowed-host", env = "STAGEGATE_ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,
    /// Start also when the stack is served on the same host name and so gets the sessions' cookies
    #[arg(long, env = "STAGEGATE_SHARE_HOST")]
    pub share_host: bool,
    /// Directory of the page's files [default: found beside the binary]
    #[arg(long, env = "STAGEGATE_SITE")]
    pub site: Option<PathBuf>,
    /// Make one person for each role, each with a one-time sign-in link (loopback addresses only)
    #[arg(long, env = "STAGEGATE_DEMO")]
    pub demo: bool,
}

/// `stagegate check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// A stagegate.toml; its runbook is checked with it
    #[arg(long, short, conflicts_with = "runbook")]
    pub config: Option<PathBuf>,
    /// A runbook alone
    #[arg(long, short)]
    pub runbook: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 1 also when a preflight finding would break
    #[arg(long)]
    pub strict: bool,
}

/// `stagegate monitoring`.
#[derive(Debug, Clone, Args)]
pub struct Monitoring {
    /// The stack's stagegate.toml; the thresholds are those of its runbook
    #[arg(long, short, env = "STAGEGATE_CONFIG", default_value = "stagegate.toml")]
    pub config: PathBuf,
    /// Directory to write to
    #[arg(long, short)]
    pub out: PathBuf,
    /// host:port of the metrics, as Prometheus reaches it
    #[arg(long)]
    pub target: String,
    /// Name of the scrape job
    #[arg(long, default_value = "api")]
    pub job: String,
    /// http or https
    #[arg(long, default_value = "http", value_parser = ["http", "https"])]
    pub scheme: String,
    /// Path of the metrics
    #[arg(long, default_value = "/metrics")]
    pub metrics_path: String,
    /// File with the bearer token, as Prometheus sees it
    #[arg(long, default_value = "/etc/prometheus/token")]
    pub token_file: String,
    /// host:port of Alertmanager, as Prometheus reaches it
    #[arg(long, default_value = "alertmanager:9093")]
    pub alertmanager: String,
    /// Histogram of request durations in seconds, without _bucket
    #[arg(long, default_value = "http_request_duration_seconds")]
    pub histogram: String,
    /// Label of the histogram that holds the status code
    #[arg(long, default_value = "status")]
    pub status_label: String,
    /// Name of the receiver that alerts go to
    #[arg(long, default_value = "team")]
    pub receiver: String,
    /// Replace files that differ
    #[arg(long)]
    pub force: bool,
}

/// `stagegate user`.
#[derive(Debug, Clone, Subcommand)]
pub enum User {
    /// Add a person and print a one-time link with which they choose a password
    Add {
        /// The stack.
        #[command(flatten)]
        stack: Stack,
        /// The name typed at sign-in
        login: String,
        /// The name shown to others [default: the login]
        #[arg(long)]
        name: Option<String>,
        /// A role: devops, backend, frontend, qa, security, docs, po, admin; may be repeated
        #[arg(long = "role")]
        roles: Vec<String>,
    },
    /// Set the roles of a person; the ones not named are taken away
    Roles {
        /// The stack.
        #[command(flatten)]
        stack: Stack,
        /// The name typed at sign-in
        login: String,
        /// The roles from now on
        roles: Vec<String>,
    },
    /// Print a one-time link with which a person chooses a new password; ends their sessions
    Reset {
        /// The stack.
        #[command(flatten)]
        stack: Stack,
        /// The name typed at sign-in
        login: String,
    },
}
