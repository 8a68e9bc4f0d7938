//! The encrypted copy of the env file of a release, for stacks that enable it, so that the env file can be restored.
//! Encrypted with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a key in a separate file, and bound to stack and
//! release, so that one copy cannot be used as another.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};

use super::key_file::{Form, KeyError, KeyFile};
use system::files::write_durably;

const FORM: &[u8] = b"stagegate env copy 1\n";
const NONCE: usize = 24;

/// Why a copy cannot be written or read. The texts are for people and contain no secrets.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// The key file cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The copy cannot be read or written.
    #[error("{} cannot be used ({})", .path.display(), .source.kind())]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The copy was changed, belongs to another release, or was encrypted with another key.
    #[error(
        "{} cannot be decrypted: it was encrypted with another key, belongs to another release, or was changed",
        .path.display()
    )]
    Sealed {
        /// Which file.
        path: PathBuf,
    },
    /// The encryption failed.
    #[error("the env file could not be encrypted")]
    Sealing,
}

/// How the env file copies of a stack are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvCopy {
    /// The key file, absolute. It is created when it does not exist.
    pub key: PathBuf,
    /// The stack that copies are bound to.
    pub stack: String,
}

/// Whether there is a copy for the release with the directory `keep_dir`.
pub fn has_env_copy(keep_dir: &Path) -> bool {
    path_in(keep_dir).is_file()
}

fn path_in(keep_dir: &Path) -> PathBuf {
    keep_dir.join("env.sealed")
}

impl EnvCopy {
    /// Decrypts the env file of a release.
    ///
    /// # Errors
    /// When the copy or the key cannot be read, or they do not belong together.
    pub fn open(&self, keep_dir: &Path, release_tag: &str) -> Result<Vec<u8>, EncryptionError> {
        let path = path_in(keep_dir);
        let sealed =
            fs::read(&path).map_err(|source| EncryptionError::File { path: path.clone(), source })?;
        let broken = || EncryptionError::Sealed { path: path.clone() };
        let (nonce, text) =
            sealed.strip_prefix(FORM).and_then(|rest| rest.split_at_checked(NONCE)).ok_or_else(broken)?;
        let bound = self.bound_to(release_tag);
        let payload = Payload { msg: text, aad: bound.as_bytes() };
        self.cipher(false)?.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| broken())
    }

    /// Checks that copies can be encrypted; creates the key if there is none.
    pub fn ready(&self) -> Result<(), EncryptionError> {
        self.cipher(true).map(drop)
    }

    /// Stores an encrypted copy of `env` for a release.
    pub fn keep(&self, env: &[u8], keep_dir: &Path, release_tag: &str) -> Result<(), EncryptionError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| EncryptionError::Sealing)?;
        let bound = self.bound_to(release_tag);
        let payload = Payload { msg: env, aad: bound.as_bytes() };
        let text = self
            .cipher(true)?
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| EncryptionError::Sealing)?;
        let path = path_in(keep_dir);
        write_durably(&path, &[FORM, &nonce, &text].concat())
            .map_err(|source| EncryptionError::File { path, source })
    }

    fn bound_to(&self, release_tag: &str) -> String {
        format!("{}\n{release_tag}", self.stack)
    }

    /// Fails when the key file exists and cannot be used.
    pub fn check_key(&self) -> Result<(), EncryptionError> {
        if self.key.exists() { self.cipher(false).map(drop) } else { Ok(()) }
    }

    fn cipher(&self, make: bool) -> Result<XChaCha20Poly1305, EncryptionError> {
        let file = KeyFile {
            path: &self.key,
            form: Form::Base64,
            lost: "copies of env files that were encrypted with the old key can then no longer be decrypted",
        };
        let key = if make { file.read_or_make() } else { file.read() }?;
        Ok(XChaCha20Poly1305::new(&key.into()))
    }
}

