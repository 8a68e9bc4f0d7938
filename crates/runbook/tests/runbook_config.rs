//! `stagegate.toml`: what is read, and that all mistakes are reported at once with their places.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use std::path::{Path, PathBuf};

use domain::check::CheckSpec;
use domain::release::ReleaseComponent;
use domain::role::Role;
use domain::runbook::{Problem, Severity};
use runbook::{Config, Loaded, OnFailedDeploy};
use tempfile::TempDir;

#[path = "runbook_config/data.rs"]
mod data;
#[path = "runbook_config/monitor.rs"]
mod monitor;
#[path = "runbook_config/schedule.rs"]
mod schedule;
#[path = "runbook_config/web.rs"]
mod web;

/// A directory with a runbook, a Compose file, an env example, and `toml` as its configuration.
fn project(toml: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/staging.md");
    std::fs::create_dir(dir.path().join("docs")).unwrap();
    std::fs::copy(data, dir.path().join("docs/staging.md")).unwrap();
    std::fs::write(dir.path().join("docker-compose.yml"), "services: {}\n").unwrap();
    std::fs::write(dir.path().join(".env.staging.example"), "PORT=3000\n").unwrap();
    let path = dir.path().join("stagegate.toml");
    std::fs::write(&path, toml).unwrap();
    (dir, path)
}

const GOOD: &str = r#"
runbook = "docs/staging.md"

[stack]
name = "Bookshelf staging"
project = "bookshelf"
directory = "."
files = ["docker-compose.yml"]
env_file = ".env.staging"
env_example = ".env.staging.example"
public_keys = ["NODE_ENV", "PORT"]
stateless = ["api"]

[stack.urls]
api = "http://127.0.0.1:${PORT:-3000}"

[deploy]
steps_before = ["E.s1"]
health_timeout = "90s"
on_failed_deploy = "rollback"
migrations = "docker compose exec -T api npm run -s db:list"
db_rollback = "npm run db:rollback"
smoke = ["health"]

[gates.A]
owners = ["Backend", "QA", "Devs"]

[[check]]
id = "coverage"
title = "Unit tests and coverage"
kind = "command"
proves = [
  { criterion = "A.1", contains = "coverage" },
  { matrix = "M.2", contains = "≥ 65%" },
  { checklist = "H.c2", contains = "test:ci" },
]
step = "A.s3"
timeout = "10m"
valid_for = "7d"
retries = 2
binds = ["commit", "env"]
expect = ">= 65 %"
value = { file = "coverage/coverage-summary.json", pointer = "/total/lines/pct" }

[[check]]
id = "health"
kind = "http"
proves = ["F.1", { criterion = "E.1", contains = "HEALTHY" }]
url = "${api}/health"
status = [200, 204]
"#;

fn load(toml: &str) -> Result<Loaded, Vec<Problem>> {
    let (_dir, path) = project(toml);
    Config::load(&path)
}

/// The errors as `line:column message (hint)`.
fn errors(toml: &str) -> Vec<String> {
    let problems = load(toml).expect_err("the configuration must be refused");
    problems
        .iter()
        .filter(|p| p.severity == Severity::Error)
        .map(|p| {
            assert!(p.file.as_deref().is_some_and(|f| f.ends_with("stagegate.toml")), "{p}");
            format!("{}:{} {} ({})", p.line, p.column, p.message, p.hint)
        })
        .collect()
}

#[test]
fn a_backup_before_deploys_and_a_recreated_database_require_a_backup_command() {
    let (_dir, path) =
        project(&GOOD.replace("[deploy]", "[deploy]\nbackup_before_deploy = true\ndb_recreate = \"x\""));
    let problems = Config::load(&path).unwrap_err();
    let said: Vec<_> = problems.iter().map(|one| one.message.as_str()).collect();
    assert!(said.contains(&"`backup_before_deploy` requires `db_backup`"), "{said:?}");
    assert!(said.contains(&"`db_recreate` requires `db_backup`"), "{said:?}");
    let whole = GOOD.replace("[deploy]", "[deploy]\nbackup_before_deploy = true\ndb_backup = \"pg_dump\"");
    let (_dir, path) = project(&format!("{whole}\n[rollback]\nenv_copy_key = \"../key\"\n"));
    let Loaded { config, .. } = Config::load(&path).unwrap();
    assert!(config.deploy.backup_before && config.rollback.keep == 3);
    assert!(config.rollback.env_copy_key.unwrap().ends_with("../key"));
}

