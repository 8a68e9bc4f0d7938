//! Signing in and out, and confirming an action with the password. A refused sign-in writes only one row of the audit
//! log per network and hour, and does not refresh open pages.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use domain::facts::Actor;

use crate::Engine;
use crate::actions::Ctx;
use crate::error::{Error, sentence};
use auth::browsers;
use auth::passwords::{LONGEST, Turn, Verdict};
use auth::refusals::{Entry, Refusals};
use auth::throttle::{Confirmations, Guess, Wait};
use store::StoreError;
use store::audit::{self, AuditAction, Event, Outcome};
use store::{people, sessions};

/// A login has at most so many characters.
const LONGEST_LOGIN: usize = 200;
/// How often a password is compared in one sign-in, in case its hash is replaced meanwhile.
const MAX_COMPARISONS: usize = 3;
/// The name in the audit log when no user is signed in. The typed login is not recorded: it may be a password.
pub(super) const SOMEBODY: &str = "Not signed in";

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

/// A person who has just authenticated, and the password that was valid then.
#[derive(Clone)]
pub struct SignedIn {
    /// The person.
    pub actor: Actor,
    /// Digest of the password hash; `None`: they have no password.
    password: Option<String>,
}

impl SignedIn {
    pub(super) fn new(actor: Actor, hash: Option<&str>) -> SignedIn {
        SignedIn { actor, password: hash.map(sessions::digest_of_hash) }
    }
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl Engine {
    /// Whether the password is still the one that was valid when the person authenticated. To be called after their
    /// session is stored: a change of the password ends only the sessions that are stored by then.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn has_same_password(&self, who: &SignedIn) -> Result<bool, Error> {
        Ok(sessions::password_digest(self.store(), who.actor.id).await? == who.password)
    }

