//! Rollbacks, and what is stored for them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_verifies_image_ids_and_a_manual_compose_up_changes_nothing() {
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
    assert!(result.proof.iter().all(|proof| proof.holds() && proof.actual == one.images[&proof.service]));
    assert!(!result.used_stored_config && result.outage_ms.is_some());
    assert_eq!(bench.compose(&["exec", "-T", "web", "cat", "/version"]).trim(), "1");
    let journal = read_journal(&bench.keep("").join("journal.json")).unwrap().unwrap();
    assert_eq!((journal.kind, journal.ended), (JournalKind::Rollback, true));
    assert_eq!(journal.moved_names.values().collect::<Vec<_>>(), [&two.images["web"]]);

    let before = bench.containers();
    bench.compose(&["up", "-d"]);
    assert_eq!(bench.containers(), before, "the same command run manually changes nothing");
    assert!(bench.missing(two.images.values()).await.is_empty(), "the newer images are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_without_its_images_is_refused_before_anything_stops() {
    let bench = Bench::new("gone").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write("2", "ok");
    assert!(one.ok && bench.run_deploy(&bench.deploy("r2")).await.1.ok);
    let stack = bench.orchestrator();
    let removed = stack.prune_images(&bench.project, |tag| ["r2"].contains(&tag)).await.unwrap();
    assert!(removed.contains(&format!("stagegate/keep/{}/web:r1", bench.project)), "{removed:?}");
    assert_eq!(bench.missing([&one.images["web"]]).await, [one.images["web"].clone()].into());
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
async fn a_rollback_over_a_changed_compose_file_uses_the_stored_one() {
    let bench = Bench::new("config").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.edit("docker-compose.yml", "COLOUR: blue", "COLOUR: red");
    let extra = "  extra:\n    image: stagegate-test/busybox:1\n    stop_grace_period: 0s\n    command: [\"sleep\", \"1000\"]\n";
    bench.edit("docker-compose.yml", "services:\n", &format!("services:\n{extra}"));
    assert!(one.ok && bench.run_deploy(&bench.deploy("r2")).await.1.ok);
    assert!(bench.containers().iter().any(|(name, _)| name.contains("extra")));

    let mut work = bench.rollback("r1", &one.images);
    work.database =
        DatabaseAction::RollbackCommand("cat /version-of-nothing || echo undone > undone.txt".into());
    let (_, result, run) = bench.run_rollback(&work).await;
    assert!(result.ok && result.used_stored_config, "{} {}", result.message, run.log());
    assert_eq!(
        bench.compose(&["exec", "-T", "web", "sh", "-c", "echo $COLOUR $TOKEN"]).trim(),
        format!("blue {SECRET}")
    );
    assert!(
        !bench.containers().iter().any(|(name, _)| name.contains("extra")),
        "services that the target does not have are removed"
    );
    assert!(bench.path().join("undone.txt").exists());

    fs::write(bench.path().join("docker-compose.yml"), "services: [broken").unwrap();
    let (_, result, run) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    assert!(
        result.ok && result.used_stored_config,
        "an invalid current file does not prevent the rollback: {}",
        run.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_migration_rollback_changes_no_service() {
    let bench = Bench::new("db").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write("2", "ok");
    assert!(one.ok && bench.run_deploy(&bench.deploy("r2")).await.1.ok);
    let before = bench.containers();
    let mut work = bench.rollback("r1", &one.images);
    work.database = DatabaseAction::RollbackCommand("exit 9".into());
    let (exit, result, _) = bench.run_rollback(&work).await;
    assert_eq!((exit, result.ok, result.phase), (Exit::Code(1), false, DeployPhase::Migrating));
    assert_eq!(bench.containers(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_images_survive_a_prune_of_everything_unused() {
    let bench = Bench::new("held").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write("2", "ok");
    let two = bench.run_deploy(&bench.deploy("r2")).await.1;
    assert!(one.ok && two.ok, "{} {}", one.message, two.message);
    let stack = bench.orchestrator();
    let ids = |images: &BTreeMap<String, String>| images.values().cloned().collect::<BTreeSet<_>>();
    let seen = stack.find_images(&ids(&one.images)).await.unwrap();
    assert!(seen.missing.is_empty() && seen.bytes.values().all(|bytes| *bytes > 0), "{seen:?}");
    assert_eq!(stack.pin_images(&bench.project, &ids(&one.images)).await.unwrap(), BTreeSet::new());
    // Pinning twice creates one container, which does not count as a service.
    assert_eq!(stack.pin_images(&bench.project, &ids(&one.images)).await.unwrap(), BTreeSet::new());
    assert_eq!(bench.holders().len(), one.images.values().collect::<BTreeSet<_>>().len());
    assert_eq!(bench.containers().len(), 3);

    let filter = format!("label=test={}", bench.project);
    bench.docker(&["image", "prune", "-a", "-f", "--filter", &filter]);
    assert_eq!(bench.missing(one.images.values()).await, BTreeSet::new());
    let (_, back, run) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    assert!(back.ok, "{}", run.log());

    assert_eq!(stack.pin_images(&bench.project, &BTreeSet::new()).await.unwrap(), BTreeSet::new());
    assert_eq!(bench.holders(), Vec::<String>::new());
    let gone = BTreeSet::from([format!("sha256:{}", "0".repeat(64))]);
    assert_eq!(stack.find_images(&gone).await.unwrap().missing, gone);
    assert_eq!(
        stack.pin_images(&bench.project, &gone).await.unwrap(),
        gone,
        "no container can be created from it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_every_service_is_collected_before_it_is_replaced() {
    let bench = Bench::new("heard").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write("2", "ok");
    assert!(one.ok && bench.run_deploy(&bench.deploy("r2")).await.1.ok);
    let mut work = bench.rollback("r1", &one.images);
    work.removal = Removal::Containers;
    let (_, back, run) = bench.run_rollback(&work).await;
    assert!(back.ok, "{}", run.log());
    let names: Vec<_> = back.last_logs.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["job", "web", "worker"]);
    let web = back.last_logs.iter().find(|service| service.name == "web").unwrap();
    assert!(web.last_lines.iter().any(|line| line.starts_with("web 2 with")), "{web:?}");
    assert!(!format!("{:?}", back.last_logs).contains(SECRET));
}
