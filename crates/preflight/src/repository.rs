//! The files of the repository: which exist, which a build creates, and the contents of package.json files.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::shell_commands::joined;
use git::Ignored;
use secrets::{EnvSource, EnvSourceError, EnvValues};
use system::files::read_bounded;

/// Largest file that is read, bytes.
const LARGEST: usize = 2 << 20;

/// Directories whose contents are created by builds and installers.
const MADE: [&str; 14] = [
    "node_modules",
    "dist",
    "build",
    "target",
    "out",
    ".next",
    ".nuxt",
    "coverage",
    ".venv",
    "venv",
    "vendor",
    "tmp",
    ".cache",
    "reports",
];

/// The directory of the stack, and the files that were read or searched for.
pub(super) struct Repo {
    /// Absolute.
    pub(super) root: PathBuf,
    read: RefCell<BTreeSet<PathBuf>>,
    packages: RefCell<BTreeMap<PathBuf, Option<Package>>>,
    ignored: RefCell<Ignored>,
}

/// The contents of a package.json.
#[derive(Debug, Clone, Default)]
pub(super) struct Package {
    /// Its directory, absolute.
    pub(super) dir: PathBuf,
    /// Its scripts with their lines.
    pub(super) scripts: BTreeMap<String, (String, usize)>,
    /// Patterns of its workspaces.
    pub(super) workspaces: Vec<String>,
    /// Its name.
    pub(super) name: String,
    /// Everything it depends on.
    pub(super) dependencies: BTreeSet<String>,
}

impl Repo {
    pub(super) fn new(root: &Path) -> Repo {
        Repo {
            root: root.to_owned(),
            read: RefCell::default(),
            packages: RefCell::default(),
            ignored: RefCell::new(Ignored::new(root)),
        }
    }

    /// The files that were read or searched for.
    pub(super) fn looked_at(self) -> BTreeSet<PathBuf> {
        self.read.into_inner()
    }

    /// The absolute form of a path that is relative to a directory within the repository.
    pub(super) fn at(&self, cwd: &Path, path: &str) -> PathBuf {
        joined(&self.root.join(cwd), path).unwrap_or_else(|| self.root.join(cwd).join(path))
    }

    /// The name of a path for people: relative if it is within the repository.
    pub(super) fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// Whether a path exists. A change of that starts a new preflight.
    pub(super) fn exists(&self, path: &Path) -> bool {
        self.note(path);
        path.exists()
    }

    /// The text of a file; `None` when it does not exist, is not text, or is too large.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        self.note(path);
        String::from_utf8(read_bounded(path, LARGEST).ok()?).ok()
    }

    /// The values of an env source. A change of its file starts a new preflight.
    pub(super) fn values(&self, source: &EnvSource) -> Result<EnvValues, EnvSourceError> {
        if let Some(file) = source.own_file() {
            self.note(file);
        }
        source.values()
    }

    /// The name of an env source for people, and whether there is nothing to read.
    pub(super) fn env_name(&self, source: &EnvSource) -> (String, bool) {
        match source.own_file() {
            Some(file) => (self.name(file), !self.exists(file)),
            None => (source.describe(), false),
        }
    }

    fn note(&self, path: &Path) {
        self.read.borrow_mut().insert(path.to_owned());
    }

    /// Whether a missing path is one that a build or an installer creates: it cannot be checked before that.
    pub(super) fn is_made(&self, path: &Path) -> bool {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        if relative.components().any(|c| MADE.iter().any(|m| c.as_os_str() == *m)) {
            return true;
        }
        // Files that git ignores are missing from the repository on purpose.
        self.ignored.borrow_mut().holds(path)
    }

    /// The package that npm uses in `dir`: the nearest one in it or above it.
    pub(super) fn package_above(&self, dir: &Path) -> Option<Package> {
        dir.ancestors().find_map(|above| self.package(above))
    }

    /// The package.json in `dir`.
    pub(super) fn package(&self, dir: &Path) -> Option<Package> {
        if let Some(known) = self.packages.borrow().get(dir) {
            return known.clone();
        }
        let package = self.text(&dir.join("package.json")).and_then(|text| Package::read(dir, &text));
        self.packages.borrow_mut().insert(dir.to_owned(), package.clone());
        package
    }

    /// The workspaces of a package; `None` when a pattern is more than a `*` at the end.
    pub(super) fn workspaces(&self, root: &Package) -> Option<Vec<Package>> {
        let mut all = Vec::new();
        for pattern in &root.workspaces {
            let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
            match pattern.strip_suffix("/*") {
                Some(parent) if !parent.contains(['*', '!', '{']) => {
                    let folder = root.dir.join(parent);
                    self.note(&folder);
                    let entries = std::fs::read_dir(folder).ok()?;
                    all.extend(entries.flatten().filter_map(|e| self.package(&e.path())));
                }
                None if !pattern.contains(['*', '!', '{']) => {
                    all.extend(self.package(&root.dir.join(pattern)))
                }
                _ => return None,
            }
        }
        Some(all)
    }
}

impl Package {
    fn read(dir: &Path, text: &str) -> Option<Package> {
        let json: serde_json::Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
        let text_of = |v: &serde_json::Value| v.as_str().map(str::to_owned);
        let workspaces = json.get("workspaces").map(|w| w.get("packages").unwrap_or(w));
        let list = workspaces.and_then(|w| w.as_array()).cloned().unwrap_or_default();
        let scripts = json.get("scripts").and_then(|s| s.as_object());
        let scripts = scripts
            .into_iter()
            .flatten()
            .filter_map(|(name, command)| Some((name.clone(), (text_of(command)?, line_of_key(text, name)))));
        let names = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];
        let dependencies = names
            .iter()
            .filter_map(|key| json.get(*key)?.as_object())
            .flat_map(|map| map.keys().cloned())
            .collect();
        Some(Package {
            dir: dir.to_owned(),
            scripts: scripts.collect(),
            workspaces: list.iter().filter_map(text_of).collect(),
            name: json.get("name").and_then(text_of).unwrap_or_default(),
            dependencies,
        })
    }
}

/// The first line with `"key":`, from 1.
fn line_of_key(text: &str, key: &str) -> usize {
    let quoted = serde_json::to_string(key).unwrap_or_default();
    let found = text
        .lines()
        .position(|line| line.split(&quoted).skip(1).any(|rest| rest.trim_start().starts_with(':')));
    found.map_or(1, |at| at + 1)
}
