//! Any bytes as `stagegate.toml`: no panic, and not accepted without a runbook.
//! `cargo +nightly fuzz run config -- -max_len=16384 -timeout=5`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(dir) = tempfile::tempdir() else { return };
    let path = dir.path().join("stagegate.toml");
    if std::fs::write(&path, bytes).is_ok() {
        let report = preflight::report(&path);
        assert!(!report.is_usable() || !report.runbook.gates.is_empty());
    }
});