/// Replaces the contents of a file with `text`, completely or not at all. Owner and permissions do not change; a new
/// file can be read only by its owner.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let spare = dir.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let put = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&spare)?;
        file.write_all(text)?;
        if let Ok(old) = fs::metadata(&path) {
            std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&spare, &path)?;
        fs::File::open(dir)?.sync_all()
    };
    put().inspect_err(|_| drop(fs::remove_file(&spare)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn copy(home: &Path, stack: &str) -> EnvCopy {
        EnvCopy { key: home.join("key"), stack: stack.to_owned() }
    }

    #[test]
    fn a_copy_is_decrypted_only_for_its_release_and_key() {
        let home = tempfile::tempdir().unwrap();
        let (keep, copy) = (home.path().join("rollback/7"), copy(home.path(), "shop"));
        assert!(!has_env_copy(&keep));
        assert!(matches!(copy.open(&keep, "r7"), Err(EncryptionError::File { .. })));
        copy.keep(b"TOKEN=hunter2\n", &keep, "r7").unwrap();
        assert!(has_env_copy(&keep));
        assert_eq!(copy.open(&keep, "r7").unwrap(), b"TOKEN=hunter2\n");
        assert!(matches!(copy.open(&keep, "r8"), Err(EncryptionError::Sealed { .. })));
        let other = EnvCopy { stack: "another".into(), ..copy.clone() };
        assert!(matches!(other.open(&keep, "r7"), Err(EncryptionError::Sealed { .. })));
        let other = EnvCopy { key: home.path().join("key2"), ..copy.clone() };
        other.ready().unwrap();
        assert!(matches!(other.open(&keep, "r7"), Err(EncryptionError::Sealed { .. })));
        // It contains no plain text, and a change of any byte is detected.
        let sealed = fs::read(path_in(&keep)).unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        for at in 0..sealed.len() {
            let mut spoilt = sealed.clone();
            spoilt[at] ^= 1;
            fs::write(path_in(&keep), &spoilt).unwrap();
            assert!(matches!(copy.open(&keep, "r7"), Err(EncryptionError::Sealed { .. })), "byte {at}");
        }
        fs::write(path_in(&keep), &sealed[..FORM.len() + 3]).unwrap();
        assert!(matches!(copy.open(&keep, "r7"), Err(EncryptionError::Sealed { .. })));
    }

    #[test]
    fn two_copies_of_one_text_differ() {
        let home = tempfile::tempdir().unwrap();
        let copy = copy(home.path(), "shop");
        copy.keep(b"A=1", &home.path().join("1"), "r1").unwrap();
        let first = fs::read(path_in(&home.path().join("1"))).unwrap();
        copy.keep(b"A=1", &home.path().join("1"), "r1").unwrap();
        assert_ne!(first, fs::read(path_in(&home.path().join("1"))).unwrap());
    }

    #[test]
    fn a_key_is_created_for_its_owner_and_an_invalid_one_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let copy = copy(home.path(), "shop");
        copy.ready().unwrap();
        let made = fs::read_to_string(&copy.key).unwrap();
        assert_eq!(fs::metadata(&copy.key).unwrap().permissions().mode() & 0o777, 0o600);
        copy.ready().unwrap();
        assert_eq!(fs::read_to_string(&copy.key).unwrap(), made, "the key is created only once");
        fs::set_permissions(&copy.key, fs::Permissions::from_mode(0o640)).unwrap();
        let open = copy.ready().unwrap_err();
        assert!(open.to_string().contains("0640"), "{open}");
        fs::set_permissions(&copy.key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&copy.key, "c2hvcnQ=\n").unwrap();
        assert!(matches!(copy.ready(), Err(EncryptionError::Key(KeyError::Damaged { .. }))));
        assert!(copy.check_key().is_err());
        let nowhere = EnvCopy { key: home.path().join("no/such/key"), ..copy };
        assert!(matches!(nowhere.ready(), Err(EncryptionError::Key(KeyError::Io { .. }))));
        assert!(nowhere.check_key().is_ok(), "the key is created with the first copy");
    }

    #[test]
    fn a_file_is_replaced_with_its_permissions_and_through_a_link() {
        let home = tempfile::tempdir().unwrap();
        let (file, link) = (home.path().join("real"), home.path().join(".env"));
        fs::write(&file, "A=1").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"A=2").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"A=2");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let new = home.path().join("new");
        replace(&new, b"A=3").unwrap();
        assert_eq!(fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(replace(&home.path().join("no/such"), b"").is_err());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3, "no temporary file is left");
    }
}
