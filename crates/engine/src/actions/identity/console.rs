//! What the command line and the start of the server do with people. The host's administrator needs no password.

use domain::role::Role;

use super::links::{LINK_LIFE_MS, NO_LONGER_ADMIN, reset_link};
use crate::Engine;
use crate::error::Error;
use auth::tokens::Token;
use store::audit::{self, AuditAction, Event, Outcome};
use store::links::{self, Link, LinkKind};
use store::people::{self, PersonError};
use store::sessions;

/// A person to be added by the command line or the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPerson {
    /// Name shown to people.
    pub name: String,
    /// Name typed at sign-in.
    pub login: String,
    /// The roles.
    pub roles: Vec<Role>,
}

impl Engine {
    /// Whether there are no people yet.
    pub fn is_new(&self) -> bool {
        self.snapshot().people.is_empty()
    }

    /// Creates a one-time link for the first admin; earlier ones stop working. Returns its path.
    pub async fn setup_link(&self) -> Result<String, Error> {
        let link = Link {
            kind: LinkKind::Setup,
            person: None,
            name: String::new(),
            login: String::new(),
            roles: vec![],
            made_by: None,
            expires_at: self.now().plus(LINK_LIFE_MS),
        };
        self.make_link(link, AuditAction::LinkSetup).await
    }

    /// Adds a person from the command line or for the demo. Returns the path of a one-time link.
    pub async fn add_person(&self, new: &NewPerson) -> Result<String, Error> {
        let (person, now) = (new.clone(), self.now());
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    people::create(&mut *tx, &person.name, &person.login, &person.roles, now).await?;
                    let because = "the person was added from the command line";
                    links::withdraw_invitations_to(&mut *tx, &person.login, because, now).await?;
                    let event = Event::new(now, None, AuditAction::PersonAdd, &person.login)
                        .outcome(Outcome::Done)
                        .detail("from the console");
                    audit::append(tx, &event).await?;
                    Ok::<_, PersonError>(())
                })
            })
            .await?;
        self.refresh_or_later().await;
        self.person_link(&new.login, LinkKind::SignIn).await
    }

    /// The path of a new one-time link for an existing person: to sign in, or to choose a new password. Their earlier
    /// links stop working.
    pub async fn person_link(&self, login: &str, kind: LinkKind) -> Result<String, Error> {
        let login = people::normal_login(login);
        let who = people::by_login(self.store().readers(), &login)
            .await?
            .ok_or_else(|| Error::not_found(format!("The login “{login}”")))?;
        self.make_link(reset_link(&who, kind, None, self.now()), AuditAction::LinkMake).await
    }

    /// Sets roles from the command line.
    pub async fn set_roles_from_console(&self, login: &str, roles: &[Role]) -> Result<(), Error> {
        let login = people::normal_login(login);
        let snapshot = self.snapshot();
        let person = snapshot
            .people
            .iter()
            .find(|p| p.login == login)
            .ok_or_else(|| Error::not_found(format!("The login “{login}”")))?;
        let (id, was_admin) = (person.id, person.roles.contains(&Role::Admin));
        let (roles, now) = (roles.to_vec(), self.now());
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    people::set_roles(&mut *tx, id, &roles).await?;
                    if was_admin {
                        people::keep_an_admin(&mut *tx).await?;
                    }
                    if !roles.contains(&Role::Admin) {
                        links::withdraw_made_by(&mut *tx, id, NO_LONGER_ADMIN, now).await?;
                    }
                    let slugs: Vec<&str> = roles.iter().map(|r| r.slug()).collect();
                    let event = Event::new(now, None, AuditAction::PersonRoles, &login)
                        .outcome(Outcome::Done)
                        .detail(format!("from the console: {}", slugs.join(", ")));
                    audit::append(tx, &event).await?;
                    Ok::<_, PersonError>(())
                })
            })
            .await?;
        self.refresh_or_later().await;
        Ok(())
    }

    async fn make_link(&self, link: Link, action: AuditAction) -> Result<String, Error> {
        let token = Token::generate().map_err(Error::internal)?;
        let (hash, now) = (token.hash(), self.now());
        self.store()
            .write(move |tx| {
                Box::pin(async move {
                    if let (LinkKind::Reset, Some(person)) = (link.kind, link.person) {
                        people::clear_password(&mut *tx, person).await?;
                        sessions::end_all(&mut *tx, person, None).await?;
                    }
                    match link.person {
                        Some(person) => links::withdraw_of(&mut *tx, person).await?,
                        None => links::withdraw_setup(&mut *tx).await?,
                    };
                    links::create(&mut *tx, &hash, &link, now).await?;
                    let event = Event::new(now, None, action, &link.login).outcome(Outcome::Done);
                    audit::append(tx, &event).await.map(|_| ())
                })
            })
            .await
            .map_err(|e: store::StoreError| Error::from(e))?;
        Ok(format!("/link/{}", token.reveal()))
    }
}
