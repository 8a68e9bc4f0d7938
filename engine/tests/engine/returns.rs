//! Ways to return other than the plain rollback, on a real engine: a database made anew, a clean restart; and what
//! is kept so that one can return at all.

use std::fs;
use std::time::Duration;

use domain::release::ReleaseState;
use engine::view::RunState;

use crate::support::bench::{Bench, SECRET, actor, audit_is_whole, board, ended, log, run_id, until};

async fn deploy(bench: &Bench, engine: &engine::Engine) {
    let done = engine.deploy(&bench.by(engine, "devops").await).await.unwrap();
    let page = ended(engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
}

fn version(bench: &Bench, from: &str, to: &str) {
    bench.edit("docker-compose.yml", &format!("VERSION:-{from}"), &format!("VERSION:-{to}"));
    bench.commit(to);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_database_takes_a_backup_and_the_stacks_name_with_docker() {
    let bench = Bench::tinystack("fresh", "");
    bench.edit(
        "stagegate.toml",
        "[deploy]\n",
        "[deploy]\ndb_backup = \"echo backed-up >> order.txt\"\ndb_fresh = \"docker compose --env-file .env.bench run --rm -T web cat /www/version >> order.txt\"\n",
    );
    bench.write(".gitignore", "unit.txt\nunit.ok\nnote.txt\n.env.bench\norder.txt\n");
    bench.commit("with commands");
    let engine = bench.start().await;
    deploy(&bench, &engine).await;
    version(&bench, "1", "2");
    deploy(&bench, &engine).await;
    for typed in ["", "bench", "Bench!"] {
        let ctx = bench.by(&engine, "devops").await;
        let refused = engine.roll_back(&ctx, 1, "fresh", typed).await.unwrap_err();
        assert!(refused.public().contains("type the stack's name: Bench"), "{refused}");
    }
    assert!(!bench.dir().join("order.txt").exists());
    let done = engine.roll_back(&bench.by(&engine, "devops").await, 1, "fresh", "Bench").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!(
        fs::read_to_string(bench.dir().join("order.txt")).unwrap(),
        "backed-up\n1\n",
        "it ran as the target does"
    );

    // A backup that fails ends it there.
    bench.edit("stagegate.toml", "echo backed-up >> order.txt", "exit 4");
    bench.commit("a broken backup");
    deploy(&bench, &engine).await;
    let done = engine.roll_back(&bench.by(&engine, "devops").await, 1, "fresh", "Bench").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Failed, "{}", log(&page));
    assert!(log(&page).contains("The backup of the database failed"), "{}", log(&page));
    assert_eq!(fs::read_to_string(bench.dir().join("order.txt")).unwrap(), "backed-up\n1\n");
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_restart_makes_everything_anew_with_docker() {
    let bench = Bench::tinystack("restart", "");
    let engine = bench.start().await;
    let nothing = engine.clean_restart(&bench.by(&engine, "devops").await, 1).await.unwrap_err();
    assert!(nothing.public().contains("Nothing that was deployed"), "{nothing}");
    deploy(&bench, &engine).await;
    let filter = format!("label=com.docker.compose.project={}", bench.project);
    let ids = || {
        let out = bench.docker(&["ps", "-q", "--no-trunc", "--filter", &filter]);
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = ids();
    let done = engine.clean_restart(&bench.by(&engine, "devops").await, 1).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let after = ids();
    assert!(after.len() == 2 && after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
    let one = board(&engine).await.release.unwrap();
    assert_eq!((one.id, one.state), (1, ReleaseState::Deployed));
    let other = engine.clean_restart(&bench.by(&engine, "devops").await, 2).await.unwrap_err();
    assert!(other.public().contains("has changed meanwhile"), "{other}");
    // A release that was only opened is neither started nor bad.
    version(&bench, "1", "2");
    engine.open_release(&bench.by(&engine, "devops").await).await.unwrap();
    let done = engine.clean_restart(&bench.by(&engine, "devops").await, 1).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let releases = engine.releases(&actor(&engine, "devops").await).await.unwrap().releases;
    let states: Vec<_> = releases.iter().map(|row| (row.release.id, row.release.state)).collect();
    assert_eq!(states, [(2, ReleaseState::Opened), (1, ReleaseState::Deployed)]);
    // What the old containers said is kept with the incident.
    let devops = actor(&engine, "devops").await;
    let incidents = engine.incidents(&devops).await.unwrap();
    let incident = engine.incident(&devops, incidents[0].incident.id).await.unwrap();
    let report = &incident.row.incident.report;
    assert!(report.others.iter().all(|words| !words.lines.join("\n").contains(SECRET)));
    assert!(report.timeline.iter().any(|moment| moment.what.contains("decided")), "{report:?}");
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_outlives_a_prune_and_what_is_old_goes_with_docker() {
    let bench = Bench::tinystack("keep", "\n[rollback]\nkeep = 2\n");
    let engine = bench.start().await;
    deploy(&bench, &engine).await;
    for (from, to) in [("1", "2"), ("2", "3"), ("3", "4")] {
        version(&bench, from, to);
        deploy(&bench, &engine).await;
    }
    let devops = actor(&engine, "devops").await;
    let page = engine.releases(&devops).await.unwrap();
    let ways: Vec<_> = page.rollbacks.iter().map(|way| way.target.id).collect();
    assert_eq!(ways, [3, 2], "no more than are kept");
    let held = || {
        let filter = format!("label=stagegate.keep={}", bench.project);
        bench.docker(&["ps", "-aq", "--filter", &filter]).lines().count()
    };
    // Two images of each of three releases.
    until("the images to be held and the old ones to go", Duration::from_secs(40), || async {
        held() == 6
            && bench.docker(&["images", "-q", &format!("stagegate/keep/{}/web:r1", bench.project)]).is_empty()
    })
    .await;
    let filter = format!("label=test={}", bench.project);
    bench.docker(&["image", "prune", "-a", "-f", "--filter", &filter]);
    let done = engine.roll_back(&bench.by(&engine, "devops").await, 2, "keep", "").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let page = engine.releases(&devops).await.unwrap();
    let ways: Vec<_> = page.rollbacks.iter().map(|way| way.target.id).collect();
    assert_eq!(ways, [3], "the first release was let go, the fourth is bad");
    assert!(page.rollbacks.iter().all(|way| way.bytes > 0 && way.missing_images.is_empty()));
    assert!(!bench.data().join("rollback/1").exists() && bench.data().join("rollback/2").exists());
}