#[test]
fn a_good_configuration_is_read_completely() {
    let Loaded { config, runbook, problems } = load(GOOD).unwrap();
    assert_eq!(runbook.gates.len(), 8);
    assert_eq!(config.stack.name, "Bookshelf staging");
    assert_eq!(config.stack.project.as_deref(), Some("bookshelf"));
    assert_eq!(config.stack.urls["api"], "http://127.0.0.1:${PORT:-3000}");
    assert_eq!(config.deploy.health_timeout_ms, 90_000);
    assert_eq!(config.deploy.on_failed, OnFailedDeploy::Rollback);
    assert_eq!(config.deploy.smoke, ["health"]);
    assert_eq!(config.gate_owners["A"], [Role::Backend, Role::Frontend, Role::Qa]);
    let [coverage, health] = config.checks.as_slice() else { panic!("{:?}", config.checks) };
    assert_eq!(coverage.proves, ["A.1", "M.2", "H.c2"]);
    assert_eq!(coverage.timeout_ms, 600_000);
    assert_eq!(coverage.valid_for_ms, Some(604_800_000));
    assert_eq!(coverage.retries, 2);
    assert_eq!(coverage.binds, [ReleaseComponent::Commit, ReleaseComponent::Env]);
    assert_eq!(coverage.want.as_ref().unwrap().to_string(), ">= 65 %");
    assert_eq!(coverage.spec.step(), Some("A.s3"));
    assert_eq!(health.title, "health");
    assert_eq!(health.binds, health.spec.default_binds());
    assert!(matches!(&health.spec, CheckSpec::Http { status, .. } if *status == [200, 204]));
    assert!(problems.iter().all(|p| p.severity == Severity::Note), "{problems:#?}");
    let env = problems.iter().find(|p| p.message.contains(".env.staging")).unwrap();
    assert_eq!((env.line, env.column), (9, 12));
    let attested = problems.iter().filter(|p| p.message.contains("attest")).count();
    assert_eq!(attested, runbook.criteria.len() - 3);
}

