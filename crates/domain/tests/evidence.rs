//! What evidence depends on: each part, one service's image, its age; and drift.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;

use domain::check::Schedule;
use domain::check::{Check, CheckSpec};
use domain::drift::{Drift, DriftKind, drift, parts_seen};
use domain::evidence::{Evidence, Finding, Outcome, Staleness, expires_at, expires_soon, staleness};
use domain::facts::Facts;
use domain::failures::failure_counts;
use domain::flaky::{flaky, trend};
use domain::item::{CheckState, Standing, check_state};
use domain::observed::{Health, Observed, Orphan, Service};
use domain::observed_changes::{Change, news};
use domain::release::{Release, ReleaseComponent, ReleaseComponents, ReleaseState};
use domain::runbook::Runbook;
use domain::schedule::{circle, due, in_order};
use domain::time::Millis;

const DAY: u64 = 86_400_000;

fn check(id: &str, binds: &[ReleaseComponent]) -> Check {
    Check {
        id: id.into(),
        title: id.into(),
        proves: vec![],
        spec: spec(serde_json::json!({ "kind": "git", "assert": "clean" })),
        want: None,
        timeout_ms: 1,
        retries: 0,
        valid_for_ms: None,
        binds: binds.to_vec(),
        images: vec![],
        schedule: Schedule::default(),
    }
}

fn spec(declared: serde_json::Value) -> CheckSpec {
    serde_json::from_value(declared).unwrap()
}

fn parts() -> ReleaseComponents {
    ReleaseComponents {
        values: ReleaseComponent::ALL
            .into_iter()
            .filter(|p| *p != ReleaseComponent::Images)
            .map(|p| (p, format!("{}-1", p.label())))
            .collect(),
        images: [
            ("backend".to_owned(), "sha256:b1".to_owned()),
            ("frontend".to_owned(), "sha256:f1".to_owned()),
        ]
        .into(),
    }
}

fn other(part: ReleaseComponent) -> ReleaseComponents {
    let mut parts = parts();
    match part {
        ReleaseComponent::Images => parts.images.insert("backend".into(), "sha256:b2".into()),
        part => parts.values.insert(part, format!("{}-2", part.label())),
    };
    parts
}

fn evidence(check: &Check, outcome: Outcome, at: i64) -> Evidence {
    Evidence {
        id: at,
        check: check.id.clone(),
        finding: Finding {
            outcome,
            value: Some(at as f64),
            saw: String::new(),
            wanted: String::new(),
            next: String::new(),
        },
        threshold_digest: check.threshold_digest(),
        parts: parts(),
        release: 1,
        run: at,
        by: 1,
        at: Millis(at),
    }
}

fn release(state: ReleaseState) -> Release {
    Release {
        id: 1,
        parts: parts(),
        subject: String::new(),
        opened_by: 1,
        opened_at: Millis(0),
        deployed_by: None,
        deployed_at: None,
        state,
        migrations: None,
        rollback_point_at: None,
    }
}

fn service(name: &str) -> Service {
    Service {
        name: name.into(),
        health: Health::Healthy,
        image: "sha256:b1".into(),
        tag: name.into(),
        restarts: 0,
        started_at: Some(Millis(0)),
        ports: vec![],
        container: name.into(),
    }
}

fn observed() -> Observed {
    Observed {
        engine_version: "20.10".into(),
        services: vec![service("backend"), service("frontend")],
        parts: parts(),
        env_mode: Some(0o100_600),
        ..Observed::default()
    }
}

/// The world at one moment.
struct World {
    now: Millis,
    checks: Vec<Check>,
    evidence: Vec<Evidence>,
    release: Release,
    observed: Observed,
    changes: Vec<Change>,
}

impl World {
    fn new(checks: Vec<Check>) -> World {
        let evidence = checks.iter().map(|c| evidence(c, Outcome::Pass, 10)).collect();
        let observed = observed();
        let changes = news(&[], &observed, Millis(1));
        World {
            now: Millis(200_000),
            checks,
            evidence,
            release: release(ReleaseState::Deployed),
            observed,
            changes,
        }
    }

