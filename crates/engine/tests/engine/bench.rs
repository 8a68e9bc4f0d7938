//! The test bench: a stack in its own repository, an engine on a data directory, a person for each role.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use auth::passwords::{Cost, Passwords};
use domain::choice::AttestationChoice;
use domain::facts::Actor;
use domain::role::Role;
use domain::time::Millis;
use engine::view::{BoardView, RunPage, RunState, Shown};
use engine::{Ctx, Deployment, Done, Engine, Error, NewPerson, Proof};
use store::people;
use store::runs::{NewRun, RunKind};
use tempfile::TempDir;

use super::texts;

/// The password of all people.
pub const PASSWORD: &str = "a horse of the battery";
/// A value of the env file that must never be shown.
pub const SECRET: &str = "hunter2-hunter2-hunter2";

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A stack, its repository and its data directory. All of it is removed when the bench is dropped.
pub struct Bench {
    home: TempDir,
    /// The Compose project.
    pub project: String,
    /// The host port of the web service.
    pub port: u16,
    keys: AtomicU32,
}

impl Bench {
    /// A stack without services, in a repository with one commit.
    pub fn new(name: &str) -> Bench {
        let bench = Bench::bare(name);
        bench.write("docker-compose.yml", "services: {}\n");
        bench.begin("");
        bench
    }

    /// The stack of `end2end/tinystack`: web and worker.
    pub fn tinystack(name: &str, extra: &str) -> Bench {
        let bench = Bench::bare(name);
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../end2end/tinystack");
        for file in ["Dockerfile", "docker-compose.yml", "health"] {
            fs::copy(from.join(file), bench.dir().join(file)).unwrap();
        }
        // Images of different tests must not share an id, or one test's tags would protect another's image.
        let label = format!("LABEL test={}\n", bench.project);
        let dockerfile = fs::read_to_string(bench.dir().join("Dockerfile")).unwrap();
        bench.write("Dockerfile", &format!("{dockerfile}{label}"));
        bench.begin(extra);
        bench
    }

    fn bare(name: &str) -> Bench {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let project = format!("stagegate-test-{name}-{}-{number}", std::process::id());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let bench = Bench { home: tempfile::tempdir().unwrap(), project, port, keys: AtomicU32::new(1) };
        fs::create_dir_all(bench.dir()).unwrap();
        bench
    }

    fn begin(&self, extra: &str) {
        self.write("runbook.md", texts::RUNBOOK);
        self.write("stagegate.toml", &texts::config(&self.project, extra));
        self.write("unit.sh", "cat unit.txt; test -e unit.ok\n");
        self.write(".gitignore", "unit.txt\nunit.ok\nnote.txt\n.env.bench\n");
        let env = format!("TOKEN={SECRET}\nPORT={}\nCOMPOSE_PROJECT_NAME={}\n", self.port, self.project);
        self.write(".env.bench", &env);
        self.units_pass();
        self.git(&["init", "-q"]);
        self.commit("first");
    }

