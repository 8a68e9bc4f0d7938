//! Drift from the release while the board is open: on a real engine, with real files.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use domain::drift::{Drift, DriftKind};
use domain::evidence::Outcome as Found;
use domain::item::Standing;
use engine::Engine;
use engine::view::RunState;

use crate::support::bench::{Bench, actor, audit_is_whole, board, ended, log, run_id, until};

const TIMEOUT: Duration = Duration::from_secs(15);

async fn of_kind(engine: &Engine, kind: DriftKind) -> Option<Drift> {
    board(engine).await.judgement.drift.into_iter().find(|d| d.kind == kind)
}

/// Does something, waits until the board shows the drift, and prints how long that took.
async fn turns(engine: &Engine, kind: DriftKind, act: impl FnOnce()) -> Drift {
    act();
    let began = Instant::now();
    until(&format!("{kind:?}"), TIMEOUT, || async { of_kind(engine, kind).await.is_some() }).await;
    eprintln!("{kind:?} was shown after {} ms", began.elapsed().as_millis());
    // The time of it is stored a moment later.
    until("its time", TIMEOUT, || async { of_kind(engine, kind).await.is_some_and(|d| d.since.is_some()) })
        .await;
    of_kind(engine, kind).await.unwrap()
}

async fn is_over(engine: &Engine, kind: DriftKind) {
    until(&format!("the end of {kind:?}"), TIMEOUT, || async { of_kind(engine, kind).await.is_none() }).await;
}

async fn standing(engine: &Engine, check: &str) -> Standing {
    let judged = board(engine).await.judgement;
    let states = judged.gates.iter().flat_map(|g| &g.items).flat_map(|i| &i.checks);
    states.filter(|c| c.check == check).map(|c| c.standing).next().unwrap()
}

