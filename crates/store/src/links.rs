//! One-time links: setup of the first admin, invitations, sign-in, new passwords. Only hashes of tokens are stored. The
//! audit log covers each row, and a link works only if its row matches the log: a row that was written by another
//! program gives no access.

use domain::role::Role;
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};
use crate::audit;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// Creates the first admin.
    Setup,
    /// Creates the person that it describes.
    Invite,
    /// Signs one person in.
    SignIn,
    /// Lets one person choose a new password.
    Reset,
}

impl LinkKind {
    /// The value in the store.
    pub fn slug(self) -> &'static str {
        match self {
            LinkKind::Setup => "setup",
            LinkKind::Invite => "invite",
            LinkKind::SignIn => "signin",
            LinkKind::Reset => "reset",
        }
    }

    fn from_slug(slug: &str) -> Result<LinkKind, StoreError> {
        [LinkKind::Setup, LinkKind::Invite, LinkKind::SignIn, LinkKind::Reset]
            .into_iter()
            .find(|k| k.slug() == slug)
            .ok_or(StoreError::Damaged { what: "link.kind" })
    }
}

/// A link, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What it is for.
    pub kind: LinkKind,
    /// The person it belongs to: sign-in and reset have one, setup and invitation do not.
    pub person: Option<i64>,
    /// Name of the person to create; empty if there is none, or if the person enters it.
    pub name: String,
    /// Their login.
    pub login: String,
    /// Their roles.
    pub roles: Vec<Role>,
    /// Who made the link; `None` for Stagegate itself and the command line.
    pub made_by: Option<i64>,
    /// When it expires.
    pub expires_at: Millis,
}

