use std::fs::File;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::probe::Stack;

fn age(path: &std::path::Path, hours: u64) {
    let time = SystemTime::now() - Duration::from_secs(hours * 3_600);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn the_newest_matching_file_is_judged() {
    let stack = Stack::new();
    age(&stack.file("backups/db-1.dump", "old and long enough"), 48);
    stack.file("backups/db-2.dump", "new");
    stack.file("backups/db-3.sql", "something else");
    let spec = json!({ "kind": "file", "path": "backups/db-*.dump", "max_age": "24h" });
    let seen = stack.see(spec).passes("backups/db-2.dump, 3 bytes");
    assert_eq!(seen.finding.value, Some(3.0));
    stack.see(json!({ "kind": "file", "path": "backups/db-*.dump", "min_bytes": 4 })).fails("3 bytes");
    stack.see_want(json!({ "kind": "file", "path": "backups/db-2.dump" }), ">= 1 kB").fails("3 bytes");
}

#[test]
fn old_empty_and_missing_files_fail() {
    let stack = Stack::new();
    age(&stack.file("a.dump", "text"), 30);
    stack.file("empty.dump", "");
    stack.file("dir/x", "");
    stack.see(json!({ "kind": "file", "path": "a.dump", "max_age": "24h" })).fails("30 h 00 min old");
    stack.see(json!({ "kind": "file", "path": "a.dump", "max_age": "2d" })).passes("a.dump");
    stack.see(json!({ "kind": "file", "path": "empty.dump" })).fails("0 bytes");
    for path in ["none.dump", "none/*.dump", "*.none", "dir"] {
        stack.see(json!({ "kind": "file", "path": path })).fails("does not exist");
    }
}

#[test]
fn an_unreadable_file_is_inconclusive() {
    let stack = Stack::new();
    stack.file("a.dump", "text");
    stack.see(json!({ "kind": "file", "path": "a.dump", "max_age": "soon" })).unsure("is not a duration");
    std::os::unix::fs::symlink("loop", stack.dir().join("loop")).unwrap();
    stack.see(json!({ "kind": "file", "path": "loop" })).unsure("cannot be read");
    stack.see_want(json!({ "kind": "file", "path": "a.dump" }), "< 5 %").unsure("threshold is in %");
}
