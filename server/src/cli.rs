//! The command line. Every setting can also be given in the environment as `STAGEGATE_…`, and server
//! settings in the `[server]` table of `stagegate.toml`. Precedence: flag, environment, file.
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
  stagegate check --runbook docs/staging-runbook.md   list what is recognised
  stagegate check --config stagegate.toml --json      the same with checks, as JSON
  stagegate serve --config stagegate.toml             serve http://stagegate.localhost:4400
  stagegate user add --config stagegate.toml ada --name 'Ada Byron' --role qa --role po
  stagegate monitoring --out monitoring --target backend:3000   files for Prometheus etc.
  stagegate verify --config stagegate.toml            verify the audit log")]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the board of the stack that is declared in stagegate.toml
    Serve(Serve),
    /// Check a runbook and its stagegate.toml; list what is recognised and all problems
    Check(Check),
    /// Add people, set their roles, create one-time links to reset a password
    User {
        /// The action.
        #[command(subcommand)]
        action: User,
    },
    /// Write the files with which Prometheus, Alertmanager and Grafana monitor the stack
    Monitoring(Monitoring),
    /// Verify the whole audit log and every record that it covers
    Verify(Verify),
    /// Remove run logs and evidence of scheduled checks that are older than [retention] allows
    Prune(Prune),
    /// Decrypt and print the env file that is stored with a release
    EnvCopy {
        /// The stack.
        #[command(flatten)]
        stack: Stack,
        /// The release number
        release: i64,
        /// Print the env file that the last rollback to this release replaced
        #[arg(long)]
        replaced: bool,
    },
    /// Execute one run (started by the server; not for users)
    #[command(hide = true)]
    Supervise {
        /// The run's directory.
        dir: PathBuf,
    },
    /// Print the versions of Stagegate and SQLite
    Version,
}

/// Selects the stack.
#[derive(Debug, Clone, Args)]
pub struct Stack {
    /// The stagegate.toml of the stack
    #[arg(long, short, env = "STAGEGATE_CONFIG", default_value = "stagegate.toml")]
    pub config: PathBuf,
    /// The data directory [default: .stagegate beside stagegate.toml]
    #[arg(long, env = "STAGEGATE_DATA")]
    pub data: Option<PathBuf>,
}

/// `stagegate verify`.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// The stack.
    #[command(flatten)]
    pub stack: Stack,
    /// A head recorded earlier (NUMBER:HASH or HASH); the log must still contain it
    #[arg(long, value_name = "HEAD")]
    pub expect: Option<Noted>,
    /// Accept records that differ from the audit log, after an intended change. Each is recorded with the reason
    #[arg(long, requires = "reason")]
    pub accept: bool,
    /// Why they are accepted; recorded in the audit log
    #[arg(long, requires = "accept", value_name = "TEXT")]
    pub reason: Option<String>,
    /// Accept without asking for confirmation
    #[arg(long, requires = "accept")]
    pub yes: bool,
}

/// `stagegate prune`.
#[derive(Debug, Clone, Args)]
pub struct Prune {
    /// The stack.
    #[command(flatten)]
    pub stack: Stack,
    /// Only print what would be removed
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
    /// The URL that people open, if there is a proxy in front: https://go.example.com
    #[arg(long, env = "STAGEGATE_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Another host name to accept, such as go.example.com or go.example.com:4400; may be repeated
    #[arg(long = "allowed-host", env = "STAGEGATE_ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,
    /// Start even if the stack has the same host name and so receives the session cookies
    #[arg(long, env = "STAGEGATE_SHARE_HOST")]
    pub share_host: bool,
    /// Directory with the files of the web pages [default: beside the binary]
    #[arg(long, env = "STAGEGATE_SITE")]
    pub site: Option<PathBuf>,
    /// Create demo accounts for all roles, each with a one-time sign-in link (loopback addresses only)
    #[arg(long, env = "STAGEGATE_DEMO")]
    pub demo: bool,
}

/// `stagegate check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// A stagegate.toml; its runbook is checked too
    #[arg(long, short, conflicts_with = "runbook")]
    pub config: Option<PathBuf>,
    /// A runbook, without a stagegate.toml
    #[arg(long, short)]
    pub runbook: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 1 also if there is a blocking preflight finding
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
    /// host:port of the metrics endpoint, as Prometheus reaches it
    #[arg(long)]
    pub target: String,
    /// Name of the scrape job
    #[arg(long, default_value = "api")]
    pub job: String,
    /// http or https
    #[arg(long, default_value = "http", value_parser = ["http", "https"])]
    pub scheme: String,
    /// Path of the metrics endpoint
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
    /// Name of the receiver of alerts
    #[arg(long, default_value = "team")]
    pub receiver: String,
    /// Overwrite files that differ
    #[arg(long)]
    pub force: bool,
}

/// `stagegate user`.
#[derive(Debug, Clone, Subcommand)]
pub enum User {
    /// Add a person and print a one-time link for choosing a password
    Add {
        /// The stack.
        #[command(flatten)]
        stack: Stack,
        /// The login name
        login: String,
        /// The display name [default: the login name]
        #[arg(long)]
        name: Option<String>,
        /// A role: devops, backend, frontend, qa, security, docs, po, admin; may be repeated
        #[arg(long = "role")]
        roles: Vec<String>,
    },
    /// Set the roles of a person; roles that are not listed are removed
    Roles {
        /// The stack.
        #[command(flatten)]
        stack: Stack,
        /// The login name
        login: String,
        /// The new roles of the person
        roles: Vec<String>,
    },
    /// Print a one-time link for choosing a new password; ends the person's sessions
    Reset {
        /// The stack.
        #[command(flatten)]
        stack: Stack,
        /// The login name
        login: String,
    },
}
