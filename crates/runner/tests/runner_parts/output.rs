//! The output of a run: lines, streams, secrets, and readers.

use super::*;

#[tokio::test]
async fn two_hundred_thousand_lines_arrive_in_order() {
    let bench = Bench::new();
    let mut plan = bench.plan("run", "seq 1 200000");
    plan.env_source = Some(EnvSource::File(bench.path().join("env")));
    fs::write(bench.path().join("env"), "JWT_SECRET=correct horse battery staple\n").unwrap();
    let begin = Instant::now();
    let run = bench.start(&plan);
    assert_eq!(run.end().await, Exit::Code(0));
    eprintln!("200,000 lines in {:?}", begin.elapsed());
    assert_eq!(run.reader.count().unwrap(), 200_000);
    let lines = run.reader.lines(0, usize::MAX, FOLD_BYTES).unwrap();
    for (n, line) in (0..).zip(&lines) {
        assert_eq!((line.n, line.text()), (n, (n + 1).to_string()));
    }
    assert!(lines.is_sorted_by_key(|line| line.at_ms));
    let some = run.reader.lines(123_456, 2, FOLD_BYTES).unwrap();
    assert_eq!(some.iter().map(|line| line.text()).collect::<Vec<_>>(), ["123457", "123458"]);
    assert_eq!(run.reader.lines(199_999, 5, FOLD_BYTES).unwrap().len(), 1);
    assert!(run.reader.lines(200_000, 5, FOLD_BYTES).unwrap().is_empty());
    assert!(run.reader.lines(u64::MAX / 16, 5, FOLD_BYTES).unwrap().is_empty());
}

#[tokio::test]
async fn both_streams_keep_whole_lines_and_their_own_order() {
    let bench = Bench::new();
    let (run, _) = bench.run("for i in $(seq 2000); do echo o$i; echo e$i >&2; done").await;
    let want = |c| (1..=2000).map(|i| format!("{c}{i}")).collect::<Vec<_>>();
    assert_eq!(run.lines(Stream::Out), want('o'));
    assert_eq!(run.lines(Stream::Err), want('e'));
}

#[tokio::test]
async fn captured_output_is_not_logged_and_is_bounded() {
    let bench = Bench::new();
    let mut plan = bench.plan("a", "");
    plan.work = json!({"capture": ["bash", "-c", "echo for the program; echo for people >&2"]});
    let run = bench.start(&plan);
    assert_eq!(run.end().await, Exit::Code(0));
    assert_eq!(run.reader.result().unwrap(), Some(json!({"len": 16, "text": "for the program\n"})));
    assert_eq!(run.text(), "for people\n");
    let mut plan = bench.plan("b", "");
    plan.work = json!({"capture": ["yes"]});
    let run = bench.start(&plan);
    assert_eq!(run.end().await, Exit::OutputCap);
    assert_eq!(run.reader.result().unwrap().unwrap()["len"], 1_000);
}

