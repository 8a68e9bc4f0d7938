//! Stored digests: evidence, acceptances, sign-offs and decisions depend on them. If one of these values changes,
//! sign-offs become invalid on every installation that is upgraded. So they must never change: a new format gets a
//! new version, and the old format is still recognised.
//!
//! The first format of a check's digest contains the names of Rust types and fields. If this file fails after a
//! field was added, give the type a `Debug` that leaves the field out while it has its default.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use domain::check::Check;
use domain::check::Schedule;
use domain::digest::digest_fields;
use domain::preflight::{Finding, Weight};
use domain::release::{ReleaseComponent, ReleaseComponents};
use serde_json::{Value, json};

fn check(id: &str, spec: Value, want: Option<&str>) -> Check {
    Check {
        id: id.into(),
        title: id.into(),
        proves: vec![],
        spec: serde_json::from_value(spec).unwrap(),
        want: want.map(|want| want.parse().unwrap()),
        timeout_ms: 1,
        retries: 0,
        valid_for_ms: None,
        binds: vec![],
        images: vec![],
        schedule: Schedule::default(),
    }
}

/// One check of each kind.
fn samples() -> Vec<Check> {
    vec![
        check("unit", json!({ "kind": "command", "step": "A.s1" }), None),
        check(
            "coverage",
            json!({ "kind": "command", "run": "npm test", "value": { "regex": "lines ([0-9]+)" }, "inconclusive_exit": [2] }),
            Some(">= 65 %"),
        ),
        check(
            "health",
            json!({ "kind": "http", "url": "${web}/health", "status": [200, 204], "headers": { "A": "b" }, "body_contains": "ok" }),
            None,
        ),
        check("ports", json!({ "kind": "compose", "assert": "ports", "allowed": ["443"] }), None),
        check("mode", json!({ "kind": "env_file", "assert": "mode", "mode": "0600" }), None),
        check(
            "backup",
            json!({ "kind": "file", "path": "backups/*.dump", "max_age": "24h" }),
            Some(">= 1.5 MB"),
        ),
        check("clean", json!({ "kind": "git", "assert": "clean" }), None),
        check("db", json!({ "kind": "port", "address": "127.0.0.1:5432", "open": false }), None),
        check("drill", json!({ "kind": "drill" }), Some("< 60 s")),
        check("tls", json!({ "kind": "tls", "address": "example.org:443" }), Some(">= 14 days")),
        check(
            "up",
            json!({ "kind": "prometheus", "url": "${prom}", "assert": "target", "job": "web" }),
            None,
        ),
        check(
            "dash",
            json!({ "kind": "grafana", "dashboard": "abc", "variables": { "env": "staging" } }),
            None,
        ),
        check(
            "logs",
            json!({ "kind": "logs", "source": "loki", "assert": "fresh", "services": ["web"] }),
            None,
        ),
        check("rows", json!({ "kind": "database", "assert": "rows", "rows": { "media": 5 } }), None),
    ]
}

/// The digest as versions before 0.2 stored it.
fn first(check: &Check) -> String {
    let want = check.want.as_ref().map(ToString::to_string).unwrap_or_default();
    digest_fields([check.id.as_str(), &format!("{:?}", check.spec), &want])
}

const FIRST: &[(&str, &str)] = &[
    ("unit", "e554beafb02046b2399ba942e6b66b618690a9de17ff41fb2d92276b0f01d727"),
    ("coverage", "7da03f9bf778e3d104c0adcedfeccf1e296e8a9d418f0c165648e7880675bab8"),
    ("health", "2335c8f36e08dc4b9dd1dc7c93ed4ff73b47e82539b7d1b1f00ca2b9e7e0a26f"),
    ("ports", "1bd8cf7ea66fea69e2f74ca69236c372622c8193dc663ad0e9082d8a78b91503"),
    ("mode", "f3c1bc57d438d29d8b218df16d78826b6d2ee06b2d1de32e6b7979069ffe2422"),
    ("backup", "5454abb9f32af4e066eb6150ca171020fcaa5323153b8290c467c7c52f73208c"),
    ("clean", "907646e9f98654df6e301f21fe8395c080344d62b76ae17559e307fe029617f5"),
    ("db", "533eba3e88e4f47a11e4578b2a619cf13b03406731c39cbd544bb91771ee1bd4"),
    ("drill", "ab4b13341acb1262cf1ffc200f827fb6491ecfcdde98a55ad25e7ee799a3e7d2"),
    ("tls", "0f386eb7f8ed19f86927b4444511d7659891df276a63d7f5d72b3da8d45a506d"),
    ("up", "28badeff35998e4701d1e0f01b6891cf63503b0ed3d88da7f2eec05b5c3ecc1b"),
    ("dash", "3797b0064b564b9af66720637025d74a9d919888e275742f4f1096faf79afce7"),
    ("logs", "9bf48e216edc92ec6517241a3187cca41116a7ac6a9c4e32be6ca797a736d94d"),
    ("rows", "259701d5d58462fd24e72f438ffa96a78b51ee06ef031d7dbc66dc4961d8ff78"),
];

