//! Image names that the runbook's steps move before a deploy are restored if no service is changed.

use orchestrator::DeployWork;
use runner::{Plan, Reader, RunDir, State, create, launch, reconcile};
use secrets::{EnvCopy, EnvSource};
use supervisor::{BeforeDeploy, Findings, Job, Work};

use super::*;

/// A run of the product's own supervisor.
struct StepsRun {
    dir: RunDir,
    reader: Reader,
}

impl StepsRun {
    async fn end(&self) -> (Exit, Findings) {
        until("the end of the run", || self.reader.status().unwrap().state.is_over()).await;
        let State::Ended { exit, .. } = self.reader.status().unwrap().state else {
            panic!("the supervisor died: {}", self.log())
        };
        let result = self.reader.result().unwrap().unwrap_or_default();
        (exit, serde_json::from_value(result).unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.reader.log_path()).unwrap_or_default()
    }

    async fn kill(&self) {
        let pid = self.reader.status().unwrap().pid.unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        until("the end of the supervisor", || self.reader.status().unwrap().state == State::Interrupted)
            .await;
        reconcile(self.dir.path()).await.unwrap();
    }
}

impl Bench {
    /// Starts the deploy `work` after `steps`. Later runs have higher numbers.
    fn start_after(&self, number: u32, steps: &[String], work: DeployWork) -> StepsRun {
        let before = steps.iter().enumerate().map(|(at, command)| BeforeDeploy {
            title: format!("Step {}", at + 1),
            command: command.clone(),
        });
        let work = Work::Deploy { before: before.collect(), deploy: Box::new(work), smoke: Vec::new() };
        let job = Job { parts: Default::default(), work };
        let mut plan = Plan::new(number.to_string(), "a deploy after steps", self.path());
        plan.env_source = Some(EnvSource::File(self.path().join(".env.staging")));
        plan.timeout_ms = 180_000;
        plan.work = serde_json::to_value(job).unwrap();
        let dir = create(&self.path().join("../step-runs"), &plan).unwrap();
        let test = std::env::current_exe().unwrap();
        let supervisor = test.parent().unwrap().parent().unwrap().join("examples/supervise");
        launch(&supervisor, &dir).unwrap();
        StepsRun { reader: Reader::open(dir.path()).unwrap(), dir }
    }

    /// Two built services, and one whose image is only created by steps.
    fn write_three(&self, version: &str) {
        self.write_two(version);
        let job = format!("  job:\n    image: {}/job:dev\n", self.project);
        self.edit("docker-compose.yml", "  job:\n    image: stagegate-test/busybox:1\n", &job);
    }

    /// A command that builds an image of this version for a service and gives it the name.
    fn build_command(&self, version: &str, name: &str) -> String {
        format!("echo {version} > version && docker build -q -t {name} .")
    }

    /// The names of the images of web, worker and job.
    fn image_names(&self) -> [String; 3] {
        ["-web", "-worker", "/job:dev"].map(|end| format!("{}{end}", self.project))
    }

    /// The image of each of these names; empty for none.
    fn meanings(&self) -> [String; 3] {
        self.image_names().map(|name| {
            self.docker(&["images", "-q", "--no-trunc", "--filter", &format!("reference={name}")])
        })
    }

    /// Deploys the first version after the step that creates the image of job. Returns the images of the names.
    async fn deploy_first(&self, number: u32) -> [String; 3] {
        self.write_three("1");
        let [_, _, job] = self.image_names();
        let run = self.start_after(number, &[self.build_command("1", &job)], self.deploy("r1"));
        let (exit, found) = run.end().await;
        assert!(exit == Exit::Code(0) && found.deploy.is_some_and(|deploy| deploy.ok), "{}", run.log());
        let meanings = self.meanings();
        assert!(meanings.iter().all(|id| id.starts_with("sha256:")), "{meanings:?}");
        meanings
    }

