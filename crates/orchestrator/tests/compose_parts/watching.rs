//! The parts of a release on disk, and the watcher of the running stack.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_on_disk_are_the_same_in_another_checkout_and_change_with_their_files() {
    let (one, other) = (Bench::new("partsa").await, Bench::new("partsb").await);
    let mut read = Vec::new();
    for bench in [&one, &other] {
        bench.write("1", "ok");
        let files = StackFiles { name: Some("stagegate-same".into()), ..bench.files() };
        let reader = Orchestrator::Compose(files).parts_reader(key());
        read.push((reader.read().await.parts, reader));
    }
    assert_eq!(read[0].0, read[1].0);
    assert_eq!(
        read[0].0.values.keys().collect::<Vec<_>>(),
        [&ReleaseComponent::Config, &ReleaseComponent::Env]
    );
    one.edit("docker-compose.yml", "COLOUR: blue", "COLOUR: bluer");
    let changed = read[0].1.read().await.parts;
    assert!(
        !changed.agrees(&read[0].0, ReleaseComponent::Config)
            && changed.agrees(&read[0].0, ReleaseComponent::Env)
    );
    fs::write(one.path().join("docker-compose.yml"), "services: [broken").unwrap();
    let broken = read[0].1.read().await;
    assert!(broken.parts.get(ReleaseComponent::Config).is_none() && broken.rendered.is_some());
    assert!(broken.faults[0].contains("not valid"), "{:?}", broken.faults);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watcher_sees_a_killed_container_within_a_second() {
    let bench = Bench::new("kill").await;
    bench.write("1", "ok");
    assert!(bench.run_deploy(&bench.deploy("r1")).await.1.ok);
    let watcher = bench.orchestrator().watch(key());
    let mut seen = watcher.observed();
    let health = |of: &domain::observed::Observed, name: &str| {
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

    let stack = bench.orchestrator();
    let rendered = stack.render(&key()).await.unwrap();
    let now = stack.containers(&rendered).await.unwrap();
    assert_eq!(now.iter().map(|c| c.service.as_str()).collect::<Vec<_>>(), ["job", "web", "worker"]);
    let logs = stack.log_lines(&rendered, &["web".into()], 1).await.unwrap();
    assert_eq!(logs["web"].lines, [format!("web 1 with {SECRET}")]);
    assert!(logs["web"].newest.is_some() && !logs["web"].driver.is_empty(), "{:?}", logs["web"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watcher_notices_a_lost_or_frozen_engine_within_five_seconds_and_recovers() {
    let bench = Bench::new("lost").await;
    bench.write("1", "ok");
    let path = bench.path().join("engine.sock");
    let engine = Some(path.to_str().unwrap().to_owned());
    let stack = Orchestrator::Compose(StackFiles { engine, ..bench.files() });
    let watcher = stack.watch(key());
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
    assert!(frozen.unreachable_why.contains("no response"), "{}", frozen.unreachable_why);
    proxy.freeze(false);
    expect(true, 8).await;
    drop(proxy);
    let gone = expect(false, 5).await;
    assert!(gone.unreachable_since > frozen.unreachable_since);
    let _proxy = Proxy::listen(&path);
    expect(true, 8).await;
    assert!(stack.engine_version().await.is_ok());
}
