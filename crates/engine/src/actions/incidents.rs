//! What people add to an incident: its cause, follow-ups, and the completion of a follow-up.

use domain::action::Action;
use domain::incident::{Note, NoteKind};

use super::{Ctx, said};
use crate::Engine;
use crate::assessment::{all, when};
use crate::error::{Error, FormField};
use crate::view::Done;
use store::audit::AuditAction;
use store::incidents::add_note;

/// Something to be added to an incident.
struct NewNote {
    kind: NoteKind,
    text: String,
    action: AuditAction,
    /// The message after it is recorded.
    said: &'static str,
    /// The cause that was shown, 0 for none.
    shown: i64,
}

impl Engine {
    /// Records the cause. The last cause counts; earlier ones stay readable. `shown` is the number of the cause that
    /// the page showed, 0 for none: a cause that was recorded since is not replaced without being seen.
    pub async fn name_cause(&self, ctx: &Ctx, incident: i64, text: &str, shown: i64) -> Result<Done, Error> {
        let text = said(FormField::Text, text, "the cause", 2_000)?;
        let note = NewNote {
            kind: NoteKind::Cause,
            text,
            action: AuditAction::IncidentCause,
            said: "The cause is recorded.",
            shown,
        };
        self.note_incident(ctx, incident, note).await
    }

    /// Adds a follow-up.
    pub async fn add_follow_up(&self, ctx: &Ctx, incident: i64, text: &str) -> Result<Done, Error> {
        let text = said(FormField::Text, text, "the follow-up", 500)?;
        let note = NewNote {
            kind: NoteKind::FollowUp,
            text,
            action: AuditAction::IncidentFollowUp,
            said: "The follow-up is recorded.",
            shown: 0,
        };
        self.note_incident(ctx, incident, note).await
    }

    /// Marks a follow-up as done.
    pub async fn finish_follow_up(&self, ctx: &Ctx, incident: i64, follow_up: i64) -> Result<Done, Error> {
        let note = NewNote {
            kind: NoteKind::Done(follow_up),
            text: String::new(),
            action: AuditAction::IncidentDone,
            said: "The follow-up is done.",
            shown: 0,
        };
        self.note_incident(ctx, incident, note).await
    }

    async fn note_incident(&self, ctx: &Ctx, incident: i64, new: NewNote) -> Result<Done, Error> {
        let NewNote { kind, text, action, said, shown } = new;
        let _turn = self.in_turn().await?;
        let assessment = self.assessment();
        self.find_incident(incident).await?;
        let notes = store::incidents::notes(self.store().readers(), incident).await?;
        let of_this = || notes.iter();
        let open = match kind {
            NoteKind::Done(id) => when(
                of_this().any(|n| n.id == id && n.kind == NoteKind::FollowUp)
                    && !of_this().any(|n| n.kind == kind),
                || "This follow-up does not exist or is already done.".to_owned(),
            ),
            NoteKind::Cause => {
                let last = of_this().rfind(|n| n.kind == NoteKind::Cause);
                when(last.map_or(0, |n| n.id) == shown, || {
                    let (by, text) = last.map_or(("", ""), |n| (n.by_name.as_str(), n.text.as_str()));
                    format!(
                        "{by} has recorded another cause since this page was shown: “{text}”. Your cause was not saved. Record it again to replace theirs."
                    )
                })
            }
            NoteKind::FollowUp => crate::view::Permission::Allowed,
        };
        let allowed = all([assessment.may(&ctx.actor, Action::NameCause), open]);
        let about = match kind {
            NoteKind::Done(id) => id.to_string(),
            _ => String::new(),
        };
        let subject = format!("incident {incident}");
        self.execute(ctx, action, &subject, &[&text, &about], allowed, async |begun| {
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