    /// A change is observed at this time.
    fn sees(&mut self, at: i64, change: impl FnOnce(&mut Observed)) {
        change(&mut self.observed);
        let more = news(&self.changes, &self.observed, Millis(at));
        self.changes.extend(more);
    }

    fn with<T>(&self, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
        ask(&Facts {
            now: self.now,
            runbook: &Runbook::default(),
            checks: &self.checks,
            rules: domain::rules::Rules::NONE,
            attest: &[],
            findings: &[],
            gate_owners: &BTreeMap::new(),
            release: Some(&self.release),
            evidence: &self.evidence,
            failures: &failure_counts(&self.evidence),
            attestations: &[],
            waivers: &[],
            acceptances: &[],
            sign_offs: &[],
            decisions: &[],
            observed: &self.observed,
            changes: &self.changes,
            integrity: &[],
        })
    }

    fn state(&self, id: &str) -> CheckState {
        let check = self.checks.iter().find(|c| c.id == id).unwrap();
        self.with(|facts| check_state(check, facts))
    }

    fn drift(&self) -> Vec<Drift> {
        self.with(drift)
    }

    fn only_drift(&self) -> Drift {
        let all = self.drift();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    }
}

#[test]
fn evidence_becomes_stale_only_by_the_parts_it_binds_to() {
    for bound in ReleaseComponent::ALL {
        let check = check("c", &[bound]);
        let found = evidence(&check, Outcome::Pass, 0);
        for changed in ReleaseComponent::ALL {
            let stale = staleness(&found, &check, &other(changed), Millis(0));
            assert_eq!(!stale.is_empty(), bound == changed, "bound to {bound:?}, {changed:?} changed");
        }
        let mut unknown = parts();
        match bound {
            ReleaseComponent::Images => unknown.images.clear(),
            part => {
                unknown.values.remove(&part);
            }
        }
        assert!(!staleness(&found, &check, &unknown, Millis(0)).is_empty(), "unknown {bound:?} agrees");
    }
}

#[test]
fn a_rebuilt_frontend_does_not_affect_evidence_of_the_backend_image() {
    let mut backend = check("c", &[ReleaseComponent::Images]);
    backend.images = vec!["backend".into()];
    let found = evidence(&backend, Outcome::Pass, 0);
    let rebuilt = |service: &str| {
        let mut parts = parts();
        parts.images.insert(service.into(), "sha256:new".into());
        parts
    };
    assert!(staleness(&found, &backend, &rebuilt("frontend"), Millis(0)).is_empty());
    let stale = staleness(&found, &backend, &rebuilt("backend"), Millis(0));
    assert_eq!(stale[0].reason(), "the image of backend changed");
    let all = check("c", &[ReleaseComponent::Images]);
    assert_eq!(staleness(&found, &all, &rebuilt("frontend"), Millis(0)).len(), 1);
    // A service that the release does not have is unknown on both sides.
    backend.images = vec!["worker".into()];
    let stale = staleness(&found, &backend, &parts(), Millis(0));
    assert_eq!(stale[0].reason(), "the image of worker is not known for this release yet");
}

