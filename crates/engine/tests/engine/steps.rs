//! Steps: from a click to evidence, regardless of what happens to the server or the supervisor in between.

use std::time::Duration;

use domain::evidence::Outcome as Found;
use engine::ErrorKind;
use engine::view::{ActionOutcome, RunState};
use store::audit::Outcome;
use store::evidence;

use crate::support::bench::{
    Bench, SECRET, actor, audit_is_whole, board, ended, log, run_id, step_digest, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_step_leaves_evidence_for_every_check_that_judges_it() {
    let bench = Bench::new("step");
    let engine = bench.start().await;
    let page = bench.step(&engine, "qa", "A.s1").await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let found: Vec<_> =
        page.evidence.iter().map(|e| (e.check.as_str(), e.finding.outcome, e.finding.value)).collect();
    assert_eq!(
        found,
        [("unit", Found::Pass, None), ("coverage", Found::Pass, Some(80.0))],
        "{:?}",
        page.evidence
    );
    let board_now = board(&engine).await;
    let release = board_now.release.unwrap();
    let commit = domain::release::ReleaseComponent::Commit;
    assert_eq!(release.parts.get(commit), Some(bench.head()));
    assert!(page.evidence.iter().all(|e| e.parts.agrees(&release.parts, commit) && e.release == release.id));
    assert!(board_now.judgement.item("A.1").unwrap().is_satisfied());
    assert_eq!(page.exit.as_deref(), Some("exit code 0"));
    assert!(page.lines > 0 && log(&page).contains("all well"));

    bench.units_fail();
    let page = bench.step(&engine, "qa", "A.s1").await;
    assert_eq!(page.run.state, RunState::Failed);
    assert!(page.evidence.iter().all(|e| e.finding.outcome == Found::Fail), "{:?}", page.evidence);
    let item = board(&engine).await.judgement.item("A.1").unwrap().clone();
    assert!(!item.is_satisfied() && item.is_red());
    assert!(item.checks.iter().all(|c| c.failures == 1), "{:?}", item.checks);
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_bound_to_the_files_at_the_start_of_the_step() {
    let bench = Bench::new("fresh");
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    // The directory has not been observed since.
    bench.write("unit.sh", "cat unit.txt; test -e unit.ok # changed\n");
    bench.commit("second");
    let page = bench.step(&engine, "qa", "A.s1").await;
    let commit = page.evidence[0].parts.get(domain::release::ReleaseComponent::Commit);
    assert_eq!(commit, Some(bench.head()));
    let release = board(&engine).await.release.unwrap();
    assert_eq!((release.id, release.parts.get(domain::release::ReleaseComponent::Commit)), (2, commit));
    assert_eq!(release.subject, "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_changes_tracked_files_does_not_pass() {
    let bench = Bench::new("rewrites");
    bench.write("unit.sh", "cat unit.txt; echo more >> snapshot.txt; test -e unit.ok\n");
    bench.write("snapshot.txt", "as it was\n");
    bench.commit("a suite that rewrites what it is judged by");
    let engine = bench.start().await;
    let page = bench.step(&engine, "qa", "A.s1").await;
    let unit = page.evidence.iter().find(|e| e.check == "unit").unwrap();
    assert_eq!(unit.finding.outcome, Found::Inconclusive, "{:?}", unit.finding);
    assert!(
        unit.finding.saw.contains("the command changed tracked files: snapshot.txt"),
        "{:?}",
        unit.finding
    );
    assert!(log(&page).contains("the command changed tracked files: snapshot.txt."));
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_a_person_must_not_run_are_refused_and_recorded() {
    let bench = Bench::new("refused");
    let engine = bench.start().await;
    let digest = step_digest(&engine, "A.s1").await;
    let old = engine.run_step(&bench.by(&engine, "qa").await, "A.s1", "0000").await.unwrap_err();
    assert!(old.public().contains("in the runbook has changed"), "{old}");
    for nobody in ["docs", "po", "admin"] {
        let ctx = bench.by(&engine, nobody).await;
        let refused = engine.run_step(&ctx, "A.s1", &digest).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(refused.public().contains("DevOps"), "{refused}");
    }
    for (step, why) in [("A.s3", "by hand"), ("A.s4", "Use Deploy instead")] {
        let digest = step_digest(&engine, step).await;
        let refused = engine.run_step(&bench.by(&engine, "devops").await, step, &digest).await.unwrap_err();
        assert!(refused.public().contains(why), "{refused}");
    }
    let gone = engine.run_step(&bench.by(&engine, "qa").await, "A.s99", &digest).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert!(board(&engine).await.release.is_none(), "a refused step opened a release");
    let rows = audit_is_whole(&engine).await;
    let refused: Vec<_> = rows.iter().filter(|r| r.event.outcome == Outcome::Refused).collect();
    assert_eq!(refused.len(), 6);
    assert!(refused.iter().all(|r| r.event.act == "step.run" && !r.event.detail.is_empty()));
    let devops = actor(&engine, "devops").await;
    let page = engine.activity(&devops, domain::paging::Cursor::Newest).await.unwrap();
    assert!(
        page.rows
            .iter()
            .any(|r| r.outcome == ActionOutcome::Refused && r.actor == "Docs" && r.subject == "A.s1")
    );
}

#[test]
fn a_run_survives_the_server_and_its_evidence_is_stored_once() {
    let bench = Bench::new("survives");
    bench.write("unit.sh", "echo begun; sleep 2; cat unit.txt\n");
    bench.commit("slow");
    let first = tokio::runtime::Runtime::new().unwrap();
    let run = first.block_on(async {
        let engine = bench.start().await;
        let digest = step_digest(&engine, "A.s1").await;
        let done = engine.run_step(&bench.by(&engine, "qa").await, "A.s1", &digest).await.unwrap();
        run_id(&done)
    });
    // The server ended with its runtime, without closing or reporting anything.
    first.shutdown_timeout(Duration::from_millis(10));
    let second = tokio::runtime::Runtime::new().unwrap();
    second.block_on(async {
        let engine = bench.open().await;
        let devops = actor(&engine, "devops").await;
        assert_eq!(engine.run(&devops, run).await.unwrap().run.state, RunState::Running);
        engine.start_up().await.unwrap();
        let page = ended(&engine, run).await;
        assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
        assert_eq!(page.evidence.len(), 2);
        assert!(log(&page).contains("begun") && log(&page).contains("all well"));
    });
    second.shutdown_timeout(Duration::from_millis(10));
    // A third server finds nothing left to complete.
    let third = tokio::runtime::Runtime::new().unwrap();
    third.block_on(async {
        let engine = bench.open().await;
        engine.start_up().await.unwrap();
        let of_run = evidence::of_run(engine.store().readers(), run).await.unwrap();
        assert_eq!(of_run.len(), 2);
        let rows = audit_is_whole(&engine).await;
        assert_eq!(rows.iter().filter(|r| r.event.act == "step.end").count(), 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_data_directory_store_the_evidence_once() {
    let bench = Bench::new("two");
    let one = bench.start().await;
    let two = bench.open().await;
    let digest = step_digest(&one, "A.s1").await;
    let done = one.run_step(&bench.by(&one, "qa").await, "A.s1", &digest).await.unwrap();
    two.start_up().await.unwrap();
    ended(&one, run_id(&done)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let of_run = evidence::of_run(one.store().readers(), run_id(&done)).await.unwrap();
    assert_eq!(of_run.len(), 2);
    audit_is_whole(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_leaves_an_interrupted_run_and_never_a_pass() {
    let bench = Bench::new("killed");
    let engine = bench.start().await;
    let digest = step_digest(&engine, "A.s5").await;
    let done = engine.run_step(&bench.by(&engine, "qa").await, "A.s5", &digest).await.unwrap();
    let run = run_id(&done);
    let status = bench.data().join("runs").join(run.to_string()).join("status.json");
    let read = || -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(&status).unwrap()).unwrap_or_default()
    };
    until("the supervisor", Duration::from_secs(10), || async { read()["state"] == "running" }).await;
    let again = engine.run_step(&bench.by(&engine, "qa").await, "A.s5", &digest).await.unwrap_err();
    assert!(again.public().contains(&format!("run {run}")), "{again}");
    let pid = read()["pid"].to_string();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let page = ended(&engine, run).await;
    assert_eq!(page.run.state, RunState::Interrupted);
    assert!(page.evidence.is_empty() && page.exit.is_none());
    assert!(page.run.summary.contains("unknown"), "{}", page.run.summary);
    let rows = audit_is_whole(&engine).await;
    let end = rows.iter().find(|r| r.event.act == "step.end").unwrap();
    assert_eq!(end.event.outcome, Outcome::Failed);
    // Its remaining processes are ended, and the step can be run again.
    let board = board(&engine).await;
    assert!(board.running.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_step_says_by_whom_and_a_cancelled_run_cannot_be_cancelled_again() {
    let bench = Bench::new("cancel");
    let engine = bench.start().await;
    let digest = step_digest(&engine, "A.s5").await;
    let done = engine.run_step(&bench.by(&engine, "qa").await, "A.s5", &digest).await.unwrap();
    let run = run_id(&done);
    let devops = actor(&engine, "devops").await;
    until("its first line", Duration::from_secs(10), || async {
        engine.run_lines(run, 0, 10).await.is_ok_and(|(n, _)| n > 0)
    })
    .await;
    assert_eq!(engine.run(&devops, run).await.unwrap().cancel.reason(), None);
    let po = engine.cancel_run(&bench.by(&engine, "po").await, run).await.unwrap_err();
    assert_eq!(po.kind(), ErrorKind::Refused);
    engine.cancel_run(&bench.by(&engine, "backend").await, run).await.unwrap();
    let page = ended(&engine, run).await;
    assert_eq!(page.run.state, RunState::Cancelled);
    assert_eq!(page.exit.as_deref(), Some("cancelled by Backend"));
    assert!(engine.cancel_run(&bench.by(&engine, "backend").await, run).await.is_err());
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_the_env_file_never_reach_log_evidence_or_audit() {
    let bench = Bench::new("secret");
    let engine = bench.start().await;
    let page = bench.step(&engine, "qa", "A.s6").await;
    assert_eq!(page.run.state, RunState::Passed);
    assert!(log(&page).contains("the token is [TOKEN]"), "{}", log(&page));
    for file in walk(&bench.data()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()), "{}", file.display());
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut out = vec![];
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() { out.extend(walk(&entry.path())) } else { out.push(entry.path()) }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn all_checks_of_a_gate_run_one_after_another_in_one_run() {
    let bench = Bench::new("all");
    let engine = bench.start().await;
    bench.write("note.txt", "here");
    let done = bench.run_gate(&engine, "devops", "B").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let done = bench.run_gate(&engine, "qa", "matrix").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.evidence.iter().map(|e| e.check.as_str()).collect::<Vec<_>>(), ["coverage"]);
    let none = bench.run_gate(&engine, "qa", "H").await.unwrap_err();
    assert!(none.public().contains("There are no checks to run"), "{none}");
    // Nothing listens there: a check that cannot be evaluated does not pass.
    let page = bench.check(&engine, "qa", "web-health").await;
    assert!(matches!(page.run.state, RunState::Inconclusive | RunState::Failed), "{:?}", page.run);
    assert!(page.evidence.iter().all(|e| e.finding.outcome != Found::Pass));
    audit_is_whole(&engine).await;
}
