//! Admins and accounts: the requested end state, password confirmation, and the end of invitations.

use domain::paging::Cursor;
use domain::role::Role;
use domain::time::Millis;
use engine::{Access, ErrorKind};
use store::links::{self, InvitationState, Link, LinkKind};
use store::{StoreError, sessions};

use super::people::{link_in, token};
use crate::support::bench::{Bench, PASSWORD, actor, add, audit_is_whole, by_link, by_password};

fn words(roles: &[&str]) -> Vec<String> {
    roles.iter().map(|r| (*r).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_who_end_the_same_access_at_once_both_succeed() {
    let bench = Bench::new("end-twice");
    let engine = bench.start().await;
    add(&engine, "Second", "second", &[Role::Admin]).await;
    let qa = actor(&engine, "qa").await.id;
    for (access, may_sign_in) in [(Access::Ended, false), (Access::Given, true), (Access::Ended, false)] {
        let (a, b) = (bench.by(&engine, "admin").await, bench.by(&engine, "second").await);
        let (one, two) = tokio::join!(
            engine.set_access(&a, qa, access, PASSWORD),
            engine.set_access(&b, qa, access, PASSWORD)
        );
        let said = [one.unwrap().said, two.unwrap().said];
        assert_eq!(engine.actor(qa).is_some(), may_sign_in, "{said:?}");
        assert_eq!(said.iter().filter(|s| s.contains("nothing was changed")).count(), 1, "{said:?}");
    }
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_access_to_a_person_with_access_ends_no_session() {
    use tower_sessions::SessionStore;
    use tower_sessions::session::{Id, Record};
    let bench = Bench::new("give-twice");
    let engine = bench.start().await;
    let qa = actor(&engine, "qa").await.id;
    let mut record = Record {
        id: Id::default(),
        data: [(sessions::PERSON_KEY.to_owned(), serde_json::json!(qa))].into(),
        expiry_date: time::OffsetDateTime::now_utc() + std::time::Duration::from_secs(600),
    };
    engine.sessions().create(&mut record).await.unwrap();
    engine.set_access(&bench.by(&engine, "admin").await, qa, Access::Given, PASSWORD).await.unwrap();
    let open = sessions::count_of(engine.store().readers(), qa, domain::time::Millis(0)).await.unwrap();
    assert_eq!(open, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_changed_since_they_were_shown_are_not_overwritten() {
    let bench = Bench::new("roles-race");
    let engine = bench.start().await;
    add(&engine, "Second", "second", &[Role::Admin]).await;
    let qa = actor(&engine, "qa").await.id;
    let (a, b) = (bench.by(&engine, "admin").await, bench.by(&engine, "second").await);
    let (po, docs, shown) = (words(&["qa", "po"]), words(&["qa", "docs"]), words(&["qa"]));
    let (one, two) = tokio::join!(
        engine.set_roles(&a, qa, &po, &shown, PASSWORD),
        engine.set_roles(&b, qa, &docs, &shown, PASSWORD)
    );
    let held = engine.actor(qa).unwrap().roles;
    let (won, lost) = match (one, two) {
        (Ok(_), Err(lost)) => (Role::Po, lost),
        (Err(lost), Ok(_)) => (Role::Docs, lost),
        other => panic!("{other:?}"),
    };
    assert!(held.contains(&won) && held.len() == 2, "{held:?}");
    let told = lost.public();
    assert!(told.contains("changed since this page was shown") && told.contains(won.label()), "{told}");
    // What is wanted is so already: no change, and no refusal.
    let ctx = bench.by(&engine, "admin").await;
    let same: Vec<String> = held.iter().map(|r| r.slug().to_owned()).collect();
    engine.set_roles(&ctx, qa, &same, &shown, PASSWORD).await.unwrap();
    // The console changed them, and the server has not heard of it yet.
    let console = bench.open().await;
    console.set_roles_from_console("qa", &[Role::Security]).await.unwrap();
    console.close().await;
    let ctx = bench.by(&engine, "admin").await;
    let stale = engine.set_roles(&ctx, qa, &words(&["qa"]), &same, PASSWORD).await.unwrap_err();
    assert!(stale.public().contains("Security"), "{stale}");
    assert_eq!(engine.actor(qa).unwrap().roles, [Role::Security]);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_loses_the_role_during_the_request_is_refused() {
    let bench = Bench::new("late-admin");
    let engine = bench.start().await;
    let second = add(&engine, "Second", "second", &[Role::Admin]).await;
    let qa = actor(&engine, "qa").await.id;
    let late = bench.by(&engine, "second").await;
    let ctx = bench.by(&engine, "admin").await;
    engine.set_roles(&ctx, second, &words(&["docs"]), &words(&["admin"]), PASSWORD).await.unwrap();
    let refused = engine.set_roles(&late, qa, &words(&["admin"]), &words(&["qa"]), PASSWORD).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(engine.actor(qa).unwrap().roles, [Role::Qa]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_admin_action_and_a_waiver_require_the_password_and_report_what_was_not_done() {
    let bench = Bench::new("ask-again");
    let engine = bench.start().await;
    let qa = actor(&engine, "qa").await.id;
    let digest = crate::support::bench::item_digest(&engine, "A.1").await;
    let until = (time::OffsetDateTime::now_utc() + time::Duration::days(3)).date().to_string();
    let mut told = vec![];
    for wrong in ["", "not my password"] {
        for act in ["invite", "roles", "reset", "access", "waive"] {
            let login = if act == "waive" { "security" } else { "admin" };
            // Each in its own session: the wait after a wrong guess applies to its session.
            let mut ctx = bench.by(&engine, login).await;
            ctx.session = format!("session {}", told.len());
            let answer = match act {
                "invite" => engine.invite(&ctx, "Grace", "grace", &words(&["qa"]), wrong).await,
                "roles" => engine.set_roles(&ctx, qa, &words(&["po"]), &words(&["qa"]), wrong).await,
                "reset" => engine.reset_person(&ctx, qa, wrong).await,
                "access" => engine.set_access(&ctx, qa, Access::Ended, wrong).await,
                _ => engine.waive(&ctx, "A.1", &digest, "why", &until, wrong).await,
            };
            told.push(answer.unwrap_err().public());
        }
    }
    let not_done = [
        "no invitation was created",
        "no role was changed",
        "the password was not reset",
        "access was not changed",
        "nothing was waived",
    ];
    for (told, not_done) in told.iter().zip(not_done.iter().cycle()) {
        assert!(told.contains(not_done) && told.contains("password"), "{told}");
    }
    let admin = actor(&engine, "admin").await;
    assert!(engine.invitations(&admin, Cursor::Newest).await.unwrap().rows.is_empty());
    assert_eq!(engine.actor(qa).unwrap().roles, [Role::Qa]);
    assert!(engine.sign_in(by_password("qa", PASSWORD), "10.0.0.4").await.is_ok());
    // A person who is not an admin is refused, regardless of the password.
    let other = engine.reset_person(&bench.by(&engine, "qa").await, admin.id, "").await.unwrap_err();
    assert!(other.public().contains("Admin"), "{other}");
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_are_listed_withdrawn_and_replaced() {
    let bench = Bench::new("invitations");
    let engine = bench.start().await;
    let admin = actor(&engine, "admin").await;
    let invite = async |name: &str| {
        let ctx = bench.by(&engine, "admin").await;
        let login = name.to_lowercase();
        link_in(&engine.invite(&ctx, name, &login, &words(&["qa", "docs"]), PASSWORD).await.unwrap())
    };
    let state = async |of: &str| {
        let all = engine.invitations(&admin, Cursor::Newest).await.unwrap().rows;
        all.into_iter().filter(|i| i.login == of).map(|i| i.state).collect::<Vec<_>>()
    };
    let grace = invite("Grace").await;
    let all = engine.invitations(&admin, Cursor::Newest).await.unwrap().rows;
    let [one] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((one.name.as_str(), one.made_by.as_str()), ("Grace", "Admin"));
    assert_eq!(one.roles, [Role::Qa, Role::Docs]);
    // Its end is reckoned a moment before it is stored.
    let (life, week) = (one.expires_at.since(one.created_at), 7 * 86_400_000);
    assert!((week - 10_000..=week).contains(&life), "{life} ms");
    assert!(!token(&grace).contains(one.id.as_str()));
    assert!(engine.invitations(&actor(&engine, "qa").await, Cursor::Newest).await.unwrap().rows.is_empty());

    // A new one replaces the old one.
    let newer = invite("Grace").await;
    let old = engine.sign_in(by_link(token(&grace), "", "", PASSWORD), "").await.unwrap_err();
    assert!(old.public().contains("withdrawn"), "{old}");
    assert_eq!(
        state("grace").await,
        [InvitationState::Open, InvitationState::Withdrawn("replaced by a newer invitation".into())]
    );
    engine.sign_in(by_link(token(&newer), "", "", PASSWORD), "").await.unwrap();
    assert_eq!(state("grace").await[0], InvitationState::Joined);
    let joined = engine.invitations(&admin, Cursor::Newest).await.unwrap().rows[0].id.clone();
    let late = engine.withdraw_invitation(&bench.by(&engine, "admin").await, &joined).await.unwrap_err();
    assert!(late.public().contains("already joined"), "{late}");

    // Withdrawn twice is withdrawn.
    let linus = invite("Linus").await;
    let id = engine.invitations(&admin, Cursor::Newest).await.unwrap().rows[0].id.clone();
    assert!(engine.withdraw_invitation(&bench.by(&engine, "qa").await, &id).await.is_err());
    for _ in 0..2 {
        engine.withdraw_invitation(&bench.by(&engine, "admin").await, &id).await.unwrap();
    }
    assert_eq!(state("linus").await, [InvitationState::Withdrawn("withdrawn by Admin".into())]);
    assert!(engine.link(token(&linus)).await.unwrap_err().public().contains("withdrawn"));
    assert!(engine.sign_in(by_link(token(&linus), "", "", PASSWORD), "").await.is_err());
    let none = engine.withdraw_invitation(&bench.by(&engine, "admin").await, "0000000000000000").await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::NotFound);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_are_paged_and_old_ones_can_be_withdrawn() {
    let bench = Bench::new("invitation-pages");
    let engine = bench.start().await;
    let admin = actor(&engine, "admin").await;
    let by = admin.id;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Millis(i64::try_from(now.as_millis()).unwrap());
    let invited = move |n: usize| Link {
        kind: LinkKind::Invite,
        person: None,
        name: format!("Person {n}"),
        login: format!("person-{n}"),
        roles: vec![Role::Qa],
        made_by: Some(by),
        expires_at: now.plus(100_000_000),
    };
    engine
        .store()
        .write(move |tx| {
            Box::pin(async move {
                for n in 0..120 {
                    let at = now.plus(n as u64);
                    links::create(&mut *tx, &format!("{n:016x}{:048x}", 0), &invited(n), at).await?;
                }
                Ok::<_, StoreError>(())
            })
        })
        .await
        .unwrap();
    let (mut cursor, mut seen) = (Cursor::Newest, vec![]);
    loop {
        let page = engine.invitations(&admin, cursor).await.unwrap();
        assert!(page.rows.len() <= 50 && page.open == 120);
        seen.extend(page.rows.into_iter().map(|i| i.login));
        match page.pages.older {
            Some(before) => cursor = Cursor::Before(before),
            None => break,
        }
    }
    assert_eq!(seen, (0..120).rev().map(|n| format!("person-{n}")).collect::<Vec<_>>());
    // The oldest is on the last page, and can be withdrawn as any other.
    engine.withdraw_invitation(&bench.by(&engine, "admin").await, &format!("{:016x}", 0)).await.unwrap();
    assert_eq!(engine.invitations(&admin, Cursor::Newest).await.unwrap().open, 119);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_withdrawn_with_the_admin_who_created_them_and_stay_withdrawn() {
    let bench = Bench::new("made-by");
    let engine = bench.start().await;
    let second = add(&engine, "Second", "second", &[Role::Admin]).await;
    let qa = actor(&engine, "qa").await.id;
    for way in ["disabled", "no admin", "no admin, from the console"] {
        let login = format!("by-{}", way.len());
        let ctx = bench.by(&engine, "second").await;
        let invited =
            link_in(&engine.invite(&ctx, "Grace", &login, &words(&["qa"]), PASSWORD).await.unwrap());
        let ctx = bench.by(&engine, "second").await;
        let reset = link_in(&engine.reset_person(&ctx, qa, PASSWORD).await.unwrap());
        assert!(engine.link(token(&invited)).await.is_ok() && engine.link(token(&reset)).await.is_ok());
        let admin = async || bench.by(&engine, "admin").await;
        let (yes, no) = (words(&["admin"]), words(&["docs"]));
        match way {
            "disabled" => {
                engine.set_access(&admin().await, second, Access::Ended, PASSWORD).await.unwrap();
                engine.set_access(&admin().await, second, Access::Given, PASSWORD).await.unwrap();
            }
            "no admin" => {
                engine.set_roles(&admin().await, second, &no, &yes, PASSWORD).await.unwrap();
                engine.set_roles(&admin().await, second, &yes, &no, PASSWORD).await.unwrap();
            }
            _ => {
                engine.set_roles_from_console("second", &[Role::Docs]).await.unwrap();
                assert!(engine.link(token(&invited)).await.is_err());
                engine.set_roles_from_console("second", &[Role::Admin]).await.unwrap();
            }
        }
        for link in [&invited, &reset] {
            let ended = engine.sign_in(by_link(token(link), "", "", PASSWORD), "").await.unwrap_err();
            assert!(ended.public().contains("withdrawn"), "{way}: {ended}");
        }
        let all = engine.invitations(&actor(&engine, "admin").await, Cursor::Newest).await.unwrap().rows;
        let found = all.iter().find(|i| i.login == login).unwrap();
        assert!(
            matches!(&found.state, InvitationState::Withdrawn(why) if why.contains("no longer")),
            "{found:?}"
        );
    }
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_the_old_password_at_once() {
    let bench = Bench::new("reset-now");
    let engine = bench.start().await;
    let qa = actor(&engine, "qa").await.id;
    let link = link_in(&engine.reset_person(&bench.by(&engine, "admin").await, qa, PASSWORD).await.unwrap());
    assert!(engine.sign_in(by_password("qa", PASSWORD), "10.0.0.5").await.is_err());
    let view = engine.link(token(&link)).await.unwrap();
    assert!(view.wants_password);
    engine.sign_in(by_link(token(&link), "", "", "another long one"), "").await.unwrap();
    assert!(engine.sign_in(by_password("qa", "another long one"), "10.0.0.6").await.is_ok());
    // From the console too.
    engine.person_link("docs", LinkKind::Reset).await.unwrap();
    assert!(engine.sign_in(by_password("docs", PASSWORD), "10.0.0.5").await.is_err());
    // The link would be shown to a session that ends with the reset.
    let admin = bench.by(&engine, "admin").await;
    let own = engine.reset_person(&admin, admin.actor.id, PASSWORD).await.unwrap_err();
    assert!(own.public().contains("Account page"), "{own}");
    assert!(engine.sign_in(by_password("admin", PASSWORD), "10.0.0.5").await.is_ok());
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_changed_since_the_page_was_shown_is_not_replaced() {
    let bench = Bench::new("fill-race");
    let engine = bench.start().await;
    let (a, b) = (bench.by(&engine, "qa").await, bench.by(&engine, "docs").await);
    let (one, two) = tokio::join!(
        engine.fill_field(&a, "own.1.by", "Ada", 0),
        engine.fill_field(&b, "own.1.by", "Grace", 0)
    );
    let field = async || {
        let page = engine.ownership(&actor(&engine, "qa").await).await.unwrap();
        page.lines[0].fields[0].clone()
    };
    let lost = match (one, two) {
        (Ok(_), Err(lost)) | (Err(lost), Ok(_)) => lost.public(),
        other => panic!("{other:?}"),
    };
    let now = field().await.history;
    assert_eq!(now.len(), 1);
    assert!(lost.contains(&now[0].value) && lost.contains(&now[0].by_name), "{lost}");
    // The same value is no change; a different one replaces the value that was shown.
    engine.fill_field(&bench.by(&engine, "docs").await, "own.1.by", &now[0].value, 0).await.unwrap();
    assert_eq!(field().await.history.len(), 1);
    engine.fill_field(&bench.by(&engine, "docs").await, "own.1.by", "Linus", now[0].id).await.unwrap();
    assert_eq!(field().await.history.len(), 2);
    audit_is_whole(&engine).await;
}
