//! The server functions for sign-offs and the decision. The engine checks password, role and evidence.

#![expect(clippy::too_many_arguments, reason = "a form's fields are the arguments, one each")]

use domain::facts::Choice;
use domain::role::{Role, UnknownRole};
use engine::Error;
use leptos::prelude::*;

use crate::error::AppError;
use crate::ssr::{Envelope, act};

/// Signs off for a role. `choice` is `go` or `no-go`; `digest` identifies the evidence, and `shown` the sign-off, that
/// the page showed. A No-Go requires a reason (`comment`) and the conditions for a Go (`would_change`).
#[server(prefix = "/api", endpoint = "sign_off")]
pub(crate) async fn sign_off(
    role: String,
    #[server(default)] choice: String,
    #[server(default)] comment: String,
    #[server(default)] would_change: String,
    digest: String,
    #[server(default)] shown: i64,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = (choice.clone(), comment.clone(), would_change.clone());
    let fields =
        [("choice", typed.0.as_str()), ("comment", typed.1.as_str()), ("would_change", typed.2.as_str())];
    act(Envelope { key, back, form }, &fields, |engine, ctx| async move {
        let role: Role = role.parse().map_err(|e: UnknownRole| Error::invalid(e.to_string()))?;
        let choice = go_or_no_go(&choice)?;
        engine.sign_off(&ctx, role, choice, &comment, &would_change, &digest, shown, &password).await
    })
    .await
}

/// Records the Product Owner's decision.
#[server(prefix = "/api", endpoint = "decide")]
pub(crate) async fn decide(
    #[server(default)] choice: String,
    #[server(default)] note: String,
    digest: String,
    #[server(default)] shown: i64,
    #[server(default)] password: String,
    key: String,
    back: String,
    form: String,
) -> Result<(), AppError> {
    let typed = (choice.clone(), note.clone());
    let fields = [("choice", typed.0.as_str()), ("note", typed.1.as_str())];
    act(Envelope { key, back, form }, &fields, |engine, ctx| async move {
        let choice = go_or_no_go(&choice)?;
        engine.decide(&ctx, choice, &note, &digest, shown, &password).await
    })
    .await
}

fn go_or_no_go(choice: &str) -> Result<Choice, Error> {
    Choice::from_slug(choice).ok_or_else(|| Error::invalid("Please choose Go or No-Go."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_off_without_a_choice_is_refused() {
        assert_eq!(go_or_no_go("no-go").unwrap(), Choice::NoGo);
        for none in ["", "maybe", "Go"] {
            let refused = go_or_no_go(none).unwrap_err();
            assert_eq!(refused.kind(), engine::ErrorKind::Invalid);
            assert_eq!(refused.public(), "Please choose Go or No-Go.");
        }
    }
}
