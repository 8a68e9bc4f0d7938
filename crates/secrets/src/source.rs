//! Where the values of a stack come from. Everything outside of this crate reads them through [`EnvSource`], so that it
//! does not depend on where they are.
//!
//! To add a source: add a variant, give it a form in JSON, and answer each `match` of this file. The matches have no
//! catch-all arm, so the compiler lists them.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::encrypted_env::replace;
use super::env_file::{EnvSyntaxError, EnvValues};
use system::files::read_bounded;

/// Largest env file that is read, bytes.
const MAX_BYTES: usize = 4 << 20;

/// Why a source gave no values, or did not accept them. The texts are for people: they contain no value and no path;
/// the system's own reason is the source of the error.
#[derive(Debug, thiserror::Error)]
pub enum EnvSourceError {
    /// There is nothing to read, for example because the file was not created yet.
    #[error("it cannot be read ({})", io::ErrorKind::NotFound)]
    Missing,
    /// It cannot be read.
    #[error("it cannot be read ({})", .0.kind())]
    Unreadable(#[source] io::Error),
    /// It can be read and is not a list of variables.
    #[error(transparent)]
    Invalid(#[from] EnvSyntaxError),
    /// Its values can be read and not replaced.
    #[error("it is read-only")]
    ReadOnly,
    /// Its values cannot be replaced at the moment.
    #[error("it cannot be written ({})", .0.kind())]
    NotWritten(#[source] io::Error),
}

impl EnvSourceError {
    fn reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Unreadable(error),
        }
    }

    fn writing(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::NotWritten(error),
        }
    }
}

/// For code that reports all failures of files in one way.
impl From<EnvSourceError> for io::Error {
    fn from(error: EnvSourceError) -> Self {
        match error {
            EnvSourceError::Missing => io::ErrorKind::NotFound.into(),
            EnvSourceError::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
            EnvSourceError::Unreadable(error) | EnvSourceError::NotWritten(error) => error,
            EnvSourceError::Invalid(error) => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Where the values of a stack come from. Its JSON form is stored with runs and in the journal: for a file, the path
/// as text. It names values and contains none.
///
/// Methods that return a `Result`, and [`EnvSource::exists`] and [`EnvSource::version`], block: they are called off
/// the async threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EnvSource {
    /// An env file on this host.
    File(PathBuf),
}

impl EnvSource {
    /// The source that a configuration declares for the stack in `directory`. `env_file` may be relative to it.
    pub fn declared(directory: &Path, env_file: Option<&Path>) -> Option<Self> {
        env_file.map(|file| Self::File(file.to_owned()).resolved(directory))
    }

    /// The same source, with a relative path taken from `directory`.
    pub fn resolved(&self, directory: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(directory.join(path)),
        }
    }

    /// Its name in messages and findings: for a file, the path as declared.
    pub fn describe(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Whether there is something to read. A file that a step of the runbook creates does not exist before that.
    pub fn exists(&self) -> bool {
        match self {
            Self::File(path) => path.is_file(),
        }
    }

    /// The values.
    ///
    /// # Errors
    /// When they cannot be read, or the text is not a list of variables.
    pub fn values(&self) -> Result<EnvValues, EnvSourceError> {
        Ok(EnvValues::parse(&self.text()?)?)
    }

    /// The values as the text of an env file, byte for byte: what a release keeps a copy of, and what its digest is
    /// made from. It contains secrets.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than 4 MiB.
    pub fn text(&self) -> Result<Vec<u8>, EnvSourceError> {
        match self {
            Self::File(path) => {
                read_bounded(path, MAX_BYTES).map_err(|error| EnvSourceError::reading(explained(error)))
            }
        }
    }

    /// Replaces the values by the text of an env file, completely or not at all; with `None`, nothing is left to read,
    /// as before the source was filled. Of a file, owner and permissions do not change; a new one can be read only by
    /// its owner.
    ///
    /// # Errors
    /// [`EnvSourceError::ReadOnly`] when the source never accepts values, and [`EnvSourceError::NotWritten`] when it
    /// does not now.
    pub fn restore(&self, text: Option<&[u8]>) -> Result<(), EnvSourceError> {
        match self {
            Self::File(path) => match text {
                Some(text) => replace(path, text),
                None => std::fs::remove_file(path),
            }
            .map_err(EnvSourceError::writing),
        }
    }

    /// The values in a file, for a program that reads nothing else. The file exists as long as the result.
    ///
    /// # Errors
    /// When the values cannot be read or the file cannot be written. For a source that is a file, it is not an error
    /// that the file does not exist: the program says so.
    pub fn file(&self) -> Result<SecretFile, EnvSourceError> {
        match self {
            Self::File(path) => Ok(SecretFile { path: path.clone() }),
        }
    }

    /// Where [`EnvSource::file`] has its file, for command lines. Only while its result exists is the file there.
    pub fn file_path(&self) -> &Path {
        match self {
            Self::File(path) => path,
        }
    }

    /// The file that the values are kept in, for what is about the file itself: its owner, its permissions, its place
    /// in the repository. `None` for a source that is not a file of people.
    pub fn own_file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
        }
    }

