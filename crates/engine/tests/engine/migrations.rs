//! The database migrations between a release and its rollback target: they are listed after deploys (also failed ones),
//! after steps, and when a release becomes a rollback target.

use std::time::Duration;

use domain::release::ReleaseState;
use engine::view::{FollowUpState, RunState};

use crate::support::bench::{Bench, board, ended, log, run_id, until};

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_listed_after_steps_failed_deploys_and_acceptance_with_docker() {
    let bench = Bench::tinystack("migrate", "");
    bench.edit("stagegate.toml", "smoke = [", "migrations = \"cat applied.txt\"\nsmoke = [");
    bench.write(".gitignore", "*.txt\nunit.ok\n.env.bench\n");
    bench.write("unit.sh", "echo m2 >> applied.txt; cat unit.txt; test -e unit.ok\n");
    bench.write("applied.txt", "m1\n");
    bench.write("note.txt", "here");
    bench.commit("with migrations");
    let engine = bench.start().await;
    let applied = async || board(&engine).await.release.unwrap().migrations;
    let done = bench.deploy(&engine, "backend").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!(applied().await, Some(vec!["m1".to_owned()]));
    bench.step(&engine, "qa", "A.s1").await;
    assert_eq!(applied().await, Some(vec!["m1".to_owned(), "m2".to_owned()]), "the step migrated");

    bench.check(&engine, "qa", "note").await;
    bench.attest(&engine, "backend", "A.2").await.unwrap();
    // The database does not answer at that moment.
    std::fs::remove_file(bench.dir().join("applied.txt")).unwrap();
    for (login, gate) in [("backend", "A"), ("devops", "B"), ("qa", "F")] {
        until("the gate", Duration::from_secs(10), || async {
            board(&engine).await.judgement.gate(gate).unwrap().items.iter().all(|i| i.is_satisfied())
        })
        .await;
        bench.accept(&engine, login, gate).await.unwrap();
    }
    let listing = async || {
        let follow_ups = board(&engine).await.follow_ups;
        follow_ups.into_iter().find(|f| f.label == "Migration list")
    };
    until("a failed attempt", Duration::from_secs(30), || async {
        listing().await.is_some_and(
            |f| matches!(f.state, FollowUpState::Pending(why) if why.contains("did not list the migrations")),
        )
    })
    .await;
    bench.write("applied.txt", "m1\nm2\nm3\n");
    until("the list of the rollback target", Duration::from_secs(60), || async {
        applied().await.is_some_and(|list| list.len() == 3)
    })
    .await;
    assert!(board(&engine).await.release.unwrap().rollback_point_at.is_some());
    assert!(listing().await.is_none(), "a follow-up that is done is not open any more");

    bench.edit("docker-compose.yml", "HEALTH: ${HEALTH:-ok}", "HEALTH: ${HEALTH:-bad}");
    bench.commit("bad, and it migrates");
    bench.write("applied.txt", "m1\nm2\nm3\nm4\n");
    let done = bench.deploy(&engine, "backend").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Failed, "{}", log(&page));
    let now = board(&engine).await;
    assert_eq!(now.release.map(|r| (r.id, r.state)), Some((2, ReleaseState::Failed)));
    assert_eq!(now.rollback.unwrap().migrations, Some(vec!["m4".to_owned()]));
}
