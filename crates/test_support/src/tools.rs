//! What a test does without a tool or right that it needs.

/// Says that a test, or a part of one, cannot be tried here because `what` is missing. Where `CI` is set every tool
/// has to be there, so the test fails: a green test must have been tried.
pub fn missing(what: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"),
        "{what} is missing, and CI is set"
    );
    eprintln!("not tried: {what} is missing");
}