    fn last_journal(&self) -> Journal {
        read_journal(&Journal::path(&self.keep("r1"))).unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_step_restores_the_names_that_earlier_steps_moved() {
    let bench = Bench::new("stepfail").await;
    let [web, worker, job] = bench.image_names();
    // Before the first deploy no image has any of the names.
    bench.write_three("0");
    let steps = [bench.build_command("0", &web), "exit 4".to_owned()];
    let run = bench.start_after(1, &steps, bench.deploy("r1"));
    let (exit, _) = run.end().await;
    assert_eq!(exit, Exit::Code(4), "{}", run.log());
    assert_eq!(bench.meanings(), [""; 3].map(str::to_owned), "{}", run.log());
    assert!(
        run.log().contains(&format!("{web} was removed: no image had this name before.")),
        "{}",
        run.log()
    );

    let first = bench.deploy_first(2).await;
    let before = bench.containers();
    let steps = [
        format!("{} && docker tag {web} {job}", bench.build_command("2", &web)),
        "echo NOTE=written >> .env.staging; exit 3".to_owned(),
    ];
    let run = bench.start_after(3, &steps, bench.deploy("r2"));
    let (exit, found) = run.end().await;
    assert_eq!(exit, Exit::Code(3), "{}", run.log());
    assert!(found.deploy.is_none(), "{found:?}");
    let log = run.log();
    assert!(log.contains("Step “Step 2” failed. Nothing was deployed"), "{log}");
    assert_eq!(bench.meanings(), first, "{log}");
    for (name, id) in [(&web, &first[0]), (&job, &first[2])] {
        assert!(log.contains(&format!("{name} points to {id} again.")), "{log}");
    }
    assert!(!log.contains(&worker), "only moved names are logged: {log}");
    assert!(!log.contains("env file were restored"), "the step's env file is kept: {log}");
    let env = fs::read_to_string(bench.path().join(".env.staging")).unwrap();
    assert!(env.ends_with("NOTE=written\n"), "changes of a step to the env file are kept");
    bench.compose(&["up", "-d", "--no-build"]);
    assert_eq!(bench.containers(), before, "a hand-typed up starts a mixture");
    let journal = bench.last_journal();
    assert!(journal.run == "3" && journal.ended && journal.undo.is_empty(), "{journal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_fails_in_the_preflight_restores_the_names_that_steps_moved() {
    let bench = Bench::new("stepcheck").await;
    let [web, _, job] = bench.image_names();
    let first = bench.deploy_first(1).await;
    let before = bench.containers();
    let steps = [format!("{} && docker tag {web} {job}", bench.build_command("2", &web))];
    let commit = DeployWork { commit: Some("1".repeat(40)), ..bench.deploy("r2") };
    let copy = EnvCopy { key: bench.path(), stack: "a directory is not a key".to_owned() };
    let copy = DeployWork { env_copy: Some(copy), ..bench.deploy("r2") };
    for (number, work, why) in
        [(2, commit, "1111111 was confirmed"), (3, copy, "No encrypted copy of the env file")]
    {
        let run = bench.start_after(number, &steps, work);
        let (exit, found) = run.end().await;
        assert!(matches!(exit, Exit::NotStarted(_)), "{exit:?} {}", run.log());
        let result = found.deploy.unwrap();
        assert_eq!((result.ok, result.phase), (false, DeployPhase::Preflight));
        assert!(result.message.contains(why), "{}", result.message);
        assert_eq!(bench.meanings(), first, "{}", run.log());
        assert!(result.message.contains("mage names were restored"), "{}", result.message);
        let journal = bench.last_journal();
        assert!(journal.run == number.to_string() && journal.ended && journal.undo.is_empty(), "{journal:?}");
    }
    bench.compose(&["up", "-d", "--no-build"]);
    assert_eq!(bench.containers(), before, "a hand-typed up starts a mixture");

    // A build that fails later restores the images from before the steps, not those of the steps.
    let compose = fs::read_to_string(bench.path().join("docker-compose.yml")).unwrap();
    let mut broken = steps.to_vec();
    broken.push("echo 'RUN exit 5' >> Dockerfile.worker".to_owned());
    let run = bench.start_after(4, &broken, bench.deploy("r2"));
    let (exit, found) = run.end().await;
    assert_eq!((exit, found.deploy.unwrap().phase), (Exit::Code(1), DeployPhase::Building), "{}", run.log());
    assert_eq!(bench.meanings(), first, "{}", run.log());

    // A step that creates the project's file: names cannot be recorded before it, and the deploy continues.
    bench.write_three("2");
    fs::write(bench.path().join("good.yml"), compose).unwrap();
    fs::write(bench.path().join("docker-compose.yml"), "services: [").unwrap();
    let repair = "cp good.yml docker-compose.yml".to_owned();
    let run = bench.start_after(5, &[repair, steps[0].clone()], bench.deploy("r2"));
    let (exit, found) = run.end().await;
    assert!(exit == Exit::Code(0) && found.deploy.unwrap().ok, "{}", run.log());
    assert!(run.log().contains("could not be recorded before the steps"), "{}", run.log());
    assert_ne!(bench.meanings(), first);
    assert!(bench.last_journal().undo.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_or_killed_during_a_step_restores_the_names() {
    let bench = Bench::new("stepstop").await;
    let [web, ..] = bench.image_names();
    let first = bench.deploy_first(1).await;
    let slow = |version: &str| [bench.build_command(version, &web), "sleep 100".to_owned()];
    let has_moved = async |log: &dyn Fn() -> String| {
        until("the second step", || log().contains("Step 2")).await;
        assert_ne!(bench.meanings()[0], first[0]);
    };

    let run = bench.start_after(2, &slow("2"), bench.deploy("r2"));
    has_moved(&|| run.log()).await;
    cancel(run.dir.path(), "Ada").unwrap();
    assert_eq!(run.end().await.0, Exit::Cancelled { by: "Ada".into() });
    assert_eq!(bench.meanings(), first, "{}", run.log());

    let run = bench.start_after(3, &slow("3"), bench.deploy("r2"));
    has_moved(&|| run.log()).await;
    run.kill().await;
    let path = Journal::path(&bench.keep("r2"));
    let journal = bench.last_journal();
    assert!(journal.run == "3" && !journal.ended && !journal.undo.is_empty(), "{journal:?}");
    let taken = bench.orchestrator().take_back_journal(&path).await.unwrap();
    assert_eq!(taken.done, [format!("{web} points to {} again.", first[0])]);
    assert_eq!(bench.meanings(), first);

    // A run that was overtaken runs no step.
    let late = bench.start_after(1_000, &[bench.build_command("4", &web)], bench.deploy("r2"));
    assert_eq!(late.end().await.0, Exit::Code(0), "{}", late.log());
    let second = bench.meanings();
    let run = bench.start_after(4, &["touch ran".to_owned()], bench.deploy("r3"));
    let (exit, found) = run.end().await;
    assert!(matches!(exit, Exit::NotStarted(_)) && !found.deploy.unwrap().ok, "{}", run.log());
    assert!(run.log().contains("Run 1000 started later"), "{}", run.log());
    assert!(!bench.path().join("ran").exists());
    assert_eq!(bench.meanings(), second);
}