    /// Signs a person in. The answer and its timing do not reveal which logins exist.
    ///
    /// # Errors
    /// Refused or throttled; or the store cannot be read.
    pub async fn sign_in<'a>(
        &self,
        login: &str,
        password: &str,
        from: impl Into<Origin<'a>>,
    ) -> Result<SignedIn, Error> {
        let Origin { ip, browser } = from.into();
        let (ip, now) = (address(ip), self.now());
        let is_wrong = || Error::refused("Name or password is wrong.");
        if is_longer(login, LONGEST_LOGIN) || is_longer(password, LONGEST) {
            self.note_refusal_of(None, ip, "wrong name or password").await;
            return Err(is_wrong());
        }
        let login = people::normal_login(login);
        // The guard must not live across an await.
        let browser = browsers::known(&self.0.session_key, &login, browser, now);
        let guess = self.throttle().guess_in(&login, ip, browser, now);
        let guess = match guess {
            Ok(guess) => guess,
            Err(wait) => {
                self.note_refusal_of(Some(&login), ip, "too many attempts").await;
                return Err(throttled(wait));
            }
        };
        match self.admit(&login, password, &guess, ip).await {
            Err(error) => {
                // An overloaded server or a failed store is not a wrong guess.
                self.throttle().take_back(guess);
                Err(error)
            }
            Ok(Some(signed_in)) => {
                self.throttle().succeeded(guess);
                Ok(signed_in)
            }
            Ok(None) => {
                self.note_refusal_of(Some(&login), ip, "wrong name or password").await;
                Err(is_wrong())
            }
        }
    }

    /// The value that marks a browser as known after the owner of `login` has signed in, for [`Origin::browser`] of
    /// the next sign-in. `None`: the system has no random bytes, and the browser stays unknown.
    pub fn known_browser(&self, login: &str) -> Option<String> {
        browsers::value(&self.0.session_key, &people::normal_login(login), self.now()).ok()
    }

    /// Compares the password and records the sign-in; `None` when it is wrong. If the hash is replaced during the
    /// comparison, the password is compared with the new hash.
    async fn admit(
        &self,
        login: &str,
        password: &str,
        guess: &Guess,
        ip: IpAddr,
    ) -> Result<Option<SignedIn>, Error> {
        let turn = if guess.is_familiar() { Turn::Familiar } else { Turn::Stranger(ip) };
        for _ in 0..MAX_COMPARISONS {
            let credentials = people::credentials(self.store().readers(), login).await?;
            let hash = credentials.as_ref().and_then(|c| c.password_hash.clone());
            let verdict = self.passwords().verify(password.to_owned(), hash.clone(), turn).await?;
            let actor = credentials.and_then(|c| self.actor(c.person));
            let (Some(actor), Some(mut hash)) = (actor, hash) else { return Ok(None) };
            match verdict {
                Verdict::Wrong => return Ok(None),
                Verdict::Right => {}
                // The old hash is sufficient to sign in if the new one cannot be stored.
                Verdict::RightButRehash => match self.renew_hash(actor.id, &hash, password).await {
                    Ok(Some(new)) => hash = new,
                    Ok(None) => {}
                    Err(error) => tracing::error!(%error, "a password hash could not be renewed"),
                },
            }
            if self.note_signed_in(login, &actor, hash.clone()).await? {
                return Ok(Some(SignedIn::new(actor, Some(&hash))));
            }
        }
        Ok(None)
    }

    /// Counts a refused sign-in, and records it unless its network already has a row for this hour.
    async fn note_refusal_of(&self, login: Option<&str>, ip: IpAddr, why: &str) {
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
        event.actor_name = SOMEBODY.to_owned();
        if let Err(error) = self.append_quietly(event).await {
            // The answer stays the same for the client.
            tracing::error!(?error, "a refused sign-in could not be recorded");
        }
    }

    /// Records a sign-in, if the password is still the one with this hash; returns whether it is.
    async fn note_signed_in(&self, login: &str, actor: &Actor, hash: String) -> Result<bool, Error> {
        let event =
            Event::new(self.now(), Some(actor), AuditAction::SessionSignIn, login).outcome(Outcome::Done);
        let typed = login.to_owned();
        let noted = self.store().write(move |tx| {
            Box::pin(async move {
                let now = people::credentials(&mut *tx, &typed).await?;
                if now.and_then(|c| c.password_hash) != Some(hash) {
                    return Ok(None);
                }
                Ok::<_, StoreError>(Some(audit::append(tx, &event).await?.seq))
            })
        });
        match noted.await {
            Ok(Some(seq)) => {
                self.note_quiet(seq);
                Ok(true)
            }
            Ok(None) => Ok(false),
            // A person who wants to roll back must be able to sign in while the disk is full. Their actions are
            // recorded before they are done, and no password can have been changed.
            Err(StoreError::Full) => {
                tracing::error!(%login, "the disk is full: a sign-in is not in the audit log");
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Records a sign-out.
    ///
    /// # Errors
    /// The event could not be stored.
    pub async fn note_sign_out(&self, actor: &Actor) -> Result<(), Error> {
        let event =
            Event::new(self.now(), Some(actor), AuditAction::SessionSignOut, "").outcome(Outcome::Done);
        match self.append_quietly(event).await {
            Err(StoreError::Full) => {
                tracing::error!(name = %actor.name, "the disk is full: a sign-out is not in the audit log");
                Ok(())
            }
            result => result.map_err(Error::from),
        }
    }

    /// Appends an event that changes nothing on pages except the list of events itself: open pages are not
    /// refreshed.
    pub(super) async fn append_quietly(&self, event: Event) -> Result<(), StoreError> {
        let seq = self
            .store()
            .write(move |tx| {
                Box::pin(async move { Ok::<_, StoreError>(audit::append(tx, &event).await?.seq) })
            })
            .await?;
        self.note_quiet(seq);
        Ok(())
    }

    /// Only if no other event came in between: another process may have changed something.
    fn note_quiet(&self, seq: i64) {
        if self.snapshot().revisions.head().max(self.quiet_head()) == seq - 1 {
            self.0.quiet_head.store(seq, Ordering::Release);
        }
    }

    /// Newest event that does not require reading the store again.
    pub(crate) fn quiet_head(&self) -> i64 {
        self.0.quiet_head.load(Ordering::Acquire)
    }

    /// Confirms an action, such as a sign-off, with the password. Wrong passwords are counted by person and session,
    /// so other people cannot use up the attempts. `not_done` is for the refusal, such as "nothing was signed".
    /// Returns the stored hash that was compared.
    pub(crate) async fn confirm_password(
        &self,
        ctx: &Ctx,
        password: &str,
        not_done: &str,
    ) -> Result<String, Error> {
        if password.is_empty() {
            return Err(Error::invalid(format!("Please enter your password; {not_done}.")));
        }
        let snapshot = self.snapshot();
        let me = snapshot.people.iter().find(|p| p.id == ctx.actor.id).ok_or_else(Error::signed_out)?;
        let guess = self.confirmations().guess(me.id, &ctx.session, self.now()).map_err(throttled)?;
        let compared = async {
            let credentials = people::credentials(self.store().readers(), &me.login).await?;
            let hash = credentials.and_then(|c| c.password_hash);
            let verdict = self.passwords().verify(password.to_owned(), hash.clone(), Turn::SignedIn).await?;
            Ok::<_, Error>((verdict, hash))
        };
        match compared.await {
            Err(error) => {
                self.confirmations().take_back(&guess);
                Err(error)
            }
            Ok((Verdict::Wrong, _) | (_, None)) => {
                let event = Event::new(self.now(), Some(&ctx.actor), AuditAction::PasswordConfirm, &me.login)
                    .outcome(Outcome::Refused)
                    .detail("wrong password");
                self.append_event(event).await?;
                Err(Error::refused(format!("The password is wrong; {not_done}. Type your password again.")))
            }
            Ok((Verdict::Right | Verdict::RightButRehash, Some(hash))) => {
                self.confirmations().succeeded(&guess);
                self.note_familiar(me.id, &ctx.ip);
                Ok(hash)
            }
        }
    }

    /// Remembers that a person has authenticated from this address.
    pub(crate) fn note_familiar(&self, person: i64, ip: &str) {
        let snapshot = self.snapshot();
        if let Some(person) = snapshot.people.iter().find(|p| p.id == person) {
            self.throttle().remember(&person.login, address(ip), self.now());
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.0.refusals.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn confirmations(&self) -> MutexGuard<'_, Confirmations> {
        self.0.confirmations.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Hashes a password with the current cost, replaces `old` and returns the new hash. `None`: `old` was replaced in
    /// the meantime, for instance because the password was changed; the newer hash stays.
    async fn renew_hash(&self, person: i64, old: &str, password: &str) -> Result<Option<String>, Error> {
        let new = self.passwords().hash(password.to_owned()).await?;
        let (old, hash) = (old.to_owned(), new.clone());
        let renewed = self.store().write(move |tx| {
            Box::pin(async move { people::replace_password(tx, person, &old, &hash).await })
        });
        Ok(renewed.await?.then_some(new))
    }
}

fn throttled(wait: Wait) -> Error {
    Error::throttled(sentence(&wait.to_string()))
}

/// Whether a text has more characters than this; reads no more of it than necessary.
fn is_longer(text: &str, longest: usize) -> bool {
    text.chars().nth(longest).is_some()
}

fn address(ip: &str) -> IpAddr {
    ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
