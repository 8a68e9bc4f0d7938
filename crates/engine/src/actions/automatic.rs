//! Actions that nobody asked for: what they answer, and the keys under which they are done once.

use store::run_follow_ups::FollowUp;

/// The keys under which follow-ups act begin so; no form may.
pub(crate) const KEY_PREFIX: &str = "follow-up-";

/// What became of an attempt that did not fail.
pub(crate) enum Attempt {
    /// It started its run.
    Started,
    /// There is nothing to start, because of this.
    NotDone(String),
}

/// The key of an attempt. A new one for each: an earlier one may be answered with a run that never began.
pub(crate) fn key_of(follow_up: &FollowUp) -> String {
    format!("{KEY_PREFIX}{}-{}", follow_up.id, follow_up.attempts)
}

/// The follow-up that acts under this key.
pub(crate) fn follow_up_of(key: &str) -> Option<i64> {
    key.strip_prefix(KEY_PREFIX)?.split('-').next()?.parse().ok()
}
