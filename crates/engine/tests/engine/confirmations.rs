//! Only what was confirmed is done: a form that showed something else is refused without effect.

use std::fs;

use engine::view::RunState;
use engine::{Deployment, ErrorKind, Return};

use crate::support::bench::{Bench, actor, audit_is_whole, board, ended, log, run_id, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_after_the_page_was_shown_refuses_the_deploy_and_is_named() {
    let bench = Bench::new("moved");
    let engine = bench.start().await;
    let shown = bench.shown(&engine).await;
    let first = bench.head();
    bench.write("unit.sh", "cat unit.txt; test -e unit.ok # again\n");
    bench.commit("second");
    let second = bench.head();
    let wish = Deployment { shown: shown.clone(), without_backup: false };
    let refused = engine.deploy(&bench.by(&engine, "devops").await, &wish).await.unwrap_err();
    let said = refused.public();
    assert!(said.contains("since this page was shown"), "{said}");
    assert!(said.contains(&first[..7]) && said.contains(&second[..7]), "{said}");
    let refused = engine.open_release(&bench.by(&engine, "devops").await, &shown).await.unwrap_err();
    assert!(refused.public().contains(&second[..7]), "{refused}");
    let now = board(&engine).await;
    assert!(now.release.is_none() && now.running.is_empty(), "a refused deploy opened a release");

    // The commit alone is not enough: another env file is another release.
    let shown = bench.shown(&engine).await;
    let env = fs::read_to_string(bench.dir().join(".env.bench")).unwrap();
    bench.write(".env.bench", &format!("{env}NEW=1\n"));
    let wish = Deployment { shown, without_backup: false };
    let refused = engine.deploy(&bench.by(&engine, "devops").await, &wish).await.unwrap_err();
    assert!(refused.public().contains("env file"), "{refused}");
    // A tracked file that was changed shows in the same commit.
    let shown = bench.shown(&engine).await;
    bench.write("unit.sh", "true\n");
    let wish = Deployment { shown, without_backup: false };
    let refused = engine.deploy(&bench.by(&engine, "devops").await, &wish).await.unwrap_err();
    assert!(refused.public().contains("Tracked files have changed"), "{refused}");
    // A form without what it showed confirms nothing.
    let blind = Deployment::default();
    let refused = engine.deploy(&bench.by(&engine, "devops").await, &blind).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    // What is shown now can be confirmed.
    bench.open_release(&engine, "devops").await.unwrap();
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_whose_declaration_has_changed_is_not_run() {
    let bench = Bench::new("declared");
    let engine = bench.start().await;
    let qa = actor(&engine, "qa").await;
    let page = engine.gate(&qa, "A").await.unwrap();
    let check = page.checks.iter().find(|c| c.check.id == "unit").expect("a check of gate A");
    bench.edit("runbook.md", "tests\nsh unit.sh", "tests\nsh ./unit.sh");
    until("the runbook to be read", std::time::Duration::from_secs(20), || async {
        engine.gate(&qa, "A").await.unwrap().run_all_digest != page.run_all_digest
    })
    .await;
    let ctx = bench.by(&engine, "devops").await;
    let refused = engine.run_check(&ctx, "unit", &check.digest).await.unwrap_err();
    assert!(refused.public().contains("since this page was shown"), "{refused}");
    let ctx = bench.by(&engine, "devops").await;
    let refused = engine.run_gate(&ctx, "A", &page.run_all_digest).await.unwrap_err();
    assert!(refused.public().contains("since this page was shown"), "{refused}");
    assert!(board(&engine).await.running.is_empty());
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_showed_another_release_is_refused_with_docker() {
    let bench = Bench::tinystack("shown", "");
    let engine = bench.start().await;
    for version in ["1", "2", "3"] {
        if version != "1" {
            let before = if version == "2" { "1" } else { "2" };
            let from = format!("VERSION:-{before}");
            bench.edit("docker-compose.yml", &from, &format!("VERSION:-{version}"));
            bench.commit(version);
        }
        if version == "3" {
            break;
        }
        let done = bench.deploy(&engine, "devops").await.unwrap();
        let page = ended(&engine, run_id(&done)).await;
        assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    }
    until("the rollback target", std::time::Duration::from_secs(20), || async {
        board(&engine).await.rollback.is_some_and(|offer| offer.offer.reason().is_none())
    })
    .await;
    // Somebody has the page of release 2 open while release 3 is deployed.
    let offer = board(&engine).await.rollback.unwrap();
    assert_eq!(offer.target.id, 1);
    let drill = engine.releases(&actor(&engine, "devops").await).await.unwrap().drill.digest;
    let done = bench.deploy(&engine, "devops").await.unwrap();
    assert_eq!(ended(&engine, run_id(&done)).await.run.state, RunState::Passed);
    let wish = Return { shown: Some(offer.digest), ..Return::to(1) };
    let refused = engine.roll_back(&bench.by(&engine, "devops").await, &wish).await.unwrap_err();
    assert!(refused.public().contains("since this page was shown"), "{refused}");
    let refused = engine.drill(&bench.by(&engine, "devops").await, &drill).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    let offers = engine.releases(&actor(&engine, "devops").await).await.unwrap().rollbacks;
    let now = offers.into_iter().find(|offer| offer.target.id == 1).unwrap();
    let wish = Return { shown: Some(now.digest), ..Return::to(1) };
    let done = engine.roll_back(&bench.by(&engine, "devops").await, &wish).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    audit_is_whole(&engine).await;
}
