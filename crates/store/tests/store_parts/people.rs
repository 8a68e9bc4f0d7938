//! People, links and sessions.

use super::*;

#[tokio::test]
async fn people_are_found_however_their_login_is_typed() {
    let (_dir, store) = fresh().await;
    let id = ada(&store).await;
    let person = people::by_login(store.readers(), " ADA@example.ORG").await.unwrap().unwrap();
    assert_eq!(
        (person.id, person.roles.as_slice(), person.ready),
        (id, &[Role::DevOps, Role::Qa][..], false)
    );
    let taken = write!(store, |tx| people::create(tx, "B", "ada@EXAMPLE.org", &[], Millis(1)).await);
    assert!(matches!(taken, Err(PersonError::LoginTaken(_))), "{taken:?}");
    for (name, login) in [("", "x"), ("X", " "), ("X", &"x".repeat(201))] {
        let (name, login) = (name.to_owned(), login.to_owned());
        let bad = write!(store, |tx| people::create(tx, &name, &login, &[], Millis(1)).await);
        assert!(matches!(bad, Err(PersonError::BadName)));
    }
    write!(store, |tx| {
        people::set_password(tx, id, "$argon2id$v=19$x").await?;
        people::set_roles(tx, id, &[Role::Admin]).await
    })
    .unwrap();
    assert_eq!(people::active_admins(store.readers()).await.unwrap(), 1);
    let hash = |c: Option<people::Credentials>| c.unwrap().password_hash;
    assert!(hash(people::credentials(store.readers(), "ADA@example.org").await.unwrap()).is_some());
    write!(store, |tx| people::set_disabled(tx, id, true).await).unwrap();
    assert!(hash(people::credentials(store.readers(), "ada@example.org").await.unwrap()).is_none());
    assert_eq!(people::active_admins(store.readers()).await.unwrap(), 0);
    let unknown = write!(store, |tx| people::set_roles(tx, 99, &[]).await);
    assert!(matches!(unknown, Err(PersonError::Unknown)));
}

fn invitation(expires_at: i64) -> Link {
    Link {
        kind: LinkKind::Invite,
        person: None,
        name: "Bob".into(),
        login: "bob".into(),
        roles: vec![Role::Qa],
        made_by: None,
        expires_at: Millis(expires_at),
    }
}

#[tokio::test]
async fn a_link_works_once_even_for_many_requests_at_the_same_time() {
    let (_dir, store) = fresh().await;
    let token = Token::generate().unwrap();
    let hash = token.hash();
    write!(store, |tx| links::create(tx, &hash, &invitation(100), Millis(1)).await).unwrap();
    assert_eq!(links::look(store.readers(), &token.hash(), Millis(2)).await.unwrap(), invitation(100));
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (store, hash) = (store.clone(), token.hash());
        users.spawn(async move { write!(store, |tx| links::consume(tx, &hash, Millis(50)).await) });
    }
    let results = users.join_all().await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert_eq!(results.iter().filter(|r| matches!(r, Err(LinkError::Used))).count(), 19);
}

#[tokio::test]
async fn links_expire_are_withdrawn_and_survive_a_failed_use() {
    let (_dir, store) = fresh().await;
    let person = ada(&store).await;
    let token = Token::generate().unwrap();
    let link = Link { kind: LinkKind::Reset, person: Some(person), roles: vec![], ..invitation(100) };
    let hash = token.hash();
    write!(store, |tx| links::create(tx, &hash, &link, Millis(1)).await).unwrap();
    let seen = links::look(store.readers(), &token.hash(), Millis(2)).await.unwrap();
    assert_eq!((seen.name.as_str(), seen.login.as_str()), ("Ada", "ada@example.org"));
    let late = links::look(store.readers(), &token.hash(), Millis(100)).await;
    assert!(matches!(late, Err(LinkError::Expired)));
    let hash = token.hash();
    let undone = write!(store, |tx| {
        links::consume(tx, &hash, Millis(2)).await?;
        Err::<(), _>(LinkError::Unknown)
    });
    assert!(undone.is_err());
    assert!(links::look(store.readers(), &token.hash(), Millis(2)).await.is_ok());
    write!(store, |tx| people::set_disabled(tx, person, true).await).unwrap();
    let disabled = links::look(store.readers(), &token.hash(), Millis(2)).await;
    assert!(matches!(disabled, Err(LinkError::Unknown)));
    assert_eq!(write!(store, |tx| links::withdraw_of(tx, person).await).unwrap(), 1);
    let unknown = links::look(store.readers(), "no such hash", Millis(2)).await;
    assert!(matches!(unknown, Err(LinkError::Unknown)));
}

fn record(person: i64, seconds: i64) -> Record {
    Record {
        id: Id::default(),
        data: [(PERSON_KEY.to_owned(), json!(person))].into(),
        expiry_date: time::OffsetDateTime::now_utc() + Duration::from_secs(seconds.unsigned_abs()),
    }
}

#[tokio::test]
async fn a_stolen_database_holds_no_usable_session_id() {
    let (_dir, store) = fresh().await;
    let person = ada(&store).await;
    let sessions = Sessions::new(store.clone(), Key::from([7; 32]));
    let mut session = record(person, 60);
    sessions.create(&mut session).await.unwrap();
    let loaded = sessions.load(&session.id).await.unwrap().unwrap();
    assert_eq!((loaded.id, &loaded.data), (session.id, &session.data));
    let id = session.id.to_string();
    store.close().await;
    let dir = store.file().parent().unwrap();
    for file in std::fs::read_dir(dir).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(id.len()).any(|w| w == id.as_bytes()));
        assert!(
            !bytes.windows(16).any(|w| w == session.id.0.to_le_bytes() || w == session.id.0.to_be_bytes())
        );
    }
}

