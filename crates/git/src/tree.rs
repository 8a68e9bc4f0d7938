//! The working tree compared with its commit: which tracked files differ, and a digest of the difference.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::digest::hex;
use sha2::{Digest as _, Sha256};

use super::{Caller, Fault, Git, looked_up, refusal};
use runner::Exit;
use runner::bounded::open_regular;

/// Most bytes of differences, as git prints them, that go into a digest.
const DIFF_CAP: u64 = 512 << 20;
/// A larger changed file is not passed to git, which would hold it in memory.
const LARGE: u64 = 8 << 20;
/// Limits for reading changed files: bytes and time.
const READ_CAP: u64 = 1 << 30;
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Limits for submodules: depth, and total number.
const DEPTH: usize = 4;
const SUBMODULES: usize = 64;
/// Paths that are passed to git in one call.
const PATHS: usize = 200;
/// Most changed files whose filters are queried.
const FILTERED: usize = 2_000;

/// The state of a checkout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The commit; when tracked files differ from it, `+dirty:` and a digest of the difference follow.
    pub commit: String,
    /// The commit's first line.
    pub subject: String,
    /// What could not be read, one sentence each.
    pub faults: Vec<String>,
}

/// The tracked files that differ from the commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Git's two letters and the path, relative to the top of the checkout.
    pub files: Vec<(String, String)>,
    /// Those whose state is unknown, because their filter is not run.
    pub unsure: BTreeSet<String>,
}

/// Commit and subject of the checkout that contains `dir`, read by the server; `None` outside a checkout. Only changes
/// below `dir` count.
///
/// # Errors
/// When git fails.
pub async fn see(dir: &Path) -> Result<Option<Seen>, Fault> {
    let mut left = SUBMODULES;
    see_within(dir, DEPTH, &mut left).await
}

async fn see_within(dir: &Path, depth: usize, left: &mut usize) -> Result<Option<Seen>, Fault> {
    let Some(git) = Git::open(Caller::Server, dir).await? else { return Ok(None) };
    let head = git.ask(&["log", "-1", "--no-show-signature", "--format=%H%n%s"]).await?;
    let head = String::from_utf8_lossy(&head).into_owned();
    let (commit, subject) = head.split_once('\n').unwrap_or((head.trim(), ""));
    let mut seen = Seen { commit: commit.to_owned(), subject: subject.trim().to_owned(), faults: Vec::new() };
    let status = git.ask(&status(&["--", "."])).await?;
    let mut changes = Sha256::new();
    changes.update(&status);
    let mut dirty = !status.is_empty();
    if dirty {
        let changed = git.changed().await?;
        if !changed.unsure.is_empty() {
            seen.faults.push(filtered(&changed.unsure, commit));
        }
        git.digest(&changed, &mut changes).await?;
    }
    for path in git.submodules().await? {
        let place = git.top().await?.join(&path);
        let git_dir = place.join(".git");
        if looked_up(move || git_dir.symlink_metadata().is_err()).await? {
            continue;
        }
        if depth == 0 || *left == 0 {
            return Err(Fault(format!("there are too many submodules to check ({})", path.display())));
        }
        *left -= 1;
        let within = Box::pin(see_within(&place, depth - 1, left)).await;
        let within =
            within.map_err(|Fault(why)| Fault(format!("in the submodule {}: {why}", path.display())))?;
        let Some(within) = within else { continue };
        seen.faults.extend(within.faults);
        if within.commit.contains('+') {
            dirty = true;
            changes.update(path.as_os_str().as_bytes());
            changes.update(within.commit.as_bytes());
        }
    }
    if dirty {
        let digest: String = hex(&changes.finalize()).chars().take(16).collect();
        seen.commit = format!("{commit}+dirty:{digest}");
    }
    Ok(Some(seen))
}

fn filtered(unsure: &BTreeSet<String>, commit: &str) -> String {
    let names: Vec<&str> = unsure.iter().take(3).map(String::as_str).collect();
    let more = if unsure.len() > 3 { format!(" and {} more", unsure.len() - 3) } else { String::new() };
    let short: String = commit.chars().take(7).collect();
    format!(
        "Whether these files differ from commit {short} is unknown, because they pass through a Git filter, which is \
         not run: {}{more}. Run `git status` in the directory as its owner; if it shows no change, this message \
         disappears.",
        names.join(", ")
    )
}

fn status<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"];
    args.extend(more);
    args
}

