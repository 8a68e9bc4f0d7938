//! What admins do with accounts: invitations, roles, password resets, access. Each request names the desired end
//! state, so two admins who press the same button get the same result. Each requires the password; once it is
//! confirmed, the rules are checked again, one action after another. Only withdrawing an invitation requires no
//! password: it just removes something.

use std::sync::Arc;

use domain::action::Action;
use domain::facts::Actor;
use domain::policy;
use domain::role::Role;

use super::links::{LINK_LIFE_MS, NO_LONGER_ADMIN, parse_roles, reset_link};
use crate::Engine;
use crate::actions::{Begun, Ctx};
use crate::assessment::{Assessment, all, when};
use crate::error::Error;
use crate::view::{Done, Permission};
use auth::tokens::Token;
use store::StoreError;
use store::audit::AuditAction;
use store::invitations::{self, InvitationError, Pending};
use store::links::{self, InvitationState, Link, LinkKind};
use store::people::{self, Person, PersonError, role_names};
use store::sessions;

/// Whether a person may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// They may.
    Given,
    /// They may not.
    Ended,
}

impl Access {
    /// The value in forms.
    pub fn slug(self) -> &'static str {
        match self {
            Access::Given => "given",
            Access::Ended => "ended",
        }
    }

    /// Reads [`Access::slug`] back.
    pub fn from_slug(slug: &str) -> Option<Access> {
        [Access::Given, Access::Ended].into_iter().find(|access| access.slug() == slug)
    }
}

/// A one-time link to be shown once.
struct NewLink {
    link: Link,
    /// For the audit log.
    detail: String,
    /// Text shown after the link.
    note: String,
    /// The instruction for a repeated request.
    again: &'static str,
    /// The invitation that this one replaces.
    replaces: Option<Pending>,
}

impl Engine {
    /// Confirms the password of an admin. A person who may not do `action` is refused without a password check, even if
    /// their roles change meanwhile.
    async fn ask_admin(
        &self,
        ctx: &Ctx,
        action: Action,
        password: &str,
        not_done: &str,
    ) -> Result<Permission, Error> {
        let may = self.actor(ctx.actor.id).is_some_and(|me| policy::may(action, &me.roles));
        if may {
            self.confirm_password(ctx, password, not_done).await?;
        }
        Ok(when(may, || format!("Only {} can do this.", policy::who_may(action))))
    }

    /// The facts for an admin's action, and the admin with their current roles: they may have lost roles since the
    /// request came in. The caller must hold the turn ([`Engine::in_turn`]).
    fn admin_facts(&self, ctx: &Ctx) -> (Arc<Assessment>, Actor) {
        let assessment = self.assessment();
        let without_roles = || Actor { roles: vec![], ..ctx.actor.clone() };
        let me = assessment.snapshot.actor(ctx.actor.id).unwrap_or_else(without_roles);
        (assessment, me)
    }

    /// Invites a person: the answer contains a one-time link, shown once. An open invitation for the same login is
    /// replaced, unless it was made after this request arrived.
    pub async fn invite(
        &self,
        ctx: &Ctx,
        name: &str,
        login: &str,
        roles: &[String],
        password: &str,
    ) -> Result<Done, Error> {
        let roles = parse_roles(roles)?;
        let (name, login) = (name.trim().to_owned(), people::normal_login(login));
        if [&name, &login].iter().any(|text| text.is_empty() || text.chars().count() > 200) {
            return Err(Error::invalid("The name and the login must each have 1 to 200 characters."));
        }
        let replaces = invitations::pending(self.store().readers(), &login).await?;
        let asked = self.ask_admin(ctx, Action::Invite, password, "no invitation was created").await?;
        let _turn = self.in_turn().await?;
        let (assessment, me) = self.admin_facts(ctx);
        let taken = assessment.snapshot.people.iter().any(|p| p.login == login);
        let allowed = all([
            asked,
            assessment.may(&me, Action::Invite),
            when(!taken, || format!("The login “{login}” is taken.")),
        ]);
        let ends_one = replaces.as_ref().is_some_and(|pending| pending.expires_at > self.now());
        let slugs: Vec<&str> = roles.iter().map(|r| r.slug()).collect();
        let params = [name.as_str(), &slugs.join(",")];
        self.execute(ctx, AuditAction::PersonInvite, &login, &params, allowed, async |begun| {
            let new = NewLink {
                link: Link {
                    kind: LinkKind::Invite,
                    person: None,
                    name: name.clone(),
                    login: login.clone(),
                    roles: roles.clone(),
                    made_by: Some(ctx.actor.id),
                    expires_at: self.now().plus(LINK_LIFE_MS),
                },
                detail: format!("as {}", slugs.join(", ")),
                note: if ends_one { " The earlier invitation no longer works." } else { "" }.to_owned(),
                again: "To get a new link, invite the person again.",
                replaces,
            };
            self.give_link(begun, new).await
        })
        .await
    }

