//! The whole story on a real engine: deploy, sign, decide, a bad deploy, the rollback.

use std::time::Duration;

use domain::choice::DatabaseChoice;
use domain::evidence::Outcome as Found;
use domain::facts::Choice;
use domain::gate::GateState;
use domain::release::{ReleaseComponent, ReleaseState};
use engine::Return;
use engine::view::{BoardView, RunKind, RunState};

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

    let done = bench.deploy(&engine, "devops").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let first = board(&engine).await;
    let one = first.release.clone().unwrap();
    assert_eq!((one.id, one.state), (1, ReleaseState::Deployed));
    assert_eq!(one.parts.images.keys().collect::<Vec<_>>(), ["web", "worker"]);
    assert_eq!(
        (first.deployed_by.as_deref(), one.parts.get(ReleaseComponent::Commit)),
        (Some("DevOps"), Some(bench.head()))
    );
    let [smoke] = page.evidence.as_slice() else { panic!("{:?}", page.evidence) };
    assert_eq!((smoke.finding.outcome, &smoke.parts.images), (Found::Pass, &one.parts.images), "{smoke:?}");
    assert!(first.judgement.item("F.1").unwrap().is_satisfied(), "{:?}", first.judgement.item("F.1"));
    assert_eq!(
        first.judgement.gate("A").unwrap().state,
        GateState::Accepted,
        "the deploy changed the parts of gate A"
    );
    assert!(first.moved_on.is_none(), "{:?}", first.moved_on);
    let said = bench.accept(&engine, "qa", "F").await.unwrap().said;
    assert!(said.contains("rollback target"), "{said}");

    suggestions_are_offered(&bench, &engine).await;
    six_people_sign_and_the_po_decides(&bench, &engine).await;
    a_bad_deploy_is_reported(&bench, &engine).await;
    one_click_rolls_back(&bench, &engine).await;

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
        engine.fill_field(&bench.by(engine, "devops").await, &field.field.id, value, 0).await.unwrap();
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
        let early = engine
            .decide(&bench.by(engine, "po").await, Choice::Go, "now", &judged.digest, 0, PASSWORD)
            .await;
        assert!(early.unwrap_err().public().contains("No-Go"));
        engine
            .sign_off(
                &bench.by(engine, role).await,
                role.parse().unwrap(),
                Choice::Go,
                "",
                "",
                &judged.digest,
                0,
                PASSWORD,
            )
            .await
            .unwrap();
    }
    let judged = board(engine).await.judgement;
    assert!(judged.verdict.is_go(), "{:?}", judged.verdict.blockers);
    let qa = bench.by(engine, "qa").await;
    assert!(engine.decide(&qa, Choice::Go, "now", &judged.digest, 0, PASSWORD).await.is_err());
    let ctx = bench.keyed(engine, "po", "decide").await;
    engine.decide(&ctx, Choice::Go, "ship it", &judged.digest, 0, PASSWORD).await.unwrap();
    // The same form again gives the same answer.
    engine.decide(&ctx, Choice::Go, "ship it", &judged.digest, 0, PASSWORD).await.unwrap();
    let judged = board(engine).await.judgement;
    assert_eq!(judged.decision.unwrap().choice, Choice::Go);
    assert!(judged.gates.iter().all(|g| g.state == GateState::Accepted));
    let page = engine.releases(&actor(engine, "po").await).await.unwrap();
    assert_eq!(page.releases[0].decisions.len(), 1);
}

