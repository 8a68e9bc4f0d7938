//! The types and rules of Stagegate.
//!
//! The crate has no I/O, no clock and no runtime, so the same rules run on the server and in the browser, and
//! they cannot fail for external reasons.

pub mod action;
pub mod blocked_since;
pub mod canonical;
pub mod check;
pub mod choice;
pub mod diff;
pub mod digest;
pub mod drift;
pub mod evidence;
pub mod facts;
pub mod failures;
pub mod flaky;
pub mod gate;
pub mod incident;
pub mod item;
pub mod judge;
pub mod log;
pub mod observed;
pub mod observed_changes;
pub mod ownership;
pub mod pages;
pub mod paging;
pub mod pattern;
pub mod policy;
pub mod preflight;
pub mod release;
pub mod role;
pub mod rules;
pub mod runbook;
pub mod schedule;
pub mod time;
pub mod visible;
