//! Signing in and out, and asking for the password once more. A refused sign-in writes nothing but, at most once an
//! hour for each network, a row of the audit log; and it wakes no open page.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::facts::Actor;

use super::Ctx;
use crate::Engine;
use crate::audit::{self, Event, Outcome};
use crate::auth::passwords::{LONGEST, Turn, Verdict};
use crate::auth::refusals::{Entry, Refusals};
use crate::auth::throttle::{Confirmations, Guess, Wait};
use crate::error::{Error, sentence};
use crate::store::StoreError;
use crate::store::people::{self, PersonError};

/// A login has at most so many characters.
const LONGEST_LOGIN: usize = 200;
/// How often counted refusals are looked through for hours that are over.
const RECORD_EVERY: Duration = Duration::from_secs(60);
/// Who is named where nobody is signed in. What was typed is not: it may be a password.
pub(super) const SOMEBODY: &str = "Not signed in";

impl Engine {
    /// Signs somebody in. The answer and the time it takes do not tell who exists.
    ///
    /// # Errors
    /// Refused or throttled; or the store cannot be read.
    pub async fn sign_in(&self, login: &str, password: &str, ip: &str) -> Result<Actor, Error> {
        let (ip, now) = (address(ip), self.now());
        let is_wrong = || Error::refused("Name or password is wrong.");
        if is_longer(login, LONGEST_LOGIN) || is_longer(password, LONGEST) {
            self.note_refusal_of(None, ip, "wrong name or password").await;
            return Err(is_wrong());
        }
        let login = people::normal_login(login);
        // The guard must not live across an await.
        let guess = self.throttle().guess(&login, ip, now);
        let guess = match guess {
            Ok(guess) => guess,
            Err(wait) => {
                self.note_refusal_of(Some(&login), ip, "too many attempts").await;
                return Err(throttled(wait));
            }
        };
        match self.compare(&login, password, &guess, ip).await {
            Err(error) => {
                // That nobody had time for it, or that the store failed, is no wrong guess.
                self.throttle().take_back(guess);
                Err(error)
            }
            Ok((right @ (Verdict::Right | Verdict::RightButRehash), Some(actor))) => {
                self.throttle().succeeded(guess);
                if right == Verdict::RightButRehash {
                    // The old hash is good enough to get in, should the new one find no room.
                    if let Err(error) = self.store_password(actor.id, password).await {
                        tracing::error!(%error, "a password hash could not be renewed");
                    }
                }
                self.note_signed_in(&login, &actor).await?;
                Ok(actor)
            }
            Ok(_) => {
                self.note_refusal_of(Some(&login), ip, "wrong name or password").await;
                Err(is_wrong())
            }
        }
    }

    async fn compare(
        &self,
        login: &str,
        password: &str,
        guess: &Guess,
        ip: IpAddr,
    ) -> Result<(Verdict, Option<Actor>), Error> {
        let credentials = people::credentials(self.store().readers(), login).await?;
        let hash = credentials.as_ref().and_then(|c| c.password_hash.clone());
        let turn = if guess.is_familiar() { Turn::Familiar } else { Turn::Stranger(ip) };
        let verdict = self.passwords().verify(password.to_owned(), hash, turn).await?;
        Ok((verdict, credentials.and_then(|c| self.actor(c.person))))
    }

    /// Counts a refused sign-in, and records it unless its network has its row for this hour.
    async fn note_refusal_of(&self, login: Option<&str>, ip: IpAddr, why: &str) {
        let Some(entry) = self.refusals().count(ip, self.now()) else { return };
        let known = self.known();
        let subject = login.and_then(|login| known.people.iter().find(|p| p.login == login));
        let subject = subject.map_or("an unknown login", |p| p.login.as_str());
        let before = match entry.more {
            0 => String::new(),
            n => format!("; {n} more refused sign-ins before"),
        };
        self.record_refusal(subject, format!("{why}, from {ip}{before}")).await;
    }

    /// Records the refusals of hours that are over; with `all` those of this hour too.
    pub(crate) async fn record_refusals(&self, all: bool) {
        let due = self.refusals().due(self.now(), all);
        for Entry { network, more } in due {
            let from = network.map_or("other addresses".to_owned(), |ip| ip.to_string());
            self.record_refusal("several logins", format!("{more} more refused sign-ins, from {from}")).await;
        }
    }

