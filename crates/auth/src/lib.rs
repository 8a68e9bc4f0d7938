//! Authentication: passwords, one-time tokens, and rate limits for attempts.
//!
//! It does not depend on pages or tables: callers pass in what is stored and get back what to store.

mod attempts;
pub mod browsers;
pub mod confirmations;
mod network;
pub mod passwords;
mod queue;
pub mod refusals;
pub mod throttle;
pub mod tokens;

pub use attempts::RetryAfter;

/// A short random reference that ties a message on a page to a line of the log.
pub fn short_reference() -> String {
    match tokens::Token::generate() {
        Ok(token) => token.reveal().chars().filter(char::is_ascii_alphanumeric).take(8).collect(),
        Err(_) => "no-reference".to_owned(),
    }
}
