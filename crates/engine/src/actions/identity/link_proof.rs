//! A one-time link as the proof of who somebody is.

use domain::role::Role;
use domain::time::Millis;
use store::Connection;

use super::links::token_hash;
use super::proven::{Credential, Outcome as ProofOutcome, Proven};
use super::refusal_log::NOT_SIGNED_IN;
use crate::Engine;
use crate::error::Error;
use crate::view::LinkView;
use store::audit::{self, AuditAction, Event, Outcome};
use store::links::{self, Link, LinkError, LinkKind};
use store::people::{self, Person, PersonError};
use store::sessions;

/// What is stored when a link is used.
struct Redemption {
    token_hash: String,
    /// Name and login for a person who does not exist yet.
    name: String,
    login: String,
    /// Hash of the new password, if the link asks for one.
    password_hash: Option<String>,
    at: Millis,
}

impl Engine {
    /// Uses a one-time link: adds the person if they do not exist yet, and stores the password if the link requires
    /// one.
    pub(super) async fn verify_link(
        &self,
        token: &str,
        name: &str,
        login: &str,
        password: &str,
        ip: &str,
    ) -> Result<ProofOutcome, Error> {
        match self.use_link(token, name, login, password, ip).await {
            Ok(proven) => Ok(ProofOutcome::Proven(proven)),
            Err(LinkUse::Link(LinkError::NotVouched { link })) => {
                self.note_forged_link(link).await;
                Err(LinkError::NotVouched { link }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Records the attempt to use a link that does not match the audit log.
    async fn note_forged_link(&self, link: i64) {
        tracing::error!(link, "a one-time link was refused: its row does not match the audit log");
        let mut event = Event::new(self.now(), None, AuditAction::LinkUse, format!("link {link}"))
            .outcome(Outcome::Refused)
            .detail("this link does not match the audit log: its row was written outside of Stagegate");
        event.actor_name = NOT_SIGNED_IN.to_owned();
        if let Err(error) = self.append_quietly(event).await {
            tracing::error!(?error, "a refused link could not be recorded");
        }
    }

    async fn use_link(
        &self,
        token: &str,
        name: &str,
        login: &str,
        password: &str,
        ip: &str,
    ) -> Result<Proven, LinkUse> {
        let link = self.open_link(token).await?;
        let LinkView { kind, name: made_for, login: made_login, wants_password } =
            self.link_view(link).await?;
        let (name, login) = if kind == LinkKind::Setup {
            (name.trim().to_owned(), people::normal_login(login))
        } else {
            (made_for, made_login)
        };
        let password_hash = if wants_password {
            self.check_new_password(password, &login, &name).await?;
            Some(self.passwords().hash(password.to_owned()).await.map_err(Error::from)?)
        } else {
            None
        };
        let new = Redemption { token_hash: token_hash(token), name, login, password_hash, at: self.now() };
        let redeemed = self.store().write(move |tx| Box::pin(redeem(tx, new)));
        let (person, password_hash) = redeemed.await?;
        self.refresh_or_later().await;
        if let Some(person) = &person {
            self.remember_network(person.id, ip);
        }
        let may = person.filter(|person| !person.disabled);
        let proven = may.map(|p| Proven { actor: p.actor(), credential: Credential::Link { password_hash } });
        proven.ok_or_else(|| Error::refused("This person can no longer sign in.").into())
    }
}

/// Uses a link up; returns its person and the hash of their password.
async fn redeem(tx: &mut Connection, new: Redemption) -> Result<(Option<Person>, Option<String>), LinkUse> {
    let Redemption { token_hash, name, login, password_hash, at } = new;
    let link = links::consume(&mut *tx, &token_hash, at).await?;
    // The setup link works only as long as there are no people.
    if link.kind == LinkKind::Setup && !people::list(&mut *tx).await?.is_empty() {
        return Err(LinkUse::Link(LinkError::Unknown));
    }
    let id = match link.person {
        Some(id) => id,
        None => add_person(tx, &link, &name, &login, at).await?,
    };
    if let Some(hash) = password_hash {
        people::set_password(&mut *tx, id, &hash).await?;
        sessions::end_all(&mut *tx, id, None).await?;
    }
    let person = people::by_id(&mut *tx, id).await?;
    let credentials = match &person {
        Some(person) => people::credentials(&mut *tx, &person.login).await?,
        None => None,
    };
    let actor = person.as_ref().map(|p| p.actor());
    let event = Event::new(at, actor.as_ref(), AuditAction::LinkUse, link.kind.slug()).outcome(Outcome::Done);
    audit::append(tx, &event).await?;
    Ok((person, credentials.and_then(|c| c.password_hash)))
}

/// Adds the person of a link for a person who does not exist yet.
async fn add_person(
    tx: &mut Connection,
    link: &Link,
    name: &str,
    login: &str,
    at: Millis,
) -> Result<i64, LinkUse> {
    let roles = match link.kind {
        LinkKind::Setup => vec![Role::Admin],
        _ => link.roles.clone(),
    };
    match people::create(&mut *tx, name, login, &roles, at).await {
        // The login was added in another way since; the invited person did not choose it.
        Err(PersonError::LoginTaken(login)) if link.kind == LinkKind::Invite => {
            Err(LinkUse::Link(LinkError::LoginTaken(login)))
        }
        created => Ok(created?),
    }
}

/// Using a link failed: because of the link itself, or of the person to be added.
enum LinkUse {
    Link(LinkError),
    Person(PersonError),
    Other(Error),
}

impl From<Error> for LinkUse {
    fn from(e: Error) -> LinkUse {
        LinkUse::Other(e)
    }
}

impl From<LinkError> for LinkUse {
    fn from(e: LinkError) -> LinkUse {
        LinkUse::Link(e)
    }
}

impl From<PersonError> for LinkUse {
    fn from(e: PersonError) -> LinkUse {
        LinkUse::Person(e)
    }
}

impl From<store::StoreError> for LinkUse {
    fn from(e: store::StoreError) -> LinkUse {
        LinkUse::Person(e.into())
    }
}

impl From<LinkUse> for Error {
    fn from(e: LinkUse) -> Error {
        match e {
            LinkUse::Link(e) => e.into(),
            LinkUse::Person(e) => e.into(),
            LinkUse::Other(e) => e,
        }
    }
}
