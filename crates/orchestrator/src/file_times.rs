//! Times, sizes and permissions of the files that a release is read from: cheap to read many times a second.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::stack_files::StackFiles;
use runner::bounded::read_small;
use secrets::{EnvSource, EnvVersion};
use system::files::off_thread;

/// The state of one file: a different one means that it was written, moved, or its permissions were changed.
type FileTime = Option<(i64, i64, i64, i64, u64, u64, u32)>;

/// The state of every file that is watched, and of the env source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTimes {
    files: Vec<(PathBuf, FileTime)>,
    env: Option<EnvVersion>,
}

impl FileTimes {
    /// Reads the files that declare the stack, the env source, and the files in which git keeps HEAD, branches and
    /// index.
    pub(crate) async fn of(files: &StackFiles) -> FileTimes {
        let files = files.clone();
        // Fails only while the runtime shuts down, and nothing is compared after that.
        off_thread(move || Self::read(&files)).await.unwrap_or_default()
    }

    /// Reads these files and this source.
    pub async fn of_files(paths: Vec<PathBuf>, env: Option<EnvSource>) -> FileTimes {
        off_thread(move || Self::read_files(paths, env)).await.unwrap_or_default()
    }

    fn read(files: &StackFiles) -> FileTimes {
        let mut paths = files.file_paths();
        paths.extend(git_files(&files.dir));
        Self::read_files(paths, files.env_in_use())
    }

    fn read_files(paths: Vec<PathBuf>, env: Option<EnvSource>) -> FileTimes {
        let stamp = |path: PathBuf| {
            let stamp = stamp(&path);
            (path, stamp)
        };
        let env = env.map(|source| source.version());
        FileTimes { files: paths.into_iter().map(stamp).collect(), env }
    }
}

fn stamp(path: &Path) -> FileTime {
    let meta = std::fs::metadata(path).ok()?;
    let (ino, size, mode) = (meta.ino(), meta.size(), meta.mode());
    Some((meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec(), ino, size, mode))
}

/// Permissions of a file, if it exists.
pub(crate) fn mode(path: &Path) -> Option<u32> {
    Some(std::fs::metadata(path).ok()?.mode())
}

/// The files that change when HEAD does: HEAD itself, its log, the branch that it names, packed branches, and
/// the index.
fn git_files(dir: &Path) -> Vec<PathBuf> {
    let Some(git) = git_dir(dir) else { return vec![] };
    // A second worktree keeps its branches in the first one's directory.
    let common = text_of(&git.join("commondir")).map_or_else(|| git.clone(), |text| git.join(text.trim()));
    let mut files =
        vec![git.join("HEAD"), git.join("logs/HEAD"), git.join("index"), common.join("packed-refs")];
    let head = text_of(&git.join("HEAD")).unwrap_or_default();
    if let Some(branch) = head.trim().strip_prefix("ref: ") {
        files.push(common.join(branch));
    }
    files
}

/// The text of one of git's small files.
fn text_of(path: &Path) -> Option<String> {
    String::from_utf8(read_small(path, 64 * 1024).ok()?).ok()
}

/// The git directory of the checkout that contains `dir`.
fn git_dir(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().find_map(|place| {
        let git = place.join(".git");
        if git.is_dir() {
            return Some(git);
        }
        let text = text_of(&git)?;
        Some(place.join(text.trim().strip_prefix("gitdir: ")?))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    fn git(dir: &Path, words: &[&str]) {
        let who = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"];
        let done = Command::new("git").args(who).args(words).current_dir(dir).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn files(dir: &Path) -> StackFiles {
        StackFiles {
            name: None,
            dir: dir.to_owned(),
            files: vec![dir.join("compose.yaml")],
            env_source: Some(EnvSource::File(dir.join(".env.x"))),
            engine: None,
        }
    }

    #[tokio::test]
    async fn other_tasks_continue_while_files_are_read() {
        let home = tempfile::tempdir().unwrap();
        let files = files(home.path());
        let others = tokio::spawn(async {});
        for _ in 0..20 {
            FileTimes::of(&files).await;
        }
        assert!(others.is_finished(), "the only thread of this runtime was blocked");
    }

    #[tokio::test]
    async fn a_changed_env_source_is_detected_without_naming_its_file() {
        let home = tempfile::tempdir().unwrap();
        let source = EnvSource::File(home.path().join(".env"));
        let now = async || FileTimes::of_files(vec![], Some(source.clone())).await;
        let before = now().await;
        assert_eq!(before, now().await);
        source.restore(Some(b"A=1\n")).unwrap();
        assert_ne!(before, now().await);
    }

    #[test]
    fn every_kind_of_change_is_detected() {
        let home = tempfile::tempdir().unwrap();
        let (top, dir) = (home.path().join("repo"), home.path().join("repo/app"));
        std::fs::create_dir_all(&dir).unwrap();
        let write = |file: &str, text: &str| std::fs::write(dir.join(file), text).unwrap();
        write("compose.yaml", "services: {}\n");
        write(".env.x", "A=1\n");
        git(&top, &["init", "-q", "-b", "main"]);
        git(&top, &["add", "-A"]);
        git(&top, &["commit", "-qm", "one"]);
        let mut last = FileTimes::read(&files(&dir));
        assert_eq!(last, FileTimes::read(&files(&dir)));
        let mut changed = |what: &str, dir: &Path| {
            let now = FileTimes::read(&files(dir));
            assert_ne!(now, last, "{what}");
            last = now;
        };
        write("compose.yaml", "services: {a: {}}\n");
        changed("the Compose file", &dir);
        let mode = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(dir.join(".env.x"), mode).unwrap();
        changed("the env file's mode", &dir);
        std::fs::remove_file(dir.join(".env.x")).unwrap();
        changed("no env file", &dir);
        git(&top, &["commit", "-qam", "two"]);
        changed("a commit", &dir);
        git(&top, &["checkout", "-q", "--detach", "HEAD~1"]);
        changed("another HEAD", &dir);
        git(&top, &["worktree", "add", "-q", "../second", "main"]);
        let second = home.path().join("second/app");
        changed("a second worktree", &second);
        write("more.txt", "");
        std::fs::write(second.join("more.txt"), "x").unwrap();
        git(&second, &["add", "-A"]);
        git(&second, &["commit", "-qm", "three"]);
        changed("a commit in the second worktree", &second);
    }
}
