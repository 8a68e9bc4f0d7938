//! The session of a signed-in person: the one place that says what it holds.

use engine::{Engine, Error, SESSION_PERSON, SignedIn};
use tower_sessions::Session;

/// Signs the visitor in as this person. The session gets a new id and is stored before this function returns. It runs
/// as part of the action, so a closed connection cannot leave the sign-in half done.
///
/// # Errors
/// The session cannot be stored, or what the person signed in with is no longer valid.
pub(super) async fn begin(engine: &Engine, session: &Session, who: &SignedIn) -> Result<(), Error> {
    let begun = async {
        session.cycle_id().await.map_err(Error::internal)?;
        session.insert(SESSION_PERSON, who.actor.id).await.map_err(Error::internal)?;
        session.save().await.map_err(Error::internal)?;
        if engine.is_still_valid(who).await? {
            return Ok(());
        }
        Err(Error::conflict("Your password was changed a moment ago. Sign in with the new password."))
    };
    let begun = begun.await;
    if begun.is_err()
        && let Err(error) = session.flush().await
    {
        tracing::error!(%error, "could not end a session that is no longer valid");
    }
    begun
}

/// Ends the session.
///
/// # Errors
/// Its end cannot be stored.
pub(super) async fn end(session: &Session) -> Result<(), Error> {
    session.flush().await.map_err(Error::internal)
}

/// The id of the person of a session; `None`: nobody is signed in.
///
/// # Errors
/// The session cannot be read.
pub async fn person(session: &Session) -> Result<Option<i64>, tower_sessions::session::Error> {
    session.get(SESSION_PERSON).await
}
