//! `make bench-rollback`: a rollback, and a deploy, of the bundled example compared with the same commands run
//! manually, in the same test.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::example::{BUILT, Example, STATELESS, USUAL};
use super::report;
use test_support::chaos_table::number;

/// Runs `what` while probing the port every 10 ms; returns its seconds and the longest time without a response.
async fn measured(port: u16, what: impl Future<Output = ()>) -> (f64, f64) {
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let prober = thread::spawn(move || {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (mut last, mut worst) = (Instant::now(), Duration::ZERO);
        while !seen.load(Ordering::Relaxed) {
            if answers(&address) {
                worst = worst.max(last.elapsed());
                last = Instant::now();
            }
            thread::sleep(Duration::from_millis(10));
        }
        worst.max(last.elapsed())
    });
    let began = Instant::now();
    what.await;
    let took = began.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    (took, prober.join().unwrap().as_secs_f64())
}

/// Docker's proxy accepts connections for a removed container, so only a response counts.
fn answers(address: &SocketAddr) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = TcpStream::connect_timeout(address, Duration::from_millis(100)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    let mut byte = [0];
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").is_ok() && matches!(stream.read(&mut byte), Ok(1))
}

fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// The seconds of both sides, per turn.
#[derive(Default)]
struct Sides {
    hand: Vec<f64>,
    ours: Vec<f64>,
}

impl Sides {
    /// Prints a row of the table; returns what is written to the file.
    fn report(&self, name: &str) -> Value {
        let (hand, ours) = (median(&self.hand), median(&self.ours));
        let ratio = ours / hand;
        println!("{name:<14} {hand:>12.2} {ours:>12.2} {ratio:>8.2}");
        json!({"ratio": ratio, "by_hand_s": self.hand, "stagegate_s": self.ours})
    }
}

/// Deploys of a new version, manually and by Stagegate, alternating. The images are built beforehand, so that both
/// build from the same cache, and the same version runs before each.
async fn deploys(example: &Example, turns: u64) -> Sides {
    let mut sides = Sides::default();
    for turn in 0..turns {
        for by_hand in [true, false] {
            let version = format!("1.{turn}.{}", u8::from(by_hand));
            example.write(&version, true);
            example.compose(USUAL, &["build"]);
            example.compose("new", &["up", "-d", "--wait"]);
            let began = Instant::now();
            if by_hand {
                example.compose(USUAL, &["build"]);
                example.compose(USUAL, &["up", "-d", "--wait"]);
                sides.hand.push(began.elapsed().as_secs_f64());
            } else {
                let result = example.bench.run_deploy(&example.bench.deploy("r3")).await.1;
                sides.ours.push(began.elapsed().as_secs_f64());
                assert!(result.ok, "{}", result.message);
            }
        }
    }
    sides
}

/// Rollbacks, manually and by Stagegate, alternating; and the longest time in each without a response of the API.
async fn rollbacks(example: &Example, turns: u64, well: bool) -> (Sides, Sides) {
    let bench = &example.bench;
    example.write("1.0.0", well);
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok, "{}", one.message);
    example.tag(USUAL, "old");
    example.write("2.0.0", well);
    let two = bench.run_deploy(&bench.deploy("r2")).await.1;
    assert!(two.ok, "{}", two.message);
    example.tag(USUAL, "new");
    // The preparation does not wait for services that ignore SIGTERM.
    let prepare = |tag: &str| example.compose(tag, &["up", "-d", "--wait", "--timeout", "1"]);
    let mut work = bench.rollback("r1", &one.images);
    work.changed = BUILT.map(str::to_owned).to_vec();
    work.stateless = STATELESS.map(str::to_owned).to_vec();
    let (mut all, mut outages) = (Sides::default(), Sides::default());
    for _ in 0..turns {
        prepare("new");
        let by_hand = || example.compose("old", &["up", "-d", "--wait"]);
        let (took, outage) = measured(example.port, async { tokio::task::block_in_place(by_hand) }).await;
        all.hand.push(took);
        outages.hand.push(outage);
        // Both sides start from the same state: the new images under the name in use.
        example.tag("new", USUAL);
        prepare(USUAL);
        let (took, outage) = measured(example.port, async {
            let result = bench.run_rollback(&work).await.1;
            assert!(result.ok, "{}", result.message);
        })
        .await;
        all.ours.push(took);
        outages.ours.push(outage);
    }
    (all, outages)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; make bench-rollback"]
async fn bench_rollback() {
    let turns = number("BENCH_RUNS", 5);
    let mut all = serde_json::Map::new();
    let mut outages = Sides::default();
    println!("{:<14} {:>12} {:>12} {:>8}", "", "manual (s)", "Stagegate (s)", "ratio");
    for (name, well) in [("well_behaved", true), ("ill_behaved", false)] {
        let example = Example::copy(if well { "fast" } else { "slow" }).await;
        let (sides, outage) = rollbacks(&example, turns, well).await;
        all.insert(name.to_owned(), sides.report(name));
        outages.hand.extend(outage.hand);
        outages.ours.extend(outage.ours);
        if well {
            all.insert("deploy".to_owned(), deploys(&example, turns).await.report("deploy"));
        }
    }
    all.insert("outage".to_owned(), outages.report("outage"));
    report("bench/rollback.json", &all.into());
}
