//! Undoes the changes of a deploy or rollback that ended before any service was changed.

use std::io;
use std::path::Path;

use super::docker::{Address, Docker, LONG_TIMEOUT};
use super::images::{image_id, tag, untag};
use crate::error::{OrchestratorError, Result};
use crate::journal::read_journal;
use crate::undo::{EncryptedCopy, TakenBack, Undo, UndoStack};
use secrets::{EnvCopy, EnvSource, EnvSourceError};
use system::files::off_thread;

impl Undo {
    /// Undoes the change. Changes that others have made since are kept. Returns what was done, for people;
    /// `None`: there was nothing to do.
    async fn take_back(&self, docker: Option<&Docker>) -> Result<Option<String>> {
        match self {
            Self::Name { name, before, after } => {
                let Some(docker) = docker else {
                    let error = io::ErrorKind::NotConnected.into();
                    return Err(OrchestratorError::io("restore an image name", Path::new(name))(error));
                };
                take_name_back(docker, name, before.as_deref(), after.as_deref()).await
            }
            Self::Env { source, copy, before, after } => {
                let (env, copy) = (source.clone(), copy.clone());
                let (before, after) = (before.clone(), after.clone());
                let taken = off_thread(move || take_env_back(&env, &copy, before.as_ref(), &after)).await;
                taken
                    .unwrap_or_else(Err)
                    .map_err(OrchestratorError::io("restore the env file", source.file_path()))
            }
        }
    }
}

async fn connect(engine: &Address) -> Result<Docker> {
    Docker::connect_within(engine, LONG_TIMEOUT, LONG_TIMEOUT).await
}

