//! The table that `make chaos` prints and writes to `target/chaos.json`: its parts run one after the other, each
//! adds its rows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

/// A number from the environment.
pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// One kind of fault.
#[derive(Default)]
struct Row {
    tries: u64,
    /// Those where the fault occurred while the action was in progress.
    hits: u64,
    failed: u64,
    worst: Duration,
}

/// The rows of one part.
#[derive(Default)]
pub struct Table(BTreeMap<String, Row>);

impl Table {
    /// Records one fault, the recovery time, and what was wrong afterwards.
    pub fn note(&mut self, kind: &str, hit: bool, took: Duration, wrong: &[String]) {
        let row = self.0.entry(kind.to_owned()).or_default();
        row.tries += 1;
        row.hits += u64::from(hit);
        row.worst = row.worst.max(took);
        row.failed += u64::from(!wrong.is_empty());
        for one in wrong {
            println!("{kind}, try {}: {one}", row.tries);
        }
    }

    /// Prints the rows and adds them to the file. Fails when anything failed.
    pub fn finish(self, seed: Option<u64>) {
        println!("{:<34} {:>6} {:>6} {:>7} {:>10}", "", "tries", "hits", "failed", "worst (s)");
        let mut file: Value =
            fs::read(path()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(json!({}));
        if let Some(seed) = seed {
            file["seed"] = json!(seed);
        }
        for (name, row) in &self.0 {
            let worst = row.worst.as_secs_f64();
            println!("{name:<34} {:>6} {:>6} {:>7} {worst:>10.2}", row.tries, row.hits, row.failed);
            file["rows"][name] =
                json!({"tries": row.tries, "hits": row.hits, "failed": row.failed, "worst_s": worst});
        }
        fs::create_dir_all(path().parent().unwrap()).unwrap();
        fs::write(path(), format!("{file:#}\n")).unwrap();
        assert!(self.0.values().all(|row| row.failed == 0), "see above");
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/chaos.json")
}
