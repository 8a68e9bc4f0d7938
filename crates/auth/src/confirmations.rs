//! Rate limits for people who are signed in and confirm an action with their password. They are counted separately from
//! sign-ins ([`super::throttle`]): strangers at the sign-in page cannot keep anyone from signing or rolling back.
//!
//! Pure: `now` is passed in, and nothing is stored.

use std::collections::{HashMap, VecDeque};

use domain::time::Millis;

use super::attempts::{RetryAfter, add, backoff, limit_reached, prune, recent, remove};

/// Password confirmations an hour in one session.
const MAX_WRONG: usize = 10;

/// Counts wrong password confirmations of signed-in users, per person and session. One for the whole server, behind a
/// mutex.
#[derive(Debug, Default)]
pub struct Confirmations {
    wrong: HashMap<(i64, String), VecDeque<Millis>>,
}

/// A password that may be verified. It counts as wrong until [`Confirmations::succeeded`] says otherwise.
#[derive(Debug, Clone)]
#[must_use = "a right password must be reported with `succeeded`"]
pub struct Confirmation {
    who: (i64, String),
    at: Millis,
}

impl Confirmations {
    /// Checks whether a password of this person may be verified now, and counts it.
    ///
    /// # Errors
    /// How long to wait.
    pub fn attempt(&mut self, person: i64, session: &str, now: Millis) -> Result<Confirmation, RetryAfter> {
        let who = (person, session.to_owned());
        let times = recent(self.wrong.get(&who), now);
        let waits = [limit_reached(&times, MAX_WRONG, now), backoff(&times, now)];
        if let Some(for_ms) = waits.into_iter().flatten().max() {
            return Err(RetryAfter { for_ms });
        }
        add(self.wrong.entry(who.clone()).or_default(), now);
        prune(&mut self.wrong, now);
        Ok(Confirmation { who, at: now })
    }

    /// The password was right: earlier wrong ones are removed.
    pub fn succeeded(&mut self, confirmation: &Confirmation) {
        self.wrong.remove(&confirmation.who);
    }

    /// The password could not be verified: it is not counted.
    pub fn release(&mut self, confirmation: &Confirmation) {
        remove(self.wrong.get_mut(&confirmation.who), confirmation.at);
    }
}