#[test]
fn reasons_name_what_changed() {
    let said = |was: &str, now: &str| {
        let check = check("c", &[ReleaseComponent::Commit]);
        let mut found = evidence(&check, Outcome::Pass, 0);
        found.parts.values.insert(ReleaseComponent::Commit, was.into());
        let mut here = parts();
        here.values.insert(ReleaseComponent::Commit, now.into());
        staleness(&found, &check, &here, Millis(0))[0].reason()
    };
    assert_eq!(said("3f2c9e1aaaa", "8a1b2c3bbbb"), "the commit changed 3f2c9e1 → 8a1b2c3");
    assert_eq!(said("3f2c9e1aaaa", "3f2c9e1aaaa+dirty:1"), "the tracked files changed on top of 3f2c9e1");
    assert_eq!(said("3f2c9e1aaaa+dirty:1", "8a1b2c3bbbb"), "the commit changed 3f2c9e1* → 8a1b2c3");
    let check = check("c", &ReleaseComponent::ALL);
    let found = evidence(&check, Outcome::Pass, 0);
    let words: Vec<String> = staleness(&found, &check, &ReleaseComponents::default(), Millis(0))
        .iter()
        .map(Staleness::reason)
        .collect();
    assert_eq!(
        words,
        [
            "the commit changed, or cannot be read",
            "the Compose configuration changed",
            "no image is known for this release yet",
            "the env file changed",
            "the runbook changed"
        ]
    );
}

#[test]
fn evidence_ages_and_warns_before() {
    let mut check = check("c", &[]);
    let found = evidence(&check, Outcome::Pass, 1_000);
    assert_eq!(expires_at(&found, &check), None);
    assert!(!expires_soon(&found, &check, Millis(i64::MAX)));
    check.valid_for_ms = Some(10_000);
    assert_eq!(expires_at(&found, &check), Some(Millis(11_000)));
    for (now, soon, stale) in [
        (1_000, false, false),
        (9_999, false, false),
        (10_000, true, false),
        (11_000, true, false),
        (11_001, false, true),
    ] {
        assert_eq!(expires_soon(&found, &check, Millis(now)), soon, "{now}");
        assert_eq!(!staleness(&found, &check, &parts(), Millis(now)).is_empty(), stale, "{now}");
    }
    // With a validity of a month, "soon" is the last day, not the last three days.
    check.valid_for_ms = Some(30 * DAY);
    let end = 1_000 + 30 * DAY as i64;
    assert!(!expires_soon(&found, &check, Millis(end - DAY as i64 - 1)));
    assert!(expires_soon(&found, &check, Millis(end - DAY as i64)));
}

#[test]
fn observed_changes_make_evidence_stale_with_their_time() {
    let mut backend = check("backend", &[ReleaseComponent::Images]);
    backend.images = vec!["backend".into()];
    let mut frontend = check("frontend", &[ReleaseComponent::Images]);
    frontend.images = vec!["frontend".into()];
    let mut w = World::new(vec![
        backend,
        frontend,
        check("env", &[ReleaseComponent::Env]),
        check("commit", &[ReleaseComponent::Commit]),
    ]);
    let standing = |w: &World| ["backend", "frontend", "env", "commit"].map(|id| w.state(id).standing);
    assert_eq!(standing(&w), [Standing::Pass; 4]);
    w.sees(500, |o| {
        o.parts.images.insert("backend".into(), "sha256:b2".into());
    });
    assert_eq!(standing(&w), [Standing::Stale, Standing::Pass, Standing::Pass, Standing::Pass]);
    let stale = &w.state("backend").stale[0];
    assert_eq!((stale.reason().as_str(), stale.at()), ("the image of backend changed", Some(Millis(500))));
    // After it is restored, the evidence counts again.
    w.sees(600, |o| o.parts = parts());
    assert_eq!(standing(&w), [Standing::Pass; 4]);
    w.sees(700, |o| {
        o.parts.values.insert(ReleaseComponent::Env, "env-2".into());
    });
    assert_eq!(standing(&w), [Standing::Pass, Standing::Pass, Standing::Stale, Standing::Pass]);
    assert_eq!(w.state("env").stale[0].at(), Some(Millis(700)));
    // A new HEAD does not affect a deployed release, but it affects a release that was never deployed.
    w.sees(800, |o| {
        o.parts = parts();
        o.parts.values.insert(ReleaseComponent::Commit, "commit-2".into());
    });
    assert_eq!(standing(&w), [Standing::Pass; 4]);
    w.release.state = ReleaseState::Opened;
    assert_eq!(standing(&w)[3], Standing::Stale);
    assert_eq!(w.state("commit").stale[0].at(), Some(Millis(800)));
    // What cannot be observed invalidates nothing.
    w.observed.parts = ReleaseComponents::default();
    assert_eq!(standing(&w), [Standing::Pass; 4]);
}

