//! Where a stack is declared: its directory and files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{OrchestratorError, Result};
use secrets::{EnvSource, SecretFile};
use system::files::off_thread;

/// Where a stack is declared. Paths are relative to `dir`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFiles {
    /// The name that it gets in the engine; `None`: the one in its files, or the directory's.
    pub name: Option<String>,
    /// The directory in which a person would type the commands.
    pub dir: PathBuf,
    /// The files that declare it, in order; empty: those that the tool finds by itself.
    pub files: Vec<PathBuf>,
    /// Where the values come from; `None`: the file `.env`, if there is one.
    #[serde(rename = "env_file")]
    pub env_source: Option<EnvSource>,
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

    /// The source of the values that are used, if there is one: as declared, or the default. Blocks.
    pub(crate) fn env_in_use(&self) -> Option<EnvSource> {
        Some(self.env_or_default()).filter(|source| self.env_source.is_some() || source.exists())
    }

    /// The same, also when there is nothing to read yet.
    pub(crate) fn env_or_default(&self) -> EnvSource {
        match &self.env_source {
            Some(source) => source.resolved(&self.dir),
            None => EnvSource::File(self.base().join(".env")),
        }
    }

    /// The file that the command lines for this stack name. It exists as long as the result, so that must be kept until
    /// the command has ended.
    ///
    /// # Errors
    /// [`OrchestratorError::EnvFileInvalid`], when the values cannot be read or written to a file.
    pub(crate) async fn env_file(&self) -> Result<Option<SecretFile>> {
        let Some(declared) = &self.env_source else { return Ok(None) };
        let source = declared.resolved(&self.dir);
        let name = source.describe();
        let file = off_thread(move || source.file())
            .await
            .map_err(OrchestratorError::io("read the env file", &self.dir))?;
        file.map(Some)
            .map_err(|error| OrchestratorError::EnvFileInvalid { file: name, why: error.to_string() })
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

    /// Checks that the declared directory and env source exist. Blocks.
    ///
    /// # Errors
    /// [`OrchestratorError::DirectoryMissing`] or [`OrchestratorError::EnvFileMissing`].
    pub(crate) fn check(&self) -> Result<()> {
        if !self.dir.is_dir() {
            return Err(OrchestratorError::DirectoryMissing { dir: self.dir.clone() });
        }
        let declared = self.env_source.as_ref().map(|source| source.resolved(&self.dir));
        match declared {
            Some(source) if !source.exists() => {
                Err(OrchestratorError::EnvFileMissing { file: source.describe() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A declared stack with relative and absolute files.
    pub(crate) fn project() -> StackFiles {
        StackFiles {
            name: Some("shop".into()),
            dir: "/srv/shop".into(),
            files: vec!["docker-compose.yml".into(), "/etc/extra.yml".into()],
            env_source: Some(EnvSource::File(".env.staging".into())),
            engine: None,
        }
    }

    /// The form in the plans of runs, of which some were stored by earlier versions.
    #[test]
    fn the_stored_form_names_the_env_file() {
        let text = r#"{"name":"shop","dir":"/srv/shop","files":["docker-compose.yml","/etc/extra.yml"],"env_file":".env.staging"}"#;
        assert_eq!(serde_json::to_string(&project()).unwrap(), text);
        assert_eq!(serde_json::from_str::<StackFiles>(text).unwrap(), project());
        let bare = text.replace("\".env.staging\"", "null");
        assert_eq!(serde_json::from_str::<StackFiles>(&bare).unwrap().env_source, None);
    }

    #[tokio::test]
    async fn values_come_from_the_declared_source_or_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let mut project = StackFiles { dir: dir.path().to_owned(), ..project() };
        let declared = EnvSource::File(dir.path().join(".env.staging"));
        assert_eq!(project.env_in_use(), Some(declared.clone()), "also while it does not exist");
        assert_eq!(project.env_file().await.unwrap().unwrap().path(), declared.file_path());
        project.env_source = None;
        let default = EnvSource::File(dir.path().join(".env"));
        assert_eq!((project.env_in_use(), project.env_or_default()), (None, default.clone()));
        std::fs::write(default.file_path(), "A=1\n").unwrap();
        assert_eq!(project.env_in_use(), Some(default));
        assert!(project.env_file().await.unwrap().is_none(), "the tool finds its default itself");
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
