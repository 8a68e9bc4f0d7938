//! Runs and servers: runs outlive servers, and the lock of a run.

use super::*;

#[tokio::test]
async fn a_run_outlives_the_server_that_started_it() {
    let bench = Bench::new();
    let plan = bench.plan("run", "for i in $(seq 40); do echo $i; sleep 0.02; done; exit 5");
    let dir = create(&bench.path().join("runs"), &plan).unwrap();
    let mut server = std::process::Command::new("bash");
    server.args(["-c", "\"$0\" supervise \"$1\" 2>/dev/null & wait"]).arg(supervisor()).arg(dir.path());
    let mut server = std::os::unix::process::CommandExt::process_group(&mut server, 0).spawn().unwrap();
    let run = Started { reader: Reader::open(dir.path()).unwrap(), dir };
    run.says("3\n").await;
    // The whole group is killed, as a terminal or a service manager would.
    let group = format!("-{}", server.id());
    assert!(std::process::Command::new("kill").args(["-9", "--", &group]).status().unwrap().success());
    server.wait().unwrap();
    assert_eq!(run.end().await, Exit::Code(5));
    assert_eq!(run.lines(Stream::Out), (1..=40).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_killed_supervisor_means_interrupted_and_its_leftovers_are_ended() {
    let bench = Bench::new();
    let sleep = odd_sleep(40);
    let lock = bench.path().join("lock");
    let mut plan = bench.plan("run", &format!("(setsid sleep {sleep} &); sleep {sleep} & echo ready; wait"));
    plan.lock = Some(LockSpec { path: lock.clone(), holder: "Dana".into() });
    let run = bench.start(&plan);
    run.says("ready").await;
    let other = bench.start(&bench.plan("other", &format!("sleep {}; true", odd_sleep(41))));
    let holder = lock_holder(&lock).unwrap().unwrap();
    assert_eq!(
        (holder.run.as_str(), holder.holder.as_str(), holder.what.as_str()),
        ("run", "Dana", "a test")
    );
    assert_eq!(
        reconcile(run.dir.path()).await.unwrap().state,
        State::Running,
        "an active run is not changed"
    );
    kill_9(run.reader.status().unwrap().pid.unwrap());
    let killed = Instant::now();
    while run.reader.status().unwrap().state != State::Interrupted {
        assert!(killed.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(lock_holder(&lock).unwrap(), None, "the lock is free as soon as its holder is dead");
    assert!(!with_word(&sleep).is_empty(), "the children continue until the run is reconciled");
    assert_eq!(reconcile(run.dir.path()).await.unwrap().state, State::Interrupted);
    assert_eq!(with_word(&sleep), NOBODY);
    assert_eq!(run.reader.status().unwrap().state, State::Interrupted);
    let until = Instant::now() + Duration::from_secs(5);
    while with_word(&odd_sleep(41)).is_empty() {
        assert!(Instant::now() < until, "another run was affected");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cancel(other.dir.path(), "test").unwrap();
    other.over().await;
}

#[tokio::test]
async fn of_two_runs_one_gets_the_lock_and_the_other_names_the_holder() {
    let bench = Bench::new();
    let lock = bench.path().join("lock");
    assert_eq!(lock_holder(&lock).unwrap(), None);
    let mut plan = bench.plan("one", "echo ready; sleep 60");
    plan.lock = Some(LockSpec { path: lock.clone(), holder: "Dana".into() });
    let one = bench.start(&plan);
    one.says("ready").await;
    plan.id = "two".into();
    plan.lock = Some(LockSpec { path: lock.clone(), holder: "Robin".into() });
    let two = bench.start(&plan);
    assert_eq!(two.end().await, Exit::NotStarted("locked by Dana for a test (run one)".into()));
    assert_eq!(lock_holder(&lock).unwrap().unwrap().holder, "Dana");
    cancel(one.dir.path(), "test").unwrap();
    one.over().await;
    assert_eq!(lock_holder(&lock).unwrap(), None);
}

#[tokio::test]
async fn a_race_for_the_lock_has_exactly_one_winner() {
    let bench = Bench::new();
    let lock = bench.path().join("lock");
    let runs: Vec<_> = (0..4)
        .map(|n| {
            let mut plan = bench.plan(&format!("r{n}"), "sleep 4");
            plan.lock = Some(LockSpec { path: lock.clone(), holder: format!("p{n}") });
            bench.start(&plan)
        })
        .collect();
    let mut winners = 0;
    for run in &runs {
        winners += u32::from(run.end().await == Exit::Code(0));
    }
    assert_eq!(winners, 1);
}
