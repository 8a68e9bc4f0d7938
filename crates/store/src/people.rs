//! People and the roles they hold. A person is never deleted, only disabled.

use domain::facts::Actor;
use domain::role::Role;
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::StoreError;

/// A person. The password's hash is not part of it; see [`credentials`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Id in the store.
    pub id: i64,
    /// Name shown to people.
    pub name: String,
    /// The name typed at sign-in, lower case.
    pub login: String,
    /// The roles held, in the order of [`Role::ALL`].
    pub roles: Vec<Role>,
    /// Can no longer sign in.
    pub disabled: bool,
    /// Has a password.
    pub ready: bool,
    /// When they were added.
    pub created_at: Millis,
}

impl Person {
    /// The person as used by the rules.
    pub fn actor(&self) -> Actor {
        Actor { id: self.id, name: self.name.clone(), roles: self.roles.clone() }
    }
}

/// The data that sign-in is verified with. `Debug` does not show the hash.
#[derive(Clone)]
pub struct Credentials {
    /// The person.
    pub person: i64,
    /// The argon2id hash; `None` if no password is set, and for disabled people.
    pub password_hash: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("person", &self.person).finish_non_exhaustive()
    }
}

/// A person could not be added or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PersonError {
    /// The login exists already.
    #[error("the login “{0}” is taken")]
    LoginTaken(String),
    /// The roles are not those that were shown.
    #[error("the roles have changed since this page was shown; the current roles are: {}", role_names(.0))]
    RolesChanged(Vec<Role>),
    /// The password is not the one that was confirmed.
    #[error(
        "your password has changed since you entered it; nothing was saved. Try again with your current password"
    )]
    PasswordChanged,
    /// There would be no admin left.
    #[error("this is the last admin; nothing was changed. Give the Admin role to another person first")]
    LastAdmin,
    /// A name or login is empty or too long.
    #[error("the name and the login must each have 1 to 200 characters")]
    BadName,
    /// The person does not exist.
    #[error("this person does not exist")]
    Unknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for PersonError {
    fn from(error: sqlx::Error) -> PersonError {
        StoreError::from(error).into()
    }
}

/// The stored form of a login: trimmed, lower case.
pub fn normal_login(typed: &str) -> String {
    typed.trim().to_lowercase()
}

