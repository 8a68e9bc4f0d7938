//! Tests that take minutes and only run on request: `make bench-rollback` and `make chaos`.

mod chaos;
mod example;
mod speed;
mod stops;

use std::fs;
use std::path::Path;

/// Writes a file of results below `target/`.
fn report(name: &str, value: &serde_json::Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("{value:#}\n")).unwrap();
}
