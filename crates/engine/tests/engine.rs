//! Tests of the engine as pages and commands use it: real SQLite, real supervisors, a real Docker engine.
//!
//! Each test has its own stack, runbook and data directory and removes what it created. The tests with `docker` in
//! their name deploy; the others only start processes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

#[path = "engine"]
mod support {
    pub mod bench;
    pub mod texts;
}
#[path = "engine"]
mod cases {
    mod account_races;
    mod admin;
    mod confirmations;
    mod docker;
    mod docker_refusals;
    mod drift;
    mod files;
    mod follow_ups;
    mod full_disk;
    mod gates;
    mod history;
    mod integrity;
    mod keys;
    mod lost_runs;
    mod messages;
    mod migrations;
    mod people;
    mod races;
    mod recovery;
    mod retention;
    mod returns;
    mod run_all;
    mod sign_offs;
    mod silent_engine;
    mod steps;
    mod survival;
    mod unreachable;
}
