//! Accepting gates, attesting and waiving items.

use domain::action::Action;
use domain::choice::AttestationChoice;
use domain::facts::{Acceptance, Actor, Attestation, Waiver};
use domain::item::{ItemState, Proof};
use domain::policy;
use domain::time::{DAY_MS, Millis, human_span};

use super::address::address;
use super::{Ctx, said};
use crate::Engine;
use crate::assessment::{Assessment, all, when};
use crate::error::{Error, FormField};
use crate::view::{Done, Permission};
use store::audit::AuditAction;
use store::run_follow_ups::{self, FollowUpKind};
use store::{acceptances, attestations, releases, waivers};

impl Engine {
    /// Accepts a gate. `digest` is the one that the page showed: if the gate has changed since, it must be reviewed
    /// first.
    pub async fn accept_gate(&self, ctx: &Ctx, gate: &str, digest: &str, note: &str) -> Result<Done, Error> {
        let note = said(FormField::Note, note, "a note on what was accepted", 2_000)?;
        let _turn = self.in_turn().await?;
        let assessment = self.assessment();
        let shown = assessment.judgement.gate(gate).is_some_and(|g| g.digest == digest);
        let allowed = all([
            assessment.offer_accept(&ctx.actor, gate),
            when(shown, || {
                "The gate has changed since this page was shown. Review it and try again.".to_owned()
            }),
        ]);
        let release = assessment.release().cloned();
        let done = self
            .execute(ctx, AuditAction::GateAccept, gate, &[digest, &note], allowed, async |begun| {
                let release = release.ok_or_else(|| Error::refused("No release is open yet."))?;
                let word = Acceptance {
                    id: 0,
                    gate: gate.to_owned(),
                    release: release.id,
                    digest: digest.to_owned(),
                    by: ctx.actor.id,
                    by_name: ctx.actor.name.clone(),
                    note: note.clone(),
                    at: self.now(),
                };
                let point = (assessment.stack.rollback_gate() == Some(gate)
                    && release.deployed_at.is_some()
                    && release.rollback_point_at.is_none())
                .then(|| releases::ReleaseEvent {
                    id: 0,
                    release: release.id,
                    what: releases::What::RollbackPoint,
                    by: ctx.actor.id,
                    by_name: ctx.actor.name.clone(),
                    at: self.now(),
                    run: None,
                    note: format!("gate {gate} accepted"),
                });
                let note_on_target =
                    if point.is_some() { " This release is now a rollback target." } else { "" };
                let done = Done {
                    to: format!("/gates/{gate}"),
                    said: format!("Gate {gate} is accepted.{note_on_target}"),
                };
                // A rollback must name the migrations since its target, and steps may have migrated since the deploy.
                let brought_up = assessment.snapshot.runs.on_stack.as_ref();
                let listed_for = brought_up
                    .filter(|run| {
                        point.is_some()
                            && assessment.stack.migrations.is_some()
                            && run.release == Some(release.id)
                    })
                    .map(|run| run.id);
                let now = self.now();
                self.store_done(begun, done, note.clone(), move |tx| {
                    Box::pin(async move {
                        acceptances::add(&mut *tx, &word).await?;
                        if let Some(point) = point {
                            releases::record(&mut *tx, &point).await?;
                        }
                        if let Some(run) = listed_for {
                            run_follow_ups::add(tx, run, FollowUpKind::MigrationList, now).await?;
                        }
                        Ok(())
                    })
                })
                .await
            })
            .await?;
        self.carry_out_follow_ups();
        Ok(done)
    }

