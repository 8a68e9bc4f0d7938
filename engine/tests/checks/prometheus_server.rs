//! A Prometheus of its own, as a child process on a free loopback port.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::web::nobody;

/// A server until it is dropped.
pub struct Prometheus {
    home: TempDir,
    child: Child,
    at: SocketAddr,
}

impl Prometheus {
    /// Starts one that evaluates and scrapes every second; `scrapes` and `rules` are YAML lists.
    pub fn start(scrapes: &str, rules: &str) -> Prometheus {
        let home = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs: {scrapes}\n"
        );
        fs::write(home.path().join("prometheus.yml"), config).unwrap();
        let groups = format!("groups: [{{name: gate, rules: {rules}}}]\n");
        fs::write(home.path().join("rules.yml"), groups).unwrap();
        let at = nobody();
        let log = File::create(home.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", home.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", home.path().join("data").display()))
            .arg(format!("--web.listen-address={at}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Prometheus must be installed (.ci/install monitoring)");
        let mut server = Prometheus { home, child, at };
        server.wait();
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    fn wait(&mut self) {
        let until = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(self.at).is_err() {
            let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            assert!(self.child.try_wait().unwrap().is_none(), "Prometheus ended: {log}");
            assert!(Instant::now() < until, "Prometheus does not listen: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
