//! Rollbacks with options on a real engine: a recreated database, a clean restart; and the retention of rollback
//! targets.

use std::fs;
use std::time::Duration;

use domain::choice::{DatabaseChoice, EnvChoice, VolumesChoice};
use domain::release::ReleaseState;
use engine::view::{EnvSince, RunState};
use engine::{KeptEnv, Restart, Return, kept_env};

use crate::support::bench::{Bench, SECRET, actor, audit_is_whole, board, ended, log, run_id, until};

async fn deploy(bench: &Bench, engine: &engine::Engine) {
    let done = bench.deploy(engine, "devops").await.unwrap();
    let page = ended(engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
}

fn version(bench: &Bench, from: &str, to: &str) {
    bench.edit("docker-compose.yml", &format!("VERSION:-{from}"), &format!("VERSION:-{to}"));
    bench.commit(to);
}

fn fresh(typed: &str) -> Return {
    Return { database: DatabaseChoice::Fresh, typed: typed.into(), ..Return::to(1) }
}

/// A clean restart as the page shows it.
async fn restart(engine: &engine::Engine) -> Restart {
    let shown = engine.releases(&actor(engine, "devops").await).await.unwrap().restart.digest;
    Restart { shown, ..Restart::default() }
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
        let refused = engine.roll_back(&ctx, &fresh(typed)).await.unwrap_err();
        assert!(refused.public().contains("type the stack's name: Bench"), "{refused}");
    }
    assert!(!bench.dir().join("order.txt").exists());
    let done = engine.roll_back(&bench.by(&engine, "devops").await, &fresh("Bench")).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!(
        fs::read_to_string(bench.dir().join("order.txt")).unwrap(),
        "backed-up\n1\n",
        "it ran with the images of the target"
    );

    // A failed backup aborts the rollback.
    bench.edit("stagegate.toml", "echo backed-up >> order.txt", "exit 4");
    bench.commit("a broken backup");
    deploy(&bench, &engine).await;
    let done = engine.roll_back(&bench.by(&engine, "devops").await, &fresh("Bench")).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Failed, "{}", log(&page));
    assert!(log(&page).contains("The backup of the database failed"), "{}", log(&page));
    assert_eq!(fs::read_to_string(bench.dir().join("order.txt")).unwrap(), "backed-up\n1\n");
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_restart_recreates_everything_with_docker() {
    let bench = Bench::tinystack("restart", "");
    let engine = bench.start().await;
    let nothing =
        engine.clean_restart(&bench.by(&engine, "devops").await, &restart(&engine).await).await.unwrap_err();
    assert!(nothing.public().contains("No release has been deployed"), "{nothing}");
    deploy(&bench, &engine).await;
    let filter = format!("label=com.docker.compose.project={}", bench.project);
    let ids = || {
        let out = bench.docker(&["ps", "-q", "--no-trunc", "--filter", &filter]);
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = ids();
    let done =
        engine.clean_restart(&bench.by(&engine, "devops").await, &restart(&engine).await).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let after = ids();
    assert!(after.len() == 2 && after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
    let one = board(&engine).await.release.unwrap();
    assert_eq!((one.id, one.state), (1, ReleaseState::Deployed));
    let other = Restart { shown: "what another page showed".into(), ..restart(&engine).await };
    let other = engine.clean_restart(&bench.by(&engine, "devops").await, &other).await.unwrap_err();
    assert!(other.public().contains("has changed since this page was shown"), "{other}");
    // A release that was only opened is neither started nor marked bad.
    version(&bench, "1", "2");
    bench.open_release(&engine, "devops").await.unwrap();
    let done =
        engine.clean_restart(&bench.by(&engine, "devops").await, &restart(&engine).await).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let releases = engine.releases(&actor(&engine, "devops").await).await.unwrap().releases;
    let states: Vec<_> = releases.iter().map(|row| (row.release.id, row.release.state)).collect();
    assert_eq!(states, [(2, ReleaseState::Opened), (1, ReleaseState::Deployed)]);
    // A rollback marks the release that ran as bad, and not one that was only opened since.
    deploy(&bench, &engine).await;
    version(&bench, "2", "3");
    bench.open_release(&engine, "devops").await.unwrap();
    let done = engine.roll_back(&bench.by(&engine, "devops").await, &Return::to(1)).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let releases = engine.releases(&actor(&engine, "devops").await).await.unwrap().releases;
    let states: Vec<_> = releases.iter().map(|row| (row.release.id, row.release.state)).collect();
    let left = ReleaseState::RolledBackFrom;
    let open = ReleaseState::Opened;
    assert_eq!(states, [(4, open), (3, left), (2, open), (1, ReleaseState::Deployed)]);
    // The logs of the old containers are kept with the incident.
    let devops = actor(&engine, "devops").await;
    let incidents = engine.incidents(&devops, domain::paging::Cursor::Newest).await.unwrap().rows;
    let incident = engine.incident(&devops, incidents[0].incident.id).await.unwrap();
    let report = &incident.row.incident.report;
    assert!(report.others.iter().all(|words| !words.lines.join("\n").contains(SECRET)));
    assert!(report.timeline.iter().any(|moment| moment.what.contains("started a rollback to")), "{report:?}");
    let restart = engine.incident(&devops, incidents[1].incident.id).await.unwrap().row.incident;
    assert!(restart.is_restart() && !incident.row.incident.is_restart());
    let told = &restart.report.timeline;
    assert!(told.iter().any(|moment| moment.what.contains("started a clean restart")), "{told:?}");
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_images_survive_a_prune_and_old_ones_are_removed_with_docker() {
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
    assert_eq!(ways, [3, 2], "no more than are retained");
    let held = || {
        let filter = format!("label=stagegate.keep={}", bench.project);
        bench.docker(&["ps", "-aq", "--filter", &filter]).lines().count()
    };
    // Two images of each of three releases.
    until("the images to be pinned and the old ones to be removed", Duration::from_secs(40), || async {
        held() == 6
            && bench.docker(&["images", "-q", &format!("stagegate/keep/{}/web:r1", bench.project)]).is_empty()
    })
    .await;
    // A container prune removes the containers that pin the images; they are created again.
    let keep = format!("label=stagegate.keep={}", bench.project);
    bench.docker(&["container", "prune", "-f", "--filter", &keep]);
    assert_eq!(held(), 0);
    until("the images to be pinned again", Duration::from_secs(40), || async { held() == 6 }).await;
    // A starting server removes nothing.
    engine.close().await;
    let engine = bench.open().await;
    engine.start_up().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let page = engine.releases(&devops).await.unwrap();
    let ways: Vec<_> = page.rollbacks.iter().map(|way| way.target.id).collect();
    assert_eq!((ways, held()), (vec![3, 2], 6));
    let filter = format!("label=test={}", bench.project);
    bench.docker(&["image", "prune", "-a", "-f", "--filter", &filter]);
    let done = engine.roll_back(&bench.by(&engine, "devops").await, &Return::to(2)).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let page = engine.releases(&devops).await.unwrap();
    let ways: Vec<_> = page.rollbacks.iter().map(|way| way.target.id).collect();
    assert_eq!(ways, [3], "the first release is no longer retained, the fourth is bad");
    assert!(page.rollbacks.iter().all(|way| way.bytes > 0 && way.missing_images.is_empty()));
    assert!(!bench.data().join("rollback/1").exists() && bench.data().join("rollback/2").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_removed_after_confirmation_and_filled_again_with_docker() {
    let bench = Bench::tinystack("volumes", "");
    bench.edit(
        "stagegate.toml",
        "[deploy]\n",
        "[deploy]\ndb_backup = \"echo backed-up >> order.txt\"\ndb_fresh = \"docker compose --env-file .env.bench run --rm -T web sh -c 'echo new > /data/what' && echo filled >> order.txt\"\n",
    );
    bench.edit("docker-compose.yml", "services:\n", "volumes: {data: {}}\nservices:\n");
    bench.edit("docker-compose.yml", "  web:\n", "  web:\n    volumes: [\"data:/data\"]\n");
    bench.write(".gitignore", "unit.txt\nunit.ok\nnote.txt\n.env.bench\norder.txt\n");
    bench.commit("with a volume");
    let engine = bench.start().await;
    deploy(&bench, &engine).await;
    let web = || {
        let project = format!("label=com.docker.compose.project={}", bench.project);
        bench.docker(&["ps", "-q", "--filter", &project, "--filter", "label=com.docker.compose.service=web"])
    };
    let stored = || bench.docker(&["exec", &web(), "sh", "-c", "cat /data/what 2>/dev/null || true"]);
    bench.docker(&["exec", &web(), "sh", "-c", "echo old > /data/what"]);
    for typed in ["", "bench"] {
        let volumes = VolumesChoice::Remove;
        let wish = Restart { volumes, typed: typed.into(), ..restart(&engine).await };
        let refused = engine.clean_restart(&bench.by(&engine, "devops").await, &wish).await.unwrap_err();
        assert!(refused.public().contains("Bench"), "{refused}");
    }
    let done =
        engine.clean_restart(&bench.by(&engine, "devops").await, &restart(&engine).await).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!(stored(), "old", "the volume stays without a request to remove it");
    assert!(!bench.dir().join("order.txt").exists());
    let wish = async || Restart {
        volumes: VolumesChoice::Remove,
        typed: " Bench ".into(),
        ..restart(&engine).await
    };
    let done = engine.clean_restart(&bench.by(&engine, "devops").await, &wish().await).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!(stored(), "new");
    let order = || fs::read_to_string(bench.dir().join("order.txt")).unwrap();
    assert_eq!(order(), "backed-up\nfilled\n");

    // Without a backup nothing is removed; if filling fails, the services still start.
    bench.edit("stagegate.toml", "echo backed-up >> order.txt", "exit 4");
    until("the configuration to be read", Duration::from_secs(20), || async {
        let wish = wish().await;
        let Ok(done) = engine.clean_restart(&bench.by(&engine, "devops").await, &wish).await else {
            return false;
        };
        let page = ended(&engine, run_id(&done)).await;
        page.run.state == RunState::Failed && log(&page).contains("The backup of the database failed")
    })
    .await;
    assert_eq!(stored(), "new");
    bench.edit("stagegate.toml", "exit 4", "echo again >> order.txt");
    bench.edit("stagegate.toml", "echo new > /data/what", "exit 5");
    until("the configuration to be read", Duration::from_secs(20), || async {
        let wish = wish().await;
        let Ok(done) = engine.clean_restart(&bench.by(&engine, "devops").await, &wish).await else {
            return false;
        };
        let page = ended(&engine, run_id(&done)).await;
        page.run.state == RunState::Failed && log(&page).contains("the volumes are empty")
    })
    .await;
    assert_eq!(stored(), "");
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_env_file_is_restored_from_its_encrypted_copy_with_docker() {
    let bench = Bench::tinystack("env", "\n[rollback]\nenv_copy_key = \"../env.key\"\n");
    let engine = bench.start().await;
    deploy(&bench, &engine).await;
    let first = fs::read_to_string(bench.dir().join(".env.bench")).unwrap();
    let second = first.replace(SECRET, "correct-horse-battery-staple");
    assert_ne!(first, second);
    bench.write(".env.bench", &second);
    version(&bench, "1", "2");
    deploy(&bench, &engine).await;
    let sealed = fs::read(bench.data().join("rollback/1/env.sealed")).unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains(SECRET));
    let way = async || {
        let page = engine.releases(&actor(&engine, "devops").await).await.unwrap();
        page.rollbacks.first().map(|way| way.env)
    };
    until("the copy to be observed", Duration::from_secs(30), || async {
        way().await == Some(EnvSince::Kept)
    })
    .await;

    // A rollback that cannot be done leaves the env file unchanged.
    let key = bench.dir().join("../env.key");
    let good = fs::read(&key).unwrap();
    let back = Return { env: EnvChoice::Restore, ..Return::to(1) };
    fs::write(&key, "bm90IHRoZSBrZXk=").unwrap();
    let done = engine.roll_back(&bench.by(&engine, "devops").await, &back).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_ne!(page.run.state, RunState::Passed);
    assert!(log(&page).contains("The env file cannot be restored"), "{}", log(&page));
    assert_eq!(fs::read_to_string(bench.dir().join(".env.bench")).unwrap(), second);
    fs::write(&key, good).unwrap();

    let done = engine.roll_back(&bench.by(&engine, "devops").await, &back).await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!(fs::read_to_string(bench.dir().join(".env.bench")).unwrap(), first);
    let shown = log(&page);
    assert!(!shown.contains(SECRET) && !shown.contains("correct-horse"), "{shown}");
    // The replaced env file is kept as well, and both can be read without a server.
    let kept = |which| kept_env(&bench.dir().join("stagegate.toml"), &bench.data(), 1, which).unwrap();
    assert_eq!(
        (kept(KeptEnv::OfRelease), kept(KeptEnv::Replaced)),
        (first.into_bytes(), second.into_bytes())
    );
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_before_every_deploy_except_the_first_with_docker() {
    let bench = Bench::tinystack("backup", "");
    let command = "[deploy]\nbackup_before_deploy = true\ndb_backup = \"echo backed-up >> order.txt\"\n";
    bench.edit("stagegate.toml", "[deploy]\n", command);
    bench.write(".gitignore", "unit.txt\nunit.ok\nnote.txt\n.env.bench\norder.txt\n");
    bench.commit("with a backup");
    let engine = bench.start().await;
    deploy(&bench, &engine).await;
    assert!(!bench.dir().join("order.txt").exists(), "there is nothing to back up yet");
    version(&bench, "1", "2");
    deploy(&bench, &engine).await;
    assert_eq!(fs::read_to_string(bench.dir().join("order.txt")).unwrap(), "backed-up\n");
    bench.edit("stagegate.toml", "echo backed-up >> order.txt", "exit 4");
    version(&bench, "2", "3");
    until("the configuration to be read", Duration::from_secs(20), || async {
        let done = bench.deploy(&engine, "devops").await.unwrap();
        let page = ended(&engine, run_id(&done)).await;
        page.run.state == RunState::Failed && log(&page).contains("Nothing was deployed")
    })
    .await;
    let done = bench.deploy_without_backup(&engine, "devops").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
}