    /// The stack's directory.
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("stack")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Writes a file of the stack.
    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.dir().join(file), text).unwrap();
    }

    /// Replaces a text that must be there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.dir().join(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        self.write(file, &text.replace(from, to));
    }

    /// From now on the unit tests pass.
    pub fn units_pass(&self) {
        self.write("unit.txt", "all well, lines 80\n");
        self.write("unit.ok", "");
    }

    /// From now on the unit tests fail.
    pub fn units_fail(&self) {
        self.write("unit.txt", "two broke, lines 80\n");
        fs::remove_file(self.dir().join("unit.ok")).unwrap();
    }

    /// Commits everything.
    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&[
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@localhost",
            "-c",
            "commit.gpgsign=false",
            "commit",
            "-qm",
            message,
        ]);
    }

    /// The commit in the directory.
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, argv: &[&str]) -> String {
        call(Command::new("git").args(argv).current_dir(self.dir()))
    }

    /// Calls Docker like a person would.
    pub fn docker(&self, argv: &[&str]) -> String {
        call(Command::new("docker").args(argv).current_dir(self.dir()))
    }

    /// The engine on the directories of this bench, not started.
    pub async fn open(&self) -> Engine {
        Engine::open(self.dir().join("stagegate.toml"), self.data(), supervisor()).await.unwrap()
    }

    /// The engine, started, with a person for each role.
    pub async fn start(&self) -> Engine {
        let engine = self.open().await;
        engine.start_up().await.unwrap();
        for role in Role::ALL {
            add(&engine, role.label(), role.slug(), &[role]).await;
        }
        engine
    }

    /// A form sent by the person with this login, with a new key.
    pub async fn by(&self, engine: &Engine, login: &str) -> Ctx {
        let number = self.keys.fetch_add(1, Ordering::Relaxed);
        self.keyed(engine, login, &format!("key-{number}")).await
    }

    /// A form sent by the person with this login, with this key.
    pub async fn keyed(&self, engine: &Engine, login: &str, key: &str) -> Ctx {
        Ctx {
            actor: actor(engine, login).await,
            key: key.to_owned(),
            ip: "127.0.0.1".to_owned(),
            session: "test".to_owned(),
        }
    }

    /// Runs a step to its end, as the person with this login.
    pub async fn step(&self, engine: &Engine, login: &str, step: &str) -> RunPage {
        let digest = step_digest(engine, step).await;
        let done = engine.run_step(&self.by(engine, login).await, step, &digest).await.unwrap();
        ended(engine, run_id(&done)).await
    }

    /// Runs a check to its end, as the person with this login.
    pub async fn check(&self, engine: &Engine, login: &str, check: &str) -> RunPage {
        let done = self.try_check(engine, login, check).await.unwrap();
        ended(engine, run_id(&done)).await
    }

    /// Starts a check as it is shown.
    pub async fn try_check(&self, engine: &Engine, login: &str, check: &str) -> Result<Done, Error> {
        let person = actor(engine, login).await;
        let mut shown = String::new();
        for gate in &engine.board(&person).await.unwrap().judgement.gates {
            let page = engine.gate(&person, &gate.id).await.unwrap();
            shown
                .extend(page.checks.iter().filter(|c| c.check.id == check).map(|c| c.digest.clone()).take(1));
            if !shown.is_empty() {
                break;
            }
        }
        if shown.is_empty() {
            let rows = engine.matrix(&person).await.unwrap().rows;
            let views = rows.iter().flat_map(|row| &row.checks);
            shown.extend(views.filter(|c| c.check.id == check).map(|c| c.digest.clone()).take(1));
        }
        engine.run_check(&self.by(engine, login).await, check, &shown).await
    }

    /// Starts all checks of a gate, or of the `matrix`, as they are shown.
    pub async fn run_gate(&self, engine: &Engine, login: &str, gate: &str) -> Result<Done, Error> {
        let person = actor(engine, login).await;
        let shown = if gate == "matrix" {
            engine.matrix(&person).await.unwrap().run_all_digest
        } else {
            engine.gate(&person, gate).await.unwrap().run_all_digest
        };
        engine.run_gate(&self.by(engine, login).await, gate, &shown).await
    }

    /// What the confirmation of a deploy shows once the current files are observed.
    pub async fn shown(&self, engine: &Engine) -> Shown {
        let head = self.head();
        until("the directory to be observed", Duration::from_secs(20), || async {
            board(engine).await.shown.commit.starts_with(&head)
        })
        .await;
        board(engine).await.shown
    }

    /// Confirms a deploy as it is shown. A change may be observed a moment after it was written; then the deploy is
    /// confirmed again, like a person would.
    pub async fn deploy(&self, engine: &Engine, login: &str) -> Result<Done, Error> {
        self.confirm_deploy(engine, login, false).await
    }

    /// The same, without the backup before the deploy.
    pub async fn deploy_without_backup(&self, engine: &Engine, login: &str) -> Result<Done, Error> {
        self.confirm_deploy(engine, login, true).await
    }

    async fn confirm_deploy(
        &self,
        engine: &Engine,
        login: &str,
        without_backup: bool,
    ) -> Result<Done, Error> {
        for _ in 0..3 {
            let wish = Deployment { shown: self.shown(engine).await, without_backup };
            match engine.deploy(&self.by(engine, login).await, &wish).await {
                Err(error) if error.public().contains("since this page was shown") => {}
                answer => return answer,
            }
        }
        panic!("the directory keeps changing");
    }

    /// Opens a release from the directory as it is shown.
    pub async fn open_release(&self, engine: &Engine, login: &str) -> Result<Done, Error> {
        let shown = self.shown(engine).await;
        engine.open_release(&self.by(engine, login).await, &shown).await
    }

    /// Confirms a drill as it is shown.
    pub async fn drill(&self, engine: &Engine, login: &str) -> Result<Done, Error> {
        let shown = engine.releases(&actor(engine, login).await).await.unwrap().drill.digest;
        engine.drill(&self.by(engine, login).await, &shown).await
    }

    /// Accepts a gate in its current state.
    pub async fn accept(&self, engine: &Engine, login: &str, gate: &str) -> Result<Done, Error> {
        let digest = gate_digest(engine, gate).await;
        engine.accept_gate(&self.by(engine, login).await, gate, &digest, "looks good").await
    }

    /// Attests an item in its current state.
    pub async fn attest(&self, engine: &Engine, login: &str, item: &str) -> Result<Done, Error> {
        let digest = item_digest(engine, item).await;
        let ctx = self.by(engine, login).await;
        let shown = board(engine).await.judgement.item(item).unwrap().last_word().map_or(0, |w| w.id);
        engine.attest(&ctx, item, &digest, AttestationChoice::Attest, "seen", "", shown).await
    }

    /// Removes what a deploy created.
    fn clean(&self) {
        let script = format!(
            "ids=$(docker ps -aq --filter label=com.docker.compose.project={p}; docker ps -aq --filter label=stagegate.keep={p}); [ -z \"$ids\" ] || docker rm -fv $ids;
             docker network ls -q --filter label=com.docker.compose.project={p} | xargs -r docker network rm;
             docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -E '^({p}[-/]|stagegate/keep/{p}/)' | xargs -r docker rmi -f;
             docker ps -aq --filter label=stagegate.keep={p} | xargs -r docker rm -f
             docker images -q --filter label=test={p} | sort -u | xargs -r docker rmi -f",
            p = self.project
        );
        // An engine that is still running would pin the images of retained releases again.
        let _ = fs::remove_dir_all(self.data().join("rollback"));
        let _ = Command::new("sh").args(["-c", &script]).output();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let compose = fs::read_to_string(self.dir().join("docker-compose.yml")).unwrap_or_default();
        if compose.contains("image:") {
            self.clean();
        }
    }
}