    /// Its state now, to find out later whether it has changed. It reveals nothing about the values, and is cheap
    /// enough to be read several times a second.
    pub fn version(&self) -> EnvVersion {
        match self {
            Self::File(path) => EnvVersion { source: self.clone(), state: FileState::of(path) },
        }
    }
}

/// A file with the values of a source, that only the owner of the process can read.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
}

impl SecretFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// One state of a source. A different one means that its values, or the permissions of its file, may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVersion {
    source: EnvSource,
    /// `None`: there was nothing to read.
    state: Option<FileState>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileState {
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Changes with owner and permissions too.
    changed: (i64, i64),
    inode: u64,
    size_bytes: u64,
    mode: u32,
}

impl FileState {
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            inode: found.ino(),
            size_bytes: found.size(),
            mode: found.mode(),
        })
    }
}

/// The error with a reason that a person can act on, where the system's own text has none.
fn explained(error: io::Error) -> io::Error {
    use io::ErrorKind::{FileTooLarge, InvalidInput, IsADirectory};
    match error.kind() {
        kind @ FileTooLarge => io::Error::new(kind, format!("it is larger than {MAX_BYTES} bytes")),
        kind @ (IsADirectory | InvalidInput) => io::Error::new(kind, "it is not a regular file"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn source(dir: &Path, text: &str) -> EnvSource {
        fs::write(dir.join(".env"), text).unwrap();
        EnvSource::File(dir.join(".env"))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_stored_as_its_path() {
        let file = EnvSource::File("/srv/shop/.env".into());
        assert_eq!(serde_json::to_string(&file).unwrap(), "\"/srv/shop/.env\"");
        assert_eq!(serde_json::from_str::<EnvSource>("\"/srv/shop/.env\"").unwrap(), file);
        assert_eq!(serde_json::from_str::<Option<EnvSource>>("null").unwrap(), None);
        assert!(serde_json::from_str::<EnvSource>("{\"vault\":\"kv/shop\"}").is_err());
    }

    #[test]
    fn a_declared_file_is_relative_to_the_directory_of_the_stack() {
        let declared = |file: &str| EnvSource::declared(Path::new("/srv/shop"), Some(Path::new(file)));
        assert_eq!(declared(".env.staging"), Some(EnvSource::File("/srv/shop/.env.staging".into())));
        assert_eq!(declared("/etc/shop.env"), Some(EnvSource::File("/etc/shop.env".into())));
        assert_eq!(EnvSource::declared(Path::new("/srv/shop"), None), None);
        assert_eq!(EnvSource::File(".env".into()).describe(), ".env");
    }

    #[test]
    fn values_and_text_are_those_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path(), "A=1\r\n# note\nB=\"$A two\"\n");
        assert_eq!(source.values().unwrap().get("B"), Some("1 two"));
        assert_eq!(source.text().unwrap(), b"A=1\r\n# note\nB=\"$A two\"\n");
        let file = source.file().unwrap();
        assert_eq!((file.path(), source.own_file()), (source.file_path(), Some(source.file_path())));
    }

    #[test]
    fn a_source_that_cannot_be_read_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let gone = EnvSource::File(dir.path().join("none"));
        let error = gone.values().unwrap_err();
        assert!(matches!(error, EnvSourceError::Missing), "{error:?}");
        assert_eq!(error.to_string(), "it cannot be read (entity not found)");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
        assert!(!gone.exists());
        assert!(gone.file().is_ok(), "the program that needs the file reports that it is missing");

        let directory = EnvSource::File(dir.path().to_owned());
        let error = directory.text().unwrap_err();
        assert!(matches!(error, EnvSourceError::Unreadable(_)), "{error:?}");
        assert_eq!(error.to_string(), "it cannot be read (is a directory)");
        assert_eq!(io::Error::from(error).to_string(), "it is not a regular file");

        let large = EnvSource::File(dir.path().join("large"));
        fs::File::create(large.file_path()).unwrap().set_len(MAX_BYTES as u64 + 1).unwrap();
        let error = large.text().unwrap_err();
        assert_eq!(io::Error::from(error).to_string(), "it is larger than 4194304 bytes");
    }

    #[test]
    fn an_invalid_line_is_named_without_its_value() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path(), "A=1\nhunter2\n");
        let error = source.values().unwrap_err();
        assert!(
            matches!(error, EnvSourceError::Invalid(EnvSyntaxError::NoAssignment { line: 2 })),
            "{error:?}"
        );
        assert_eq!(error.to_string(), "line 2 has no '='");
        let error = EnvValues::parse(b"TOKEN=\"hunter2").map_err(EnvSourceError::from).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn debug_output_has_no_values() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path(), "TOKEN=hunter2\nOTHER=\"a $TOKEN\"\n");
        let shown = format!("{source:?} {:?} {:?} {:?}", source.values(), source.file(), source.version());
        assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn values_are_restored_with_the_permissions_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path(), "A=1\n");
        fs::set_permissions(source.file_path(), Permissions::from_mode(0o640)).unwrap();
        source.restore(Some(b"A=2\n")).unwrap();
        assert_eq!((source.text().unwrap().as_slice(), mode(source.file_path())), (&b"A=2\n"[..], 0o640));
        source.restore(None).unwrap();
        assert!(!source.exists());
        source.restore(Some(b"A=3\n")).unwrap();
        assert_eq!((source.text().unwrap().as_slice(), mode(source.file_path())), (&b"A=3\n"[..], 0o600));
        let nowhere = EnvSource::File(dir.path().join("no/such/.env"));
        let error = nowhere.restore(Some(b"")).unwrap_err();
        assert!(matches!(error, EnvSourceError::NotWritten(_)), "{error:?}");
        assert_eq!(error.to_string(), "it cannot be written (entity not found)");
    }

    #[test]
    fn a_source_that_accepts_no_values_says_so() {
        let error = EnvSourceError::writing(io::ErrorKind::ReadOnlyFilesystem.into());
        assert!(matches!(error, EnvSourceError::ReadOnly), "{error:?}");
        assert_eq!(error.to_string(), "it is read-only");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ReadOnlyFilesystem);
    }

    #[test]
    fn each_change_of_the_file_changes_the_version() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(dir.path(), "A=1\n");
        let mut last = source.version();
        assert_eq!(source.version(), last);
        let mut changed = |what: &str| {
            assert_ne!(source.version(), last, "{what}");
            last = source.version();
        };
        fs::write(source.file_path(), "A=22\n").unwrap();
        changed("its text");
        fs::set_permissions(source.file_path(), Permissions::from_mode(0o600)).unwrap();
        changed("its permissions");
        source.restore(Some(b"A=33\n")).unwrap();
        changed("another file with its name");
        source.restore(None).unwrap();
        changed("no file");
        assert_ne!(source.version(), EnvSource::File(dir.path().join("other")).version(), "another source");
    }
}
