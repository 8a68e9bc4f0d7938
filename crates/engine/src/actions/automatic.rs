//! Actions that Stagegate starts itself: their result, and the keys that make sure each is done once.

use store::run_follow_ups::FollowUp;

/// Prefix of the idempotency keys of follow-ups. Forms must not use it.
pub(crate) const KEY_PREFIX: &str = "follow-up-";

/// The result of an attempt that did not fail.
pub(crate) enum Attempt {
    /// It started its run.
    Started,
    /// There is nothing to start, for this reason.
    NotDone(String),
}

/// The key of an attempt. Each attempt has a new one: the answer of an earlier key may be a run that never began.
pub(crate) fn key_of(follow_up: &FollowUp) -> String {
    format!("{KEY_PREFIX}{}-{}", follow_up.id, follow_up.attempts)
}

/// The follow-up that uses this key.
pub(crate) fn follow_up_of(key: &str) -> Option<i64> {
    key.strip_prefix(KEY_PREFIX)?.split('-').next()?.parse().ok()
}
