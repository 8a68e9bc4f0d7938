//! Commands and their results: reports of tools, absent values, second runs, changed files.

use serde_json::{Value, json};

use crate::support::probe::{Stack, command, run};

fn with_format(text: &str, format: &str) -> Value {
    json!({ "kind": "command", "run": text, "value": { "format": format } })
}

/// A repository with one tracked file.
fn repository() -> Stack {
    let stack = Stack::new();
    stack.file("kept.txt", "a\n");
    stack.git(&["init", "-q"]);
    stack.git(&["add", "kept.txt"]);
    stack.git(&["commit", "-qm", "one"]);
    stack
}

fn playwright(expected: usize, unexpected: usize, flaky: usize) -> String {
    let tests = |status: &str, n: usize| {
        format!(r#"{{"ok":true,"tests":[{{"status":"{status}","results":[]}}]}},"#).repeat(n)
    };
    let specs = tests("expected", expected) + &tests("unexpected", unexpected) + &tests("flaky", flaky);
    format!(
        r#"{{"config":{{}},"suites":[{{"specs":[{}]}}],"errors":[],"stats":{{"expected":{expected},"unexpected":{unexpected},"flaky":{flaky},"skipped":0}}}}"#,
        specs.trim_end_matches(',')
    )
}

#[test]
fn the_playwright_report_decides_and_not_its_exit_code() {
    let stack = Stack::new();
    for (name, text) in [
        ("all", playwright(20, 0, 0)),
        ("one", playwright(19, 1, 0)),
        ("two", playwright(18, 2, 0)),
        ("flaky", playwright(19, 0, 1)),
        ("none", playwright(0, 0, 0)),
    ] {
        stack.file(&format!("{name}.json"), &text);
    }
    let spec = |name: &str, exit: u8| with_format(&format!("cat {name}.json; exit {exit}"), "playwright");
    stack.see(spec("all", 0)).passes("20 of 20 tests passed (100 %)");
    stack.see_want(spec("one", 1), ">= 95 %").passes("exit code 1 has the same cause");
    stack.see_want(spec("two", 0), ">= 95 %").fails("18 of 20");
    stack.see(spec("one", 0)).fails("19 of 20");
    stack.see(spec("all", 1)).fails("exit code 1");
    stack.see(spec("flaky", 0)).passes("1 flaky");
    stack.see_want(spec("none", 0), ">= 0 %").unsure("ran no test");
    stack.see(spec("none", 1)).unsure("ran no test");
    let flaky = |name: &str| with_format(&format!("cat {name}.json"), "playwright_flaky");
    stack.see(flaky("flaky")).fails("1 of 20 tests passed only on retry");
    stack.see(flaky("all")).passes("0 of 20");
    stack.see(flaky("none")).unsure("ran no test");
    // As Playwright itself wrote it: one good, one flaky, one bad, one skipped.
    stack.file("real.json", include_str!("../data/playwright.json"));
    stack.see_want(spec("real", 1), ">= 60 %").passes("2 of 3 tests passed (66.67 %, 1 flaky, 1 skipped)");
    stack.see_want(flaky("real"), "<= 0").fails("1 of 3");
}

#[test]
fn the_k6_summary_is_read_from_the_file_of_this_run() {
    let stack = Stack::new();
    let summary = |p95: f64, failed: u32, limited: u32, crossed: bool| {
        format!(
            r#"{{"metrics":{{"http_reqs":{{"count":1000}},"http_reqs{{status:429}}":{{"count":{limited}}},"http_req_failed":{{"passes":{failed},"fails":{},"value":{}}},"http_req_duration":{{"p(95)":{p95},"thresholds":{{"p(95)<100":{crossed}}}}},"http_req_duration{{expected_response:true}}":{{"p(95)":{p95}}}}}}}"#,
            1000 - failed,
            f64::from(failed) / 1000.0
        )
    };
    stack.file("good.json", &summary(41.5, 2, 0, false));
    stack.file("slow.json", &summary(700.0, 0, 0, true));
    stack.file("limited.json", &summary(41.5, 205, 200, false));
    let spec = |name: &str, format: &str, exit: u8| {
        let text = format!("cp {name}.json summary.json; exit {exit}");
        json!({ "kind": "command", "run": text, "value": { "file": "summary.json", "format": format } })
    };
    stack
        .see_want(spec("good", "k6_p95", 0), "< 600 ms")
        .passes("p95 latency 41.5 ms over 998 successful responses");
    stack.see_want(spec("slow", "k6_p95", 0), "< 600 ms").fails("700 ms");
    // The threshold of the script was crossed, so k6 ends with 99; the threshold of the check counts.
    stack.see_want(spec("slow", "k6_p95", 99), "< 800 ms").passes("exit code 99 has the same cause");
    stack.see_want(spec("good", "k6_p95", 99), "< 600 ms").fails("exit code 99");
    stack.see_want(spec("good", "k6_errors", 0), "< 1 %").passes("2 of 1000 requests failed (0.2 %)");
    stack.see_want(spec("good", "k6_errors", 0), "< 0.1 %").fails("0.2 %");
    stack.see_want(spec("limited", "k6_errors", 0), "< 1 %").passes("429 responses counted separately: 200");
    stack.see_want(spec("limited", "k6_p95", 0), "< 600 ms").passes("counted separately");
    let other = with_format("echo '{\"metrics\":{}}'", "k6_p95");
    stack.see_want(other, "< 600 ms").unsure("no k6 summary");
    let other = with_format("echo '{\"metrics\":{}}'", "k6_errors");
    stack.see_want(other, "< 1 %").unsure("no k6 summary");
}

#[test]
fn pending_migrations_are_counted_and_drift_fails_whatever_the_exit_code() {
    let stack = Stack::new();
    let head = "3 migrations found in prisma/migrations\\n\\n";
    let say = |text: &str, exit: u8| format!("printf '{text}'; exit {exit}");
    let prisma = |text: &str, exit: u8| with_format(&say(&format!("{head}{text}"), exit), "prisma_status");
    stack.see(prisma("Database schema is up to date!\\n", 0)).passes("no pending migration");
    let behind = "Following migrations have not yet been applied:\\n1_a\\n2_b\\n\\nTo apply\\n";
    stack.see(prisma(behind, 1)).fails("2 pending: 1_a, 2_b");
    stack.see(prisma(behind, 0)).fails("2 pending");
    let drift = "Your local migration history and the migrations table from your database are different:\\n\\nThe migration from the database are not found locally in prisma/migrations:\\n9_x\\n";
    for exit in [0, 1] {
        stack.see(prisma(drift, exit)).fails("drift").hides("exit code 0;");
    }
    let unreachable = "printf 'Error: P1001: no database server there\\n' >&2; exit 1";
    stack.see(with_format(unreachable, "prisma_status")).unsure("Prisma reported an error");
    let knex = |text: &str, exit: u8| with_format(&say(text, exit), "knex_status");
    let done = "Found 1 Completed Migration file/files.\\n1_a.js\\n";
    stack.see(knex(&format!("{done}No Pending Migration files Found.\\n"), 0)).passes("no pending");
    stack
        .see(knex(&format!("{done}Found 1 Pending Migration file/files.\\n2_b.js\\n"), 0))
        .fails("1 pending: 2_b.js");
    let corrupt = "The migration directory is corrupt, the following files are missing: 9_x.js\\n";
    stack.see(knex(corrupt, 1)).fails("drift");
    stack.see(knex("connect ECONNREFUSED\\n", 0)).unsure("does not contain");
}

#[test]
fn absent_values_are_searched_in_readable_output_only() {
    let stack = Stack::new();
    let spec = |text: &str, value: Value| json!({ "kind": "command", "run": text, "value": value });
    let see = |text: &str, value: Value| stack.see_want(spec(text, value), "absent");
    let regex = json!({ "regex": "^(ERROR|FATAL)" });
    see("echo fine", regex.clone()).passes("not found, in the output");
    see("echo fine; echo FATAL disk >&2", regex.clone()).fails("“FATAL”");
    see("echo fine; exit 3", regex.clone()).fails("exit code 3");
    let pointer = json!({ "file": "r.json", "pointer": "/errors/0" });
    see("echo '{\"errors\":[]}' > r.json", pointer.clone()).passes("/errors/0 does not exist, file r.json");
    see("echo '{\"errors\":[{}]}' > r.json", pointer.clone()).fails("an object at /errors/0");
    see("echo '{\"errors\":[' > r.json", pointer.clone()).unsure("no complete JSON");
    see("rm r.json", pointer.clone()).unsure("file r.json does not exist");
    see(": > r.json", json!({ "file": "r.json", "regex": "x" })).unsure("the file is empty");
    see("touch -d '1 hour ago' r.json", pointer).unsure("not written by this run");
    see("sleep 0; kill -9 $$", regex).unsure("signal 9");
    see("echo 1", json!({})).unsure("needs a pointer or a regex");
}

#[test]
fn the_second_of_two_runs_must_change_nothing() {
    let stack = Stack::new();
    let spec = |text: &str, twice: Value| json!({ "kind": "command", "run": text, "twice": twice });
    let seed = "if test -e seeded; then echo inserted 0 rows; else touch seeded; echo inserted 9 rows; fi";
    let regex = json!({ "regex": r"inserted (\d+) rows" });
    let seen =
        stack.see(spec(seed, regex.clone())).passes("the second run changed nothing: 0 in “inserted 0 rows”");
    assert_eq!(seen.finding.value, Some(0.0));
    assert!(seen.log.contains("inserted 9 rows") && seen.log.contains("Second run: "), "{}", seen.log);
    stack.see(spec("echo inserted 9 rows", regex.clone())).fails("the second run changed something: 9");
    stack.see(spec("echo done", regex.clone())).unsure("has no match");
    stack
        .see(spec("test ! -e once || { echo duplicate key; exit 1; }; touch once", regex.clone()))
        .fails("the second run ended with exit code 1; last line: “duplicate key”");
    // A first run that fails is not repeated.
    let seen = stack.see(spec("echo broken; exit 4", regex.clone())).fails("exit code 4");
    assert!(!seen.log.contains("Second run") && seen.finding.wanted.contains("twice"), "{:?}", seen.finding);
    stack.see(spec("kill -9 $$", regex)).unsure("signal 9");
    let pointer = json!({ "pointer": "/applied", "file": "m.json" });
    let migrate = "n=$(test -e m.json && echo 0 || echo 3); echo \"{\\\"applied\\\":$n}\" > m.json";
    stack.see(spec(migrate, pointer.clone())).passes("/applied is 0, file m.json");
    let stale = "test -e old.json || echo '{\"applied\":0}' > old.json; touch -d '1 hour ago' old.json";
    stack
        .see(spec(stale, json!({ "pointer": "/applied", "file": "old.json" })))
        .unsure("not written by this run");
    let says = json!({ "says": "Already up to date|nothing to do" });
    stack
        .see(spec("echo Already up to date", says.clone()))
        .passes("second run reports “Already up to date”");
    stack.see(spec("echo Batch 2 run: 1 migrations", says.clone())).fails("does not report");
    stack.see(spec("true", says)).unsure("wrote no output");
    stack.see(spec("true", json!({}))).unsure("does not declare how to detect");
}

#[test]
fn a_suite_that_ran_no_test_is_inconclusive_whatever_its_exit_code() {
    let stack = Stack::new();
    for text in [
        "echo '  0 passing (1ms)'",
        "echo 'No tests found, exiting with code 1'; exit 1",
        "echo 'no tests ran in 0.01s'; exit 5",
        "echo 'running 0 tests'; echo 'test result: ok. 0 passed; 0 failed; 3 filtered out'",
        "printf '?   \\tm\\t[no test files]\\n'",
        "echo 'Tests:       3 skipped, 3 total'",
    ] {
        stack.see(run(text)).unsure("no test ran");
    }
    stack.see(run("echo '1 failed'; echo 'No tests found in b'; exit 1")).fails("exit code 1");
    // A value without tests does not count: no test failed, because none ran.
    let figure =
        |text: &str| json!({ "kind": "command", "run": text, "value": { "regex": r"(\d+) failed" } });
    stack.see_want(figure("echo 'running 0 tests'; echo '0 passed; 0 failed'"), "== 0").unsure("no test ran");
    stack.see_want(figure("echo 'running 4 tests'; echo '4 passed; 0 failed'"), "== 0").passes("0 in");
}

#[test]
fn cargo_test_reports_an_empty_suite_as_expected() {
    // The compiler that builds this test is available; its output for an empty suite is real.
    if !command("cargo", &["--version"]).output().is_ok_and(|out| out.status.success()) {
        return test_support::tools::missing("cargo");
    }
    let stack = Stack::new();
    stack.file(
        "Cargo.toml",
        "[package]\nname = \"nothing\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n",
    );
    stack.file("src/lib.rs", "pub fn f() -> u8 { 1 }\n");
    let test = "unset CARGO_TARGET_DIR; cargo test --offline --quiet --lib 2>&1";
    stack.see(run(test)).unsure("no test ran: “running 0 tests”");
    stack.file("src/lib.rs", "pub fn f() -> u8 { 1 }\n#[test]\nfn one() { assert_eq!(f(), 1); }\n");
    stack.see(run(test)).passes("exit code 0");
}

#[test]
fn a_pass_with_changed_tracked_files_is_inconclusive() {
    let stack = repository();
    let seen = stack.see(run("echo b >> kept.txt; echo new > new.txt"));
    let seen = seen.unsure("the command changed tracked files: kept.txt");
    assert!(seen.log.contains("Warning") && seen.finding.next.contains("git diff"), "{:?}", seen.finding);
    // It stays changed, and changes again.
    stack.see(run("echo cc >> kept.txt")).unsure("the command changed tracked files: kept.txt");
    stack.see(run("echo ccc >> kept.txt; exit 2")).fails("the command changed tracked files: kept.txt");
    let seen = stack.see(run("cat kept.txt")).passes("exit code 0");
    assert!(!seen.finding.saw.contains("changed"), "{}", seen.finding.saw);
    let value =
        json!({ "kind": "command", "run": "echo n=7; echo d >> kept.txt", "value": { "regex": r"n=(\d+)" } });
    let seen = stack.see_want(value, ">= 5").unsure("the command changed tracked files");
    assert_eq!(seen.finding.value, Some(7.0));
    let twice = json!({ "kind": "command", "run": "echo 0 rows; echo e >> kept.txt", "twice": { "regex": r"(\d+) rows" } });
    stack.see(twice).unsure("the command changed tracked files");
}
