//! How Stagegate looks: by feature, each folder with its page, its parts, its islands and its
//! server functions.
//!
//! Pages and server functions exist on the server only: a page is read by rendering it, an action is a
//! plain form post. So the browser's WASM holds nothing but the islands, and no read has an endpoint.

// Pages are one deep type each; laying them out in an optimised build goes deeper than the default.
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
pub mod notices;
#[cfg(feature = "ssr")]
pub mod ownership;
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
