//! What pages ask: the judged moment laid out for each.

mod activity;
mod blockers;
mod board;
mod gates;
mod matrix;
mod ownership;
mod people;
mod releases;
mod runbook;
mod runs;
mod sign_offs;
