//! The journal of deploys and rollbacks: written durably before each phase, so that a crash in the middle can be
//! detected, and repaired, afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::time::Millis;
use serde::{Deserialize, Serialize};

use crate::error::{OrchestratorError, Result};
use crate::progress::DeployPhase;
use crate::undo::UndoStack;
use system::files::write_durably;

/// The kind of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalKind {
    /// A deploy.
    Deploy,
    /// A rollback.
    Rollback,
}

/// The last entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The kind of action.
    pub kind: JournalKind,
    /// The run that did it.
    pub run: String,
    /// The name of the stack in the engine; empty before it is known.
    pub project: String,
    /// The release that is deployed or returned to.
    pub release_tag: String,
    /// The phase that was about to begin.
    pub phase: DeployPhase,
    /// When.
    pub at: Millis,
    /// Expected image IDs, by service.
    pub images: BTreeMap<String, String>,
    /// The images of image names before they were moved.
    #[serde(rename = "moved")]
    pub moved_names: BTreeMap<String, String>,
    /// What is undone when it ends before any service was changed. Empty from then on.
    #[serde(default, skip_serializing_if = "UndoStack::is_empty")]
    pub undo: UndoStack,
    /// Whether it has ended, successfully or not. `false` without an active run means a crash.
    pub ended: bool,
}

/// Reads the journal; `None` when nothing was ever done.
///
/// # Errors
/// [`OrchestratorError::Io`] when it cannot be read or is damaged.
pub fn read_journal(path: &Path) -> Result<Option<Journal>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| OrchestratorError::io("read the deploy journal", path)(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OrchestratorError::io("read the deploy journal", path)(error)),
    }
}

impl Journal {
    /// The path of the journal, given the directory of a release's stored files: beside it.
    pub fn path(snapshot_dir: &Path) -> PathBuf {
        snapshot_dir.parent().unwrap_or(snapshot_dir).join("journal.json")
    }

    /// Whether it ended successfully: every service was healthy and ran the images that are recorded here.
    pub fn succeeded(&self) -> bool {
        self.ended && self.phase == DeployPhase::Done
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| OrchestratorError::io("write the deploy journal", path)(error.into()))?;
        write_durably(path, &text).map_err(OrchestratorError::io("write the deploy journal", path))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_journal_reads_back_and_only_its_owner_may_read_it() {
        let home = tempfile::tempdir().unwrap();
        let path = Journal::path(&home.path().join("rollback/7"));
        assert_eq!(path, home.path().join("rollback/journal.json"));
        assert_eq!(read_journal(&path).unwrap(), None);
        let entry = Journal {
            kind: JournalKind::Deploy,
            run: "12".into(),
            project: "shop".into(),
            release_tag: "r7".into(),
            phase: DeployPhase::Starting,
            at: Millis(5),
            images: BTreeMap::from([("web".into(), "sha256:1".into())]),
            moved_names: BTreeMap::new(),
            undo: UndoStack::default(),
            ended: false,
        };
        entry.write(&path).unwrap();
        assert_eq!(read_journal(&path).unwrap(), Some(entry));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "{").unwrap();
        assert!(read_journal(&path).is_err());
    }
}
