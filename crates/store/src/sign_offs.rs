//! Sign-offs of releases by roles, with what the signer was shown. Append-only.

use domain::facts::{Choice, SignOff};
use domain::time::Millis;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::{StoreError, json};

/// Adds a sign-off; its `id` is ignored, the store's is returned.
pub async fn add(conn: &mut SqliteConnection, sign_off: &SignOff) -> Result<i64, StoreError> {
    let shown = json::write(&sign_off.shown, "sign_off.shown")?;
    let parts = sign_off.parts.as_ref().map(|p| json::write(p, "sign_off.parts")).transpose()?;
    let (role, choice) = (sign_off.role.slug(), sign_off.choice.slug());
    Ok(sqlx::query_scalar!(
        r#"INSERT INTO sign_off (release, role, by, by_name, choice, comment, would_change, digest, shown, parts, at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id AS "id!""#,
        sign_off.release,
        role,
        sign_off.by,
        sign_off.by_name,
        choice,
        sign_off.comment,
        sign_off.would_change,
        sign_off.digest,
        shown,
        parts,
        sign_off.at.0
    )
    .fetch_one(conn)
    .await?)
}

/// All sign-offs on a release, oldest first.
pub async fn list(db: impl SqliteExecutor<'_>, release: i64) -> Result<Vec<SignOff>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!: i64", release, role, by, by_name, choice, comment, would_change, digest, shown,
                  parts, at
           FROM sign_off WHERE release = ? ORDER BY id"#,
        release
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(SignOff {
                id: r.id,
                release: r.release,
                role: r.role.parse().map_err(|_| StoreError::Damaged { what: "sign_off.role" })?,
                by: r.by,
                by_name: r.by_name,
                choice: Choice::from_slug(&r.choice)
                    .ok_or(StoreError::Damaged { what: "sign_off.choice" })?,
                comment: r.comment,
                would_change: r.would_change,
                digest: r.digest,
                shown: json::read(&r.shown, "sign_off.shown")?,
                parts: json::read_some(r.parts, "sign_off.parts")?,
                at: Millis(r.at),
            })
        })
        .collect()
}
