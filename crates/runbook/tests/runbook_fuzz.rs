//! No bytes make the parser or the configuration reader panic, and the results match the file.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use std::collections::HashSet;

use proptest::prelude::*;
use runbook::{Report, parse};

/// What must be true for every result.
fn holds_together(bytes: &[u8]) {
    let runbook = parse(bytes);
    let gates: HashSet<&str> = runbook.gates.iter().map(|g| g.id.as_str()).collect();
    assert_eq!(gates.len(), runbook.gates.len(), "gate ids are unique");
    assert!(runbook.criteria.iter().all(|c| gates.contains(c.gate.as_str()) && !c.text.is_empty()));
    assert!(runbook.steps.iter().all(|s| !s.command.trim().is_empty() && !s.title.is_empty()));
    assert!(runbook.ownership.iter().all(|o| !o.fields.is_empty()));
    let mut ids = HashSet::new();
    let named = runbook.criteria.iter().map(|c| &c.id);
    let named = named.chain(runbook.steps.iter().map(|s| &s.id));
    let named = named.chain(runbook.matrix.iter().map(|r| &r.id));
    let named = named.chain(runbook.checklist.iter().map(|c| &c.id));
    for id in named.chain(runbook.ownership.iter().flat_map(|o| o.fields.iter().map(|f| &f.id))) {
        assert!(ids.insert(id.clone()), "the id {id} is given out twice");
    }
    let lines = 1 + bytes.iter().filter(|b| **b == b'\n' || **b == b'\r').count();
    if !bytes.contains(&0) {
        assert!(runbook.problems.iter().all(|p| p.column >= 1 && (1..=lines).contains(&p.line)));
        assert!(runbook.steps.iter().all(|s| (1..=lines).contains(&s.line)));
    }
    assert_eq!(parse(bytes), runbook, "the same bytes give the same answer");
    let report = Report::of_runbook("x.md", bytes);
    assert!(!report.to_string().is_empty());
}

/// Pieces of Markdown that mean something to the parser, to be put together at random.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("# Title\n".to_owned()),
        "## Phase [0-9]{0,12}[ —:-]{0,3}[a-zé🚀 ]{0,6}\\(Gate [A-C0-9]{1,2}\\)\n",
        "#{1,7} ?(Roles|Ownership|Sign-offs|Rollback|Matrix|[a-z(]{0,5})\n",
        "\\*{0,2}Acceptance( criteria)?( \\(Gate [A-C]\\))?:?\\*{0,2} ?[a-z]{0,3}\n{1,2}",
        "[ >]{0,6}[-*+] (\\[[ xX]\\] )?[a-z`_:/ •]{0,12}\n",
        "( {0,3}```(bash|console|sh|)?\n)",
        "(# [a-z)(]{0,6}|[a-z$\\{\\}'\"`()<#|&;\\\\ -]{0,16})\n",
        "(\\| ?(Category|Command|Owner|Acceptance|`a`|x/y)){1,5}\\|?\n",
        Just("|-|-|-|-|\n".to_owned()),
        "[a-z]{0,4}:? ?_{2,5} ?[a-z]{0,3}\n",
        "(<div>|<h2>|<!--|&amp;|\\[a\\]\\(b|\\[\\[|!\\[|\u{2011}|\u{feff}|\r|\t|\u{0})",
        Just("\n".to_owned()),
    ]
}

/// A deeper search: `PROPTEST_CASES=100000 cargo test -p runbook --test runbook_fuzz`.
fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        holds_together(&bytes);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,200}") {
        holds_together(text.as_bytes());
    }

    #[test]
    fn any_soup_of_markdown_is_read_without_a_panic(pieces in prop::collection::vec(piece(), 0..40)) {
        holds_together(pieces.concat().as_bytes());
    }

    #[test]
    fn a_staging_runbook_with_a_damaged_place_is_read_without_a_panic(
        at in 0usize..5_000, cut in 0usize..80, put in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/staging.md");
        let mut bytes = std::fs::read(path).unwrap();
        let at = at.min(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, put);
        holds_together(&bytes);
    }

    #[test]
    fn any_configuration_is_read_without_a_panic(
        lines in prop::collection::vec("(\\[{1,2}(stack|deploy|check|gates\\.A|stack.urls|x)\\]{1,2}|(id|kind|proves|binds|want|timeout|step|run|status|headers|files|runbook|owners) ?= ?(\"[a-z0-9 .:%<>=]{0,9}\"|'http'|'command'|'compose'|[0-9]{1,22}|-1.5e9|true|\\[[1'a, \\]]{0,5}|\\{ ?criterion = \"A.1\" ?\\}|1979-05-27)|[\\PC]{0,9})", 0..24),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stagegate.toml");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let report = preflight::report(&path);
        prop_assert!(!report.is_usable(), "a file without a runbook cannot be usable");
    }
}
