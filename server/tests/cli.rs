//! The command line, as people and scripts meet it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn stagegate(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stagegate"))
        .args(args)
        .current_dir(dir)
        .env_remove("STAGEGATE_CONFIG")
        .output()
        .unwrap()
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
fn check_tells_what_it_recognised_in_the_bundled_runbook() {
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
fn all_mistakes_of_a_configuration_are_told_at_once_with_their_places() {
    let config = format!(
        "{PLAIN}colour = \"red\"\n\n[[check]]\nid = \"a\"\nkind = \"command\"\nrun = \"true\"\n\n\
         [[check]]\nid = \"b\"\nkind = \"command\"\nrun = \"true\"\n\
         proves = [{{ criterion = \"A.1\", says = \"latency\" }}, {{ criterion = \"Z.9\" }}]\n"
    );
    let dir = stack(&config);
    let output = stagegate(&["check"], dir.path());
    assert!(!output.status.success());
    let text = out(&output);
    for part in ["colour", "proves nothing", "latency", "Z.9"] {
        assert!(text.contains(part), "“{part}” is missing in:\n{text}");
    }
    assert!(text.contains("stagegate.toml:5:1"), "file, line and column:\n{text}");
    let served = stagegate(&["verify"], dir.path());
    assert!(!served.status.success() && err(&served).contains("colour"), "{}", err(&served));
}

#[test]
fn a_runbook_that_is_none_is_reported_and_not_fatal() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("junk.md"), [0_u8, 255, 254, 7, b'#', b'\n', 0x80]).unwrap();
    let output = stagegate(&["check", "--runbook", "junk.md", "--json"], dir.path());
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!report["problems"].as_array().unwrap().is_empty());
    let missing = stagegate(&["check", "--runbook", "nowhere.md"], dir.path());
    assert!(err(&missing).contains("nowhere.md"), "{}", err(&missing));
}

#[test]
fn people_are_added_from_the_console_and_the_chain_verifies_until_somebody_tampers() {
    let dir = stack(PLAIN);
    let added = stagegate(&["user", "add", "ada", "--role", "qa", "--name", "Ada"], dir.path());
    assert!(added.status.success() && out(&added).contains("/link/"), "{}", err(&added));
    let again = stagegate(&["user", "add", "ada"], dir.path());
    assert!(!again.status.success() && err(&again).contains("taken"), "{}", err(&again));
    let roles = stagegate(&["user", "roles", "ada", "po", "admin"], dir.path());
    assert!(out(&roles).contains("PO, Admin"), "{}", err(&roles));
    let wrong = stagegate(&["user", "roles", "ada", "king"], dir.path());
    assert!(!wrong.status.success() && err(&wrong).contains("king"), "{}", err(&wrong));
    let verified = stagegate(&["verify"], dir.path());
    assert!(verified.status.success() && out(&verified).contains("whole"), "{}", err(&verified));
    let printed = out(&verified);
    let head = printed.lines().find_map(|l| l.strip_prefix("Head: ")).unwrap().to_owned();
    let expected = stagegate(&["verify", "--expect", &head], dir.path());
    assert!(expected.status.success(), "{}", err(&expected));
    let (_, hash) = head.split_once(':').unwrap();
    let other = hash.chars().rev().collect::<String>();
    let cut = stagegate(&["verify", "--expect", &other], dir.path());
    assert!(!cut.status.success() && err(&cut).contains("cut or rewritten"), "{}", err(&cut));
    let nonsense = stagegate(&["verify", "--expect", "yesterday"], dir.path());
    assert!(err(&nonsense).contains("64 hex digits"), "{}", err(&nonsense));

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

/// Changes the database of a stack as somebody with the file could.
fn tamper(dir: &Path, sql: &str) {
    let script = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1])\n\
        for (name,) in db.execute(\"select name from sqlite_master where type = 'trigger'\").fetchall():\n\
        \x20   db.execute('drop trigger ' + name)\n\
        db.execute(sys.argv[2])\n\
        db.commit()\n";
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
    // Nobody answers.
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
fn what_retention_would_remove_is_told() {
    let dir = stack(PLAIN);
    let none = stagegate(&["prune", "--dry-run"], dir.path());
    assert!(none.status.success() && out(&none).contains("has no [retention]"), "{}", err(&none));
    let dir = stack(&format!("{PLAIN}\n[retention]\nruns = \"90d\"\n"));
    let dry = stagegate(&["prune", "--dry-run"], dir.path());
    assert!(dry.status.success(), "{}", err(&dry));
    assert!(out(&dry).contains("Would remove the logs of 0 runs (0 bytes)."), "{}", out(&dry));
    let dir = stack(&format!("{PLAIN}\n[retention]\nruns = \"1h\"\n"));
    let short = stagegate(&["prune"], dir.path());
    assert!(err(&short).contains("at least one day"), "{}", err(&short));
}

#[test]
fn a_copy_of_the_env_file_that_is_not_there_is_told_by_its_reason() {
    let dir = stack(PLAIN);
    let none = stagegate(&["env-copy", "1"], dir.path());
    assert!(!none.status.success() && err(&none).contains("env_copy_key"), "{}", err(&none));
    let dir = stack(&format!("{PLAIN}\n[rollback]\nenv_copy_key = \"env.key\"\n"));
    let missing = stagegate(&["env-copy", "1"], dir.path());
    assert!(!missing.status.success() && err(&missing).contains("env.sealed"), "{}", err(&missing));
    assert!(!dir.path().join("env.key").exists(), "a question makes no key");
}

#[test]
fn help_and_version_say_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let help = out(&stagegate(&["--help"], dir.path()));
    for command in ["serve", "check", "user", "verify", "version"] {
        assert!(help.contains(command), "{help}");
    }
    assert!(!help.contains("supervise"), "that one is not for people");
    assert!(out(&stagegate(&["version"], dir.path())).contains("SQLite 3."));
    let refused =
        stagegate(&["serve", "--demo", "--listen", "0.0.0.0:0", "--site", "."], stack(PLAIN).path());
    assert!(!refused.status.success());
}

#[test]
fn every_command_ends_quietly_when_nobody_reads_its_output() {
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
    assert!(dir.path().join("m1").is_dir(), "the command did its work all the same");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_stagegate")).arg("version").stdout(full).status().unwrap();
    assert!(!status.success(), "an output that cannot be written is a failure");
}

#[test]
fn what_hides_or_turns_text_is_shown_by_check() {
    let dir = stack(PLAIN);
    let runbook = "# S\n\n## Phase 1 \u{202e}hidden\u{202c} (Gate A)\n\nAcceptance (Gate A):\n- Cov\u{200b}erage is high.\n";
    std::fs::write(dir.path().join("runbook.md"), runbook).unwrap();
    let json = stagegate(&["check", "--json"], dir.path());
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(report.to_string().contains('\u{202e}'), "the same text is meant");
    for output in [out(&stagegate(&["check"], dir.path())), out(&json)] {
        assert!(!output.chars().any(|c| matches!(c, '\u{202e}' | '\u{202c}' | '\u{200b}')), "{output}");
        assert!(output.contains("202e") || output.contains("\u{27e8}U+202E\u{27e9}"), "{output}");
    }
}
