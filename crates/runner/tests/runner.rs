//! Runs executed by a real supervisor process, with well-behaved and hostile commands.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "runner_parts/ending.rs"]
mod ending;
#[path = "runner_parts/output.rs"]
mod output;
#[path = "runner_parts/servers.rs"]
mod servers;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::log::Stream;
use runner::{
    Exit, FOLD_BYTES, LockSpec, Plan, Reader, RunDir, RunnerError, State, Status, Tails, cancel, create,
    follow, launch, lock_holder, reconcile,
};
use secrets::EnvSource;
use serde_json::json;
use tempfile::TempDir;

const NOBODY: [i32; 0] = [];

/// Cargo places examples beside the tests that it builds with them.
fn supervisor() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let found = exe.parent().unwrap().parent().unwrap().join("examples/supervise_command");
    assert!(found.exists(), "build the example supervise_command first (cargo test builds it by itself)");
    found
}

struct Bench {
    home: TempDir,
}

struct Started {
    dir: RunDir,
    reader: Reader,
}

impl Bench {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn plan(&self, id: &str, script: &str) -> Plan {
        let mut plan = Plan::new(id, "a test", self.path());
        plan.work = json!({"argv": ["bash", "-c", script]});
        plan.grace_ms = 300;
        plan.timeout_ms = 60_000;
        plan
    }

    fn start(&self, plan: &Plan) -> Started {
        let dir = create(&self.path().join("runs"), plan).unwrap();
        launch(&supervisor(), &dir).unwrap();
        Started { reader: Reader::open(dir.path()).unwrap(), dir }
    }

    async fn run(&self, script: &str) -> (Started, Exit) {
        let started = self.start(&self.plan("run", script));
        let exit = started.end().await;
        (started, exit)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A failed test must not leave processes behind: supervisors first, because they would report the others.
        let home = self.path().display().to_string();
        for pid in with_word(&home).into_iter().chain(tagged(self.path())) {
            let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    }
}

impl Started {
    async fn over(&self) -> Status {
        let until = Instant::now() + Duration::from_secs(50);
        loop {
            let status = self.reader.status().unwrap();
            if status.state.is_over() {
                return status;
            }
            assert!(Instant::now() < until, "the run does not end: {status:?}\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn end(&self) -> Exit {
        match self.over().await.state {
            State::Ended { exit, .. } => exit,
            other => {
                panic!("{other:?}: {}", fs::read_to_string(self.dir.path().join("supervisor.err")).unwrap())
            }
        }
    }

    async fn says(&self, text: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.text().contains(text) {
            assert!(Instant::now() < until, "never printed {text:?}: {}", self.text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.reader.log_path()).unwrap()).into_owned()
    }

    fn lines(&self, stream: Stream) -> Vec<String> {
        let all = self.reader.lines(0, usize::MAX, FOLD_BYTES).unwrap();
        all.iter().filter(|line| line.stream == stream).map(|line| line.text()).collect()
    }
}

/// Processes whose environment names a run below `home`.
fn tagged(home: &Path) -> Vec<i32> {
    let mark = format!("STAGEGATE_RUN_DIR={}", fs::canonicalize(home).unwrap().display());
    living(|pid| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| has(&env, mark.as_bytes())))
}

/// Processes with this word in their command line.
fn with_word(word: &str) -> Vec<i32> {
    living(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|cmd| has(&cmd, word.as_bytes())))
}

fn has(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

fn living(keep: impl Fn(i32) -> bool) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| keep(*pid) && !is_zombie(*pid)).collect()
}

fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

/// A duration for `sleep` that no other process on the machine uses.
fn odd_sleep(n: u32) -> String {
    format!("{}.{n}{:06}", 70_000, std::process::id())
}

fn kill_9(pid: u32) {
    assert!(std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn exit_codes_and_signals_are_reported() {
    let bench = Bench::new();
    for (id, script, want) in [
        ("a", "exit 0", Exit::Code(0)),
        ("b", "echo no >&2; exit 41", Exit::Code(41)),
        ("c", "kill -SEGV $$", Exit::Signal(11)),
    ] {
        let run = bench.start(&bench.plan(id, script));
        assert_eq!(run.end().await, want);
        assert_eq!(run.reader.result().unwrap(), Some(json!({"done": true})));
        assert_eq!(run.reader.progress().unwrap(), Some(json!({"step": "began"})));
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_started_has_a_reason() {
    let bench = Bench::new();
    let mut plan = bench.plan("a", "");
    plan.work = json!({"argv": ["no-such-program-here"]});
    let exit = bench.start(&plan).end().await;
    assert_eq!(exit, Exit::NotStarted("the program no-such-program-here was not found".into()));
    let mut plan = bench.plan("b", "true");
    plan.cwd = bench.path().join("gone");
    assert_eq!(
        bench.start(&plan).end().await,
        Exit::NotStarted("the working directory does not exist".into())
    );
    let mut plan = bench.plan("c", "true");
    plan.env_source = Some(EnvSource::File(bench.path().join("env")));
    fs::write(bench.path().join("env"), "A=1\nhunter2hunter2\n").unwrap();
    let exit = bench.start(&plan).end().await;
    assert_eq!(exit, Exit::NotStarted("the env file cannot be used: line 2 has no '='".into()));
    let dir = create(&bench.path().join("runs"), &bench.plan("d", "true")).unwrap();
    assert!(launch(Path::new("/no/such/supervisor"), &dir).is_err());
    let state = Reader::open(dir.path()).unwrap().status().unwrap().state;
    assert!(matches!(state, State::Ended { exit: Exit::NotStarted(_), .. }), "{state:?}");
}

#[tokio::test]
async fn ids_that_leave_the_directory_are_refused_and_files_are_private() {
    let bench = Bench::new();
    for id in ["", ".", "../x", "a/b", "a b", "\u{e4}"] {
        let made = create(bench.path(), &bench.plan(id, "true"));
        assert!(matches!(made, Err(RunnerError::BadId(_))), "{id:?}");
    }
    let (run, _) = bench.run("true").await;
    let again = create(&bench.path().join("runs"), &bench.plan("run", "true"));
    assert!(matches!(again, Err(RunnerError::Exists(_))));
    assert!(matches!(launch(&supervisor(), &run.dir), Err(RunnerError::Over)));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(run.dir.path()), 0o700);
    for entry in fs::read_dir(run.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn commands_get_the_env_file_and_little_else() {
    let bench = Bench::new();
    fs::write(bench.path().join("env"), "GREETING=hi there\nPORT=3000\n").unwrap();
    let mut plan = bench.plan("run", "env | sort; test -t 0 || echo no terminal; cat");
    plan.env_source = Some(EnvSource::File(bench.path().join("env")));
    plan.extra_env.insert("EXTRA".into(), "more".into());
    let run = bench.start(&plan);
    assert_eq!(run.end().await, Exit::Code(0));
    let text = run.text();
    for want in [
        "GREETING=[GREETING]\n",
        "PORT=3000\n",
        "EXTRA=more\n",
        "STAGEGATE_RUN=run\n",
        "CI=true\n",
        "no terminal\n",
    ] {
        assert!(text.contains(want), "{want} is missing in {text}");
    }
    assert!(!text.contains("CARGO_"), "{text}");
}
