//! How often an assessment is computed.

use std::collections::BTreeSet;
use std::time::Instant;

use domain::role::Role;
use tempfile::TempDir;

use super::*;
use crate::NewPerson;

async fn engine() -> (TempDir, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("runbook.md", "# S\n\n## Phase 1 (Gate A)\n\nAcceptance (Gate A):\n- Coverage is high.\n");
    write("compose.yml", "services: {}\n");
    write("stagegate.toml", "runbook = \"runbook.md\"\n[stack]\nname = \"S\"\nfiles = [\"compose.yml\"]\n");
    let (config, data) = (dir.path().join("stagegate.toml"), dir.path().join("data"));
    let engine = Engine::open(config, data, "/nonexistent".into()).await.unwrap();
    (dir, engine)
}

/// The number of different assessments among these. All are held, so no address is reused.
fn different(assessment: &[Arc<Assessment>]) -> usize {
    assessment.iter().map(Arc::as_ptr).collect::<BTreeSet<_>>().len()
}

#[tokio::test]
async fn concurrent_requests_share_one_assessment() {
    let (_dir, engine) = engine().await;
    let began = Instant::now();
    let all: Vec<Arc<Assessment>> = std::thread::scope(|scope| {
        let ask = || (0..50).map(|_| engine.assessment()).collect::<Vec<_>>();
        let askers: Vec<_> = (0..40).map(|_| scope.spawn(ask)).collect();
        askers.into_iter().flat_map(|asker| asker.join().unwrap()).collect()
    });
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert_eq!(all.len(), 2_000);
    assert!(different(&all) <= 1 + seconds, "{} judgements in {seconds} s", different(&all));
}

#[tokio::test]
async fn a_missing_directory_is_taken_from_the_observation() {
    let (dir, engine) = engine().await;
    let qa = Actor { id: 1, name: "QA".into(), roles: vec![Role::Qa] };
    let offer = |directory_missing| {
        let observed = Observed { directory_missing, ..Observed::default() };
        engine.assess(Arc::new(observed)).offer_check(&qa, "unit")
    };
    let missing = offer(true);
    assert!(missing.reason().is_some_and(|why| why.contains("does not exist")), "{missing:?}");
    dir.close().unwrap();
    assert_eq!(offer(false), Permission::Allowed, "the directory is missing, but this was not observed yet");
}

#[tokio::test]
async fn an_assessment_is_renewed_after_a_write_or_a_second() {
    let (_dir, engine) = engine().await;
    let before = engine.assessment();
    let add = NewPerson { name: "Ada".into(), login: "ada".into(), roles: vec![] };
    engine.add_person(&add).await.unwrap();
    engine.refresh().await.unwrap();
    let began = Instant::now();
    let after = engine.assessment();
    assert_eq!((before.snapshot.people.len(), after.snapshot.people.len()), (0, 1));
    engine.refresh().await.unwrap();
    let again = engine.assessment();
    if began.elapsed().as_millis() < u128::from(RENEW_MS) {
        assert!(Arc::ptr_eq(&after, &again), "nothing was written");
    }
    tokio::time::sleep(std::time::Duration::from_millis(RENEW_MS + 20)).await;
    assert!(!Arc::ptr_eq(&after, &engine.assessment()), "waivers expire with time");
}
