//! Tests whether anything becomes more expensive the longer an installation is in use: `make bench-growth`.
//!
//! Two stores are built with Stagegate's own code: a new one, with one page of every list, and a grown one. The real
//! server (`STAGEGATE_BIN`) runs on both at the same time, and both get the same requests alternately. Prints a table,
//! writes target/bench/growth.json, and fails if the grown store costs more than 1.2 times as much (memory: 1.5 times).
//!
//! Sizes: GROWTH_RELEASES, GROWTH_RUNS, GROWTH_EVIDENCE, GROWTH_EVENTS (1,000, 100,000, 500,000, 1,000,000);
//! GROWTH_ROUNDS (300) requests of each page, GROWTH_BOARDS (500) open boards. Building takes most of the time: with
//! GROWTH_KEEP=<folder> the stores stay there and are used again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that fails ends with what failed")]

mod boards;
mod build;
mod http;
#[path = "../../tests/engine/texts.rs"]
mod texts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use serde_json::{Value, json};

use build::Sizes;
use http::Server;

/// Maximum cost of the grown store, relative to the new one.
const MOST: f64 = 1.2;
/// The same for memory.
const MOST_MEMORY: f64 = 1.5;
/// Number of timed starts of each server.
const STARTS: usize = 9;
/// Differences below this are noise of the clock, milliseconds.
const NOISE_MS: f64 = 0.1;

fn size(name: &str, otherwise: usize) -> usize {
    std::env::var(name)
        .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[tokio::main]
async fn main() -> ExitCode {
    let bin = std::env::var("STAGEGATE_BIN").expect("STAGEGATE_BIN names the server to measure");
    let grown = Sizes {
        releases: size("GROWTH_RELEASES", 1_000),
        runs: size("GROWTH_RUNS", 100_000),
        evidence: size("GROWTH_EVIDENCE", 500_000),
        events: size("GROWTH_EVENTS", 1_000_000),
    };
    let rounds = size("GROWTH_ROUNDS", 300);
    let passing = tempfile::tempdir().unwrap();
    let home = std::env::var_os("GROWTH_KEEP").map_or_else(|| passing.path().to_owned(), PathBuf::from);
    let began = Instant::now();
    for (name, sizes) in [("new", Sizes::ONE_PAGE), ("grown", grown.at_least(Sizes::ONE_PAGE))] {
        let home = home.join(name);
        let built = home.join("built");
        let wanted = format!("{sizes:?}");
        if std::fs::read_to_string(&built).unwrap_or_default() != wanted {
            assert!(!home.exists(), "{} holds a store of other sizes: remove it", home.display());
            build::build(&home, &sizes).await;
            std::fs::write(built, wanted).unwrap();
        }
        println!("{name}: {sizes:?}, {} MB, {:.0} s", megabytes(&home), began.elapsed().as_secs_f64());
    }
    let mut table = Table::default();
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        a.push(start_seconds(&bin, &home.join("new")).await);
        b.push(start_seconds(&bin, &home.join("grown")).await);
    }
    table.add("start", "s", median(&mut a), median(&mut b), MOST);
    let (new, old) = (ready(&bin, &home.join("new")).await, ready(&bin, &home.join("grown")).await);

    for (row, path) in [
        ("board", "/"),
        ("gate", "/gates/A"),
        ("releases", "/releases"),
        ("runs", "/runs"),
        ("activity", "/activity"),
    ] {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            // Each request has another address, so that none is answered from the page cache.
            let path = format!("{path}?round={round}");
            a.push(new.get(&path).await);
            b.push(old.get(&path).await);
        }
        table.add(row, "ms", median(&mut a), median(&mut b), MOST);
    }
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let (mut after_a, mut after_b) = (Vec::new(), Vec::new());
    for round in 0..rounds.min(100) {
        a.push(new.write().await);
        after_a.push(new.get(&format!("/?after={round}")).await);
        b.push(old.write().await);
        after_b.push(old.get(&format!("/?after={round}")).await);
    }
    table.add("a write", "ms", median(&mut a), median(&mut b), MOST);
    table.add("board after a write", "ms", median(&mut after_a), median(&mut after_b), MOST);
    table.add("memory", "MB", new.memory_mb(), old.memory_mb(), MOST_MEMORY);

    let mut report = json!({ "sizes": grown.to_json(), "rows": table.to_json() });
    let (per_core, new_cpu) = (load(&new, "/").await, "board, one address");
    if let Some((second, core)) = per_core {
        println!("wrk, {new_cpu}, new store: {second:.0} requests/s, {core:.0} per core of the server");
        report["wrk"] = json!({ "requests_per_second": second, "requests_per_second_and_core": core });
    } else {
        println!("wrk is not installed: requests per second were not measured");
    }
    let open = size("GROWTH_BOARDS", 500);
    if open > 0 {
        let seen = boards::change_everywhere(&old, open).await;
        println!(
            "{open} open boards, grown store: a change of the verdict is everywhere after {:.2} s, {:.2} s of the server's CPU",
            seen.seconds, seen.cpu
        );
        report["open_boards"] = json!({ "boards": open, "seconds": seen.seconds, "cpu_seconds": seen.cpu });
    }
    drop((new, old));
    table.print();
    write(&report);
    if table.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Starts and stops a server. Returns the seconds until the first answer.
