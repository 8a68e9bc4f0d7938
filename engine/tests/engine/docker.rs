//! The whole story on a real engine: deploy, sign, decide, a bad deploy, the way back.

use std::time::Duration;

use domain::evidence::Outcome as Found;
use domain::facts::Choice;
use domain::judge::GateState;
use domain::release::{Part, ReleaseState};
use engine::view::RunState;

use crate::support::bench::{
    Bench, PASSWORD, SECRET, actor, audit_is_whole, board, ended, log, run_id, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_deploy_to_go_and_back_from_a_bad_one_with_docker() {
    let bench = Bench::tinystack("story", "");
    let engine = bench.start().await;
    bench.write("note.txt", "here");
    bench.step(&engine, "qa", "A.s1").await;
    bench.attest(&engine, "backend", "A.2").await.unwrap();
    bench.check(&engine, "devops", "note").await;
    bench.accept(&engine, "backend", "A").await.unwrap();
    bench.accept(&engine, "devops", "B").await.unwrap();
    assert!(bench.accept(&engine, "qa", "F").await.is_err(), "nothing was deployed");

    let done = engine.deploy(&bench.by(&engine, "devops").await).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let first = board(&engine).await;
    let one = first.release.clone().unwrap();
    assert_eq!((one.id, one.state), (1, ReleaseState::Deployed));
    assert_eq!(one.parts.images.keys().collect::<Vec<_>>(), ["web", "worker"]);
    assert_eq!(
        (first.deployed_by.as_deref(), one.parts.get(Part::Commit)),
        (Some("DevOps"), Some(bench.head()))
    );
    let [smoke] = page.evidence.as_slice() else { panic!("{:?}", page.evidence) };
    assert_eq!((smoke.finding.outcome, &smoke.parts.images), (Found::Pass, &one.parts.images), "{smoke:?}");
    assert!(first.judgement.item("F.1").unwrap().is_satisfied(), "{:?}", first.judgement.item("F.1"));
    assert_eq!(
        first.judgement.gate("A").unwrap().state,
        GateState::Accepted,
        "deploying changed what A is about"
    );
    assert!(first.moved_on.is_none(), "{:?}", first.moved_on);
    let said = bench.accept(&engine, "qa", "F").await.unwrap().said;
    assert!(said.contains("rollback point"), "{said}");

    suggestions_are_offered(&bench, &engine).await;
    six_people_sign_and_the_po_decides(&bench, &engine).await;
    a_bad_deploy_is_said(&bench, &engine).await;
    one_click_leads_back(&bench, &engine).await;

    let rows = audit_is_whole(&engine).await;
    for act in
        ["deploy.start", "deploy.end", "rollback.start", "rollback.end", "release.sign", "release.decide"]
    {
        assert!(rows.iter().any(|r| r.event.act == act), "{act} is not in the log");
    }
    assert!(rows.iter().all(|r| !r.event.detail.contains(SECRET)));
}

async fn suggestions_are_offered(bench: &Bench, engine: &engine::Engine) {
    let page = engine.ownership(&actor(engine, "devops").await).await.unwrap();
    let one = board(engine).await.release.unwrap();
    let offered: Vec<_> = page.lines[1].fields.iter().map(|f| f.suggestion.clone().unwrap()).collect();
    assert_eq!(offered, [bench.head()[..7].to_owned(), one.deployed_at.unwrap().date(), "r1".to_owned()]);
    for (field, value) in page.lines[1].fields.iter().zip(&offered) {
        engine.fill_field(&bench.by(engine, "devops").await, &field.field.id, value).await.unwrap();
    }
    let page = engine.ownership(&actor(engine, "devops").await).await.unwrap();
    assert!(page.lines[1].fields.iter().all(|f| f.suggestion.is_none() && f.history.len() == 1));
}

async fn six_people_sign_and_the_po_decides(bench: &Bench, engine: &engine::Engine) {
    until("healthy services", Duration::from_secs(10), || async {
        board(engine).await.judgement.before_signing.is_empty()
    })
    .await;
    for role in ["backend", "frontend", "qa", "security", "devops", "po"] {
        let judged = board(engine).await.judgement;
        assert!(!judged.verdict.is_go());
        let early = engine.decide(&bench.by(engine, "po").await, "go", "now", &judged.digest, PASSWORD).await;
        assert!(early.unwrap_err().public().contains("No-Go"));
        engine
            .sign_off(&bench.by(engine, role).await, role, "go", "", "", &judged.digest, PASSWORD)
            .await
            .unwrap();
    }
    let judged = board(engine).await.judgement;
    assert!(judged.verdict.is_go(), "{:?}", judged.verdict.blockers);
    let qa = bench.by(engine, "qa").await;
    assert!(engine.decide(&qa, "go", "now", &judged.digest, PASSWORD).await.is_err());
    let ctx = bench.keyed(engine, "po", "decide").await;
    engine.decide(&ctx, "go", "ship it", &judged.digest, PASSWORD).await.unwrap();
    // The same form again gives the same answer.
    engine.decide(&ctx, "go", "ship it", &judged.digest, PASSWORD).await.unwrap();
    let judged = board(engine).await.judgement;
    assert_eq!(judged.decision.unwrap().choice, Choice::Go);
    assert!(judged.gates.iter().all(|g| g.state == GateState::Accepted));
    let page = engine.releases(&actor(engine, "po").await).await.unwrap();
    assert_eq!(page.releases[0].decisions.len(), 1);
}

async fn a_bad_deploy_is_said(bench: &Bench, engine: &engine::Engine) {
    bench.edit("docker-compose.yml", "HEALTH: ${HEALTH:-ok}", "HEALTH: ${HEALTH:-bad}");
    bench.edit("docker-compose.yml", "VERSION:-1", "VERSION:-2");
    bench.commit("second, and bad");
    // At once: what is deployed is what lies there, not what was seen last.
    let done = engine.deploy(&bench.by(engine, "backend").await).await.unwrap();
    let page = ended(engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Failed, "{}", log(&page));
    let web = page.failing.iter().find(|f| f.name == "web").unwrap_or_else(|| panic!("{:?}", page.failing));
    assert_eq!(web.health, "unhealthy");
    assert!(page.run.summary.contains("web"), "{}", page.run.summary);
    assert!(page.evidence.is_empty());
    assert!(page.rollback.is_some());
    let bad = board(engine).await;
    let two = bad.release.clone().unwrap();
    assert_eq!(
        (two.id, two.state, two.parts.get(Part::Commit)),
        (2, ReleaseState::Failed, Some(bench.head()))
    );
    assert_eq!(two.subject, "second, and bad");
    assert!(!bad.judgement.verdict.is_go() && bad.judgement.decision.is_none());
    assert!(bad.judgement.verdict.blockers.iter().any(|b| b.what.contains("deploy of this release failed")));
    assert_eq!(bad.failed_deploy.as_ref().map(|r| r.id), Some(page.run.id));
    let offer = bad.rollback.expect("a way back");
    assert_eq!((offer.target.id, offer.offer.reason()), (1, None));
    assert!(offer.services.contains(&"web".to_owned()), "{:?}", offer.services);
    assert_eq!(offer.good_since, offer.target.rollback_point_at.unwrap());
}

async fn one_click_leads_back(bench: &Bench, engine: &engine::Engine) {
    let ctx = bench.keyed(engine, "po", "back").await;
    let bad_choice = engine.roll_back(&ctx, 1, "rollback").await.unwrap_err();
    assert!(bad_choice.public().contains("declares no command"), "{bad_choice}");
    assert!(engine.roll_back(&ctx, 2, "keep").await.is_err(), "release 2 never ran");
    assert!(engine.roll_back(&ctx, 77, "keep").await.is_err());
    let done = engine.roll_back(&ctx, 1, "keep").await.unwrap();
    let page = ended(engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let back = board(engine).await;
    let one = back.release.clone().unwrap();
    assert_eq!((one.id, one.state), (1, ReleaseState::Deployed));
    assert_eq!(page.proof.len(), 2);
    for (service, wanted, running) in &page.proof {
        assert_eq!((wanted, running), (&one.parts.images[service], wanted));
    }
    let [smoke] = page.evidence.as_slice() else { panic!("{:?}", page.evidence) };
    assert_eq!((smoke.finding.outcome, smoke.release), (Found::Pass, 1));
    let page = engine.releases(&actor(engine, "po").await).await.unwrap();
    assert_eq!(page.releases[0].release.state, ReleaseState::RolledBackFrom);
    assert!(back.failed_deploy.is_none());
    // What was found, said and signed about release 1 counts again.
    until("release 1 to be all there", Duration::from_secs(10), || async {
        board(engine).await.judgement.verdict.is_go()
    })
    .await;
    let back = board(engine).await;
    assert!(back.judgement.gates.iter().all(|g| g.state == GateState::Accepted));
    let moved = back.moved_on.expect("the directory is still the second commit's");
    assert!(moved.contains("commit") && moved.contains("still judges release #1"), "{moved}");
    // A check that is run now is about what runs.
    let page = bench.check(engine, "qa", "web-health").await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!(page.evidence[0].parts.images, one.parts.images);
    assert!(board(engine).await.judgement.verdict.is_go());
    assert!(board(engine).await.rollback.is_none(), "there is nowhere to go back to");
    // The drill's line can be filled from it.
    let page = engine.ownership(&actor(engine, "devops").await).await.unwrap();
    assert!(page.lines[2].fields.iter().all(|f| f.suggestion.is_some()), "{:?}", page.lines[2].fields);
    for field in &page.lines[2].fields {
        let value = field.suggestion.clone().unwrap();
        engine.fill_field(&bench.by(engine, "devops").await, &field.field.id, &value).await.unwrap();
    }
}
