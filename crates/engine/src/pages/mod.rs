//! The content of each page, taken from an assessment.

mod activity;
mod blockers;
mod board;
pub mod board_json;
mod gates;
pub(crate) mod incidents;
mod matrix;
mod ownership;
mod people;
pub(crate) mod releases;
mod runbook;
pub(crate) mod runs;
mod sign_offs;
pub(crate) mod todos;
