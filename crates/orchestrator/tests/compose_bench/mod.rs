//! Helpers for the tests of deploy and rollback: a stack in a directory, runs, an engine that can be made unreachable.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use orchestrator::{
    DatabaseAction, DeployResult, DeployWork, Orchestrator, Progress, Removal, RollbackResult,
    RollbackTarget, RollbackWork, StackFiles,
};
use runner::{Exit, LockSpec, Plan, Reader, RunDir, State, create, launch, reconcile};
use secrets::EnvSource;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OnceCell, watch};

/// A value of the env file that must never be visible.
pub const SECRET: &str = "hunter2-hunter2-hunter2";

const BASE: &str = "stagegate-test/busybox:1";
static BASE_READY: OnceCell<()> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A separate stack: project, directory, runs. Everything is removed when it is dropped.
pub struct Bench {
    home: TempDir,
    /// Its project name.
    pub project: String,
    runs: AtomicU32,
}

impl Bench {
    pub async fn new(name: &str) -> Self {
        BASE_READY.get_or_init(prepare_base).await;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let project = format!("stagegate-test-{name}-{}-{number}", std::process::id());
        Self { home: tempfile::tempdir().unwrap(), project, runs: AtomicU32::new(1) }
    }

    /// The stack's directory.
    pub fn path(&self) -> PathBuf {
        let path = self.home.path().join("stack");
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The directory of a release's files.
    pub fn keep(&self, release: &str) -> PathBuf {
        self.home.path().join("rollback").join(release)
    }

    /// Writes the stack: web is built and has the health `state`, job ends by itself, worker has no health check.
    pub fn write(&self, version: &str, state: &str) {
        let compose = "\
services:
  web:
    build:
      context: .
      args: {COMMIT: \"${GIT_COMMIT:-none}\"}
    stop_grace_period: 0s
    environment: {COLOUR: blue, TOKEN: \"${TOKEN}\"}
    command: [\"sh\", \"-c\", \"echo web $$(cat /version) with $$TOKEN; exec sleep 1000\"]
    healthcheck:
      test: [\"CMD-SHELL\", \"grep -qx ok /state || { echo not well; exit 1; }\"]
      interval: 500ms
      timeout: 5s
      retries: 2
  job:
    image: stagegate-test/busybox:1
    command: [\"true\"]
  worker:
    image: stagegate-test/busybox:1
    stop_grace_period: 0s
    command: [\"sleep\", \"1000\"]
";
        let dockerfile =
            "FROM stagegate-test/busybox:1\nARG COMMIT=none\nLABEL commit=$COMMIT\nCOPY state version /\n";
        for (name, text) in [
            ("docker-compose.yml", compose),
            ("Dockerfile", dockerfile),
            (".dockerignore", "*\n!state\n!version\n"),
            ("state", &format!("{state}\n")),
            // Images of different tests must not share an ID, or one test's tags would protect another's image.
            ("version", &format!("{version}\n")),
            (".env.staging", &format!("TOKEN={SECRET}\n")),
        ] {
            fs::write(self.path().join(name), text).unwrap();
        }
        self.edit("Dockerfile", "LABEL ", &format!("LABEL test={} ", self.project));
    }

    /// Replaces a text that must exist.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// Where the stack is declared.
    pub fn files(&self) -> StackFiles {
        StackFiles {
            name: Some(self.project.clone()),
            dir: self.path(),
            files: vec!["docker-compose.yml".into()],
            env_source: Some(EnvSource::File(".env.staging".into())),
            engine: None,
        }
    }

    pub fn orchestrator(&self) -> Orchestrator {
        Orchestrator::Compose(self.files())
    }

    /// Those of these images that the engine does not have.
    pub async fn missing<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
        let ids = ids.into_iter().cloned().collect();
        self.orchestrator().find_images(&ids).await.unwrap().missing
    }

    pub fn deploy(&self, release: &str) -> DeployWork {
        DeployWork {
            stack: self.orchestrator(),
            release_tag: release.to_owned(),
            build: true,
            commit: None,
            build_env: BTreeMap::new(),
            health_timeout_ms: 60_000,
            migrations_cmd: None,
            snapshot_dir: self.keep(release),
            env_copy: None,
        }
    }

    pub fn rollback(&self, release: &str, images: &BTreeMap<String, String>) -> RollbackWork {
        RollbackWork {
            stack: self.orchestrator(),
            target: RollbackTarget {
                release_tag: release.to_owned(),
                images: images.clone(),
                snapshot_dir: self.keep(release),
            },
            health_timeout_ms: 60_000,
            changed: vec!["web".into()],
            stateless: vec!["web".into()],
            database: DatabaseAction::KeepSchema,
            removal: Removal::Nothing,
            env: None,
        }
    }

    /// Starts a run under its own supervisor.
    pub fn start(&self, work: Value) -> Run {
        self.launch(work, None, &supervisor())
    }

    /// The same, without any network.
    pub fn start_cut(&self, work: Value) -> Run {
        let script = format!("exec unshare -n '{}' \"$@\"", supervisor().display());
        self.launch(work, None, &self.script("cut.sh", &script))
    }

    /// The same, with this script instead of the command `docker`; it may end in `exec "$docker" "$@"`.
    pub fn start_with_docker(&self, work: Value, script: &str) -> Run {
        let docker = call(Command::new("sh").args(["-c", "command -v docker"]));
        self.script("docker", &format!("docker='{}'\n{script}", docker.trim()));
        let path = format!("PATH='{}':\"$PATH\"", self.home.path().display());
        let script = format!("export {path}\nexec '{}' \"$@\"", supervisor().display());
        self.launch(work, None, &self.script("other-docker.sh", &script))
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.home.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The same, holding the stack's lock.
    pub fn start_locked(&self, work: Value) -> Run {
        let lock = LockSpec { path: self.home.path().join("lock"), holder: "a test".to_owned() };
        self.launch(work, Some(lock), &supervisor())
    }

    fn launch(&self, work: Value, lock: Option<LockSpec>, supervisor: &Path) -> Run {
        let id = self.runs.fetch_add(1, Ordering::Relaxed).to_string();
        let mut plan = Plan::new(id, "a test", self.path());
        plan.env_source = Some(EnvSource::File(self.path().join(".env.staging")));
        plan.timeout_ms = 180_000;
        plan.work = work;
        plan.lock = lock;
        let dir = create(&self.home.path().join("runs"), &plan).unwrap();
        launch(supervisor, &dir).unwrap();
        Run { reader: Reader::open(dir.path()).unwrap(), dir }
    }

    pub async fn run_deploy(&self, work: &DeployWork) -> (Exit, DeployResult, Run) {
        let run = self.start(json!({ "deploy": work }));
        let exit = run.end().await;
        let result =
            run.reader.result().unwrap().unwrap_or_else(|| panic!("no result: {exit:?} {}", run.log()));
        (exit, serde_json::from_value(result).unwrap(), run)
    }

    pub async fn run_rollback(&self, work: &RollbackWork) -> (Exit, RollbackResult, Run) {
        let run = self.start(json!({ "rollback": work }));
        let exit = run.end().await;
        let result =
            run.reader.result().unwrap().unwrap_or_else(|| panic!("no result: {exit:?} {}", run.log()));
        (exit, serde_json::from_value(result).unwrap(), run)
    }

    /// Calls Compose as a person would.
    pub fn compose(&self, sub: &[&str]) -> String {
        let mut argv =
            vec!["compose", "-p", &self.project, "--env-file", ".env.staging", "-f", "docker-compose.yml"];
        argv.extend(sub);
        self.docker(&argv)
    }

    pub fn docker(&self, argv: &[&str]) -> String {
        call(Command::new("docker").args(argv).current_dir(self.path()))
    }

    /// Names and ids of the project's containers.
    pub fn containers(&self) -> Vec<(String, String)> {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let out =
            self.docker(&["ps", "-a", "--no-trunc", "--filter", &filter, "--format", "{{.Names}} {{.ID}}"]);
        let pairs = out.lines().filter_map(|line| line.split_once(' '));
        let mut pairs: Vec<_> = pairs.map(|(name, id)| (name.to_owned(), id.to_owned())).collect();
        pairs.sort();
        pairs
    }

    /// Containers that pin images.
    pub fn holders(&self) -> Vec<String> {
        let filter = format!("label=stagegate.keep={}", self.project);
        let out = self.docker(&["ps", "-aq", "--filter", &filter]);
        out.lines().map(str::to_owned).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let script = format!(
            "ids=$(docker ps -aq --filter label=com.docker.compose.project={p}; docker ps -aq --filter label=stagegate.keep={p}); [ -z \"$ids\" ] || docker rm -fv $ids;
             docker network ls -q --filter label=com.docker.compose.project={p} | xargs -r docker network rm;
             docker volume ls -q --filter label=com.docker.compose.project={p} | xargs -r docker volume rm -f;
             docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -E '^({p}[-/]|stagegate/keep/{p}/)' | xargs -r docker rmi -f;
             docker images -q --filter label=test={p} | sort -u | xargs -r docker rmi -f",
            p = self.project
        );
        let _ = Command::new("sh").args(["-c", &script]).output();
    }
}

/// A run and its files.
pub struct Run {
    pub dir: RunDir,
    reader: Reader,
}

impl Run {
    pub async fn end(&self) -> Exit {
        let began = Instant::now();
        loop {
            match self.reader.status().unwrap().state {
                State::Ended { exit, .. } => return exit,
                State::Interrupted => panic!("the supervisor died: {}", self.log()),
                _ => assert!(began.elapsed() < Duration::from_secs(240), "no end: {}", self.log()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How it ended, if it has.
    pub fn try_exit(&self) -> Option<Exit> {
        match self.reader.status().ok()?.state {
            State::Ended { exit, .. } => Some(exit),
            _ => None,
        }
    }

    /// The supervisor's process, once it exists.
    pub fn pid(&self) -> Option<u32> {
        self.reader.status().ok()?.pid
    }

    /// Cleans up after the supervisor, as a restarted server would, and returns whether it had died.
    pub async fn settle(&self) -> bool {
        until("the end of the run", || self.reader.status().unwrap().state.is_over()).await;
        reconcile(self.dir.path()).await.unwrap().state == State::Interrupted
    }

    /// Kills the supervisor, and cleans up as a restarted server would.
    pub async fn crash(&self) {
        let pid = self.reader.status().unwrap().pid.unwrap();
        call(Command::new("kill").args(["-9", &pid.to_string()]));
        until("the end of the supervisor", || self.reader.status().unwrap().state == State::Interrupted)
            .await;
        reconcile(self.dir.path()).await.unwrap();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.reader.log_path()).unwrap_or_default()
    }

    pub fn try_progress(&self) -> Option<Progress> {
        serde_json::from_value(self.reader.progress().ok()??).ok()
    }

    pub fn progress(&self) -> Progress {
        self.try_progress().unwrap()
    }

    /// The text of every file of the run.
    pub fn everything(&self) -> String {
        let files = fs::read_dir(self.dir.path()).unwrap().flatten();
        files
            .map(|file| String::from_utf8_lossy(&fs::read(file.path()).unwrap_or_default()).into_owned())
            .collect()
    }
}

/// Waits for a condition that must be met soon.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "timed out waiting for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Cargo places examples beside the tests that it builds with them.
fn supervisor() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let found = exe.parent().and_then(Path::parent).unwrap().join("examples/supervise_compose");
    assert!(found.exists(), "build the example supervise_compose first (cargo test builds it by itself)");
    found
}

fn call(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Creates the base image from Debian's static busybox, if it is missing.
async fn prepare_base() {
    if let Err(error) = Orchestrator::Compose(StackFiles::default()).engine_version().await {
        panic!("these tests need a Docker engine: {error}");
    }
    let there = Command::new("docker").args(["image", "inspect", BASE]).output().unwrap();
    if there.status.success() {
        return;
    }
    let script = format!(
        "set -e; box=$(command -v busybox) || {{ echo 'busybox-static is not installed' >&2; exit 1; }}
         dir=$(mktemp -d); trap 'rm -rf \"$dir\"' EXIT; mkdir -p \"$dir/bin\" \"$dir/tmp\"; cp \"$box\" \"$dir/bin/busybox\"
         for name in $(\"$box\" --list); do [ \"$name\" = busybox ] || ln -s busybox \"$dir/bin/$name\"; done
         tar -C \"$dir\" -c . | docker import -c 'ENV PATH=/bin' - {BASE}"
    );
    call(Command::new("sh").args(["-c", &script]));
}

/// A proxy to the engine that can be frozen and cut.
pub struct Proxy {
    path: PathBuf,
    frozen: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub fn listen(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (frozen, state) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(carry(near, state.clone()));
            }
        });
        Self { path: path.to_owned(), frozen, task }
    }

    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        let _ = fs::remove_file(&self.path);
    }
}

/// Copies bytes in both directions until one side ends; a frozen connection stays open and silent.
async fn carry(mut near: UnixStream, mut frozen: watch::Receiver<bool>) {
    let socket = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let socket = socket.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned();
    if frozen.wait_for(|frozen| !frozen).await.is_err() {
        return;
    }
    let Ok(mut far) = UnixStream::connect(socket).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = async { frozen.wait_for(|frozen| *frozen).await.map(drop) } => {
            let _ = frozen.wait_for(|frozen| !frozen).await;
        }
    }
}
