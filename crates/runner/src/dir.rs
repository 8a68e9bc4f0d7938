//! A run on disk: its plan, and where its files are.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{Result, RunnerError};
use super::status::{State, Status, private, read_json, write_json};
use secrets::EnvSource;
use system::clock::now_ms;

/// The input of a supervisor. Stored as `plan.json`, so it contains no secret values: their source is named and they
/// are never copied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The run's id: 1 to 64 letters, digits, `-` or `_`. Names its directory.
    pub id: String,
    /// What it does, for people.
    pub title: String,
    /// Source of the variables that commands get and whose values are masked.
    #[serde(rename = "env_file")]
    pub env_source: Option<EnvSource>,
    /// Keys whose values are not secret; `*` stands for any text.
    pub public_keys: Vec<String>,
    /// The default working directory of commands.
    pub cwd: PathBuf,
    /// Time limit of the whole run, milliseconds.
    pub timeout_ms: u64,
    /// Time between SIGTERM and SIGKILL, milliseconds.
    pub grace_ms: u64,
    /// Most bytes of output that the commands of the run may write together.
    pub output_cap: u64,
    /// Further environment variables. Stored in the clear: no secrets here.
    pub extra_env: BTreeMap<String, String>,
    /// The input of the work function.
    pub work: serde_json::Value,
    /// A lock that the run holds until it ends.
    pub lock: Option<LockSpec>,
}

impl Plan {
    /// Default output limit: 200 MB.
    pub const OUTPUT_CAP: u64 = 200_000_000;
    /// Default time limit: 30 minutes.
    pub const TIMEOUT_MS: u64 = 30 * 60 * 1000;
    /// Default grace period: 3 seconds.
    pub const GRACE_MS: u64 = 3_000;

    /// A plan with the usual limits, no env source and no lock.
    pub fn new(id: impl Into<String>, title: impl Into<String>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            env_source: None,
            public_keys: Vec::new(),
            cwd: cwd.into(),
            timeout_ms: Self::TIMEOUT_MS,
            grace_ms: Self::GRACE_MS,
            output_cap: Self::OUTPUT_CAP,
            extra_env: BTreeMap::new(),
            work: serde_json::Value::Null,
            lock: None,
        }
    }
}

/// A lock file and the name of its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockSpec {
    /// The lock file. It is not deleted when the lock is free.
    pub path: PathBuf,
    /// Who holds it, for people.
    pub holder: String,
}

/// Directory of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir(PathBuf);

impl RunDir {
    /// Names the directory of a run that exists. Fails with [`RunnerError::NotFound`].
    pub fn open(dir: &Path) -> Result<Self> {
        let found = fs::canonicalize(dir).ok().filter(|dir| dir.join("plan.json").is_file());
        found.map(Self).ok_or_else(|| RunnerError::NotFound { dir: dir.to_owned() })
    }

    /// Names the directory of the run `id` under `runs`. Fails for an invalid id, and if there is none.
    pub fn of(runs: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        Self::open(&runs.join(id))
    }

    /// The directory of the run `id` under `runs`; `None` when it certainly does not exist. A directory that cannot be
    /// read at the moment is an error.
    pub fn find(runs: &Path, id: &str) -> Result<Option<Self>> {
        check_id(id)?;
        let dir = runs.join(id);
        match fs::metadata(dir.join("plan.json")).and_then(|_| fs::canonicalize(&dir)) {
            Ok(dir) => Ok(Some(Self(dir))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(RunnerError::io("read the run", &dir)(error)),
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The log, as redacted bytes. This is the file for downloads.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.0.join("log.idx")
    }

    pub(super) fn status(&self) -> PathBuf {
        self.0.join("status.json")
    }

    pub(super) fn reserve(&self) -> PathBuf {
        self.0.join("status.reserve")
    }

    pub(super) fn result(&self) -> PathBuf {
        self.0.join("result.json")
    }

    pub(super) fn progress(&self) -> PathBuf {
        self.0.join("progress.json")
    }

    pub(super) fn alive(&self) -> PathBuf {
        self.0.join("alive")
    }

    pub(super) fn cancel(&self) -> PathBuf {
        self.0.join("cancel")
    }

    pub(super) fn supervisor_err(&self) -> PathBuf {
        self.0.join("supervisor.err")
    }

    /// The plan of the run.
    pub fn plan(&self) -> Result<Plan> {
        read_json(&self.0.join("plan.json"), "plan")?.ok_or_else(|| self.missing())
    }

    pub(super) fn read_status(&self) -> Result<Status> {
        read_json(&self.status(), "status")?.ok_or_else(|| self.missing())
    }

    fn missing(&self) -> RunnerError {
        RunnerError::NotFound { dir: self.0.clone() }
    }
}

impl AsRef<Path> for RunDir {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

fn check_id(id: &str) -> Result<()> {
    let fits = (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits { Ok(()) } else { Err(RunnerError::BadId(id.to_owned())) }
}

/// Creates the directory of a run under `runs`, readable only by its owner, and stores the plan in it.
///
/// Fails with [`RunnerError::BadId`], [`RunnerError::Exists`], or when the file system fails.
pub fn create(runs: &Path, plan: &Plan) -> Result<RunDir> {
    check_id(&plan.id)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(runs)
        .map_err(RunnerError::io("create the directory of runs", runs))?;
    let path = runs.join(&plan.id);
    DirBuilder::new().mode(0o700).create(&path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => RunnerError::Exists(plan.id.clone()),
        _ => RunnerError::io("create the directory of the run", &path)(error),
    })?;
    let path = fs::canonicalize(&path).map_err(RunnerError::io("find the directory of the run", &path))?;
    let dir = RunDir(path);
    let fill = || -> Result<()> {
        for file in [dir.log(), dir.index(), dir.alive()] {
            private(&file).map_err(RunnerError::io("create a file of the run", &file))?;
        }
        let status = Status {
            id: plan.id.clone(),
            title: plan.title.clone(),
            state: State::Starting,
            created_at_ms: now_ms(),
            started_at_ms: None,
            pid: None,
            note: None,
        };
        write_json(&dir.status(), &status, "status")?;
        // The plan is written last: a directory without one is not a run.
        write_json(&dir.0.join("plan.json"), plan, "plan")
    };
    match fill() {
        Ok(()) => Ok(dir),
        Err(error) => {
            // The id becomes free again: nothing has happened under it.
            let _ = fs::remove_dir_all(&dir.0);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs that were started by an earlier version are read again, to show and to complete them.
    #[test]
    fn plans_of_earlier_versions_are_read() {
        let text = r#"{"id":"7","title":"Build","env_file":"/srv/shop/.env.staging","public_keys":["BUILD_*"],
            "cwd":"/srv/shop","timeout_ms":1800000,"grace_ms":3000,"output_cap":200000000,"extra_env":{"CI":"true"},
            "work":null,"lock":null}"#;
        let plan: Plan = serde_json::from_str(text).unwrap();
        assert_eq!(plan.env_source, Some(EnvSource::File("/srv/shop/.env.staging".into())));
        let again: serde_json::Value = serde_json::to_value(&plan).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(text).unwrap());
        let without = text.replace("\"/srv/shop/.env.staging\"", "null");
        assert_eq!(serde_json::from_str::<Plan>(&without).unwrap().env_source, None);
    }
}
