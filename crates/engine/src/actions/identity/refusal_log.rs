//! The audit log of refused sign-ins. A refused sign-in writes only one row per network and hour, and does not refresh
//! open pages.

use std::net::IpAddr;
use std::sync::MutexGuard;
use store::audit::AuditAction;

use crate::Engine;
use auth::refusals::{Entry, Refusals};
use store::audit::{Event, Outcome};

/// The name in the audit log when no user is signed in. The typed login is not recorded: it may be a password.
pub(super) const NOT_SIGNED_IN: &str = "Not signed in";

impl Engine {
    /// Counts a refused sign-in, and records it unless its network already has a row for this hour.
    pub(super) async fn note_refusal_of(&self, login: Option<&str>, ip: IpAddr, why: &str) {
        let Some(entry) = self.refusals().count(ip, self.now()) else { return };
        let snapshot = self.snapshot();
        let subject = login.and_then(|login| snapshot.people.iter().find(|p| p.login == login));
        let subject = subject.map_or("an unknown login", |p| p.login.as_str());
        let before = match entry.more {
            0 => String::new(),
            1 => "; 1 more refused sign-in before".to_owned(),
            n => format!("; {n} more refused sign-ins before"),
        };
        self.record_refusal(subject, format!("{why}, from {ip}{before}")).await;
    }

    /// Records the refusals of past hours; with `all` also those of this hour.
    pub(crate) async fn record_refusals(&self, all: bool) {
        let due = self.refusals().due(self.now(), all);
        for Entry { network, more } in due {
            let from = network.map_or("other addresses".to_owned(), |ip| ip.to_string());
            let plural = if more == 1 { "" } else { "s" };
            let detail = format!("{more} more refused sign-in{plural}, from {from}");
            self.record_refusal("several logins", detail).await;
        }
    }

    async fn record_refusal(&self, subject: &str, detail: String) {
        let mut event = Event::new(self.now(), None, AuditAction::SessionSignIn, subject)
            .outcome(Outcome::Refused)
            .detail(detail);
        event.actor_name = NOT_SIGNED_IN.to_owned();
        if let Err(error) = self.append_quietly(event).await {
            // The answer stays the same for the client.
            tracing::error!(?error, "a refused sign-in could not be recorded");
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.0.refusals.lock().unwrap_or_else(|e| e.into_inner())
    }
}
