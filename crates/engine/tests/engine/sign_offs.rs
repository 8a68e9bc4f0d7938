//! The requirements of a sign-off. The whole way to Go is tested with a real deploy in `docker.rs`.

use domain::choice::AttestationChoice;
use domain::facts::Choice;
use domain::role::Role;
use engine::ErrorKind;

use crate::support::bench::{Bench, PASSWORD, actor, add, audit_is_whole, board};

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_off_requires_role_password_and_current_evidence_and_one_person_counts_once() {
    let bench = Bench::new("sign");
    let engine = bench.start().await;
    add(&engine, "Both", "both", &[Role::Qa, Role::Security]).await;
    let sign = async |login: &str, role: Role, choice: Choice, digest: &str, password: &str| {
        engine
            .sign_off(
                &bench.by(&engine, login).await,
                role,
                choice,
                "not yet",
                "green tests",
                digest,
                0,
                password,
            )
            .await
    };
    let digest = board(&engine).await.judgement.digest;
    let none = sign("qa", Role::Qa, Choice::NoGo, &digest, PASSWORD).await.unwrap_err();
    assert!(none.public().contains("No release"), "{none}");
    bench.step(&engine, "qa", "A.s1").await;
    let digest = board(&engine).await.judgement.digest;

    let early = sign("qa", Role::Qa, Choice::Go, &digest, PASSWORD).await.unwrap_err();
    assert!(early.public().contains("not deployed yet"), "{early}");
    let wrong = sign("qa", Role::Qa, Choice::NoGo, &digest, "a guess of mine").await.unwrap_err();
    assert!(wrong.public().contains("password is wrong"), "{wrong}");
    assert_eq!(wrong.field(), Some(engine::FormField::Password));
    let old = sign("backend", Role::Backend, Choice::NoGo, "0000", PASSWORD).await.unwrap_err();
    assert!(old.public().contains("changed since"), "{old}");
    let other = sign("backend", Role::Qa, Choice::NoGo, &digest, PASSWORD).await.unwrap_err();
    assert!(other.public().contains("Only QA can do this"), "{other}");
    let docs = sign("docs", Role::Docs, Choice::NoGo, &digest, PASSWORD).await.unwrap_err();
    assert!(docs.public().contains("does not require a sign-off by Docs"), "{docs}");

    let reasonless = engine
        .sign_off(
            &bench.by(&engine, "both").await,
            Role::Qa,
            Choice::NoGo,
            " ",
            "a fix",
            &digest,
            0,
            PASSWORD,
        )
        .await
        .unwrap_err();
    assert!(reasonless.public().contains("the reason"), "{reasonless}");
    let hopeless = engine
        .sign_off(&bench.by(&engine, "both").await, Role::Qa, Choice::NoGo, "slow", "", &digest, 0, PASSWORD)
        .await
        .unwrap_err();
    assert!(hopeless.public().contains("what would change"), "{hopeless}");
    sign("both", Role::Qa, Choice::NoGo, &digest, PASSWORD).await.unwrap();
    let twice = sign("both", Role::Security, Choice::NoGo, &digest, PASSWORD).await.unwrap_err();
    assert!(twice.public().contains("for one role only"), "{twice}");
    let page = engine.sign_offs(&actor(&engine, "both").await).await.unwrap();
    let qa = page.judgement.sign_offs.iter().find(|s| s.role == Some(Role::Qa)).unwrap();
    assert_eq!(qa.counts(), Some(Choice::NoGo));
    let word = qa.last.as_ref().unwrap();
    assert_eq!(word.would_change, "green tests");
    assert!(word.parts.is_some() && word.shown.iter().any(|r| r.item == "A.1" && !r.title.is_empty()));
    assert!(page.judgement.verdict.blockers.iter().any(|b| b.what == "QA signed No-Go"));

    let decide = async |login: &str, choice: Choice| {
        engine.decide(&bench.by(&engine, login).await, choice, "because", &digest, 0, PASSWORD).await
    };
    assert!(decide("po", Choice::Go).await.unwrap_err().public().contains("verdict is No-Go"));
    assert_eq!(decide("qa", Choice::NoGo).await.unwrap_err().kind(), ErrorKind::Refused);
    decide("po", Choice::NoGo).await.unwrap();
    let judgement = board(&engine).await.judgement;
    let decision = judgement.decision.unwrap();
    assert_eq!(decision.choice, Choice::NoGo);
    assert!(!decision.verdict.is_empty() && decision.shown == judgement.shown);
    let rows = audit_is_whole(&engine).await;
    assert!(rows.iter().any(|r| r.event.act == "password.confirm" && r.event.detail == "wrong password"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_who_signs_for_two_roles_at_the_same_time_counts_once() {
    let bench = Bench::new("at-once");
    let engine = bench.start().await;
    add(&engine, "Both", "both", &[Role::Qa, Role::Security]).await;
    bench.step(&engine, "qa", "A.s1").await;
    let digest = board(&engine).await.judgement.digest;
    let sign = async |role: Role| {
        let ctx = bench.by(&engine, "both").await;
        engine.sign_off(&ctx, role, Choice::NoGo, "not yet", "green tests", &digest, 0, PASSWORD).await
    };
    let (one, two) = tokio::join!(sign(Role::Qa), sign(Role::Security));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert_eq!(board(&engine).await.judgement.sign_offs.iter().filter(|s| s.last.is_some()).count(), 1);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_changed_since_the_page_was_shown_is_not_replaced() {
    let bench = Bench::new("unseen");
    let engine = bench.start().await;
    add(&engine, "Second", "second", &[Role::Qa, Role::Po]).await;
    bench.step(&engine, "qa", "A.s1").await;
    let digest = board(&engine).await.judgement.digest;
    let sign = async |login: &str, why: &str, shown: i64| {
        let ctx = bench.by(&engine, login).await;
        engine.sign_off(&ctx, Role::Qa, Choice::NoGo, why, "a fix", &digest, shown, PASSWORD).await
    };
    let (one, two) = tokio::join!(sign("qa", "slow", 0), sign("second", "broken", 0));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let qa = async || {
        let judgement = board(&engine).await.judgement;
        judgement.sign_offs.into_iter().find(|s| s.role == Some(Role::Qa)).unwrap().last.unwrap()
    };
    let first = qa().await;
    let again = if first.by_name == "QA" { "second" } else { "qa" };
    let unseen = sign(again, "the other one", 0).await.unwrap_err();
    assert!(unseen.public().contains(&format!("{} signed No-Go", first.by_name)), "{unseen}");
    sign(again, "the other one", first.id).await.unwrap();
    assert_eq!(qa().await.comment, "the other one");

    let decide = async |login: &str, shown: i64| {
        let ctx = bench.by(&engine, login).await;
        engine.decide(&ctx, Choice::NoGo, "because", &digest, shown, PASSWORD).await
    };
    decide("po", 0).await.unwrap();
    let unseen = decide("second", 0).await.unwrap_err();
    assert!(unseen.public().contains("recorded"), "{unseen}");

    let attest = async |login: &str, choice: AttestationChoice, note: &str, shown: i64| {
        let digest = crate::support::bench::item_digest(&engine, "A.2").await;
        let ctx = bench.by(&engine, login).await;
        engine.attest(&ctx, "A.2", &digest, choice, note, "", shown).await
    };
    let last = async || board(&engine).await.judgement.item("A.2").unwrap().last_word().unwrap().id;
    attest("backend", AttestationChoice::Attest, "it holds", 0).await.unwrap();
    attest("backend", AttestationChoice::Withdraw, "it broke", last().await).await.unwrap();
    // From a page that was shown before both.
    let unseen = attest("backend", AttestationChoice::Attest, "it holds", 0).await.unwrap_err();
    assert!(unseen.public().contains("withdrew the attestation, “it broke”"), "{unseen}");
    attest("backend", AttestationChoice::Attest, "repaired", last().await).await.unwrap();
    audit_is_whole(&engine).await;
}
