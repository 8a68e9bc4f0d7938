//! People, and one-time links before they are used.

use domain::facts::Actor;
use domain::paging::Cursor;

use crate::Engine;
use crate::error::Error;
use crate::view::{InvitationsPage, LinkView, PersonView};
use store::links;
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
}