async fn a_bad_deploy_is_reported(bench: &Bench, engine: &engine::Engine) {
    bench.edit("docker-compose.yml", "HEALTH: ${HEALTH:-ok}", "HEALTH: ${HEALTH:-bad}");
    bench.commit("second, and bad");
    // Immediately: the current checkout is deployed, not the last observed one.
    let done = bench.deploy(engine, "backend").await.unwrap();
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
        (two.id, two.state, two.parts.get(ReleaseComponent::Commit)),
        (2, ReleaseState::Failed, Some(bench.head()))
    );
    assert_eq!(two.subject, "second, and bad");
    assert!(!bad.judgement.verdict.is_go() && bad.judgement.decision.is_none());
    assert!(bad.judgement.verdict.blockers.iter().any(|b| b.what.contains("deploy of this release failed")));
    assert_eq!(bad.failed_deploy.as_ref().map(|r| r.id), Some(page.run.id));
    let offer = bad.rollback.expect("a rollback target");
    assert_eq!((offer.target.id, offer.offer.reason()), (1, None));
    assert!(offer.services.contains(&"web".to_owned()), "{:?}", offer.services);
    assert_eq!(offer.good_since, offer.target.rollback_point_at.unwrap());
}

/// The rollback opened an incident automatically; people add its cause and follow-ups.
async fn an_incident_is_open(bench: &Bench, engine: &engine::Engine, board: &BoardView) {
    let row = board.unexplained.clone().expect("an incident without a cause");
    let (id, report) = (row.incident.id, &row.incident.report);
    assert_eq!((row.incident.from, row.incident.to, report.complete), (Some(2), 1, true));
    let told: Vec<&str> = report.timeline.iter().map(|m| m.what.as_str()).collect();
    for part in ["failed to deploy, by Backend", "PO started a rollback to #1", "running and healthy again"] {
        assert!(told.iter().any(|t| t.contains(part)), "{part} in {told:?}");
    }
    assert!(report.timeline.is_sorted_by_key(|m| m.at));
    assert!(report.failing.iter().any(|w| w.service == "web"), "{:?}", report.failing);
    let diff = report.diff.as_ref().expect("both releases are known");
    // The failed deploy's images are known too: what did not change is not said to differ.
    assert!(diff.services == ["web"] && diff.config, "{diff:?}");
    // The bad release did not answer when the watch began, and the good one did when it ended.
    let [outage] = report.outages.as_slice() else { panic!("{:?}", report.outages) };
    assert!(outage.answers_now && outage.asked > outage.missed, "{outage:?}");

    let qa = || bench.by(engine, "qa");
    assert!(engine.name_cause(&qa().await, id, "  ", 0).await.is_err(), "a cause must not be empty");
    assert!(engine.name_cause(&qa().await, 99, "x", 0).await.is_err());
    engine.name_cause(&qa().await, id, "HEALTH was <good>", 0).await.unwrap();
    let first = engine.incident(&actor(engine, "qa").await, id).await.unwrap().notes[0].id;
    // Somebody whose page does not show that cause yet does not replace it.
    let unseen = engine.name_cause(&qa().await, id, "HEALTH was <bad>", 0).await.unwrap_err();
    assert!(unseen.public().contains("HEALTH was <good>"), "{unseen}");
    engine.name_cause(&qa().await, id, "HEALTH was <bad>", first).await.unwrap();
    engine.add_follow_up(&qa().await, id, "check HEALTH before a deploy").await.unwrap();
    let page = engine.incident(&actor(engine, "qa").await, id).await.unwrap();
    assert_eq!((page.row.cause.as_deref(), page.row.open_follow_ups), (Some("HEALTH was <bad>"), 1));
    let follow_up = page.notes[2].id;
    engine.finish_follow_up(&qa().await, id, follow_up).await.unwrap();
    assert!(engine.finish_follow_up(&qa().await, id, follow_up).await.is_err(), "done once");
    assert!(crate::support::bench::board(engine).await.unexplained.is_none());
    let text = engine.incident_markdown(id).await.unwrap();
    assert!(text.contains("HEALTH was \\<bad\\>") && text.contains("- [x] check HEALTH"), "{text}");
    assert!(!text.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_goes_back_and_returns_with_docker() {
    let drill = "\n[[check]]\nid = \"drill\"\ntitle = \"Rollback drill\"\nkind = \"drill\"\n\
                 proves = [{ criterion = \"B.1\", contains = \"note\" }]\nexpect = \"< 2 min\"\nvalid_for = \"30d\"\n";
    let bench = Bench::tinystack("drill", drill);
    let engine = bench.start().await;
    bench.write("note.txt", "here");
    assert!(bench.drill(&engine, "devops").await.is_err(), "nothing runs");
    let done = bench.deploy(&engine, "devops").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let alone = bench.drill(&engine, "devops").await.unwrap_err();
    assert!(alone.public().contains("no earlier release"), "{alone}");
    assert!(bench.try_check(&engine, "devops", "drill").await.unwrap_err().public().contains("Releases"));

    bench.edit("docker-compose.yml", "VERSION:-1", "VERSION:-2");
    bench.commit("second");
    let done = bench.deploy(&engine, "devops").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let before = board(&engine).await.release.unwrap();
    assert_eq!(before.id, 2);
    assert!(bench.drill(&engine, "qa").await.is_err(), "not QA's");

    let done = bench.drill(&engine, "devops").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!(page.run.kind, RunKind::Drill);
    for (service, wanted, running) in &page.proof {
        assert_eq!((wanted, running), (&before.parts.images[service], wanted));
    }
    let after = board(&engine).await;
    assert_eq!(after.release.map(|r| (r.id, r.state)), Some((2, ReleaseState::Deployed)));
    assert!(after.unexplained.is_none(), "a drill is no incident");
    let evidence = page.evidence.iter().find(|e| e.check == "drill").unwrap_or_else(|| panic!("{page:?}"));
    assert_eq!(evidence.finding.outcome, Found::Pass, "{evidence:?}");
    assert!(evidence.finding.value.is_some_and(|minutes| minutes > 0.0 && minutes < 2.0), "{evidence:?}");
    let releases = engine.releases(&actor(&engine, "po").await).await.unwrap();
    let figures = releases.drill.result.expect("the drill is on record");
    assert!(figures.away_ms > 0 && figures.back_ms > 0 && figures.outages.len() == 1, "{figures:?}");
    let page = engine.ownership(&actor(&engine, "devops").await).await.unwrap();
    let notes = page.lines[2].fields[2].suggestion.clone().unwrap();
    assert!(notes.contains("rollback in") && notes.contains("longest outage"), "{notes}");
    audit_is_whole(&engine).await;
}

async fn one_click_rolls_back(bench: &Bench, engine: &engine::Engine) {
    let ctx = bench.keyed(engine, "po", "back").await;
    let bad_choice = engine
        .roll_back(&ctx, &Return { database: DatabaseChoice::Rollback, ..Return::to(1) })
        .await
        .unwrap_err();
    assert!(bad_choice.public().contains("declares no command"), "{bad_choice}");
    assert!(engine.roll_back(&ctx, &Return::to(2)).await.is_err(), "release 2 never ran");
    assert!(engine.roll_back(&ctx, &Return::to(77)).await.is_err());
    let done = engine.roll_back(&ctx, &Return::to(1)).await.unwrap();
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
    an_incident_is_open(bench, engine, &back).await;
    // Evidence, attestations and sign-offs of release 1 count again.
    until("release 1 to be Go again", Duration::from_secs(10), || async {
        board(engine).await.judgement.verdict.is_go()
    })
    .await;
    let back = board(engine).await;
    assert!(back.judgement.gates.iter().all(|g| g.state == GateState::Accepted));
    let moved = back.moved_on.expect("the directory is still the second commit's");
    assert!(moved.contains("commit") && moved.contains("still shows release #1"), "{moved}");
    // A check that runs now is about the running release.
    let page = bench.check(engine, "qa", "web-health").await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!(page.evidence[0].parts.images, one.parts.images);
    assert!(board(engine).await.judgement.verdict.is_go());
    assert!(board(engine).await.rollback.is_none(), "there is no rollback target");
    // The drill's line can be filled from it.
    let page = engine.ownership(&actor(engine, "devops").await).await.unwrap();
    assert!(page.lines[2].fields.iter().all(|f| f.suggestion.is_some()), "{:?}", page.lines[2].fields);
    for field in &page.lines[2].fields {
        let value = field.suggestion.clone().unwrap();
        engine.fill_field(&bench.by(engine, "devops").await, &field.field.id, &value, 0).await.unwrap();
    }
}
