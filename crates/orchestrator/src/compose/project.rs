//! A Compose project as it is declared: where its files are and how Compose is called for it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{ComposeError, Result};

/// A Compose project. Paths are relative to `dir`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Project name; `None`: the default of Compose (the file's `name`, or the directory's).
    pub name: Option<String>,
    /// The directory in which a person would type the commands.
    pub dir: PathBuf,
    /// The Compose files in order; empty: the defaults of Compose.
    pub files: Vec<PathBuf>,
    /// The env file; `None`: the default of Compose, `.env`.
    pub env_file: Option<PathBuf>,
}

impl Project {
    /// The command line for a subcommand of Compose, to be run in `dir`.
    pub fn argv(&self, sub: &[&str]) -> Vec<String> {
        let mut argv = self.start(self.name.as_deref());
        for file in &self.files {
            argv.extend(["-f".to_owned(), self.absolute(file)]);
        }
        argv.extend(sub.iter().map(|word| (*word).to_owned()));
        argv
    }

    /// The same with `files` (absolute) in place of the project's own, as the project `name`.
    pub fn argv_with(&self, name: &str, files: &[&Path], sub: &[&str]) -> Vec<String> {
        let mut argv = self.start(Some(name));
        argv.extend(["--project-directory".to_owned(), text(&self.base())]);
        for file in files {
            argv.extend(["-f".to_owned(), text(file)]);
        }
        argv.extend(sub.iter().map(|word| (*word).to_owned()));
        argv
    }

    fn start(&self, name: Option<&str>) -> Vec<String> {
        let mut argv: Vec<String> =
            ["docker", "compose", "--ansi", "never", "--progress", "plain"].map(str::to_owned).to_vec();
        if let Some(name) = name {
            argv.extend(["--project-name".to_owned(), name.to_owned()]);
        }
        if let Some(file) = &self.env_file {
            argv.extend(["--env-file".to_owned(), self.absolute(file)]);
        }
        argv
    }

    /// The directory that Compose takes relative paths from: that of the first file.
    pub fn base(&self) -> PathBuf {
        let first = self.files.first().map(|file| self.dir.join(file));
        first.and_then(|file| file.parent().map(Path::to_owned)).unwrap_or_else(|| self.dir.clone())
    }

    /// The env file that Compose reads, if there is one.
    pub fn env_path(&self) -> Option<PathBuf> {
        match &self.env_file {
            Some(file) => Some(self.dir.join(file)),
            None => Some(self.base().join(".env")).filter(|file| file.is_file()),
        }
    }

    /// Where the env file is, or would be.
    pub(super) fn env_place(&self) -> PathBuf {
        self.env_path().unwrap_or_else(|| self.base().join(".env"))
    }

    /// The Compose files that are read, as far as they can be determined without Compose.
    pub fn file_paths(&self) -> Vec<PathBuf> {
        const USUAL: [&str; 8] = [
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
            return USUAL.iter().map(|name| self.dir.join(name)).filter(|file| file.is_file()).collect();
        }
        self.files.iter().map(|file| self.dir.join(file)).collect()
    }

    /// Checks that the declared directory and env file exist.
    ///
    /// # Errors
    /// [`ComposeError::DirectoryMissing`] or [`ComposeError::EnvFileMissing`].
    pub fn check(&self) -> Result<()> {
        if !self.dir.is_dir() {
            return Err(ComposeError::DirectoryMissing { dir: self.dir.clone() });
        }
        match &self.env_file {
            Some(file) if !self.dir.join(file).is_file() => {
                Err(ComposeError::EnvFileMissing { file: self.dir.join(file) })
            }
            _ => Ok(()),
        }
    }

    fn absolute(&self, file: &Path) -> String {
        text(&self.dir.join(file))
    }
}

fn text(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        Project {
            name: Some("shop".into()),
            dir: "/srv/shop".into(),
            files: vec!["docker-compose.yml".into(), "/etc/extra.yml".into()],
            env_file: Some(".env.staging".into()),
        }
    }

    #[test]
    fn the_command_line_uses_absolute_paths() {
        assert_eq!(
            project().argv(&["up", "-d"]).join(" "),
            "docker compose --ansi never --progress plain --project-name shop --env-file /srv/shop/.env.staging \
             -f /srv/shop/docker-compose.yml -f /etc/extra.yml up -d"
        );
    }

    #[test]
    fn what_is_not_declared_is_left_to_compose() {
        let bare = Project { dir: "/srv/shop".into(), ..Project::default() };
        assert_eq!(bare.argv(&["ps"]).join(" "), "docker compose --ansi never --progress plain ps");
        assert_eq!(bare.base(), Path::new("/srv/shop"));
    }

    #[test]
    fn stored_files_replace_the_projects_own() {
        let argv = project().argv_with("shop", &[Path::new("/keep/config.yaml")], &["up"]).join(" ");
        assert!(
            argv.ends_with(
                "--env-file /srv/shop/.env.staging --project-directory /srv/shop -f /keep/config.yaml up"
            ),
            "{argv}"
        );
        assert!(!argv.contains("docker-compose.yml"), "{argv}");
    }

    #[test]
    fn a_missing_directory_differs_from_a_missing_env_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut project = project();
        assert!(matches!(project.check(), Err(ComposeError::DirectoryMissing { .. })));
        project.dir = dir.path().to_owned();
        assert!(matches!(project.check(), Err(ComposeError::EnvFileMissing { .. })));
        std::fs::write(dir.path().join(".env.staging"), "A=1\n").unwrap();
        assert!(project.check().is_ok());
    }
}
