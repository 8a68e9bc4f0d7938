//! Locks between runs, based on the operating system: the lock of a dead process is free.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::{Result, RunnerError};

/// The holder of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Id of the run.
    pub run: String,
    /// Who started the run.
    pub holder: String,
    /// Since when, milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// What the run does.
    pub what: String,
}

/// A lock that this process holds until the value is dropped, or the process ends.
#[derive(Debug)]
pub(super) struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // The name is removed before the lock is released, so that an old name is never read with a new lock.
        let _ = self.0.set_len(0);
        let _ = self.0.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Takes the lock, trying for `patience`. `Ok(Err(holder))` when another process keeps it.
pub(super) async fn claim(
    path: &Path,
    me: &Holder,
    patience: Duration,
) -> Result<std::result::Result<Held, Option<Holder>>> {
    let mut file = open(path).map_err(RunnerError::io("open the lock", path))?;
    if !wait_for(&file, patience).await.map_err(RunnerError::io("take the lock", path))? {
        return Ok(Err(read_holder(path)));
    }
    let text = serde_json::to_vec(me).map_err(|source| RunnerError::Malformed { what: "lock", source })?;
    let write = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&text));
    // The name is for people. If it cannot be written, the lock is still held.
    drop(write);
    Ok(Ok(Held(file)))
}

/// Tries to take the exclusive lock on an open file for `patience`; others may test it for an instant.
pub(super) async fn wait_for(file: &File, patience: Duration) -> io::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Ok(false),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Whether a living process holds the exclusive lock on the file. A missing file counts as not held; a file that
/// cannot be read is an error.
pub(super) fn is_held(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read_holder(path: &Path) -> Option<Holder> {
    // The name is written just after the lock is taken; a reader may come in between.
    for _ in 0..5 {
        if let Some(holder) = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            return Some(holder);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Who holds the lock file `path`; `None` when no living process does. Fails when the file cannot be read.
///
/// A holder that could not write its name is reported with empty fields.
pub fn lock_holder(path: &Path) -> Result<Option<Holder>> {
    if !is_held(path).map_err(RunnerError::io("read the lock", path))? {
        return Ok(None);
    }
    let nameless = || Holder { run: String::new(), holder: String::new(), since_ms: 0, what: String::new() };
    Ok(Some(read_holder(path).unwrap_or_else(nameless)))
}