#[test]
fn evidence_found_on_drifted_parts_does_not_count_for_the_release() {
    let mut w = World::new(vec![check("c", &[ReleaseComponent::Images])]);
    w.sees(500, |o| {
        o.parts.images.insert("backend".into(), "sha256:b2".into());
    });
    let mut found = evidence(&w.checks[0], Outcome::Pass, 20);
    found.parts = w.observed.parts.clone();
    w.evidence.push(found);
    assert_eq!(w.state("c").standing, Standing::Stale);
    assert_eq!(parts_seen(&w.release, &w.observed.parts).images["backend"], "sha256:b2");
}

#[test]
fn each_drift_has_difference_time_next_step_and_effect() {
    let world = || {
        let mut env = check("env-mode", &[ReleaseComponent::Env]);
        env.spec = spec(serde_json::json!({ "kind": "env_file", "assert": "mode" }));
        World::new(vec![
            check("smoke", &[ReleaseComponent::Images, ReleaseComponent::Env]),
            check("unit", &[ReleaseComponent::Commit]),
            env,
        ])
    };
    assert!(world().drift().is_empty());
    type Case = (DriftKind, bool, &'static str, fn(&mut Observed));
    let cases: [Case; 9] = [
        (DriftKind::Image, true, "Stale checks: smoke", |o| {
            o.parts.images.insert("backend".into(), "sha256:b2".into());
        }),
        (DriftKind::Tag, false, "Compose would start a different one", |o| {
            o.moved_tags = vec!["backend".into()]
        }),
        (DriftKind::Loop, true, "run for 1 minute", |o| {
            o.services[0].restarts = 4;
            o.services[0].started_at = Some(Millis(199_000));
        }),
        (DriftKind::Gone, false, "Blocks Go", |o| {
            o.services[0].health = Health::Missing;
            o.parts.images.remove("backend");
        }),
        (DriftKind::Orphan, false, "Blocks nothing", |o| {
            o.orphans = vec![Orphan { container: "old-1".into(), service: "old".into(), image: "i".into() }];
        }),
        (DriftKind::Env, true, "Stale checks: smoke, env-mode", |o| {
            o.parts.values.insert(ReleaseComponent::Env, "env-2".into());
        }),
        (DriftKind::EnvMode, true, "env-mode", |o| o.env_mode = Some(0o100_644)),
        (DriftKind::Config, false, "still shows release #1", |o| {
            o.parts.values.insert(ReleaseComponent::Config, "config-2".into());
        }),
        (DriftKind::Commit, false, "still shows release #1", |o| {
            o.parts.values.insert(ReleaseComponent::Commit, "commit-2".into());
        }),
    ];
    for (kind, blocks, effect, change) in cases {
        let mut w = world();
        w.sees(150_000, change);
        let seen = w.only_drift();
        assert_eq!((seen.kind, seen.blocks, seen.since), (kind, blocks, Some(Millis(150_000))), "{seen:?}");
        assert!(seen.effect.contains(effect), "{seen:?}");
        assert!(!seen.what.is_empty() && seen.next.ends_with('.'), "{seen:?}");
        // After it is restored, there is no drift.
        w.sees(160_000, |o| *o = observed());
        assert!(w.drift().is_empty(), "{kind:?}");
    }
}

#[test]
fn an_undeployed_release_drifts_in_its_files_only_and_not_while_docker_is_unreachable() {
    let mut w = World::new(vec![check("unit", &[ReleaseComponent::Commit])]);
    w.release.state = ReleaseState::Opened;
    w.release.parts.images.clear();
    w.sees(5, |o| {
        o.parts.images.insert("backend".into(), "sha256:b9".into());
        o.parts.values.insert(ReleaseComponent::Commit, "commit-2".into());
    });
    let seen = w.only_drift();
    assert_eq!(seen.kind, DriftKind::Commit);
    assert!(seen.effect.contains("Stale checks: unit. The next run opens a new release."), "{seen:?}");
    let mut w = World::new(vec![]);
    w.sees(5, |o| {
        o.unreachable_since = Some(Millis(5));
        o.services[0].health = Health::Missing;
        o.parts.images.insert("backend".into(), "sha256:b9".into());
    });
    assert!(w.drift().is_empty());
}

#[test]
fn a_less_strict_mode_invalidates_a_pass_and_hides_no_failure() {
    let mut mode = check("mode", &[ReleaseComponent::Env]);
    mode.spec = spec(serde_json::json!({ "kind": "env_file", "assert": "mode", "mode": "0640" }));
    let mut w = World::new(vec![mode, check("other", &[ReleaseComponent::Env])]);
    w.sees(50, |o| o.env_mode = Some(0o100_640));
    assert_eq!(w.state("mode").standing, Standing::Pass, "as lax as it may be");
    w.sees(60, |o| o.env_mode = Some(0o100_644));
    assert_eq!((w.state("mode").standing, w.state("other").standing), (Standing::Stale, Standing::Pass));
    let stale = &w.state("mode").stale[0];
    assert_eq!((stale.reason().as_str(), stale.at()), ("the env file now has mode 0644", Some(Millis(60))));
    let failed = evidence(&w.checks[0], Outcome::Fail, 70);
    w.evidence.push(failed);
    assert_eq!(w.state("mode").standing, Standing::Fail);
    // After it is fixed, the failure counts until the check runs again.
    w.sees(80, |o| o.env_mode = Some(0o100_600));
    assert_eq!(w.state("mode").standing, Standing::Fail);
}

#[test]
fn an_allowed_less_strict_mode_is_not_a_drift() {
    let mut w = World::new(vec![check("unit", &[])]);
    w.sees(5, |o| o.env_mode = Some(0o100_644));
    assert!(w.drift().is_empty(), "no check requires a mode");
}

#[test]
fn flaky_means_passed_and_failed_on_the_same_parts() {
    let check = check("c", &[ReleaseComponent::Commit]);
    let found = |outcomes: &[Outcome]| -> Vec<Evidence> {
        outcomes.iter().enumerate().map(|(i, o)| evidence(&check, *o, i as i64)).collect()
    };
    use Outcome::{Fail, Inconclusive, Pass};
    let label = |list: &[Evidence]| flaky(&check, list.iter()).map(|f| f.label());
    assert_eq!(label(&found(&[Pass, Pass])), None);
    assert_eq!(label(&found(&[Fail, Fail])), None);
    assert_eq!(label(&found(&[Inconclusive, Pass])), None, "inconclusive is not failed");
    assert_eq!(label(&found(&[Pass, Fail, Pass])).as_deref(), Some("flaky: 1 of the last 3 did not pass"));
    let mut many = found(&[Fail, Fail, Pass, Pass, Pass, Pass, Pass, Pass, Fail, Inconclusive, Pass, Pass]);
    assert_eq!(label(&many).as_deref(), Some("flaky: 2 of the last 10 did not pass"));
    // A failure that was fixed by another commit is not flakiness.
    for old in &mut many[..9] {
        old.parts = other(ReleaseComponent::Commit);
    }
    assert_eq!(label(&many), None);
    let mut loose = check.clone();
    loose.binds.clear();
    assert_eq!(flaky(&loose, found(&[Fail, Pass]).iter()), None);
}

#[test]
fn a_trend_has_the_last_value_of_each_release() {
    let check = check("c", &[]);
    let mut list: Vec<Evidence> = (0..40).map(|i| evidence(&check, Outcome::Pass, i)).collect();
    for (i, e) in list.iter_mut().enumerate() {
        e.release = i as i64 / 2;
    }
    list[3].finding.value = None;
    let points = trend("c", list.iter());
    assert_eq!(points.len(), 12);
    assert_eq!((points[11].release, points[11].value), (19, 39.0));
    assert_eq!(trend("c", list[..4].iter()).iter().map(|p| p.value).collect::<Vec<_>>(), [1.0, 2.0]);
    assert!(trend("other", list.iter()).is_empty());
}

fn after(id: &str, after: &[&str]) -> Check {
    let mut check = check(id, &[]);
    check.schedule.after = after.iter().map(|a| (*a).to_owned()).collect();
    check
}

#[test]
fn checks_are_put_in_order() {
    let step = |id: &str, step: &str| {
        let mut check = check(id, &[]);
        check.spec = spec(serde_json::json!({ "kind": "command", "step": step }));
        check
    };
    let ids = |checks: &[Check]| {
        let steps = ["A.s1".to_owned(), "A.s2".to_owned()];
        in_order(checks, &steps).iter().map(|c| c.id.clone()).collect::<Vec<_>>()
    };
    let checks = [after("a", &["b"]), after("b", &["late"]), step("late", "A.s2"), step("early", "A.s1")];
    assert_eq!(ids(&checks), ["early", "late", "b", "a"]);
    assert_eq!(ids(&[after("x", &["not here"]), after("y", &[])]), ["x", "y"]);
    let round = [after("a", &["b"]), after("b", &["c"]), after("c", &["b"])];
    assert_eq!(ids(&round).len(), 3, "a circle does not hang");
    let mut found = circle(&round).unwrap();
    found.sort();
    assert_eq!(found, ["b", "c"]);
    assert_eq!(circle(&checks), None);
    assert_eq!(circle(&[after("a", &["a"])]).unwrap(), ["a"]);
}

#[test]
fn each_check_is_due_once_however_late() {
    let mut c = check("c", &[]);
    c.schedule.every_ms = Some(600);
    let checks = [c.clone(), check("never", &[])];
    let none = BTreeMap::new();
    let ids = |evidence: &[Evidence], tried: &BTreeMap<String, Millis>, now| {
        due(&checks, evidence, tried, Millis(now)).iter().map(|c| c.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[], &none, 0), ["c"]);
    let found = [evidence(&c, Outcome::Fail, 1_000)];
    assert!(ids(&found, &none, 1_599).is_empty());
    assert_eq!(ids(&found, &none, 1_600), ["c"]);
    assert_eq!(ids(&found, &none, 900_000_000), ["c"]);
    // An attempt without evidence counts too; it must not be repeated all the time.
    let tried = BTreeMap::from([("c".to_owned(), Millis(1_700))]);
    assert!(ids(&found, &tried, 2_000).is_empty());
}

#[test]
fn which_checks_run_automatically_and_in_parallel() {
    let of = |declared: &str| {
        let mut check = check("c", &[]);
        check.spec = serde_json::from_str(declared).unwrap();
        (check.spec.only_reads(), check.runs_beside_others())
    };
    assert_eq!(of(r#"{"kind":"http","url":"http://x"}"#), (true, true));
    assert_eq!(of(r#"{"kind":"http","url":"http://x","method":"post"}"#), (false, false));
    assert_eq!(of(r#"{"kind":"http","url":"http://x","requests":20,"measure":"p95"}"#), (true, false));
    assert_eq!(of(r#"{"kind":"command","run":"true"}"#), (false, false));
    assert_eq!(of(r#"{"kind":"port","address":"x:1"}"#), (true, true));
    assert_eq!(of(r#"{"kind":"prometheus","url":"http://x","assert":"target"}"#), (true, true));
    assert_eq!(of(r#"{"kind":"prometheus","url":"http://x","assert":"alert"}"#), (false, false));
    let mut command = check("c", &[]);
    command.spec = spec(serde_json::json!({ "kind": "command", "run": "true" }));
    command.schedule.parallel = Some(true);
    assert!(command.runs_beside_others());
}