fn extra() -> String {
    let proves = "proves = [{ criterion = \"B.1\", contains = \"note\" }]";
    format!(
        "binds = [\"image:web\"]\nafter_deploy = false\n
[[check]]\nid = \"worker-up\"\nkind = \"compose\"\nassert = \"healthy\"\nservices = [\"worker\"]
binds = [\"image:worker\"]\nafter_deploy = true\n{proves}\n
[[check]]\nid = \"mode\"\nkind = \"env_file\"\nassert = \"mode\"\n{proves}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_drift_is_shown_with_its_time_until_it_is_fixed_with_docker() {
    let bench = Bench::tinystack("drift", &extra());
    let env = bench.dir().join(".env.bench");
    let chmod = |mode| std::fs::set_permissions(&env, std::fs::Permissions::from_mode(mode)).unwrap();
    chmod(0o600);
    bench.write("note.txt", "here");
    let engine = bench.start().await;
    let done = bench.deploy(&engine, "backend").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));

    // Checks with `after_deploy` run again immediately, in a separate run.
    let qa = actor(&engine, "qa").await;
    let validation = run_id(&done) + 1;
    until("the validation", TIMEOUT, || async { engine.run(&qa, validation).await.is_ok() }).await;
    let page = ended(&engine, validation).await;
    let by = ("Stagegate (validation)", "validation");
    assert_eq!((page.run.by_name.as_str(), page.run.subject.as_str()), by);
    let found: Vec<_> = page.evidence.iter().map(|e| (e.check.as_str(), e.finding.outcome)).collect();
    assert_eq!(found, [("worker-up", Found::Pass)], "{}", log(&page));
    bench.check(&engine, "qa", "mode").await;
    until("no drift", TIMEOUT, || async { board(&engine).await.judgement.drift.is_empty() }).await;

    // The env file's permissions, and what is in it.
    let seen = turns(&engine, DriftKind::EnvMode, || chmod(0o644)).await;
    assert!(seen.what.contains("0644") && seen.effect.contains("mode") && seen.blocks, "{seen:?}");
    assert_eq!(standing(&engine, "mode").await, Standing::Stale);
    chmod(0o600);
    is_over(&engine, DriftKind::EnvMode).await;
    assert_eq!(standing(&engine, "mode").await, Standing::Pass);
    let text = std::fs::read_to_string(&env).unwrap();
    let seen =
        turns(&engine, DriftKind::Env, || std::fs::write(&env, format!("{text}MORE=1\n")).unwrap()).await;
    assert!(seen.effect.contains("Stale checks: mode"), "{seen:?}");
    assert_eq!(standing(&engine, "mode").await, Standing::Stale);
    std::fs::write(&env, &text).unwrap();
    is_over(&engine, DriftKind::Env).await;
    assert_eq!(standing(&engine, "mode").await, Standing::Pass);

    // The Compose file and HEAD: the board still shows the release.
    let seen = turns(&engine, DriftKind::Config, || {
        bench.edit("docker-compose.yml", "VERSION:-1", "VERSION:-2");
    })
    .await;
    assert!(seen.effect.contains("still shows release #1") && !seen.blocks, "{seen:?}");
    let seen = turns(&engine, DriftKind::Commit, || bench.commit("second")).await;
    assert!(seen.next.contains("open a release from HEAD"), "{seen:?}");
    assert!(board(&engine).await.moved_on.is_some());

    // A container too many, one that keeps ending, one that is gone.
    let label = format!("com.docker.compose.project={}", bench.project);
    let image = format!("{}/worker:dev", bench.project);
    let run = |name: &str, service: &str, script: &str| {
        let name = format!("{}-{name}", bench.project);
        let service = format!("com.docker.compose.service={service}");
        bench.docker(&[
            "run",
            "-d",
            "--restart=always",
            "--name",
            &name,
            "--label",
            &label,
            "--label",
            &service,
            &image,
            "sh",
            "-c",
            script,
        ]);
        name
    };
    let seen = turns(&engine, DriftKind::Orphan, || {
        run("old", "old", "sleep 600");
    })
    .await;
    assert!(seen.subject.ends_with("-old") && seen.next.contains("docker rm"), "{seen:?}");
    bench.docker(&["rm", "-f", &seen.subject]);
    is_over(&engine, DriftKind::Orphan).await;
    let mut name = String::new();
    let seen = turns(&engine, DriftKind::Loop, || name = run("again", "worker", "exit 1")).await;
    assert_eq!((seen.subject.as_str(), seen.blocks), ("worker", true), "{seen:?}");
    bench.docker(&["rm", "-f", &name]);
    is_over(&engine, DriftKind::Loop).await;
    assert!(board(&engine).await.judgement.drift.iter().all(|d| !d.blocks));

    // A tag that names another image now; what runs is still the release's.
    let web = format!("{}/web:dev", bench.project);
    let keep = board(&engine).await.release.unwrap().parts.images["web"].clone();
    let seen = turns(&engine, DriftKind::Tag, || {
        bench.docker(&["tag", &image, &web]);
    })
    .await;
    assert_eq!((seen.subject.as_str(), seen.blocks), ("web", false), "{seen:?}");
    bench.docker(&["tag", &keep, &web]);
    is_over(&engine, DriftKind::Tag).await;

    // Somebody brings the stack up by hand with another build of web alone.
    let file = bench.dir().join("docker-compose.yml");
    let compose = |words: &[&str]| {
        let mut argv =
            vec!["compose", "-p", &bench.project, "--env-file", ".env.bench", "-f", file.to_str().unwrap()];
        argv.extend(words);
        bench.docker(&argv);
    };
    let seen = turns(&engine, DriftKind::Image, || {
        compose(&["build", "web"]);
        compose(&["up", "-d", "--no-deps", "--wait", "web"]);
    })
    .await;
    assert_eq!((seen.subject.as_str(), seen.blocks), ("web", true), "{seen:?}");
    assert!(
        seen.effect.contains("Stale checks: web-health") && !seen.effect.contains("worker-up"),
        "{seen:?}"
    );
    assert_eq!(
        (standing(&engine, "web-health").await, standing(&engine, "worker-up").await),
        (Standing::Stale, Standing::Pass)
    );
    let judged = board(&engine).await.judgement;
    let stale = judged.item("F.1").unwrap().checks[0].stale[0].clone();
    assert_eq!((stale.reason().as_str(), stale.at()), ("the image of web changed", seen.since));

    // The image is that of the release again, and its evidence counts again.
    bench.docker(&["tag", &keep, &web]);
    compose(&["up", "-d", "--no-deps", "--wait", "web"]);
    is_over(&engine, DriftKind::Image).await;
    assert_eq!(standing(&engine, "web-health").await, Standing::Pass);
    let seen = turns(&engine, DriftKind::Gone, || {
        bench.docker(&["rm", "-f", &format!("{}-worker-1", bench.project)]);
    })
    .await;
    assert_eq!(seen.subject, "worker");
    audit_is_whole(&engine).await;
}
