//! A stack in a temporary directory, and checks that run on it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use checks::{ProbeWork, probe};
use domain::check::Check;
use domain::evidence::{Finding, Outcome};
use orchestrator::{Orchestrator, StackFiles};
use runner::{self, Exit, Plan, Reader};
use secrets::EnvSource;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Makes this binary the supervisor of the run in the named directory.
const RUN: &str = "CHECKS_TEST_RUN";

/// The body of the supervisor; does nothing without its variable.
#[test]
fn supervisor() {
    let Some(dir) = std::env::var_os(RUN) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let work = async |session: &runner::Session| {
        let work: ProbeWork = serde_json::from_value(session.plan().work.clone()).unwrap();
        let found = probe(session, &work).await;
        runner::Outcome { exit: Exit::Code(0), result: serde_json::to_value(found).unwrap() }
    };
    runtime.block_on(runner::supervise(Path::new(&dir), work)).unwrap();
}

/// A stack to check.
pub struct Stack {
    home: TempDir,
    pub urls: BTreeMap<String, String>,
    pub env_file: bool,
    pub example: bool,
    pub project: Option<String>,
    pub points: Vec<BTreeMap<String, String>>,
    pub timeout: Duration,
    pub retries: u32,
    pub step: Option<String>,
    pub docker_host: Option<String>,
    /// Further variables of the supervisor's environment.
    pub vars: Vec<(&'static str, String)>,
}

/// The finding of a check, and its log.
pub struct Seen {
    pub finding: Finding,
    pub log: String,
    pub run: PathBuf,
}

impl Stack {
    pub fn new() -> Stack {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("stack")).unwrap();
        Stack {
            home,
            urls: BTreeMap::new(),
            env_file: false,
            example: false,
            project: None,
            points: vec![],
            timeout: Duration::from_secs(20),
            retries: 0,
            step: None,
            docker_host: None,
            vars: vec![],
        }
    }

    pub fn dir(&self) -> PathBuf {
        self.home.path().join("stack")
    }

    /// A file of the stack.
    pub fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.dir().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn env(&mut self, text: &str) -> PathBuf {
        self.env_file = true;
        self.file(".env.staging", text)
    }

    pub fn example(&mut self, text: &str) {
        self.example = true;
        self.file(".env.staging.example", text);
    }

    pub fn url(&mut self, name: &str, url: impl Into<String>) {
        self.urls.insert(name.to_owned(), url.into());
    }

    pub fn check(&self, spec: &Value, want: &str) -> Check {
        Check {
            id: "c".to_owned(),
            title: "The check under test".to_owned(),
            proves: vec![],
            spec: serde_json::from_value(spec.clone()).unwrap(),
            want: (!want.is_empty()).then(|| want.parse().unwrap()),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap(),
            retries: self.retries,
            valid_for_ms: None,
            binds: vec![],
            images: vec![],
            schedule: Default::default(),
        }
    }

    /// Runs a check without a threshold.
    pub fn see(&self, spec: Value) -> Seen {
        self.see_want(spec, "")
    }

    /// Runs a check in a separate supervisor.
    pub fn see_want(&self, spec: Value, want: &str) -> Seen {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = format!("run-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let env_source = self.env_file.then(|| EnvSource::File(".env.staging".into()));
        let work = ProbeWork {
            check: self.check(&spec, want),
            stack: Orchestrator::Compose(StackFiles {
                name: self.project.clone(),
                dir: self.dir(),
                files: vec!["docker-compose.yml".into()],
                env_source: env_source.clone(),
                engine: None,
            }),
            urls: self.urls.clone(),
            command: self.step.clone(),
            env_example: self.example.then(|| ".env.staging.example".into()),
            rollback_images: self.points.clone(),
        };
        let mut plan = Plan::new(id, "a check", self.dir());
        plan.env_source = env_source.map(|source| source.resolved(&self.dir())).filter(EnvSource::exists);
        plan.grace_ms = 500;
        plan.work = serde_json::to_value(work).unwrap();
        let run = runner::create(&self.home.path().join("runs"), &plan).unwrap();
        supervise(run.path(), self, self.timeout + Duration::from_secs(30));
        let reader = Reader::open(run.path()).unwrap();
        let result = reader.result().unwrap().unwrap_or_else(|| {
            panic!("no finding; {:?}; {}", reader.status(), fs::read_to_string(reader.log_path()).unwrap())
        });
        let log = fs::read_to_string(reader.log_path()).unwrap();
        Seen { finding: serde_json::from_value(result).unwrap(), log, run: run.path().to_owned() }
    }

    /// Runs git in the stack's directory, with an author and without the settings of the host.
    pub fn git(&self, args: &[&str]) -> String {
        let out = command("git", args)
            .current_dir(self.dir())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@example.com")])
            .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@example.com")])
            .output()
            .unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }
}

fn supervise(run: &Path, stack: &Stack, patience: Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .envs(stack.docker_host.as_deref().map(|host| ("DOCKER_HOST", host)))
        .envs(stack.vars.iter().map(|(name, value)| (name, value)))
        .args(["--exact", "support::probe::supervisor", "--nocapture"])
        .env(RUN, run)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + patience;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the supervisor did not come to an end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A program with arguments and no input.
pub fn command<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command
}

impl Seen {
    #[track_caller]
    fn is(self, outcome: Outcome, part: &str) -> Seen {
        let f = &self.finding;
        assert_eq!(f.outcome, outcome, "{f:#?}\n{}", self.log);
        assert!(f.saw.contains(part), "“{part}” is not in: {}", f.saw);
        assert!(!f.wanted.is_empty() && f.next.is_empty() == (outcome == Outcome::Pass), "{f:#?}");
        assert!(self.log.contains("Expected: ") && self.log.contains("Actual: "), "{}", self.log);
        self
    }

    /// It passed, and `saw` contains `part`.
    #[track_caller]
    pub fn passes(self, part: &str) -> Seen {
        self.is(Outcome::Pass, part)
    }

    /// It failed, and `saw` contains `part`.
    #[track_caller]
    pub fn fails(self, part: &str) -> Seen {
        self.is(Outcome::Fail, part)
    }

    /// It is inconclusive, and `saw` contains `part`.
    #[track_caller]
    pub fn unsure(self, part: &str) -> Seen {
        self.is(Outcome::Inconclusive, part)
    }

    /// `secret` is neither in the finding nor in the log.
    #[track_caller]
    pub fn hides(self, secret: &str) -> Seen {
        let all = format!("{:?}\n{}", self.finding, self.log);
        assert!(!all.contains(secret), "{all}");
        self
    }
}

/// A command check.
pub fn run(text: &str) -> Value {
    json!({ "kind": "command", "run": text })
}
