//! What people add to an incident: cause, follow-ups, and that one is done.

use domain::incident::{Note, NoteKind};

use super::{Ctx, said};
use crate::Engine;
use crate::assessment::{all, when};
use crate::error::Error;
use crate::view::Done;
use store::incidents::add_note;

/// Something to be added to an incident.
struct NewNote {
    kind: NoteKind,
    text: String,
    act: &'static str,
    /// What is said when it is recorded.
    said: &'static str,
    /// The cause that was shown, 0 for none.
    shown: i64,
}

impl Engine {
    /// Writes why it happened. The last cause counts; the ones before stay readable. `shown` is the number of the
    /// cause that the page showed, 0 for none: one that was written since is not replaced unseen.
    pub async fn name_cause(&self, ctx: &Ctx, incident: i64, text: &str, shown: i64) -> Result<Done, Error> {
        let text = said(text, "the cause", 2_000)?;
        let note = NewNote {
            kind: NoteKind::Cause,
            text,
            act: "incident.cause",
            said: "The cause is recorded.",
            shown,
        };
        self.note_incident(ctx, incident, note).await
    }

    /// Adds something to be done.
    pub async fn add_follow_up(&self, ctx: &Ctx, incident: i64, text: &str) -> Result<Done, Error> {
        let text = said(text, "what is to be done", 500)?;
        let note = NewNote {
            kind: NoteKind::FollowUp,
            text,
            act: "incident.follow_up",
            said: "The follow-up is recorded.",
            shown: 0,
        };
        self.note_incident(ctx, incident, note).await
    }

    /// Says that a follow-up is done.
    pub async fn finish_follow_up(&self, ctx: &Ctx, incident: i64, follow_up: i64) -> Result<Done, Error> {
        let note = NewNote {
            kind: NoteKind::Done(follow_up),
            text: String::new(),
            act: "incident.done",
            said: "Done.",
            shown: 0,
        };
        self.note_incident(ctx, incident, note).await
    }

    async fn note_incident(&self, ctx: &Ctx, incident: i64, new: NewNote) -> Result<Done, Error> {
        let NewNote { kind, text, act, said, shown } = new;
        let _turn = self.in_turn().await?;
        let assessment = self.assessment();
        self.find_incident(incident).await?;
        let notes = store::incidents::notes(self.store().readers(), incident).await?;
        let of_this = || notes.iter();
        let open = match kind {
            NoteKind::Done(id) => when(
                of_this().any(|n| n.id == id && n.kind == NoteKind::FollowUp)
                    && !of_this().any(|n| n.kind == kind),
                || "There is no such follow-up, or it is done already.".to_owned(),
            ),
            NoteKind::Cause => {
                let last = of_this().rfind(|n| n.kind == NoteKind::Cause);
                when(last.map_or(0, |n| n.id) == shown, || {
                    let (by, text) = last.map_or(("", ""), |n| (n.by_name.as_str(), n.text.as_str()));
                    format!(
                        "Another cause was recorded since this page was shown, by {by}: “{text}”. Yours was not saved. Record it again to replace that one."
                    )
                })
            }
            NoteKind::FollowUp => crate::view::Permission::Allowed,
        };
        let allowed = all([assessment.may(&ctx.actor, "name_cause"), open]);
        let about = match kind {
            NoteKind::Done(id) => id.to_string(),
            _ => String::new(),
        };
        let subject = format!("incident {incident}");
        self.execute(ctx, act, &subject, &[&text, &about], allowed, async |begun| {
            let note = Note {
                id: 0,
                incident,
                kind,
                text: text.clone(),
                by: ctx.actor.id,
                by_name: ctx.actor.name.clone(),
                at: self.now(),
            };
            let done = Done { to: format!("/incidents/{incident}#notes"), said: said.to_owned() };
            self.store_done(begun, done, text.clone(), move |tx| {
                Box::pin(async move { add_note(tx, &note).await.map(|_| ()) })
            })
            .await
        })
        .await
    }
}
