//! Filling the ownership log. Nothing is overwritten: every value stays in the field's history.

use domain::action::Action;
use domain::ownership::check_value;

use super::Ctx;
use crate::Engine;
use crate::assessment::{all, when};
use crate::error::{Error, FormField};
use crate::view::Done;
use store::audit::AuditAction;
use store::ownership::{self, Entry, add};

impl Engine {
    /// Enters a value in a field. `shown` is the number of the entry that the page showed, 0 for none: a value that
    /// was entered since is not replaced without being seen.
    pub async fn fill_field(&self, ctx: &Ctx, field: &str, value: &str, shown: i64) -> Result<Done, Error> {
        let _turn = self.in_turn().await?;
        let assessment = self.assessment();
        let found = assessment
            .stack
            .runbook
            .ownership
            .iter()
            .flat_map(|l| &l.fields)
            .find(|f| f.id == field)
            .ok_or_else(|| Error::not_found(format!("Field {field}")))?;
        let value = check_value(found.kind, value)
            .map_err(|e| Error::invalid(e.to_string()).in_field(FormField::Value))?;
        let entries = ownership::history(self.store().readers(), field, 1).await?;
        let last = entries.first();
        let is_so = last.is_some_and(|e| e.value == value);
        let allowed = all([
            assessment.may(&ctx.actor, Action::FillField),
            when(is_so || last.map_or(0, |e| e.id) == shown, || match last {
                None => {
                    "The field has changed since this page was shown. Review it and try again.".to_owned()
                }
                Some(now) => format!(
                    "{} has changed since this page was shown: {} entered “{}”. Your value was not saved. Save again to replace it.",
                    found.label, now.by_name, now.value
                ),
            }),
        ]);
        self.execute(ctx, AuditAction::OwnershipFill, field, &[&value], allowed, async |begun| {
            let entry = Entry {
                id: 0,
                field: field.to_owned(),
                value: value.clone(),
                by: ctx.actor.id,
                by_name: ctx.actor.name.clone(),
                at: self.now(),
            };
            let done = Done { to: format!("/ownership#{field}"), said: format!("{}: {value}.", found.label) };
            self.store_done(begun, done, value.clone(), move |tx| {
                Box::pin(async move { if is_so { Ok(()) } else { add(tx, &entry).await.map(|_| ()) } })
            })
            .await
        })
        .await
    }
}
