//! Creating invitations. The schema allows only one open invitation per login, so if two requests invite the same
//! person at the same time, one of them gets an error.

use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::links::{self, Link};
use super::{StoreError, people};

/// An invitation could not be stored or withdrawn.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvitationError {
    /// The login exists already.
    #[error("the login “{0}” is taken")]
    LoginTaken(String),
    /// There is an open invitation that did not exist when this one was requested.
    #[error(
        "“{0}” was invited by another request at the same time; nothing was changed. Reload the page to see that invitation, or invite again to replace it"
    )]
    AlreadyInvited(String),
    /// It was open when the page was shown, and is no longer.
    #[error("the invitation for {0} has already been used or withdrawn; reload the page to see its state")]
    NotOpen(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for InvitationError {
    fn from(error: sqlx::Error) -> InvitationError {
        StoreError::from(error).into()
    }
}

/// An invitation that was neither used nor withdrawn. It may have expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    token_hash: String,
    /// When it ends.
    pub expires_at: Millis,
}

/// The pending invitation for a login.
///
/// # Errors
/// The store cannot be read.
pub async fn pending(db: impl SqliteExecutor<'_>, login: &str) -> Result<Option<Pending>, StoreError> {
    let login = people::normal_login(login);
    let row = sqlx::query!(
        r#"SELECT token_hash AS "token_hash!", expires_at AS "expires_at!: i64" FROM link
           WHERE login = ? AND kind = 'invite' AND used_at IS NULL AND withdrawn_at IS NULL"#,
        login
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|r| Pending { token_hash: r.token_hash, expires_at: Millis(r.expires_at) }))
}

/// Stores an invitation in place of the one that was `seen`, under the hash of its token.
///
/// # Errors
/// If the login exists by now, or an invitation other than `seen` is open.
pub async fn replace(
    conn: &mut SqliteConnection,
    token_hash: &str,
    link: &Link,
    seen: Option<&Pending>,
    now: Millis,
) -> Result<(), InvitationError> {
    if people::by_login(&mut *conn, &link.login).await?.is_some() {
        return Err(InvitationError::LoginTaken(link.login.clone()));
    }
    if let Some(seen) = seen {
        sqlx::query!(
            "UPDATE link SET withdrawn_at = ?1, withdrawn_because = 'replaced by a newer invitation'
             WHERE token_hash = ?2 AND used_at IS NULL AND withdrawn_at IS NULL",
            now.0,
            seen.token_hash
        )
        .execute(&mut *conn)
        .await?;
    }
    links::create(conn, token_hash, link, now).await.map_err(|error| {
        if error.is_unique_violation() {
            InvitationError::AlreadyInvited(link.login.clone())
        } else {
            error.into()
        }
    })
}