/// Adds a person with [`PASSWORD`].
pub async fn add(engine: &Engine, name: &str, login: &str, roles: &[Role]) -> i64 {
    let new = NewPerson { name: name.to_owned(), login: login.to_owned(), roles: roles.to_vec() };
    engine.add_person(&new).await.unwrap();
    let person = people::by_login(engine.store().readers(), login).await.unwrap().unwrap().id;
    let hash = hash();
    engine
        .store()
        .write(move |tx| Box::pin(async move { people::set_password(tx, person, &hash).await }))
        .await
        .unwrap();
    person
}

/// One cheap hash for all people: the cost of hashing is tested elsewhere.
fn hash() -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
            runtime.block_on(async { Passwords::new(cost).unwrap().hash(PASSWORD.to_owned()).await.unwrap() })
        })
        .join()
        .unwrap()
    })
    .clone()
}

/// The person with this login.
pub async fn actor(engine: &Engine, login: &str) -> Actor {
    people::by_login(engine.store().readers(), login).await.unwrap().unwrap().actor()
}

/// The board as DevOps sees it.
pub async fn board(engine: &Engine) -> BoardView {
    let devops = actor(engine, "devops").await;
    engine.board(&devops).await.unwrap()
}

/// The digest of a step's command.
pub async fn step_digest(engine: &Engine, step: &str) -> String {
    let devops = actor(engine, "devops").await;
    let page = engine.runbook(&devops).await.unwrap();
    page.runbook.step(step).unwrap_or_else(|| panic!("no step {step}")).digest.clone()
}

