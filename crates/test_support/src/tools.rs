//! What a test does without a tool or permission that it needs.

/// Reports that a test, or a part of one, is skipped because `what` is missing. If `CI` is set, every tool must be
/// installed, so the test fails: a passed test must have run.
pub fn missing(what: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"),
        "{what} is missing, and CI is set"
    );
    eprintln!("skipped: {what} is missing");
}