#[test]
fn a_short_configuration_gets_the_defaults() {
    let loaded = load("runbook = 'docs/staging.md'\n[stack]\n").unwrap();
    assert_eq!(loaded.config.stack.files, [PathBuf::from("docker-compose.yml")]);
    assert_eq!(loaded.config.stack.project, None);
    assert!(!loaded.config.stack.name.is_empty());
    assert_eq!(loaded.config.deploy.health_timeout_ms, 120_000);
    assert_eq!(loaded.config.deploy.on_failed, OnFailedDeploy::Stay);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let toml = r#"runbok = "x"
runbook = "docs/staging.md"
[stack]
nmae = "x"
directory = "nowhere"
public_keys = "PORT"
project = "Not Good"
[stack.urls]
api = "127.0.0.1"
[deploy]
health_timeout = "soon"
on_failed_deploy = "rolback"
smoke = ["helth"]
steps_before = ["E.s9"]
[gates.X]
owners = ["Quality", "Backnd"]
[[check]]
id = "one"
kind = "command"
proves = [{ criterion = "A.9" }, { criterion = "A.2", contains = "coverage" }, { criteria = "A.1" }]
step = "A.s99"
run = "true"
expect = "lots"
timeout = 5
binds = ["comit"]
[[check]]
id = "one"
kind = "http"
url = 3
metod = "GET"
status = ["ok"]
proves = []
[[check]]
kind = "htp"
[[check]]
id = "two words"
kind = "compose"
assert = "helthy"
proves = ["B.1"]
[[check]]
id = "three"
kind = "command"
proves = ["B.1", "Z.1"]
run = "x"
value = { fil = "a.json" }
retries = -1
"#;
    let expected = [
        "1:1 unknown key `runbok` in the file (did you mean `runbook`?)",
        "4:1 unknown key `nmae` in [stack] (did you mean `name`?)",
        "5:13 the directory “nowhere” does not exist",
        "7:11 “Not Good” is not a valid Compose project name",
        "9:7 `api` is not a web address",
        "11:18 `health_timeout`: “soon” is not a duration",
        "12:20 `on_failed_deploy` cannot be `rolback` (did you mean `rollback`?)",
        "13:10 `smoke` names the check `helth`, which does not exist (use one of: one, three)",
        "14:17 the runbook has no step `E.s9` (use one of: E.s1)",
        "15:8 the runbook has no Gate X (use one of: A, B, C, D, E, F, G, H)",
        "16:22 unknown role “Backnd” (did you mean `Backend`?)",
        "17:1 this command check has both `step` and `run`",
        "20:25 the runbook has no criterion `A.9` (use one of: A.1, A.2, A.3)",
        "20:66 the text of `A.2` does not contain “coverage”",
        "20:80 an entry of `proves` must have exactly one",
        "20:82 unknown key `criteria` in `proves` (did you mean `criterion`?)",
        "21:8 the runbook has no step `A.s99`",
        "23:10 `expect`: “lots” is not a threshold",
        "24:11 `timeout` must be a string in quotes, but is of type integer",
        "25:10 `comit` is not a part of a release (did you mean `commit`?)",
        "27:6 the check id `one` is already used in line 18",
        "27:6 the check `one` proves nothing",
        "29:7 `url`: invalid type",
        "30:1 unknown key `metod` in this check (did you mean `method`?)",
        "31:10 `status`: invalid type",
        "33:1 this check proves nothing",
        "33:1 this check has no `id`",
        "34:8 `kind` cannot be `htp` (did you mean `http`?)",
        "36:6 “two words” is not a valid check id",
        "38:10 `assert` cannot be `helthy` (did you mean `healthy`?)",
        "43:18 the runbook has no criterion, row or item `Z.1`",
        "45:11 unknown key `fil` in `value` (did you mean `file`?)",
        "46:11 `retries` must be a whole number",
    ];
    let found = errors(toml);
    for want in expected {
        assert!(found.iter().any(|e| e.starts_with(want)), "“{want}” is missing in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn checks_with_the_same_id_or_without_proves_are_errors() {
    let check = "[[check]]\nid = 'a'\nkind = 'git'\nassert = 'clean'\n";
    let toml = format!("runbook = 'docs/staging.md'\n[stack]\n{check}{check}");
    let found = errors(&toml);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with("4:6 the check `a` proves nothing"), "{found:#?}");
    assert!(found.iter().any(|e| e.starts_with("8:6 the check id `a` is already used in line 4")));
}

#[test]
fn a_missing_key_of_a_kind_is_named() {
    let toml = "runbook = 'docs/staging.md'\n[stack]\n[[check]]\nid = 'a'\nkind = 'http'\nproves = ['A.1']\n";
    let found = errors(toml);
    assert_eq!(found, ["3:1 this check is incomplete: missing field `url` ()"]);
}

#[test]
fn invalid_toml_is_reported_with_every_place() {
    let found = errors("runbook = \nname == 3\n[stack\n");
    assert!(found.len() >= 2, "{found:#?}");
    assert!(found[0].starts_with("1:") && found[1].starts_with("2:"), "{found:#?}");
    assert!(found.iter().all(|e| e.contains("not valid TOML")), "{found:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stagegate.toml");
    assert_eq!(Config::load(&path).unwrap_err().len(), 1);
    assert_eq!(Config::load(dir.path()).unwrap_err().len(), 1);
    std::fs::write(&path, b"a = '\xFF'\n").unwrap();
    assert!(Config::load(&path).unwrap_err()[0].message.contains("UTF-8"));
    std::fs::write(&path, "runbook = 'none.md'\n[stack]\nfiles = ['c.yml']\n").unwrap();
    let messages: Vec<String> = Config::load(&path).unwrap_err().into_iter().map(|p| p.message).collect();
    assert!(messages.iter().any(|m| m.contains("none.md")), "{messages:?}");
    assert!(messages.iter().any(|m| m.contains("c.yml")), "{messages:?}");
}

#[test]
fn a_reworded_criterion_makes_its_check_an_error() {
    let (dir, path) = project(GOOD);
    assert!(Config::load(&path).is_ok());
    let file = dir.path().join("docs/staging.md");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("are green (coverage ≥ 65%)", "are green")).unwrap();
    let problems = Config::load(&path).unwrap_err();
    let error = problems.iter().find(|p| p.severity == Severity::Error).unwrap();
    assert_eq!(error.message, "the text of `A.1` does not contain “coverage”");
    assert!(error.hint.contains("`test:ci` are green"), "{}", error.hint);
    assert_eq!((error.line, error.column), (33, 35));
}

#[test]
fn the_report_shows_what_proves_what_and_all_problems() {
    let (_dir, path) = project(GOOD);
    let report = preflight::report(&path);
    assert!(report.is_usable());
    let text = report.to_string();
    assert!(text.contains("[proved by coverage]"), "{text}");
    assert!(text.contains("no check proves A.2: a person must attest it"), "{text}");
    let (_dir, path) = project(&GOOD.replace("kind = \"http\"", "kind = \"htp\""));
    let broken = preflight::report(&path);
    assert!(!broken.is_usable());
    assert_eq!(broken.runbook.gates.len(), 8, "the runbook is reported all the same");
    assert!(broken.to_string().contains("cannot be `htp`"));
}

