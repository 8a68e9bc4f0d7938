//! Changes from before any service was changed are undone, however the run ended.

#[path = "steps_before.rs"]
mod steps_before;

use orchestrator::{Journal, Undo};

use super::*;

impl Bench {
    /// The image that a service's name points to.
    fn named(&self, service: &str) -> String {
        self.docker(&["image", "inspect", "-f", "{{.Id}}", &format!("{}-{service}", self.project)])
    }

    /// A second service that is built, from its own Dockerfile.
    fn write_two(&self, version: &str) {
        self.write(version, "ok");
        let worker = "  worker:\n    image: stagegate-test/busybox:1\n";
        let built = "  worker:\n    build: {context: ., dockerfile: Dockerfile.worker}\n";
        self.edit("docker-compose.yml", worker, built);
        let text =
            format!("FROM stagegate-test/busybox:1\nLABEL test={} of=worker\nCOPY version /\n", self.project);
        fs::write(self.path().join("Dockerfile.worker"), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_fails_half_way_through_the_names_restores_every_name() {
    let bench = Bench::new("undo").await;
    bench.write_two("1");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    bench.write_two("2");
    let two = bench.run_deploy(&bench.deploy("r2")).await.1;
    assert!(one.ok && two.ok);
    for service in ["web", "worker"] {
        assert_ne!(one.images[service], two.images[service]);
        assert_eq!(bench.named(service), two.images[service]);
    }
    let before = bench.containers();

    // The second image is removed after the preflight: of two names one is moved, and the other cannot be.
    let mut work = bench.rollback("r1", &one.images);
    work.database = DatabaseAction::RollbackCommand(format!("docker rmi -f {}", one.images["worker"]));
    let (exit, result, run) = bench.run_rollback(&work).await;
    assert_eq!(
        (exit, result.ok, result.phase),
        (Exit::Code(1), false, DeployPhase::Retagging),
        "{}",
        run.log()
    );
    assert!(run.log().contains(&format!("{}-web", bench.project)), "no name was moved at all: {}", run.log());
    for service in ["web", "worker"] {
        assert_eq!(bench.named(service), two.images[service], "{service}: {}", run.log());
    }
    assert!(result.message.contains("were restored"), "{}", result.message);
    assert_eq!(bench.containers(), before);
    bench.compose(&["up", "-d", "--no-build"]);
    assert_eq!(bench.containers(), before, "a hand-typed up starts a mixture");
    let path = Journal::path(&bench.keep("r1"));
    let mut journal = read_journal(&path).unwrap().unwrap();
    assert!(journal.ended && journal.undo.is_empty());

    // A supervisor that died in the middle left its changes in the journal; the next run undoes them.
    let web = format!("{}-web", bench.project);
    bench.docker(&["tag", &one.images["web"], &web]);
    journal.ended = false;
    journal.undo.push(Undo::Name {
        name: web,
        before: Some(two.images["web"].clone()),
        after: Some(one.images["web"].clone()),
    });
    fs::write(&path, serde_json::to_vec(&journal).unwrap()).unwrap();
    let (exit, result, run) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
    assert!(matches!(exit, Exit::NotStarted(_)) && result.missing == ["worker"], "{exit:?}");
    assert_eq!(bench.named("web"), two.images["web"], "{}", run.log());
    assert!(read_journal(&path).unwrap().unwrap().undo.is_empty());
    assert_eq!(
        bench.orchestrator().take_back_journal(&path).await.unwrap(),
        Default::default(),
        "nothing is left to do"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_half_way_restores_every_name() {
    let bench = Bench::new("half").await;
    bench.write_two("1");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok);
    let before = bench.containers();
    // A commit other than the confirmed one starts nothing.
    let mut work = bench.deploy("r2");
    work.commit = Some("1111111111111111111111111111111111111111".to_owned());
    let (exit, result, _) = bench.run_deploy(&work).await;
    assert!(matches!(exit, Exit::NotStarted(_)), "{exit:?}");
    assert!(result.message.contains("1111111 was confirmed"), "{}", result.message);

    bench.write_two("2");
    let dockerfile = fs::read_to_string(bench.path().join("Dockerfile.worker")).unwrap();
    fs::write(bench.path().join("Dockerfile.worker"), dockerfile + "RUN sleep 8; exit 3\n").unwrap();
    let (exit, result, run) = bench.run_deploy(&bench.deploy("r2")).await;
    assert_eq!(
        (exit, result.ok, result.phase),
        (Exit::Code(1), false, DeployPhase::Building),
        "{}",
        run.log()
    );
    for service in ["web", "worker"] {
        assert_eq!(bench.named(service), one.images[service], "{service}: {}", run.log());
    }
    assert_eq!(bench.containers(), before);

    // Everything is built, and Compose cannot create the containers: no service was changed, so the names are restored.
    bench.write_two("3");
    let worker = "dockerfile: Dockerfile.worker}\n";
    bench.edit("docker-compose.yml", worker, &format!("{worker}    networks: [gone]\n"));
    let compose = fs::read_to_string(bench.path().join("docker-compose.yml")).unwrap();
    let network = "networks: {gone: {external: true, name: no-such-network-of-this-test}}\n";
    fs::write(bench.path().join("docker-compose.yml"), compose + network).unwrap();
    let (_, result, run) = bench.run_deploy(&bench.deploy("r3")).await;
    assert!(!result.ok, "{}", run.log());
    for service in ["web", "worker"] {
        assert_eq!(bench.named(service), one.images[service], "{service}: {}", run.log());
    }
    assert_eq!(bench.containers(), before);
}
