//! The database is changed from outside while the board is open.

use std::time::Duration;

use domain::facts::Choice;
use domain::judge::BlockerKind;
use domain::paging::Cursor;
use engine::view::RunState;
use store::people::SCHEDULE;
use store::{evidence, runs};

use crate::support::bench::{Bench, PASSWORD, actor, board, until};
use test_support::intruder::Intruder;

async fn intruder(engine: &engine::Engine) -> Intruder {
    Intruder::at(engine.store().file()).await
}

async fn blocked(engine: &engine::Engine) -> bool {
    let board = board(engine).await;
    board.judgement.verdict.blockers.iter().any(|b| b.kind == BlockerKind::Audit)
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_sign_offs_block_go_and_are_named_on_the_board() {
    let bench = Bench::new("forged");
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    assert!(!blocked(&engine).await);
    let mut intruder = intruder(&engine).await;
    let digest = board(&engine).await.judgement.digest;
    for role in ["backend", "frontend", "qa", "security", "devops", "po"] {
        let forged = format!(
            "INSERT INTO sign_off (release, role, by, by_name, choice, comment, digest, shown, at)
             SELECT (SELECT max(id) FROM release), '{role}', id, name, 'go', '', '{digest}', '[]', 1
             FROM person WHERE login = '{role}'"
        );
        intruder.run(&forged).await;
    }
    until("the board names the forged rows", Duration::from_secs(10), || blocked(&engine)).await;
    let seen = board(&engine).await;
    let blocker = seen.judgement.verdict.blockers.iter().find(|b| b.kind == BlockerKind::Audit).unwrap();
    assert!(
        blocker.details.iter().any(|d| d == "sign_off 1 was inserted outside of Stagegate"),
        "{blocker:?}"
    );
    assert!(blocker.details.iter().any(|d| d.contains("stagegate verify")), "{blocker:?}");
    assert!(seen.judgement.before_signing.iter().any(|b| b.kind == BlockerKind::Audit));
    let po = bench.by(&engine, "po").await;
    let refused =
        engine.decide(&po, Choice::Go, "all signed", &seen.judgement.digest, 0, PASSWORD).await.unwrap_err();
    assert_eq!(refused.kind(), engine::ErrorKind::Refused, "{refused}");
    // A restart changes nothing.
    engine.close().await;
    let again = bench.open().await;
    again.start_up().await.unwrap();
    until("the board names them after a restart", Duration::from_secs(10), || blocked(&again)).await;
    // After the forged rows are removed, the board is as before.
    intruder.run("DELETE FROM sign_off").await;
    drop(intruder);
    until("the rows are gone", Duration::from_secs(10), || async { !again_shows(&again).await }).await;
}

async fn again_shows(engine: &engine::Engine) -> bool {
    let whole = engine.verify_everything().await.unwrap();
    !whole.problems.is_empty() || blocked(engine).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_rewritten_while_the_server_runs_blocks_go() {
    let bench = Bench::new("rewritten");
    let engine = bench.start().await;
    assert!(!blocked(&engine).await);
    let mut intruder = intruder(&engine).await;
    // Events that were verified, and ones that were not yet: the end of the log.
    intruder
        .run(
            "DELETE FROM audit_row WHERE seq = (SELECT max(seq) FROM audit_event);
         DELETE FROM audit_event WHERE seq = (SELECT max(seq) FROM audit_event);
         UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'audit_event'",
        )
        .await;
    until("the board reports the cut log", Duration::from_secs(10), || blocked(&engine)).await;
    let activity = engine.activity(&actor(&engine, "qa").await, Cursor::Newest).await.unwrap();
    assert!(activity.chain.problems.iter().any(|p| p.contains("rewritten")), "{:?}", activity.chain);
}

#[tokio::test(flavor = "multi_thread")]
async fn verification_continues_from_the_checkpoint_and_a_truncated_log_is_found_after_a_restart() {
    let bench = Bench::new("checkpoint");
    let engine = bench.start().await;
    let verified = engine.verify_everything().await.unwrap();
    assert!(verified.whole_at.is_some() && verified.problems.is_empty(), "{verified:?}");
    let stored = store::audit::checkpoint(engine.store().readers()).await.unwrap().unwrap();
    assert_eq!(verified.head, Some(stored.to_string()));
    engine.close().await;
    let again = bench.open().await;
    let cut = format!(
        "DELETE FROM audit_row WHERE seq >= {0};
         DELETE FROM audit_event WHERE seq >= {0};
         UPDATE sqlite_sequence SET seq = {0} - 1 WHERE name = 'audit_event'",
        stored.seq
    );
    intruder(&again).await.run(&cut).await;
    again.start_up().await.unwrap();
    until("the board reports the cut log", Duration::from_secs(10), || blocked(&again)).await;
}

async fn details(engine: &engine::Engine) -> Vec<String> {
    let board = board(engine).await;
    let mut blockers = board.judgement.verdict.blockers.into_iter();
    blockers.find(|b| b.kind == BlockerKind::Audit).map(|b| b.details).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_count_or_state_blocks_go_and_is_named_until_it_is_corrected() {
    let bench = Bench::new("derived");
    let engine = bench.start().await;
    bench.units_fail();
    bench.check(&engine, "qa", "unit").await;
    assert_eq!(engine.verify_everything().await.unwrap().problems, Vec::<String>::new());
    let mut intruder = intruder(&engine).await;
    for (table, change, named) in [
        (
            "evidence_group",
            "UPDATE evidence_group SET not_passed = 0, last_other = NULL, failing_from = NULL",
            "evidence_group of release 1, check unit was changed outside of Stagegate",
        ),
        ("evidence_group", "DELETE FROM evidence_group", "evidence_group of release 1, check unit"),
        ("evidence_runner", "DELETE FROM evidence_runner", "evidence_runner of release 1, check unit"),
        (
            "release_standing",
            "UPDATE release_standing SET point_at = 1, deployed_at = 1",
            "release_standing of release 1 was changed outside of Stagegate",
        ),
    ] {
        let copy = format!("CREATE TEMP TABLE copy AS SELECT * FROM {table}; {change}");
        intruder.run(&copy).await;
        until("the board names it", Duration::from_secs(10), || async {
            details(&engine).await.iter().any(|d| d.starts_with(named))
        })
        .await;
        let whole = engine.verify_everything().await.unwrap();
        assert!(whole.problems.iter().any(|p| p.starts_with(named)), "{whole:?}");
        // The original value.
        let back = format!("INSERT OR REPLACE INTO {table} SELECT * FROM copy; DROP TABLE copy");
        intruder.run(&back).await;
        until("it is correct again", Duration::from_secs(15), || async { !blocked(&engine).await }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_starts_a_full_verification_and_sees_the_result() {
    let bench = Bench::new("verify-now");
    let engine = bench.start().await;
    let qa = engine.verify_now(&bench.by(&engine, "qa").await).await.unwrap_err();
    assert_eq!(qa.kind(), engine::ErrorKind::Refused);
    let admin = actor(&engine, "admin").await;
    assert!(engine.activity(&actor(&engine, "qa").await, Cursor::Newest).await.unwrap().verify.is_none());
    until("the pass of the start", Duration::from_secs(10), || async {
        engine.verification().whole_at.is_some() && engine.verification().running_since.is_none()
    })
    .await;
    let before = engine.verification();
    // No judgement depends on this table, so only a full verification finds it.
    let mut intruder = intruder(&engine).await;
    intruder.run("INSERT INTO open_intent (seq) VALUES (9999)").await;
    let ctx = bench.by(&engine, "admin").await;
    let done = engine.verify_now(&ctx).await.unwrap();
    assert_eq!(done.to, "/activity");
    assert_eq!(engine.verify_now(&ctx).await.unwrap(), done, "one form starts one verification");
    until("the result", Duration::from_secs(10), || async {
        let now = engine.verification();
        now.running_since.is_none() && now.whole_at > before.whole_at
    })
    .await;
    let chain = engine.activity(&admin, Cursor::Newest).await.unwrap().chain;
    assert!(chain.problems.iter().any(|p| p.starts_with("open_intent of event 9999")), "{chain:?}");
    assert!(blocked(&engine).await);
    intruder.run("DELETE FROM open_intent WHERE seq = 9999").await;
    let whole = engine.verify_everything().await.unwrap();
    assert_eq!((whole.problems, whole.running_since, whole.failed), (vec![], None, None));
    let rows = crate::support::bench::audit_is_whole(&engine).await;
    assert_eq!(
        rows.iter().filter(|r| r.event.act == "audit.verify").count(),
        3,
        "a refusal, an intent, an outcome"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_log_that_was_restored_is_accepted_without_a_restart() {
    let bench = Bench::new("put-back");
    let engine = bench.start().await;
    // The first observation is written in the background and would use the number of the removed event.
    until("the first observation is stored", Duration::from_secs(10), || async {
        let events =
            store::audit::list(engine.store().readers(), store::audit::Filter::default(), 200).await.unwrap();
        events.iter().any(|row| row.event.subject.starts_with("change"))
    })
    .await;
    engine.verify_everything().await.unwrap();
    let mut intruder = intruder(&engine).await;
    intruder
        .run(
            "CREATE TEMP TABLE cut AS SELECT * FROM main.audit_event ORDER BY seq DESC LIMIT 1;
         CREATE TEMP TABLE cut_rows AS SELECT * FROM main.audit_row WHERE seq = (SELECT seq FROM cut);
         DELETE FROM audit_row WHERE seq = (SELECT seq FROM cut);
         DELETE FROM audit_event WHERE seq = (SELECT seq FROM cut);
         UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'audit_event'",
        )
        .await;
    until("the board reports the cut log", Duration::from_secs(10), || blocked(&engine)).await;
    let cut = engine.verify_everything().await.unwrap();
    assert!(!cut.problems.is_empty(), "verifying the rest does not make the log intact");
    intruder
        .run(
            "INSERT INTO audit_event SELECT * FROM cut;
         INSERT INTO audit_row SELECT * FROM cut_rows",
        )
        .await;
    let back = engine.verify_everything().await.unwrap();
    assert_eq!(back.problems, Vec::<String>::new());
    until("the board is not blocked any more", Duration::from_secs(10), || async { !blocked(&engine).await })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intended_change_is_accepted_with_a_reason_and_no_longer_blocks() {
    let bench = Bench::new("accept");
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    bench.check(&engine, "qa", "unit").await;
    let mut intruder = intruder(&engine).await;
    intruder
        .run(
            "UPDATE person SET name = 'Quality' WHERE login = 'qa';
         UPDATE evidence_group SET not_passed = 7;
         DELETE FROM evidence WHERE id = (SELECT max(id) FROM evidence)",
        )
        .await;
    until("the board names them", Duration::from_secs(10), || blocked(&engine)).await;
    // Like the command, which is a separate process.
    let console = bench.open().await;
    let shown = console.differing_records(None).await.unwrap();
    assert!(shown.len() >= 3, "{shown:?}");
    let none = console.accept_records(&shown, "  ", None).await.unwrap_err();
    assert!(matches!(none, engine::AcceptError::Reason), "{none}");
    let other = console.accept_records(&shown[1..], "why", None).await.unwrap_err();
    assert!(matches!(other, engine::AcceptError::Changed), "{other}");
    let events = console.accept_records(&shown, "renamed by hand, ticket 12", None).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(console.differing_records(None).await.unwrap(), vec![]);
    console.close().await;
    until("nothing blocks", Duration::from_secs(20), || async { !blocked(&engine).await }).await;
    let activity = engine.activity(&actor(&engine, "qa").await, Cursor::Newest).await.unwrap();
    let row = activity.rows.iter().find(|r| r.act == "records.accept").unwrap();
    for part in ["from the console", "ticket 12", "(changed)", "evidence_group of release 1", "(deleted)"] {
        assert!(row.detail.contains(part), "{part}: {row:?}");
    }
    assert_eq!(engine.verify_everything().await.unwrap().problems, Vec::<String>::new());
    // Later changes are detected as usual.
    intruder.run("UPDATE person SET name = 'Eve' WHERE login = 'qa'").await;
    until("the next change", Duration::from_secs(10), || blocked(&engine)).await;
    // Nothing is accepted on top of a broken log.
    intruder.run("UPDATE audit_event SET subject = 'eve' WHERE seq = 3").await;
    let broken = engine.differing_records(None).await.unwrap_err();
    assert!(matches!(broken, engine::AcceptError::Broken(_)), "{broken}");
    assert!(broken.to_string().contains("backup"), "{broken}");
}

/// Changes the first event that covers no row, which no judgement reads.
const OLD_EVENT: &str = "UPDATE audit_event SET actor_name = 'Eve' WHERE seq =
    (SELECT min(seq) FROM audit_event WHERE rows_digest = '')";

#[tokio::test(flavor = "multi_thread")]
async fn an_old_event_that_is_changed_while_the_server_runs_blocks_go() {
    let bench = Bench::new("old-event");
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    assert_eq!(engine.verify_everything().await.unwrap().problems, Vec::<String>::new());
    intruder(&engine).await.run(OLD_EVENT).await;
    until("the board names the event", Duration::from_secs(20), || blocked(&engine)).await;
    assert!(details(&engine).await.iter().any(|d| d.contains("its content does not match its hash")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_recorded_only_after_everything_was_verified() {
    let bench = Bench::new("verified");
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    engine.close().await;
    // Nothing is verified automatically here.
    let engine = bench.open().await;
    intruder(&engine).await.run(OLD_EVENT).await;
    let seen = board(&engine).await;
    assert!(!blocked(&engine).await);
    let po = bench.by(&engine, "po").await;
    // No-Go can always be recorded; the judgement at that moment includes the change.
    engine.decide(&po, Choice::NoGo, "not yet", &seen.judgement.digest, 0, PASSWORD).await.unwrap();
    assert!(blocked(&engine).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_the_board_shows_is_compared_even_if_it_is_old() {
    let bench = Bench::new("old-run");
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    for n in 0..120 {
        super::retention::old_run(&engine, SCHEDULE, "unit", 1, 10 + n).await;
    }
    assert_eq!(engine.verify_everything().await.unwrap().problems, Vec::<String>::new());
    let change = "UPDATE run SET title = 'another' WHERE kind = 'step'";
    intruder(&engine).await.run(change).await;
    // Faster than the next full verification.
    until("the board names the run", Duration::from_millis(1_500), || async {
        details(&engine).await.iter().any(|d| d == "run 1 was changed outside of Stagegate")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_run_is_accepted_only_for_a_row_that_stagegate_wrote() {
    let bench = Bench::new("forged-run");
    let engine = bench.start().await;
    let first = bench.step(&engine, "qa", "A.s1").await;
    let found = |run: i64| {
        let engine = engine.clone();
        async move { evidence::of_run(engine.store().readers(), run).await.unwrap().len() }
    };
    let before = found(first.run.id).await;
    assert!(before > 0);
    // The files of a passed run exist: they would give evidence again, for another person.
    let again = "UPDATE run SET state = 'running', ended_at = NULL, outcome = NULL, exit = NULL, result = NULL, by = 2,
                   by_name = 'Somebody' WHERE id = 1";
    intruder(&engine).await.run(again).await;
    until("the run to be ended", Duration::from_secs(15), || async {
        runs::by_id(engine.store().readers(), 1).await.unwrap().unwrap().state != runs::RunState::Running
    })
    .await;
    let run = runs::by_id(engine.store().readers(), 1).await.unwrap().unwrap();
    assert_eq!(run.state, runs::RunState::Interrupted);
    assert_eq!(run.because.as_deref(), Some("its record was changed outside of Stagegate"));
    assert_eq!(found(1).await, before, "it produced no evidence");
    // Neither from a row that was inserted for the files of another run.
    let copy = bench.data().join("runs/1");
    let to = bench.data().join("runs/900");
    std::fs::create_dir(&to).unwrap();
    for file in std::fs::read_dir(&copy).unwrap().flatten().filter(|f| f.path().is_file()) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    let insert = "INSERT INTO run (id, kind, subject, title, release, by, by_name, started_at)
                  SELECT 900, kind, subject, title, release, by, by_name, started_at FROM run WHERE id = 1";
    intruder(&engine).await.run(insert).await;
    until("the run to be ended", Duration::from_secs(15), || async {
        runs::by_id(engine.store().readers(), 900).await.unwrap().unwrap().state != runs::RunState::Running
    })
    .await;
    assert_eq!(found(900).await, 0);
    // A run that Stagegate started counts as usual.
    assert_eq!(bench.step(&engine, "qa", "A.s1").await.run.state, RunState::Passed);
}
