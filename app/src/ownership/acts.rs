//! The server function for ownership fields. The engine checks and decides.

use leptos::prelude::*;

use crate::error::AppError;
use crate::ssr::{Envelope, act};

/// Writes a value into a field of the ownership log; `shown` is the number of the entry that the page showed.
#[server(prefix = "/api", endpoint = "fill_field")]
pub(crate) async fn fill_field(
    field: String,
    #[server(default)] value: String,
    #[server(default)] shown: i64,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = value.clone();
    act(Envelope { key, back, form }, &[("value", &typed)], |engine, ctx| async move {
        engine.fill_field(&ctx, &field, &value, shown).await
    })
    .await
}
