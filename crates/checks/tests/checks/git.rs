use serde_json::json;

use crate::support::probe::Stack;

fn repository() -> Stack {
    let stack = Stack::new();
    stack.git(&["init", "-q"]);
    stack.file("a.txt", "a\n");
    stack.file("b c.txt", "b\n");
    stack.git(&["add", "."]);
    stack.git(&["commit", "-qm", "one"]);
    stack
}

fn clean() -> serde_json::Value {
    json!({ "kind": "git", "assert": "clean" })
}

fn untracked(path: &str) -> serde_json::Value {
    json!({ "kind": "git", "assert": "untracked", "path": path })
}

#[test]
fn a_clean_tree_passes_and_a_changed_one_names_its_files() {
    let stack = repository();
    let head = stack.git(&["rev-parse", "--short=7", "HEAD"]);
    stack.file("untracked.txt", "does not count");
    stack.see(clean()).passes(&head);
    stack.file("b c.txt", "changed\n");
    stack.see(clean()).fails("1 tracked file differs: b c.txt");
    stack.git(&["add", "."]);
    stack.see(clean()).fails("2 tracked files differ");
}

#[test]
fn without_a_repository_checks_are_inconclusive() {
    let stack = Stack::new();
    stack.see(clean()).unsure("not in a git repository");
    stack.see(untracked("a.txt")).unsure("not in a git repository");
    stack.see(json!({ "kind": "git", "assert": "untracked" })).unsure("names no file");
    stack.git(&["init", "-q"]);
    stack.see(clean()).fails("no commit");
}

#[test]
fn a_file_that_was_ever_committed_is_found() {
    let stack = repository();
    stack.file("secret.env", "A=b\n");
    stack.see(untracked("secret.env")).passes("is not in any commit");
    stack.git(&["add", "-f", "secret.env"]);
    stack.see(untracked("secret.env")).fails("is tracked");
    stack.git(&["commit", "-qm", "oops"]);
    stack.git(&["rm", "-q", "--cached", "secret.env"]);
    stack.git(&["commit", "-qm", "gone"]);
    stack.see(untracked("secret.env")).fails("was committed");
    stack.git(&["mv", "-f", "a.txt", "moved/../a2.txt"]);
    stack.see(untracked("../outside.env")).passes("outside the repository");
}

#[test]
fn other_branches_and_lost_directories_count() {
    let stack = repository();
    stack.git(&["checkout", "-qb", "side"]);
    stack.file("conf/deep/.env", "A=b\n");
    stack.git(&["add", "-f", "."]);
    stack.git(&["commit", "-qm", "side"]);
    stack.git(&["checkout", "-q", "-"]);
    assert!(!stack.dir().join("conf").exists());
    stack.see(untracked("conf/deep/.env")).fails("was committed");
}

#[test]
fn a_shallow_history_is_inconclusive() {
    let origin = repository();
    origin.file("a.txt", "two\n");
    origin.git(&["commit", "-qam", "two"]);
    let stack = Stack::new();
    let from = format!("file://{}", origin.dir().display());
    stack.git(&["clone", "-q", "--depth", "1", &from, "."]);
    stack.see(untracked(".env")).unsure("only a part of the history");
}

fn at(pin: &str, name: &str) -> serde_json::Value {
    json!({ "kind": "git", "assert": "at", pin: name })
}

#[test]
fn the_commit_that_is_checked_out_is_compared_with_what_is_declared() {
    let mut stack = repository();
    stack.git(&["branch", "-M", "main"]);
    stack.git(&["tag", "-a", "v1.0.0", "-m", "one"]);
    let first = stack.git(&["rev-parse", "HEAD"]);
    stack.env(&format!("COMMIT={first}\n"));
    stack.see(at("commit", &first)).passes(&first[..7]);
    stack.see(at("commit", &first[..8].to_uppercase())).passes(&first[..7]);
    stack.see(at("commit", "${COMMIT}")).passes(&first[..7]);
    stack.see(at("branch", "main")).passes("is checked out");
    stack.see(at("tag", "v1.0.0")).passes("is checked out");
    stack.git(&["checkout", "-q", "-b", "next"]);
    stack.git(&["commit", "-q", "--allow-empty", "-m", "two"]);
    let second = stack.git(&["rev-parse", "--short=7", "HEAD"]);
    let seen = stack.see(at("tag", "v1.0.0"));
    let seen = seen.fails(&format!("{second} is checked out; tag v1.0.0 is {}", &first[..7]));
    assert!(seen.finding.next.contains("git checkout v1.0.0"), "{:?}", seen.finding);
    stack.see(at("branch", "main")).fails("branch main is");
    stack.see(at("commit", &first)).fails("commit");
    stack.see(at("commit", "0123456789abcdef")).fails("does not exist in this repository");
    stack.see(at("branch", "none")).unsure("branch none does not exist");
    stack.see(at("tag", "none")).unsure("tag none does not exist");
    for (pin, name) in [("commit", "main"), ("branch", "--all"), ("tag", "a..b"), ("branch", "a b")] {
        stack.see(at(pin, name)).unsure("is not a ");
    }
    stack.see(at("tag", "${NOWHERE}")).unsure("${NOWHERE}");
    stack.see(json!({ "kind": "git", "assert": "at" })).unsure("exactly one");
    let nothing = Stack::new();
    nothing.see(at("branch", "main")).unsure("not in a git repository");
    nothing.git(&["init", "-q"]);
    nothing.see(at("branch", "main")).fails("no commit");
}

#[test]
fn a_branch_of_the_origin_counts_as_last_fetched() {
    let origin = repository();
    origin.git(&["branch", "-M", "main"]);
    origin.git(&["checkout", "-q", "-b", "release"]);
    origin.git(&["commit", "-q", "--allow-empty", "-m", "two"]);
    let stack = Stack::new();
    let from = format!("file://{}", origin.dir().display());
    stack.git(&["clone", "-q", "--branch", "main", &from, "."]);
    stack.see(at("branch", "release")).fails("(as last fetched)");
    stack.git(&["checkout", "-q", "--detach", "origin/release"]);
    stack.see(at("branch", "release")).passes("is checked out");
}