/// The digest of a gate in its current state.
pub async fn gate_digest(engine: &Engine, gate: &str) -> String {
    board(engine).await.judgement.gate(gate).unwrap().digest.clone()
}

/// The digest of an item's text.
pub async fn item_digest(engine: &Engine, item: &str) -> String {
    board(engine).await.judgement.item(item).unwrap().item.digest.clone()
}

/// The number of the run in an answer.
pub fn run_id(done: &Done) -> i64 {
    done.to.strip_prefix("/runs/").unwrap_or_else(|| panic!("{done:?} names no run")).parse().unwrap()
}

/// The page of a run, once it has ended and the board has its findings.
pub async fn ended(engine: &Engine, run: i64) -> RunPage {
    let devops = actor(engine, "devops").await;
    let began = Instant::now();
    loop {
        let page = engine.run(&devops, run).await.unwrap();
        if page.run.state != RunState::Running && board(engine).await.running.iter().all(|r| r.id != run) {
            return page;
        }
        assert!(began.elapsed() < Duration::from_secs(90), "run {run} does not end: {:?}", page.tail);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Waits until a condition is met.
pub async fn until<F, Fut>(what: &str, within: Duration, mut holds: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < within, "timeout while waiting for {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The text of a log's last lines.
pub fn log(page: &RunPage) -> String {
    page.tail.iter().map(|l| format!("{l:?}\n")).collect()
}

/// Asserts that every action of the log has exactly one outcome and that the chain is intact. Returns the log, newest
/// first.
pub async fn audit_is_whole(engine: &Engine) -> Vec<store::audit::Row> {
    use store::audit::{Filter, Outcome, list, verify};
    // An aborted action is settled a moment later.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let rows = list(engine.store().readers(), Filter::default(), 10_000).await.unwrap();
    let report = verify(engine.store().readers()).await.unwrap();
    assert_eq!(report.events, rows.len() as u64);
    for intent in rows.iter().filter(|r| r.event.outcome == Outcome::Intent) {
        let outcomes = rows.iter().filter(|r| r.event.intent == Some(intent.seq)).count();
        assert_eq!(outcomes, 1, "{intent:?}");
    }
    for row in rows.iter().filter(|r| r.event.act.ends_with(".start")) {
        assert!(
            matches!(row.event.outcome, Outcome::Intent | Outcome::Refused) || row.event.intent.is_some(),
            "{row:?}"
        );
    }
    rows
}

/// Cargo puts examples next to the tests that it builds with them.
pub fn supervisor() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let found = exe.parent().and_then(Path::parent).unwrap().join("examples/supervise");
    assert!(found.exists(), "build the example supervise first (cargo test builds it automatically)");
    found
}

fn call(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The row of a deploy of release 1, as a server stores it before it starts one.
pub fn deploy_row(by: i64, key: Option<&'static str>) -> NewRun<'static> {
    NewRun {
        kind: RunKind::Deploy,
        subject: "release 1",
        gate: None,
        title: "Deploy release #1",
        release: Some(1),
        by,
        by_name: "DevOps",
        at: Millis(1),
        key,
    }
}

/// A password as the proof at sign-in.
pub fn by_password<'a>(login: &'a str, password: &'a str) -> Proof<'a> {
    Proof::Password { login, password }
}

/// A one-time link as the proof at sign-in.
pub fn by_link<'a>(token: &'a str, name: &'a str, login: &'a str, password: &'a str) -> Proof<'a> {
    Proof::Link { token, name, login, password }
}
