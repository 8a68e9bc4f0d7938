//! The part of `make chaos` that stops the Docker engine itself. It uses a separate engine from `.ci/long`, never one
//! that others use.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orchestrator::{DeployPhase, Orchestrator, StackFiles, read_journal};
use runner::Exit;

use super::chaos::{Dice, begin, whole};
use crate::compose_bench::Bench;
use test_support::chaos_table::{Table, number};

/// Once the engine runs again, everything must be healthy within this time.
const LIMIT: Duration = Duration::from_secs(30);

/// The Docker engine of this test.
struct Dockerd(Child, Vec<String>);

impl Dockerd {
    async fn start(argv: &[String]) -> Dockerd {
        let child = run(argv);
        let this = Dockerd(child, argv.to_vec());
        this.ready().await;
        this
    }

    async fn ready(&self) {
        let began = Instant::now();
        let engine = Orchestrator::Compose(StackFiles::default());
        while engine.engine_version().await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "the engine did not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn option(&self, name: &str) -> Option<String> {
        self.1.iter().skip_while(|word| *word != name).nth(1).cloned()
    }

    fn kill(&mut self, signal: &str) {
        let _ = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }

    async fn again(&mut self) {
        // A killed process that has not been reaped looks alive: the engine would wait for it.
        let containerd = self.option("--exec-root").map(|root| format!("{root}/containerd/containerd.pid"));
        for file in containerd.into_iter().chain(self.option("--pidfile")) {
            let _ = std::fs::remove_file(file);
        }
        self.0 = run(&self.1);
        self.ready().await;
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.kill("-TERM");
    }
}

fn run(argv: &[String]) -> Child {
    let null = Stdio::null;
    Command::new(&argv[0]).args(&argv[1..]).stdin(null()).stdout(null()).stderr(null()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a separate engine; make chaos"]
async fn stops() {
    let argv = std::env::var("CHAOS_DOCKERD").expect("CHAOS_DOCKERD: the command of an engine to be killed");
    let argv: Vec<String> = argv.split_whitespace().map(str::to_owned).collect();
    let seed = number("CHAOS_SEED", 7).max(1);
    let mut dice = Dice(seed);
    let mut engine = Dockerd::start(&argv).await;
    let mut table = Table::default();
    let mut recreated = 0;
    let bench = Bench::new("stops").await;
    bench.write("1", "ok");
    let one = bench.run_deploy(&bench.deploy("r1")).await.1;
    assert!(one.ok, "{}", one.message);
    for turn in 0..number("CHAOS_STOPS", 2) {
        let back = dice.below(2) == 0;
        let after = Duration::from_millis(dice.below(if back { 1_100 } else { 2_500 }));
        let signal = if dice.below(2) == 0 { "-KILL" } else { "-TERM" };
        let run = begin(&bench, turn, back, &one.images).await;
        tokio::time::sleep(after).await;
        let hit = run.try_exit().is_none();
        engine.kill(signal);
        engine.again().await;
        let began = Instant::now();
        // The server's rule: roll back to the last good release, unless the journal records success. A stopped engine
        // stops its containers, so even a finished deploy has to be started again.
        run.settle().await;
        let journal = read_journal(&bench.keep("").join("journal.json")).unwrap();
        // If this run had not begun, the journal is that of the previous run, whose result is kept.
        let done = journal.filter(|journal| {
            journal.ended && journal.phase == DeployPhase::Done && journal.release_tag == "r2"
        });
        let mut wrong = Vec::new();
        let target = if done.is_some() { "r2" } else { "r1" };
        let images = done.map_or_else(|| one.images.clone(), |journal| journal.images);
        let (exit, result, again) = bench.run_rollback(&bench.rollback(target, &images)).await;
        let took = began.elapsed();
        recreated += u32::from(again.log().contains("Recreating their containers"));
        if exit != Exit::Code(0) || !result.ok {
            wrong.push(format!("{} {}", result.message, again.log()));
        }
        wrong.extend(whole(&bench, &[&images]).err());
        if took > LIMIT {
            wrong.push(format!("it took {took:?}"));
        }
        for one in &mut wrong {
            *one += &format!(" (turn {turn}, {signal} {after:?} after the start)");
        }
        table.note(
            &format!("{}, engine stopped", if back { "rollback" } else { "deploy" }),
            hit,
            took,
            &wrong,
        );
    }
    drop(bench);
    table.finish(None);
    println!("containers that the engine did not start were recreated in {recreated} tries");
}
