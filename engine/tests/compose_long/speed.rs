//! `make bench-rollback`: a rollback, and a deploy, against the same commands typed by hand, in the same run, on a
//! stack of the example's shape: a store that stays, an API that waits for it, a page that waits for the API, and a
//! worker beside them.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::report;
use crate::chaos_table::number;
use crate::compose_bench::Bench;

const SERVICES: [&str; 3] = ["web", "api", "jobs"];

/// Writes version `version` of the stack. Services that are not `well` ignore SIGTERM.
fn write(bench: &Bench, version: &str, well: bool, port: u16) {
    let run = if well {
        "trap 'exit 0' TERM; httpd -p 8080 -h /tmp; while :; do sleep 0.05; done"
    } else {
        "trap '' TERM; httpd -p 8080 -h /tmp; while :; do sleep 1; done"
    };
    let check =
        "healthcheck: {test: [\"CMD\", \"test\", \"-e\", \"/tmp\"], interval: 2s, timeout: 1s, retries: 3}";
    let mut compose = format!(
        "name: {}\nservices:\n  store:\n    image: stagegate-test/busybox:1\n    stop_grace_period: 0s\n    command: [\"sleep\", \"100000\"]\n    {check}\n",
        bench.project
    );
    for (service, before) in [("web", Some("api")), ("api", Some("store")), ("jobs", None)] {
        compose += &format!(
            "  {service}:\n    image: {}-{service}:${{TAG:-dev}}\n    build: {{context: ., args: {{SERVICE: {service}, VERSION: \"{version}\"}}}}\n    command: [\"sh\", \"-c\", \"{}\"]\n    {check}\n",
            bench.project,
            run.replace('$', "$$")
        );
        if let Some(before) = before {
            compose += &format!("    depends_on: {{{before}: {{condition: service_healthy}}}}\n");
        }
        if service == "web" {
            compose += &format!("    ports: [\"127.0.0.1:{port}:8080\"]\n");
        }
    }
    fs::write(bench.path().join("docker-compose.yml"), compose).unwrap();
    let dockerfile = format!(
        "FROM stagegate-test/busybox:1\nARG SERVICE\nARG VERSION\nLABEL test={}\nRUN echo $SERVICE $VERSION > /version\n",
        bench.project
    );
    fs::write(bench.path().join("Dockerfile"), dockerfile).unwrap();
    fs::write(bench.path().join(".env.staging"), "").unwrap();
}

/// Runs `what` while asking the port every 10 ms; returns its seconds and the longest time without an answer.
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

/// Docker's proxy accepts for a container that is gone, so only an answer counts.
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

/// A deploy of a new version by hand and by Stagegate, turn by turn. The images are built beforehand, so that both
/// build from the same cache.
async fn deploys(bench: &Bench, port: u16, runs: u64) -> serde_json::Value {
    let (mut hand, mut ours) = (Vec::new(), Vec::new());
    for turn in 0..runs {
        for by_hand in [true, false] {
            let from = format!("d{turn}{by_hand}");
            write(bench, &from, true, port);
            bench.docker(&["compose", "build"]);
            write(bench, "2", true, port);
            bench.docker(&["compose", "up", "-d", "--build", "--wait"]);
            write(bench, &from, true, port);
            let began = Instant::now();
            if by_hand {
                bench.docker(&["compose", "build"]);
                bench.docker(&["compose", "up", "-d", "--wait"]);
                hand.push(began.elapsed().as_secs_f64());
            } else {
                let result = bench.run_deploy(&bench.deploy("r3")).await.1;
                ours.push(began.elapsed().as_secs_f64());
                assert!(result.ok, "{}", result.message);
            }
        }
    }
    let ratio = median(&ours) / median(&hand);
    println!("{:<14} {:>12.2} {:>12.2} {ratio:>8.2}", "deploy", median(&hand), median(&ours));
    json!({"ratio": ratio, "by_hand_s": hand, "stagegate_s": ours})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; make bench-rollback"]
async fn bench_rollback() {
    let runs = number("BENCH_RUNS", 5);
    let mut all = serde_json::Map::new();
    let mut outages = (Vec::new(), Vec::new());
    println!("{:<14} {:>12} {:>12} {:>8}", "", "by hand (s)", "Stagegate (s)", "ratio");
    for (name, well) in [("well_behaved", true), ("ill_behaved", false)] {
        let bench = Bench::new(if well { "fast" } else { "slow" }).await;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        write(&bench, "1", well, port);
        let one = bench.run_deploy(&bench.deploy("r1")).await.1;
        assert!(one.ok, "{}", one.message);
        let tag = |tag: &str| {
            for service in SERVICES {
                let image = format!("{}-{service}", bench.project);
                bench.docker(&["tag", &format!("{image}:dev"), &format!("{image}:{tag}")]);
            }
        };
        tag("old");
        write(&bench, "2", well, port);
        let two = bench.run_deploy(&bench.deploy("r2")).await.1;
        assert!(two.ok, "{}", two.message);
        tag("new");
        let up_with = |tag: &str, more: &str| {
            let script = format!("TAG={tag} docker compose up -d --wait {more}");
            let out =
                std::process::Command::new("sh").args(["-c", &script]).current_dir(bench.path()).output();
            let out = out.unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        };
        let up = |tag: &str| up_with(tag, "");
        // On the way to where both begin nobody waits for services that ignore SIGTERM.
        let prepare = |tag: &str| up_with(tag, "--timeout 0");
        let (mut hand, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            prepare("new");
            let (took, outage) = measured(port, async { tokio::task::block_in_place(|| up("old")) }).await;
            hand.push(took);
            outages.0.push(outage);
            // Both sides start from the same place: the new images under the name that is in use.
            for service in SERVICES {
                let image = format!("{}-{service}", bench.project);
                bench.docker(&["tag", &format!("{image}:new"), &format!("{image}:dev")]);
            }
            prepare("dev");
            let mut work = bench.rollback("r1", &one.images);
            work.changed = SERVICES.map(str::to_owned).to_vec();
            work.stateless = work.changed.clone();
            let (took, outage) = measured(port, async {
                let result = bench.run_rollback(&work).await.1;
                assert!(result.ok, "{}", result.message);
            })
            .await;
            ours.push(took);
            outages.1.push(outage);
        }
        if well {
            all.insert("deploy".into(), deploys(&bench, port, runs).await);
        }
        let ratio = median(&ours) / median(&hand);
        println!("{name:<14} {:>12.2} {:>12.2} {ratio:>8.2}", median(&hand), median(&ours));
        all.insert(name.to_owned(), json!({"ratio": ratio, "by_hand_s": hand, "stagegate_s": ours}));
    }
    let ratio = median(&outages.1) / median(&outages.0);
    println!("{:<14} {:>12.2} {:>12.2} {ratio:>8.2}", "outage", median(&outages.0), median(&outages.1));
    all.insert("outage".into(), json!({"ratio": ratio, "by_hand_s": outages.0, "stagegate_s": outages.1}));
    report("bench/rollback.json", &all.into());
}
