//! The notice of an action for the next page, kept in memory until it is shown. It may contain a one-time link or a
//! long text that a user typed, so it is never written to disk. A restart deletes it; a full disk does not affect it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::ssr::Flash;

/// How long a notice is kept until a page shows it.
const KEPT_FOR: Duration = Duration::from_secs(10 * 60);
/// Memory for the notices of signed-in users, bytes.
const SESSIONS_BYTES: usize = 8 << 20;
/// Largest notice of a signed-in user, bytes. A larger one loses the typed text, not its message.
const SESSION_NOTICE_BYTES: usize = 256 << 10;
/// Memory for the notices of browsers without a session, bytes.
const ANONYMOUS_BYTES: usize = 1 << 20;
/// Largest notice of a browser without a session, bytes.
const ANONYMOUS_NOTICE_BYTES: usize = 2 << 10;
/// Memory of an entry without its texts, bytes.
const ENTRY_BYTES: usize = 256;

/// The owner of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A session, identified by the hash of its id.
    Session(String),
    /// A browser without a session, identified by the random value of its notice cookie.
    Anonymous(String),
}

/// The notices that were not shown yet. Clones share them.
#[derive(Clone, Default)]
pub struct Notices {
    shelves: Arc<Shelves>,
}

impl std::fmt::Debug for Notices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shelves {
    sessions: Mutex<Shelf>,
    anonymous: Mutex<Shelf>,
}

impl Notices {
    /// No notices.
    pub fn new() -> Notices {
        Notices::default()
    }

    /// Stores a notice for its owner and replaces an earlier one. If there are too many, the oldest ones are dropped;
    /// browsers without a session never displace the notices of signed-in users.
    pub fn put(&self, owner: &Owner, notice: Flash) {
        let (mut shelf, key, largest, room) = match owner {
            Owner::Session(key) => {
                (locked(&self.shelves.sessions), key, SESSION_NOTICE_BYTES, SESSIONS_BYTES)
            }
            Owner::Anonymous(key) => {
                (locked(&self.shelves.anonymous), key, ANONYMOUS_NOTICE_BYTES, ANONYMOUS_BYTES)
            }
        };
        shelf.put(key, trimmed(notice, largest), room, Instant::now());
    }

    /// Returns the notice and keeps it.
    pub fn peek(&self, owner: &Owner) -> Option<Flash> {
        let (mut shelf, key) = self.shelf(owner);
        shelf.forget_old(Instant::now());
        shelf.entries.get(key).map(|kept| kept.notice.clone())
    }

    /// Returns the notice and removes it.
    pub fn take(&self, owner: &Owner) -> Option<Flash> {
        let (mut shelf, key) = self.shelf(owner);
        shelf.forget_old(Instant::now());
        shelf.remove(key)
    }

    fn shelf<'a>(&'a self, owner: &'a Owner) -> (MutexGuard<'a, Shelf>, &'a str) {
        match owner {
            Owner::Session(key) => (locked(&self.shelves.sessions), key),
            Owner::Anonymous(key) => (locked(&self.shelves.anonymous), key),
        }
    }
}

fn locked(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(|e| e.into_inner())
}

#[derive(Default)]
struct Shelf {
    entries: HashMap<String, Kept>,
    /// Keys by age: the first is the oldest.
    ages: BTreeMap<u64, String>,
    next: u64,
    bytes: usize,
}

struct Kept {
    notice: Flash,
    age: u64,
    at: Instant,
    bytes: usize,
}

impl Shelf {
    fn put(&mut self, key: &str, notice: Flash, room: usize, now: Instant) {
        self.remove(key);
        self.forget_old(now);
        let bytes = size(&notice) + ENTRY_BYTES;
        while self.bytes + bytes > room {
            let Some((_, oldest)) = self.ages.first_key_value() else { break };
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
        let age = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.ages.insert(age, key.to_owned());
        self.entries.insert(key.to_owned(), Kept { notice, age, at: now, bytes });
    }

    fn remove(&mut self, key: &str) -> Option<Flash> {
        let kept = self.entries.remove(key)?;
        self.ages.remove(&kept.age);
        self.bytes -= kept.bytes;
        Some(kept.notice)
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((_, oldest)) = self.ages.first_key_value() {
            let is_old = self
                .entries
                .get(oldest)
                .is_none_or(|kept| now.saturating_duration_since(kept.at) >= KEPT_FOR);
            if !is_old {
                break;
            }
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
    }
}

fn size(notice: &Flash) -> usize {
    let fields: usize = notice.fields.iter().map(|(k, v)| k.len() + v.len()).sum();
    notice.text.len() + notice.form.len() + fields
}

/// Trims a notice to `largest` bytes: the typed text is dropped first, then the end of the message.
fn trimmed(mut notice: Flash, largest: usize) -> Flash {
    if size(&notice) > largest {
        notice.fields.clear();
    }
    if size(&notice) > largest {
        notice.form.clear();
        let mut end = largest.min(notice.text.len());
        while !notice.text.is_char_boundary(end) {
            end -= 1;
        }
        notice.text.truncate(end);
    }
    notice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(text: &str, typed: &str) -> Flash {
        let fields = [("login".to_owned(), typed.to_owned())].into();
        Flash { ok: false, text: text.to_owned(), form: "f".to_owned(), fields, field: None }
    }

    fn session(key: &str) -> Owner {
        Owner::Session(key.to_owned())
    }

    fn anonymous(key: &str) -> Owner {
        Owner::Anonymous(key.to_owned())
    }

    #[test]
    fn a_notice_is_shown_once_and_to_its_owner_only() {
        let notices = Notices::new();
        notices.put(&session("a"), notice("hello", ""));
        assert_eq!(notices.take(&session("b")), None);
        assert_eq!(notices.take(&anonymous("a")), None);
        assert_eq!(notices.peek(&session("a")).unwrap().text, "hello");
        assert_eq!(notices.take(&session("a")).unwrap().text, "hello");
        assert_eq!(notices.take(&session("a")), None);
    }

    #[test]
    fn browsers_without_a_session_are_limited_and_displace_no_others() {
        let notices = Notices::new();
        notices.put(&session("a"), notice("kept", "typed"));
        for n in 0..50_000 {
            notices.put(&anonymous(&format!("s{n}")), notice(&"é".repeat(3_000), &"x".repeat(100_000)));
        }
        let shelf = locked(&notices.shelves.anonymous);
        assert!(shelf.bytes <= ANONYMOUS_BYTES, "{}", shelf.bytes);
        assert_eq!(shelf.entries.len(), shelf.ages.len());
        drop(shelf);
        assert_eq!(notices.take(&anonymous("s0")), None);
        assert!(notices.take(&anonymous("s49999")).unwrap().text.len() <= ANONYMOUS_NOTICE_BYTES);
        assert_eq!(notices.take(&session("a")).unwrap().fields["login"], "typed");
    }

    #[test]
    fn a_notice_that_is_not_fetched_expires() {
        let mut shelf = Shelf::default();
        let now = Instant::now();
        shelf.put("a", notice("one", ""), 10_000, now);
        shelf.put("b", notice("two", ""), 10_000, now + KEPT_FOR / 2);
        shelf.forget_old(now + KEPT_FOR);
        assert!(!shelf.entries.contains_key("a") && shelf.entries.contains_key("b"));
        shelf.forget_old(now + KEPT_FOR * 2);
        assert_eq!((shelf.entries.len(), shelf.ages.len(), shelf.bytes), (0, 0, 0));
    }
}
