//! Accepting, attesting, waiving.

use domain::judge::GateState;
use engine::ErrorKind;

use crate::support::bench::{Bench, add, audit_is_whole, board, gate_digest, item_digest};
use domain::role::Role;

#[tokio::test(flavor = "multi_thread")]
async fn gates_are_accepted_in_order_when_nothing_is_open_and_as_they_were_shown() {
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
    assert!(wrong.public().contains("decided by its checks"), "{wrong}");
    let link = engine
        .attest(
            &bench.by(&engine, "backend").await,
            "A.2",
            &item_digest(&engine, "A.2").await,
            true,
            "seen",
            "javascript:alert(1)",
        )
        .await
        .unwrap_err();
    assert_eq!(link.kind(), ErrorKind::Invalid);
    bench.attest(&engine, "backend", "A.2").await.unwrap();

    let old =
        engine.accept_gate(&bench.by(&engine, "backend").await, "A", &before, "fine").await.unwrap_err();
    assert!(old.public().contains("changed since"), "{old}");
    let stranger = bench.accept(&engine, "qa", "A").await.unwrap_err();
    assert!(stranger.public().contains("owners: Backend"), "{stranger}");
    let digest = gate_digest(&engine, "A").await;
    let silent =
        engine.accept_gate(&bench.by(&engine, "backend").await, "A", &digest, "  ").await.unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::Invalid);
    bench.accept(&engine, "backend", "A").await.unwrap();
    assert_eq!(board(&engine).await.judgement.gate("A").unwrap().state, GateState::Accepted);
    bench.accept(&engine, "devops", "B").await.unwrap();

    // A failing re-run takes A back, and with it the order; a good one does not make it as it was.
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
    assert!(decision.public().contains("sign-off page"), "{decision}");

    // A word taken back opens the gate again.
    let digest = item_digest(&engine, "A.2").await;
    engine
        .attest(&bench.by(&engine, "backend").await, "A.2", &digest, false, "I was wrong", "")
        .await
        .unwrap();
    assert_eq!(board(&engine).await.judgement.gate("A").unwrap().state, GateState::Open);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn security_waives_with_reason_and_end_but_not_what_it_found_itself() {
    let bench = Bench::new("waive");
    let engine = bench.start().await;
    add(&engine, "Second", "second", &[Role::Security, Role::Qa]).await;
    bench.units_fail();
    bench.step(&engine, "second", "A.s1").await;
    let digest = item_digest(&engine, "A.1").await;
    let until = (time::OffsetDateTime::now_utc() + time::Duration::days(3)).date().to_string();
    let past = engine.waive(&bench.by(&engine, "security").await, "A.1", &digest, "why", "2020-01-01").await;
    assert_eq!(past.unwrap_err().kind(), ErrorKind::Invalid);
    let qa = engine.waive(&bench.by(&engine, "qa").await, "A.1", &digest, "why", &until).await.unwrap_err();
    assert!(qa.public().contains("Security or PO"), "{qa}");
    let own =
        engine.waive(&bench.by(&engine, "second").await, "A.1", &digest, "why", &until).await.unwrap_err();
    assert!(own.public().contains("ran the check"), "{own}");
    let derived = item_digest(&engine, "H.c2").await;
    let all =
        engine.waive(&bench.by(&engine, "po").await, "H.c2", &derived, "why", &until).await.unwrap_err();
    assert!(all.public().contains("cannot be waived"), "{all}");
    engine.waive(&bench.by(&engine, "security").await, "A.1", &digest, "known flake", &until).await.unwrap();
    let judgement = board(&engine).await.judgement;
    assert!(judgement.item("A.1").unwrap().is_satisfied());
    assert_eq!(judgement.verdict.waivers, 1);
    bench.attest(&engine, "backend", "A.2").await.unwrap();
    bench.accept(&engine, "backend", "A").await.unwrap();
    engine.end_waiver(&bench.by(&engine, "po").await, "A.1").await.unwrap();
    assert_eq!(board(&engine).await.judgement.gate("A").unwrap().state, GateState::Open);
    assert!(engine.end_waiver(&bench.by(&engine, "po").await, "A.1").await.is_err());
    audit_is_whole(&engine).await;
}
