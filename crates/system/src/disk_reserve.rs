//! Disk space reserved for a rollback: a file that is deleted when the disk of the data directory is full, because a
//! rollback must be able to write its journal, its log and its row in the store.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Largest size of the file, bytes.
const SIZE: u64 = 32 << 20;
/// On a small disk the file takes at most one part in this many.
const PART: u64 = 8;
/// The file is deleted when the free space is less than its size divided by this.
const LOW: u64 = 2;
/// It is created only if the free space is at least this many times its size.
const MIN_FREE_TIMES: u64 = 3;

fn path(data: &Path) -> PathBuf {
    data.join("ballast")
}

/// The size for the disk of `data`.
fn size(data: &Path) -> io::Result<u64> {
    let stat = statvfs(data)?;
    Ok((stat.f_blocks.saturating_mul(stat.f_frsize) / PART).min(SIZE))
}

fn free(data: &Path) -> io::Result<u64> {
    let stat = statvfs(data)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Creates the file if it is missing and there is enough free space. Returns whether it exists now.
///
/// # Errors
/// When the free space cannot be read or the file cannot be created.
pub fn keep(data: &Path) -> io::Result<bool> {
    let size = size(data)?;
    keep_with(data, size, size * MIN_FREE_TIMES)
}

fn keep_with(data: &Path, size: u64, ample: u64) -> io::Result<bool> {
    let path = path(data);
    if path.metadata().is_ok_and(|found| found.len() == size) {
        return Ok(true);
    }
    if free(data)? < ample {
        return Ok(false);
    }
    let made = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        // Real blocks, not a hole.
        fallocate(&file, FallocateFlags::empty(), 0, size)?;
        file.sync_all()
    };
    made().inspect_err(|_| drop(fs::remove_file(&path)))?;
    Ok(true)
}

/// Deletes the file when the disk is nearly full. Returns whether it did.
///
/// # Errors
/// When the free space cannot be read or the file cannot be deleted.
pub fn release(data: &Path) -> io::Result<bool> {
    release_with(data, size(data)? / LOW)
}

fn release_with(data: &Path, low: u64) -> io::Result<bool> {
    if free(data)? >= low {
        return Ok(false);
    }
    match fs::remove_file(path(data)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn it_has_real_blocks_and_is_deleted_only_when_space_is_short() {
        let home = tempfile::tempdir().unwrap();
        assert!(!keep_with(home.path(), 1 << 20, u64::MAX).unwrap(), "it is not created when space is short");
        assert!(keep_with(home.path(), 1 << 20, 0).unwrap());
        assert!(path(home.path()).metadata().unwrap().blocks() * 512 >= 1 << 20);
        assert!(!release_with(home.path(), 0).unwrap() && path(home.path()).exists());
        assert!(release_with(home.path(), u64::MAX).unwrap() && !path(home.path()).exists());
        assert!(!release_with(home.path(), u64::MAX).unwrap(), "a deleted file cannot be deleted again");
    }
}
