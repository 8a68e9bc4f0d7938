//! People, and one-time links before they are used.

use domain::facts::Actor;
use domain::paging::Cursor;

use crate::Engine;
use crate::actions::token_hash;
use crate::error::Error;
use crate::view::{InvitationsPage, LinkView, PersonView};
use store::links::{self, Link, LinkError};
use store::{StoreError, paging};

/// Invitations on a page.
const ROWS: u32 = 50;

impl Engine {
    /// All people, ordered by name. Only admins see the logins of other people.
    pub async fn people(&self, actor: &Actor) -> Result<Vec<PersonView>, Error> {
        let snapshot = self.snapshot();
        let is_admin = actor.roles.contains(&domain::role::Role::Admin);
        let mut people: Vec<PersonView> = snapshot
            .people
            .iter()
            .filter(|p| is_admin || !p.disabled)
            .map(|p| PersonView {
                actor: p.actor(),
                login: if is_admin || p.id == actor.id { p.login.clone() } else { String::new() },
                disabled: p.disabled,
                ready: p.ready,
                created_at: p.created_at,
            })
            .collect();
        people.sort_by_key(|p| p.actor.name.to_lowercase());
        Ok(people)
    }

    /// A page of the invitations, newest first; for admins only.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn invitations(&self, actor: &Actor, cursor: Cursor) -> Result<InvitationsPage, Error> {
        if !actor.roles.contains(&domain::role::Role::Admin) {
            return Ok(InvitationsPage::default());
        }
        let now = self.now();
        let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
        let (numbers, pages) = paging::page(&mut db, paging::INVITATIONS, None, cursor, ROWS).await?;
        let rows = links::invitations(&mut *db, &numbers, now).await?;
        let open = links::open_invitations(&mut *db, now).await?;
        Ok(InvitationsPage { rows, open: u64::try_from(open).unwrap_or(0), pages })
    }

    /// Whether a person has this login.
    pub fn is_known(&self, login: &str) -> bool {
        self.snapshot().people.iter().any(|p| p.login == login)
    }

    /// What a one-time link is for. Reading it does not use it up.
    pub async fn link(&self, token: &str) -> Result<LinkView, Error> {
        let link = self.open_link(token).await?;
        self.link_view(link).await
    }

    /// A link that can be used and that matches the audit log.
    pub(crate) async fn open_link(&self, token: &str) -> Result<Link, LinkError> {
        let hash = token_hash(token);
        let mut db = self.store().readers().acquire().await?;
        let link = links::look(&mut *db, &hash, self.now()).await?;
        links::check_origin(&mut db, &hash).await?;
        Ok(link)
    }

    pub(crate) async fn link_view(&self, link: Link) -> Result<LinkView, Error> {
        // A person who was just added on the console may be missing from the snapshot; they have no password yet.
        if link.person.is_some_and(|id| self.snapshot().people.iter().all(|p| p.id != id)) {
            self.up_to_date().await?;
        }
        let snapshot = self.snapshot();
        let person = link.person.and_then(|id| snapshot.people.iter().find(|p| p.id == id));
        // Signing requires a password, so a person without one chooses it with the first link.
        let wants_password = link.kind != links::LinkKind::SignIn || person.is_some_and(|p| !p.ready);
        let (name, login) = match person {
            Some(p) => (p.name.clone(), p.login.clone()),
            None => (link.name, link.login),
        };
        Ok(LinkView { kind: link.kind.slug().to_owned(), name, login, wants_password })
    }
}