async fn start_seconds(bin: &str, home: &Path) -> f64 {
    let began = Instant::now();
    let server = Server::start(bin, home).await;
    let took = began.elapsed().as_secs_f64();
    drop(server);
    took
}

/// A server that has completed its start-up tasks and has answered each page.
async fn ready(bin: &str, home: &Path) -> Server {
    let mut server = Server::start(bin, home).await;
    server.sign_in().await;
    server.is_idle().await;
    for path in ["/", "/gates/A", "/releases", "/runs", "/activity"] {
        server.get(path).await;
    }
    server
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Requests per second by `wrk`, and per second of the server's CPU.
async fn load(server: &Server, path: &str) -> Option<(f64, f64)> {
    let cookie = format!("Cookie: {}", server.cookie());
    let host = format!("Host: {}", server.host());
    let before = server.cpu_seconds();
    let output = Command::new("wrk")
        .args(["-t1", "-c8", "-d5s", "-H", &cookie, "-H", &host])
        .arg(format!("http://127.0.0.1:{}{path}", server.port()))
        .output()
        .ok()?;
    let cpu = server.cpu_seconds() - before;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Non-2xx"), "{text}");
    let requests: f64 =
        text.lines().find(|l| l.contains(" requests in "))?.split_whitespace().next()?.parse().ok()?;
    let second: f64 = text.lines().find_map(|l| l.strip_prefix("Requests/sec:"))?.trim().parse().ok()?;
    Some((second, requests / cpu))
}

fn megabytes(dir: &Path) -> u64 {
    let file = dir.join("data").join(store::FILE_NAME);
    std::fs::metadata(file).map_or(0, |m| m.len() >> 20)
}

fn write(report: &Value) {
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let path = Path::new(&target).join("bench/growth.json");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("{report:#}\n")).unwrap();
    println!("\n{}", path.display());
}

struct Row {
    unit: &'static str,
    new: f64,
    grown: f64,
    most: f64,
}

impl Row {
    fn holds(&self) -> bool {
        let noise = if self.unit == "ms" { NOISE_MS } else { 0.0 };
        self.grown <= self.new * self.most + noise
    }
}

#[derive(Default)]
struct Table(Vec<(&'static str, Row)>);

impl Table {
    fn add(&mut self, what: &'static str, unit: &'static str, new: f64, grown: f64, most: f64) {
        self.0.push((what, Row { unit, new, grown, most }));
    }

    fn holds(&self) -> bool {
        self.0.iter().all(|(_, row)| row.holds())
    }

    fn print(&self) {
        println!("\n| | new store | grown store | times | at most |\n|---|---|---|---|---|");
        for (what, row) in &self.0 {
            let Row { unit, new, grown, most } = row;
            let mark = if row.holds() { "" } else { " **too much**" };
            println!("| {what} ({unit}) | {new:.2} | {grown:.2} | {:.2}{mark} | {most} |", grown / new);
        }
    }

    fn to_json(&self) -> Value {
        let rows: BTreeMap<&str, Value> = self
            .0
            .iter()
            .map(|(what, row)| {
                (*what, json!({ "unit": row.unit, "new": row.new, "grown": row.grown, "most": row.most, "holds": row.holds() }))
            })
            .collect();
        json!(rows)
    }
}
