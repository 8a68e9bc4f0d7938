//! `plan.json`, `result.json` and `journal.json` are read by servers and supervisors of other versions: their forms
//! must not change. The texts were written by the version before the types were renamed.

use secrets::EnvSource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{DeployResult, DeployWork, Journal, RollbackResult, RollbackWork};

/// Reads the text as a `T` and writes it again: nothing is lost, added or renamed.
#[track_caller]
fn is_kept<T: DeserializeOwned + Serialize>(text: &str) -> T {
    let stored: Value = serde_json::from_str(text).unwrap();
    let read: T = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), stored);
    read
}

const PROJECT: &str = r#"{"name":"shop","dir":"/srv/shop","files":["/srv/shop/docker-compose.yml"],"env_file":"/srv/shop/.env"}"#;
const SERVICE: &str = r#"{"name":"web","health":"healthy","image":"sha256:1","tag":"shop-web","restarts":1,"started_at":5,
    "ports":["127.0.0.1:8080→80"],"container":"0123456789ab"}"#;
const FAILING: &str =
    r#"{"name":"web","health":"unhealthy","exit_code":3,"last_lines":["a","b"],"check_said":"not well"}"#;

#[test]
fn the_plan_of_a_deploy_keeps_its_form() {
    let work: DeployWork = is_kept(&format!(
        r#"{{"project":{PROJECT},"release_tag":"r7","build":true,"commit":"abc","build_env":{{"GIT_COMMIT":"abc"}},
            "health_timeout_ms":60000,"migrations_cmd":"list","keep_dir":"/data/rollback/7",
            "env_copy":{{"key":"/keys/copy","stack":"shop"}}}}"#
    ));
    assert_eq!(work.stack.dir(), std::path::Path::new("/srv/shop"));
    assert_eq!(work.stack.env_source().unwrap(), EnvSource::File("/srv/shop/.env".into()));
    assert_eq!(work.snapshot_dir, std::path::Path::new("/data/rollback/7"));
}

#[test]
fn the_result_of_a_deploy_keeps_its_form() {
    let result: DeployResult = is_kept(&format!(
        r#"{{"phase":"probing","ok":false,"images":{{"web":"sha256:1"}},"tags":["stagegate/keep/shop/web:r7"],
            "failing":[{FAILING}],"services":[{SERVICE}],"migrations":["001_users"],"config_kept":true,
            "message":"Not healthy."}}"#
    ));
    assert!(result.config_stored);
    assert_eq!(result.failing.first().unwrap().health_output, "not well");
}

#[test]
fn the_plan_of_a_rollback_keeps_its_form() {
    for (database, removal) in [
        (r#"{"kind":"keep_schema"}"#, r#""nothing""#),
        (r#"{"kind":"rollback_command","command":"undo"}"#, r#""containers""#),
        (
            r#"{"kind":"fresh","command":{"backup":"dump","fresh":"seed"}}"#,
            r#"{"volumes":{"backup":"dump","fill":"seed"}}"#,
        ),
    ] {
        let work: RollbackWork = is_kept(&format!(
            r#"{{"project":{PROJECT},"target":{{"release_tag":"r6","images":{{"web":"sha256:0"}},
                "keep_dir":"/data/rollback/6"}},"health_timeout_ms":60000,"changed":["web"],"stateless":["web"],
                "db":{database},"clean":{removal},"env":null}}"#
        ));
        assert_eq!(work.keeps_schema(), database.contains("keep_schema"));
    }
}

#[test]
fn the_result_of_a_rollback_keeps_its_form() {
    let result: RollbackResult = is_kept(&format!(
        r#"{{"phase":"done","ok":true,"missing":[],"proof":[{{"service":"web","wanted":"sha256:0","running":"sha256:0"}}],
            "kept_config":true,"services":[{SERVICE}],"failing":[],"heard":[{FAILING}],"outage_ms":900,
            "message":"Rolled back."}}"#
    ));
    assert!(result.used_stored_config && result.proof.iter().all(crate::Proof::holds));
    assert_eq!(result.last_logs.len(), 1);
}

#[test]
fn the_journal_keeps_its_form() {
    let journal: Journal = is_kept(
        r#"{"kind":"rollback","run":"12","project":"shop","release_tag":"r6","phase":"retagging","at":5,
            "images":{"web":"sha256:0"},"moved":{"shop-web":"sha256:1"},"undo":[
                {"kind":"name","name":"shop-web","before":"sha256:1","after":"sha256:0"},
                {"kind":"env","path":"/srv/shop/.env","copy":{"key":"/keys/copy","stack":"shop"},
                 "before":{"dir":"/data/rollback/6/replaced","release":"replaced"},
                 "after":{"dir":"/data/rollback/6","release":"r6"}}
            ],"ended":false}"#,
    );
    assert!(!journal.undo.is_empty() && !journal.succeeded());
}
