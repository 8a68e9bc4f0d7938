//! A copy of the bundled example with its own project and ports.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::compose_bench::Bench;

/// The built services, which differ between releases.
pub(super) const BUILT: [&str; 2] = ["backend", "frontend"];
/// The services that store no data.
pub(super) const STATELESS: [&str; 4] = ["backend", "frontend", "proxy", "alertmanager"];

/// A copy of the example.
pub(super) struct Example {
    pub(super) bench: Bench,
    /// The port of its API.
    pub(super) port: u16,
}

impl Example {
    /// Copies the example and builds it. Its npm packages and base images must exist: `.ci/example` prepares them.
    pub(super) async fn copy(name: &str) -> Self {
        let bench = Bench::new(name).await;
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../end2end/medianest");
        let to = bench.path();
        assert!(from.join("node_modules").is_dir(), "run `.ci/example packages` first");
        run(&to, "cp", &["-a", &format!("{}/.", from.display()), "."]);
        for made in [".env.staging", "tls", "backups"] {
            run(&to, "rm", &["-rf", made]);
        }
        let ports = free_ports();
        let mut argv = vec!["scripts/fill-env.mjs".to_owned(), "--project".to_owned(), bench.project.clone()];
        let names = ["port", "frontend-port", "https-port", "prometheus-port", "alertmanager-port"];
        for (name, port) in names.iter().zip(&ports) {
            argv.extend([format!("--{name}"), port.to_string()]);
        }
        run(&to, "node", &argv.iter().map(String::as_str).collect::<Vec<_>>());
        run(&to, "node", &["scripts/make-cert.mjs"]);
        run(&to, "npm", &["run", "--silent", "build:production"]);
        Self { port: *ports.first().unwrap(), bench }
    }

    /// Sets the version to `version`. Services that are not `well` ignore SIGTERM.
    pub(super) fn write(&self, version: &str, well: bool) {
        let faults: &[&str] = if well { &[] } else { &["deaf"] };
        let text = json!({"version": version, "faults": faults}).to_string();
        fs::write(self.bench.path().join("release.json"), text).unwrap();
    }

    /// Calls Compose as a person would, with `tag` as the images' tag.
    pub(super) fn compose(&self, tag: &str, words: &[&str]) {
        let mut argv = vec![
            "TAG=".to_owned() + tag,
            "docker".into(),
            "compose".into(),
            "--env-file".into(),
            ".env.staging".into(),
        ];
        argv.extend(["-f".to_owned(), "docker-compose.yml".to_owned()]);
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        run(&self.bench.path(), "env", &argv.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Adds the tag `to` to the images with the tag `from`.
    pub(super) fn tag(&self, from: &str, to: &str) {
        for service in BUILT {
            let image = format!("{}/{service}", self.bench.project);
            self.bench.docker(&["tag", &format!("{image}:{from}"), &format!("{image}:{to}")]);
        }
    }
}

/// The default tag of the example's images.
pub(super) const USUAL: &str = "staging";

fn free_ports() -> Vec<u16> {
    let listeners: Vec<_> = (0..5).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: BTreeSet<u16> = listeners.iter().map(|one| one.local_addr().unwrap().port()).collect();
    ports.into_iter().collect()
}

fn run(dir: &Path, program: &str, argv: &[&str]) {
    let output = Command::new(program).args(argv).current_dir(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {argv:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
}