    /// Withdraws an invitation: its link no longer works.
    pub async fn withdraw_invitation(&self, ctx: &Ctx, invitation: &str) -> Result<Done, Error> {
        let _turn = self.in_turn().await?;
        let (assessment, me) = self.admin_facts(ctx);
        let found = {
            let mut db = self.store().readers().acquire().await.map_err(StoreError::from)?;
            links::invitation(&mut db, invitation, self.now()).await?
        };
        let found = found.ok_or_else(|| Error::not_found("This invitation"))?;
        let allowed = all([
            assessment.may(&me, Action::WithdrawInvitation),
            when(found.state != InvitationState::Joined, || {
                format!("{} has already joined. End their access instead.", found.name)
            }),
        ]);
        self.execute(
            ctx,
            AuditAction::PersonInviteWithdraw,
            &found.login,
            &[invitation],
            allowed,
            async |begun| {
                let done = Done {
                    to: "/people".to_owned(),
                    said: format!(
                        "The invitation for {} is withdrawn. Its link no longer works.",
                        found.name
                    ),
                };
                let (id, now) = (found.id.clone(), self.now());
                let because = format!("withdrawn by {}", ctx.actor.name);
                let (name, was_open) = (found.name.clone(), found.state == InvitationState::Open);
                self.try_store_done(begun, done, String::new(), move |tx| {
                    Box::pin(async move {
                        // The holder of the link does not wait for the turn: they may have just joined.
                        if !links::withdraw_invitation(tx, &id, &because, now).await? && was_open {
                            return Err(InvitationError::NotOpen(name));
                        }
                        Ok(())
                    })
                })
                .await
            },
        )
        .await
    }

    /// Creates a link with which a person can choose a new password. Their old password and sessions end now.
    pub async fn reset_person(&self, ctx: &Ctx, person: i64, password: &str) -> Result<Done, Error> {
        let asked = self.ask_admin(ctx, Action::ResetPerson, password, "the password was not reset").await?;
        let _turn = self.in_turn().await?;
        let (assessment, me) = self.admin_facts(ctx);
        let who = find(&assessment, person)?;
        let allowed = all([
            asked,
            assessment.may(&me, Action::ResetPerson),
            when(person != ctx.actor.id, || {
                "You cannot reset your own password. Change it on the Account page.".to_owned()
            }),
            when(!who.disabled, || format!("{} has no access. Give access first.", who.name)),
        ]);
        self.execute(ctx, AuditAction::PersonReset, &who.login, &[], allowed, async |begun| {
            let new = NewLink {
                link: reset_link(who, LinkKind::Reset, Some(ctx.actor.id), self.now()),
                detail: String::new(),
                note: " The old password no longer works.".to_owned(),
                again: "To get a new link, reset the password again.",
                replaces: None,
            };
            self.give_link(begun, new).await
        })
        .await
    }

