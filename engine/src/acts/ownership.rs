//! Filling the ownership log. Nothing is overwritten: every value stays in the field's history.

use domain::ownership::check_value;

use super::Ctx;
use crate::Engine;
use crate::error::Error;
use crate::store::ownership::{Entry, add};
use crate::view::Done;

impl Engine {
    /// Writes a value into a field.
    pub async fn fill_field(&self, ctx: &Ctx, field: &str, value: &str) -> Result<Done, Error> {
        let _turn = self.in_turn().await?;
        let judged = self.judged();
        let found = judged
            .stack
            .runbook
            .ownership
            .iter()
            .flat_map(|l| &l.fields)
            .find(|f| f.id == field)
            .ok_or_else(|| Error::not_found(format!("Field {field}")))?;
        let value = check_value(found.kind, value).map_err(|e| Error::invalid(e.to_string()))?;
        let allowed = judged.may(&ctx.actor, "fill_field");
        self.perform(ctx, "ownership.fill", field, &[&value], allowed, async |begun| {
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
                Box::pin(async move { add(tx, &entry).await.map(|_| ()) })
            })
            .await
        })
        .await
    }
}