    /// Attests an item, or withdraws the attestation. `shown` is the number of the last attestation
    /// that the page showed, 0 for none: an attestation that changed since is not replaced without being seen.
    #[expect(clippy::too_many_arguments, reason = "a form's fields are the arguments, one each")]
    pub async fn attest(
        &self,
        ctx: &Ctx,
        item: &str,
        text_digest: &str,
        choice: AttestationChoice,
        note: &str,
        link: &str,
        shown: i64,
    ) -> Result<Done, Error> {
        let note = said(FormField::Note, note, "what you have verified", 2_000)?;
        let link = address(link).map_err(|e| e.in_field(FormField::Link))?;
        let _turn = self.in_turn().await?;
        let assessment = self.assessment();
        let state = assessment.find_item(item)?;
        let gate = state.item.gate.clone().unwrap_or_default();
        let allowed = all([
            assessment.offer_attest(&ctx.actor, &gate),
            when(state.item.digest == text_digest, || {
                "The text of this criterion has changed since this page was shown. Review it and try again."
                    .to_owned()
            }),
            when(state.takes_word(), || "Checks decide this criterion. It cannot be attested.".to_owned()),
            when(state.last_word().map_or(0, |w| w.id) == shown, || {
                let now = state.last_word().map_or_else(String::new, |w| {
                    let did = if w.holds { "attested it" } else { "withdrew the attestation" };
                    format!(": {} {did}, “{}”", w.by_name, w.note)
                });
                format!(
                    "The attestation of {item} has changed since this page was shown{now}. Review it and try again."
                )
            }),
        ]);
        let release = assessment.release().map(|r| r.id);
        let holds = choice == AttestationChoice::Attest;
        let params = [text_digest, if holds { "1" } else { "0" }, &note, &link];
        let action = if holds { AuditAction::ItemAttest } else { AuditAction::ItemAttestWithdraw };
        self.execute(ctx, action, item, &params, allowed, async |begun| {
            let word = Attestation {
                id: 0,
                item: item.to_owned(),
                text_digest: text_digest.to_owned(),
                release: release.ok_or_else(|| Error::refused("No release is open yet."))?,
                by: ctx.actor.id,
                by_name: ctx.actor.name.clone(),
                note: note.clone(),
                link: link.clone(),
                at: self.now(),
                holds,
            };
            let said = if holds {
                format!("{item} is attested.")
            } else {
                format!("The attestation of {item} is withdrawn.")
            };
            let done = Done { to: home_of(&assessment, state), said };
            self.store_done(begun, done, note.clone(), move |tx| {
                Box::pin(async move { attestations::add(tx, &word).await.map(|_| ()) })
            })
            .await
        })
        .await
    }

    /// Waives an item until the end of a day (`YYYY-MM-DD`, UTC).
    pub async fn waive(
        &self,
        ctx: &Ctx,
        item: &str,
        text_digest: &str,
        reason: &str,
        until: &str,
        password: &str,
    ) -> Result<Done, Error> {
        let reason = said(FormField::Reason, reason, "the reason", 2_000)?;
        let now = self.now();
        let assessment = self.assessment();
        let longest = assessment.stack.rules.waiver_longest();
        let end = end_of_day(until, now, longest).map_err(|e| e.in_field(FormField::Until))?;
        let state = assessment.find_item(item)?;
        let before = self.offer_waiver(&assessment, &ctx.actor, state, text_digest).await;
        if before.reason().is_none() {
            self.confirm_password(ctx, password, "nothing was waived").await?;
        }
        // An action that was refused before the password prompt stays refused.
        let _turn = self.in_turn().await?;
        let assessment = self.assessment();
        let state = assessment.find_item(item)?;
        let allowed = all([before, self.offer_waiver(&assessment, &ctx.actor, state, text_digest).await]);
        let params = [text_digest, &reason, until];
        self.execute(ctx, AuditAction::ItemWaive, item, &params, allowed, async |begun| {
            let waiver = Waiver {
                id: 0,
                item: item.to_owned(),
                text_digest: text_digest.to_owned(),
                by: ctx.actor.id,
                by_name: ctx.actor.name.clone(),
                reason: reason.clone(),
                at: now,
                until: end,
                holds: true,
            };
            let done = Done {
                to: home_of(&assessment, state),
                said: format!("{item} is waived until the end of {until}."),
            };
            self.store_done(begun, done, format!("until {until}: {reason}"), move |tx| {
                Box::pin(async move { waivers::add(tx, &waiver).await.map(|_| ()) })
            })
            .await
        })
        .await
    }

    /// Ends the waiver with the number `waiver` early. A waiver that was added since is not ended.
    pub async fn end_waiver(&self, ctx: &Ctx, item: &str, waiver: i64) -> Result<Done, Error> {
        let _turn = self.in_turn().await?;
        let assessment = self.assessment();
        let state = assessment.find_item(item)?;
        let allowed = all([
            assessment.may(&ctx.actor, Action::EndWaiver),
            match &state.waiver {
                None => Permission::Denied("This criterion has no active waiver.".to_owned()),
                Some(now) => when(now.id == waiver, || {
                    format!(
                        "The waiver has changed since this page was shown: it is now by {}, until the end of {}. Review it and try again.",
                        now.by_name,
                        now.last_day()
                    )
                }),
            },
        ]);
        self.execute(ctx, AuditAction::ItemWaiveEnd, item, &[&waiver.to_string()], allowed, async |begun| {
            let now = self.now();
            let waiver = Waiver {
                id: 0,
                item: item.to_owned(),
                text_digest: state.item.digest.clone(),
                by: ctx.actor.id,
                by_name: ctx.actor.name.clone(),
                reason: "ended early".to_owned(),
                at: now,
                until: now,
                holds: false,
            };
            let done =
                Done { to: home_of(&assessment, state), said: format!("The waiver of {item} has ended.") };
            self.store_done(begun, done, String::new(), move |tx| {
                Box::pin(async move { waivers::add(tx, &waiver).await.map(|_| ()) })
            })
            .await
        })
        .await
    }
}

