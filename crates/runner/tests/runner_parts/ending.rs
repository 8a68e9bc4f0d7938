//! How runs end: by themselves, by a cancel, a time limit or an output limit; and that no process is left.

use super::*;

#[tokio::test]
async fn hostile_children_are_all_ended_within_five_seconds_of_a_cancel() {
    let bench = Bench::new();
    let sleeps: Vec<_> = (0..6).map(odd_sleep).collect();
    let script = format!(
        "trap '' TERM HUP INT
         sleep {0} &
         (setsid sleep {1} &) 
         nohup sleep {2} >/dev/null 2>&1 &
         env -i setsid bash -c '(trap \"\" TERM; while :; do sleep {3}; done) &' &
         (setsid bash -c 'trap \"\" TERM; while :; do (sleep {4} &) ; sleep 0.02; done' &)
         hop() {{ sleep 0.02; hop {5} & }}; hop {5} &
         sleep 0.3; echo ready; while :; do sleep 1; done",
        sleeps[0], sleeps[1], sleeps[2], sleeps[3], sleeps[4], sleeps[5]
    );
    let run = bench.start(&bench.plan("run", &script));
    run.says("ready").await;
    assert!(with_word(&odd_sleep(3)).len() > 1);
    let asked = Instant::now();
    cancel(run.dir.path(), "Dana").unwrap();
    assert_eq!(run.end().await, Exit::Cancelled { by: "Dana".into() });
    let took = asked.elapsed();
    eprintln!("cancel took {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    for sleep in &sleeps {
        assert_eq!(with_word(sleep), NOBODY, "{}", run.text());
    }
    assert_eq!(tagged(bench.path()), NOBODY);
}

#[tokio::test]
async fn a_polite_child_may_finish_its_work_within_the_grace() {
    let bench = Bench::new();
    let script =
        "trap 'echo tidying; sleep 0.2; echo done; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut plan = bench.plan("run", script);
    plan.grace_ms = 5_000;
    let run = bench.start(&plan);
    run.says("ready").await;
    cancel(run.dir.path(), "Dana").unwrap();
    assert_eq!(run.end().await, Exit::Cancelled { by: "Dana".into() });
    assert_eq!(run.lines(Stream::Out), ["ready", "tidying", "done"]);
}

#[tokio::test]
async fn a_timeout_of_the_run_and_of_one_command_end_it() {
    let bench = Bench::new();
    let mut plan = bench.plan("a", "sleep 60");
    plan.timeout_ms = 400;
    assert_eq!(bench.start(&plan).end().await, Exit::Timeout);
    let mut plan = bench.plan("b", "");
    plan.work = json!({"argv": ["sleep", "60"], "timeout_ms": 300});
    let run = bench.start(&plan);
    assert_eq!(run.end().await, Exit::Timeout);
    assert_eq!(run.lines(Stream::Notice), ["Stopping the command: time limit exceeded."]);
}

#[tokio::test]
async fn shielded_work_still_runs_after_a_cancel() {
    let bench = Bench::new();
    let mut plan = bench.plan("run", "");
    plan.work = json!({"argv": ["bash", "-c", "echo ready; sleep 60"], "after": ["bash", "-c", "sleep 0.3; echo cleaned up"]});
    let run = bench.start(&plan);
    run.says("ready").await;
    cancel(run.dir.path(), "Dana").unwrap();
    assert_eq!(run.end().await, Exit::Cancelled { by: "Dana".into() });
    assert_eq!(run.lines(Stream::Out), ["ready", "cleaned up"]);
}

#[tokio::test]
async fn too_much_output_ends_the_run_at_the_limit() {
    let bench = Bench::new();
    let mut plan = bench.plan("run", "yes");
    plan.output_cap = 1_000_000;
    let run = bench.start(&plan);
    assert_eq!(run.end().await, Exit::OutputCap);
    let bytes = run.reader.bytes().unwrap();
    assert!((1_000_000..1_001_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn parallel_commands_do_not_end_each_other() {
    let bench = Bench::new();
    let mut plan = bench.plan("run", "");
    plan.work = json!({"each": [["bash", "-c", "exit 1"], ["bash", "-c", "sleep 0.8; echo later; exit 2"]]});
    let run = bench.start(&plan);
    assert_eq!(run.end().await, Exit::Code(0));
    let exits = run.reader.result().unwrap().unwrap();
    assert_eq!(exits, json!({"exits": [{"kind": "code", "value": 1}, {"kind": "code", "value": 2}]}));
    assert_eq!(run.lines(Stream::Out), ["later"]);
}

#[tokio::test]
async fn background_processes_neither_block_a_run_nor_outlive_it() {
    let bench = Bench::new();
    let (holds, daemon) = (odd_sleep(20), odd_sleep(21));
    let begin = Instant::now();
    let script = format!("sleep {holds} & (setsid nohup sleep {daemon} >/dev/null 2>&1 &); echo main done");
    let (run, exit) = bench.run(&script).await;
    assert_eq!(exit, Exit::Code(0));
    assert!(begin.elapsed() < Duration::from_secs(8));
    assert_eq!((with_word(&holds), with_word(&daemon)), (vec![], vec![]));
    let notices = run.lines(Stream::Notice).join("\n");
    assert!(notices.contains("Stopping background processes") && notices.contains("sleep ("), "{notices}");
}

#[tokio::test]
async fn a_cancel_before_the_start_means_that_nothing_is_done() {
    let bench = Bench::new();
    let dir = create(&bench.path().join("runs"), &bench.plan("run", "touch done-it")).unwrap();
    cancel(dir.path(), "Dana").unwrap();
    launch(&supervisor(), &dir).unwrap();
    let run = Started { reader: Reader::open(dir.path()).unwrap(), dir };
    assert_eq!(run.end().await, Exit::Cancelled { by: "Dana".into() });
    assert!(!bench.path().join("done-it").exists());
}

#[tokio::test]
async fn a_full_disk_stops_the_run_and_is_reported() {
    // Needs permission to mount; elsewhere only the test of the writer covers this.
    let bench = Bench::new();
    let small = bench.path().join("small");
    fs::create_dir(&small).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=512k", "none"])
        .arg(&small)
        .output();
    if !mounted.is_ok_and(|out| out.status.success()) {
        test_support::tools::missing("permission to mount");
        return;
    }
    let dir = create(&small, &bench.plan("run", "yes")).unwrap();
    launch(&supervisor(), &dir).unwrap();
    let run = Started { reader: Reader::open(dir.path()).unwrap(), dir };
    let ended = run.over().await;
    let _ = std::process::Command::new("umount").arg("-l").arg(&small).status();
    assert!(matches!(ended.state, State::Ended { exit: Exit::DiskFull, .. }), "{ended:?}");
    assert!(ended.note.unwrap().contains("disk is full"));
}
