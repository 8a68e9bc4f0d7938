//! Which refused sign-ins are recorded. An attacker must not be able to fill the audit log: each network gets at
//! most one row an hour, with the number of refusals that it represents, and the number of rows an hour is limited for
//! all networks together.
//!
//! Pure: `now` is passed in, and nothing is stored.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use domain::time::Millis;

use super::network::network;

/// The time for which a network gets one row, milliseconds.
pub const WINDOW_MS: u64 = 60 * 60 * 1000;
/// Rows for all networks together in that time.
pub const MOST_ROWS: usize = 60;
/// Networks that are counted separately; further ones are counted together.
const REMEMBERED: usize = 10_000;

/// A row to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The network; `None` stands for many networks without their own row.
    pub network: Option<IpAddr>,
    /// How many refusals it represents in addition to the one that is recorded now.
    pub more: u64,
}

/// Counts refusals. One for the whole server, behind a mutex.
#[derive(Debug, Default)]
pub struct Refusals {
    networks: HashMap<IpAddr, Window>,
    others: Window,
    /// When rows were written, oldest first.
    rows: VecDeque<Millis>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    /// When the last row was written.
    since: Option<Millis>,
    /// Refusals after it.
    unrecorded: u64,
}

impl Window {
    fn is_open(&self, now: Millis) -> bool {
        self.since.is_some_and(|since| now.since(since) < WINDOW_MS)
    }

    fn close(&mut self, now: Millis) -> u64 {
        self.since = Some(now);
        std::mem::take(&mut self.unrecorded)
    }
}

impl Refusals {
    /// Counts a refusal; `Some` when it is to be recorded.
    pub fn count(&mut self, ip: IpAddr, now: Millis) -> Option<Entry> {
        let network = network(ip);
        if self.networks.len() >= REMEMBERED && !self.networks.contains_key(&network) {
            self.others.unrecorded += 1;
            return None;
        }
        let has_room = self.has_room(now);
        let window = self.networks.entry(network).or_default();
        if window.is_open(now) || !has_room {
            window.unrecorded += 1;
            return None;
        }
        let more = window.close(now);
        self.rows.push_back(now);
        Some(Entry { network: Some(network), more })
    }

    /// The rows for hours that are over; with `all`, as before the server stops, also for those that are not.
    pub fn due(&mut self, now: Millis, all: bool) -> Vec<Entry> {
        let mut entries = vec![];
        let mut over: Vec<IpAddr> =
            self.networks.iter().filter(|(_, w)| all || !w.is_open(now)).map(|(ip, _)| *ip).collect();
        over.sort_unstable();
        for network in over {
            let Some(mut window) = self.networks.remove(&network) else { continue };
            if window.unrecorded == 0 {
                continue;
            }
            if window.since.is_none() || !self.has_room(now) {
                // It has no row of its own, or there are too many rows: one row stands for all of these.
                self.others.unrecorded += window.unrecorded;
                continue;
            }
            let more = window.close(now);
            self.rows.push_back(now);
            entries.push(Entry { network: Some(network), more });
            self.networks.insert(network, window);
        }
        if self.others.unrecorded > 0 && (all || !self.others.is_open(now)) {
            let more = self.others.close(now);
            entries.push(Entry { network: None, more });
        }
        entries
    }

    fn has_room(&mut self, now: Millis) -> bool {
        while self.rows.front().is_some_and(|at| now.since(*at) >= WINDOW_MS) {
            self.rows.pop_front();
        }
        self.rows.len() < MOST_ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    const HOUR: i64 = WINDOW_MS as i64;

    #[test]
    fn a_network_gets_one_row_an_hour_and_no_refusal_is_lost() {
        let mut refusals = Refusals::default();
        let mut counted = 0;
        let mut rows: Vec<i64> = vec![];
        for n in 0..1_000_i64 {
            let at = n * HOUR / 100;
            if let Some(entry) = refusals.count(ip(7), Millis(at)) {
                counted += 1 + entry.more;
                rows.push(at);
            }
            for entry in refusals.due(Millis(at), false) {
                counted += entry.more;
                rows.push(at);
            }
        }
        counted += refusals.due(Millis(10 * HOUR), true).iter().map(|e| e.more).sum::<u64>();
        assert_eq!(counted, 1_000);
        assert!(rows.windows(2).all(|pair| pair[1] - pair[0] >= HOUR), "{rows:?}");
    }

    #[test]
    fn many_networks_share_their_rows() {
        let mut refusals = Refusals::default();
        let (mut rows, mut counted) = (0, 0);
        for n in 0..100_000_u32 {
            let now = Millis(i64::from(n));
            let found = refusals.count(ip(n), now).into_iter().map(|e| e.more + 1);
            for many in found {
                (rows, counted) = (rows + 1, counted + many);
            }
        }
        assert!(rows <= MOST_ROWS, "{rows}");
        assert!(refusals.networks.len() <= REMEMBERED);
        for entry in refusals.due(Millis(100_000), true) {
            (rows, counted) = (rows + 1, counted + entry.more);
        }
        assert!(rows <= MOST_ROWS + 1, "{rows}");
        assert_eq!(counted, 100_000);
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_network() {
        let mut refusals = Refusals::default();
        let from = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, n, 0, 0, 1]);
        let rows = (0..100).filter(|n| refusals.count(from(*n), Millis(0)).is_some()).count();
        assert_eq!(rows, 1);
    }

    #[test]
    fn refusals_after_the_row_are_recorded_when_the_hour_is_over() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.count(ip(1), Millis(0)), Some(Entry { network: Some(ip(1)), more: 0 }));
        for n in 1..=37 {
            assert_eq!(refusals.count(ip(1), Millis(n)), None);
        }
        assert_eq!(refusals.due(Millis(HOUR - 1), false), []);
        assert_eq!(refusals.due(Millis(HOUR), false), [Entry { network: Some(ip(1)), more: 37 }]);
        assert_eq!(refusals.count(ip(1), Millis(HOUR + 1)), None, "the row of this hour is written");
        assert_eq!(refusals.due(Millis(2 * HOUR), false), [Entry { network: Some(ip(1)), more: 1 }]);
        assert_eq!(refusals.due(Millis(3 * HOUR), false), []);
        assert!(refusals.networks.is_empty(), "expired entries are removed");
    }
}
