//! JUnit XML: how many tests ran, and how many of those passed.
//!
//! The test cases themselves are counted. The totals in the attributes must match.

use roxmltree::{Document, Node};

use super::finding::figure;
use super::values::{NoValue, Reading};

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Per cent of tests passed, among those that ran. There is no number when no test ran,
/// or when cases and totals contradict each other.
pub(super) fn read(text: &str) -> Result<Reading, NoValue> {
    let again = "Run the suite again, and find out why its report is incomplete.";
    let Some(xml) = xml_part(text) else {
        return Err(NoValue::new("no JUnit report found", again));
    };
    let document = Document::parse(xml)
        .map_err(|error| NoValue::new(format!("the JUnit report is not well-formed XML ({error})"), again))?;
    let root = document.root_element();
    if !matches!(root.tag_name().name(), "testsuites" | "testsuite") {
        return Err(NoValue::new(
            format!("the XML starts with <{}>, not with <testsuites>", root.tag_name().name()),
            "Set `value.file` to the JUnit report.",
        ));
    }
    let tally = count(root);
    agrees_with_totals(root, &tally)?;
    let ran = tally.passed + tally.failed;
    if ran == 0 {
        let saw = match tally.skipped {
            0 => "the suite ran no test".to_owned(),
            n => format!("the suite ran no test; {n} skipped"),
        };
        return Err(NoValue::did_not_look(saw, "Find out why the suite found no tests to run."));
    }
    // Up to 2^53 tests the division is exact enough for any threshold.
    let value = tally.passed as f64 * 100.0 / ran as f64;
    let skipped = match tally.skipped {
        0 => String::new(),
        n => format!(", {n} skipped"),
    };
    Ok(Reading {
        value,
        unit: "%",
        detail: format!("{} of {ran} tests passed ({} %{skipped})", tally.passed, figure(value)),
        explains_exit: tally.failed > 0,
    })
}

/// The XML in a text that may have other lines around it.
fn xml_part(text: &str) -> Option<&str> {
    let start = ["<?xml", "<testsuites", "<testsuite"].iter().filter_map(|t| text.find(t)).min()?;
    let ends = ["</testsuites>", "</testsuite>"];
    let end = ends.iter().filter_map(|t| text.rfind(t).map(|at| at + t.len())).max();
    match end {
        Some(end) if end > start => Some(&text[start..end]),
        // `<testsuites/>`, or a missing end: the parser decides.
        _ => Some(text[start..].trim_end()),
    }
}

fn count(root: Node) -> Tally {
    let mut tally = Tally::default();
    for case in root.descendants().filter(|n| n.has_tag_name("testcase")) {
        let has = |names: &[&str]| case.children().any(|c| names.contains(&c.tag_name().name()));
        let status = case.attribute("status").unwrap_or_default();
        if has(&["failure", "error"]) {
            tally.failed += 1;
        } else if has(&["skipped", "disabled"]) || matches!(status, "skipped" | "disabled" | "notrun") {
            tally.skipped += 1;
        } else {
            tally.passed += 1;
        }
    }
    tally
}

/// Totals that differ from the cases mean an incomplete report, or cases that are not listed.
fn agrees_with_totals(root: Node, tally: &Tally) -> Result<(), NoValue> {
    let total = |name: &str| -> Option<u64> {
        if let Some(text) = root.attribute(name) {
            return text.trim().parse().ok();
        }
        let suites: Vec<_> = root.children().filter(|n| n.has_tag_name("testsuite")).collect();
        let each: Vec<u64> = suites.iter().filter_map(|s| s.attribute(name)?.trim().parse().ok()).collect();
        (!each.is_empty() && each.len() == suites.len()).then(|| each.iter().sum())
    };
    let listed = tally.passed + tally.failed + tally.skipped;
    let next =
        "Check the output of the suite. It may have been aborted, or may have failed before its tests.";
    if let Some(tests) = total("tests") {
        // Some reporters count skipped tests in the total, some do not.
        if tests != listed && tests != listed - tally.skipped {
            return Err(NoValue::new(
                format!("the report has a total of {tests} tests but lists {listed}"),
                next,
            ));
        }
    }
    let (failures, errors) = (total("failures").unwrap_or(0), total("errors").unwrap_or(0));
    if failures.max(errors) > tally.failed {
        return Err(NoValue::new(
            format!(
                "the report has a total of {failures} failures and {errors} errors but lists {} failed tests",
                tally.failed
            ),
            next,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<f64, String> {
        read(text).map(|r| r.value).map_err(|e| e.saw)
    }

    const NINETEEN: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<testsuites name="e2e" tests="4" failures="1" errors="0" time="0.4">
  <testsuite name="health" tests="2" failures="0" errors="0" skipped="0">
    <testcase classname="health" name="answers &lt;ok&gt;" time="0.1"><system-out>noise</system-out></testcase>
    <testcase classname="health" name="shows the version" time="0.1"/>
  </testsuite>
  <testsuite name="media" tests="2" failures="1" errors="0" skipped="1">
    <testcase classname="media" name="adds" time="0.1"><failure message="expected 1">at x</failure></testcase>
    <testcase classname="media" name="later"><skipped/></testcase>
  </testsuite>
</testsuites>"#;

    #[test]
    fn cases_are_counted_and_skipped_ones_left_out() {
        let reading = read(NINETEEN).unwrap();
        assert!((reading.value - 200.0 / 3.0).abs() < 1e-9);
        assert_eq!(reading.detail, "2 of 3 tests passed (66.67 %, 1 skipped)");
        assert!(reading.explains_exit);
        let around = format!("> run\n{NINETEEN}\ndone 3 tests\n");
        assert_eq!(read(&around).unwrap(), reading);
    }

    #[test]
    fn a_single_suite_is_a_report_too() {
        let text = "<testsuite tests=\"1\"><testcase name='a'/></testsuite>";
        assert_eq!(value(text), Ok(100.0));
        let reading = read(text).unwrap();
        assert!(!reading.explains_exit);
    }

    #[test]
    fn a_suite_that_ran_no_test_has_no_number() {
        for text in [
            "<testsuites/>",
            "<testsuites name=\"vitest\" tests=\"0\" failures=\"0\"></testsuites>",
            "<testsuite tests='1'><testcase name='a'><skipped/></testcase></testsuite>",
        ] {
            let none = read(text).unwrap_err();
            assert!(none.did_not_look && none.saw.contains("no test"), "{text}");
        }
    }

    #[test]
    fn reports_that_contradict_themselves_have_no_number() {
        for text in [
            "",
            "all good",
            "<html><testcase/></html>",
            "<testsuites tests='9'><testsuite tests='9'><testcase/></testsuite></testsuites>",
            "<testsuites tests='1' failures='2'><testsuite><testcase/></testsuite></testsuites>",
            "<testsuites errors='1'><testsuite><testcase/></testsuite></testsuites>",
            "<testsuites><testsuite><testcase/>",
            "<!DOCTYPE x [<!ENTITY a 'b'>]><testsuites><testsuite><testcase/></testsuite></testsuites>",
        ] {
            // A document type is skipped: the report starts at the suites.
            if text.starts_with("<!DOCTYPE") {
                assert_eq!(value(text), Ok(100.0));
            } else {
                assert!(value(text).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn totals_may_leave_skipped_tests_out() {
        let text = "<testsuites tests='1'><testsuite><testcase/><testcase><skipped/></testcase></testsuite></testsuites>";
        assert_eq!(value(text), Ok(100.0));
    }
}
