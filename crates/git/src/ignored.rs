//! Checks which paths git ignores: one process for any number of paths.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::{TIMEOUT, off};

/// After this many starts git is not used any more: it ends at each path that it does not accept.
const MOST_STARTS: u32 = 8;

/// A `git check-ignore` that waits for paths. Started at the first path, ended when dropped.
pub struct Ignored {
    root: PathBuf,
    git: Option<Git>,
    starts: u32,
}

struct Git {
    child: Child,
    paths: ChildStdin,
    /// The fields of its output, read by a thread: reading a pipe has no time limit.
    fields: Receiver<Vec<u8>>,
}

impl Drop for Git {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ignored {
    /// For paths below `root`. Does not start git yet.
    pub fn new(root: &Path) -> Ignored {
        Ignored { root: root.to_owned(), git: None, starts: 0 }
    }

    /// Whether git ignores `path`. `false` without git, without a repository, or for a path outside of it.
    pub fn holds(&mut self, path: &Path) -> bool {
        let Ok(relative) = path.strip_prefix(&self.root) else { return false };
        let name = relative.as_os_str().as_bytes();
        if name.is_empty() || name.contains(&0) {
            return false;
        }
        if self.git.is_none() && self.starts < MOST_STARTS {
            self.starts += 1;
            self.git = start(&self.root);
        }
        let began = Instant::now();
        let answer = self.git.as_mut().and_then(|git| git.ask(name));
        if answer.is_none() {
            self.git = None;
        }
        if began.elapsed() >= TIMEOUT {
            // Git hangs, and would do so again.
            self.starts = MOST_STARTS;
        }
        answer.unwrap_or(false)
    }
}

fn start(root: &Path) -> Option<Git> {
    let argv = off::argv(&["check-ignore", "--stdin", "-z", "--verbose", "--non-matching"]);
    let mut child = Command::new("git")
        .args(argv.get(1..)?)
        .current_dir(root)
        .env_clear()
        .envs(off::base_env())
        .envs(off::env(&[]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let (paths, answers) = (child.stdin.take()?, child.stdout.take()?);
    let (send, fields) = channel();
    // Ends with git, or when the receiver is dropped.
    std::thread::spawn(move || {
        let mut answers = BufReader::new(answers);
        loop {
            let mut field = Vec::new();
            let read = answers.read_until(0, &mut field);
            if read.is_err() || field.pop() != Some(0) || send.send(field).is_err() {
                return;
            }
        }
    });
    Some(Git { child, paths, fields })
}

impl Git {
    /// For each path git prints four fields: file, line and text of the pattern, and the path. The first is empty
    /// when no pattern matches; a pattern that begins with `!` includes a path again.
    fn ask(&mut self, name: &[u8]) -> Option<bool> {
        self.paths.write_all(&[name, &[0]].concat()).and_then(|()| self.paths.flush()).ok()?;
        let mut fields = Vec::new();
        for _ in 0..4 {
            fields.push(self.fields.recv_timeout(TIMEOUT).ok()?);
        }
        let (source, pattern) = (fields.first()?, fields.get(2)?);
        Some(!source.is_empty() && !pattern.starts_with(b"!"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_answers_for_all_paths() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        assert!(Command::new("git").args(["init", "-q"]).current_dir(&root).status().unwrap().success());
        std::fs::write(root.join(".gitignore"), "made/\n*.log\n!keep.log\n").unwrap();
        let mut ignored = Ignored::new(&root);
        for n in 0..50 {
            assert!(ignored.holds(&root.join(format!("made/{n}"))));
            assert!(!ignored.holds(&root.join(format!("src/{n}"))));
        }
        assert!(ignored.holds(&root.join("a.log")) && !ignored.holds(&root.join("keep.log")));
        assert!(!ignored.holds(Path::new("/elsewhere")) && !ignored.holds(&root));
        assert_eq!(ignored.starts, 1);
        // Git ends at a path beyond a link; the next question starts another.
        std::os::unix::fs::symlink("/tmp", root.join("link")).unwrap();
        assert!(!ignored.holds(&root.join("link/x")));
        assert!(ignored.holds(&root.join("made/x")));
    }

    #[test]
    fn without_a_repository_nothing_is_ignored_and_git_is_not_started_forever() {
        let dir = tempfile::tempdir().unwrap();
        let mut ignored = Ignored::new(dir.path());
        for n in 0..50 {
            assert!(!ignored.holds(&dir.path().join(n.to_string())));
        }
        assert!(ignored.starts <= MOST_STARTS);
    }
}
