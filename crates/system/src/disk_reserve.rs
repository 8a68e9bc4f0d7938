//! Room kept for a rollback: a file that is let go when the disk of the data directory is full, because a
//! rollback must be able to write its journal, its log and its row in the store.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// Largest size of the file, bytes.
const SIZE: u64 = 32 << 20;
/// On a small disk the file takes this part of it at most.
const PART: u64 = 8;
/// The file is let go when less than this part of its size is left beside it.
const LOW: u64 = 2;
/// It is made only where there is room for so many of it.
const MIN_FREE_TIMES: u64 = 3;

fn path(data: &Path) -> PathBuf {
    data.join("ballast")
}

/// The size for the disk that `data` lies on.
fn size(data: &Path) -> io::Result<u64> {
    let stat = statvfs(data)?;
    Ok((stat.f_blocks.saturating_mul(stat.f_frsize) / PART).min(SIZE))
}

fn free(data: &Path) -> io::Result<u64> {
    let stat = statvfs(data)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes the file where it is missing and there is ample room. Returns whether it is there now.
///
/// # Errors
/// When the disk cannot be looked at or the file cannot be made.
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

/// Lets the file go when the disk is nearly full. Returns whether it did.
///
/// # Errors
/// When the disk cannot be looked at or the file cannot be removed.
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
    fn it_is_made_of_real_blocks_and_let_go_only_when_room_is_short() {
        let home = tempfile::tempdir().unwrap();
        assert!(!keep_with(home.path(), 1 << 20, u64::MAX).unwrap(), "it takes no room that is short");
        assert!(keep_with(home.path(), 1 << 20, 0).unwrap());
        assert!(path(home.path()).metadata().unwrap().blocks() * 512 >= 1 << 20);
        assert!(!release_with(home.path(), 0).unwrap() && path(home.path()).exists());
        assert!(release_with(home.path(), u64::MAX).unwrap() && !path(home.path()).exists());
        assert!(!release_with(home.path(), u64::MAX).unwrap(), "what is gone cannot be let go again");
    }
}
