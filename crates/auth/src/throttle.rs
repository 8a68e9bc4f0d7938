//! Rate limits for attempts to sign in with a password: per account, with a longer wait after every wrong attempt.
//!
//! Pure: `now` is passed in, and nothing is stored. All limits apply to one hour and expire by themselves.
//!
//! An attacker must not be able to lock the owner out. So the ten attempts an hour on one account are divided:
//! * A browser in which the owner has signed in before has ten of its own, at any address
//!   ([`super::browsers`]).
//! * A network from which the owner has signed in before (a known network) has ten of its own, which others cannot use
//!   up.
//! * All other networks together have seven.
//! * The remaining three are only for networks without a wrong attempt in the last hour, one for each. So even
//!   if an attacker has used up the seven from a few networks, the owner has an immediate attempt from another
//!   network.
//!
//! Only an attacker with many fresh networks can use up all of it, and then a known network or a one-time
//! link still lets the owner in.
//!
//! There is no limit per network alone: many people may share one, behind a proxy all do, and an attacker there must
//! not lock the others out. Attempts at many accounts are slowed down by the password queue
//! ([`super::passwords::Priority`]).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use domain::time::Millis;

use super::attempts::{HOUR_MS, MAX_ENTRIES, RetryAfter, add, backoff, limit_reached, prune, recent, remove};
use super::browsers::Browser;
use super::network::network;

/// Attempts an hour at one account from unknown networks that have made a wrong attempt before.
const MAX_SHARED: usize = 7;
/// Attempts an hour at one account from unknown networks, all in all.
const MAX_UNKNOWN: usize = 10;
/// Attempts an hour at one account from one known network or browser.
const MAX_KNOWN: usize = 10;
/// How long a network stays known.
const KNOWN_FOR_MS: u64 = 30 * 24 * HOUR_MS;

/// Where attempts at one account are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Network(IpAddr),
    Browser(Browser),
}

/// An attempt that may be made. It counts as wrong until [`Throttle::succeeded`] says otherwise, so that parallel
/// attempts cannot exceed the limit.
#[derive(Debug, Clone)]
#[must_use = "a right attempt must be reported with `succeeded`"]
pub struct Attempt {
    login: String,
    network: IpAddr,
    source: Source,
    at: Millis,
    is_known: bool,
}

impl Attempt {
    /// Whether the person has signed in from this network, or in this browser, before.
    pub fn is_from_known_origin(&self) -> bool {
        self.is_known
    }
}

/// Counts attempts. One for the whole server, behind a mutex.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Attempts from unknown networks at each account.
    unknown: HashMap<String, VecDeque<Millis>>,
    /// Attempts from each network.
    networks: HashMap<IpAddr, VecDeque<Millis>>,
    /// Attempts from one network or known browser at one account.
    pairs: HashMap<(String, Source), VecDeque<Millis>>,
    /// When the owner last signed in from a network.
    known: HashMap<(String, IpAddr), Millis>,
}

impl Throttle {
    /// An empty throttle.
    pub fn new() -> Throttle {
        Throttle::default()
    }

    /// Checks whether a password for `login` from `ip` may be tried now, and counts it. `browser` is one in which the
    /// owner has signed in before. The result is the same whether the account exists or not.
    ///
    /// # Errors
    /// How long to wait.
    pub fn attempt(
        &mut self,
        login: &str,
        ip: IpAddr,
        browser: Option<Browser>,
        now: Millis,
    ) -> Result<Attempt, RetryAfter> {
        let login = key(login);
        let network = network(ip);
        let source = browser.map_or(Source::Network(network), Source::Browser);
        let pair = (login.clone(), source);
        let owner_was_here = self.known.get(&(login.clone(), network));
        let is_known = browser.is_some() || owner_was_here.is_some_and(|at| now.since(*at) < KNOWN_FOR_MS);
        let from_here = recent(self.networks.get(&network), now);
        let of_pair = recent(self.pairs.get(&pair), now);
        let unknown = recent(self.unknown.get(&login), now);
        let waits = [
            backoff(&of_pair, now),
            match (is_known, from_here.is_empty()) {
                (true, _) => limit_reached(&of_pair, MAX_KNOWN, now),
                (false, true) => limit_reached(&unknown, MAX_UNKNOWN, now),
                (false, false) => limit_reached(&unknown, MAX_SHARED, now),
            },
        ];
        if let Some(for_ms) = waits.into_iter().flatten().max() {
            return Err(RetryAfter { for_ms });
        }
        if !is_known {
            add(self.unknown.entry(login.clone()).or_default(), now);
        }
        add(self.networks.entry(network).or_default(), now);
        add(self.pairs.entry(pair).or_default(), now);
        self.prune(now);
        Ok(Attempt { login, network, source, at: now, is_known })
    }

    /// The attempt was right: it is not counted, and the network is known for this account from now on.
    pub fn succeeded(&mut self, attempt: Attempt) {
        let Attempt { login, network, source, at, is_known } = attempt;
        if !is_known {
            remove(self.unknown.get_mut(&login), at);
        }
        remove(self.networks.get_mut(&network), at);
        self.pairs.remove(&(login.clone(), source));
        self.known.insert((login, network), at);
    }

    /// The attempt could not be verified: it is not counted.
    pub fn release(&mut self, attempt: Attempt) {
        let Attempt { login, network, source, at, is_known } = attempt;
        if !is_known {
            remove(self.unknown.get_mut(&login), at);
        }
        remove(self.networks.get_mut(&network), at);
        remove(self.pairs.get_mut(&(login, source)), at);
    }

    /// Makes a network known: the owner of `login` has authenticated from it in another way than by [`Self::attempt`].
    pub fn add_known_network(&mut self, login: &str, ip: IpAddr, at: Millis) {
        self.known.insert((key(login), network(ip)), at);
    }

    /// The number of entries in memory.
    pub fn entries(&self) -> usize {
        self.unknown.len() + self.networks.len() + self.pairs.len() + self.known.len()
    }

    /// Removes expired entries, and the oldest when an attacker invents more names than fit.
    fn prune(&mut self, now: Millis) {
        prune(&mut self.unknown, now);
        prune(&mut self.networks, now);
        prune(&mut self.pairs, now);
        if self.known.len() > MAX_ENTRIES {
            self.known.retain(|_, at| now.since(*at) < KNOWN_FOR_MS);
        }
    }
}

/// Accounts are counted under the login's stored form; a text too long for one is cut.
fn key(login: &str) -> String {
    login.trim().to_lowercase().chars().take(200).collect()
}