const SECOND: &[(&str, &str)] = &[
    ("unit", "2:a3dbdf1271fd6bffaa464640903cdfd0362935c3df481b771877de8954c58237"),
    ("coverage", "2:0644ceb2c3861b2859959ad276f644afdcdfd6e7cc9ded002b7c97df4e541dfa"),
    ("health", "2:022f8bb112de9950da27ca4d6d5432c49f05d4f66627541e533e2d52ba2c67f0"),
    ("ports", "2:7fc681e2fcb85879b3ba602fb85a7e154a7e6620c24f44ed3584f357f6c4bd25"),
    ("mode", "2:e1f0acc7b842123a0dd62d89c2f832ec7f0730edc5d569435e609bc23f2e5137"),
    ("backup", "2:303e4b05ba2108815c9a996feb44794e55e2802f070515001491c43b726288f0"),
    ("clean", "2:9d9b246ea2883a10894624c78dac60af0408b24a7cab0f7606f00d84cc54b30e"),
    ("db", "2:56749693fef31b6d35749ee2b2e293a3385c0d759974a3839289a2d116f3f18a"),
    ("drill", "2:2c9e333bb116e91b6025082acd71f7cd5eaf40db34adfa7def39990f1d9359d3"),
    ("tls", "2:cc29356322f9ba8efe2b83970180f9772d83ebbfecf81551ce89120c553561e9"),
    ("up", "2:e4dfe3ca8b1d082cfbe2a5e92baeacfb8c949a4d9285596c300d0f0e1c30f223"),
    ("dash", "2:6290a4ce03473f7b38dbbbaa1a63403d011dc90ad3bc43ff5f739c770d50d80d"),
    ("logs", "2:aa9ee94ebaa8a070f49af0616468513e37458edcced1eddfa98edfef28cbf888"),
    ("rows", "2:d502b08a51e52c379ade512c6f5e40e60a849b2c7b6c15769110a7d0f628fa36"),
];

#[test]
fn digests_of_checks_do_not_change_in_both_formats() {
    let firsts: Vec<(String, String)> = samples().iter().map(|c| (c.id.clone(), first(c))).collect();
    let seconds: Vec<(String, String)> =
        samples().iter().map(|c| (c.id.clone(), c.threshold_digest())).collect();
    let owned = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(id, digest)| ((*id).to_owned(), (*digest).to_owned())).collect()
    };
    assert_eq!(firsts, owned(FIRST));
    assert_eq!(seconds, owned(SECOND));
}

#[test]
fn stored_digests_of_both_formats_count_and_no_others() {
    let all = samples();
    for check in &all {
        let (old, new) = (first(check), check.threshold_digest());
        assert!(new.starts_with("2:") && !old.contains(':'));
        for stored in [&old, &new] {
            assert!(check.declared_as(stored) && check.declaration().matches(stored), "{}", check.id);
            for other in all.iter().filter(|other| other.id != check.id) {
                assert!(!other.declared_as(stored) && !other.declaration().matches(stored), "{}", check.id);
            }
        }
        let mut stricter = check.clone();
        stricter.want = Some("== 0".parse().unwrap());
        assert!(!stricter.declared_as(&old) && !stricter.declared_as(&new), "{}", check.id);
        assert!(!check.declared_as("") && !check.declared_as("2:") && !check.declared_as("3:00"));
    }
}

/// These are stored with waivers of preflight findings.
#[test]
fn digests_of_findings_do_not_change_in_both_formats() {
    let finding = Finding {
        gate: Some("C".into()),
        weight: Weight::Breaks,
        kind: "env-key-missing".into(),
        file: ".env".into(),
        line: 3,
        message: "TOKEN is missing".into(),
        hint: "Set it.".into(),
        about: vec!["example".into(), "TOKEN".into()],
    };
    let identity = finding.identity().unwrap();
    assert_eq!(identity.id, "C.p-42865c8f");
    assert_eq!(identity.digest, "2:42865c8f961d41ccf84760f5ac4151bcdb26cf576836139363ad24d6532d0200");
    let first = finding.first_identity().unwrap();
    assert_eq!(first.id, "C.p-7e80403a");
    assert_eq!(first.digest, "7e80403a682396d053bdfcdbf592f4c2a838bf1a86a52862b22bf3a031f84275");
}

#[test]
fn the_fingerprint_of_a_release_does_not_change() {
    let parts = ReleaseComponents {
        values: [
            ReleaseComponent::Commit,
            ReleaseComponent::Config,
            ReleaseComponent::Env,
            ReleaseComponent::Runbook,
        ]
        .into_iter()
        .map(|part| (part, format!("{}-1", part.label())))
        .collect(),
        images: [("web".to_owned(), "sha256:11".to_owned())].into(),
    };
    assert_eq!(parts.fingerprint(), "3e0085a30582d2dcea01690d27b8ad6d8bec3e9abd5073bbd8c6d48516cedf23");
}
