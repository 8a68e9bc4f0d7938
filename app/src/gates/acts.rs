//! Actions on the page of a gate. Server functions only: the engine checks and decides.

#![expect(clippy::too_many_arguments, reason = "each field of a form is an argument")]

use leptos::prelude::*;

use crate::error::AppError;
use crate::ssr::{Envelope, act};

/// Accepts a gate in the state that was shown (`digest`), with a note.
#[server(prefix = "/api", endpoint = "accept_gate")]
pub(crate) async fn accept_gate(
    gate: String,
    digest: String,
    #[server(default)] note: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = note.clone();
    act(Envelope { key, back, form }, &[("note", &typed)], |engine, ctx| async move {
        engine.accept_gate(&ctx, &gate, &digest, &note).await
    })
    .await
}

/// Attests a criterion, or withdraws the attestation; `holds` is an `AttestationChoice`.
#[server(prefix = "/api", endpoint = "attest")]
pub(crate) async fn attest(
    item: String,
    digest: String,
    holds: String,
    #[server(default)] note: String,
    #[server(default)] link: String,
    #[server(default)] shown: i64,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = (note.clone(), link.clone());
    let fields = [("note", typed.0.as_str()), ("link", typed.1.as_str())];
    act(Envelope { key, back, form }, &fields, |engine, ctx| async move {
        engine.attest(&ctx, &item, &digest, holds.parse()?, &note, &link, shown).await
    })
    .await
}

/// Waives a criterion until the end of a day (`YYYY-MM-DD`, UTC).
#[server(prefix = "/api", endpoint = "waive")]
pub(crate) async fn waive(
    item: String,
    digest: String,
    #[server(default)] reason: String,
    #[server(default)] until: String,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = (reason.clone(), until.clone());
    let fields = [("reason", typed.0.as_str()), ("until", typed.1.as_str())];
    act(Envelope { key, back, form }, &fields, |engine, ctx| async move {
        engine.waive(&ctx, &item, &digest, &reason, &until, &password).await
    })
    .await
}

/// Ends the waiver with the id `waiver` before it expires.
#[server(prefix = "/api", endpoint = "end_waiver")]
pub(crate) async fn end_waiver(
    item: String,
    #[server(default)] waiver: i64,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    act(Envelope { key, back, form }, &[], |engine, ctx| async move {
        engine.end_waiver(&ctx, &item, waiver).await
    })
    .await
}