/// A link cannot be used. The reason may be shown to the person who has the token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// The token does not exist, or was withdrawn.
    #[error("this link is not valid; ask an admin for a new one")]
    Unknown,
    /// It was used before.
    #[error("this link has already been used; a link works only once")]
    Used,
    /// It was withdrawn, or the admin who made it is no longer one.
    #[error("this link was withdrawn; ask an admin for a new one")]
    Withdrawn,
    /// Its row does not match the audit log: it was not written by Stagegate.
    #[error("this link was not made by Stagegate, or was changed later; ask an admin for a new one")]
    NotVouched {
        /// Id of its row.
        link: i64,
    },
    /// It has expired.
    #[error("this link has expired; ask an admin for a new one")]
    Expired,
    /// The login of the invitation exists by now.
    #[error("the login “{0}” is taken; ask an admin for an invitation with another login")]
    LoginTaken(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for LinkError {
    fn from(error: sqlx::Error) -> LinkError {
        StoreError::from(error).into()
    }
}

/// Stores a link under the hash of its token (`auth::tokens::Token::hash`).
pub async fn create(
    conn: &mut SqliteConnection,
    token_hash: &str,
    link: &Link,
    now: Millis,
) -> Result<(), StoreError> {
    let (kind, login) = (link.kind.slug(), super::people::normal_login(&link.login));
    let roles = json::write(&link.roles, "link.roles")?;
    sqlx::query!(
        "INSERT INTO link (token_hash, kind, person, name, login, roles, made_by, created_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        token_hash,
        kind,
        link.person,
        link.name,
        login,
        roles,
        link.made_by,
        now.0,
        link.expires_at.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The link of a token, if it can be used. [`consume`] uses it.
pub async fn look(db: impl SqliteExecutor<'_>, token_hash: &str, now: Millis) -> Result<Link, LinkError> {
    let row = sqlx::query!(
        r#"SELECT l.kind AS "kind!: String", l.person AS "person?: i64", l.name AS "name!: String",
                  l.login AS "login!: String", l.roles AS "roles!: String", l.made_by AS "made_by?: i64",
                  l.expires_at AS "expires_at!: i64", l.used_at AS "used_at?: i64",
                  (l.withdrawn_at IS NOT NULL OR (l.made_by IS NOT NULL AND NOT EXISTS (
                      SELECT 1 FROM person m JOIN person_role r ON r.person = m.id
                      WHERE m.id = l.made_by AND m.disabled = 0 AND r.role = 'admin'
                  ))) AS "withdrawn!: bool",
                  coalesce(p.disabled, 0) AS "disabled!: bool",
                  coalesce(p.name, '') AS "person_name!: String",
                  coalesce(p.login, '') AS "person_login!: String"
           FROM link l LEFT JOIN person p ON p.id = l.person WHERE l.token_hash = ?"#,
        token_hash
    )
    .fetch_optional(db)
    .await?
    .ok_or(LinkError::Unknown)?;
    if row.disabled {
        return Err(LinkError::Unknown);
    }
    if row.used_at.is_some() {
        return Err(LinkError::Used);
    }
    if row.withdrawn {
        return Err(LinkError::Withdrawn);
    }
    if row.expires_at <= now.0 {
        return Err(LinkError::Expired);
    }
    let named = row.person.is_some();
    Ok(Link {
        kind: LinkKind::from_slug(&row.kind)?,
        person: row.person,
        name: if named { row.person_name } else { row.name },
        login: if named { row.person_login } else { row.login },
        roles: json::read(&row.roles, "link.roles")?,
        made_by: row.made_by,
        expires_at: Millis(row.expires_at),
    })
}

/// Rejects a link whose row does not match the audit log.
///
/// # Errors
/// If it does not match, and if the store cannot be read.
pub async fn check_origin(conn: &mut SqliteConnection, token_hash: &str) -> Result<(), LinkError> {
    let id = sqlx::query_scalar!(r#"SELECT id AS "id!" FROM link WHERE token_hash = ?"#, token_hash)
        .fetch_optional(&mut *conn)
        .await?
        .ok_or(LinkError::Unknown)?;
    match audit::vouches_for(conn, "link", id).await? {
        true => Ok(()),
        false => Err(LinkError::NotVouched { link: id }),
    }
}

/// Uses a link and returns it. Of two callers with the same token one gets the link, the other
/// [`LinkError::Used`]. If the caller's transaction is undone, the link is unused again.
pub async fn consume(conn: &mut SqliteConnection, token_hash: &str, now: Millis) -> Result<Link, LinkError> {
    let link = look(&mut *conn, token_hash, now).await?;
    check_origin(&mut *conn, token_hash).await?;
    let done = sqlx::query!(
        "UPDATE link SET used_at = ?1
         WHERE token_hash = ?2 AND used_at IS NULL AND withdrawn_at IS NULL AND expires_at > ?1",
        now.0,
        token_hash
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 { Ok(link) } else { Err(LinkError::Used) }
}

/// Withdraws all unused links of a person, for instance before a new one is created.
pub async fn withdraw_of(conn: &mut SqliteConnection, person: i64) -> Result<u64, StoreError> {
    let done =
        sqlx::query!("DELETE FROM link WHERE person = ? AND used_at IS NULL", person).execute(conn).await?;
    Ok(done.rows_affected())
}

/// Withdraws all unused setup links: when there is an admin, and before a new one is printed.
pub async fn withdraw_setup(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let done =
        sqlx::query!("DELETE FROM link WHERE kind = 'setup' AND used_at IS NULL").execute(conn).await?;
    Ok(done.rows_affected())
}

/// Withdraws one open invitation with this [`Invitation::id`]. Returns whether it was open.
pub async fn withdraw_invitation(
    conn: &mut SqliteConnection,
    id: &str,
    because: &str,
    now: Millis,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE link SET withdrawn_at = ?1, withdrawn_because = ?2
         WHERE substr(token_hash, 1, 16) = ?3 AND kind = 'invite' AND used_at IS NULL AND withdrawn_at IS NULL",
        now.0,
        because,
        id
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Withdraws the open invitation for a login, for instance because the person was added on the console.
pub async fn withdraw_invitations_to(
    conn: &mut SqliteConnection,
    login: &str,
    because: &str,
    now: Millis,
) -> Result<u64, StoreError> {
    let login = super::people::normal_login(login);
    let done = sqlx::query!(
        "UPDATE link SET withdrawn_at = ?1, withdrawn_because = ?2
         WHERE login = ?3 AND kind = 'invite' AND used_at IS NULL AND withdrawn_at IS NULL",
        now.0,
        because,
        login
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Withdraws all unused links that a person created, because they are no longer an admin.
pub async fn withdraw_made_by(
    conn: &mut SqliteConnection,
    person: i64,
    because: &str,
    now: Millis,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "UPDATE link SET withdrawn_at = ?1, withdrawn_because = ?2
         WHERE made_by = ?3 AND used_at IS NULL AND withdrawn_at IS NULL",
        now.0,
        because,
        person
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// The state of an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationState {
    /// It can be used.
    Open,
    /// The person joined with it.
    Joined,
    /// It was not used in time.
    Expired,
    /// It can no longer be used, for this reason.
    Withdrawn(String),
}

/// An invitation as shown to admins, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id in requests. It does not reveal the token.
    pub id: String,
    /// Who is invited.
    pub name: String,
    /// Their login.
    pub login: String,
    /// Their roles.
    pub roles: Vec<Role>,
    /// Name of the admin who created it.
    pub made_by: String,
    /// When it was created.
    pub created_at: Millis,
    /// When it expires.
    pub expires_at: Millis,
    /// Its state.
    pub state: InvitationState,
}

/// The invitations that were created at these times, newest first.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn invitations(
    db: impl SqliteExecutor<'_>,
    made_at: &[i64],
    now: Millis,
) -> Result<Vec<Invitation>, StoreError> {
    let made_at = json::write(&made_at, "link.created_at")?;
    let found = sqlx::query_as!(
        InvitationRow,
        r#"SELECT substr(l.token_hash, 1, 16) AS "id!: String", l.name AS "name!: String",
                  l.login AS "login!: String", l.roles AS "roles!: String",
                  coalesce(m.name, '') AS "made_by!: String", l.created_at AS "created_at!: i64",
                  l.expires_at AS "expires_at!: i64", l.used_at AS "used_at?: i64",
                  l.withdrawn_at AS "withdrawn_at?: i64", l.withdrawn_because AS "because!: String",
                  (l.made_by IS NULL OR (m.disabled = 0 AND EXISTS (
                      SELECT 1 FROM person_role r WHERE r.person = m.id AND r.role = 'admin'
                  ))) AS "by_admin!: bool"
           FROM link l LEFT JOIN person m ON m.id = l.made_by
           WHERE l.created_at IN (SELECT value FROM json_each(?)) AND l.kind = 'invite'
           ORDER BY l.created_at DESC, l.token_hash"#,
        made_at
    );
    found.fetch_all(db).await?.into_iter().map(|row| row.read(now)).collect()
}

/// The invitation with this [`Invitation::id`].
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn invitation(
    conn: &mut SqliteConnection,
    id: &str,
    now: Millis,
) -> Result<Option<Invitation>, StoreError> {
    // The id is a prefix of the key, so the index of the key can be used.
    let made_at = sqlx::query_scalar!(
        r#"SELECT created_at AS "created_at!: i64" FROM link
           WHERE token_hash >= ?1 AND token_hash < ?1 || 'g' AND substr(token_hash, 1, 16) = ?1 AND kind = 'invite'"#,
        id
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(made_at) = made_at else { return Ok(None) };
    let made_then = invitations(conn, &[made_at], now).await?;
    Ok(made_then.into_iter().find(|invitation| invitation.id == id))
}

/// How many invitations can be used.
///
/// # Errors
/// Fails when the store cannot be read.
pub async fn open_invitations(db: impl SqliteExecutor<'_>, now: Millis) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!: i64" FROM link l
           WHERE l.kind = 'invite' AND l.used_at IS NULL AND l.withdrawn_at IS NULL AND l.expires_at > ?
             AND (l.made_by IS NULL OR EXISTS (
                 SELECT 1 FROM person m JOIN person_role r ON r.person = m.id
                 WHERE m.id = l.made_by AND m.disabled = 0 AND r.role = 'admin'))"#,
        now.0
    )
    .fetch_one(db)
    .await?)
}

struct InvitationRow {
    id: String,
    name: String,
    login: String,
    roles: String,
    made_by: String,
    created_at: i64,
    expires_at: i64,
    used_at: Option<i64>,
    withdrawn_at: Option<i64>,
    because: String,
    by_admin: bool,
}

impl InvitationRow {
    fn read(self, now: Millis) -> Result<Invitation, StoreError> {
        let state = if self.used_at.is_some() {
            InvitationState::Joined
        } else if self.withdrawn_at.is_some() {
            InvitationState::Withdrawn(self.because)
        } else if !self.by_admin {
            InvitationState::Withdrawn(format!("{} is no longer an admin", self.made_by))
        } else if self.expires_at <= now.0 {
            InvitationState::Expired
        } else {
            InvitationState::Open
        };
        Ok(Invitation {
            id: self.id,
            name: self.name,
            login: self.login,
            roles: json::read(&self.roles, "link.roles")?,
            made_by: self.made_by,
            created_at: Millis(self.created_at),
            expires_at: Millis(self.expires_at),
            state,
        })
    }
}