async fn take_name_back(
    docker: &Docker,
    name: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<Option<String>> {
    let now = image_id(docker, name).await?;
    if now.as_deref() == before {
        return Ok(None);
    }
    if after.is_some() && now.as_deref() != after {
        return Ok(Some(format!("{name} was moved to another image in the meantime and is left unchanged.")));
    }
    match before {
        Some(id) => {
            tag(docker, id, name).await?;
            Ok(Some(format!("{name} points to {id} again.")))
        }
        None => {
            untag(docker, name).await?;
            Ok(Some(format!("{name} was removed: no image had this name before.")))
        }
    }
}

fn take_env_back(
    source: &EnvSource,
    copy: &EnvCopy,
    before: Option<&EncryptedCopy>,
    after: &EncryptedCopy,
) -> io::Result<Option<String>> {
    let open = |at: &EncryptedCopy| copy.open(&at.dir, &at.release).map_err(io::Error::other);
    let before = before.map(open).transpose()?;
    let now = match source.text() {
        Ok(now) => Some(now),
        Err(EnvSourceError::Missing) => None,
        Err(error) => return Err(error.into()),
    };
    if now == before {
        return Ok(None);
    }
    if now.is_some() && now != Some(open(after)?) {
        return Ok(Some(format!("{} was changed in the meantime and is left unchanged.", source.describe())));
    }
    source.restore(before.as_deref())?;
    Ok(Some(format!("{} was restored.", source.describe())))
}

impl UndoStack {
    /// Undoes everything, the newest change first. A change that cannot be undone stays on the stack and does not
    /// prevent the others. Returns what was done and what could not be done, for people.
    pub(super) async fn take_back(&mut self, engine: &Address) -> TakenBack {
        let mut docker = None;
        let mut taken = TakenBack::default();
        let mut left = Vec::new();
        // An engine that does not answer is tried once, and not for every name.
        let mut away = None;
        while let Some(undo) = self.pop() {
            if matches!(undo, Undo::Name { .. }) && docker.is_none() && away.is_none() {
                match connect(engine).await {
                    Ok(connected) => docker = Some(connected),
                    Err(error) => away = Some(error.to_string()),
                }
            }
            if let (Undo::Name { .. }, Some(why)) = (&undo, &away) {
                taken.failed.push(format!("{} could not be restored: {why}.", undo.subject()));
                left.push(undo);
                continue;
            }
            match undo.take_back(docker.as_ref()).await {
                Ok(said) => taken.done.extend(said),
                Err(error) => {
                    taken.failed.push(format!("{} could not be restored: {error}.", undo.subject()));
                    left.push(undo);
                }
            }
        }
        left.reverse();
        self.restore(left);
        taken
    }
}

/// Undoes what the last run in the journal had changed before it changed any service. To be called only when no run is
/// active and nothing else completes that run.
///
/// # Errors
/// When the journal cannot be read or written.
pub(crate) async fn take_back_journal(engine: &Address, path: &Path) -> Result<TakenBack> {
    let failed = |what: &'static str| OrchestratorError::io(what, path);
    let of = path.to_owned();
    let read = off_thread(move || read_journal(&of)).await.map_err(failed("read the deploy journal"))?;
    let Some(mut journal) = read? else { return Ok(TakenBack::default()) };
    if journal.undo.is_empty() {
        return Ok(TakenBack::default());
    }
    let taken = journal.undo.take_back(engine).await;
    let to = path.to_owned();
    off_thread(move || journal.write(&to)).await.map_err(failed("write the deploy journal"))??;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// An env file, and the change that replaces its text `NEW=1` by the earlier `OLD=1` when it is undone.
    fn env_undo(home: &Path) -> (PathBuf, Undo) {
        let (path, key) = (home.join(".env"), home.join("key"));
        let copy = EnvCopy { key, stack: "shop".into() };
        let at = |name: &str| EncryptedCopy { dir: home.join(name), release: name.to_owned() };
        copy.keep(b"OLD=1\n", &at("replaced").dir, "replaced").unwrap();
        copy.keep(b"NEW=1\n", &at("r1").dir, "r1").unwrap();
        (
            path.clone(),
            Undo::Env { source: EnvSource::File(path), copy, before: Some(at("replaced")), after: at("r1") },
        )
    }

    #[tokio::test]
    async fn the_env_file_is_restored_wherever_the_run_stopped() {
        let home = tempfile::tempdir().unwrap();
        let (path, undo) = env_undo(home.path());
        let run = async || {
            let mut stack = UndoStack::default();
            stack.push(undo.clone());
            let taken = stack.take_back(&Address::from_env()).await;
            (taken, stack.is_empty())
        };
        fs::write(&path, "OLD=1\n").unwrap();
        assert_eq!(run().await, (TakenBack::default(), true), "it was not replaced yet");
        fs::write(&path, "NEW=1\n").unwrap();
        let (taken, all) = run().await;
        assert!(all && taken.done.len() == 1 && taken.failed.is_empty(), "{taken:?}");
        assert_eq!(fs::read(&path).unwrap(), b"OLD=1\n");
        // What another process wrote since is kept.
        fs::write(&path, "MINE=1\n").unwrap();
        let (taken, _) = run().await;
        assert!(taken.done[0].contains("is left unchanged"), "{taken:?}");
        assert_eq!(fs::read(&path).unwrap(), b"MINE=1\n");
        // Without its copy it stays on the stack, for the next attempt.
        fs::remove_dir_all(home.path().join("replaced")).unwrap();
        let (taken, all) = run().await;
        assert!(!all && taken.failed.len() == 1, "{taken:?}");
    }

    /// Leaves room for `free` more open files, while the result is held. Each test is a separate process.
    fn few_files(free: usize) -> Vec<fs::File> {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, limit).unwrap();
        let mut held = Vec::new();
        while let Ok(file) = fs::File::open("/dev/null") {
            held.push(file);
        }
        held.truncate(held.len() - free);
        held
    }

    /// The file has its new name by then, and whether that survives a power cut is not known: the directory that should
    /// be flushed cannot even be opened, since the file itself has the last number.
    #[tokio::test]
    async fn an_env_file_whose_directory_cannot_be_flushed_is_restored_and_reported() {
        let home = tempfile::tempdir().unwrap();
        let (path, undo) = env_undo(home.path());
        fs::write(&path, "OLD=1\n").unwrap();
        let held = few_files(1);
        let failed = EnvSource::File(path.clone()).restore(Some(b"NEW=1\n"));
        drop(held);
        failed.unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"NEW=1\n", "it failed after the file was renamed");
        let left: Vec<_> =
            fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 4, "the env file, the key and two copies, but no spare: {left:?}");

        // The disk still fails: the file is restored nevertheless, and reported as uncertain.
        let mut stack = UndoStack::default();
        stack.push(undo);
        let held = few_files(1);
        let taken = stack.take_back(&Address::from_env()).await;
        drop(held);
        assert_eq!(fs::read(&path).unwrap(), b"OLD=1\n");
        assert!(taken.done.is_empty() && taken.failed.len() == 1, "{taken:?}");
        assert!(taken.failed[0].contains(".env could not be restored: could not restore the env file"));
        assert!(!stack.is_empty(), "the next run tries it again");

        // Once the disk works again there is nothing left to do.
        assert_eq!(stack.take_back(&Address::from_env()).await, TakenBack::default());
        assert!(stack.is_empty());
    }
}
