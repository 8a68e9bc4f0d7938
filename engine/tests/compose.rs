//! Deploy, rollback and watching on a real engine, with tiny stacks of one static busybox.
//!
//! Every test uses a project of its own and removes what it made. Without an engine the tests fail and say so.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

#[cfg(test)]
mod chaos_table;
#[cfg(test)]
mod compose_bench;
#[cfg(test)]
mod compose_long;
#[cfg(test)]
mod compose_shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use compose_bench::{Bench, Proxy, SECRET, until};
use domain::facts::Health;
use domain::release::Part;
use engine::compose::{
    Address, Clean, ComposeError, DbChoice, DeployPhase, Docker, JournalKind, Key, PartsReader, Watcher,
    hold, images_present, keep_name, look_for, prune_keep, read_journal, render, service_logs, snapshot,
};
use engine::runner::{Exit, cancel};

fn key() -> Key {
    Key::from([7; 32])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_pins_starts_and_proves_every_service() {
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

    let tag = keep_name(&bench.project, "web", "r1").unwrap();
    assert!(result.tags.contains(&tag));
    assert_eq!(bench.docker(&["image", "inspect", "-f", "{{.Id}}", &tag]), result.images["web"]);
    let kept = fs::read_to_string(bench.keep("r1").join("config.yaml")).unwrap();
    assert!(result.config_kept && kept.contains("${TOKEN}") && !kept.contains(SECRET), "{kept}");
    assert!(!run.log().contains(SECRET) && !run.everything().contains(SECRET));
    let journal = read_journal(&bench.keep("").join("journal.json")).unwrap().unwrap();
    assert_eq!((journal.kind, journal.phase, journal.ended), (JournalKind::Deploy, DeployPhase::Done, true));
    assert_eq!(run.progress().phase, DeployPhase::Done);

    let before = bench.containers();
    bench.compose(&["up", "-d"]);
    assert_eq!(bench.containers(), before, "the same command by hand finds nothing to do");
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
    assert!(result.message.contains("not touched"), "{}", result.message);
    assert!(run.log().contains("broken on purpose"), "{}", run.log());
    assert!(result.failing.is_empty() && result.services.len() == 3, "what runs is told, and nothing failed");
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
    assert!(began.elapsed() < Duration::from_secs(25), "retries used up end the wait, not the time limit");
    let [failing] = result.failing.as_slice() else { panic!("{:?}", result.failing) };
    assert_eq!((failing.name.as_str(), failing.health), ("web", Health::Unhealthy));
    assert!(failing.last_lines.iter().any(|line| line == "web 1 with [TOKEN]"), "{:?}", failing.last_lines);
    assert!(failing.check_said.contains("not well"), "{:?}", failing.check_said);
    assert!(result.message.contains("web"), "{}", result.message);
    assert!(!run.everything().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loop_is_noticed_with_its_exit_code() {
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
async fn a_rollback_proves_image_ids_and_leaves_nothing_to_do_for_compose() {
    let bench = Bench::new("back").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write("2", "sick");
    let two = bench.run_deploy(&bench.deploy("r2")).await.1;
    assert!(one.ok && !two.ok);
    assert_ne!(one.images["web"], two.images["web"]);

    let (exit, result, run) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    assert_eq!((exit, result.ok, result.phase), (Exit::Code(0), true, DeployPhase::Done), "{}", run.log());
    assert_eq!(result.proof.len(), 3);
    assert!(result.proof.iter().all(|proof| proof.holds() && proof.running == one.images[&proof.service]));
    assert!(!result.kept_config && result.outage_ms.is_some());
    assert_eq!(bench.compose(&["exec", "-T", "web", "cat", "/version"]).trim(), "1");
    let journal = read_journal(&bench.keep("").join("journal.json")).unwrap().unwrap();
    assert_eq!((journal.kind, journal.ended), (JournalKind::Rollback, true));
    assert_eq!(journal.moved.values().collect::<Vec<_>>(), [&two.images["web"]]);

    let before = bench.containers();
    bench.compose(&["up", "-d"]);
    assert_eq!(bench.containers(), before, "the same command by hand finds nothing to do");
    let docker = bench.engine().await;
    assert!(
        images_present(&docker, two.images.values()).await.unwrap().is_empty(),
        "the way forward stays open"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_without_its_images_is_refused_before_anything_stops() {
    let bench = Bench::new("gone").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write("2", "ok");
    assert!(one.ok && bench.run_deploy(&bench.deploy("r2")).await.1.ok);
    let docker = bench.engine().await;
    let removed = prune_keep(&docker, &bench.project, |tag| ["r2"].contains(&tag)).await.unwrap();
    assert!(removed.contains(&keep_name(&bench.project, "web", "r1").unwrap()), "{removed:?}");
    assert_eq!(images_present(&docker, [&one.images["web"]]).await.unwrap(), [one.images["web"].clone()]);
    let before = bench.containers();
    let (exit, result, _) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    assert!(matches!(exit, Exit::NotStarted(_)), "{exit:?}");
    assert_eq!(
        (result.ok, result.phase, result.missing),
        (false, DeployPhase::Preflight, vec!["web".to_owned()])
    );
    assert_eq!(bench.containers(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_over_a_changed_compose_file_returns_to_the_kept_one() {
    let bench = Bench::new("config").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.edit("docker-compose.yml", "COLOUR: blue", "COLOUR: red");
    let extra = "  extra:\n    image: stagegate-test/busybox:1\n    stop_grace_period: 0s\n    command: [\"sleep\", \"1000\"]\n";
    bench.edit("docker-compose.yml", "services:\n", &format!("services:\n{extra}"));
    assert!(one.ok && bench.run_deploy(&bench.deploy("r2")).await.1.ok);
    assert!(bench.containers().iter().any(|(name, _)| name.contains("extra")));

    let mut work = bench.rollback("r1", &one.images);
    work.db = DbChoice::RollbackCommand("cat /version-of-nothing || echo undone > undone.txt".into());
    let (_, result, run) = bench.run_rollback(&work).await;
    assert!(result.ok && result.kept_config, "{} {}", result.message, run.log());
    assert_eq!(
        bench.compose(&["exec", "-T", "web", "sh", "-c", "echo $COLOUR $TOKEN"]).trim(),
        format!("blue {SECRET}")
    );
    assert!(
        !bench.containers().iter().any(|(name, _)| name.contains("extra")),
        "what the target lacks is gone"
    );
    assert!(bench.path().join("undone.txt").exists());

    fs::write(bench.path().join("docker-compose.yml"), "services: [broken").unwrap();
    let (_, result, run) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    assert!(
        result.ok && result.kept_config,
        "a broken file of today does not bar the way back: {}",
        run.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_migration_rollback_touches_no_service() {
    let bench = Bench::new("db").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write("2", "ok");
    assert!(one.ok && bench.run_deploy(&bench.deploy("r2")).await.1.ok);
    let before = bench.containers();
    let mut work = bench.rollback("r1", &one.images);
    work.db = DbChoice::RollbackCommand("exit 9".into());
    let (exit, result, _) = bench.run_rollback(&work).await;
    assert_eq!((exit, result.ok, result.phase), (Exit::Code(1), false, DeployPhase::Migrating));
    assert_eq!(bench.containers(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_starting_leaves_no_service_down() {
    let bench = Bench::new("cancel").await;
    bench.write("1", "ok");
    // The worker starts only when web is healthy, which takes longer than a run without a command is let go on.
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
    assert!(run.log().contains("let finish first"), "{}", run.log());
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
    assert_eq!(journal.images.len(), 3, "what shall run is known after the crash");
    let (_, result, run) = bench.run_deploy(&bench.deploy("r1")).await;
    assert!(result.ok, "{}", run.log());
    assert_eq!(bench.containers().len(), 3, "{:?}", bench.containers());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_building_touches_nothing() {
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
    let refused = async |work, expected: &str| {
        let (exit, result, run) = bench.run_deploy(&work).await;
        assert!(matches!(exit, Exit::NotStarted(_)) && !result.ok, "{expected}: {exit:?}");
        assert_eq!(result.phase, DeployPhase::Preflight, "{expected}");
        assert!(result.message.contains(expected), "{} lacks {expected}", result.message);
        assert!(!run.everything().contains(SECRET));
    };
    let mut work = good.clone();
    work.project.dir = bench.path().join("nowhere");
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
    work.project.files = vec!["broken.yml".into()];
    refused(work, "not valid").await;
    assert!(bench.containers().is_empty());
    assert!(
        read_journal(&bench.keep("").join("journal.json")).unwrap().is_none(),
        "nothing is half recorded"
    );

    let mut project = good.project.clone();
    project.env_file = Some("none.env".into());
    assert!(matches!(render(&project, &key()).await, Err(ComposeError::EnvFileMissing { .. })));
    project.dir = bench.path().join("nowhere");
    assert!(matches!(render(&project, &key()).await, Err(ComposeError::DirectoryMissing { .. })));
    let mut project = good.project.clone();
    project.files = vec!["broken.yml".into()];
    let error = render(&project, &key()).await.unwrap_err();
    assert!(
        matches!(error, ComposeError::ComposeInvalid { .. }) && !error.to_string().contains(SECRET),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_on_disk_are_the_same_in_another_checkout_and_move_with_their_files() {
    let (one, other) = (Bench::new("partsa").await, Bench::new("partsb").await);
    let mut read = Vec::new();
    for bench in [&one, &other] {
        bench.write("1", "ok");
        let mut project = bench.deploy("r1").project;
        project.name = Some("stagegate-same".into());
        let reader = PartsReader::new(project, key());
        read.push((reader.read().await.parts, reader));
    }
    assert_eq!(read[0].0, read[1].0);
    assert_eq!(read[0].0.values.keys().collect::<Vec<_>>(), [&Part::Config, &Part::Env]);
    one.edit("docker-compose.yml", "COLOUR: blue", "COLOUR: bluer");
    let changed = read[0].1.read().await.parts;
    assert!(!changed.agrees(&read[0].0, Part::Config) && changed.agrees(&read[0].0, Part::Env));
    fs::write(one.path().join("docker-compose.yml"), "services: [broken").unwrap();
    let broken = read[0].1.read().await;
    assert!(broken.parts.get(Part::Config).is_none() && broken.rendered.is_some());
    assert!(broken.faults[0].contains("not valid"), "{:?}", broken.faults);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watcher_sees_a_killed_container_within_a_second() {
    let bench = Bench::new("kill").await;
    bench.write("1", "ok");
    assert!(bench.run_deploy(&bench.deploy("r1")).await.1.ok);
    let watcher = Watcher::start(Address::from_env(), bench.deploy("r1").project, key());
    let mut seen = watcher.observed();
    let health = |of: &domain::facts::Observed, name: &str| {
        of.services.iter().find(|s| s.name == name).map(|s| s.health)
    };
    let first = tokio::time::timeout(
        Duration::from_secs(10),
        seen.wait_for(|now| health(now, "web") == Some(Health::Healthy)),
    );
    let first = first.await.unwrap().unwrap().clone();
    assert!(
        first.unreachable_since.is_none()
            && !first.engine_version.is_empty()
            && first.parts.images.len() == 3
    );
    let container = first.services.iter().find(|s| s.name == "worker").unwrap().container.clone();
    bench.docker(&["kill", &container]);
    let began = Instant::now();
    let wait = seen.wait_for(|now| health(now, "worker") == Some(Health::Exited));
    tokio::time::timeout(Duration::from_secs(1), wait)
        .await
        .unwrap_or_else(|_| panic!("not seen after {:?}", began.elapsed()))
        .unwrap();

    let docker = bench.engine().await;
    let rendered = render(&bench.deploy("r1").project, &key()).await.unwrap();
    let now = snapshot(&docker, &rendered).await.unwrap();
    assert_eq!(now.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["job", "web", "worker"]);
    let lines =
        service_logs(&docker, &bench.project, "web", 1, |text| text.replace(SECRET, "***")).await.unwrap();
    assert_eq!(lines, ["web 1 with ***"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watcher_notices_a_lost_or_frozen_engine_within_five_seconds_and_recovers() {
    let bench = Bench::new("lost").await;
    bench.write("1", "ok");
    let path = bench.path().join("engine.sock");
    let watcher = Watcher::start(Address::new(path.to_str().unwrap()), bench.deploy("r1").project, key());
    let mut seen = watcher.observed();
    let mut expect = async |reachable: bool, within: u64| {
        let wait = seen.wait_for(|now| {
            now.unreachable_since.is_none() == reachable && (now.engine_version.is_empty() != reachable)
        });
        let now = tokio::time::timeout(Duration::from_secs(within), wait).await;
        now.unwrap_or_else(|_| panic!("reachable={reachable} was not seen within {within} s"))
            .unwrap()
            .clone()
    };
    let lost = expect(false, 5).await;
    assert!(
        lost.unreachable_why.contains("no such socket") && lost.services.is_empty(),
        "{}",
        lost.unreachable_why
    );
    let proxy = Proxy::listen(&path);
    expect(true, 8).await;
    proxy.freeze(true);
    let frozen = expect(false, 5).await;
    assert!(frozen.unreachable_why.contains("no answer"), "{}", frozen.unreachable_why);
    proxy.freeze(false);
    expect(true, 8).await;
    drop(proxy);
    let gone = expect(false, 5).await;
    assert!(gone.unreachable_since > frozen.unreachable_since);
    let _proxy = Proxy::listen(&path);
    expect(true, 8).await;
    assert!(Docker::connect(&Address::new(path.to_str().unwrap())).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_overtaken_touches_nothing() {
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
    assert!(!late.ok && late.message.contains("Run 99, which began later"), "{exit:?} {}", late.message);
    let (_, late, _) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    assert!(!late.ok && late.message.contains("Run 99"), "{}", late.message);
    assert_eq!(bench.containers(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_are_held_outlive_a_prune_of_everything_unused() {
    let bench = Bench::new("held").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write("2", "ok");
    let two = bench.run_deploy(&bench.deploy("r2")).await.1;
    assert!(one.ok && two.ok, "{} {}", one.message, two.message);
    let docker = bench.engine().await;
    let ids = |images: &BTreeMap<String, String>| images.values().cloned().collect::<BTreeSet<_>>();
    let seen = look_for(&docker, &ids(&one.images)).await.unwrap();
    assert!(seen.missing.is_empty() && seen.bytes.values().all(|bytes| *bytes > 0), "{seen:?}");
    assert_eq!(hold(&docker, &bench.project, &ids(&one.images)).await.unwrap(), BTreeSet::new());
    // Held twice is held once, and a holder passes for no service.
    assert_eq!(hold(&docker, &bench.project, &ids(&one.images)).await.unwrap(), BTreeSet::new());
    assert_eq!(bench.holders().len(), one.images.values().collect::<BTreeSet<_>>().len());
    assert_eq!(bench.containers().len(), 3);

    let filter = format!("label=test={}", bench.project);
    bench.docker(&["image", "prune", "-a", "-f", "--filter", &filter]);
    assert_eq!(images_present(&docker, one.images.values()).await.unwrap(), Vec::<String>::new());
    let (_, back, run) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    assert!(back.ok, "{}", run.log());

    assert_eq!(hold(&docker, &bench.project, &BTreeSet::new()).await.unwrap(), BTreeSet::new());
    assert_eq!(bench.holders(), Vec::<String>::new());
    let gone = BTreeSet::from([format!("sha256:{}", "0".repeat(64))]);
    assert_eq!(look_for(&docker, &gone).await.unwrap().missing, gone);
    assert_eq!(hold(&docker, &bench.project, &gone).await.unwrap(), gone, "nothing can be made from it");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_start_in_order_and_a_failed_one_holds_back_only_those_that_wait_for_it() {
    let bench = Bench::new("order").await;
    bench.write("1", "ok");
    let one_shot = |name: &str, code: u8, more: &str| {
        format!(
            "  {name}:\n    image: stagegate-test/busybox:1\n    stop_grace_period: 0s\n    command: [\"sh\", \"-c\", \"sleep 1; exit {code}\"]\n{more}"
        )
    };
    let after =
        |what: &str| format!("    depends_on: {{{what}: {{condition: service_completed_successfully}}}}\n");
    let services =
        format!("services:\n{}{}", one_shot("first", 0, ""), one_shot("second", 0, &after("first")));
    bench.edit("docker-compose.yml", "services:\n", &services);
    bench.edit("docker-compose.yml", "  worker:\n", &format!("  worker:\n{}", after("second")));
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok, "{}", one.message);
    let started = |service: &str| {
        let name = format!("{}-{service}-1", bench.project);
        bench.docker(&["inspect", "-f", "{{.State.StartedAt}}", &name])
    };
    let finished = |service: &str| {
        let name = format!("{}-{service}-1", bench.project);
        bench.docker(&["inspect", "-f", "{{.State.FinishedAt}}", &name])
    };
    assert!(finished("first") <= started("second") && finished("second") <= started("worker"));

    // What was made belongs to Compose: by hand there is nothing left to do.
    let before = bench.containers();
    bench.compose(&["up", "-d", "--no-build"]);
    assert_eq!(bench.containers(), before);

    bench.edit(
        "docker-compose.yml",
        "sleep 1; exit 0\"]\n    depends_on",
        "sleep 1; exit 3\"]\n    depends_on",
    );
    bench.edit("docker-compose.yml", "COLOUR: blue", "COLOUR: red");
    bench.edit("docker-compose.yml", "\"sleep\", \"1000\"", "\"sleep\", \"1001\"");
    let two = bench.run_deploy(&bench.deploy("r2")).await.1;
    assert!(!two.ok && two.message.contains("second: it ended with exit code 3"), "{}", two.message);
    let health: BTreeMap<_, _> = two.services.iter().map(|s| (s.name.as_str(), s.health)).collect();
    assert!(matches!(health["web"], Health::Healthy | Health::Starting), "{health:?}");
    assert!(started("worker").starts_with("0001"), "it waits for what failed: {health:?}");
    let back = bench.run_rollback(&bench.rollback("r1", &one.images)).await.1;
    assert!(back.ok && back.kept_config, "{}", back.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_compose_can_hand_over_is_handed_over() {
    let bench = Bench::new("secret").await;
    bench.write("1", "ok");
    bench.edit("docker-compose.yml", "  web:\n", "  web:\n    secrets: [token]\n");
    let text = fs::read_to_string(bench.path().join("docker-compose.yml")).unwrap();
    let secrets = "secrets:\n  token: {environment: TOKEN}\n";
    fs::write(bench.path().join("docker-compose.yml"), format!("{text}{secrets}")).unwrap();
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok, "{}", one.message);
    assert_eq!(bench.compose(&["exec", "-T", "web", "cat", "/run/secrets/token"]), SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_probes_do_not_wait_for_the_engines_next_look() {
    let bench = Bench::new("probe").await;
    bench.write("1", "ok");
    bench.edit("docker-compose.yml", "interval: 500ms", "interval: 60s");
    let began = Instant::now();
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok && began.elapsed() < Duration::from_secs(55), "{} {:?}", one.message, began.elapsed());
    // A command that never succeeds is not taken for one that does.
    bench.write("2", "bad");
    bench.edit("docker-compose.yml", "interval: 500ms", "interval: 60s");
    let mut work = bench.deploy("r2");
    work.health_timeout_ms = 4_000;
    let two = bench.run_deploy(&work).await.1;
    assert!(!two.ok && two.message.contains("Not well within 4.0 s: web"), "{}", two.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_service_said_is_gathered_before_it_is_replaced() {
    let bench = Bench::new("heard").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write("2", "ok");
    assert!(one.ok && bench.run_deploy(&bench.deploy("r2")).await.1.ok);
    let mut work = bench.rollback("r1", &one.images);
    work.clean = Clean::Containers;
    let (_, back, run) = bench.run_rollback(&work).await;
    assert!(back.ok, "{}", run.log());
    let names: Vec<_> = back.heard.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["job", "web", "worker"]);
    let web = back.heard.iter().find(|service| service.name == "web").unwrap();
    assert!(web.last_lines.iter().any(|line| line.starts_with("web 2 with")), "{web:?}");
    assert!(!format!("{:?}", back.heard).contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_keeps_nobody_from_being_started_who_does_not_wait_for_it() {
    let bench = Bench::new("apart").await;
    bench.write("1", "ok");
    let bad =
        "services:\n  bad:\n    image: stagegate-test/busybox:1\n    command: [\"sh\", \"-c\", \"exit 7\"]\n";
    bench.edit("docker-compose.yml", "services:\n", bad);
    bench.edit(
        "docker-compose.yml",
        "grep -qx ok /state",
        "test $$(($$(date +%s) - $$(stat -c %Y /proc/1))) -ge 4 && grep -qx ok /state",
    );
    let after = "  worker:\n    depends_on: {web: {condition: service_healthy}}\n";
    bench.edit("docker-compose.yml", "  worker:\n", after);
    bench.edit("docker-compose.yml", "retries: 2", "retries: 2\n      start_period: 20s");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(!one.ok && one.message.contains("bad: it ended with exit code 7"), "{}", one.message);
    let health: BTreeMap<_, _> = one.services.iter().map(|s| (s.name.as_str(), s.health)).collect();
    assert_eq!(health["worker"], Health::Running, "{health:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_to_become_well_counts_from_the_last_start() {
    let bench = Bench::new("count").await;
    bench.write("1", "ok");
    let first = "services:\n  first:\n    image: stagegate-test/busybox:1\n    command: [\"sleep\", \"6\"]\n";
    bench.edit("docker-compose.yml", "services:\n", first);
    let after = "  worker:\n    depends_on: {first: {condition: service_completed_successfully}}\n";
    bench.edit("docker-compose.yml", "  worker:\n", after);
    let mut work = bench.deploy("r1");
    work.health_timeout_ms = 4_000;
    let one = bench.run_deploy(&work).await.1;
    assert!(one.ok, "{}", one.message);
}