#[tokio::test]
async fn sessions_end_by_time_by_sign_out_and_by_person() {
    let (_dir, store) = fresh().await;
    let person = ada(&store).await;
    let sessions = Sessions::new(store.clone(), Key::from([7; 32]));
    let mut expired = record(person, 0);
    sessions.create(&mut expired).await.unwrap();
    assert!(sessions.load(&expired.id).await.unwrap().is_none());
    let mut kept = record(person, 60);
    let mut gone = record(person, 60);
    let mut out = record(person, 60);
    for session in [&mut kept, &mut gone, &mut out] {
        sessions.create(session).await.unwrap();
    }
    sessions.delete(&out.id).await.unwrap();
    // A request that was in progress when its session ended must not restore it.
    sessions.save(&out).await.unwrap();
    assert!(sessions.load(&out.id).await.unwrap().is_none());
    let but = sessions::id_hash(&kept.id);
    let ended = write!(store, |tx| sessions::end_all(tx, person, Some(&but)).await);
    assert_eq!(ended.unwrap(), 2, "the expired one and the other one");
    assert!(sessions.load(&gone.id).await.unwrap().is_none());
    assert!(sessions.load(&kept.id).await.unwrap().is_some());
    write!(store, |tx| people::set_disabled(tx, person, true).await).unwrap();
    assert!(sessions.load(&kept.id).await.unwrap().is_none(), "a disabled person has no session");
}

#[tokio::test]
async fn a_session_is_looked_up_once_until_something_is_written() {
    let (_dir, store) = fresh().await;
    let person = ada(&store).await;
    let sessions = Sessions::new(store.clone(), Key::from([7; 32]));
    let mut session = record(person, 60);
    sessions.create(&mut session).await.unwrap();
    assert!(sessions.load(&session.id).await.unwrap().is_some());
    store.readers().close().await;
    assert_eq!(sessions.person_of(&session.id).await.unwrap(), Some(person), "no query is needed");
    write!(store, |tx| people::set_disabled(tx, person, true).await).unwrap();
    assert!(sessions.load(&session.id).await.is_err(), "after a write it is read again");
}

#[tokio::test]
async fn no_session_outlives_its_longest_time_however_busy() {
    let (_dir, store) = fresh().await;
    let person = ada(&store).await;
    let sessions = Sessions::new(store.clone(), Key::from([7; 32]));
    let mut session = record(person, 60);
    sessions.create(&mut session).await.unwrap();
    session.expiry_date += Duration::from_secs(90 * 24 * 3600);
    sessions.save(&session).await.unwrap();
    let loaded = sessions.load(&session.id).await.unwrap().unwrap();
    let left = loaded.expiry_date - time::OffsetDateTime::now_utc();
    assert!(left <= Duration::from_millis(sessions::LONGEST_MS), "{left}");
    assert!(left > Duration::from_millis(sessions::LONGEST_MS - 60_000), "{left}");
    let far = loaded.expiry_date.unix_timestamp() * 1000 + 1000;
    assert_eq!(write!(store, |tx| sessions::prune(tx, Millis(far)).await).unwrap(), 1);
}

#[tokio::test]
async fn a_session_that_was_written_or_changed_without_the_key_is_rejected() {
    let (_dir, store) = fresh().await;
    let person = ada(&store).await;
    let sessions = Sessions::new(store.clone(), Key::from([7; 32]));
    let (mut good, mut changed, mut longer) = (record(person, 60), record(person, 60), record(person, 60));
    for session in [&mut good, &mut changed, &mut longer] {
        sessions.create(session).await.unwrap();
    }
    let forged = record(person, 60);
    let mut conn = raw(&store).await;
    // With the HMAC of another row, because a row must have one.
    sqlx::query(
        "INSERT INTO session (id_hash, person, data, created_at, expires_at, mac)
         SELECT ?1, person, data, created_at, expires_at, mac FROM session WHERE id_hash = ?2",
    )
    .bind(sessions::id_hash(&forged.id))
    .bind(sessions::id_hash(&good.id))
    .execute(&mut conn)
    .await
    .unwrap();
    for (change, session) in
        [("data = '{\"person\":0}'", &changed), ("expires_at = expires_at + 60000", &longer)]
    {
        sqlx::query(AssertSqlSafe(format!("UPDATE session SET {change} WHERE id_hash = ?")))
            .bind(sessions::id_hash(&session.id))
            .execute(&mut conn)
            .await
            .unwrap();
    }
    // Without cached sessions.
    let sessions = Sessions::new(store.clone(), Key::from([7; 32]));
    for bad in [&forged, &changed, &longer] {
        assert!(sessions.load(&bad.id).await.unwrap().is_none());
        // Saving does not make it valid.
        sessions.save(bad).await.unwrap();
        assert!(sessions.load(&bad.id).await.unwrap().is_none());
    }
    assert!(sessions.load(&good.id).await.unwrap().is_some());
    sessions.save(&good).await.unwrap();
    assert!(sessions.load(&good.id).await.unwrap().is_some());
    let other_key = Sessions::new(store.clone(), Key::from([8; 32]));
    assert!(other_key.load(&good.id).await.unwrap().is_none());
}
