//! Reading files whose length is not known to be sensible, and off the threads that serve pages.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The bytes of a regular file of at most `most` bytes. A longer file is not read to its end: the error is of the kind
/// [`io::ErrorKind::FileTooLarge`]. Whatever is no file (a pipe, a device) has no end to wait for and is refused with
/// [`io::ErrorKind::InvalidInput`]. Blocks: run it off the async threads.
///
/// # Errors
/// When the file cannot be read, is longer, or is no regular file.
pub fn read_bounded(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    // Looked at before it is opened: to open a pipe would wait for its other end.
    let about = std::fs::metadata(path)?;
    if about.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !about.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    read_to(File::open(path)?, most)
}

/// Does work that waits for the disk on a thread on which nobody else waits.
///
/// # Errors
/// When the work panicked, or the runtime is shutting down.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// All that comes from `source`, when that is at most `most` bytes.
///
/// # Errors
/// When reading fails or more comes.
pub fn read_to(source: impl io::Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Replaces a file so that it is there after a power cut, old or new, never in part. Only its owner may read
/// it; directories that are missing are made likewise. Blocks.
///
/// # Errors
/// When the system refuses; then the file is what it was, unless only its directory could not be flushed.
pub fn write_durably(path: &Path, text: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let spare = path.with_extension(format!("tmp{}", std::process::id()));
    let put = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&spare)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&spare, path)?;
        File::open(dir)?.sync_all()
    };
    put().inspect_err(|_| {
        let _ = fs::remove_file(&spare);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound_and_what_has_no_end_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        let kind = |path: &Path, most| read_bounded(path, most).unwrap_err().kind();
        assert_eq!(kind(&path, 4), io::ErrorKind::FileTooLarge);
        assert_eq!(kind(dir.path(), 4), io::ErrorKind::IsADirectory);
        assert_eq!(kind(Path::new("/dev/zero"), 4), io::ErrorKind::InvalidInput);
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(kind(&pipe, 4), io::ErrorKind::InvalidInput);
        assert_eq!(read_to(io::repeat(0), 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