impl Engine {
    /// Whether this person may waive the item as it was shown.
    async fn offer_waiver(
        &self,
        assessment: &Assessment,
        actor: &Actor,
        state: &ItemState,
        text_digest: &str,
    ) -> Permission {
        all([
            assessment.offer_waive(actor),
            assessment.did_not_run(actor, state),
            self.does_not_run(assessment, actor, state).await,
            when(state.item.digest == text_digest, || {
                "The text of this criterion has changed since this page was shown. Review it and try again."
                    .to_owned()
            }),
            when(!matches!(state.item.proof, Proof::GatesAccepted | Proof::SignOffs), || {
                "Gates and sign-offs cannot be waived.".to_owned()
            }),
            match &state.waiver {
                None => Permission::Allowed,
                Some(now) => Permission::Denied(format!(
                    "{} has already waived this criterion until the end of {}. End that waiver first.",
                    now.by_name,
                    now.last_day()
                )),
            },
        ])
    }

    /// Whether this person is not running one of the checks that a waiver of the item would waive: the result of such
    /// a run counts as theirs once it has ended, see [`Assessment::did_not_run`].
    async fn does_not_run(&self, assessment: &Assessment, actor: &Actor, item: &ItemState) -> Permission {
        for run in assessment.snapshot.running().into_iter().filter(|run| run.by == actor.id) {
            let mut checks = self.checks_of(run.id).await.into_iter();
            if let Some(check) = checks.find(|check| item.checks.iter().any(|c| c.check == *check)) {
                return Permission::Denied(format!(
                    "You are running the check “{check}” (run {}). The person who runs a check cannot waive its \
                     result. Ask another person with the role {}.",
                    run.id,
                    policy::who_may(Action::Waive)
                ));
            }
        }
        Permission::Allowed
    }
}

impl Assessment {
    fn find_item(&self, id: &str) -> Result<&ItemState, Error> {
        self.judgement.item(id).ok_or_else(|| Error::not_found(format!("Criterion {id}")))
    }
}

/// The page that shows an item.
fn home_of(assessment: &Assessment, state: &ItemState) -> String {
    match &state.item.gate {
        Some(gate) if assessment.judgement.gate(gate).is_some_and(|g| !g.is_decision) => {
            format!("/gates/{gate}#{}", state.item.id)
        }
        _ => format!("/sign-offs#{}", state.item.id),
    }
}

/// The end of a day given as `YYYY-MM-DD`. It must be in the future, by at most `longest` milliseconds plus the rest
/// of that day.
fn end_of_day(day: &str, now: Millis, longest: u64) -> Result<Millis, Error> {
    let wrong = || Error::invalid("Please enter the day on which the waiver expires, such as 2026-03-01.");
    let end = Millis::start_of_day(day.trim()).ok_or_else(wrong)?.plus(DAY_MS);
    if end <= now {
        return Err(Error::invalid("That day is in the past. Choose today or a later day."));
    }
    if end.since(now) > longest.saturating_add(DAY_MS) {
        let last = now.plus(longest).date();
        let longest = human_span(longest);
        return Err(Error::invalid(format!("A waiver can last at most {longest}: until {last}.")));
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_ends_in_the_future_and_within_a_year() {
        let now = Millis(1_709_164_800_000); // 2024-02-29
        let year = domain::rules::WAIVER_LONGEST_MS;
        assert_eq!(end_of_day("2024-02-29", now, year).unwrap(), Millis(1_709_251_200_000));
        for bad in ["2024-02-28", "2025-06-01", "2024-02-30", "soon", ""] {
            assert!(end_of_day(bad, now, year).is_err(), "{bad}");
        }
        assert!(end_of_day("2024-03-07", now, 7 * DAY_MS).is_ok());
        let far = end_of_day("2024-03-08", now, 7 * DAY_MS).unwrap_err();
        assert!(far.public().contains("at most 7 d: until 2024-03-07"), "{far}");
    }
}
