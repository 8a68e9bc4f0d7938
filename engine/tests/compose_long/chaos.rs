//! `make chaos`: kills at random points of deploy and rollback, on the real engine.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use engine::compose::{DeployPhase, prune_keep, read_journal};
use engine::runner::Exit;
use serde_json::json;

use super::{number, report};
use crate::compose_bench::{Bench, Run};

/// After so long everything must be well again.
const LIMIT: Duration = Duration::from_secs(30);

/// Numbers that look random and come again with the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[derive(Default)]
struct Row {
    tries: u64,
    /// Those where the blow fell while the run was at work.
    hits: u64,
    failed: u64,
    worst: Duration,
}

fn kill(pid: &str) -> bool {
    Command::new("kill").args(["-9", pid]).output().unwrap().status.success()
}

/// Kills the processes of `docker compose` below the supervisor, and only those.
fn kill_compose(supervisor: u32) -> bool {
    let list = Command::new("ps").args(["-eo", "pid=,ppid=,args="]).output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let rows: Vec<(u32, u32, &str)> = list
        .lines()
        .filter_map(|line| {
            let (pid, rest) = line.trim().split_once(' ')?;
            let (parent, args) = rest.trim().split_once(' ')?;
            Some((pid.parse().ok()?, parent.parse().ok()?, args))
        })
        .collect();
    let mut family = vec![supervisor];
    let mut found = false;
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        next += 1;
        for (pid, _, args) in rows.iter().filter(|row| row.1 == parent) {
            family.push(*pid);
            if args.contains("compose") {
                found |= kill(&pid.to_string());
            }
        }
    }
    found
}

/// Strikes the run after a while. Returns whether it was hit while at work.
async fn strike(run: &Run, victim: &str, after: Duration) -> bool {
    tokio::time::sleep(after).await;
    let Some(pid) = run.pid() else { return false };
    match victim {
        "supervisor" => kill(&pid.to_string()),
        _ => kill_compose(pid),
    }
}

/// What must hold at the end: every service runs one release's images, and nothing is left over.
fn whole(bench: &Bench, releases: &[&BTreeMap<String, String>]) -> Result<(), String> {
    let names: Vec<_> = bench.containers().into_iter().map(|(name, _)| name).collect();
    let wanted: Vec<_> = ["job", "web", "worker"].map(|name| format!("{}-{name}-1", bench.project)).into();
    if names != wanted {
        return Err(format!("containers {names:?}"));
    }
    let image = |service: &str| {
        bench.docker(&["inspect", "-f", "{{.Image}}", &format!("{}-{service}-1", bench.project)])
    };
    let fits = releases.iter().any(|images| images.iter().all(|(service, id)| image(service) == *id));
    if fits { Ok(()) } else { Err("a mixed release".to_owned()) }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; make chaos"]
async fn chaos() {
    let kills = number("CHAOS_KILLS", 40);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = number("CHAOS_SEED", clock.as_secs()).max(1);
    println!("CHAOS_SEED={seed} CHAOS_KILLS={kills}");
    let mut dice = Dice(seed);
    let bench = Bench::new("chaos").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok, "{}", one.message);
    let mut table: BTreeMap<String, Row> = BTreeMap::new();
    for turn in 0..kills {
        let victim = if dice.below(2) == 0 { "supervisor" } else { "compose" };
        let back = dice.below(2) == 0;
        let after = Duration::from_millis(dice.below(if back { 1_500 } else { 4_000 }));
        let what = if back { "rollback" } else { "deploy" };
        bench.write(&format!("2 of {turn}"), "ok");
        let run = if back {
            let two = bench.run_deploy(&bench.deploy("r2")).await.1;
            assert!(two.ok, "{}", two.message);
            bench.start(json!({"rollback": bench.rollback("r1", &one.images)}))
        } else {
            bench.start(json!({"deploy": bench.deploy("r2")}))
        };
        let hit = strike(&run, victim, after).await;
        let died = run.settle().await;
        let journal = read_journal(&bench.keep("").join("journal.json")).unwrap().unwrap();
        let began = Instant::now();
        // The server's rule: back to the last good, unless the journal says that all was well.
        let mut said = String::new();
        let well = journal.phase == DeployPhase::Done && journal.ended;
        if died || !well {
            let (exit, result, run) = bench.run_rollback(&bench.rollback("r1", &one.images)).await;
            if exit != Exit::Code(0) || !result.ok {
                said = format!("{} {}", result.message, run.log());
            }
        }
        let took = began.elapsed();
        let releases: Vec<_> =
            if died || !well { vec![&one.images] } else { vec![&one.images, &journal.images] };
        let end = whole(&bench, &releases);
        let row = table.entry(format!("{what}, {victim} killed")).or_default();
        row.tries += 1;
        row.hits += u64::from(hit);
        row.worst = row.worst.max(took);
        if end.is_err() || !said.is_empty() || took > LIMIT {
            row.failed += 1;
            println!("turn {turn}: {what}, {victim} after {after:?}, {:?}: {end:?} {said}", journal.phase);
        }
    }
    gone(&bench, &one.images, number("CHAOS_GONE", 5), &mut table).await;
    // 0 where the run put itself right and nothing was left to recover.
    println!("{:<32} {:>6} {:>6} {:>7} {:>19}", "", "tries", "hits", "failed", "worst recovery (s)");
    let mut rows = serde_json::Map::new();
    for (name, row) in &table {
        let worst = row.worst.as_secs_f64();
        println!("{name:<32} {:>6} {:>6} {:>7} {worst:>19.2}", row.tries, row.hits, row.failed);
        let value = json!({"tries": row.tries, "hits": row.hits, "failed": row.failed, "worst_s": worst});
        rows.insert(name.clone(), value);
    }
    report("chaos.json", &json!({"seed": seed, "rows": rows}));
    assert!(table.values().all(|row| row.failed == 0), "see above");
}

/// A target whose image was deleted is refused before anything stops.
async fn gone(bench: &Bench, good: &BTreeMap<String, String>, tries: u64, table: &mut BTreeMap<String, Row>) {
    for turn in 0..tries {
        let images = {
            bench.write(&format!("gone {turn}"), "ok");
            let gone = bench.run_deploy(&bench.deploy("r8")).await.1;
            bench.write(&format!("after {turn}"), "ok");
            assert!(gone.ok && bench.run_deploy(&bench.deploy("r9")).await.1.ok);
            gone.images
        };
        prune_keep(&bench.engine().await, &bench.project, &["r1".into(), "r9".into()]).await.unwrap();
        let before = bench.containers();
        let began = Instant::now();
        let (exit, result, _) = bench.run_rollback(&bench.rollback("r8", &images)).await;
        let row = table.entry("rollback, image deleted".to_owned()).or_default();
        row.tries += 1;
        row.hits += 1;
        row.worst = row.worst.max(began.elapsed());
        let refused = matches!(exit, Exit::NotStarted(_)) && result.missing == ["web"];
        row.failed += u64::from(!refused || bench.containers() != before);
    }
    assert!(bench.run_rollback(&bench.rollback("r1", good)).await.1.ok);
}
