use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use checks::{Output, judge_command};
use domain::evidence::Outcome;
use runner::Exit;
use serde_json::{Value, json};

use crate::support::probe::{Stack, run};

fn with_value(text: &str, value: Value) -> Value {
    json!({ "kind": "command", "run": text, "value": value })
}

fn coverage(pct: f64) -> String {
    format!(r#"{{"total":{{"lines":{{"total":1000,"covered":{},"pct":{pct}}}}}}}"#, pct * 10.0)
}

#[test]
fn exit_codes_decide_without_a_measured_value() {
    let stack = Stack::new();
    stack.see(run("echo fine")).passes("exit code 0");
    let seen = stack.see(run("echo 3 errors; exit 3")).fails("exit code 3; last line: “3 errors”");
    assert!(seen.finding.next.contains("line"), "{:?}", seen.finding);
    stack.see(run("no-such-program-here")).fails("exit code 127");
    let declared = json!({ "kind": "command", "run": "exit 75", "inconclusive_exit": [75] });
    stack.see(declared).unsure("exit code 75");
    stack.see_want(run("true"), ">= 1").unsure("declares no value");
    stack.see(json!({ "kind": "command" })).unsure("neither a step");
}

#[test]
fn a_step_runs_unchanged_in_the_directory_of_the_stack() {
    let mut stack = Stack::new();
    stack.file("sub/here", "");
    stack.env("GREETING='hello there'\n");
    stack.step = Some("(cd sub && ls) && pwd && echo \"$GREETING\" | cat; false | true".into());
    let seen = stack.see(json!({ "kind": "command", "step": "A.s1" })).passes("exit code 0");
    let dir = stack.dir().canonicalize().unwrap();
    assert!(seen.log.contains(dir.to_str().unwrap()) && seen.log.contains("here\n"), "{}", seen.log);
    stack
        .see(json!({ "kind": "command", "run": "ls here", "cwd": "nowhere" }))
        .unsure("directory nowhere does not exist");
}

#[test]
fn values_of_a_new_report_are_judged() {
    let stack = Stack::new();
    stack.file("good.json", &coverage(71.2));
    stack.file("bad.json", &coverage(64.9));
    let value = json!({ "file": "coverage/coverage-summary.json", "format": "coverage_summary" });
    let spec = |from: &str, then: &str| {
        with_value(
            &format!("mkdir -p coverage && cat {from} > coverage/coverage-summary.json{then}"),
            value.clone(),
        )
    };
    let seen = stack.see_want(spec("good.json", ""), ">= 65 %");
    let seen = seen.passes("71.2 % line coverage (712 of 1000 lines), file coverage/coverage-summary.json");
    assert_eq!((seen.finding.value, seen.finding.wanted.as_str()), (Some(71.2), ">= 65 %"));
    // Exit code 0 does not outweigh a bad value, and a good value does not excuse an error.
    stack.see_want(spec("bad.json", ""), ">= 65 %").fails("64.9 %");
    stack.see_want(spec("good.json", "; exit 1"), ">= 65 %").fails("exit code 1");
    let pointer = json!({ "file": "good.json", "pointer": "/total/lines/pct" });
    stack.see_want(with_value("touch good.json", pointer), ">= 65 %").passes("71.2");
}

#[test]
fn a_report_that_this_run_did_not_write_does_not_count() {
    let stack = Stack::new();
    let path = stack.file("report.json", &coverage(99.0));
    let old = SystemTime::now() - Duration::from_secs(86_400);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    let value = |file: &str| json!({ "file": file, "format": "coverage_summary" });
    stack.see_want(with_value("true", value("report.json")), ">= 65 %").unsure("not written by this run");
    stack.see_want(with_value("true", value("none.json")), ">= 65 %").unsure("file none.json does not exist");
    stack.see_want(with_value("mkfifo pipe", value("pipe")), ">= 65 %").unsure("not a regular file");
    stack.see_want(with_value("echo half > h.json", value("h.json")), ">= 65 %").unsure("no complete JSON");
    stack.see_want(with_value("printf '\\xff' > b.json", value("b.json")), ">= 65 %").unsure("not UTF-8");
}

#[test]
fn values_are_found_in_the_output() {
    let stack = Stack::new();
    let regex = json!({ "regex": r"^Lines\s*:\s*([\d.]+)" });
    let text = "printf '\\033[32mLines : 71.2 %%\\033[0m\\n' >&2";
    stack.see_want(with_value(text, regex.clone()), ">= 65 %").passes("71.2 in “Lines : 71.2 %”");
    stack.see_want(with_value("echo nothing", regex), ">= 65 %").unsure("has no match");
    // One line of JSON, much longer than a page shows, between other lines.
    let text = r#"echo '> load'; printf '{"pad":"%0100000d","p95":7}\n' 1; echo bye; echo '{"p95":900}' >&2"#;
    stack.see_want(with_value(text, json!({ "pointer": "/p95" })), "< 600 ms").passes("/p95 is 7");
    // The same, interrupted in the log by a line of standard error.
    let text =
        r#"printf '{"pad":"%070000d' 1; sleep 0.4; echo '{"p95":900}' >&2; sleep 0.4; printf '","p95":7}\n'"#;
    stack.see_want(with_value(text, json!({ "pointer": "/p95" })), "< 600 ms").passes("/p95 is 7");
}

#[test]
fn a_failed_audit_is_inconclusive_whatever_its_exit_code() {
    let stack = Stack::new();
    let value = json!({ "format": "npm_audit_critical" });
    let error = r#"echo '{"error":{"code":"ENOAUDIT","summary":"405 Method Not Allowed"}}'; exit 1"#;
    stack.see(with_value(error, value.clone())).unsure("npm audit reported an error: 405");
    let counts = |critical: u32| {
        format!(
            r#"echo '{{"metadata":{{"vulnerabilities":{{"info":0,"low":1,"moderate":0,"high":2,"critical":{critical}}},"dependencies":{{"total":9}}}}}}'; exit 1"#
        )
    };
    // Its exit code is caused by the two of severity high, which this threshold allows.
    stack.see(with_value(&counts(0), value.clone())).passes("0 critical and 2 high");
    stack.see(with_value(&counts(1), value)).fails("1 critical");
}

#[test]
fn suites_are_judged_by_the_tests_that_ran() {
    let stack = Stack::new();
    let suite = |good: usize, bad: usize| {
        let cases =
            "<testcase name='a'/>".repeat(good) + &"<testcase name='b'><failure/></testcase>".repeat(bad);
        format!("<testsuites tests='{}'><testsuite>{cases}</testsuite></testsuites>", good + bad)
    };
    stack.file("39.xml", &suite(39, 1));
    stack.file("18.xml", &suite(18, 2));
    stack.file("0.xml", &suite(0, 0));
    stack.file("all.xml", &suite(5, 0));
    let spec = |file: &str, exit: u8| {
        with_value(
            &format!("cat {file} > junit.xml; exit {exit}"),
            json!({ "file": "junit.xml", "format": "junit" }),
        )
    };
    let seen = stack.see_want(spec("39.xml", 1), ">= 95 %").passes("39 of 40 tests passed");
    assert_eq!(seen.finding.value, Some(97.5));
    stack.see_want(spec("18.xml", 0), ">= 95 %").fails("18 of 20");
    stack.see(spec("39.xml", 0)).fails("39 of 40");
    stack.see_want(spec("all.xml", 1), ">= 95 %").fails("exit code 1");
    stack.see_want(spec("0.xml", 0), ">= 0 %").unsure("ran no test");
    stack.see_want(spec("0.xml", 1), ">= 95 %").unsure("ran no test");
    stack.see(run("echo 'No test files found, exiting with code 0'")).unsure("no test ran");
    stack.see(run("echo 'No tests found in shared'; echo '12 passed'")).passes("exit code 0");
}

#[test]
fn a_command_that_does_not_end_is_inconclusive() {
    let mut stack = Stack::new();
    stack.timeout = Duration::from_millis(600);
    stack.see(run("sleep 60")).unsure("time limit exceeded");
    stack.timeout = Duration::from_secs(20);
    stack.see(run("kill -9 $$")).unsure("signal 9");
}

#[test]
fn secrets_in_the_output_are_masked_everywhere() {
    let mut stack = Stack::new();
    stack.env("JWT_SECRET=hunter2-hunter2-hunter2\n");
    let value = json!({ "regex": r"n=(\d+)" });
    let text = "echo \"n=1 $JWT_SECRET\"";
    stack.see_want(with_value(text, value), ">= 2").fails("1 in “n=1").hides("hunter2");
    stack.see(run("echo $JWT_SECRET; exit 4")).fails("exit code 4").hides("hunter2");
}

#[test]
fn a_retried_command_is_judged_by_its_own_output() {
    let mut stack = Stack::new();
    stack.retries = 1;
    let text = "test -e flag && echo n=7 && exit 0; touch flag; echo n=1; exit 1";
    let spec = with_value(text, json!({ "regex": r"n=(\d+)" }));
    let seen = stack.see_want(spec, "> 5").passes("attempt 2 of 2");
    assert_eq!(seen.finding.value, Some(7.0));
    // The output of an earlier attempt must not count for this one.
    let text = "test -e other && exit 0; touch other; echo n=9; exit 1";
    let spec = with_value(text, json!({ "regex": r"n=(\d+)" }));
    stack.see_want(spec, "> 5").unsure("has no match");
}

#[test]
fn a_step_run_from_its_page_yields_the_same_evidence() {
    let stack = Stack::new();
    let text = "echo '{\"p95\":41.5}'; echo '{}' > r.json";
    let spec = with_value(text, json!({ "pointer": "/p95" }));
    let seen = stack.see_want(spec.clone(), "< 600 ms").passes("41.5");
    let check = stack.check(&spec, "< 600 ms");
    let asked = Cell::new(0);
    let read = || {
        asked.set(asked.get() + 1);
        Output::of_run(&seen.run, 0)
    };
    let again = judge_command(&check, &Exit::Code(0), &read, &stack.dir(), 0);
    assert_eq!(again, seen.finding);
    let late = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(60);
    let late = u64::try_from(late.as_millis()).unwrap();
    let by_file = with_value(text, json!({ "file": "r.json", "pointer": "" }));
    let check = stack.check(&by_file, "< 600 ms");
    let found = judge_command(&check, &Exit::Code(0), &read, &stack.dir(), late);
    assert_eq!(found.outcome, Outcome::Inconclusive);
    for exit in
        [Exit::Timeout, Exit::OutputCap, Exit::DiskFull, Exit::NotStarted("x".into()), Exit::Signal(9)]
    {
        let before = asked.get();
        let found = judge_command(&check, &exit, &read, &stack.dir(), 0);
        assert_eq!((found.outcome, asked.get()), (Outcome::Inconclusive, before), "{exit:?}");
    }
}
