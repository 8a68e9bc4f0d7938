//! Detects in the output of test runners whether any test ran.

use super::finding::brief;
use super::output::Output;

/// Messages of runners that found no test to run, in lower case.
const NOTHING: [&str; 19] = [
    // vitest, mocha; jest, Playwright, ava; pytest; npm's placeholder; PHPUnit; Python's unittest
    "no test files found",
    "no tests found",
    "no tests ran",
    "no test specified",
    "no tests were executed",
    "no tests executed",
    "no tests matched",
    "no tests collected",
    // nextest; go test
    "no tests to run",
    "[no test files]",
    "[no tests to run]",
    // pytest; cargo test; nextest; unittest
    "collected 0 items",
    "running 0 tests",
    "starting 0 tests",
    "ran 0 tests",
    // jest; RSpec; Maven
    "0 total",
    "0 examples, 0 failures",
    "tests run: 0",
    "no test cases matched",
];

/// The line in which a test runner reports that it found no test to run, unless another line reports
/// tests that did run.
pub(super) fn ran_no_test(output: &Output) -> Option<String> {
    let mut nothing = None;
    // The last line `3 skipped` is known to be from Playwright only after its first line.
    let mut playwright = false;
    for line in &output.lines {
        let text = line.text.to_lowercase();
        let words: Vec<&str> =
            text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
        // Files and suites that could not be loaded are not tests.
        let files = matches!(words.as_slice(), ["test", "files" | "suites", ..] | ["snapshots", ..]);
        if files {
            continue;
        }
        if ran(&text, &words) {
            return None;
        }
        playwright |= matches!(words.as_slice(), ["running", _, "test" | "tests", "using", ..]);
        let skipped = playwright && matches!(words.as_slice(), [n, "skipped"] if n.parse::<u64>().is_ok());
        if nothing.is_none() && (skipped || is_nothing(&text, &words)) {
            nothing = Some(brief(&line.text, 120));
        }
    }
    nothing
}

fn ran(text: &str, words: &[&str]) -> bool {
    let some = |word: &str| word.parse::<u64>().is_ok_and(|n| n > 0);
    let counted = words.windows(2).any(|w| {
        // `12 passed`, `3 failing`; the other way round in TAP: `# pass 12`.
        (some(w[0]) && matches!(w[1], "passed" | "passing" | "failed" | "failing" | "examples"))
            || (matches!(w[0], "pass" | "fail") && some(w[1]))
    });
    // Maven, unittest: `Tests run: 5`, `Ran 5 tests`.
    let told = words.windows(3).any(|w| {
        (w[0] == "tests" && w[1] == "run" && some(w[2]))
            || (w[0] == "ran" && some(w[1]) && matches!(w[2], "test" | "tests"))
    });
    // go test: `ok  	pkg	0.3s`, `FAIL	pkg	0.3s`, `--- FAIL: TestX`.
    let go = (text.starts_with("ok") || text.starts_with("fail"))
        && text.contains('\t')
        && !text.contains("[no test")
        && !text.contains("[build failed]")
        && !text.contains("[setup failed]");
    counted
        || told
        || go
        || text.trim_start().starts_with("--- fail")
        || text.trim_start().starts_with("--- pass")
}

