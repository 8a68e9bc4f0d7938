//! Builds a stack and a store of a given size with Stagegate's own code.

use std::fs;
use std::path::Path;
use std::process::Command;

use auth::passwords::{Cost, Passwords};
use domain::evidence::{Evidence, Finding, Outcome as Found};
use domain::release::{ReleaseComponent, ReleaseComponents};
use domain::role::Role;
use domain::time::Millis;
use serde_json::{Value, json};
use store::audit::{self, AuditAction, Event, Outcome};
use store::people::{self, SCHEDULE, SCHEDULE_NAME};
use store::releases::{self, NewRelease, ReleaseEvent, What};
use store::runs::{self, Ending, NewRun, RunKind, RunOutcome};
use store::{Store, StoreError, evidence};

use super::texts;

/// The number of rows of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub releases: usize,
    pub runs: usize,
    pub evidence: usize,
    pub events: usize,
}

impl Sizes {
    /// One page of every list, and as much evidence of each check as is read.
    pub const ONE_PAGE: Sizes = Sizes { releases: 120, runs: 600, evidence: 1_500, events: 600 };

    pub fn at_least(self, other: Sizes) -> Sizes {
        Sizes {
            releases: self.releases.max(other.releases),
            runs: self.runs.max(other.runs),
            evidence: self.evidence.max(other.evidence),
            events: self.events.max(other.events),
        }
    }

    pub fn to_json(self) -> Value {
        json!({ "releases": self.releases, "runs": self.runs, "evidence": self.evidence, "events": self.events })
    }
}

/// The person who sends the requests; has every role that the benchmark needs.
pub const LOGIN: &str = "ada";
pub const PASSWORD: &str = "a horse of the battery";
/// Rows in one transaction.
const BATCH: usize = 1_000;
/// Checks in addition to those of the tests' configuration.
const CHECKS: usize = 16;
/// One in this many runs is a deploy, in addition to the first run of each release; the others are runs of checks.
const DEPLOY_EVERY: usize = 100;

