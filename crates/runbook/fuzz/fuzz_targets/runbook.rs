//! Any bytes as a runbook: no panic, unique ids, criteria only of gates that exist.
//! `cargo +nightly fuzz run runbook -- -max_len=65536 -timeout=5`, seeded with `tests/data`.
#![no_main]

use std::collections::HashSet;

use runbook::{Report, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let runbook = parse(bytes);
    let gates: HashSet<&str> = runbook.gates.iter().map(|g| g.id.as_str()).collect();
    assert_eq!(gates.len(), runbook.gates.len());
    assert!(runbook.criteria.iter().all(|c| gates.contains(c.gate.as_str())));
    let mut ids = HashSet::new();
    assert!(runbook.criteria.iter().all(|c| ids.insert(c.id.as_str())));
    assert!(runbook.steps.iter().all(|s| ids.insert(s.id.as_str())));
    assert!(runbook.matrix.iter().all(|r| ids.insert(r.id.as_str())));
    assert!(runbook.checklist.iter().all(|c| ids.insert(c.id.as_str())));
    assert!(!Report::of_runbook("fuzz.md", bytes).to_string().is_empty());
});
