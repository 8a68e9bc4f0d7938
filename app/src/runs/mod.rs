//! Runs: the list, a run's page, and its terminal.
//!
//! Only the terminal is compiled for the browser as well.

pub mod line;
pub mod terminal;

#[cfg(feature = "ssr")]
mod acts;
#[cfg(feature = "ssr")]
mod list;
#[cfg(feature = "ssr")]
mod outcome;
#[cfg(feature = "ssr")]
mod page;
#[cfg(feature = "ssr")]
mod tail;
#[cfg(all(test, feature = "ssr"))]
mod tests;

#[cfg(feature = "ssr")]
pub(crate) use acts::{RunCheck, RunGate, RunStep};
#[cfg(feature = "ssr")]
pub use list::{RunsPage, runs_view};
#[cfg(feature = "ssr")]
pub use page::{RunPage, run_view};
pub use terminal::Terminal;
