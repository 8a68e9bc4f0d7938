//! Checks against real things: commands, files, repositories, sockets, servers, containers.
//!
//! Every probe runs as in production: inside a supervisor process of its own. That process is this test
//! binary again, told by its environment to be one.

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
