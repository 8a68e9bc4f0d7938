//! Where a stack is declared: its directory and files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{OrchestratorError, Result};

/// Where a stack is declared. Paths are relative to `dir`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFiles {
    /// The name that it gets in the engine; `None`: the one in its files, or the directory's.
    pub name: Option<String>,
    /// The directory in which a person would type the commands.
    pub dir: PathBuf,
    /// The files that declare it, in order; empty: those that the tool finds by itself.
    pub files: Vec<PathBuf>,
    /// The env file; `None`: `.env`, if there is one.
    pub env_file: Option<PathBuf>,
    /// Address of the engine (`unix://…` or `tcp://…`); `None`: the one that the environment names. Not stored.
    #[serde(skip)]
    pub engine: Option<String>,
}

impl StackFiles {
    /// The directory that relative paths in the files are taken from: that of the first file.
    pub(crate) fn base(&self) -> PathBuf {
        let first = self.files.first().map(|file| self.dir.join(file));
        first.and_then(|file| file.parent().map(Path::to_owned)).unwrap_or_else(|| self.dir.clone())
    }

    /// The env file that is read, if there is one.
    pub(crate) fn env_path(&self) -> Option<PathBuf> {
        match &self.env_file {
            Some(file) => Some(self.dir.join(file)),
            None => Some(self.base().join(".env")).filter(|file| file.is_file()),
        }
    }

    /// Where the env file is, or would be.
    pub(crate) fn env_place(&self) -> PathBuf {
        self.env_path().unwrap_or_else(|| self.base().join(".env"))
    }

    /// The files that declare the stack, as far as they can be determined without the tool.
    pub(crate) fn file_paths(&self) -> Vec<PathBuf> {
        const DEFAULT_NAMES: [&str; 8] = [
            "compose.yaml",
            "compose.yml",
            "docker-compose.yml",
            "docker-compose.yaml",
            "compose.override.yaml",
            "compose.override.yml",
            "docker-compose.override.yml",
            "docker-compose.override.yaml",
        ];
        if self.files.is_empty() {
            return DEFAULT_NAMES
                .iter()
                .map(|name| self.dir.join(name))
                .filter(|file| file.is_file())
                .collect();
        }
        self.files.iter().map(|file| self.dir.join(file)).collect()
    }

    /// Checks that the declared directory and env file exist.
    ///
    /// # Errors
    /// [`OrchestratorError::DirectoryMissing`] or [`OrchestratorError::EnvFileMissing`].
    pub(crate) fn check(&self) -> Result<()> {
        if !self.dir.is_dir() {
            return Err(OrchestratorError::DirectoryMissing { dir: self.dir.clone() });
        }
        match &self.env_file {
            Some(file) if !self.dir.join(file).is_file() => {
                Err(OrchestratorError::EnvFileMissing { file: self.dir.join(file) })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> StackFiles {
        StackFiles {
            name: Some("shop".into()),
            dir: "/srv/shop".into(),
            files: vec!["docker-compose.yml".into(), "/etc/extra.yml".into()],
            env_file: Some(".env.staging".into()),
            engine: None,
        }
    }

    #[test]
    fn a_missing_directory_differs_from_a_missing_env_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut project = project();
        assert!(matches!(project.check(), Err(OrchestratorError::DirectoryMissing { .. })));
        project.dir = dir.path().to_owned();
        assert!(matches!(project.check(), Err(OrchestratorError::EnvFileMissing { .. })));
        std::fs::write(dir.path().join(".env.staging"), "A=1\n").unwrap();
        assert!(project.check().is_ok());
    }
}