/// Builds `home/stack` and `home/data`.
pub async fn build(home: &Path, sizes: &Sizes) {
    stack(&home.join("stack"));
    let store = Store::open(&home.join("data")).await.unwrap();
    let by = person(&store).await;
    let now = now();
    // A minute for each run, up to now.
    let first = now - 60_000 * i64::try_from(sizes.runs).unwrap();
    let head = head(&home.join("stack"));
    let releases = all_releases(&store, by, &head, sizes.releases, first).await;
    let runs = all_runs(&store, by, &releases, sizes.runs, first).await;
    let checks = declared(&home.join("stack/stagegate.toml"));
    all_evidence(&store, &head, &checks, &releases, &runs, sizes.evidence, first).await;
    all_events(&store, by, sizes.events, first).await;
    store.close().await;
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn stack(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let write = |file: &str, text: &str| fs::write(dir.join(file), text).unwrap();
    let more: String = (0..CHECKS)
        .map(|n| {
            format!(
                "\n[[check]]\nid = \"file-{n}\"\ntitle = \"File {n}\"\nkind = \"file\"\npath = \"note-{n}.txt\"\n\
                 proves = [{{ criterion = \"B.1\", contains = \"note file\" }}]\n"
            )
        })
        .collect();
    write("docker-compose.yml", "services: {}\n");
    write("runbook.md", texts::RUNBOOK);
    write("stagegate.toml", &texts::config("stagegate-bench-growth", &more));
    write("unit.sh", "true\n");
    write(".env.bench", "TOKEN=hunter2-hunter2\nPORT=1\n");
    for argv in [
        vec!["init", "-q"],
        vec!["add", "-A"],
        vec!["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "first"],
    ] {
        assert!(Command::new("git").args(argv).current_dir(dir).status().unwrap().success());
    }
}

/// The commit in the directory.
fn head(dir: &Path) -> String {
    let out = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(dir).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// The declared checks and the digests of their declarations.
fn declared(config: &Path) -> Vec<(String, String)> {
    let loaded = runbook::Config::load(config).unwrap();
    loaded.config.checks.iter().map(|c| (c.id.clone(), c.threshold_digest())).collect()
}

async fn person(store: &Store) -> i64 {
    let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    let hash = Passwords::new(cost).unwrap().hash(PASSWORD.to_owned()).await.unwrap();
    let at = Millis(now());
    store
        .write(move |tx| {
            Box::pin(async move {
                let id = people::create(&mut *tx, "Ada", LOGIN, &Role::ALL, at).await.unwrap();
                people::set_password(tx, id, &hash).await.unwrap();
                Ok::<_, StoreError>(id)
            })
        })
        .await
        .unwrap()
}

/// The parts of a release.
fn parts(release: usize) -> ReleaseComponents {
    ReleaseComponents {
        values: [
            (ReleaseComponent::Commit, format!("{release:040x}")),
            (ReleaseComponent::Config, "c".repeat(64)),
            (ReleaseComponent::Env, "e".repeat(64)),
            (ReleaseComponent::Runbook, "r".repeat(64)),
        ]
        .into(),
        images: [("web".to_owned(), format!("sha256:{release:064x}"))].into(),
    }
}

/// Most releases were healthy, every third became a rollback target, every tenth was rolled back.
async fn all_releases(store: &Store, by: i64, head: &str, count: usize, first: i64) -> Vec<i64> {
    let mut all = Vec::new();
    for start in (0..count).step_by(BATCH / 4) {
        let numbers = start..count.min(start + BATCH / 4);
        let head = head.to_owned();
        let ids: Vec<i64> = store
            .write(move |tx| {
                Box::pin(async move {
                    let mut ids = Vec::new();
                    for number in numbers {
                        let at = Millis(first + i64::try_from(number).unwrap());
                        let ReleaseComponents { mut values, images } = parts(number);
                        if number + 1 == count {
                            values.insert(ReleaseComponent::Commit, head.clone());
                        }
                        let new = ReleaseComponents { values, images: Default::default() };
                        let new = NewRelease { parts: &new, subject: "A change", by, by_name: "Ada", at };
                        let id = releases::open(&mut *tx, &new).await?;
                        let mut events = vec![What::Deployed { images, migrations: Some(vec!["m1".into()]) }];
                        if number % 3 == 0 {
                            events.push(What::RollbackPoint);
                        }
                        if number % 10 == 5 {
                            events.push(What::RolledBackFrom);
                        }
                        for what in events {
                            let note = String::new();
                            let event = ReleaseEvent {
                                id: 0,
                                release: id,
                                what,
                                by,
                                by_name: "Ada".into(),
                                at,
                                run: None,
                                note,
                            };
                            releases::record(&mut *tx, &event).await?;
                        }
                        ids.push(id);
                    }
                    Ok::<_, StoreError>(ids)
                })
            })
            .await
            .unwrap();
        all.extend(ids);
    }
    all
}

/// The release of run or finding `number` of `count`: the last release is the current one for half of the time.
fn release_of(releases: &[i64], number: usize, count: usize) -> usize {
    (number * 2 * releases.len() / count.max(1)).min(releases.len() - 1)
}

async fn all_runs(store: &Store, by: i64, releases: &[i64], count: usize, first: i64) -> Vec<i64> {
    let mut all = Vec::new();
    for start in (0..count).step_by(BATCH) {
        let mut batch = Vec::new();
        for number in start..count.min(start + BATCH) {
            let of = |number: usize| release_of(releases, number, count);
            let is_first = number == 0 || of(number) != of(number - 1);
            batch.push((number, is_first, releases[of(number)]));
        }
        let ids: Vec<i64> = store
            .write(move |tx| {
                Box::pin(async move {
                    let mut ids = Vec::new();
                    for (number, is_first, release) in batch {
                        let (kind, subject) = match number % DEPLOY_EVERY {
                            n if n == 0 || is_first => (RunKind::Deploy, format!("release {release}")),
                            n if n % 10 == 1 => (RunKind::Step, format!("A.s{}", n % 3 + 1)),
                            _ => (RunKind::Check, "schedule".to_owned()),
                        };
                        let by = if kind == RunKind::Check { SCHEDULE } else { by };
                        let by_name = if kind == RunKind::Check { SCHEDULE_NAME } else { "Ada" };
                        let at = Millis(first + 60_000 * i64::try_from(number).unwrap());
                        let key = format!("bench-run-{number}");
                        let new = NewRun {
                            kind,
                            subject: &subject,
                            gate: None,
                            title: "Scheduled: note, file-1",
                            release: Some(release),
                            by,
                            by_name,
                            at,
                            key: Some(&key),
                        };
                        let id = runs::start(&mut *tx, &new).await?;
                        let ending = Ending {
                            at: at.plus(800),
                            outcome: RunOutcome::Passed,
                            exit: json!({"code": 0}),
                            result: json!({}),
                        };
                        runs::end(&mut *tx, id, &ending).await?;
                        ids.push(id);
                    }
                    Ok::<_, StoreError>(ids)
                })
            })
            .await
            .unwrap();
        all.extend(ids);
    }
    all
}

/// One in fifty findings did not pass.
async fn all_evidence(
    store: &Store,
    head: &str,
    checks: &[(String, String)],
    releases: &[i64],
    runs: &[i64],
    count: usize,
    first: i64,
) {
    for start in (0..count).step_by(BATCH) {
        let mut batch = Vec::new();
        for number in start..count.min(start + BATCH) {
            let release = release_of(releases, number, count);
            let mut found_on = parts(release);
            if release + 1 == releases.len() {
                found_on.values.insert(ReleaseComponent::Commit, head.to_owned());
            }
            let outcome = if number % 50 == 7 { Found::Fail } else { Found::Pass };
            batch.push(Evidence {
                id: 0,
                check: checks[number % checks.len()].0.clone(),
                finding: Finding {
                    outcome,
                    value: Some((number % 100) as f64),
                    saw: "the file is there, 12 bytes".into(),
                    wanted: "a file".into(),
                    next: "Write it".into(),
                },
                threshold_digest: checks[number % checks.len()].1.clone(),
                parts: found_on,
                release: releases[release],
                run: runs[number * runs.len() / count],
                by: SCHEDULE,
                at: Millis(first + 60_000 * i64::try_from(number * runs.len() / count).unwrap()),
            });
        }
        let write = store.write(move |tx| {
            Box::pin(async move {
                for found in &batch {
                    evidence::add(&mut *tx, found).await?;
                }
                Ok::<_, StoreError>(())
            })
        });
        write.await.unwrap();
    }
}

async fn all_events(store: &Store, by: i64, count: usize, first: i64) {
    for start in (0..count).step_by(BATCH) {
        let numbers = start..count.min(start + BATCH);
        let write = store.write(move |tx| {
            Box::pin(async move {
                for number in numbers {
                    let at = Millis(first + i64::try_from(number).unwrap());
                    let subject = format!("check {}", number % 20);
                    let event = Event {
                        actor: Some(by),
                        actor_name: "Ada".into(),
                        ..Event::new(at, None, AuditAction::CheckRun, subject)
                    }
                    .outcome(Outcome::Done)
                    .detail("1 of 1 checks passed; exit code 0");
                    audit::append(&mut *tx, &event).await?;
                }
                Ok::<_, StoreError>(())
            })
        });
        write.await.unwrap();
    }
}
