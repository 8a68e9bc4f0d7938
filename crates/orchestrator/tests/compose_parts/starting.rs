//! The order in which services are started, and when they count as healthy.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn services_start_in_order_and_a_failed_one_blocks_only_those_that_wait_for_it() {
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

    // A manual `docker compose up` changes nothing.
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
    assert!(!two.ok && two.message.contains("second: stopped with exit code 3"), "{}", two.message);
    let health: BTreeMap<_, _> = two.services.iter().map(|s| (s.name.as_str(), s.health)).collect();
    assert!(matches!(health["web"], Health::Healthy | Health::Starting), "{health:?}");
    assert!(started("worker").starts_with("0001"), "it waits for the failed service: {health:?}");
    let back = bench.run_rollback(&bench.rollback("r1", &one.images)).await.1;
    assert!(back.ok && back.used_stored_config, "{}", back.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_only_compose_can_pass_are_passed() {
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
async fn our_own_probes_do_not_wait_for_the_engines_next_check() {
    let bench = Bench::new("probe").await;
    bench.write("1", "ok");
    bench.edit("docker-compose.yml", "interval: 500ms", "interval: 60s");
    let began = Instant::now();
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok && began.elapsed() < Duration::from_secs(55), "{} {:?}", one.message, began.elapsed());
    // A command that never succeeds does not count as a success.
    bench.write("2", "bad");
    bench.edit("docker-compose.yml", "interval: 500ms", "interval: 60s");
    let mut work = bench.deploy("r2");
    work.health_timeout_ms = 4_000;
    let two = bench.run_deploy(&work).await.1;
    assert!(!two.ok && two.message.contains("Not healthy within 4.0 s: web"), "{}", two.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_does_not_block_services_that_do_not_wait_for_it() {
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
    assert!(!one.ok && one.message.contains("bad: stopped with exit code 7"), "{}", one.message);
    let health: BTreeMap<_, _> = one.services.iter().map(|s| (s.name.as_str(), s.health)).collect();
    assert_eq!(health["worker"], Health::Running, "{health:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_time_limit_counts_from_the_last_start() {
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

/// The engine may carry out a request of a killed Compose only after the leftovers were cleaned up.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_leftover_of_a_killed_compose_gets_its_final_name() {
    let bench = Bench::new("late").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok, "{}", one.message);
    let before = bench.containers();
    let web = format!("{}-web-1", bench.project);
    let (killed, late) = (bench.path().join("killed"), bench.path().join("late"));
    let script = format!(
        "case \" $* \" in *' create '* | *' up '*)\n\
           [ -e '{killed}' ] || {{ : > '{killed}'; kill -9 $$; }}\n\
           [ -e '{late}' ] || {{ : > '{late}'; \"$docker\" rename {web} 0123456789ab_{web}; }} ;;\n\
         esac\n\
         exec \"$docker\" \"$@\"",
        killed = killed.display(),
        late = late.display(),
    );
    let run = bench.start_with_docker(serde_json::json!({ "deploy": bench.deploy("r2") }), &script);
    assert_eq!(run.end().await, Exit::Code(0), "{}", run.log());
    assert!(
        late.exists() && run.log().contains("an interrupted Docker Compose had left it behind"),
        "{}",
        run.log()
    );
    assert_eq!(bench.containers(), before, "{}", run.log());
}
