//! Where a person authenticates from, and the networks and browsers in which they have done so before.

use std::net::{IpAddr, Ipv4Addr};

use crate::Engine;
use auth::browsers;
use store::people;

/// Where a sign-in comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The peer's address.
    pub ip: &'a str,
    /// The value that [`Engine::known_browser`] gave this browser; empty for an unknown browser.
    pub browser: &'a str,
}

impl<'a> From<&'a str> for Origin<'a> {
    fn from(ip: &'a str) -> Origin<'a> {
        Origin { ip, browser: "" }
    }
}

impl Engine {
    /// The value that marks a browser as known after the owner of `login` has signed in, for [`Origin::browser`] of
    /// the next sign-in. `None`: the system has no random bytes, and the browser stays unknown.
    pub fn known_browser(&self, login: &str) -> Option<String> {
        browsers::value(&self.0.session_key, &people::normal_login(login), self.now()).ok()
    }

    /// Remembers that a person has authenticated from this address.
    pub(crate) fn remember_network(&self, person: i64, ip: &str) {
        let snapshot = self.snapshot();
        if let Some(person) = snapshot.people.iter().find(|p| p.id == person) {
            self.throttle().add_known_network(&person.login, address(ip), self.now());
        }
    }
}

pub(super) fn address(ip: &str) -> IpAddr {
    ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
