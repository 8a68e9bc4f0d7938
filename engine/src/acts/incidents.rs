//! What people add to an incident: cause, follow-ups, and that one is done.

use domain::incident::{Note, NoteKind};

use super::{Ctx, said};
use crate::Engine;
use crate::error::Error;
use crate::judging::{all, when};
use crate::store::incidents::add_note;
use crate::view::Done;

impl Engine {
    /// Writes why it happened. The last cause counts; the ones before stay readable.
    pub async fn name_cause(&self, ctx: &Ctx, incident: i64, text: &str) -> Result<Done, Error> {
        let text = said(text, "the cause", 2_000)?;
        self.note_incident(ctx, incident, NoteKind::Cause, text, "incident.cause", "The cause is recorded.")
            .await
    }

    /// Adds something to be done.
    pub async fn add_follow_up(&self, ctx: &Ctx, incident: i64, text: &str) -> Result<Done, Error> {
        let text = said(text, "what is to be done", 500)?;
        let act = "incident.follow_up";
        self.note_incident(ctx, incident, NoteKind::FollowUp, text, act, "The follow-up is recorded.").await
    }

    /// Says that a follow-up is done.
    pub async fn finish_follow_up(&self, ctx: &Ctx, incident: i64, follow_up: i64) -> Result<Done, Error> {
        let kind = NoteKind::Done(follow_up);
        self.note_incident(ctx, incident, kind, String::new(), "incident.done", "Done.").await
    }

    async fn note_incident(
        &self,
        ctx: &Ctx,
        incident: i64,
        kind: NoteKind,
        text: String,
        act: &str,
        words: &str,
    ) -> Result<Done, Error> {
        let _turn = self.in_turn().await?;
        let judged = self.judged();
        let known = &judged.known;
        if !known.incidents.iter().any(|i| i.id == incident) {
            return Err(Error::not_found(format!("Incident {incident}")));
        }
        let of_this = || known.incident_notes.iter().filter(|n| n.incident == incident);
        let open = match kind {
            NoteKind::Done(id) => when(
                of_this().any(|n| n.id == id && n.kind == NoteKind::FollowUp)
                    && !of_this().any(|n| n.kind == kind),
                || "There is no such follow-up, or it is done already.".to_owned(),
            ),
            _ => crate::view::Offer::Yes,
        };
        let allowed = all([judged.may(&ctx.actor, "name_cause"), open]);
        let about = match kind {
            NoteKind::Done(id) => id.to_string(),
            _ => String::new(),
        };
        let subject = format!("incident {incident}");
        self.perform(ctx, act, &subject, &[&text, &about], allowed, async |begun| {
            let note = Note {
                id: 0,
                incident,
                kind,
                text: text.clone(),
                by: ctx.actor.id,
                by_name: ctx.actor.name.clone(),
                at: self.now(),
            };
            let done = Done { to: format!("/incidents/{incident}#notes"), said: words.to_owned() };
            self.store_done(begun, done, text.clone(), move |tx| {
                Box::pin(async move { add_note(tx, &note).await.map(|_| ()) })
            })
            .await
        })
        .await
    }
}
