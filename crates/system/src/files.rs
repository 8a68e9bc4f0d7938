//! Reading files of unknown length within limits, and off the threads that serve pages.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The bytes of a regular file of at most `most` bytes. A longer file is not read to its end: the error is of the kind
/// [`io::ErrorKind::FileTooLarge`]. A special file (a pipe, a device) is refused with
/// [`io::ErrorKind::InvalidInput`]. Blocks: run it off the async threads.
///
/// # Errors
/// When the file cannot be read, is longer, or is not a regular file.
pub fn read_bounded(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    // Checked before it is opened: opening a pipe would wait for its other end.
    let about = std::fs::metadata(path)?;
    if about.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !about.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    read_to(File::open(path)?, most)
}

/// Runs blocking work on a separate thread.
///
/// # Errors
/// When the work panicked, or the runtime is shutting down.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// All bytes of `source`, which must be at most `most`.
///
/// # Errors
/// When reading fails or there are more bytes.
pub fn read_to(source: impl io::Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Replaces a file so that after a power cut either the old or the new version exists, never a part. Only its owner
/// may read it; the same applies to missing directories, which are created. Blocks.
///
/// # Errors
/// When the file system fails; then the file is unchanged, unless only its directory could not be flushed.
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
    fn a_file_is_read_up_to_the_limit_and_a_special_file_is_refused() {
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