fn is_nothing(text: &str, words: &[&str]) -> bool {
    if NOTHING.iter().any(|nothing| match *nothing {
        // `10 total` must not match.
        "0 total" => matches!(words, ["tests", "0", "total"]),
        "tests run: 0" => words.windows(3).any(|w| w == ["tests", "run", "0"]),
        "0 examples, 0 failures" => matches!(words, ["0", "examples", "0", "failures", ..]),
        nothing => text.contains(nothing),
    }) {
        return true;
    }
    match words {
        // mocha; node --test; vitest
        ["0", "passing", ..] | ["tests", "0"] | ["pass", "0"] | ["tests", "no", "tests"] => true,
        // All of them skipped: vitest, jest; pytest (`3 skipped in 0.02s`).
        ["tests", n, "skipped" | "todo", ..] => n.parse::<u64>().is_ok(),
        [n, "skipped" | "deselected", "in", whole, part] => {
            [*n, *whole, part.trim_end_matches('s')].iter().all(|n| n.parse::<u64>().is_ok())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::OutputLine;
    use super::*;

    fn see(text: &str) -> bool {
        let lines = text.lines().zip(1..).map(|(text, number)| OutputLine {
            number,
            is_err: false,
            text: text.to_owned(),
        });
        ran_no_test(&Output { lines: lines.collect(), cut: false }).is_some()
    }

    #[test]
    fn messages_of_runners_without_a_test_are_detected() {
        for text in [
            "No test files found, exiting with code 0",
            " Test Files  1 failed (1)\n      Tests  no tests\n   Duration  1.02s",
            "      Tests  3 skipped (3)",
            "No tests found, exiting with code 0",
            "Test Suites: 1 failed, 1 total\nTests:       0 total\nSnapshots:   0 total",
            "Tests:       3 skipped, 3 total",
            "\n  0 passing (1ms)\n",
            "  0 passing (2ms)\n  3 pending\n",
            "collected 0 items\n\n===== no tests ran in 0.01s =====",
            "===== 3 skipped in 0.02s =====",
            "===== 4 deselected in 0.02s =====",
            "?   \texample.com/m\t[no test files]",
            "testing: warning: no tests to run\nPASS\nok  \texample.com/m\t0.001s [no tests to run]",
            "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out",
            "    Starting 0 tests across 1 binary\nerror: no tests to run",
            "Error: No tests found",
            "Running 3 tests using 1 worker\n\n  3 skipped",
            "# tests 0\n# pass 0\n# fail 0",
            "ℹ tests 0",
            "# tests 1\n# pass 0\n# fail 0\n# skipped 1",
            "Test Suites: 1 failed, 1 skipped, 1 of 2 total\nTests:       1 skipped, 1 total\nRan all test suites.",
            " Test Files  1 failed | 1 skipped (2)\n      Tests  1 skipped (1)",
            "Ran 0 tests in 0.000s\n\nOK",
            "0 examples, 0 failures",
            "[INFO] Tests run: 0, Failures: 0, Errors: 0, Skipped: 0",
            "Error: no test specified",
        ] {
            assert!(see(text), "{text}");
        }
    }

    #[test]
    fn a_single_test_that_ran_is_detected() {
        for text in [
            "No tests found in packages/shared\n Test Files  2 passed (2)\n      Tests  12 passed (12)",
            "Tests:       1 failed, 3 skipped, 4 total",
            "Tests:       10 skipped, 5 passed, 15 total",
            "  12 passing (1s)\n  1 pending",
            "  0 passing (3ms)\n  1 failing",
            "===== 3 passed, 1 skipped in 0.02s =====",
            "?   \texample.com/a\t[no test files]\nok  \texample.com/b\t0.003s",
            "?   \texample.com/a\t[no test files]\n--- FAIL: TestX (0.00s)\nFAIL\texample.com/b\t0.003s",
            "running 4 tests\ntest result: ok. 4 passed; 0 failed\n   Doc-tests m\nrunning 0 tests\ntest result: ok. 0 passed; 0 failed",
            "  5 passed (3.1s)\n  2 skipped",
            "# tests 3\n# pass 3\n# skipped 0",
            "# tests 2\n# pass 0\n# fail 2\n# skipped 0",
            "Ran 5 tests in 0.100s",
            "12 examples, 0 failures",
            "Tests run: 5, Failures: 0",
            "lint: fine",
            "seeding\n0 inserted\n3 skipped",
            "3 skipped in all",
            "10 total",
            "",
        ] {
            assert!(!see(text), "{text}");
        }
    }
}
