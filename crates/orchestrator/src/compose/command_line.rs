//! The command lines of Compose for a declared stack.

use std::path::Path;

use crate::stack_files::StackFiles;

impl StackFiles {
    /// The command line for a subcommand of Compose, to be run in `dir`.
    pub(crate) fn argv(&self, sub: &[&str]) -> Vec<String> {
        let mut argv = self.start(self.name.as_deref());
        for file in &self.files {
            argv.extend(["-f".to_owned(), self.absolute(file)]);
        }
        argv.extend(sub.iter().map(|word| (*word).to_owned()));
        argv
    }

    /// The same with `files` (absolute) in place of the project's own, as the project `name`.
    pub(super) fn argv_with(&self, name: &str, files: &[&Path], sub: &[&str]) -> Vec<String> {
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
        if let Some(source) = &self.env_source {
            argv.extend(["--env-file".to_owned(), self.absolute(source.file_path())]);
        }
        argv
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
    use crate::stack_files::tests::project;

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
        let bare = StackFiles { dir: "/srv/shop".into(), ..StackFiles::default() };
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
}