/// Adds a person without a password. The login is normalised.
pub async fn create(
    conn: &mut SqliteConnection,
    name: &str,
    login: &str,
    roles: &[Role],
    now: Millis,
) -> Result<i64, PersonError> {
    let (name, login) = (name.trim(), normal_login(login));
    if [name, &login].iter().any(|s| s.is_empty() || s.chars().count() > 200) {
        return Err(PersonError::BadName);
    }
    let id = sqlx::query_scalar!(
        r#"INSERT INTO person (name, login, created_at) VALUES (?, ?, ?) RETURNING id AS "id!""#,
        name,
        login,
        now.0
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(|e| match StoreError::from(e) {
        e if e.is_unique_violation() => PersonError::LoginTaken(login.clone()),
        e => e.into(),
    })?;
    insert_roles(conn, id, roles).await?;
    Ok(id)
}

/// The names of the roles, for people.
pub fn role_names(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(|r| r.label()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Replaces the roles of a person if they are still those that were shown.
pub async fn replace_roles(
    conn: &mut SqliteConnection,
    person: i64,
    shown: &[Role],
    roles: &[Role],
) -> Result<(), PersonError> {
    let now = by_id(&mut *conn, person).await?.ok_or(PersonError::Unknown)?.roles;
    if now.iter().any(|r| !shown.contains(r)) || shown.iter().any(|r| !now.contains(r)) {
        return Err(PersonError::RolesChanged(now));
    }
    set_roles(conn, person, roles).await
}

/// Replaces the roles of a person.
pub async fn set_roles(conn: &mut SqliteConnection, person: i64, roles: &[Role]) -> Result<(), PersonError> {
    by_id(&mut *conn, person).await?.ok_or(PersonError::Unknown)?;
    sqlx::query!("DELETE FROM person_role WHERE person = ?", person).execute(&mut *conn).await?;
    insert_roles(conn, person, roles).await
}

async fn insert_roles(conn: &mut SqliteConnection, person: i64, roles: &[Role]) -> Result<(), PersonError> {
    for role in Role::ALL.into_iter().filter(|r| roles.contains(r)) {
        let slug = role.slug();
        sqlx::query!("INSERT INTO person_role (person, role) VALUES (?, ?)", person, slug)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Stores a new password hash (PHC text of argon2id).
pub async fn set_password(
    conn: &mut SqliteConnection,
    person: i64,
    password_hash: &str,
) -> Result<(), PersonError> {
    let done = sqlx::query!("UPDATE person SET password_hash = ? WHERE id = ?", password_hash, person)
        .execute(conn)
        .await?;
    known(done.rows_affected())
}

/// Replaces a password hash if it is still `old`, and returns whether it was. Otherwise nothing is changed.
///
/// # Errors
/// If the store fails.
pub async fn replace_password(
    conn: &mut SqliteConnection,
    person: i64,
    old: &str,
    new: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE person SET password_hash = ?1 WHERE id = ?2 AND password_hash = ?3",
        new,
        person,
        old
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes the password: from now on only a one-time link gives access to the account.
pub async fn clear_password(conn: &mut SqliteConnection, person: i64) -> Result<(), StoreError> {
    sqlx::query!("UPDATE person SET password_hash = NULL WHERE id = ?", person).execute(conn).await?;
    Ok(())
}

/// Disables or enables a person. Their sessions are ended with [`super::sessions::end_all`], which must be called in
/// the same transaction.
pub async fn set_disabled(
    conn: &mut SqliteConnection,
    person: i64,
    disabled: bool,
) -> Result<(), PersonError> {
    let done =
        sqlx::query!("UPDATE person SET disabled = ? WHERE id = ?", disabled, person).execute(conn).await?;
    known(done.rows_affected())
}

fn known(rows: u64) -> Result<(), PersonError> {
    if rows == 0 { Err(PersonError::Unknown) } else { Ok(()) }
}

/// Id of the row that is the actor of scheduled checks. It is not a person, and lists do not include it.
pub const SCHEDULE: i64 = 0;
/// The name of that actor.
pub const SCHEDULE_NAME: &str = "Stagegate (schedule)";

/// All people, sorted by name, including disabled people.
pub async fn list(db: impl SqliteExecutor<'_>) -> Result<Vec<Person>, StoreError> {
    select(db, None, None).await
}

/// The person with this id.
pub async fn by_id(db: impl SqliteExecutor<'_>, id: i64) -> Result<Option<Person>, StoreError> {
    Ok(select(db, Some(id), None).await?.pop())
}

/// The person with this login, ignoring case and surrounding spaces.
pub async fn by_login(db: impl SqliteExecutor<'_>, login: &str) -> Result<Option<Person>, StoreError> {
    Ok(select(db, None, Some(&normal_login(login))).await?.pop())
}

/// The data that sign-in needs for a login. The answer must be the same for `None` and for a missing hash.
pub async fn credentials(
    db: impl SqliteExecutor<'_>,
    login: &str,
) -> Result<Option<Credentials>, StoreError> {
    let login = normal_login(login);
    let row = sqlx::query!(
        r#"SELECT id AS "id!", password_hash, disabled AS "disabled: bool" FROM person WHERE login = ?"#,
        login
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|r| Credentials { person: r.id, password_hash: r.password_hash.filter(|_| !r.disabled) }))
}

/// Rejects a change after which no admin could sign in. Call it last in the transaction of the change.
///
/// # Errors
/// [`PersonError::LastAdmin`], or an error of the store.
pub async fn keep_an_admin(conn: &mut SqliteConnection) -> Result<(), PersonError> {
    if active_admins(conn).await? == 0 { Err(PersonError::LastAdmin) } else { Ok(()) }
}

/// How many admins can sign in. The last one must neither be disabled nor lose the role.
pub async fn active_admins(db: impl SqliteExecutor<'_>) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!: i64" FROM person p JOIN person_role r ON r.person = p.id
           WHERE r.role = 'admin' AND p.disabled = 0"#
    )
    .fetch_one(db)
    .await?)
}

async fn select(
    db: impl SqliteExecutor<'_>,
    id: Option<i64>,
    login: Option<&str>,
) -> Result<Vec<Person>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT p.id AS "id!: i64", p.name AS "name!: String", p.login AS "login!: String",
                  p.disabled AS "disabled!: bool", p.created_at AS "created_at!: i64",
                  p.password_hash IS NOT NULL AS "ready!: bool",
                  (SELECT group_concat(role) FROM person_role WHERE person = p.id) AS "roles?: String"
           FROM person p
           WHERE p.id <> 0 AND (?1 IS NULL OR p.id = ?1) AND (?2 IS NULL OR p.login = ?2)
           ORDER BY lower(p.name), p.id"#,
        id,
        login
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Person {
                id: r.id,
                name: r.name,
                login: r.login,
                roles: roles(r.roles.as_deref().unwrap_or_default())?,
                disabled: r.disabled,
                ready: r.ready,
                created_at: Millis(r.created_at),
            })
        })
        .collect()
}

fn roles(slugs: &str) -> Result<Vec<Role>, StoreError> {
    let mut roles = slugs
        .split(',')
        .filter(|s| !s.is_empty())
        .map(|s| s.parse().map_err(|_| StoreError::Damaged { what: "person_role.role" }))
        .collect::<Result<Vec<Role>, _>>()?;
    roles.sort();
    Ok(roles)
}
