//! What admins do with accounts: invitations, roles, password resets, access. Each request names the desired end
//! state, so two admins who press the same button get the same result. Each requires the password; once it is
//! confirmed, the rules are checked again, one action after another. Only withdrawing an invitation requires no
//! password: it just removes something.

use std::sync::Arc;

use domain::action::Action;
use domain::facts::Actor;
use domain::policy;
use domain::role::Role;

use super::links::{NO_LONGER_ADMIN, NewLink, reset_link};
use crate::Engine;
use crate::actions::Ctx;
use crate::assessment::{Assessment, all, when};
use crate::error::Error;
use crate::view::{Done, Permission};
use store::audit::AuditAction;
use store::links::{self, LinkKind};
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

impl Engine {
    /// Confirms the password of an admin. A person who may not do `action` is refused without a password check, even if
    /// their roles change meanwhile.
    pub(super) async fn ask_admin(
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
    pub(super) fn admin_facts(&self, ctx: &Ctx) -> (Arc<Assessment>, Actor) {
        let assessment = self.assessment();
        let without_roles = || Actor { roles: vec![], ..ctx.actor.clone() };
        let me = assessment.snapshot.actor(ctx.actor.id).unwrap_or_else(without_roles);
        (assessment, me)
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

pub(super) fn parse_roles(words: &[String]) -> Result<Vec<Role>, Error> {
    words
        .iter()
        .map(|w| w.parse().map_err(|e: domain::role::UnknownRole| Error::invalid(e.to_string())))
        .collect()
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
