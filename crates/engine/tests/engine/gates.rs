//! Acceptances, attestations, waivers.

use domain::choice::AttestationChoice;
use domain::gate::GateState;
use engine::ErrorKind;

use crate::support::bench::{Bench, PASSWORD, actor, add, audit_is_whole, board, gate_digest, item_digest};
use domain::role::Role;

#[tokio::test(flavor = "multi_thread")]
async fn gates_are_accepted_in_order_if_all_criteria_are_met_and_as_they_were_shown() {
    let bench = Bench::new("gates");
    let engine = bench.start().await;
    let none = bench.accept(&engine, "backend", "A").await.unwrap_err();
    assert!(none.public().contains("No release"), "{none}");
    bench.write("note.txt", "here");
    bench.check(&engine, "devops", "note").await;
    assert_eq!(board(&engine).await.judgement.gate("B").unwrap().state, GateState::Ready);
    let early = bench.accept(&engine, "devops", "B").await.unwrap_err();
    assert!(early.public().contains("in order"), "{early}");
    let open = bench.accept(&engine, "backend", "A").await.unwrap_err();
    assert!(open.public().contains("2 criteria are still open"), "{open}");

    bench.step(&engine, "qa", "A.s1").await;
    let before = gate_digest(&engine, "A").await;
    let stranger = bench.attest(&engine, "devops", "A.2").await.unwrap_err();
    assert!(stranger.public().contains("Backend"), "{stranger}");
    let wrong = bench.attest(&engine, "backend", "A.1").await.unwrap_err();
    assert!(wrong.public().contains("Checks decide this criterion"), "{wrong}");
    let link = engine
        .attest(
            &bench.by(&engine, "backend").await,
            "A.2",
            &item_digest(&engine, "A.2").await,
            AttestationChoice::Attest,
            "seen",
            "javascript:alert(1)",
            0,
        )
        .await
        .unwrap_err();
    assert_eq!(link.kind(), ErrorKind::Invalid);
    bench.attest(&engine, "backend", "A.2").await.unwrap();

    let old =
        engine.accept_gate(&bench.by(&engine, "backend").await, "A", &before, "fine").await.unwrap_err();
    assert!(old.public().contains("changed since"), "{old}");
    let stranger = bench.accept(&engine, "qa", "A").await.unwrap_err();
    assert!(stranger.public().contains("can do this: Backend"), "{stranger}");
    let digest = gate_digest(&engine, "A").await;
    let silent =
        engine.accept_gate(&bench.by(&engine, "backend").await, "A", &digest, "  ").await.unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::Invalid);
    bench.accept(&engine, "backend", "A").await.unwrap();
    assert_eq!(board(&engine).await.judgement.gate("A").unwrap().state, GateState::Accepted);
    bench.accept(&engine, "devops", "B").await.unwrap();

    // A failed re-run withdraws the acceptance of A and affects later gates; a passed one does not restore it.
    bench.units_fail();
    bench.step(&engine, "qa", "A.s1").await;
    let judgement = board(&engine).await.judgement;
    let gate = judgement.gate("A").unwrap();
    assert!(gate.state == GateState::Open && gate.fell_back && gate.is_red());
    bench.units_pass();
    bench.step(&engine, "qa", "A.s1").await;
    let judgement = board(&engine).await.judgement;
    let gate = judgement.gate("A").unwrap();
    assert!(gate.state == GateState::Ready && gate.fell_back, "{:?}", gate.state);
    bench.accept(&engine, "backend", "A").await.unwrap();
    let decision = bench.accept(&engine, "po", "H").await.unwrap_err();
    assert!(decision.public().contains("Sign-offs page"), "{decision}");

    // Withdrawing an attestation opens the gate again.
    let digest = item_digest(&engine, "A.2").await;
    let shown = board(&engine).await.judgement.item("A.2").unwrap().last_word().unwrap().id;
    engine
        .attest(
            &bench.by(&engine, "backend").await,
            "A.2",
            &digest,
            AttestationChoice::Withdraw,
            "I was wrong",
            "",
            shown,
        )
        .await
        .unwrap();
    assert_eq!(board(&engine).await.judgement.gate("A").unwrap().state, GateState::Open);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn security_waives_with_a_reason_and_an_end_but_not_results_of_its_own_runs() {
    let bench = Bench::new("waive");
    let engine = bench.start().await;
    add(&engine, "Second", "second", &[Role::Security, Role::Qa]).await;
    bench.units_fail();
    bench.step(&engine, "second", "A.s1").await;
    let digest = item_digest(&engine, "A.1").await;
    let until = (time::OffsetDateTime::now_utc() + time::Duration::days(3)).date().to_string();
    // Another person runs it again: the person who ran it before still cannot waive it.
    bench.step(&engine, "qa", "A.s1").await;
    let past = engine
        .waive(&bench.by(&engine, "security").await, "A.1", &digest, "why", "2020-01-01", PASSWORD)
        .await;
    assert_eq!(past.unwrap_err().kind(), ErrorKind::Invalid);
    let qa = engine
        .waive(&bench.by(&engine, "qa").await, "A.1", &digest, "why", &until, PASSWORD)
        .await
        .unwrap_err();
    assert!(qa.public().contains("Security or PO"), "{qa}");
    let own = engine
        .waive(&bench.by(&engine, "second").await, "A.1", &digest, "why", &until, PASSWORD)
        .await
        .unwrap_err();
    assert!(own.public().contains("ran the check"), "{own}");
    let derived = item_digest(&engine, "H.c2").await;
    let all = engine
        .waive(&bench.by(&engine, "po").await, "H.c2", &derived, "why", &until, PASSWORD)
        .await
        .unwrap_err();
    assert!(all.public().contains("cannot be waived"), "{all}");
    engine
        .waive(&bench.by(&engine, "security").await, "A.1", &digest, "known flake", &until, PASSWORD)
        .await
        .unwrap();
    let judgement = board(&engine).await.judgement;
    assert!(judgement.item("A.1").unwrap().is_satisfied());
    assert_eq!(judgement.verdict.waivers, 1);
    let page = board(&engine).await;
    assert_eq!((page.waivers[0].waiver.item.as_str(), page.waivers[0].days_left), ("A.1", 3));
    bench.attest(&engine, "backend", "A.2").await.unwrap();
    bench.accept(&engine, "backend", "A").await.unwrap();
    let waiver = page.waivers[0].waiver.id;
    // A second waiver would replace the first one without being seen.
    let twice =
        engine.waive(&bench.by(&engine, "po").await, "A.1", &digest, "me too", &until, PASSWORD).await;
    assert!(twice.unwrap_err().public().contains("Security has already waived"));
    let other = engine.end_waiver(&bench.by(&engine, "po").await, "A.1", waiver + 1).await.unwrap_err();
    assert!(other.public().contains("it is now by Security"), "{other}");
    engine.end_waiver(&bench.by(&engine, "po").await, "A.1", waiver).await.unwrap();
    assert_eq!(board(&engine).await.judgement.gate("A").unwrap().state, GateState::Open);
    assert!(engine.end_waiver(&bench.by(&engine, "po").await, "A.1", waiver).await.is_err());
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_person_sees_their_to_dos_and_blockers_name_people() {
    let bench = Bench::new("todos");
    let engine = bench.start().await;
    bench.write("note.txt", "here");
    bench.step(&engine, "qa", "A.s1").await;
    let waits = async |login: &str| {
        let page = engine.board(&actor(&engine, login).await).await.unwrap();
        let top = engine.top(&actor(&engine, login).await).await.unwrap();
        assert_eq!(top.waiting, page.todos.len(), "the count is that of the list");
        page.todos.into_iter().map(|t| t.what).collect::<Vec<_>>()
    };
    assert_eq!(waits("backend").await, ["Attest A.2"]);
    assert!(waits("qa").await.is_empty() && waits("po").await.is_empty());
    let page = engine.board(&actor(&engine, "backend").await).await.unwrap();
    let gate = page.blockers.iter().find(|b| b.href == "/gates/A").unwrap();
    assert_eq!(gate.owners, [("Backend".to_owned(), vec!["Backend".to_owned()])]);
    assert_eq!(gate.act.as_ref().unwrap().0, "Attest A.2");
    assert!(gate.blocker.since.is_some());
    bench.attest(&engine, "backend", "A.2").await.unwrap();
    assert_eq!(waits("backend").await, ["Accept gate A"]);
    let tomorrow = (time::OffsetDateTime::now_utc() + time::Duration::days(1)).date().to_string();
    let digest = item_digest(&engine, "B.1").await;
    engine
        .waive(&bench.by(&engine, "security").await, "B.1", &digest, "known", &tomorrow, PASSWORD)
        .await
        .unwrap();
    assert_eq!(waits("security").await, ["The waiver of B.1 expires tomorrow"]);
    assert!(waits("devops").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_limits_waivers_and_attestations_expire() {
    let bench = Bench::new("rules");
    bench.edit(
        "stagegate.toml",
        "[gates.A]",
        "[waivers]\nlongest = \"7d\"\n\n[attestations]\n\"A.2\" = \"5d\"\n\n[gates.A]",
    );
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    let digest = item_digest(&engine, "B.1").await;
    let day = |n| (time::OffsetDateTime::now_utc() + time::Duration::days(n)).date().to_string();
    let far = engine
        .waive(&bench.by(&engine, "po").await, "B.1", &digest, "why", &day(9), PASSWORD)
        .await
        .unwrap_err();
    assert!(far.public().contains("at most 7 d"), "{far}");
    engine.waive(&bench.by(&engine, "po").await, "B.1", &digest, "why", &day(7), PASSWORD).await.unwrap();
    bench.attest(&engine, "backend", "A.2").await.unwrap();
    let page = engine.gate(&actor(&engine, "backend").await, "A").await.unwrap();
    assert_eq!(page.attested_for.get("A.2"), Some(&(5 * 86_400_000)));
    assert_eq!(page.waive_until, day(7));
}