impl Git<'_> {
    /// The top directory of the checkout.
    ///
    /// # Errors
    /// When git fails.
    pub async fn top(&self) -> Result<PathBuf, Fault> {
        let top = self.ask(&["rev-parse", "--show-toplevel"]).await?;
        let top = top.strip_suffix(b"\n").unwrap_or(&top);
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(top)))
    }

    /// The tracked files below the directory that differ from the commit; what lies in submodules is left out.
    ///
    /// # Errors
    /// When git fails.
    pub async fn changed(&self) -> Result<Changed, Fault> {
        let answer = self.ask(&status(&["-z", "--no-renames", "--", "."])).await?;
        let answer = String::from_utf8_lossy(&answer);
        let files = answer.split('\0').filter_map(|entry| {
            let (code, path) = entry.split_at_checked(2)?;
            Some((code.to_owned(), path.strip_prefix(' ')?.to_owned()))
        });
        let files: Vec<(String, String)> = files.collect();
        let unsure = self.filtered_among(&files).await?;
        Ok(Changed { files, unsure })
    }

    /// Those files that pass through a filter which the configuration defines.
    async fn filtered_among(&self, files: &[(String, String)]) -> Result<BTreeSet<String>, Fault> {
        let mut unsure = BTreeSet::new();
        if self.filters.is_empty() || files.is_empty() {
            return Ok(unsure);
        }
        if files.len() > FILTERED {
            return Err(Fault(format!("more than {FILTERED} tracked files have changed")));
        }
        let top = self.top().await?;
        let top = top.to_string_lossy();
        for some in files.chunks(PATHS) {
            let mut args = vec!["-C", &top, "check-attr", "-z", "filter", "--"];
            args.extend(some.iter().map(|(_, path)| path.as_str()));
            let answer = self.ask(&args).await?;
            let answer = String::from_utf8_lossy(&answer);
            let fields: Vec<&str> = answer.split('\0').collect();
            for three in fields.chunks_exact(3) {
                if self.filters.iter().any(|name| name == three[2]) {
                    unsure.insert(three[0].to_owned());
                }
            }
        }
        Ok(unsure)
    }

    /// The submodules below the directory that the index names, relative to the top.
    ///
    /// # Errors
    /// When git fails.
    pub async fn submodules(&self) -> Result<Vec<PathBuf>, Fault> {
        let top = self.top().await?;
        let list = top.join(".gitmodules");
        if looked_up(move || list.symlink_metadata().is_err()).await? {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let mut entry: Vec<u8> = Vec::new();
        let mut take = |piece: &[u8]| {
            for byte in piece {
                match byte {
                    0 => {
                        if let Some(tab) =
                            entry.iter().position(|b| *b == b'\t').filter(|_| entry.starts_with(b"160000 "))
                        {
                            found.push(PathBuf::from(std::ffi::OsStr::from_bytes(&entry[tab + 1..])));
                        }
                        entry.clear();
                    }
                    _ if entry.len() < 8192 => entry.push(*byte),
                    _ => {}
                }
            }
        };
        let args = ["ls-files", "-s", "-z", "--full-name", "--", "."];
        match self.caller {
            Caller::Server => {
                let (exit, err) = self.stream(&args, DIFF_CAP, &mut take).await?;
                if exit != Exit::Code(0) {
                    return Err(Fault(refusal(&args, &exit, &err)));
                }
            }
            Caller::Run(_) => take(&self.ask(&args).await?),
        }
        Ok(found)
    }

    /// Adds the differences of the changed files to a digest. Git prints them, except when it would have to hold a
    /// large file in memory or to open a special file: then the files are read here.
    async fn digest(&self, changed: &Changed, digest: &mut Sha256) -> Result<(), Fault> {
        let top = self.top().await?;
        let paths: Vec<PathBuf> = changed.files.iter().map(|(_, path)| top.join(path)).collect();
        let (paths, any_is_odd) = looked_up(move || {
            let any_is_odd = paths.iter().any(|path| is_odd(path));
            (paths, any_is_odd)
        })
        .await?;
        if !any_is_odd {
            let args = [
                "diff",
                "HEAD",
                "--binary",
                "--no-ext-diff",
                "--no-textconv",
                "--ignore-submodules=dirty",
                "--",
                ".",
            ];
            let (exit, err) = self.stream(&args, DIFF_CAP, |piece| digest.update(piece)).await?;
            return match exit {
                Exit::Code(0) => Ok(()),
                Exit::OutputCap => Err(Fault(format!("the changes are larger than {} MB", DIFF_CAP >> 20))),
                exit => Err(Fault(refusal(&args, &exit, &err))),
            };
        }
        digest.update(looked_up(move || read_all(&paths)).await??);
        Ok(())
    }
}

/// Whether git must not read the path: a large file, or a special file.
fn is_odd(path: &Path) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else { return false };
    let kind = meta.file_type();
    let special = !kind.is_file() && !kind.is_symlink() && !kind.is_dir();
    special || (meta.is_file() && meta.len() > LARGE)
}

/// A digest of the files at these paths.
fn read_all(paths: &[PathBuf]) -> Result<Vec<u8>, Fault> {
    let (began, mut total) = (Instant::now(), 0_u64);
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    for path in paths {
        digest.update(path.as_os_str().as_bytes());
        let Ok(meta) = fs::symlink_metadata(path) else {
            digest.update(b"\0missing\0");
            continue;
        };
        let kind = meta.file_type();
        if kind.is_symlink() {
            digest.update(b"\0link\0");
            digest.update(fs::read_link(path).unwrap_or_default().as_os_str().as_bytes());
            continue;
        }
        if !kind.is_file() {
            digest.update(b"\0special\0");
            continue;
        }
        digest.update(b"\0file\0");
        digest.update(meta.len().to_le_bytes());
        let shown = path.display();
        let mut file = open_regular(path)
            .map_err(|error| Fault(format!("the changed file {shown} cannot be read ({error})")))?;
        loop {
            let n = file
                .read(&mut buffer)
                .map_err(|error| Fault(format!("the changed file {shown} cannot be read ({error})")))?;
            if n == 0 {
                break;
            }
            total += n as u64;
            if total > READ_CAP || began.elapsed() > READ_TIMEOUT {
                let size = meta.len() >> 20;
                return Err(Fault(format!(
                    "the changed tracked files are too large to compare (at {shown}, {size} MB)"
                )));
            }
            digest.update(&buffer[..n]);
        }
    }
    Ok(digest.finalize().to_vec())
}
