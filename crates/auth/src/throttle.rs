//! Rate limits for password guesses: per account, with a longer wait after every wrong guess.
//!
//! Pure: `now` is passed in, and nothing is stored. All limits apply to one hour and expire by themselves.
//!
//! An attacker must not be able to lock the owner out. So the ten guesses an hour on one account are divided:
//! * A browser in which the owner has signed in before has ten of its own, at any address
//!   ([`super::browsers`]).
//! * An address from which the owner has signed in before ("familiar") has ten of its own, which strangers
//!   cannot use up.
//! * All other addresses together have seven.
//! * The remaining three are only for addresses without a wrong guess in the last hour, one for each. So even
//!   if an attacker has used up the seven from a few addresses, the owner has an immediate guess from another
//!   address.
//!
//! Only an attacker with many fresh addresses can use up all of it, and then a familiar address or a one-time
//! link still lets the owner in.
//!
//! There is no limit per address alone: many people may share one, behind a proxy all do, and an attacker there must
//! not lock the others out. Guesses at many accounts are slowed down by the password queue
//! ([`super::passwords::Turn`]).
//!
//! Password confirmations of users who are signed in are counted separately ([`Confirmations`]): strangers at the
//! sign-in page cannot keep them from signing or rolling back.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

use domain::time::Millis;

use super::browsers::Browser;

/// The span in which guesses are counted, milliseconds.
const HOUR_MS: u64 = 60 * 60 * 1000;
/// Guesses an hour at one account from strange addresses that have guessed wrong before.
const SHARED: usize = 7;
/// Guesses an hour at one account from strange addresses, all in all.
const STRANGERS: usize = 10;
/// Guesses an hour at one account from one familiar address.
const FAMILIAR: usize = 10;
/// Password confirmations an hour in one session.
const CONFIRMATIONS: usize = 10;
/// The wait after the first wrong guess; it doubles with each.
const FIRST_WAIT_MS: u64 = 500;
/// The longest such wait.
const LONGEST_WAIT_MS: u64 = 5 * 60 * 1000;
/// How long an address stays familiar.
const FAMILIAR_FOR_MS: u64 = 30 * 24 * HOUR_MS;
/// Most accounts, addresses and pairs in memory, each; beyond that the oldest are removed.
const REMEMBERED: usize = 20_000;

/// A guess is refused for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; try again in {}", whole_seconds(*for_ms))]
pub struct Wait {
    /// For how long, milliseconds.
    pub for_ms: u64,
}

/// Rounded up, so that a retry after this time is accepted.
fn whole_seconds(for_ms: u64) -> String {
    match for_ms.div_ceil(1_000) {
        s @ 0..60 => format!("{s} s"),
        s => domain::time::human_span(s * 1_000),
    }
}

/// Where guesses at one account are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Network(IpAddr),
    Browser(Browser),
}

/// A guess that may be made. It counts as wrong until [`Throttle::succeeded`] says otherwise, so that parallel
/// guesses cannot exceed the limit.
#[derive(Debug, Clone)]
#[must_use = "a right guess must be reported with `succeeded`"]
pub struct Guess {
    login: String,
    address: IpAddr,
    place: Place,
    at: Millis,
    familiar: bool,
}

impl Guess {
    /// Whether the person has signed in from this address, or in this browser, before.
    pub fn is_familiar(&self) -> bool {
        self.familiar
    }
}

/// Counts guesses. One for the whole server, behind a mutex.
#[derive(Debug, Default)]
pub struct Throttle {
    /// Guesses from strange addresses at each account.
    strangers: HashMap<String, VecDeque<Millis>>,
    /// Guesses from each address.
    addresses: HashMap<IpAddr, VecDeque<Millis>>,
    /// Guesses from one address or known browser at one account.
    pairs: HashMap<(String, Place), VecDeque<Millis>>,
    /// When the owner last signed in from an address.
    familiar: HashMap<(String, IpAddr), Millis>,
}

impl Throttle {
    /// An empty throttle.
    pub fn new() -> Throttle {
        Throttle::default()
    }

    /// Checks whether a password for `login` from `ip` may be tried now, and counts it. The result is the same whether
    /// the account exists or not.
    pub fn guess(&mut self, login: &str, ip: IpAddr, now: Millis) -> Result<Guess, Wait> {
        self.guess_in(login, ip, None, now)
    }

    /// The same for a `browser` in which the owner has signed in before.
    pub fn guess_in(
        &mut self,
        login: &str,
        ip: IpAddr,
        browser: Option<Browser>,
        now: Millis,
    ) -> Result<Guess, Wait> {
        let login = key(login);
        let address = network(ip);
        let place = browser.map_or(Place::Network(address), Place::Browser);
        let pair = (login.clone(), place);
        let owner_was_here = self.familiar.get(&(login.clone(), address));
        let familiar = browser.is_some() || owner_was_here.is_some_and(|at| now.since(*at) < FAMILIAR_FOR_MS);
        let from_here = recent(self.addresses.get(&address), now);
        let pair_times = recent(self.pairs.get(&pair), now);
        let strangers = recent(self.strangers.get(&login), now);
        let waits = [
            slower(&pair_times, now),
            match (familiar, from_here.is_empty()) {
                (true, _) => full(&pair_times, FAMILIAR, now),
                (false, true) => full(&strangers, STRANGERS, now),
                (false, false) => full(&strangers, SHARED, now),
            },
        ];
        if let Some(for_ms) = waits.into_iter().flatten().max() {
            return Err(Wait { for_ms });
        }
        if !familiar {
            count(self.strangers.entry(login.clone()).or_default(), now);
        }
        count(self.addresses.entry(address).or_default(), now);
        count(self.pairs.entry(pair).or_default(), now);
        self.forget(now);
        Ok(Guess { login, address, place, at: now, familiar })
    }

