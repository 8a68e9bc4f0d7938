//! Stacks with other features than the usual one: each is deployed and rolled back.

use std::fs;

use orchestrator::{Orchestrator, StackFiles};

use crate::compose_bench::Bench;

/// Writes an image that contains `version`.
fn write_image(bench: &Bench, version: &str) {
    let dockerfile = format!(
        "FROM stagegate-test/busybox:1\nLABEL test={}\nRUN echo {version} > /version\n",
        bench.project
    );
    fs::write(bench.path().join("Dockerfile"), dockerfile).unwrap();
}

/// The versions of the running containers of a service.
fn versions(bench: &Bench, service: &str) -> Vec<String> {
    let project = format!("label=com.docker.compose.project={}", bench.project);
    let label = format!("label=com.docker.compose.service={service}");
    let ids = bench.docker(&["ps", "-q", "--filter", &project, "--filter", &label]);
    ids.lines().map(|id| bench.docker(&["exec", id, "cat", "/version"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_fixed_names_shared_networks_jobs_and_profiles_are_rolled_back() {
    let bench = Bench::new("shapes").await;
    let (name, volume) = (format!("{}-the-one", bench.project), format!("{}-elsewhere", bench.project));
    bench.docker(&[
        "volume",
        "create",
        "--label",
        &format!("com.docker.compose.project={}", bench.project),
        &volume,
    ]);
    let image = format!("image: {}-all\n    build: .\n    stop_grace_period: 0s", bench.project);
    let compose = format!(
        "services:
  job:
    {image}
    command: [\"sh\", \"-c\", \"cat /version > /data/version\"]
    volumes: [\"elsewhere:/data\"]
  web:
    {image}
    deploy: {{replicas: 3}}
    depends_on: {{job: {{condition: service_completed_successfully}}}}
    command: [\"sh\", \"-c\", \"cmp /version /data/version && exec sleep 1000\"]
    volumes: [\"elsewhere:/data:ro\"]
    healthcheck: {{test: [\"CMD\", \"true\"], interval: 2s}}
  one:
    {image}
    container_name: {name}
    command: [\"httpd\", \"-f\", \"-p\", \"127.0.0.1:8000\", \"-h\", \"/\"]
    healthcheck: {{test: [\"CMD\", \"true\"], interval: 2s}}
  beside:
    {image}
    network_mode: service:one
    depends_on: {{one: {{condition: service_healthy}}}}
    command: [\"sleep\", \"1000\"]
    healthcheck: {{test: [\"CMD-SHELL\", \"wget -qO- http://127.0.0.1:8000/version | cmp - /version\"], interval: 2s}}
  host:
    {image}
    network_mode: host
    pid: host
    restart: always
    command: [\"sleep\", \"1000\"]
  tools:
    {image}
    profiles: [tools]
    command: [\"sleep\", \"1000\"]
volumes:
  elsewhere: {{external: true, name: {volume}}}
"
    );
    fs::write(bench.path().join("docker-compose.yml"), compose).unwrap();
    fs::write(bench.path().join(".env.staging"), "").unwrap();
    let expect = |version: &str| {
        for (service, count) in [("web", 3), ("one", 1), ("beside", 1), ("host", 1), ("tools", 0)] {
            assert_eq!(versions(&bench, service), vec![version; count], "{service}");
        }
    };
    write_image(&bench, "1");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok, "{}", one.message);
    expect("1");
    write_image(&bench, "2");
    let two = bench.run_deploy(&bench.deploy("r2")).await.1;
    assert!(two.ok, "{}", two.message);
    expect("2");
    let mut work = bench.rollback("r1", &one.images);
    work.changed = ["web", "one", "beside", "host", "job"].map(str::to_owned).to_vec();
    work.stateless = work.changed.clone();
    let (_, back, run) = bench.run_rollback(&work).await;
    assert!(back.ok, "{} {}", back.message, run.log());
    expect("1");
    let before = bench.containers();
    bench.compose(&["up", "-d"]);
    assert_eq!(bench.containers(), before, "the same command run manually changes nothing");

    // A missing replica is created again.
    bench.docker(&["rm", "-f", &before.iter().find(|(name, _)| name.contains("web")).unwrap().1]);
    let (_, back, run) = bench.run_rollback(&work).await;
    assert!(back.ok, "{} {}", back.message, run.log());
    expect("1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_whose_files_compose_finds_by_itself_is_rolled_back() {
    let bench = Bench::new("found").await;
    let base = format!(
        "name: {}\nservices:\n  web:\n    build: .\n    stop_grace_period: 0s\n    command: [\"sh\", \"-c\", \"exec sleep $NAP\"]\n",
        bench.project
    );
    fs::write(bench.path().join("compose.yaml"), base).unwrap();
    let more = "services:\n  web:\n    environment: {WORD: \"${WORD}\"}\n  more:\n    image: stagegate-test/busybox:1\n    profiles: [more]\n    stop_grace_period: 0s\n    command: [\"sleep\", \"1000\"]\n";
    fs::write(bench.path().join("compose.override.yaml"), more).unwrap();
    fs::write(bench.path().join(".env"), "NAP=1000\nWORD=from-the-env\nCOMPOSE_PROFILES=more\n").unwrap();
    let stack = Orchestrator::Compose(StackFiles { dir: bench.path(), ..StackFiles::default() });
    fs::write(bench.path().join(".env.staging"), "").unwrap();
    let deploy = |release: &str| {
        let mut work = bench.deploy(release);
        work.stack = stack.clone();
        work
    };
    write_image(&bench, "1");
    let one = bench.run_deploy(&deploy("r1")).await.1;
    assert!(one.ok && one.images.len() == 2, "{} {:?}", one.message, one.images);
    write_image(&bench, "2");
    let two = bench.run_deploy(&deploy("r2")).await.1;
    assert!(two.ok && versions(&bench, "web") == ["2"], "{}", two.message);
    let mut work = bench.rollback("r1", &one.images);
    work.stack = stack;
    let (_, back, run) = bench.run_rollback(&work).await;
    assert!(back.ok && !back.used_stored_config, "{} {}", back.message, run.log());
    assert_eq!(versions(&bench, "web"), ["1"]);
    let before = bench.containers();
    assert_eq!(before.len(), 2, "{before:?}");
    bench.docker(&["compose", "up", "-d"]);
    assert_eq!(bench.containers(), before, "the same command run manually changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_service_and_a_manually_removed_one_do_not_prevent_a_rollback() {
    let bench = Bench::new("frozen").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write("2", "ok");
    assert!(one.ok && bench.run_deploy(&bench.deploy("r2")).await.1.ok);
    let of = |service: &str| {
        let all = bench.containers();
        all.into_iter().find(|(name, _)| name.contains(service)).unwrap().1
    };
    bench.docker(&["pause", &of("web")]);
    bench.docker(&["rm", "-f", &of("worker")]);
    let (_, back, run) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    assert!(back.ok, "{} {}", back.message, run.log());
    assert_eq!(versions(&bench, "web"), ["1"]);
    // A paused container that would not be replaced must be resumed too.
    bench.docker(&["pause", &of("worker")]);
    let (_, back, run) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    let state = bench.docker(&["inspect", "-f", "{{.State.Status}}", &of("worker")]);
    assert_eq!((back.ok, state.as_str()), (true, "running"), "{} {}", back.message, run.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn services_stopped_by_a_failed_deploy_are_started_again() {
    let bench = Bench::new("unmade").await;
    bench.write("1", "ok");
    assert!(bench.run_deploy(&bench.deploy("r1")).await.1.ok);
    bench.write("2", "ok");
    // The engine refuses to create this one.
    let mount = "{type: bind, source: ./not-there, target: /x, bind: {create_host_path: false}}";
    bench.edit("docker-compose.yml", "  worker:\n", &format!("  worker:\n    volumes: [{mount}]\n"));
    let (_, two, run) = bench.run_deploy(&bench.deploy("r2")).await;
    assert!(!two.ok && two.message.contains("Compose could not replace"), "{} {}", two.message, run.log());
    assert_eq!(versions(&bench, "web").len(), 1, "{}", run.log());
    let project = format!("label=com.docker.compose.project={}", bench.project);
    let worker = ["--filter", &project, "--filter", "label=com.docker.compose.service=worker"];
    assert_eq!(bench.docker(&[&["ps", "-q"][..], &worker].concat()).lines().count(), 1, "{}", run.log());
}
