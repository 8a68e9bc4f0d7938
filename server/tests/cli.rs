//! The command line, as people and scripts use it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[path = "cli/texts.rs"]
mod texts;

fn stagegate(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stagegate"));
    // Settings and terminal width of the user who runs the tests must not matter.
    let settings = std::env::vars_os().map(|(name, _)| name);
    for name in settings.filter(|name| name.to_string_lossy().starts_with("STAGEGATE_")) {
        command.env_remove(name);
    }
    command.args(args).current_dir(dir).env_remove("COLUMNS").env("STAGEGATE_LOG", "off").output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A directory with a small runbook and its configuration.
fn stack(config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let runbook = "# S\n\n## Phase 1 (Gate A)\n\nAcceptance (Gate A):\n- Coverage is high.\n";
    std::fs::write(dir.path().join("runbook.md"), runbook).unwrap();
    std::fs::write(dir.path().join("compose.yml"), "services: {}\n").unwrap();
    std::fs::write(dir.path().join("stagegate.toml"), config).unwrap();
    dir
}

const PLAIN: &str = "runbook = \"runbook.md\"\n[stack]\nname = \"S\"\nfiles = [\"compose.yml\"]\n";

#[test]
fn check_lists_what_it_recognised_in_the_bundled_runbook() {
    let runbook = "end2end/medianest/docs/staging-runbook.md";
    let output = stagegate(&["check", "--runbook", runbook, "--json"], &repository());
    assert!(output.status.success(), "{}", err(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |key: &str| report[key].as_array().unwrap_or_else(|| panic!("{key} is a list")).len();
    let counts = ["gates", "matrix", "checklist", "dris", "signoff_roles", "ownership"].map(count);
    assert_eq!(counts, [8, 6, 7, 6, 6, 5]);
    assert_eq!(count("criteria"), 14);
    assert!(count("steps") > 20);
    assert!(report["problems"].is_array());
}

#[test]
fn the_bundled_configuration_fits_its_runbook() {
    let output = stagegate(&["check", "--config", "end2end/medianest/stagegate.toml"], &repository());
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    assert!(out(&output).contains("0 errors, 0 warnings"), "{}", out(&output));
}

#[test]
fn a_file_that_is_not_a_runbook_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("junk.md"), [0_u8, 255, 254, 7, b'#', b'\n', 0x80]).unwrap();
    let output = stagegate(&["check", "--runbook", "junk.md", "--json"], dir.path());
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!report["problems"].as_array().unwrap().is_empty());
}

