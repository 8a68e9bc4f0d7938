//! Where what is stored of a release is found.

use std::path::{Path, PathBuf};

use secrets::{EncryptionError, EnvCopy};

/// Where a rollback keeps the env file that it replaced: beside the target's own copy, as a release of this name.
pub(crate) const REPLACED: &str = "replaced";

/// The tag under which a release's images are retained.
pub fn release_tag(release: i64) -> String {
    format!("r{release}")
}

/// The directory of a release's stored files, below the data directory.
pub fn snapshot_dir(data: &Path, release: i64) -> PathBuf {
    data.join("rollback").join(release.to_string())
}

/// The env file that the last rollback to a release replaced.
///
/// # Errors
/// There is no such copy, or it cannot be decrypted.
pub fn open_replaced_env(copy: &EnvCopy, snapshot_dir: &Path) -> Result<Vec<u8>, EncryptionError> {
    copy.open(&snapshot_dir.join(REPLACED), REPLACED)
}
