//! A real Prometheus with a real Alertmanager on free loopback ports, scraping a small server.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Both until they are dropped.
pub struct Prometheus {
    _home: TempDir,
    children: Vec<Child>,
    pub at: SocketAddr,
    pub alertmanager: SocketAddr,
}

/// One target each: `api`, `open`, `gone`.
const JOBS: usize = 3;

/// Rules that fire at once on the metrics of the small server, and one with the duration of a runbook.
pub const RULES: &str = "groups:\n  - name: test\n    rules:\n      - alert: Lit\n        expr: lamp == 1\n      - alert: Slow\n        expr: histogram_quantile(0.95, sum by (le) (rate(seconds_bucket[5m]))) > 0.6\n        for: 10m\n";

impl Prometheus {
    /// Starts both and waits until every target was scraped.
    pub fn start(target: SocketAddr) -> Prometheus {
        let home = tempfile::tempdir().unwrap();
        let (at, alertmanager) = (free(), free());
        let dir = home.path();
        fs::write(dir.join("token"), "s3cr3t-token").unwrap();
        fs::write(dir.join("rules.yml"), RULES).unwrap();
        fs::write(dir.join("prometheus.yml"), format!("global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\nrule_files: [rules.yml]\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]}}\nscrape_configs:\n  - job_name: api\n    authorization: {{credentials_file: {}/token}}\n    static_configs: [{{targets: ['{target}']}}]\n  - job_name: open\n    static_configs: [{{targets: ['{target}']}}]\n  - job_name: gone\n    static_configs: [{{targets: ['127.0.0.1:9']}}]\n", dir.display())).unwrap();
        fs::write(
            dir.join("alertmanager.yml"),
            "route: {receiver: team, group_wait: 1s}\nreceivers: [{name: team}]\n",
        )
        .unwrap();
        let start = |program: &str, args: &[String]| {
            Command::new(program)
                .args(args)
                .current_dir(dir)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|_| panic!("{program} must be installed (.ci/install monitoring)"))
        };
        let manager = start(
            "prometheus-alertmanager",
            &[
                "--config.file=alertmanager.yml".into(),
                format!("--storage.path={}/am", dir.display()),
                format!("--web.listen-address={alertmanager}"),
                "--cluster.listen-address=".into(),
            ],
        );
        let server = start(
            "prometheus",
            &[
                "--config.file=prometheus.yml".into(),
                format!("--storage.tsdb.path={}/data", dir.display()),
                format!("--web.listen-address={at}"),
                "--log.level=error".into(),
            ],
        );
        let running = Prometheus { _home: home, children: vec![manager, server], at, alertmanager };
        let until = Instant::now() + Duration::from_secs(30);
        for address in [at, alertmanager] {
            while TcpStream::connect(address).is_err() {
                assert!(Instant::now() < until, "nothing listens on {address}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        while !running.has_scraped_all() {
            assert!(Instant::now() < until, "not every target was scraped");
            std::thread::sleep(Duration::from_millis(50));
        }
        running
    }

    /// A target that was never scraped has the zero time of Go.
    fn has_scraped_all(&self) -> bool {
        let mut answer = String::new();
        let mut stream = TcpStream::connect(self.at).unwrap();
        stream.write_all(b"GET /api/v1/targets HTTP/1.0\r\n\r\n").unwrap();
        stream.read_to_string(&mut answer).unwrap();
        answer.matches("lastScrape\":\"").count() == JOBS && !answer.contains("\"0001-01-01T00:00:00Z\"")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Runs a configuration checker and returns its output.
pub fn checker(program: &str, args: &[&str], dir: &Path) -> (bool, String) {
    let out = Command::new(program).args(args).current_dir(dir).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.success(), said)
}
