//! Only one open invitation per login, also for simultaneous requests, and passwords that are replaced only if they
//! have not changed since they were read.

use sqlx::Connection as _;
use sqlx::migrate::Migrate as _;
use store::MIGRATOR;
use store::invitations::{self, InvitationError, Pending};

use super::*;

fn invitation() -> Link {
    Link {
        kind: LinkKind::Invite,
        person: None,
        name: "Bob".into(),
        login: "bob".into(),
        roles: vec![Role::Qa],
        made_by: None,
        expires_at: Millis(100),
    }
}

async fn invite(store: &Store, seen: Option<Pending>) -> Result<String, InvitationError> {
    let hash = Token::generate().unwrap().hash();
    let of_link = hash.clone();
    write!(store, |tx| invitations::replace(tx, &of_link, &invitation(), seen.as_ref(), Millis(1)).await)?;
    Ok(hash)
}

#[tokio::test]
async fn of_many_who_invite_the_same_person_at_once_one_succeeds() {
    let (_dir, store) = fresh().await;
    let mut admins = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        admins.spawn(async move { invite(&store, None).await });
    }
    let results = admins.join_all().await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1, "{results:?}");
    let told =
        results.iter().filter(|r| matches!(r, Err(InvitationError::AlreadyInvited(login)) if login == "bob"));
    assert_eq!(told.count(), 19, "{results:?}");
    let first = results.into_iter().find_map(Result::ok).unwrap();

    // A request that has seen that invitation replaces it, even if it has expired.
    let seen = invitations::pending(store.readers(), " BOB ").await.unwrap();
    assert_eq!(seen.as_ref().map(|p| p.expires_at), Some(Millis(100)));
    let second = invite(&store, seen.clone()).await.unwrap();
    let old = links::look(store.readers(), &first, Millis(2)).await;
    assert!(matches!(old, Err(LinkError::Withdrawn)), "{old:?}");
    let late = invite(&store, seen).await;
    assert!(matches!(late, Err(InvitationError::AlreadyInvited(_))), "another one is open by now: {late:?}");
    assert!(links::look(store.readers(), &second, Millis(2)).await.is_ok());

    write!(store, |tx| people::create(tx, "Bob", "bob", &[], Millis(1)).await).unwrap();
    let seen = invitations::pending(store.readers(), "bob").await.unwrap();
    let taken = invite(&store, seen).await;
    assert!(matches!(taken, Err(InvitationError::LoginTaken(_))), "{taken:?}");
}

#[tokio::test]
async fn of_several_open_invitations_of_an_earlier_version_the_newest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = SqliteConnectOptions::new().filename(dir.path().join("stagegate.db")).create_if_missing(true);
    let mut conn = file.connect().await.unwrap();
    conn.ensure_migrations_table("_sqlx_migrations").await.unwrap();
    for migration in MIGRATOR.iter().filter(|m| m.version < 20_261_129_010_000) {
        conn.apply("_sqlx_migrations", migration).await.unwrap();
    }
    let mut sql = String::new();
    // Two of the same millisecond, a used one, and one for another person.
    for (hash, login, created, used) in [
        ("a", "bob", 1, ""),
        ("b", "bob", 3, ""),
        ("c", "bob", 3, ""),
        ("d", "bob", 9, "9"),
        ("e", "eve", 1, ""),
    ] {
        let used = if used.is_empty() { "NULL" } else { used };
        sql.push_str(&format!(
            "INSERT INTO link (token_hash, kind, name, login, created_at, expires_at, used_at)
             VALUES ('{}', 'invite', 'N', '{login}', {created}, 100, {used});",
            hash.repeat(64)
        ));
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let open = async |hash: &str| links::look(store.readers(), &hash.repeat(64), Millis(2)).await.is_ok();
    let all = [open("a").await, open("b").await, open("c").await, open("d").await, open("e").await];
    assert_eq!(all, [false, false, true, false, true]);
    let listed = links::invitations(store.readers(), &Vec::from_iter(0..10), Millis(2)).await.unwrap();
    let replaced = links::InvitationState::Withdrawn("replaced by a newer invitation".into());
    assert_eq!(listed.iter().filter(|i| i.state == replaced).count(), 2, "{listed:?}");
}

#[tokio::test]
async fn a_password_is_replaced_only_if_it_has_not_changed_since_it_was_read() {
    let (_dir, store) = fresh().await;
    let id = ada(&store).await;
    let hash = async || {
        people::credentials(store.readers(), "ada@example.org").await.unwrap().unwrap().password_hash
    };
    let replace = async |old: &'static str, new: &'static str| {
        write!(store, |tx| people::replace_password(tx, id, old, new).await).unwrap()
    };
    assert!(!replace("$argon2id$old", "$argon2id$new").await, "there is none yet");
    assert_eq!(hash().await, None);
    write!(store, |tx| people::set_password(tx, id, "$argon2id$old").await).unwrap();
    assert!(replace("$argon2id$old", "$argon2id$new").await);
    assert!(!replace("$argon2id$old", "$argon2id$late").await);
    assert_eq!(hash().await.as_deref(), Some("$argon2id$new"));
}

#[tokio::test]
async fn the_last_admin_is_kept_by_the_transaction_itself() {
    let (_dir, store) = fresh().await;
    let id = ada(&store).await;
    write!(store, |tx| people::set_roles(tx, id, &[Role::Admin]).await).unwrap();
    let refused = write!(store, |tx| {
        people::set_disabled(&mut *tx, id, true).await?;
        people::keep_an_admin(tx).await
    });
    assert!(matches!(refused, Err(PersonError::LastAdmin)), "{refused:?}");
    assert!(!people::by_id(store.readers(), id).await.unwrap().unwrap().disabled);
}
