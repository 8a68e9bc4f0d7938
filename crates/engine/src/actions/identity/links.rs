//! One-time links: what they are for, and creating them. A link is shown once; only the hash of its token is stored.

use domain::time::Millis;

use crate::Engine;
use crate::actions::Begun;
use crate::error::Error;
use crate::view::{Done, LinkView};
use auth::tokens::Token;
use store::invitations::{self, Pending};
use store::links::{self, Link, LinkError, LinkKind};
use store::{people, sessions};

/// How long a one-time link can be used, milliseconds.
pub(super) const LINK_LIFE_MS: u64 = 7 * 86_400_000;
/// Why the links of a person were withdrawn who lost the role Admin.
pub(super) const NO_LONGER_ADMIN: &str = "the admin who made it is no longer an admin";

/// A one-time link to be shown once.
pub(super) struct NewLink {
    pub link: Link,
    /// For the audit log.
    pub detail: String,
    /// Text shown after the link.
    pub note: String,
    /// The instruction for a repeated request.
    pub again: &'static str,
    /// The invitation that this one replaces.
    pub replaces: Option<Pending>,
}

impl Engine {
    /// A link that can be used and that matches the audit log.
    pub(crate) async fn open_link(&self, token: &str) -> Result<Link, LinkError> {
        let hash = token_hash(token);
        let mut db = self.store().readers().acquire().await?;
        let link = links::look(&mut *db, &hash, self.now()).await?;
        links::check_origin(&mut db, &hash).await?;
        Ok(link)
    }

    /// Whom a link is for, and whether they choose a password with it.
    pub(crate) async fn link_view(&self, link: Link) -> Result<LinkView, Error> {
        // A person who was just added on the console may be missing from the snapshot; they have no password yet.
        if link.person.is_some_and(|id| self.snapshot().people.iter().all(|p| p.id != id)) {
            self.up_to_date().await?;
        }
        let snapshot = self.snapshot();
        let person = link.person.and_then(|id| snapshot.people.iter().find(|p| p.id == id));
        // Signing requires a password, so a person without one chooses it with the first link.
        let wants_password = link.kind != LinkKind::SignIn || person.is_some_and(|p| !p.ready);
        let (name, login) = match person {
            Some(p) => (p.name.clone(), p.login.clone()),
            None => (link.name, link.login),
        };
        Ok(LinkView { kind: link.kind, name, login, wants_password })
    }

    /// Stores a new link and answers with its address, which is shown only now.
    pub(super) async fn give_link(&self, begun: Begun, new: NewLink) -> Result<Done, Error> {
        let NewLink { link, detail, note, again, replaces } = new;
        let token = Token::generate().map_err(Error::internal)?;
        let path = format!("/link/{}", token.reveal());
        let (hash, now) = (token.hash(), self.now());
        // The answer that is stored for a repeated key contains no link: the link is never stored.
        let kept =
            Done { to: "/people".to_owned(), said: format!("The link has already been shown. {again}") };
        let name = link.name.clone();
        self.try_store_done(begun, kept, detail, move |tx| {
            Box::pin(async move {
                if let Some(person) = link.person {
                    links::withdraw_of(&mut *tx, person).await?;
                    people::clear_password(&mut *tx, person).await?;
                    sessions::end_all(&mut *tx, person, None).await?;
                }
                if link.kind == LinkKind::Invite {
                    return invitations::replace(tx, &hash, &link, replaces.as_ref(), now).await;
                }
                links::create(tx, &hash, &link, now).await?;
                Ok(())
            })
        })
        .await?;
        Ok(Done {
            to: "/people".to_owned(),
            said: format!("One-time link for {name}, shown only now: {path}{note}"),
        })
    }
}

/// A link for an existing person; it is not stored yet.
pub(super) fn reset_link(who: &people::Person, kind: LinkKind, by: Option<i64>, now: Millis) -> Link {
    Link {
        kind,
        person: Some(who.id),
        name: who.name.clone(),
        login: who.login.clone(),
        roles: vec![],
        made_by: by,
        expires_at: now.plus(LINK_LIFE_MS),
    }
}

/// The stored form of a token; empty for text that is not a token.
pub(super) fn token_hash(token: &str) -> String {
    Token::parse(token).map(|t| t.hash()).unwrap_or_default()
}
