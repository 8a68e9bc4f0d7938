//! Helpers for tests of several crates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a helper that fails fails its test"
)]

pub mod chaos_table;
pub mod intruder;
pub mod tools;