#[tokio::test]
async fn secrets_reach_no_file_of_the_run_in_any_form() {
    let bench = Bench::new();
    let secret = "p@ss'w\"rd/\u{fc}&<x>";
    let url = "postgresql://me:Tr0ub4dor3@db:5432/app";
    fs::write(
        bench.path().join("env"),
        format!("JWT_SECRET=\"{}\"\nDATABASE_URL={url}\n", secret.replace('"', "\\\"")),
    )
    .unwrap();
    let script = r#"
        echo "$JWT_SECRET"; printf %s "user:$JWT_SECRET" | base64 -w0; echo; printf %s "$JWT_SECRET" | base64 -w 8
        printf %s "$JWT_SECRET" | od -An -v -tx1 | tr -d ' \n'; echo; printf '%q\n' "$JWT_SECRET"
        for ((i=0;i<${#JWT_SECRET};i++)); do printf %s "${JWT_SECRET:$i:1}"; sleep 0.01; done; echo
        t=4do; printf "Tr0ub\e[31m${t}r3\n" >&2; echo "$DATABASE_URL"; sleep 0.1; printf 'tail %s' "${JWT_SECRET:0:5}""#;
    let mut plan = bench.plan("a", script);
    plan.env_source = Some(EnvSource::File(bench.path().join("env")));
    let run = bench.start(&plan);
    assert_eq!(run.end().await, Exit::Code(0));
    let mut plan = bench.plan("b", "");
    plan.env_source = Some(EnvSource::File(bench.path().join("env")));
    plan.work = json!({"capture": ["printenv", "JWT_SECRET"]});
    let captured = bench.start(&plan);
    assert_eq!(captured.end().await, Exit::Code(0));
    assert_eq!(captured.reader.result().unwrap().unwrap()["text"], "[JWT_SECRET]\n");
    for dir in [run.dir.path(), captured.dir.path()] {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            for part in ["p@ss'w", "Tr0ub4", "rd/\u{fc}", "cEBzcyd3", "707373", "704073", "4dor3"] {
                assert!(
                    !has(&bytes, part.as_bytes()),
                    "{part} in {}: {}",
                    path.display(),
                    String::from_utf8_lossy(&bytes)
                );
            }
        }
    }
    assert!(run.text().matches("[JWT_SECRET]").count() >= 6, "{}", run.text());
    assert!(run.text().contains("[DATABASE_URL]") && run.text().ends_with("tail p@ss'"), "{}", run.text());
}

#[tokio::test]
async fn an_unfinished_line_is_visible_while_it_is_written() {
    let bench = Bench::new();
    let run = bench.start(
        &bench.plan("run", "printf 'Password: '; sleep 0.7; echo x; printf '1%%\\r2%%\\r3%%'; sleep 0.7"),
    );
    run.says("Password: ").await;
    assert!(!run.text().contains('x'));
    assert_eq!(run.lines(Stream::Out), ["Password: "]);
    run.says("3%").await;
    assert_eq!(run.lines(Stream::Out), ["Password: x", "3%"]);
    assert_eq!(run.end().await, Exit::Code(0));
}

#[tokio::test]
async fn long_lines_and_invalid_text_are_folded_and_marked() {
    let bench = Bench::new();
    let script = r"head -c 1000000 /dev/zero | tr '\0' x; echo; printf 'a\xff\xfeb\e]0;title\a\n'; printf '%070000d\rshort\n' 1";
    let (run, exit) = bench.run(script).await;
    assert_eq!(exit, Exit::Code(0));
    assert_eq!(run.reader.count().unwrap(), 3);
    let lines = run.reader.lines(0, 3, FOLD_BYTES).unwrap();
    assert_eq!((lines[0].text().len(), lines[0].truncated), (FOLD_BYTES, true));
    assert_eq!((lines[1].text().as_str(), lines[1].truncated), ("a\u{fffd}\u{fffd}b", false));
    assert_eq!((lines[2].text().as_str(), lines[2].truncated), ("short", false));
    let whole = run.reader.lines(0, 1, 2_000_000).unwrap();
    assert_eq!((whole[0].text().len(), whole[0].truncated), (1_000_000, false));
}

#[tokio::test]
async fn a_second_reader_sees_all_that_the_first_saw_and_the_end() {
    let bench = Bench::new();
    let run = bench.start(&bench.plan("run", "for i in 1 2 3; do echo $i; sleep 0.2; done; exit 9"));
    let mut tip = follow(run.dir.path()).unwrap();
    run.says("2").await;
    let seen = run.lines(Stream::Out);
    let later = Reader::open(&bench.path().join("runs/run")).unwrap();
    let again: Vec<_> =
        later.lines(0, seen.len(), FOLD_BYTES).unwrap().iter().map(|line| line.text()).collect();
    assert_eq!(again, seen);
    while tip.changed().await.is_ok() {}
    let last = tip.borrow().clone();
    assert_eq!((last.lines, last.bytes), (3, 6));
    assert!(matches!(last.state, State::Ended { exit: Exit::Code(9), .. }), "{last:?}");
    assert!(matches!(later.status().unwrap().state, State::Ended { exit: Exit::Code(9), .. }));
}

#[tokio::test]
async fn a_secret_that_the_output_limit_cuts_in_two_is_not_shown_in_part() {
    let bench = Bench::new();
    fs::write(bench.path().join("env"), "JWT_SECRET=Tr0ub4dor3-correct\n").unwrap();
    let mut plan = bench.plan("run", "printf 0123456789; printf %s \"$JWT_SECRET\"; sleep 5");
    plan.env_source = Some(EnvSource::File(bench.path().join("env")));
    plan.output_cap = 20;
    let run = bench.start(&plan);
    assert_eq!(run.end().await, Exit::OutputCap);
    assert_eq!(run.lines(Stream::Out), ["0123456789"]);
}

#[tokio::test]
async fn many_followers_share_one_watcher_and_late_ones_see_the_end() {
    let bench = Bench::new();
    let tails = Tails::default();
    let run = bench.start(&bench.plan("run", "echo a; sleep 0.4; echo b"));
    let mut first = tails.follow(run.dir.path()).unwrap();
    let second = tails.follow(run.dir.path()).unwrap();
    assert!(first.same_channel(&second));
    while first.changed().await.is_ok() {}
    assert_eq!(second.borrow().lines, 2);
    let late = tails.follow(run.dir.path()).unwrap();
    assert!(late.borrow().state.is_over() && late.borrow().lines == 2);
}
