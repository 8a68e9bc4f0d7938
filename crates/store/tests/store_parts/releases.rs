//! Releases, their events and their migrations.

use super::*;

#[tokio::test]
async fn the_current_release_follows_deploys_and_rollbacks() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let current = async || releases::current(store.readers()).await.unwrap();
    assert_eq!(current().await, None);
    let one = release(&store, by, "aaa").await;
    assert_eq!(current().await.unwrap().state, ReleaseState::Opened);
    let deployed = What::Deployed { images: images("1"), migrations: Some(vec!["m1".into()]) };
    happened(&store, one, deployed, 10).await.unwrap();
    happened(&store, one, What::RollbackPoint, 11).await.unwrap();
    let two = release(&store, by, "bbb").await;
    happened(&store, two, What::Failed, 20).await.unwrap();
    let now = current().await.unwrap();
    assert_eq!((now.id, now.state, now.deployed_at), (two, ReleaseState::Failed, None));
    happened(&store, two, What::RolledBackFrom, 30).await.unwrap();
    happened(&store, one, What::RolledBackTo { migrations: None }, 30).await.unwrap();
    let now = current().await.unwrap();
    assert_eq!((now.id, now.state, now.deployed_by), (one, ReleaseState::Deployed, Some(by)));
    assert_eq!((now.deployed_at, now.rollback_point_at), (Some(Millis(10)), Some(Millis(11))));
    assert_eq!((now.parts.images.clone(), now.subject.as_str()), (images("1"), "s"));
    assert_eq!(
        releases::by_id(store.readers(), two).await.unwrap().unwrap().state,
        ReleaseState::RolledBackFrom
    );
    let ids = |list: Vec<domain::release::Release>| list.into_iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(ids(releases::list(store.readers(), 10).await.unwrap()), [two, one]);
    assert_eq!(ids(releases::list(store.readers(), 1).await.unwrap()), [two]);
    assert_eq!(ids(releases::rollback_points(store.readers()).await.unwrap()), [one]);
    happened(&store, one, What::Bad, 40).await.unwrap();
    assert!(releases::rollback_points(store.readers()).await.unwrap().is_empty());
    happened(&store, one, What::RollbackPoint, 50).await.unwrap();
    assert_eq!(ids(releases::rollback_points(store.readers()).await.unwrap()), [one]);
    assert_eq!(current().await.unwrap().id, one, "marks do not move the current release");
    let events = releases::events(store.readers(), one).await.unwrap();
    assert_eq!(
        events.iter().map(|e| e.what.slug()).collect::<Vec<_>>(),
        ["opened", "deployed", "rollback_point", "rolled_back_to", "bad", "rollback_point"]
    );
}

#[tokio::test]
async fn the_newest_list_of_migrations_counts() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let one = release(&store, by, "aaa").await;
    let run = run(&store, "c", 1).await;
    let known = async || releases::by_id(store.readers(), one).await.unwrap().unwrap().migrations;
    let list = async |names: &'static [&'static str], at: i64| {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        write!(store, |tx| store::migration_lists::add(tx, one, run, &names, Millis(at)).await).unwrap();
    };
    assert_eq!(known().await, None);
    list(&["m1"], 5).await;
    assert_eq!(known().await, Some(vec!["m1".to_owned()]));
    let deployed = What::Deployed { images: images("1"), migrations: Some(vec!["m2".into()]) };
    happened(&store, one, deployed, 10).await.unwrap();
    assert_eq!(known().await, Some(vec!["m2".to_owned()]));
    list(&["m2", "m3"], 20).await;
    assert_eq!(known().await.map(|m| m.len()), Some(2));
    happened(&store, one, What::RolledBackTo { migrations: None }, 30).await.unwrap();
    assert_eq!(known().await, None, "unknown after that rollback");
}

#[tokio::test]
async fn the_last_change_of_each_thing_is_known() {
    let (_dir, store) = fresh().await;
    for (key, now, at) in [("commit", "a", 1), ("image:web", "1", 2), ("commit", "b", 3)] {
        let change =
            domain::observed_changes::Change { key: key.into(), was: None, now: now.into(), at: Millis(at) };
        write!(store, |tx| store::changes::add(tx, &change).await).unwrap();
    }
    let last = store::changes::last(store.readers()).await.unwrap();
    let last: Vec<_> = last.iter().map(|c| (c.key.as_str(), c.now.as_str(), c.at)).collect();
    assert_eq!(last, [("image:web", "1", Millis(2)), ("commit", "b", Millis(3))]);
}

#[tokio::test]
async fn the_scheduler_is_not_a_person() {
    let (_dir, store) = fresh().await;
    let read = store.readers();
    assert!(people::list(read).await.unwrap().is_empty());
    assert!(people::by_id(read, people::SCHEDULE).await.unwrap().is_none());
    assert!(people::by_login(read, "(schedule)").await.unwrap().is_none());
    for sql in [
        "UPDATE person SET disabled = 0 WHERE id = 0",
        "INSERT INTO person_role (person, role) VALUES (0, 'admin')",
    ] {
        let refused = write!(store, |tx| {
            sqlx::query(sql).execute(&mut *tx).await?;
            Ok::<_, StoreError>(())
        });
        assert!(
            matches!(&refused, Err(StoreError::Refused(why)) if why.contains("no person")),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn the_images_of_a_release_are_set_by_its_first_deploy() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    let one = release(&store, by, "aaa").await;
    let deploy = |id: &str| What::Deployed { images: images(id), migrations: None };
    happened(&store, one, deploy("1"), 1).await.unwrap();
    happened(&store, one, deploy("1"), 2).await.unwrap();
    let other = happened(&store, one, deploy("2"), 3).await;
    assert!(matches!(other, Err(StoreError::Refused(why)) if why.contains("set once")));
}
