//! `make chaos`: kills at random points of deploy and rollback, on the real engine.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use orchestrator::{DeployPhase, read_journal};
use runner::Exit;
use serde_json::json;

use crate::compose_bench::{Bench, Run};
use test_support::chaos_table::{Table, number};

/// Within this time everything must be healthy again.
const LIMIT: Duration = Duration::from_secs(30);

/// Pseudo-random numbers, reproducible with the same seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
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

/// Kills a process of the run after a while. Returns whether the run was active then.
async fn strike(run: &Run, victim: &str, after: Duration) -> bool {
    tokio::time::sleep(after).await;
    let Some(pid) = run.pid() else { return false };
    match victim {
        "supervisor" => kill(&pid.to_string()),
        _ => kill_compose(pid),
    }
}

/// Begins a deploy of release 2, or a rollback from it to release 1, whose images are `first`.
pub(super) async fn begin(bench: &Bench, turn: u64, back: bool, first: &BTreeMap<String, String>) -> Run {
    bench.write(&format!("2 of {turn}"), "ok");
    if !back {
        return bench.start(json!({"deploy": bench.deploy("r2")}));
    }
    let two = bench.run_deploy(&bench.deploy("r2")).await.1;
    assert!(two.ok, "{}", two.message);
    bench.start(json!({"rollback": bench.rollback("r1", first)}))
}

/// The expected end state: every service runs the images of one release, and nothing is left over.
pub(super) fn whole(bench: &Bench, releases: &[&BTreeMap<String, String>]) -> Result<(), String> {
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
    let mut table = Table::default();
    for turn in 0..kills {
        let victim = if dice.below(2) == 0 { "supervisor" } else { "compose" };
        let back = dice.below(2) == 0;
        let after = Duration::from_millis(dice.below(if back { 1_100 } else { 2_500 }));
        let what = if back { "rollback" } else { "deploy" };
        let run = begin(&bench, turn, back, &one.images).await;
        let hit = strike(&run, victim, after).await;
        let died = run.settle().await;
        let journal = read_journal(&bench.keep("").join("journal.json")).unwrap().unwrap();
        let began = Instant::now();
        // The server's rule: roll back to the last good release, unless the journal records success.
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
        let mut wrong: Vec<String> = end.err().into_iter().collect();
        wrong.extend(Some(said).filter(|said| !said.is_empty()));
        if took > LIMIT {
            wrong.push(format!("it took {took:?}"));
        }
        for one in &mut wrong {
            *one += &format!(" (turn {turn}, {after:?} after the start, {:?})", journal.phase);
        }
        table.note(&format!("{what}, {victim} killed"), hit, took, &wrong);
    }
    gone(&bench, &one.images, number("CHAOS_GONE", 2), &mut table).await;
    cut(&bench, &one.images, number("CHAOS_CUTS", 5), &mut table).await;
    races(&bench, number("CHAOS_RACES", 50), &mut table).await;
    table.finish(Some(seed));
}

/// A target whose image was deleted is refused before anything stops.
async fn gone(bench: &Bench, good: &BTreeMap<String, String>, tries: u64, table: &mut Table) {
    for turn in 0..tries {
        let images = {
            bench.write(&format!("gone {turn}"), "ok");
            let gone = bench.run_deploy(&bench.deploy("r8")).await.1;
            bench.write(&format!("after {turn}"), "ok");
            assert!(gone.ok && bench.run_deploy(&bench.deploy("r9")).await.1.ok);
            gone.images
        };
        let retained = |tag: &str| ["r1", "r9"].contains(&tag);
        bench.orchestrator().prune_images(&bench.project, retained).await.unwrap();
        let before = bench.containers();
        let began = Instant::now();
        let (exit, result, _) = bench.run_rollback(&bench.rollback("r8", &images)).await;
        let mut wrong = Vec::new();
        if !matches!(exit, Exit::NotStarted(_)) || result.missing != ["web"] {
            wrong.push(format!("{exit:?}: {}", result.message));
        }
        if bench.containers() != before {
            wrong.push("containers were changed".to_owned());
        }
        table.note("rollback, image deleted", true, began.elapsed(), &wrong);
    }
    assert!(bench.run_rollback(&bench.rollback("r1", good)).await.1.ok);
}

/// A rollback whose processes have no network at all: no registry, no names, not even loopback.
async fn cut(bench: &Bench, good: &BTreeMap<String, String>, tries: u64, table: &mut Table) {
    if !Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|status| status.success()) {
        test_support::tools::missing("root, for rollbacks without a network");
        return;
    }
    bench.write("cut", "ok");
    let other = bench.run_deploy(&bench.deploy("r5")).await.1;
    assert!(other.ok, "{}", other.message);
    for turn in 0..tries {
        let (release, images) = if turn % 2 == 0 { ("r1", good) } else { ("r5", &other.images) };
        let began = Instant::now();
        let run = bench.start_cut(json!({"rollback": bench.rollback(release, images)}));
        let exit = run.end().await;
        let mut wrong: Vec<String> = whole(bench, &[images]).err().into_iter().collect();
        if exit != Exit::Code(0) {
            wrong.push(format!("{exit:?}: {}", run.log()));
        }
        table.note("rollback, network cut", true, began.elapsed(), &wrong);
    }
}

/// Two runs that request one lock at the same moment: never both get it, and at least one does.
async fn races(bench: &Bench, tries: u64, table: &mut Table) {
    let inside = bench.path().join("inside");
    let command = format!("set -C; echo $$ > {0} || exit 9; sleep 0.02; rm {0}", inside.display());
    for _ in 0..tries {
        let began = Instant::now();
        let pair = [(); 2].map(|()| bench.start_locked(json!({"command": command})));
        let mut exits = Vec::new();
        for run in &pair {
            exits.push(run.end().await);
        }
        let mut wrong = Vec::new();
        if exits.contains(&Exit::Code(9)) || inside.exists() {
            wrong.push(format!("both held it: {exits:?}"));
        }
        if !exits.contains(&Exit::Code(0)) {
            wrong.push(format!("no run got it: {exits:?}"));
        }
        table.note("two clients, one lock", true, began.elapsed(), &wrong);
    }
}
