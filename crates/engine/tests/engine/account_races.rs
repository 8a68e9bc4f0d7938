//! Accounts that two requests change at the same time.

use std::time::Duration;

use auth::passwords::{Cost, Passwords};
use domain::paging::Cursor;
use domain::role::Role;
use engine::{Access, Engine, ErrorKind};
use store::audit::Outcome;
use store::links::{self, InvitationState};
use store::people;

use super::people::{link_in, token};
use crate::support::bench::{Bench, PASSWORD, actor, add, audit_is_whole, by_link, by_password};

const OTHER: &str = "another long password";

fn qa() -> Vec<String> {
    vec!["qa".to_owned()]
}

/// Stores a password as a password change does, without requiring the old one.
async fn change_password(engine: &Engine, login: &str, password: Option<&str>) {
    let person = actor(engine, login).await.id;
    let cheap = Passwords::new(Cost { memory_kib: 64, passes: 1, lanes: 1 }).unwrap();
    let hash = match password {
        Some(password) => Some(cheap.hash(password.to_owned()).await.unwrap()),
        None => None,
    };
    engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                match hash {
                    Some(hash) => people::set_password(tx, person, &hash).await,
                    None => people::clear_password(tx, person).await.map_err(Into::into),
                }
            })
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_admins_who_invite_one_login_at_once_one_is_refused() {
    let bench = Bench::new("invite-race");
    let engine = bench.start().await;
    add(&engine, "Second", "second", &[Role::Admin]).await;
    // In one server, and in two processes on the same data.
    let other = bench.open().await;
    let roles = qa();
    for (login, second) in [("grace", &engine), ("linus", &other)] {
        let (a, b) = (bench.by(&engine, "admin").await, bench.by(second, "second").await);
        let (one, two) = tokio::join!(
            engine.invite(&a, "Somebody", login, &roles, PASSWORD),
            second.invite(&b, "Somebody", login, &roles, PASSWORD)
        );
        let (won, lost) = match (one, two) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            other => panic!("{login}: {other:?}"),
        };
        assert_eq!(lost.kind(), ErrorKind::Conflict);
        assert!(lost.public().contains(login) && lost.public().contains("Reload the page"), "{lost}");
        let all = engine.invitations(&a.actor, Cursor::Newest).await.unwrap().rows;
        let open: Vec<_> = all.iter().filter(|i| i.login == login).map(|i| &i.state).collect();
        assert_eq!(open, [&InvitationState::Open]);
        engine.sign_in(by_link(token(&link_in(&won)), "", "", PASSWORD), "").await.unwrap();
    }
    other.close().await;
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_for_a_login_that_is_already_taken_adds_no_second_person() {
    let bench = Bench::new("accept-race");
    let engine = bench.start().await;
    let invite = async |login: &str| {
        let ctx = bench.by(&engine, "admin").await;
        link_in(&engine.invite(&ctx, "Somebody", login, &qa(), PASSWORD).await.unwrap())
    };
    // The same link twice, at once.
    let path = invite("grace").await;
    let (one, two) = tokio::join!(
        engine.sign_in(by_link(token(&path), "", "", PASSWORD), ""),
        engine.sign_in(by_link(token(&path), "", "", OTHER), "")
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert!([one, two].into_iter().find_map(Result::err).unwrap().public().contains("already been used"));

    // Another person gets the login while the password is hashed, in a way that ignores the invitation.
    let path = invite("linus").await;
    let add = engine.store().write(|tx| {
        Box::pin(async move { people::create(tx, "Linus", "linus", &[], domain::time::Millis(1)).await })
    });
    let (used, added) = tokio::join!(engine.sign_in(by_link(token(&path), "", "", PASSWORD), ""), add);
    added.unwrap();
    let refused = used.unwrap_err();
    assert!(
        refused.public().contains("“linus” is taken") && refused.public().contains("ask an admin"),
        "{refused}"
    );

    // Whoever adds the person from the command line ends the invitation.
    let path = invite("ada").await;
    add_from_console(&bench, "ada").await;
    let ended = engine.sign_in(by_link(token(&path), "", "", PASSWORD), "").await.unwrap_err();
    assert!(ended.public().contains("withdrawn"), "{ended}");
    audit_is_whole(&engine).await;
}

async fn add_from_console(bench: &Bench, login: &str) {
    let console = bench.open().await;
    add(&console, "Somebody", login, &[]).await;
    console.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_either_used_or_withdrawn() {
    let bench = Bench::new("withdraw-race");
    let engine = bench.start().await;
    let mut used_first = 0;
    for n in 0..12_u64 {
        let login = format!("guest-{n}");
        let ctx = bench.by(&engine, "admin").await;
        let path = link_in(&engine.invite(&ctx, "Guest", &login, &qa(), PASSWORD).await.unwrap());
        let listed = engine.invitations(&ctx.actor, Cursor::Newest).await.unwrap().rows;
        let id = listed.iter().find(|i| i.login == login).unwrap().id.clone();
        // Used as the page does it, but without the time that a hash takes.
        let hash = auth::tokens::Token::parse(token(&path)).unwrap().hash();
        let use_it = async {
            tokio::time::sleep(Duration::from_millis(n)).await;
            let now = domain::time::Millis(2);
            engine
                .store()
                .write(move |tx| Box::pin(async move { links::consume(tx, &hash, now).await.map(|_| ()) }))
                .await
        };
        let ctx = bench.by(&engine, "admin").await;
        let (withdrawn, used) = tokio::join!(engine.withdraw_invitation(&ctx, &id), use_it);
        assert!(withdrawn.is_ok() != used.is_ok(), "{n}: {withdrawn:?} {used:?}");
        used_first += u32::from(used.is_ok());
    }
    assert!(used_first > 0, "the two requests never ran at the same time");
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renewing_a_hash_at_sign_in_does_not_replace_a_changed_password() {
    let bench = Bench::new("rehash-race");
    let engine = bench.start().await;
    // Everybody's hash is a cheap one, so each first sign-in renews it, which takes a while.
    for (login, changed) in [("qa", Some(OTHER)), ("docs", None)] {
        let signs_in = {
            let engine = engine.clone();
            tokio::spawn(async move { engine.sign_in(by_password(login, PASSWORD), "10.0.1.1").await })
        };
        tokio::time::sleep(Duration::from_millis(40)).await;
        change_password(&engine, login, changed).await;
        let late = signs_in.await.unwrap();
        let stored = people::credentials(engine.store().readers(), login).await.unwrap().unwrap();
        assert_eq!(
            stored.password_hash.is_some(),
            changed.is_some(),
            "{login}: a reset password is valid again"
        );
        assert!(late.is_err(), "{login}: the password was changed before the sign-in was recorded");
        assert!(
            engine.sign_in(by_password(login, PASSWORD), "10.0.1.2").await.is_err(),
            "{login}: the old password still works"
        );
    }
    engine.sign_in(by_password("qa", OTHER), "10.0.1.3").await.unwrap();
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_refused_if_the_password_changes_meanwhile() {
    let bench = Bench::new("session-race");
    let engine = bench.start().await;
    let link = engine.person_link("docs", links::LinkKind::Reset).await.unwrap();
    let by_link = engine.sign_in(by_link(token(&link), "", "", PASSWORD), "").await.unwrap();
    let by_password = engine.sign_in(by_password("qa", PASSWORD), "10.0.4.1").await.unwrap();
    let (_, by_change) =
        engine.change_password(&bench.by(&engine, "po").await, PASSWORD, OTHER).await.unwrap();
    for (login, who) in [("docs", by_link), ("qa", by_password), ("po", by_change)] {
        assert!(engine.is_still_valid(&who).await.unwrap(), "{login}");
        change_password(&engine, login, Some("a third long password")).await;
        assert!(!engine.is_still_valid(&who).await.unwrap(), "{login}: changed");
        change_password(&engine, login, None).await;
        assert!(!engine.is_still_valid(&who).await.unwrap(), "{login}: reset");
    }
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_sign_ins_of_one_person_succeed_although_each_renews_the_hash() {
    let bench = Bench::new("rehash-twice");
    let engine = bench.start().await;
    let (a, b, c) = tokio::join!(
        engine.sign_in(by_password("qa", PASSWORD), "10.0.2.1"),
        engine.sign_in(by_password("qa", PASSWORD), "10.0.2.2"),
        engine.sign_in(by_password("qa", PASSWORD), "10.0.2.3")
    );
    for signed_in in [a, b, c] {
        signed_in.unwrap();
    }
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_during_a_password_change_takes_precedence() {
    let bench = Bench::new("change-race");
    let engine = bench.start().await;
    let ctx = bench.by(&engine, "qa").await;
    let changes = {
        let engine = engine.clone();
        tokio::spawn(async move { engine.change_password(&ctx, PASSWORD, OTHER).await })
    };
    tokio::time::sleep(Duration::from_millis(40)).await;
    change_password(&engine, "qa", None).await;
    let refused = changes.await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.public().contains("nothing was saved"), "{refused}");
    assert!(
        engine.sign_in(by_password("qa", OTHER), "10.0.3.1").await.is_err(),
        "the account can be used again"
    );
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_keeps_access_although_the_console_demotes_the_other_one_meanwhile() {
    let bench = Bench::new("last-admin");
    let engine = bench.start().await;
    let second = add(&engine, "Second", "second", &[Role::Admin]).await;
    let console = bench.open().await;
    for _ in 0..8 {
        let ctx = bench.by(&engine, "admin").await;
        let (ended, demoted) = tokio::join!(
            engine.set_access(&ctx, second, Access::Ended, PASSWORD),
            console.set_roles_from_console("admin", &[Role::Docs])
        );
        demoted.unwrap();
        let log =
            store::audit::list(engine.store().readers(), store::audit::Filter::default(), 20).await.unwrap();
        let at = |act: &str| {
            log.iter().find(|r| r.event.act == act && r.event.outcome == Outcome::Done).map_or(0, |r| r.seq)
        };
        if ended.is_ok() {
            assert!(at("person.disable") < at("person.roles"), "access ended after the other lost the role");
        }
        engine.set_roles_from_console("admin", &[Role::Admin]).await.unwrap();
        if ended.is_ok() {
            let ctx = bench.by(&engine, "admin").await;
            engine.set_access(&ctx, second, Access::Given, PASSWORD).await.unwrap();
        }
    }
    console.close().await;
    audit_is_whole(&engine).await;
}
