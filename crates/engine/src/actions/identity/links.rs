//! One-time links, and the administration of people.

use domain::role::Role;
use domain::time::Millis;

use super::sign_in::{SOMEBODY, SignedIn};
use crate::Engine;
use crate::actions::Ctx;
use crate::error::{Error, sentence};
use crate::view::{Done, LinkView};
use auth::passwords::check_rule;
use auth::tokens::Token;
use store::audit::{self, AuditAction, Event, Outcome};
use store::links::{self, Link, LinkError, LinkKind};
use store::people::{self, PersonError};
use store::sessions;

/// How long a one-time link can be used, milliseconds.
pub(super) const LINK_LIFE_MS: u64 = 7 * 86_400_000;
/// Why the links of a person were withdrawn who lost the role Admin.
pub(super) const NO_LONGER_ADMIN: &str = "the admin who made it is no longer an admin";

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
    /// Uses a one-time link: adds the person if they do not exist yet, and stores the password if the link requires
    /// one.
    pub async fn use_link(
        &self,
        token: &str,
        name: &str,
        login: &str,
        password: &str,
        ip: &str,
    ) -> Result<SignedIn, Error> {
        match self.try_link(token, name, login, password, ip).await {
            Err(LinkUse::Link(LinkError::NotVouched { link })) => {
                self.note_forged_link(link).await;
                Err(LinkError::NotVouched { link }.into())
            }
            result => result.map_err(Error::from),
        }
    }

    /// Records the attempt to use a link that does not match the audit log.
    async fn note_forged_link(&self, link: i64) {
        tracing::error!(link, "a one-time link was refused: its row does not match the audit log");
        let mut event = Event::new(self.now(), None, AuditAction::LinkUse, format!("link {link}"))
            .outcome(Outcome::Refused)
            .detail("this link does not match the audit log: its row was written outside of Stagegate");
        event.actor_name = SOMEBODY.to_owned();
        if let Err(error) = self.append_quietly(event).await {
            tracing::error!(?error, "a refused link could not be recorded");
        }
    }

    async fn try_link(
        &self,
        token: &str,
        name: &str,
        login: &str,
        password: &str,
        ip: &str,
    ) -> Result<SignedIn, LinkUse> {
        let link = self.open_link(token).await?;
        let LinkView { kind, name: made_for, login: made_login, wants_password } =
            self.link_view(link).await?;
        let (name, login) = if kind == LinkKind::Setup.slug() {
            (name.trim().to_owned(), people::normal_login(login))
        } else {
            (made_for, made_login)
        };
        let hash = if wants_password {
            check_rule(password, &login, &name).map_err(|w| Error::invalid(sentence(&w.to_string())))?;
            Some(self.passwords().hash(password.to_owned()).await.map_err(Error::from)?)
        } else {
            None
        };
        let (token_hash, now) = (token_hash(token), self.now());
        let (person, hash) = self
            .store()
            .write(move |tx| {
                Box::pin(async move {
                    let link = links::consume(&mut *tx, &token_hash, now).await?;
                    // The setup link works only as long as there are no people.
                    if link.kind == LinkKind::Setup && !people::list(&mut *tx).await?.is_empty() {
                        return Err(LinkUse::Link(LinkError::Unknown));
                    }
                    let id = match link.person {
                        Some(id) => id,
                        None => {
                            let roles = match link.kind {
                                LinkKind::Setup => vec![Role::Admin],
                                _ => link.roles.clone(),
                            };
                            match people::create(&mut *tx, &name, &login, &roles, now).await {
                                // The login was added in another way since; the invited person did not choose it.
                                Err(PersonError::LoginTaken(login)) if link.kind == LinkKind::Invite => {
                                    return Err(LinkUse::Link(LinkError::LoginTaken(login)));
                                }
                                created => created?,
                            }
                        }
                    };
                    if let Some(hash) = hash {
                        people::set_password(&mut *tx, id, &hash).await?;
                        sessions::end_all(&mut *tx, id, None).await?;
                    }
                    let person = people::by_id(&mut *tx, id).await?;
                    let credentials = match &person {
                        Some(person) => people::credentials(&mut *tx, &person.login).await?,
                        None => None,
                    };
                    let actor = person.as_ref().map(|p| p.actor());
                    let event = Event::new(now, actor.as_ref(), AuditAction::LinkUse, link.kind.slug())
                        .outcome(Outcome::Done);
                    audit::append(tx, &event).await?;
                    Ok::<_, LinkUse>((person, credentials.and_then(|c| c.password_hash)))
                })
            })
            .await?;
        self.refresh_or_later().await;
        if let Some(person) = &person {
            self.note_familiar(person.id, ip);
        }
        let may = person.filter(|person| !person.disabled);
        let signed_in = may.map(|person| SignedIn::new(person.actor(), hash.as_deref()));
        signed_in.ok_or_else(|| Error::refused("This person can no longer sign in.").into())
    }

    /// Changes the person's own password; all their sessions end. The server renews the current session with the
    /// second value that this returns.
    pub async fn change_password(&self, ctx: &Ctx, old: &str, new: &str) -> Result<(Done, SignedIn), Error> {
        let current = self.confirm_password(ctx, old, "your password was not changed").await?;
        let snapshot = self.snapshot();
        let me = snapshot.people.iter().find(|p| p.id == ctx.actor.id).ok_or_else(Error::signed_out)?;
        check_rule(new, &me.login, &me.name).map_err(|w| Error::invalid(sentence(&w.to_string())))?;
        let hash = self.passwords().hash(new.to_owned()).await?;
        let signed_in = SignedIn::new(ctx.actor.clone(), Some(&hash));
        let allowed = crate::view::Permission::Allowed;
        let done = self.execute(ctx, AuditAction::PasswordChange, &me.login, &[], allowed, async |begun| {
            let id = ctx.actor.id;
            let done = Done { to: "/account".to_owned(), said: "Your password has been changed.".to_owned() };
            self.try_store_done(begun, done, String::new(), move |tx| {
                Box::pin(async move {
                    // A reset may have removed the password that was confirmed.
                    if !people::replace_password(&mut *tx, id, &current, &hash).await? {
                        return Err(PersonError::PasswordChanged);
                    }
                    // The current session too: the server gives it a new id in the same request.
                    sessions::end_all(tx, id, None).await?;
                    Ok(())
                })
            })
            .await
        });
        Ok((done.await?, signed_in))
    }

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
pub(crate) fn token_hash(token: &str) -> String {
    Token::parse(token).map(|t| t.hash()).unwrap_or_default()
}

pub(super) fn parse_roles(words: &[String]) -> Result<Vec<Role>, Error> {
    words
        .iter()
        .map(|w| w.parse().map_err(|e: domain::role::UnknownRole| Error::invalid(e.to_string())))
        .collect()
}