#[test]
fn users_are_added_from_the_console_and_the_chain_verifies_until_it_is_tampered_with() {
    let dir = stack(PLAIN);
    let added = stagegate(&["user", "add", "ada", "--role", "qa", "--name", "Ada"], dir.path());
    assert!(added.status.success(), "{}", err(&added));
    assert!(stagegate(&["verify"], dir.path()).status.success());
    let database = dir.path().join(".stagegate/stagegate.db");
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        for (name,) in db.execute(\"select name from sqlite_master where type = 'trigger'\").fetchall():\n\
        \x20   db.execute('drop trigger ' + name)\n\
        db.execute(\"update audit_event set subject = 'eve' where seq = 1\")\n\
        db.commit()\n";
    let tampered = Command::new("python3").args(["-c", script]).arg(&database).output().unwrap();
    assert!(tampered.status.success(), "{}", err(&tampered));
    let broken = stagegate(&["verify"], dir.path());
    assert!(!broken.status.success() && err(&broken).contains("event 1"), "{}", err(&broken));
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        db.execute(\"insert into person_role values (1, 'devops')\")\n\
        db.commit()\n";
    let tampered = Command::new("python3").args(["-c", script]).arg(&database).output().unwrap();
    assert!(tampered.status.success(), "{}", err(&tampered));
    let broken = stagegate(&["verify"], dir.path());
    assert!(err(&broken).contains("person 1 was changed outside of Stagegate"), "{}", err(&broken));
}

/// Changes the database of a stack like an attacker with access to the file, and restores the triggers.
fn tamper(dir: &Path, sql: &str) {
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        triggers = db.execute(\"select name, sql from sqlite_master where type = 'trigger'\").fetchall()\n\
        drop = ''.join(f'drop trigger {name};' for name, _ in triggers)\n\
        back = ''.join(f'{sql};' for _, sql in triggers)\n\
        db.executescript(f'begin; {drop} {sys.argv[2]}; {back} commit')\n";
    let database = dir.join(".stagegate/stagegate.db");
    let done = Command::new("python3").args(["-c", script]).arg(database).arg(sql).output().unwrap();
    assert!(done.status.success(), "{}", err(&done));
}

#[test]
fn records_that_were_changed_on_purpose_are_accepted_with_a_reason_and_never_on_a_broken_log() {
    let dir = stack(PLAIN);
    let run = |args: &[&str]| stagegate(args, dir.path());
    assert!(run(&["user", "add", "ada", "--role", "qa"]).status.success());
    let nothing = run(&["verify", "--accept", "--reason", "none", "--yes"]);
    assert!(nothing.status.success() && out(&nothing).contains("nothing to accept"), "{}", err(&nothing));
    tamper(dir.path(), "update person set name = 'Ada Byron' where id = 1");
    let found = run(&["verify"]);
    assert!(!found.status.success() && err(&found).contains("stagegate verify --accept"), "{}", err(&found));
    let without_reason = run(&["verify", "--accept"]);
    assert!(err(&without_reason).contains("--reason"), "{}", err(&without_reason));
    // There is no answer.
    let asked = run(&["verify", "--accept", "--reason", "a typo"]);
    assert_eq!(asked.status.code(), Some(1));
    assert!(out(&asked).contains("person 1 was changed outside of Stagegate"), "{}", out(&asked));
    assert!(err(&asked).contains("nothing was accepted"), "{}", err(&asked));
    assert!(!run(&["verify"]).status.success());
    let accepted = run(&["verify", "--accept", "--reason", "a typo", "--yes"]);
    assert!(accepted.status.success() && out(&accepted).contains("Accepted 1 record"), "{}", err(&accepted));
    let whole = run(&["verify"]);
    assert!(whole.status.success(), "{}", err(&whole));
    tamper(dir.path(), "update person set name = 'Eve' where id = 1");
    tamper(dir.path(), "update audit_event set subject = 'eve' where seq = 1");
    let broken = run(&["verify", "--accept", "--reason", "a typo", "--yes"]);
    assert!(!broken.status.success(), "{}", out(&broken));
    for part in ["event 1", "last good backup"] {
        assert!(err(&broken).contains(part), "{}", err(&broken));
    }
}

#[test]
fn every_command_ends_without_an_error_when_its_output_is_closed() {
    let dir = stack(PLAIN);
    assert!(stagegate(&["user", "add", "ada", "--role", "qa"], dir.path()).status.success());
    let monitoring = ["monitoring", "--target", "127.0.0.1:9", "--out", "m1"];
    let commands: [&[&str]; 10] = [
        &["check"],
        &["check", "--json"],
        &["check", "--config", "nowhere.toml"],
        &["version"],
        &["--help"],
        &["user", "add", "bob"],
        &["user", "reset", "ada"],
        &["verify"],
        &["prune", "--dry-run"],
        &monitoring,
    ];
    for args in commands {
        for closes_errors in [false, true] {
            let mut child = Command::new(env!("CARGO_BIN_EXE_stagegate"))
                .args(args)
                .current_dir(dir.path())
                .env_remove("STAGEGATE_CONFIG")
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            drop(child.stdout.take());
            let mut said = String::new();
            let mut errors = child.stderr.take().unwrap();
            if !closes_errors {
                errors.read_to_string(&mut said).unwrap();
            }
            drop(errors);
            let status = child.wait().unwrap();
            assert!(!said.contains("panicked") && !said.contains("pipe"), "{args:?}: {said}");
            // A panic ends with 101, a signal with none.
            assert!(matches!(status.code(), Some(0..=2)), "{args:?}: {status}");
        }
    }
    assert!(dir.path().join("m1").is_dir(), "the command did its work nevertheless");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_stagegate")).arg("version").stdout(full).status().unwrap();
    assert!(!status.success(), "an output that cannot be written is a failure");
}

#[test]
fn check_shows_characters_that_hide_or_reorder_text() {
    let dir = stack(PLAIN);
    let runbook = "# S\n\n## Phase 1 \u{202e}hidden\u{202c} (Gate A)\n\nAcceptance (Gate A):\n- Cov\u{200b}erage is high.\n";
    std::fs::write(dir.path().join("runbook.md"), runbook).unwrap();
    let json = stagegate(&["check", "--json"], dir.path());
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(report.to_string().contains('\u{202e}'), "the JSON must decode to the same text");
    for output in [out(&stagegate(&["check"], dir.path())), out(&json)] {
        assert!(!output.chars().any(|c| matches!(c, '\u{202e}' | '\u{202c}' | '\u{200b}')), "{output}");
        assert!(output.contains("202e") || output.contains("\u{27e8}U+202E\u{27e9}"), "{output}");
    }
}

#[test]
fn the_last_admin_cannot_be_removed_from_the_console_either() {
    let dir = stack(PLAIN);
    let run = |args: &[&str]| stagegate(args, dir.path());
    assert!(run(&["user", "add", "ada", "--role", "admin"]).status.success());
    let refused = run(&["user", "roles", "ada", "qa"]);
    assert!(!refused.status.success() && err(&refused).contains("last admin"), "{}", err(&refused));
    assert!(run(&["user", "add", "bob", "--role", "admin"]).status.success());
    let done = run(&["user", "roles", "ada", "qa"]);
    assert!(done.status.success(), "{}", err(&done));
}
