//! The user interface of Stagegate, by feature: each folder has its page, components, islands and server functions.
//!
//! Pages and server functions exist on the server only. The server renders pages, and actions are plain form posts.
//! Therefore the browser's WASM contains only the islands, and there are no endpoints that only read data.

// Each page is one deeply nested type. Compiling it in a release build exceeds the default limit.
#![recursion_limit = "512"]

#[cfg(feature = "ssr")]
pub mod activity;
#[cfg(feature = "ssr")]
pub mod board;
pub mod error;
#[cfg(feature = "ssr")]
pub mod gates;
#[cfg(feature = "ssr")]
pub mod incidents;
pub mod live;
#[cfg(feature = "ssr")]
pub mod matrix;
#[cfg(feature = "ssr")]
mod navigation;
#[cfg(feature = "ssr")]
pub mod notices;
#[cfg(feature = "ssr")]
pub mod ownership;
#[cfg(feature = "ssr")]
mod pages;
#[cfg(feature = "ssr")]
pub mod people;
#[cfg(feature = "ssr")]
pub mod releases;
#[cfg(feature = "ssr")]
pub mod runbook;
pub mod runs;
#[cfg(feature = "ssr")]
mod shell;
#[cfg(feature = "ssr")]
pub mod signoffs;
#[cfg(feature = "ssr")]
pub mod ssr;
#[cfg(feature = "ssr")]
pub mod ui;

#[cfg(feature = "ssr")]
pub use shell::{App, shell};
