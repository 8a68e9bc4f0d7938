//! Several checks in one run: in order, in parallel, each step once; and scheduled checks.

use std::time::Duration;

use domain::evidence::Outcome as Found;
use domain::paging::Cursor;
use engine::view::{RunKind, RunState};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::bench::{Bench, actor, audit_is_whole, board, ended, log, run_id, step_digest, until};

fn check(id: &str, rest: &str) -> String {
    format!("\n[[check]]\nid = \"{id}\"\nproves = [{{ criterion = \"B.1\", contains = \"note\" }}]\n{rest}\n")
}

/// A server that answers only when two requests wait at the same time.
async fn answers_two_together() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut one, _) = listener.accept().await.unwrap();
            let (mut other, _) = listener.accept().await.unwrap();
            for stream in [&mut one, &mut other] {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                    .await;
            }
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn all_checks_of_a_gate_run_in_order_after_their_steps_and_a_step_runs_once() {
    let port = answers_two_together().await;
    let mut extra =
        check("third", "kind = \"command\"\nrun = \"echo third >> order.txt\"\nafter = [\"second\"]");
    extra += &check(
        "second",
        "kind = \"command\"\nrun = \"echo second >> order.txt\"\nafter = [\"first\", \"A.s6\"]",
    );
    extra += &check("first", "kind = \"command\"\nrun = \"echo first >> order.txt\"");
    for id in ["left", "right"] {
        extra += &check(
            id,
            &format!("kind = \"http\"\nurl = \"http://127.0.0.1:{port}/{id}\"\ntimeout = \"20s\""),
        );
    }
    let bench = Bench::new("runall");
    let config = std::fs::read_to_string(bench.dir().join("stagegate.toml")).unwrap();
    bench.write("stagegate.toml", &format!("{config}{extra}"));
    bench.write("unit.sh", "echo run >> count.txt; cat unit.txt; test -e unit.ok\n");
    bench.write(".gitignore", "*.txt\nunit.ok\n.env.bench\n");
    bench.write("note.txt", "here");
    bench.commit("more checks");
    let engine = bench.start().await;
    let done = bench.run_gate(&engine, "devops", "B").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    let order = std::fs::read_to_string(bench.dir().join("order.txt")).unwrap();
    assert_eq!(order, "first\nsecond\nthird\n");
    assert_eq!(page.run.summary, "6 passed");
    let said = log(&page);
    assert!(said.contains("the token is") && said.contains("All checks done: 6 passed."), "{said}");
    // Each of the parallel checks is logged as one block.
    for id in ["left", "right"] {
        let plain = |l: &domain::log::LogLine| l.spans.iter().map(|s| s.text.as_str()).collect::<String>();
        let lines: Vec<String> =
            page.tail.iter().map(plain).skip_while(|l| !l.contains(&format!("({id})"))).collect();
        let until_end = lines.iter().take_while(|l| !l.starts_with("Outcome:")).count();
        assert!(
            until_end < lines.len() && !lines[1..until_end].iter().any(|l| l.starts_with("— ")),
            "{lines:?}"
        );
    }

    bench.units_fail();
    let done = bench.run_gate(&engine, "devops", "A").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!((page.run.state, page.evidence.len()), (RunState::Failed, 2), "{}", log(&page));
    assert!(page.run.summary.starts_with("0 passed, 2 failed (unit, coverage)"), "{}", page.run.summary);
    let count = std::fs::read_to_string(bench.dir().join("count.txt")).unwrap();
    assert_eq!(count, "run\n", "two checks judge one execution");
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_after_a_failed_one_is_not_run_and_says_so() {
    let bench = Bench::new("hindered");
    let config = std::fs::read_to_string(bench.dir().join("stagegate.toml")).unwrap();
    let extra = check("first", "kind = \"command\"\nrun = \"exit 1\"")
        + &check("second", "kind = \"command\"\nrun = \"touch ran.txt\"\nafter = [\"first\"]");
    bench.write("stagegate.toml", &format!("{config}{extra}"));
    bench.write("note.txt", "here");
    bench.commit("more checks");
    let engine = bench.start().await;
    let done = bench.run_gate(&engine, "devops", "B").await.unwrap();
    let page = ended(&engine, run_id(&done)).await;
    assert_eq!(page.run.state, RunState::Failed, "{}", log(&page));
    assert!(
        page.run.summary.starts_with("1 passed, 1 failed (first), 1 inconclusive (second)"),
        "{}",
        page.run.summary
    );
    let second = page.evidence.iter().find(|e| e.check == "second").unwrap();
    assert_eq!(second.finding.outcome, Found::Inconclusive);
    assert!(second.finding.saw.contains("“first” must succeed first"), "{:?}", second.finding);
    assert!(!bench.dir().join("ran.txt").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_and_its_evidence_have_the_same_outcome() {
    let bench = Bench::new("words");
    bench.write("unit.sh", "cat unit.txt; exit 3\n");
    bench.edit("stagegate.toml", "id = \"unit\"", "inconclusive_exit = [3]\nid = \"unit\"");
    bench.edit("stagegate.toml", "id = \"coverage\"", "inconclusive_exit = [3]\nid = \"coverage\"");
    bench.commit("could not look");
    let engine = bench.start().await;
    let page = bench.step(&engine, "qa", "A.s1").await;
    assert!(page.evidence.iter().all(|e| e.finding.outcome == Found::Inconclusive), "{:?}", page.evidence);
    assert_eq!(page.run.state, RunState::Inconclusive);
    // It did not pass, so it is still the next step.
    let next = board(&engine).await.next_step.unwrap();
    assert_eq!(next.step.id, "A.s1");
    // It ran to its end, but the measured value is too low.
    bench.write("unit.sh", "cat unit.txt\n");
    bench.write("unit.txt", "lines 12\n");
    bench.commit("few tests");
    let page = bench.step(&engine, "qa", "A.s1").await;
    assert_eq!(page.run.state, RunState::Failed, "{}", log(&page));
    assert!(page.run.summary.starts_with("exit code 0; coverage: "), "{}", page.run.summary);
    bench.units_pass();
    let page = bench.step(&engine, "qa", "A.s1").await;
    assert_eq!(page.run.state, RunState::Passed);
    assert_ne!(board(&engine).await.next_step.unwrap().step.id, "A.s1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_check_is_started_once_and_never_while_another_run_is_in_progress() {
    let bench = Bench::new("clock");
    bench.edit("stagegate.toml", "path = \"note.txt\"", "path = \"note.txt\"\nevery = \"1h\"");
    bench.write("note.txt", "here");
    bench.commit("a check on schedule");
    let engine = bench.start().await;
    let qa = actor(&engine, "qa").await;
    let scheduled = async || {
        let runs = engine.runs(&qa, Some(RunKind::Check), Cursor::Newest).await.unwrap().rows;
        runs.into_iter().filter(|r| r.subject == "schedule").collect::<Vec<_>>()
    };
    // No release is open, so nothing is due; the step opens one, and the schedule waits for the step.
    let digest = step_digest(&engine, "A.s5").await;
    let done = engine.run_step(&bench.by(&engine, "devops").await, "A.s5", &digest).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(scheduled().await.is_empty(), "it started during a step");
    engine.cancel_run(&bench.by(&engine, "devops").await, run_id(&done)).await.unwrap();
    until("the schedule to start it", Duration::from_secs(20), || async { !scheduled().await.is_empty() })
        .await;
    let [run] = scheduled().await.try_into().unwrap();
    assert_eq!((run.by_name.as_str(), run.title.as_str()), ("Stagegate (schedule)", "Scheduled: note"));
    let page = ended(&engine, run.id).await;
    assert_eq!(page.run.state, RunState::Passed, "{}", log(&page));
    assert_eq!((page.evidence[0].by, page.evidence[0].finding.outcome), (0, Found::Pass));
    assert!(board(&engine).await.judgement.item("B.1").unwrap().is_satisfied());
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(scheduled().await.len(), 1, "it is fresh for an hour");
    let rows = audit_is_whole(&engine).await;
    let acts: Vec<&str> = rows
        .iter()
        .filter(|r| r.event.actor_name == "Stagegate (schedule)")
        .map(|r| r.event.act.as_str())
        .collect();
    assert_eq!(acts, ["check.end", "schedule.run", "run.create", "schedule.run"], "{rows:?}");
    // The schedule is not a person: it is in no list and cannot be added as a person.
    let people = engine.people(&actor(&engine, "devops").await).await;
    assert!(people.is_err() || !format!("{people:?}").contains("(schedule)"));
    assert!(store::people::by_id(engine.store().readers(), 0).await.unwrap().is_none());
    assert!(engine.actor(0).is_none());
}
