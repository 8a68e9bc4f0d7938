//! Sign-offs and decisions. Both require the password again: a release is signed by a person, not by an open tab.

use domain::facts::{Choice, Decision, SignOff};
use domain::role::Role;

use super::{Ctx, said};
use crate::Engine;
use crate::assessment::{Assessment, all, when};
use crate::error::{Error, FormField};
use crate::view::{Done, Permission};
use store::audit::AuditAction;
use store::{decisions, sign_offs};

impl Engine {
    /// Signs the current release for a role. `digest` is that of the evidence shown. A No-Go has its reason in
    /// `comment`, and the condition for a Go in `would_change`. `shown` is the number of the role's sign-off that the
    /// page showed, 0 for none: a sign-off that was given since is not replaced without being seen.
    #[expect(clippy::too_many_arguments, reason = "a form's fields are the arguments, one each")]
    pub async fn sign_off(
        &self,
        ctx: &Ctx,
        role: Role,
        choice: Choice,
        comment: &str,
        would_change: &str,
        digest: &str,
        shown: i64,
        password: &str,
    ) -> Result<Done, Error> {
        let (comment, would_change) = match choice {
            Choice::NoGo => (
                said(FormField::Comment, comment, "the reason for the No-Go", 2_000)?,
                said(FormField::Conditions, would_change, "what would change the No-Go", 2_000)?,
            ),
            // A Go has no `would_change`.
            Choice::Go => (comment.trim().chars().take(2_000).collect(), String::new()),
        };
        let offer = |assessment: &Assessment| {
            all([
                assessment.offer_sign(&ctx.actor, role, choice),
                when(assessment.judgement.digest == digest, || {
                    "The evidence has changed since this page was shown. Review it before you sign."
                        .to_owned()
                }),
                assessment.shows_sign_off(role, shown),
            ])
        };
        let before = offer(&self.assessment());
        if before.reason().is_none() {
            self.confirm_password(ctx, password, "nothing was signed").await?;
        }
        let params = [choice.slug(), &comment, &would_change, digest];
        // Checking the password takes a moment, so the rules are checked again, and no other action runs until the
        // sign-off is stored. A sign-off that was refused before the password check stays refused.
        let _turn = self.in_turn().await?;
        let allowed = all([before, offer(&self.assessment())]);
        self.execute(ctx, AuditAction::ReleaseSign, role.slug(), &params, allowed, async |begun| {
            // New evidence may have arrived since: only the evidence that was shown may be signed.
            let now = self.assessment();
            let release = now.release().map(|r| r.id);
            if offer(&now).reason().is_some() {
                return Err(Error::conflict(
                    "The evidence or a sign-off changed while you were signing. Nothing was signed. Review the page and sign again.",
                ));
            }
            let word = SignOff {
                id: 0,
                release: release.ok_or_else(|| Error::refused("No release is open yet."))?,
                role,
                by: ctx.actor.id,
                by_name: ctx.actor.name.clone(),
                choice,
                comment: comment.clone(),
                would_change: would_change.clone(),
                digest: digest.to_owned(),
                parts: now.release().map(|r| r.parts.clone()),
                shown: now.judgement.shown.clone(),
                at: self.now(),
            };
            let done =
                Done { to: "/sign-offs".to_owned(), said: format!("{role} signed {}.", choice.label()) };
            let detail = match choice {
                Choice::Go => format!("Go {comment}"),
                Choice::NoGo => format!("No-Go {comment} (would change: {would_change})"),
            };
            self.store_done(begun, done, detail, move |tx| {
                Box::pin(async move { sign_offs::add(tx, &word).await.map(|_| ()) })
            })
            .await
        })
        .await
    }

    /// Records the Product Owner's decision. `shown` is the number of the decision that the page showed, 0 for none.
    pub async fn decide(
        &self,
        ctx: &Ctx,
        choice: Choice,
        note: &str,
        digest: &str,
        shown: i64,
        password: &str,
    ) -> Result<Done, Error> {
        let note = said(FormField::Note, note, "the reason for the decision", 2_000)?;
        let offer = |assessment: &Assessment| {
            all([
                assessment.offer_decide(&ctx.actor, choice),
                when(assessment.judgement.digest == digest, || {
                    "The evidence has changed since this page was shown. Review it before you decide."
                        .to_owned()
                }),
                assessment.shows_decision(shown),
            ])
        };
        let before = offer(&self.assessment());
        if before.reason().is_none() {
            self.confirm_password(ctx, password, "no decision was recorded").await?;
            self.verify_before_deciding().await?;
        }
        let params = [choice.slug(), &note, digest];
        let _turn = self.in_turn().await?;
        let allowed = all([before, offer(&self.assessment())]);
        self.execute(ctx, AuditAction::ReleaseDecide, choice.slug(), &params, allowed, async |begun| {
            let assessment = self.assessment();
            let release = assessment.release().map(|r| r.id);
            if offer(&assessment).reason().is_some() {
                return Err(Error::conflict(
                    "The verdict changed while you were deciding. No decision was recorded. Review the page and decide again.",
                ));
            }
            let now_shown = &assessment.judgement;
            let word = Decision {
                id: 0,
                release: release.ok_or_else(|| Error::refused("No release is open yet."))?,
                choice,
                note: note.clone(),
                digest: digest.to_owned(),
                verdict: now_shown.verdict_digest.clone(),
                shown: now_shown.shown.clone(),
                by: ctx.actor.id,
                by_name: ctx.actor.name.clone(),
                at: self.now(),
            };
            let done = Done { to: "/".to_owned(), said: format!("{} is recorded.", choice.label()) };
            self.store_done(begun, done, note.clone(), move |tx| {
                Box::pin(async move { decisions::add(tx, &word).await.map(|_| ()) })
            })
            .await
        })
        .await
    }
}

impl Assessment {
    /// Whether the role's last sign-off is the one that was shown.
    fn shows_sign_off(&self, role: Role, shown: i64) -> Permission {
        let views = &self.judgement.sign_offs;
        let last = views.iter().find(|s| s.role == Some(role)).and_then(|s| s.last.as_ref());
        when(last.map_or(0, |s| s.id) == shown, || {
            let now =
                last.map_or_else(String::new, |s| format!(": {} signed {}", s.by_name, s.choice.label()));
            format!(
                "The sign-off of {role} has changed since this page was shown{now}. Review it and sign again."
            )
        })
    }

    /// Whether the last decision is the one that was shown.
    fn shows_decision(&self, shown: i64) -> Permission {
        let last = self.judgement.last_decision();
        when(last.map_or(0, |d| d.id) == shown, || {
            let now =
                last.map_or_else(String::new, |d| format!(": {} recorded {}", d.by_name, d.choice.label()));
            format!("The decision has changed since this page was shown{now}. Review it and decide again.")
        })
    }
}
