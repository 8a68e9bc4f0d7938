//! Links, sign-in, roles, ended access.

use std::time::Duration;

use domain::role::Role;
use engine::{Access, ErrorKind};
use store::audit::Outcome;
use store::links::LinkKind;
use store::sessions;

use crate::support::bench::{Bench, PASSWORD, actor, add, audit_is_whole, by_link, by_password, step_digest};

/// The files below `dir` that contain these bytes.
fn files_with(dir: &std::path::Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if path.is_file() {
            let text = std::fs::read(&path).unwrap();
            if text.windows(bytes.len()).any(|w| w == bytes) {
                found.push(path);
            }
        }
    }
    found
}

/// The path of the link that an answer shows.
pub fn link_in(done: &engine::Done) -> String {
    done.said.split_whitespace().find(|word| word.starts_with("/link/")).unwrap().to_owned()
}

pub fn token(path: &str) -> &str {
    path.strip_prefix("/link/").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setup_link_adds_the_first_admin_once() {
    let bench = Bench::new("setup");
    let engine = bench.open().await;
    assert!(engine.is_new());
    let old = engine.setup_link().await.unwrap();
    let link = engine.setup_link().await.unwrap();
    assert!(engine.link(token(&old)).await.is_err(), "an earlier setup link still works");
    assert!(engine.link(token(&link)).await.unwrap().wants_password);
    let weak = engine.sign_in(by_link(token(&link), "Ada", "ada", "short"), "").await.unwrap_err();
    assert_eq!(weak.field(), Some(engine::FormField::Password));
    assert_eq!(weak.kind(), ErrorKind::Invalid);
    let ada = engine.sign_in(by_link(token(&link), " Ada ", "Ada@Home", PASSWORD), "").await.unwrap().actor;
    assert_eq!((ada.name.as_str(), ada.roles.as_slice()), ("Ada", &[Role::Admin][..]));
    assert!(!engine.is_new());
    let again = engine.sign_in(by_link(token(&link), "Eve", "eve", PASSWORD), "").await.unwrap_err();
    assert!(again.public().contains("already been used"), "{again}");
    assert!(engine.sign_in(by_password("ada@home", PASSWORD), "127.0.0.1").await.is_ok());
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_link_does_not_work_once_a_person_exists() {
    let bench = Bench::new("late-setup");
    let engine = bench.open().await;
    let link = engine.setup_link().await.unwrap();
    add(&engine, "Ada", "ada", &[Role::Admin]).await;
    assert!(engine.sign_in(by_link(token(&link), "Eve", "eve", PASSWORD), "").await.is_err());
    assert_eq!(engine.people(&actor(&engine, "ada").await).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_person_gets_their_roles_and_the_link_is_shown_once() {
    let bench = Bench::new("invite");
    let engine = bench.start().await;
    let ctx = bench.keyed(&engine, "admin", "invite-1").await;
    let roles = ["qa".to_owned(), "docs".to_owned()];
    let done = engine.invite(&ctx, "Grace", "grace", &roles, PASSWORD).await.unwrap();
    let path = link_in(&done);
    let again = engine.invite(&ctx, "Grace", "grace", &roles, PASSWORD).await.unwrap();
    assert!(!again.said.contains("/link/") && again.said.contains("already been shown"), "{}", again.said);
    let view = engine.link(token(&path)).await.unwrap();
    assert_eq!((view.kind, view.login.as_str(), view.wants_password), (LinkKind::Invite, "grace", true));
    // The invited person can choose neither login nor roles.
    let grace = engine.sign_in(by_link(token(&path), "Root", "root", PASSWORD), "").await.unwrap().actor;
    assert_eq!((grace.name.as_str(), grace.roles.as_slice()), ("Grace", &[Role::Qa, Role::Docs][..]));
    let twice = engine.invite(&bench.by(&engine, "admin").await, "Grace", "grace", &roles, PASSWORD).await;
    assert!(twice.unwrap_err().public().contains("taken"));
    let qa = engine.invite(&bench.by(&engine, "qa").await, "X", "x", &roles, PASSWORD).await.unwrap_err();
    assert_eq!(qa.kind(), ErrorKind::Refused);
    assert!(audit_is_whole(&engine).await.iter().all(|r| !r.event.detail.contains("/link/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_set_roles_which_take_effect_immediately() {
    let bench = Bench::new("roles");
    let engine = bench.start().await;
    let qa = actor(&engine, "qa").await.id;
    let words = |roles: &[&str]| roles.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>();
    let ctx = bench.by(&engine, "admin").await;
    engine.set_roles(&ctx, qa, &words(&["po", "qa", "qa"]), &words(&["qa"]), PASSWORD).await.unwrap();
    assert_eq!(engine.actor(qa).unwrap().roles, [Role::Qa, Role::Po]);
    let unknown =
        engine.set_roles(&bench.by(&engine, "admin").await, qa, &words(&["root"]), &[], PASSWORD).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::Invalid);
    let me = actor(&engine, "admin").await.id;
    let last = engine
        .set_roles(&bench.by(&engine, "admin").await, me, &words(&["qa"]), &words(&["admin"]), PASSWORD)
        .await
        .unwrap_err();
    assert!(last.public().contains("last admin"), "{last}");
    let other = engine
        .set_roles(&bench.by(&engine, "qa").await, qa, &words(&["admin"]), &words(&["po", "qa"]), PASSWORD)
        .await
        .unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Refused);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_does_not_reveal_logins_and_limits_guesses() {
    let bench = Bench::new("sign-in");
    let engine = bench.start().await;
    assert_eq!(engine.sign_in(by_password(" QA ", PASSWORD), "10.0.0.1").await.unwrap().actor.name, "QA");
    let wrong = engine.sign_in(by_password("security", "not the password"), "10.0.0.2").await.unwrap_err();
    let nobody = engine.sign_in(by_password("nobody", "not the password"), "10.0.0.3").await.unwrap_err();
    assert_eq!((wrong.kind(), wrong.public()), (nobody.kind(), nobody.public()));
    let mut kinds = vec![];
    for _ in 0..4 {
        kinds.push(
            engine.sign_in(by_password("security", "not the password"), "10.0.0.2").await.unwrap_err().kind(),
        );
    }
    assert!(kinds.contains(&ErrorKind::Throttled), "{kinds:?}");
    let rows = audit_is_whole(&engine).await;
    let refused: Vec<_> =
        rows.iter().filter(|r| r.event.act == "session.sign_in" && !r.event.detail.is_empty()).collect();
    assert_eq!(refused.len(), 2, "one row for each address and hour");
    assert_eq!(refused[1].event.subject, "security");
    assert_eq!(refused[0].event.subject, "an unknown login", "what was typed may be a password");
    engine.close().await;
    let engine = bench.open().await;
    let rows = audit_is_whole(&engine).await;
    let last = rows.iter().find(|r| r.event.act == "session.sign_in").unwrap();
    assert!(last.event.detail.starts_with("4 more refused sign-ins"), "{}", last.event.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_in_while_passwords_are_refused_and_is_recorded_once() {
    let bench = Bench::new("link-throttled");
    let engine = bench.start().await;
    let ip = "10.0.0.2";
    let mut throttled = false;
    for _ in 0..5 {
        let refused = engine.sign_in(by_password("qa", "not the password"), ip).await.unwrap_err();
        throttled |= refused.kind() == ErrorKind::Throttled;
    }
    assert!(throttled, "the password is limited");
    let link = engine.person_link("qa", LinkKind::SignIn).await.unwrap();
    assert_eq!(engine.sign_in(by_link(token(&link), "", "", ""), ip).await.unwrap().actor.name, "QA");
    let again = engine.sign_in(by_link(token(&link), "", "", ""), ip).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound, "a used link is not a throttled password");
    let rows = audit_is_whole(&engine).await;
    let done =
        |act: &str| rows.iter().filter(|r| r.event.act == act && r.event.outcome == Outcome::Done).count();
    assert_eq!((done("link.use"), done("session.sign_in")), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_typed_in_the_login_field_is_recorded_nowhere() {
    let bench = Bench::new("mistyped");
    let engine = bench.start().await;
    const MISTYPED: &str = "my dearest pass phrase";
    // Refused because of a wrong name, then, still waiting, because of too many attempts.
    for _ in 0..3 {
        engine.sign_in(by_password(MISTYPED, PASSWORD), "10.0.0.7").await.unwrap_err();
    }
    engine.sign_in(by_password("qa", "not the password"), "10.0.0.8").await.unwrap_err();
    let rows = audit_is_whole(&engine).await;
    let tries: Vec<_> = rows.iter().filter(|r| r.event.act == "session.sign_in").collect();
    let of = |subject: &str| tries.iter().filter(|r| r.event.subject == subject).count();
    assert!(of("an unknown login") >= 1, "{tries:?}");
    assert_eq!(of("qa"), 1, "a login that exists is named: {tries:?}");
    engine.close().await;
    assert_eq!(files_with(&bench.data(), MISTYPED.as_bytes()), Vec::<std::path::PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_person_can_neither_sign_in_nor_act() {
    let bench = Bench::new("disabled");
    let engine = bench.start().await;
    let held = bench.by(&engine, "qa").await;
    let link = engine.person_link("qa", LinkKind::SignIn).await.unwrap();
    engine
        .set_access(&bench.by(&engine, "admin").await, held.actor.id, Access::Ended, PASSWORD)
        .await
        .unwrap();
    assert!(engine.actor(held.actor.id).is_none());
    // From another address than the sign-in below: the wait after a refused guess applies to its address.
    assert!(engine.sign_in(by_password("qa", PASSWORD), "10.0.0.9").await.is_err());
    assert!(engine.sign_in(by_link(token(&link), "", "", ""), "").await.is_err());
    // A request that was in progress at that moment.
    let digest = step_digest(&engine, "A.s1").await;
    assert_eq!(engine.run_step(&held, "A.s1", &digest).await.unwrap_err().kind(), ErrorKind::Refused);
    let own = bench.by(&engine, "admin").await;
    assert!(engine.set_access(&own, own.actor.id, Access::Ended, PASSWORD).await.is_err());
    engine
        .set_access(&bench.by(&engine, "admin").await, held.actor.id, Access::Given, PASSWORD)
        .await
        .unwrap();
    assert!(engine.sign_in(by_password("qa", PASSWORD), "127.0.0.1").await.is_ok());
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_from_the_console_take_effect_in_a_running_server() {
    let bench = Bench::new("console");
    let server = bench.start().await;
    let qa = actor(&server, "qa").await.id;
    let console = bench.open().await;
    console.set_roles_from_console("qa", &[Role::Docs]).await.unwrap();
    let link = console.person_link("docs", LinkKind::Reset).await.unwrap();
    assert!(server.link(token(&link)).await.is_ok());
    console.close().await;
    crate::support::bench::until("the new roles", Duration::from_secs(4), || async {
        server.actor(qa).unwrap().roles == [Role::Docs]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_and_a_reset_from_the_console_end_the_persons_sessions() {
    use tower_sessions::SessionStore;
    use tower_sessions::session::{Id, Record};
    let bench = Bench::new("reset");
    let engine = bench.start().await;
    let qa = actor(&engine, "qa").await.id;
    let mut record = Record {
        id: Id::default(),
        data: [(sessions::PERSON_KEY.to_owned(), serde_json::json!(qa))].into(),
        expiry_date: time::OffsetDateTime::now_utc() + Duration::from_secs(600),
    };
    engine.sessions().create(&mut record).await.unwrap();
    let now = domain::time::Millis(0);
    let open = async || sessions::count_of(engine.store().readers(), qa, now).await.unwrap();
    assert_eq!(open().await, 1);
    let wrong =
        engine.change_password(&bench.by(&engine, "qa").await, "a guess of mine", "another long one").await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(open().await, 1);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    engine.change_password(&bench.by(&engine, "qa").await, PASSWORD, "another long one").await.unwrap();
    assert_eq!(open().await, 0);
    engine.sessions().create(&mut record).await.unwrap();
    engine.person_link("qa", LinkKind::Reset).await.unwrap();
    assert_eq!(open().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_who_demote_each_other_at_once_leave_one() {
    let bench = Bench::new("admins");
    let engine = bench.start().await;
    let second = add(&engine, "Second", "second", &[Role::Admin]).await;
    let first = actor(&engine, "admin").await.id;
    let qa = ["qa".to_owned()];
    let (a, b) = (bench.by(&engine, "admin").await, bench.by(&engine, "second").await);
    let shown = ["admin".to_owned()];
    let (one, two) = tokio::join!(
        engine.set_roles(&a, second, &qa, &shown, PASSWORD),
        engine.set_roles(&b, first, &qa, &shown, PASSWORD)
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_inserted_into_the_database_gives_no_account() {
    use auth::tokens::Token;
    use sqlx::ConnectOptions as _;
    use store::audit::Outcome;
    let bench = Bench::new("forged-link");
    let engine = bench.start().await;
    let roles = ["qa".to_owned()];
    let invite = async |login: &str| {
        let ctx = bench.by(&engine, "admin").await;
        link_in(&engine.invite(&ctx, login, login, &roles, PASSWORD).await.unwrap())
    };
    let (good, changed) = (invite("grace").await, invite("mallory").await);
    let used = invite("ada").await;
    engine.sign_in(by_link(token(&used), "", "", PASSWORD), "").await.unwrap();
    let people = engine.people(&actor(&engine, "admin").await).await.unwrap().len();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(engine.store().file());
    let mut conn = options.connect().await.unwrap();
    sqlx::raw_sql("DROP TRIGGER link_is_used_once").execute(&mut conn).await.unwrap();
    let forged = Token::generate().unwrap();
    sqlx::query(
        "INSERT INTO link (token_hash, kind, name, login, roles, made_by, created_at, expires_at)
         SELECT ?1, 'invite', 'Eve', 'eve', '[\"po\"]', made_by, created_at, expires_at FROM link WHERE login = 'grace'",
    )
    .bind(forged.hash())
    .execute(&mut conn)
    .await
    .unwrap();
    sqlx::raw_sql(
        "UPDATE link SET roles = '[\"admin\"]' WHERE login = 'mallory';
         UPDATE link SET used_at = NULL, login = 'eve2' WHERE login = 'ada'",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    for bad in [forged.reveal(), token(&changed), token(&used)] {
        let looked = engine.link(bad).await.unwrap_err();
        assert!(looked.public().contains("not made by Stagegate"), "{looked}");
        let refused = engine.sign_in(by_link(bad, "", "", PASSWORD), "").await.unwrap_err();
        assert!(refused.public().contains("ask an admin"), "{refused}");
    }
    assert_eq!(engine.people(&actor(&engine, "admin").await).await.unwrap().len(), people);
    let grace = engine.sign_in(by_link(token(&good), "", "", PASSWORD), "").await.unwrap();
    assert_eq!(grace.actor.roles, [Role::Qa]);
    let rows = audit_is_whole(&engine).await;
    let told: Vec<_> = rows
        .iter()
        .filter(|r| r.event.act == "link.use" && r.event.outcome == Outcome::Refused)
        .map(|r| r.event.detail.as_str())
        .collect();
    assert_eq!(told.len(), 3, "each attempt is recorded, reading the link is not");
    assert!(told.iter().all(|detail| detail.contains("does not match the audit log")), "{told:?}");
    let whole = engine.verify_everything().await.unwrap();
    for named in ["was inserted outside of Stagegate", "was changed outside of Stagegate"] {
        assert!(whole.problems.iter().any(|p| p.starts_with("link ") && p.ends_with(named)), "{whole:?}");
    }
}