    async fn give_link(&self, begun: Begun, new: NewLink) -> Result<Done, Error> {
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

    /// Sets the roles of a person to `roles`, if their roles are still those in `shown`. The last admin stays an admin.
    pub async fn set_roles(
        &self,
        ctx: &Ctx,
        person: i64,
        roles: &[String],
        shown: &[String],
        password: &str,
    ) -> Result<Done, Error> {
        let (roles, shown) = (in_order(parse_roles(roles)?), in_order(parse_roles(shown)?));
        let asked = self.ask_admin(ctx, Action::SetRoles, password, "no role was changed").await?;
        let _turn = self.in_turn().await?;
        let (assessment, me) = self.admin_facts(ctx);
        let who = find(&assessment, person)?;
        let now_held = who.roles.clone();
        let loses_admin = now_held.contains(&Role::Admin) && !roles.contains(&Role::Admin);
        let last = is_last_admin(&assessment, person) && !roles.contains(&Role::Admin);
        let allowed = all([
            asked,
            assessment.may(&me, Action::SetRoles),
            when(shown == now_held || roles == now_held, || {
                format!(
                    "The roles of {} have changed since this page was shown; they are now: {}. Nothing was saved. Check your choice and save again.",
                    who.name,
                    role_names(&now_held)
                )
            }),
            when(!last, || "This is the last admin. Give the Admin role to another person first.".to_owned()),
        ]);
        let (wanted, before) = (slugs(&roles), slugs(&now_held));
        let params = [wanted.as_str(), &slugs(&shown)];
        self.execute(ctx, AuditAction::PersonRoles, &who.login, &params, allowed, async |begun| {
            let done = Done {
                to: "/people".to_owned(),
                said: format!("Roles of {}: {}.", who.name, role_names(&roles)),
            };
            let (roles, now) = (roles.clone(), self.now());
            let detail = format!("{wanted} (before: {before})");
            self.try_store_done(begun, done, detail, move |tx| {
                Box::pin(async move {
                    people::replace_roles(&mut *tx, person, &now_held, &roles).await?;
                    if loses_admin {
                        links::withdraw_made_by(&mut *tx, person, NO_LONGER_ADMIN, now).await?;
                        // The command line does not wait for the turn: the other admin may have lost the role since.
                        people::keep_an_admin(tx).await?;
                    }
                    Ok::<_, PersonError>(())
                })
            })
            .await
        })
        .await
    }

    /// Ends or restores the access of a person, as `access` says. Nothing changes if they already have that access.
    pub async fn set_access(
        &self,
        ctx: &Ctx,
        person: i64,
        access: Access,
        password: &str,
    ) -> Result<Done, Error> {
        let asked = self.ask_admin(ctx, Action::DisablePerson, password, "access was not changed").await?;
        let _turn = self.in_turn().await?;
        let (assessment, me) = self.admin_facts(ctx);
        let who = find(&assessment, person)?;
        let disable = access == Access::Ended;
        let is_so = who.disabled == disable;
        let allowed = all([
            asked,
            assessment.may(&me, Action::DisablePerson),
            when(person != ctx.actor.id, || "You cannot end your own access.".to_owned()),
            when(!(disable && is_last_admin(&assessment, person)), || {
                "The access of the last admin cannot be ended. Give the Admin role to another person first."
                    .to_owned()
            }),
        ]);
        let action = if disable { AuditAction::PersonDisable } else { AuditAction::PersonEnable };
        self.execute(ctx, action, &who.login, &[], allowed, async |begun| {
            let state = match (disable, is_so) {
                (true, false) => "can no longer sign in",
                (true, true) => "already has no access; nothing was changed",
                (false, false) => "can sign in again",
                (false, true) => "already has access; nothing was changed",
            };
            let done = Done { to: "/people".to_owned(), said: format!("{} {state}.", who.name) };
            let detail = if is_so { "no change" } else { "" }.to_owned();
            let now = self.now();
            self.try_store_done(begun, done, detail, move |tx| {
                Box::pin(async move {
                    if is_so {
                        return Ok(());
                    }
                    people::set_disabled(&mut *tx, person, disable).await?;
                    links::withdraw_of(&mut *tx, person).await?;
                    links::withdraw_made_by(&mut *tx, person, NO_LONGER_ADMIN, now).await?;
                    sessions::end_all(&mut *tx, person, None).await?;
                    if disable {
                        people::keep_an_admin(tx).await?;
                    }
                    Ok::<_, PersonError>(())
                })
            })
            .await
        })
        .await
    }
}

fn find(assessment: &Assessment, person: i64) -> Result<&Person, Error> {
    assessment.snapshot.people.iter().find(|p| p.id == person).ok_or_else(|| Error::not_found("This person"))
}

fn is_last_admin(assessment: &Assessment, person: i64) -> bool {
    let admins = assessment.snapshot.holders(Role::Admin);
    admins.len() == 1 && admins[0].id == person
}

fn in_order(mut roles: Vec<Role>) -> Vec<Role> {
    roles.sort();
    roles.dedup();
    roles
}

fn slugs(roles: &[Role]) -> String {
    let slugs: Vec<&str> = roles.iter().map(|r| r.slug()).collect();
    if slugs.is_empty() { "none".to_owned() } else { slugs.join(", ") }
}
