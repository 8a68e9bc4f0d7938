//! A deploy whose supervisor is killed is recovered automatically, on a real engine.

use std::fs;
use std::process::Command;
use std::time::Duration;

use domain::choice::EnvChoice;
use domain::release::ReleaseState;
use engine::view::RunState;
use engine::{Engine, Return};
use orchestrator::{DeployPhase, read_journal};

use crate::support::bench::{Bench, SECRET, audit_is_whole, board, ended, log, run_id, until};

fn journal_phase(bench: &Bench, run: i64) -> Option<DeployPhase> {
    let journal = read_journal(&bench.data().join("rollback/journal.json")).ok()??;
    (journal.run == run.to_string()).then_some(journal.phase)
}

fn kill_supervisor(bench: &Bench, run: i64) {
    let status = fs::read(bench.data().join(format!("runs/{run}/status.json"))).unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    let pid = status["pid"].as_u64().unwrap().to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
}

/// Deploys release 1 successfully, then starts release 2 and kills its supervisor while containers are replaced.
async fn crash_in_the_second(bench: &Bench, engine: &Engine) -> i64 {
    let done = bench.deploy(engine, "devops").await.unwrap();
    let page = ended(engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    bench.edit("docker-compose.yml", "VERSION:-1", "VERSION:-2");
    bench.commit("second");
    let done = bench.deploy(engine, "devops").await.unwrap();
    let run = run_id(&done);
    until("the phase Starting", Duration::from_secs(60), || async {
        journal_phase(bench, run) == Some(DeployPhase::Starting)
    })
    .await;
    run
}

async fn all_old(bench: &Bench, engine: &Engine, crashed: i64) {
    until("the recovery", Duration::from_secs(30), || async {
        let run = store::runs::by_id(engine.store().readers(), crashed + 1).await.unwrap();
        run.is_some_and(|run| run.by_name == "Stagegate (recovery)")
    })
    .await;
    let page = ended(engine, crashed + 1).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let one = board(engine).await.release.unwrap();
    assert_eq!((one.id, one.state), (1, ReleaseState::Deployed));
    assert!(page.proof.iter().all(|(_, wanted, running)| wanted == running) && page.proof.len() == 2);
    let filter = format!("label=com.docker.compose.project={}", bench.project);
    let names = bench.docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
    let mut names: Vec<_> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, [format!("{}-web-1", bench.project), format!("{}-worker-1", bench.project)]);
    let rows = audit_is_whole(engine).await;
    let told = |act: &str| {
        rows.iter().any(|row| row.event.act == act && row.event.actor_name == "Stagegate (recovery)")
    };
    assert!(told("rollback.start") && told("rollback.end"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_whose_supervisor_is_killed_is_rolled_back_with_docker() {
    let bench = Bench::tinystack("recover", "");
    let engine = bench.start().await;
    let crashed = crash_in_the_second(&bench, &engine).await;
    kill_supervisor(&bench, crashed);
    all_old(&bench, &engine, crashed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starting_server_recovers_an_interrupted_deploy_once_with_docker() {
    let bench = Bench::tinystack("recoverup", "");
    let engine = bench.start().await;
    let crashed = crash_in_the_second(&bench, &engine).await;
    // The old server is stopped first, so that only the new ones can detect it.
    engine.close().await;
    kill_supervisor(&bench, crashed);
    let (one, other) = (bench.open().await, bench.open().await);
    one.start_up().await.unwrap();
    other.start_up().await.unwrap();
    all_old(&bench, &one, crashed).await;
    let runs = store::runs::by_id(one.store().readers(), crashed + 2).await.unwrap();
    assert!(runs.is_none(), "two servers, one recovery: {runs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_names_are_restored_after_a_deploy_is_killed_during_a_step_with_docker() {
    let bench = Bench::tinystack("recoverstep", "");
    bench.edit("stagegate.toml", "smoke = [", "steps_before = [\"A.s5\"]\nsmoke = [");
    bench.edit("runbook.md", "echo begun; sleep 60", "sh images.sh");
    bench.write("images.sh", "true\n");
    bench.commit("with a step");
    let engine = bench.start().await;
    let done = bench.deploy(&engine, "devops").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let name = format!("{}/web:dev", bench.project);
    let image = || bench.docker(&["image", "inspect", "-f", "{{.Id}}", &name]);
    let first = image();
    let move_name = format!("docker build -q --build-arg VERSION=2 -t {name} . && sleep 60\n");
    bench.write("images.sh", &move_name);
    bench.commit("another image");
    let done = bench.deploy(&engine, "devops").await.unwrap();
    let crashed = run_id(&done);
    until("the step to move the name", Duration::from_secs(60), || async { image() != first }).await;
    kill_supervisor(&bench, crashed);
    all_old(&bench, &engine, crashed).await;
    assert_eq!(image(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_env_file_is_restored_although_the_rollback_is_killed_with_docker() {
    let bench = Bench::tinystack("recoverenv", "\n[rollback]\nenv_copy_key = \"../env.key\"\n");
    let engine = bench.start().await;
    let env = || fs::read_to_string(bench.dir().join(".env.bench")).unwrap();
    let (first, second) = (env(), env().replace(SECRET, "correct-horse-battery-staple"));
    for (release, text) in [(1, &first), (2, &second)] {
        bench.write(".env.bench", text);
        if release == 2 {
            bench.edit("docker-compose.yml", "VERSION:-1", "VERSION:-2");
            bench.commit("second");
        }
        let done = bench.deploy(&engine, "devops").await.unwrap();
        let page = ended(&engine, run_id(&done)).await;
        assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    }
    let back = Return { env: EnvChoice::Restore, ..Return::to(1) };
    let done = engine.roll_back(&bench.by(&engine, "devops").await, &back).await.unwrap();
    let crashed = run_id(&done);
    until("the phase Starting", Duration::from_secs(60), || async {
        journal_phase(&bench, crashed) == Some(DeployPhase::Starting)
    })
    .await;
    engine.close().await;
    kill_supervisor(&bench, crashed);
    // As if it had died a little earlier.
    bench.write(".env.bench", &second);
    let engine = bench.open().await;
    engine.start_up().await.unwrap();
    all_old(&bench, &engine, crashed).await;
    assert_eq!(env(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deploy_that_is_killed_says_what_to_do_with_docker() {
    let bench = Bench::tinystack("recoverone", "");
    let engine = bench.start().await;
    let done = bench.deploy(&engine, "devops").await.unwrap();
    let run = run_id(&done);
    until("the phase Starting", Duration::from_secs(60), || async {
        journal_phase(&bench, run) == Some(DeployPhase::Starting)
    })
    .await;
    kill_supervisor(&bench, run);
    until("the message of the recovery", Duration::from_secs(30), || async {
        let filter = store::audit::Filter::default();
        let rows = store::audit::list(engine.store().readers(), filter, 100).await.unwrap();
        rows.iter().any(|row| row.event.act == "recovery.none" && row.event.detail.contains("Deploy again"))
    })
    .await;
    let done = bench.deploy(&engine, "devops").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
}
