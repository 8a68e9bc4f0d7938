//! The current time, for code that does not get it from its caller.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::time::Millis;

/// The current time, in milliseconds since 1970 in UTC. A clock before 1970 reads as 1970.
pub fn now() -> Millis {
    Millis(i64::try_from(now_ms()).unwrap_or(i64::MAX))
}

/// The same as a bare number.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
