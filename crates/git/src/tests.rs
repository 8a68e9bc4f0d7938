use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Instant;

use super::*;

const WHO: [&str; 6] = ["-c", "user.name=T", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"];

fn git(dir: &Path, words: &[&str]) -> String {
    let done = Command::new("git").args(WHO).args(words).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

fn commit_all(dir: &Path, message: &str) {
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-qm", message]);
}

fn checkout(dir: &Path) {
    git(dir, &["init", "-q"]);
    fs::write(dir.join("a"), "1\n").unwrap();
    fs::write(dir.join("b.big"), "big\n").unwrap();
    commit_all(dir, "First words");
}

async fn commit(dir: &Path) -> String {
    see(dir).await.unwrap().unwrap().commit
}

#[tokio::test]
async fn other_tasks_continue_while_a_checkout_is_searched() {
    let home = tempfile::tempdir().unwrap();
    let others = tokio::spawn(async {});
    for _ in 0..20 {
        assert_eq!(see(home.path()).await, Ok(None));
    }
    assert!(others.is_finished(), "the only thread of this runtime was blocked");
}

#[tokio::test]
async fn a_changed_tracked_file_shows_and_an_untracked_one_does_not() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    assert_eq!(see(dir).await, Ok(None), "no checkout, no commit");
    git(dir, &["init", "-q"]);
    assert!(see(dir).await.is_err(), "without a commit it is an error");
    assert!(head(Caller::Server, dir).await.is_err());
    checkout(dir);
    let clean = see(dir).await.unwrap().unwrap();
    assert_eq!((clean.commit.len(), clean.subject.as_str()), (40, "First words"));
    assert_eq!(head(Caller::Server, dir).await.unwrap().as_deref(), Some(clean.commit.as_str()));
    fs::write(dir.join("c"), "new").unwrap();
    assert_eq!(commit(dir).await, clean.commit);
    fs::write(dir.join("a"), "2\n").unwrap();
    let second = commit(dir).await;
    assert!(second.starts_with(&format!("{}+dirty:", clean.commit)), "{second}");
    // The digest is that of earlier versions, so that an upgrade does not change the release of a changed tree.
    let status = "git status --porcelain --untracked-files=no -- .";
    let script = format!("({status}; git diff HEAD --binary -- .) | sha256sum | cut -c1-16");
    let old = Command::new("sh").args(["-c", &script]).current_dir(dir).output().unwrap();
    let old = String::from_utf8(old.stdout).unwrap();
    assert_eq!(second, format!("{}+dirty:{}", clean.commit, old.trim()));
    fs::write(dir.join("a"), "3\n").unwrap();
    assert_ne!(second, commit(dir).await, "another change is another release");
    fs::write(dir.join("a"), "1\n").unwrap();
    assert_eq!(commit(dir).await, clean.commit);
    assert!(!is_ignored(dir, &dir.join("x.log")));
    fs::write(dir.join(".gitignore"), "*.log\n").unwrap();
    assert!(is_ignored(dir, &dir.join("x.log")));
}

/// Everything in a repository that git would run as the user who reads it.
fn set_traps(dir: &Path, marker: &Path) {
    let trap = dir.join(".git/trap.sh");
    let script = format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", marker.display());
    fs::write(&trap, &script).unwrap();
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    let trap = trap.to_str().unwrap().to_owned();
    let hooks = dir.join(".git/traps");
    fs::create_dir(&hooks).unwrap();
    for hook in ["post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman"] {
        fs::write(hooks.join(hook), &script).unwrap();
        fs::set_permissions(hooks.join(hook), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (key, value) in [
        ("core.hooksPath", hooks.to_str().unwrap()),
        ("core.fsmonitor", &trap),
        ("core.pager", &trap),
        ("pager.status", &trap),
        ("pager.log", &trap),
        ("pager.diff", &trap),
        ("diff.external", &trap),
        ("diff.word.command", &trap),
        ("diff.word.textconv", &trap),
        ("core.sshCommand", &trap),
        ("core.askPass", &trap),
        ("credential.helper", &trap),
        ("gpg.program", &trap),
        ("log.showSignature", "true"),
        ("core.alternateRefsCommand", &trap),
        ("filter.mine.clean", &trap),
        ("filter.mine.smudge", &trap),
        ("filter.mine.required", "true"),
        ("filter.my other.process", &trap),
        ("filter.my other.required", "true"),
    ] {
        git(dir, &["-c", "core.fsmonitor=false", "config", key, value]);
    }
    let attributes = "a diff=word filter=mine\n*.big filter=mine\n";
    fs::write(dir.join(".git/info/attributes"), attributes).unwrap();
}

#[tokio::test]
async fn reading_a_hostile_checkout_runs_no_program_of_it() {
    let home = tempfile::tempdir().unwrap();
    let (dir, marker) = (home.path().join("repo"), home.path().join("marker"));
    fs::create_dir(&dir).unwrap();
    checkout(&dir);
    // A submodule has its own configuration.
    let inner = home.path().join("inner");
    fs::create_dir(&inner).unwrap();
    checkout(&inner);
    let inner_text = inner.to_str().unwrap();
    git(&dir, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner_text, "sub"]);
    commit_all(&dir, "with a submodule");
    let sub_git = dir.join(".git/modules/sub");
    let clean = commit(&dir).await;
    assert!(!clean.contains('+'), "{clean}");
    set_traps(&dir, &marker);
    let trap = dir.join(".git/trap.sh");
    let config = format!("[core]\n\tfsmonitor = {0}\n[filter \"mine\"]\n\tclean = {0}\n", trap.display());
    let old = fs::read_to_string(sub_git.join("config")).unwrap();
    fs::write(sub_git.join("config"), old + &config).unwrap();
    fs::create_dir_all(sub_git.join("info")).unwrap();
    fs::write(sub_git.join("info/attributes"), "* filter=mine\n").unwrap();

    // Another size and another time: git has to read the files.
    fs::write(dir.join("a"), "22\n").unwrap();
    fs::write(dir.join("b.big"), "gib\n").unwrap();
    fs::write(dir.join("sub/a"), "22\n").unwrap();
    let seen = see(&dir).await.unwrap().unwrap();
    assert!(seen.commit.starts_with(&format!("{clean}+dirty:")), "{seen:?}");
    assert!(seen.faults.iter().any(|f| f.contains("b.big") && f.contains("filter")), "{seen:?}");
    let again = see(&dir).await.unwrap().unwrap();
    assert_eq!(seen, again);
    fs::write(dir.join("sub/a"), "33\n").unwrap();
    assert_ne!(again.commit, commit(&dir).await, "a change in a submodule is a change");
    head(Caller::Server, &dir).await.unwrap();
    is_ignored(&dir, &dir.join("x"));
    assert!(!marker.exists(), "it ran: {}", fs::read_to_string(&marker).unwrap_or_default());
    // The traps work.
    let _ = Command::new("git").args(["status"]).current_dir(&dir).output().unwrap();
    assert!(marker.exists(), "the trap does not work");
}

#[tokio::test]
async fn reading_a_checkout_always_ends() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    checkout(dir);
    let clean = commit(dir).await;
    let began = Instant::now();
    // A tracked file became a FIFO without a writer, and there is another FIFO beside it.
    fs::remove_file(dir.join("a")).unwrap();
    assert!(Command::new("mkfifo").arg(dir.join("a")).arg(dir.join("fifo")).status().unwrap().success());
    let seen = commit(dir).await;
    assert!(seen.starts_with(&format!("{clean}+dirty:")), "{seen}");
    // A tracked file of many GB (sparse): named, and not read into memory.
    let big = fs::File::create(dir.join("b.big")).unwrap();
    big.set_len(20 << 30).unwrap();
    let fault = see(dir).await.unwrap_err();
    assert!(fault.0.contains("too large") && fault.0.contains("b.big"), "{fault}");
    // A large file within the limit counts with its content.
    big.set_len(9 << 20).unwrap();
    let one = commit(dir).await;
    fs::write(dir.join("b.big"), vec![7; 9 << 20]).unwrap();
    assert_ne!(one, commit(dir).await);
    // Untracked files cost nothing.
    fs::create_dir(dir.join("many")).unwrap();
    for n in 0..5_000 {
        fs::write(dir.join(format!("many/{n}")), "").unwrap();
    }
    commit(dir).await;
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    // Attributes that never end.
    assert!(Command::new("mkfifo").arg(dir.join(".gitattributes")).status().unwrap().success());
    let began = Instant::now();
    let _ = see(dir).await;
    assert!(began.elapsed().as_secs() < 40, "{:?}", began.elapsed());
}