    /// The guess was right: it is not counted, and the address is familiar for this account from now on.
    pub fn succeeded(&mut self, guess: Guess) {
        let Guess { login, address, place, at, familiar } = guess;
        if !familiar {
            take_back(self.strangers.get_mut(&login), at);
        }
        take_back(self.addresses.get_mut(&address), at);
        self.pairs.remove(&(login.clone(), place));
        self.familiar.insert((login, address), at);
    }

    /// The guess could not be checked: it is not counted.
    pub fn take_back(&mut self, guess: Guess) {
        let Guess { login, address, place, at, familiar } = guess;
        if !familiar {
            take_back(self.strangers.get_mut(&login), at);
        }
        take_back(self.addresses.get_mut(&address), at);
        take_back(self.pairs.get_mut(&(login, place)), at);
    }

    /// Adds a sign-in from before the server started.
    pub fn remember(&mut self, login: &str, ip: IpAddr, at: Millis) {
        self.familiar.insert((key(login), network(ip)), at);
    }

    /// The number of entries in memory.
    pub fn remembered(&self) -> usize {
        self.strangers.len() + self.addresses.len() + self.pairs.len() + self.familiar.len()
    }

    /// Removes expired entries, and the oldest when an attacker invents more names than fit.
    fn forget(&mut self, now: Millis) {
        forget(&mut self.strangers, now);
        forget(&mut self.addresses, now);
        forget(&mut self.pairs, now);
        if self.familiar.len() > REMEMBERED {
            self.familiar.retain(|_, at| now.since(*at) < FAMILIAR_FOR_MS);
        }
    }
}

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
    pub fn guess(&mut self, person: i64, session: &str, now: Millis) -> Result<Confirmation, Wait> {
        let who = (person, session.to_owned());
        let times = recent(self.wrong.get(&who), now);
        let waits = [full(&times, CONFIRMATIONS, now), slower(&times, now)];
        if let Some(for_ms) = waits.into_iter().flatten().max() {
            return Err(Wait { for_ms });
        }
        count(self.wrong.entry(who.clone()).or_default(), now);
        forget(&mut self.wrong, now);
        Ok(Confirmation { who, at: now })
    }

    /// The password was right: earlier wrong ones are removed.
    pub fn succeeded(&mut self, confirmation: &Confirmation) {
        self.wrong.remove(&confirmation.who);
    }

    /// The password could not be verified: it is not counted.
    pub fn take_back(&mut self, confirmation: &Confirmation) {
        take_back(self.wrong.get_mut(&confirmation.who), confirmation.at);
    }
}

/// Accounts are counted under the login's stored form; a text too long for one is cut.
fn key(login: &str) -> String {
    login.trim().to_lowercase().chars().take(200).collect()
}

/// The address that is counted: for IPv6 the /64, the size of one subscriber's network.
pub(super) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// The guesses of the last hour, oldest first.
fn recent(times: Option<&VecDeque<Millis>>, now: Millis) -> Vec<Millis> {
    times.into_iter().flatten().copied().filter(|at| now.since(*at) < HOUR_MS).collect()
}

/// How long until there are fewer than `limit` guesses in the last hour.
fn full(times: &[Millis], limit: usize, now: Millis) -> Option<u64> {
    let leaving = times.get(times.len().checked_sub(limit)?)?;
    Some(leaving.plus(HOUR_MS).since(now))
}

/// The remaining wait after the last wrong guess.
fn slower(times: &[Millis], now: Millis) -> Option<u64> {
    let last = times.last()?;
    let doublings = u32::try_from(times.len() - 1).unwrap_or(u32::MAX).min(20);
    let wait = (FIRST_WAIT_MS << doublings).min(LONGEST_WAIT_MS);
    let left = last.plus(wait).since(now);
    (left > 0).then_some(left)
}

/// Adds a guess, and removes expired ones.
fn count(times: &mut VecDeque<Millis>, now: Millis) {
    while times.front().is_some_and(|at| now.since(*at) >= HOUR_MS) {
        times.pop_front();
    }
    times.push_back(now);
}

fn take_back(times: Option<&mut VecDeque<Millis>>, at: Millis) {
    if let Some(times) = times
        && let Some(place) = times.iter().rposition(|t| *t == at)
    {
        times.remove(place);
    }
}

fn forget<K: Eq + std::hash::Hash>(map: &mut HashMap<K, VecDeque<Millis>>, now: Millis) {
    if map.len() <= REMEMBERED {
        return;
    }
    map.retain(|_, times| times.back().is_some_and(|at| now.since(*at) < HOUR_MS));
    if map.len() > REMEMBERED {
        // Down to three quarters, so that this is rarely done.
        let mut last: Vec<Millis> = map.values().filter_map(|t| t.back().copied()).collect();
        last.sort();
        let border = last.get(last.len().saturating_sub(REMEMBERED / 4 * 3)).copied();
        map.retain(|_, times| times.back().copied() >= border);
    }
}