    /// Looks through the counted refusals from time to time.
    pub(crate) fn keep_refusals_recorded(&self) {
        let engine = self.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(RECORD_EVERY);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                engine.record_refusals(false).await;
            }
        });
    }

    async fn record_refusal(&self, subject: &str, detail: String) {
        let mut event =
            Event::new(self.now(), None, "session.sign_in", subject).outcome(Outcome::Refused).detail(detail);
        event.actor_name = SOMEBODY.to_owned();
        if let Err(error) = self.append_quietly(event).await {
            // The stranger gets the same answer all the same.
            tracing::error!(?error, "a refused sign-in could not be recorded");
        }
    }

    async fn note_signed_in(&self, login: &str, actor: &Actor) -> Result<(), Error> {
        let event = Event::new(self.now(), Some(actor), "session.sign_in", login).outcome(Outcome::Done);
        match self.append_quietly(event).await {
            // Who comes to roll back must get in while the disk is full. What they do is recorded before it is done.
            Err(StoreError::Full) => {
                tracing::error!(%login, "the disk is full: a sign-in is not in the audit log");
                Ok(())
            }
            result => result.map_err(Error::from),
        }
    }

    /// Records that somebody signed out.
    ///
    /// # Errors
    /// The event could not be stored.
    pub async fn note_sign_out(&self, actor: &Actor) -> Result<(), Error> {
        let event = Event::new(self.now(), Some(actor), "session.sign_out", "").outcome(Outcome::Done);
        match self.append_quietly(event).await {
            Err(StoreError::Full) => {
                tracing::error!(name = %actor.name, "the disk is full: a sign-out is not in the audit log");
                Ok(())
            }
            result => result.map_err(Error::from),
        }
    }

    /// Appends an event that changes nothing that pages show, apart from the list of events itself: no open page is
    /// woken for it.
    pub(super) async fn append_quietly(&self, event: Event) -> Result<(), StoreError> {
        let seq = self
            .store()
            .write(move |tx| {
                Box::pin(async move { Ok::<_, StoreError>(audit::append(tx, &event).await?.seq) })
            })
            .await?;
        // Only when nothing came in between: another process may have changed something.
        if self.known().revisions.head().max(self.quiet_head()) == seq - 1 {
            self.0.quiet_head.store(seq, Ordering::Release);
        }
        Ok(())
    }

    /// Newest event that needs no reading of the store.
    pub(crate) fn quiet_head(&self) -> i64 {
        self.0.quiet_head.load(Ordering::Acquire)
    }

    /// Asks for the password once more, as before a signature. Wrong ones are counted by person and session, so
    /// nobody else can use up these guesses. `not_done` is for the refusal, such as "nothing was signed".
    pub(crate) async fn confirm_password(
        &self,
        ctx: &Ctx,
        password: &str,
        not_done: &str,
    ) -> Result<(), Error> {
        if password.is_empty() {
            return Err(Error::invalid(format!("Please enter your password; {not_done}.")));
        }
        let known = self.known();
        let me = known.people.iter().find(|p| p.id == ctx.actor.id).ok_or_else(Error::signed_out)?;
        let guess = self.confirmations().guess(me.id, &ctx.session, self.now()).map_err(throttled)?;
        let compared = async {
            let credentials = people::credentials(self.store().readers(), &me.login).await?;
            let hash = credentials.and_then(|c| c.password_hash);
            Ok::<_, Error>(self.passwords().verify(password.to_owned(), hash, Turn::SignedIn).await?)
        };
        match compared.await {
            Err(error) => {
                self.confirmations().take_back(&guess);
                Err(error)
            }
            Ok(Verdict::Wrong) => {
                let event = Event::new(self.now(), Some(&ctx.actor), "password.confirm", &me.login)
                    .outcome(Outcome::Refused)
                    .detail("wrong password");
                self.append_event(event).await?;
                Err(Error::refused(format!("The password is wrong; {not_done}. Type your password again.")))
            }
            Ok(Verdict::Right | Verdict::RightButRehash) => {
                self.confirmations().succeeded(&guess);
                self.note_familiar(me.id, &ctx.ip);
                Ok(())
            }
        }
    }

    /// Remembers that a person has shown who they are from this address.
    pub(crate) fn note_familiar(&self, person: i64, ip: &str) {
        let known = self.known();
        if let Some(person) = known.people.iter().find(|p| p.id == person) {
            self.throttle().remember(&person.login, address(ip), self.now());
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.0.refusals.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn confirmations(&self) -> MutexGuard<'_, Confirmations> {
        self.0.confirmations.lock().unwrap_or_else(|e| e.into_inner())
    }

    async fn store_password(&self, person: i64, password: &str) -> Result<(), Error> {
        let hash = self.passwords().hash(password.to_owned()).await?;
        self.store()
            .write(move |tx| Box::pin(async move { people::set_password(tx, person, &hash).await }))
            .await
            .map_err(|e: PersonError| Error::from(e))
    }
}

fn throttled(wait: Wait) -> Error {
    Error::throttled(sentence(&wait.to_string()))
}

/// Whether a text has more characters than this; looks at no more of it than it must.
fn is_longer(text: &str, longest: usize) -> bool {
    text.chars().nth(longest).is_some()
}

fn address(ip: &str) -> IpAddr {
    ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
