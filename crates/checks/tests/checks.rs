//! Checks against real things: commands, files, repositories, sockets, servers, containers.
//!
//! Every probe runs as in production: in a separate supervisor process. That process is this test
//! binary again, started with an environment variable that makes it a supervisor.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

#[path = "checks"]
mod support {
    pub mod authority;
    pub mod nginx;
    pub mod probe;
    pub mod prometheus;
    pub mod web;
}
#[path = "checks"]
mod cases {
    mod command;
    mod compose;
    mod container_states;
    mod dashboards;
    mod database;
    mod env_file;
    mod file;
    mod git;
    mod http;
    mod http_front;
    mod logs;
    mod metrics;
    mod port;
    mod reports;
    mod tls;
}
