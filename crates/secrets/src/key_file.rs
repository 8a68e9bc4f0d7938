//! Keys in files: 32 random bytes that only the owner can read. A key file is written completely or not at all. A key
//! is created only once, even if many processes start at the same time. A file without a valid key is an error: it is
//! never replaced silently. The keys of the installation are in `keys` in the data directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Bytes in a key.
pub(crate) const BYTES: usize = 32;

/// The format of the key in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The bytes themselves.
    Raw,
    /// One line of Base64.
    Base64,
}

/// A key in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyFile<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Its format.
    pub form: Form,
    /// What is lost with the key, as a text for people.
    pub lost: &'static str,
}

/// A key file cannot be used. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or created.
    #[error(
        "the key file {} cannot be used ({source}): make it readable for the user that Stagegate runs as, or restore it from a backup",
        .path.display()
    )]
    Io {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Other users can read the key.
    #[error("the key file {path} can be read by other users (mode {mode:04o}): run `chmod 600 {path}`", path = .path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not contain a key.
    #[error(
        "the key file {} is damaged: it does not contain a key of 32 bytes. Restore it from a backup. Without a backup, move the file away, and Stagegate creates a new key; {lost}",
        .path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is lost with the key.
        lost: &'static str,
    },
}

impl KeyFile<'_> {
    /// Reads the key, or creates it when there is no file.
    ///
    /// # Errors
    /// When the file contains no key, can be read by other users, or cannot be read or created.
    pub(crate) fn read_or_make(&self) -> Result<[u8; BYTES], KeyError> {
        if fs::symlink_metadata(self.path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            self.make().map_err(|e| self.io(e))?;
        }
        self.read()
    }

    /// Reads the key.
    ///
    /// # Errors
    /// As [`KeyFile::read_or_make`], and when there is no file.
    pub(crate) fn read(&self) -> Result<[u8; BYTES], KeyError> {
        let path = self.path.to_owned();
        let found = fs::metadata(self.path).map_err(|e| self.io(e))?;
        if !found.is_file() {
            return Err(self.io(io::Error::other("it is not a file")));
        }
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path, mode });
        }
        let text = fs::read(self.path).map_err(|e| self.io(e))?;
        let bytes = match self.form {
            Form::Raw => Some(text),
            Form::Base64 => STANDARD.decode(text.trim_ascii()).ok(),
        };
        let key = bytes.and_then(|bytes| <[u8; BYTES]>::try_from(bytes).ok());
        // After data loss, a file system may return zeros.
        key.filter(|key| *key != [0; BYTES]).ok_or(KeyError::Damaged { path, lost: self.lost })
    }

    /// Writes a new key to a temporary file, and renames it when it is on the disk. If another process was faster, its
    /// key is used.
    fn make(&self) -> io::Result<()> {
        let mut key = [0; BYTES];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let text = match self.form {
            Form::Raw => key.to_vec(),
            Form::Base64 => format!("{}\n", STANDARD.encode(key)).into_bytes(),
        };
        let spare = self.spare()?;
        let put = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&spare)?;
            file.write_all(&text)?;
            file.sync_all()?;
            name_once(&spare, self.path)?;
            let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
            File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
        };
        let made = put();
        let _ = fs::remove_file(&spare);
        made
    }

    /// A unique name for a temporary file in the same directory.
    fn spare(&self) -> io::Result<PathBuf> {
        let mut random = [0; 9];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = self.path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        Ok(self.path.with_file_name(format!(".{name}.{}", URL_SAFE_NO_PAD.encode(random))))
    }

    fn io(&self, source: io::Error) -> KeyError {
        KeyError::Io { path: self.path.to_owned(), source }
    }
}

/// A key of this installation, `keys/<name>` in the data directory; it is created at the first start. `lost` describes
/// what is lost with it.
///
/// # Errors
/// When the directory or the file cannot be created, or the file contains no key.
pub fn installation_key(data: &Path, name: &str, lost: &'static str) -> Result<[u8; BYTES], KeyError> {
    let dir = data.join("keys");
    let path = dir.join(name);
    let unusable = |source| KeyError::Io { path: path.clone(), source };
    if !dir.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(unusable)?;
        File::open(data).and_then(|data| data.sync_all()).map_err(unusable)?;
    }
    KeyFile { path: &path, form: Form::Raw, lost }.read_or_make()
}

/// Renames `from` to `to` unless `to` exists.
fn name_once(from: &Path, to: &Path) -> io::Result<()> {
    let named = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system supports this flag. A hard link does not replace a file either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::hard_link(from, to),
        other => other.map_err(io::Error::from),
    };
    match named {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &Path, form: Form) -> KeyFile<'_> {
        KeyFile { path, form, lost: "something is lost" }
    }

    #[test]
    fn many_first_starts_at_once_get_the_same_key_and_leave_no_other_file() {
        for form in [Form::Raw, Form::Base64] {
            for _ in 0..20 {
                let home = tempfile::tempdir().unwrap();
                let path = home.path().join("env.key");
                let gate = std::sync::Barrier::new(8);
                let keys: Vec<[u8; BYTES]> = std::thread::scope(|scope| {
                    let one = || {
                        gate.wait();
                        at(&path, form).read_or_make().unwrap()
                    };
                    let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
                    all.into_iter().map(|thread| thread.join().unwrap()).collect()
                });
                assert!(keys.iter().all(|key| *key == keys[0] && *key != [0; BYTES]));
                assert_eq!(at(&path, form).read().unwrap(), keys[0]);
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
                assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "a temporary file is left");
            }
        }
    }

    #[test]
    fn the_error_for_a_file_without_a_key_says_what_to_do_and_the_file_is_not_changed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("env.key");
        for bad in [&b""[..], b"short", &[7; 31], &[7; 33], &[0; 32]] {
            fs::write(&path, bad).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = at(&path, Form::Raw).read_or_make().unwrap_err().to_string();
            for part in ["env.key", "damaged", "Restore it from a backup", "something is lost"] {
                assert!(error.contains(part), "{error}");
            }
            assert_eq!(fs::read(&path).unwrap(), bad);
        }
        fs::write(&path, [7; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let open = at(&path, Form::Raw).read_or_make().unwrap_err().to_string();
        assert!(open.contains("0640") && open.contains("chmod 600"), "{open}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(at(&path, Form::Raw).read_or_make(), Err(KeyError::Io { .. })));
        let nowhere = home.path().join("no/such/key");
        assert!(matches!(at(&nowhere, Form::Raw).read_or_make(), Err(KeyError::Io { .. })));
    }

    #[test]
    fn a_key_keeps_its_form() {
        let home = tempfile::tempdir().unwrap();
        let (raw, text) = (home.path().join("raw"), home.path().join("text"));
        let key = at(&raw, Form::Raw).read_or_make().unwrap();
        assert_eq!(fs::read(&raw).unwrap(), key);
        let key = at(&text, Form::Base64).read_or_make().unwrap();
        assert_eq!(fs::read_to_string(&text).unwrap(), format!("{}\n", STANDARD.encode(key)));
    }
}
