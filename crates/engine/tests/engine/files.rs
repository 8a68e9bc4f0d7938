//! Configuration and runbook are read again while the server runs; the ownership log of the runbook.

use std::time::Duration;

use engine::ErrorKind;
use engine::view::RunState;

use domain::runbook::{Problem, Severity};

use crate::support::bench::{Bench, actor, audit_is_whole, board, step_digest, until};

async fn errors(engine: &engine::Engine) -> Vec<Problem> {
    let problems = board(engine).await.problems;
    problems.into_iter().filter(|p| p.severity == Severity::Error).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_runbook_is_read_again_and_an_old_digest_refused() {
    let bench = Bench::new("reread");
    let engine = bench.start().await;
    let old = step_digest(&engine, "A.s1").await;
    bench.step(&engine, "qa", "A.s1").await;
    bench.attest(&engine, "backend", "A.2").await.unwrap();
    bench.edit("runbook.md", "sh unit.sh\n#", "sh unit.sh -v\n#");
    bench.edit("runbook.md", "Somebody looked at the page", "Two people looked at the page");
    until("the new runbook", Duration::from_secs(2), || async { step_digest(&engine, "A.s1").await != old })
        .await;
    let refused = engine.run_step(&bench.by(&engine, "qa").await, "A.s1", &old).await.unwrap_err();
    assert!(refused.public().contains("Read it again"), "{refused}");
    let item = board(&engine).await.judgement.item("A.2").unwrap().clone();
    assert!(!item.is_satisfied(), "an attestation of another text counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_broken_configuration_the_last_valid_version_stays_in_use_and_the_board_says_so() {
    let bench = Bench::new("broken");
    let engine = bench.start().await;
    assert!(errors(&engine).await.is_empty(), "{:?}", errors(&engine).await);
    let good = std::fs::read_to_string(bench.dir().join("stagegate.toml")).unwrap();
    bench.write("stagegate.toml", &good.replace("[[check]]", "[[chekc]]"));
    until("the complaint", Duration::from_secs(8), || async { !errors(&engine).await.is_empty() }).await;
    let said = format!("{:?}", errors(&engine).await);
    assert!(said.contains("last valid version") && said.contains("chekc"), "{said}");
    assert_eq!(bench.step(&engine, "qa", "A.s1").await.run.state, RunState::Passed);
    bench.write("stagegate.toml", "\u{0}\u{1}");
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert!(!errors(&engine).await.is_empty());
    bench.write("stagegate.toml", &good);
    until("the good file", Duration::from_secs(8), || async { errors(&engine).await.is_empty() }).await;
    std::fs::remove_file(bench.dir().join("runbook.md")).unwrap();
    until("the complaint", Duration::from_secs(8), || async { !errors(&engine).await.is_empty() }).await;
    assert_eq!(board(&engine).await.judgement.gates.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_while_it_is_read_is_read_again() {
    let bench = Bench::new("written-again");
    let engine = bench.start().await;
    let good = std::fs::read_to_string(bench.dir().join("stagegate.toml")).unwrap();
    let bad = good.replace("[[check]]", "[[chekc]]");
    let mut revisions = engine.revisions();
    for round in 0..12 {
        for (text, is_good) in [(&bad, false), (&good, true)] {
            bench.write("stagegate.toml", text);
            let taken = async {
                while errors(&engine).await.is_empty() != is_good {
                    // At the moment at which it is shown, it is written again.
                    revisions.changed().await.unwrap();
                }
            };
            let taken = tokio::time::timeout(Duration::from_secs(8), taken).await;
            assert!(taken.is_ok(), "round {round}: the file is not loaded (good: {is_good})");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_while_the_engine_starts_is_read_again() {
    let bench = Bench::new("written-at-start");
    bench.start().await.close().await;
    let engine = bench.open().await;
    bench.edit("runbook.md", "Somebody looked at the page", "Two people looked at the page");
    engine.start_up().await.unwrap();
    until("the new runbook", Duration::from_secs(4), || async {
        board(&engine).await.judgement.item("A.2").is_some_and(|item| item.item.text.contains("Two people"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_cannot_be_read_is_reported_and_not_deployed() {
    let bench = Bench::new("faults");
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    bench.write("docker-compose.yml", "services: [\n");
    until("the fault", Duration::from_secs(8), || async { !board(&engine).await.observed.faults.is_empty() })
        .await;
    let deploy = bench.deploy(&engine, "devops").await.unwrap_err();
    assert_eq!(deploy.kind(), ErrorKind::Refused);
    assert_eq!(board(&engine).await.deploy.reason(), Some(deploy.public().as_str()));
    bench.write("docker-compose.yml", "services: {}\n");
    until("the end of the fault", Duration::from_secs(8), || async {
        board(&engine).await.observed.faults.is_empty()
    })
    .await;
    // What cannot be read is no other release, and no reason to judge one.
    std::fs::rename(bench.dir().join(".git"), bench.dir().join("git")).unwrap();
    bench.step(&engine, "qa", "A.s1").await;
    assert_eq!(board(&engine).await.release.unwrap().id, 1);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_starts_without_the_directory_and_a_directory_that_appears_is_offered() {
    let bench = Bench::new("no-directory");
    std::fs::create_dir(bench.dir().join("app")).unwrap();
    bench.write("app/docker-compose.yml", "services: {}\n");
    bench.write("app/.env.bench", "TOKEN=x\n");
    bench.write("app/unit.sh", "echo well, lines 80\n");
    bench.edit("stagegate.toml", "directory = \".\"", "directory = \"app\"");
    let engine = bench.start().await;
    let offer = || async {
        let page = engine.gate(&actor(&engine, "qa").await, "A").await.unwrap();
        page.steps.into_iter().find(|s| s.step.id == "A.s1").unwrap().run
    };
    assert_eq!(offer().await.reason(), None);
    let (app, away) = (bench.dir().join("app"), bench.dir().join("away"));
    std::fs::rename(&app, &away).unwrap();
    // An action looks for itself, whatever is offered.
    let digest = step_digest(&engine, "A.s1").await;
    let refused = engine.run_step(&bench.by(&engine, "qa").await, "A.s1", &digest).await.unwrap_err();
    assert!(refused.public().contains("app does not exist"), "{refused}");
    until("the missing directory to be observed", Duration::from_secs(8), || async {
        offer().await.reason().is_some()
    })
    .await;
    assert_eq!(offer().await.reason(), Some(refused.public().as_str()));
    std::fs::rename(&away, &app).unwrap();
    until("the directory to be observed", Duration::from_secs(8), || async {
        offer().await.reason().is_none()
    })
    .await;
    assert_eq!(bench.step(&engine, "qa", "A.s1").await.run.state, RunState::Passed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ownership_log_validates_values_keeps_their_history_and_is_exported_as_markdown() {
    let bench = Bench::new("owner");
    let engine = bench.start().await;
    let fill = async |login: &str, field: &str, value: &str| {
        let page = engine.ownership(&actor(&engine, "docs").await).await.unwrap();
        let found = page.lines.iter().flat_map(|l| &l.fields).find(|f| f.field.id == field);
        let shown = found.and_then(|f| f.history.first()).map_or(0, |e| e.id);
        engine.fill_field(&bench.by(&engine, login).await, field, value, shown).await
    };
    let page = engine.ownership(&actor(&engine, "docs").await).await.unwrap();
    assert_eq!(page.filled, (0, 8));
    let ids: Vec<_> = page.lines.iter().flat_map(|l| &l.fields).map(|f| f.field.id.as_str()).collect();
    assert_eq!(ids[..5], ["own.1.by", "own.1.on", "own.2.commit", "own.2.date", "own.2.tags"]);
    for (field, bad) in
        [("own.1.on", "yesterday"), ("own.2.commit", "main"), ("own.3.duration", "long"), ("own.1.by", " ")]
    {
        assert_eq!(fill("docs", field, bad).await.unwrap_err().kind(), ErrorKind::Invalid, "{field}");
    }
    assert_eq!(fill("docs", "own.9.by", "x").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fill("admin", "own.1.by", "x").await.unwrap_err().kind(), ErrorKind::Refused);
    fill("docs", "own.1.by", "Ada").await.unwrap();
    fill("qa", "own.1.by", "Grace *Hopper*").await.unwrap();
    fill("qa", "own.2.commit", &bench.head()[..7]).await.unwrap();
    let page = engine.ownership(&actor(&engine, "docs").await).await.unwrap();
    let history: Vec<_> =
        page.lines[0].fields[0].history.iter().map(|e| (e.value.as_str(), e.by_name.as_str())).collect();
    assert_eq!(history, [("Grace *Hopper*", "QA"), ("Ada", "Docs")]);
    assert_eq!(page.filled, (2, 8));
    let text = engine.ownership_markdown().await.unwrap();
    assert!(text.contains("- Host provisioned by: Grace \\*Hopper\\*  on: ____"), "{text}");
    assert!(text.contains(&format!("- First deploy commit: {}  date: ____", &bench.head()[..7])), "{text}");
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_findings_are_shown_on_their_gate_until_they_are_fixed() {
    let bench = Bench::new("preflight");
    let engine = bench.start().await;
    let found = || async {
        let page = engine.gate(&actor(&engine, "qa").await, "A").await.unwrap();
        page.gate.items.iter().filter(|i| i.item.id.contains(".p-")).count()
    };
    assert_eq!(found().await, 0);
    std::fs::remove_file(bench.dir().join("unit.sh")).unwrap();
    until("the missing script", Duration::from_secs(10), || async { found().await == 1 }).await;
    let judged = board(&engine).await.judgement;
    let gate = judged.gate("A").unwrap();
    assert!(gate.is_red() && gate.items[0].item.text.contains("unit.sh"), "{:?}", gate.items[0]);
    bench.write("unit.sh", "true\n");
    until("the script to exist again", Duration::from_secs(10), || async { found().await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_key_stops_the_start_with_instructions_and_is_left_as_it_is() {
    let bench = Bench::new("bad-key");
    let key = bench.data().join("keys/env.key");
    let engine = bench.start().await;
    engine.close().await;
    let good = std::fs::read(&key).unwrap();
    assert_eq!(good.len(), 32);
    for bad in [&good[..20], b"", &[0; 32], &[good.as_slice(), b"x"].concat()] {
        std::fs::write(&key, bad).unwrap();
        let engine = bench.open().await;
        let refused = engine.start_up().await.unwrap_err().public();
        for part in ["env.key is damaged", "Restore it from a backup"] {
            assert!(refused.contains(part), "{refused}");
        }
        assert_eq!(std::fs::read(&key).unwrap(), bad);
        engine.close().await;
    }
    std::fs::remove_file(&key).unwrap();
    std::fs::create_dir(&key).unwrap();
    let refused = bench.open().await.start_up().await.unwrap_err().public();
    assert!(refused.contains("env.key cannot be used"), "{refused}");
    std::fs::remove_dir(&key).unwrap();
    std::fs::write(&key, &good).unwrap();
    let open = bench.open().await.start_up().await.unwrap_err().public();
    assert!(open.contains("chmod 600"), "{open}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_starts_at_once_use_one_key() {
    let bench = Bench::new("one-key");
    let (one, two) = (bench.open().await, bench.open().await);
    let (first, second) = tokio::join!(one.start_up(), two.start_up());
    first.unwrap();
    second.unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(bench.data().join("keys")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["env.key", "session.key"]);
}
