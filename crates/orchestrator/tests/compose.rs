//! Deploy, rollback and watching on a real engine, with tiny stacks of one static busybox.
//!
//! Every test uses its own project and removes what it created. Without an engine the tests fail with that reason.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing helper fails its test")]

#[cfg(test)]
mod compose_bench;
#[cfg(test)]
mod compose_long;
#[cfg(test)]
mod compose_shapes;

#[path = "compose_parts/returning.rs"]
mod returning;
#[path = "compose_parts/starting.rs"]
mod starting;
#[path = "compose_parts/undoing.rs"]
mod undoing;
#[path = "compose_parts/watching.rs"]
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use compose_bench::{Bench, Proxy, SECRET, until};
use domain::observed::Health;
use domain::release::ReleaseComponent;
use orchestrator::{
    DatabaseAction, DeployPhase, JournalKind, Orchestrator, OrchestratorError, Removal, StackFiles,
    read_journal,
};
use runner::{Exit, cancel};
use secrets::{EnvSource, Key};

fn key() -> Key {
    Key::from([7; 32])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_pins_starts_and_verifies_every_service() {
    let bench = Bench::new("ok").await;
    bench.write("1", "ok");
    let mut work = bench.deploy("r1");
    work.migrations_cmd = Some("printf '001_users\\n002_orders\\n'".into());
    work.build_env.insert("GIT_COMMIT".into(), "abc123".into());
    let (exit, result, run) = bench.run_deploy(&work).await;
    assert_eq!((&exit, result.ok, result.phase), (&Exit::Code(0), true, DeployPhase::Done), "{}", run.log());
    assert_eq!(result.images.keys().collect::<Vec<_>>(), ["job", "web", "worker"]);
    assert_eq!(result.migrations, Some(vec!["001_users".into(), "002_orders".into()]));
    let health: BTreeMap<_, _> = result.services.iter().map(|s| (s.name.as_str(), s.health)).collect();
    assert_eq!(
        health,
        BTreeMap::from([("job", Health::Done), ("web", Health::Healthy), ("worker", Health::Running)])
    );
    assert!(result.services.iter().all(|s| s.image == result.images[&s.name]));
    assert_eq!(
        bench.docker(&[
            "image",
            "inspect",
            "-f",
            "{{index .Config.Labels \"commit\"}}",
            &result.images["web"]
        ]),
        "abc123"
    );

    let tag = format!("stagegate/keep/{}/web:r1", bench.project);
    assert!(result.tags.contains(&tag));
    assert_eq!(bench.docker(&["image", "inspect", "-f", "{{.Id}}", &tag]), result.images["web"]);
    let kept = fs::read_to_string(bench.keep("r1").join("config.yaml")).unwrap();
    assert!(result.config_stored && kept.contains("${TOKEN}") && !kept.contains(SECRET), "{kept}");
    assert!(!run.log().contains(SECRET) && !run.everything().contains(SECRET));
    let journal = read_journal(&bench.keep("").join("journal.json")).unwrap().unwrap();
    assert_eq!((journal.kind, journal.phase, journal.ended), (JournalKind::Deploy, DeployPhase::Done, true));
    assert_eq!(run.progress().phase, DeployPhase::Done);

    let before = bench.containers();
    bench.compose(&["up", "-d"]);
    assert_eq!(bench.containers(), before, "the same command run manually changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_stops_nothing() {
    let bench = Bench::new("build").await;
    bench.write("1", "ok");
    assert!(bench.run_deploy(&bench.deploy("r1")).await.1.ok);
    let before = bench.containers();
    fs::write(
        bench.path().join("Dockerfile"),
        "FROM stagegate-test/busybox:1\nRUN echo broken on purpose && false\n",
    )
    .unwrap();
    let (exit, result, run) = bench.run_deploy(&bench.deploy("r2")).await;
    assert_eq!((exit, result.ok, result.phase), (Exit::Code(1), false, DeployPhase::Building));
    assert!(result.message.contains("not changed"), "{}", result.message);
    assert!(run.log().contains("broken on purpose"), "{}", run.log());
    assert!(
        result.failing.is_empty() && result.services.len() == 3,
        "running services are reported, and nothing failed"
    );
    assert_eq!(bench.containers(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_whose_health_check_fails_is_named_with_its_last_lines() {
    let bench = Bench::new("sick").await;
    bench.write("1", "sick");
    let began = Instant::now();
    let (exit, result, run) = bench.run_deploy(&bench.deploy("r1")).await;
    assert_eq!(
        (exit, result.ok, result.phase),
        (Exit::Code(1), false, DeployPhase::Probing),
        "{}",
        run.log()
    );
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "the wait ends with the last retry, not with the time limit"
    );
    let [failing] = result.failing.as_slice() else { panic!("{:?}", result.failing) };
    assert_eq!((failing.name.as_str(), failing.health), ("web", Health::Unhealthy));
    assert!(failing.last_lines.iter().any(|line| line == "web 1 with [TOKEN]"), "{:?}", failing.last_lines);
    assert!(failing.health_output.contains("not well"), "{:?}", failing.health_output);
    assert!(result.message.contains("web"), "{}", result.message);
    assert!(!run.everything().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loop_is_reported_with_its_exit_code() {
    let bench = Bench::new("loop").await;
    bench.write("1", "ok");
    bench.edit(
        "docker-compose.yml",
        "command: [\"sleep\", \"1000\"]",
        "restart: always\n    command: [\"sh\", \"-c\", \"echo going down; exit 3\"]",
    );
    let (_, result, run) = bench.run_deploy(&bench.deploy("r1")).await;
    assert!(!result.ok && result.phase == DeployPhase::Probing, "{}", run.log());
    let worker = result.failing.iter().find(|one| one.name == "worker").unwrap();
    assert!(worker.last_lines.iter().any(|line| line == "going down"), "{worker:?}");
    assert!(
        result.message.contains("exit code 3") && result.message.contains("restarts"),
        "{}",
        result.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_shot_that_fails_fails_the_deploy() {
    let bench = Bench::new("oneshot").await;
    bench.write("1", "ok");
    bench.edit("docker-compose.yml", "command: [\"true\"]", "command: [\"false\"]");
    let (_, result, _) = bench.run_deploy(&bench.deploy("r1")).await;
    assert!(!result.ok);
    let [failing] = result.failing.as_slice() else { panic!("{:?}", result.failing) };
    assert_eq!((failing.name.as_str(), failing.exit_code), ("job", Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_starting_leaves_no_service_stopped() {
    let bench = Bench::new("cancel").await;
    bench.write("1", "ok");
    // The worker starts only when web is healthy, which takes longer than an idle run may continue.
    bench.edit(
        "docker-compose.yml",
        "grep -qx ok /state",
        "test $$(($$(date +%s) - $$(stat -c %Y /proc/1))) -ge 13 && grep -qx ok /state",
    );
    bench.edit(
        "docker-compose.yml",
        "  worker:\n",
        "  worker:\n    depends_on: {web: {condition: service_healthy}}\n",
    );
    bench.edit("docker-compose.yml", "retries: 2", "retries: 2\n      start_period: 40s");
    let run = bench.start(serde_json::json!({"deploy": bench.deploy("r1")}));
    until("the phase Starting", || run.try_progress().is_some_and(|p| p.phase == DeployPhase::Starting))
        .await;
    cancel(run.dir.path(), "Ada").unwrap();
    let exit = run.end().await;
    assert_eq!(exit, Exit::Cancelled { by: "Ada".into() }, "{}", run.log());
    assert!(run.log().contains("allowed to finish"), "{}", run.log());
    assert_eq!(bench.containers().len(), 3, "{:?}", bench.containers());
    let worker =
        bench.docker(&["inspect", "-f", "{{.State.Running}}", &format!("{}-worker-1", bench.project)]);
    assert_eq!(worker, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_starting_shows_in_the_journal_and_the_next_deploy_repairs_it() {
    let bench = Bench::new("crash").await;
    bench.write("1", "ok");
    bench.edit(
        "docker-compose.yml",
        "grep -qx ok /state",
        "sleep 1; test -e /tmp/up || { touch /tmp/up; exit 1; }; grep -qx ok /state",
    );
    bench.edit(
        "docker-compose.yml",
        "  worker:\n",
        "  worker:\n    depends_on: {web: {condition: service_healthy}}\n",
    );
    let run = bench.start(serde_json::json!({"deploy": bench.deploy("r1")}));
    until("the phase Starting", || run.try_progress().is_some_and(|p| p.phase == DeployPhase::Starting))
        .await;
    run.crash().await;
    let journal = read_journal(&bench.keep("").join("journal.json")).unwrap().unwrap();
    assert_eq!((journal.phase, journal.ended), (DeployPhase::Starting, false));
    assert_eq!(journal.images.len(), 3, "the expected images are known after the crash");
    let (_, result, run) = bench.run_deploy(&bench.deploy("r1")).await;
    assert!(result.ok, "{}", run.log());
    assert_eq!(bench.containers().len(), 3, "{:?}", bench.containers());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_building_changes_nothing() {
    let bench = Bench::new("nobuild").await;
    bench.write("1", "ok");
    bench.edit("Dockerfile", "COPY state", "RUN sleep 60\nCOPY state");
    let run = bench.start(serde_json::json!({"deploy": bench.deploy("r1")}));
    until("the phase Building", || run.try_progress().is_some_and(|p| p.phase == DeployPhase::Building))
        .await;
    cancel(run.dir.path(), "Ada").unwrap();
    assert_eq!(run.end().await, Exit::Cancelled { by: "Ada".into() }, "{}", run.log());
    assert!(bench.containers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_deployed_is_refused_with_its_reason() {
    let bench = Bench::new("bad").await;
    bench.write("1", "ok");
    let good = bench.deploy("r1");
    let changed = |change: &dyn Fn(&mut StackFiles)| {
        let mut files = bench.files();
        change(&mut files);
        Orchestrator::Compose(files)
    };
    let refused = async |work, expected: &str| {
        let (exit, result, run) = bench.run_deploy(&work).await;
        assert!(matches!(exit, Exit::NotStarted(_)) && !result.ok, "{expected}: {exit:?}");
        assert_eq!(result.phase, DeployPhase::Preflight, "{expected}");
        assert!(result.message.contains(expected), "{} lacks {expected}", result.message);
        assert!(!run.everything().contains(SECRET));
    };
    let mut work = good.clone();
    work.stack = changed(&|files| files.dir = bench.path().join("nowhere"));
    refused(work, "does not exist").await;
    let mut work = good.clone();
    work.release_tag = "no/tag".into();
    refused(work, "release tag").await;
    fs::write(
        bench.path().join("broken.yml"),
        format!("services:\n  web:\n    image: a\n    nonsense: {SECRET}\n"),
    )
    .unwrap();
    let mut work = good.clone();
    work.stack = changed(&|files| files.files = vec!["broken.yml".into()]);
    refused(work, "not valid").await;
    assert!(bench.containers().is_empty());
    assert!(
        read_journal(&bench.keep("").join("journal.json")).unwrap().is_none(),
        "nothing is half recorded"
    );

    let stack = changed(&|files| files.env_source = Some(EnvSource::File("none.env".into())));
    assert!(matches!(stack.render(&key()).await, Err(OrchestratorError::EnvFileMissing { .. })));
    let stack = changed(&|files| files.dir = bench.path().join("nowhere"));
    assert!(matches!(stack.render(&key()).await, Err(OrchestratorError::DirectoryMissing { .. })));
    let stack = changed(&|files| files.files = vec!["broken.yml".into()]);
    let error = stack.render(&key()).await.unwrap_err();
    assert!(
        matches!(error, OrchestratorError::DefinitionInvalid { .. }) && !error.to_string().contains(SECRET),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_overtaken_changes_nothing() {
    let bench = Bench::new("fence").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok, "{}", one.message);
    let path = bench.keep("").join("journal.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"run\": \"1\"", "\"run\": \"99\"")).unwrap();
    let before = bench.containers();
    bench.write("2", "ok");
    let (exit, late, _) = bench.run_deploy(&bench.deploy("r2")).await;
    assert!(!late.ok && late.message.contains("Run 99 started later"), "{exit:?} {}", late.message);
    let (_, late, _) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    assert!(!late.ok && late.message.contains("Run 99"), "{}", late.message);
    assert_eq!(bench.containers(), before);
}
