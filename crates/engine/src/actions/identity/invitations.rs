//! Inviting people, and withdrawing invitations.

use super::links::{LINK_LIFE_MS, NewLink};
use super::people::parse_roles;
use crate::Engine;
use crate::actions::Ctx;
use crate::assessment::{all, when};
use crate::error::{Error, ErrorKind, FormField};
use crate::view::Done;
use domain::action::Action;
use store::StoreError;
use store::audit::AuditAction;
use store::invitations::{self, InvitationError};
use store::links::{self, InvitationState, Link, LinkKind};
use store::people;

impl Engine {
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
        let is_bad = |text: &str| text.is_empty() || text.chars().count() > 200;
        let bad = [(FormField::Name, &name), (FormField::Login, &login)];
        if let Some((field, _)) = bad.into_iter().find(|(_, text)| is_bad(text)) {
            return Err(
                Error::invalid("The name and the login must each have 1 to 200 characters.").in_field(field)
            );
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
        .map_err(|e| if taken && e.kind() == ErrorKind::Refused { e.in_field(FormField::Login) } else { e })
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
}