#[test]
fn attestations_waivers_and_checklist_parts_are_read_and_cross_checked() {
    use domain::rules::ChecklistPart;
    let with = |tables: &str| GOOD.replacen("[gates.A]", &format!("{tables}\n[gates.A]"), 1);
    let rules = load(&with(
        "[attestations]\nvalid_for = \"30d\"\n\"B.1\" = \"7d\"\n[waivers]\nmax_duration = \"60d\"\n\
         [checklist]\n\"H.c2\" = [\"A.1\", \"check:health\"]\n",
    ))
    .unwrap()
    .config
    .rules;
    assert_eq!(
        (rules.attested_for("B.1"), rules.attested_for("A.1")),
        (Some(604_800_000), Some(2_592_000_000))
    );
    assert_eq!(rules.waiver_longest(), 5_184_000_000);
    assert_eq!(
        rules.checklist["H.c2"],
        [ChecklistPart::Criterion("A.1".into()), ChecklistPart::Check("health".into())]
    );
    assert_eq!(load(GOOD).unwrap().config.rules, domain::rules::Rules::default());

    let wrong = errors(&with(
        "[attestations]\nvalid_for = \"soon\"\n\"Z.9\" = \"7d\"\n[waivers]\nlong = \"60d\"\n[checklist]\n\
         \"H.c2\" = [\"A.99\", \"check:helth\", \"health\"]\n\"H.c77\" = [\"A.1\"]\n\"H.c1\" = [\"A.1\"]\n",
    ));
    let told = wrong.join("\n");
    for part in [
        "`valid_for`: “soon” is not a duration",
        "`Z.9`, but there is no such criterion",
        "unknown key `long` in [waivers]",
        "no criterion `A.99`",
        "there is no check `helth` (did you mean `health`?)",
        "write “check:health”",
        "no checklist item `H.c77`",
        "`H.c1` is already computed from the gates",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!(wrong.len(), 8, "{told}");
}

#[test]
fn old_names_of_keys_work_and_are_noted() {
    let new = "runbook = 'docs/staging.md'\n[stack]\n[deploy]\ndb_backup = 'b'\ndb_recreate = 'c'\n[waivers]\nmax_duration = '60d'\n\
               [[check]]\nid = 'a'\nkind = 'command'\nrun = 'x'\nvalue = { regex = '(.)' }\nexpect = '>= 65 %'\n\
               proves = [{ criterion = 'A.1', contains = 'coverage' }, 'A.2']\n\
               [[check]]\nid = 'b'\nkind = 'command'\nrun = 'x'\nproves = ['A.2']\nidempotence = { contains = 'up to date' }\n";
    let old = new
        .replace("expect", "want")
        .replace("contains", "says")
        .replace("idempotence", "twice")
        .replace("max_duration", "longest")
        .replace("db_recreate", "db_fresh");
    let load = |toml: &str| {
        let (dir, path) = project(toml);
        let Loaded { config, problems, .. } = Config::load(&path).unwrap();
        drop(dir);
        (config.deploy, config.rules, config.checks, problems)
    };
    let (deploy, rules, checks, quiet) = load(new);
    assert!(quiet.iter().all(|p| !p.message.contains("old name")), "{quiet:#?}");
    let (old_deploy, old_rules, old_checks, problems) = load(&old);
    assert_eq!((deploy, rules), (old_deploy, old_rules));
    // Evidence found under the old names still counts.
    let digests =
        |checks: &[domain::check::Check]| checks.iter().map(|c| c.threshold_digest()).collect::<Vec<_>>();
    assert_eq!(digests(&checks), digests(&old_checks));
    assert_eq!(checks, old_checks);
    let noted: Vec<String> = problems
        .iter()
        .filter(|p| p.message.contains("old name"))
        .map(|p| format!("{}:{} {} / {}", p.line, p.column, p.message, p.hint))
        .collect();
    let note = |place: &str, old: &str, new: &str, count: &str| {
        let message = format!("`{old}` is the old name of `{new}`{count}; it still works in this version");
        format!("{place} {message} / write `{new}` instead")
    };
    assert_eq!(
        noted,
        [
            note("5:1", "db_fresh", "db_recreate", ""),
            note("7:1", "longest", "max_duration", ""),
            note("13:1", "want", "expect", ""),
            note("14:32", "says", "contains", ", used in 2 places"),
            note("20:1", "twice", "idempotence", ""),
        ]
    );
    assert!(problems.iter().all(|p| p.severity != Severity::Error));
    let both = errors(&new.replace("expect =", "want = '>= 1'\nexpect ="));
    assert_eq!(both.len(), 1, "{both:#?}");
    assert!(both[0].starts_with("13:1 `want` is the old name of `expect`, and both are set"), "{both:#?}");
}
