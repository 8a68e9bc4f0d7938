//! Calls of Compose in a step: files, services, and commands that run in a container.

use std::path::{Path, PathBuf};

use super::{Ground, One};
use crate::dockerfile::Stage;
use crate::model::Service;
use crate::repository::Package;
use crate::shell_commands::{Simple, joined};
use shell::Word;

impl One<'_, '_> {
    pub(super) fn compose(&mut self, args: &[Word], cwd: &Path, depth: usize) {
        let mut words = args.iter().peekable();
        let mut own_files = true;
        while let Some(word) = words.peek() {
            if !word.certain {
                return;
            }
            let text = word.text.as_str();
            let (option, value) = match text.split_once('=') {
                Some((o, v)) if o.starts_with("--") => (o, Some(v.to_owned())),
                _ => (text, None),
            };
            if !option.starts_with('-') {
                break;
            }
            words.next();
            let takes = matches!(
                option,
                "-f" | "--file"
                    | "-p"
                    | "--project-name"
                    | "--env-file"
                    | "--profile"
                    | "--project-directory"
                    | "--ansi"
                    | "--progress"
                    | "--parallel"
            );
            let value = match (takes, value) {
                (true, None) => match words.next() {
                    Some(w) if w.certain => Some(w.text.clone()),
                    _ => return,
                },
                (_, value) => value,
            };
            match (option, value) {
                ("-f" | "--file", Some(file)) => {
                    own_files &= self.look.is_compose_file(&self.look.repo.at(cwd, &file));
                    if file != "-" && !self.will_be_there(cwd, &file) {
                        let message =
                            format!("{} uses the Compose file {file}, but it does not exist", self.from.what);
                        self.tell(
                            "compose-file-missing",
                            [&file],
                            message,
                            "Correct the path, or add the file to the repository.",
                        );
                    }
                }
                ("--env-file", Some(file)) => {
                    let full = self.look.repo.at(cwd, &file);
                    // A missing env file of the stack is reported once, in another place.
                    let told = self.look.is_env_file(&full);
                    if !told && !self.will_be_there(cwd, &file) {
                        let message =
                            format!("{} uses the env file {file}, but it does not exist", self.from.what);
                        self.tell(
                            "env-file-missing",
                            [&file],
                            message,
                            "Create the file before this step, or correct the path.",
                        );
                    }
                }
                ("--project-directory", _) => own_files = false,
                _ => {}
            }
        }
        let Some(subcommand) = words.next().map(|w| w.text.clone()) else { return };
        let rest: Vec<Word> = words.cloned().collect();
        if own_files && self.look.model.complete {
            match subcommand.as_str() {
                "exec" | "run" => self.inside(&subcommand, &rest, depth),
                "logs" | "restart" | "stop" | "start" | "kill" | "up" | "build" | "pull" | "rm" | "port"
                | "top" => {
                    self.named(&subcommand, &rest);
                }
                _ => {}
            }
        }
    }

    /// `docker compose exec SERVICE command…`.
    fn inside(&mut self, subcommand: &str, rest: &[Word], depth: usize) {
        let mut at = 0;
        let mut workdir = None;
        while let Some(word) = rest.get(at).filter(|w| w.text.starts_with('-')) {
            let takes = matches!(
                word.text.as_str(),
                "-w" | "--workdir"
                    | "-u"
                    | "--user"
                    | "-e"
                    | "--env"
                    | "--index"
                    | "--name"
                    | "-v"
                    | "--volume"
                    | "-p"
                    | "--publish"
                    | "--entrypoint"
                    | "-l"
                    | "--label"
            );
            if matches!(word.text.as_str(), "-w" | "--workdir") {
                workdir = rest.get(at + 1).map(|w| w.text.clone());
            }
            if word.text.starts_with("--workdir=") || word.text == "--entrypoint" {
                return;
            }
            at += if takes { 2 } else { 1 };
        }
        let Some(service) = rest.get(at).filter(|w| w.certain) else { return };
        if !self.is_service(subcommand, &service.text) || workdir.is_some() {
            return;
        }
        let inner = Simple { words: rest[at + 1..].to_vec(), cwd: None, line: 0, writes: vec![] };
        let Some(package) = self.package_in(&service.text) else { return };
        let ground = Ground::Container { service: service.text.clone(), package };
        self.command(&inner, &ground, depth + 1);
    }

    fn named(&mut self, subcommand: &str, rest: &[Word]) {
        let mut at = 0;
        while let Some(word) = rest.get(at) {
            if !word.certain {
                return;
            }
            let takes = matches!(
                word.text.as_str(),
                "--tail"
                    | "-n"
                    | "--since"
                    | "--until"
                    | "--scale"
                    | "-t"
                    | "--timeout"
                    | "--wait-timeout"
                    | "--pull"
                    | "-s"
                    | "--signal"
                    | "--index"
                    | "--protocol"
                    | "--build-arg"
                    | "--progress"
                    | "--exit-code-from"
                    | "--attach"
                    | "--no-attach"
            );
            if word.text.starts_with('-') {
                at += if takes { 2 } else { 1 };
                continue;
            }
            if subcommand == "port" && word.text.parse::<u16>().is_ok() {
                return;
            }
            self.is_service(subcommand, &word.text.clone());
            at += 1;
        }
    }

    fn is_service(&mut self, subcommand: &str, name: &str) -> bool {
        if self.look.model.service(name).is_some() {
            return true;
        }
        let known: Vec<&str> = self.look.model.services.keys().map(String::as_str).collect();
        let hint = format!("Correct the name. Services of the Compose file: {}.", known.join(", "));
        let what = &self.from.what;
        let message =
            format!("{what} runs docker compose {subcommand} {name}, but there is no service {name}");
        self.tell("service-missing", [subcommand, name], message, hint);
        false
    }

    /// The package.json that npm finds in the container of a service, when its source is certain.
    fn package_in(&self, service: &str) -> Option<Package> {
        let service = self.look.model.service(service).filter(|s| !s.uncertain)?;
        let build = service.build.as_ref()?;
        let (context, dockerfile) = self.look.dockerfile(build)?;
        let stage = dockerfile.stage(build.target.as_ref().map(|(t, _)| t.as_str()))?;
        let chain = dockerfile.chain(stage);
        let workdir = match &service.working_dir {
            Some(dir) if dir.starts_with('/') && !dir.contains('$') => PathBuf::from(dir),
            Some(_) => return None,
            None => stage.workdir.clone()?,
        };
        let host = mounted(service, &workdir)
            .map(|from| self.look.repo.at(Path::new(""), &from))
            .or_else(|| copied(&chain, &context, &workdir))?;
        self.look.repo.package(&host)
    }
}

/// The host directory that is bind-mounted at `workdir`.
fn mounted(service: &Service, workdir: &Path) -> Option<String> {
    let (from, _) = service.binds.iter().rfind(|(_, to)| to == workdir)?;
    (!from.contains('$')).then(|| from.clone())
}

/// The directory of the context that `workdir/package.json` was copied from; `None` when that is not certain.
fn copied(chain: &[&Stage], context: &Path, workdir: &Path) -> Option<PathBuf> {
    if chain.iter().any(|s| s.unknown_files) {
        return None;
    }
    // Later copies replace earlier ones; later stages come first in `chain`.
    let copies = chain.iter().flat_map(|s| s.copies.iter().rev());
    for copy in copies {
        let to = copy.to.as_ref()?;
        if !copy.certain {
            // `COPY package*.json ./` copies the file itself.
            let brings = copy.sources.iter().any(|s| s.contains("package") && s.contains(".json"));
            if to == workdir && brings {
                let parent = Path::new(copy.sources.first()?).parent()?.to_path_buf();
                return joined(context, parent.to_str()?);
            }
            if workdir.starts_with(to) {
                return None;
            }
            continue;
        }
        for source in &copy.sources {
            let full = context.join(source.trim_start_matches('/'));
            if full.is_dir() {
                // The contents of a directory are copied into the target.
                if let Ok(below) = workdir.strip_prefix(to) {
                    let host = joined(&full, below.to_str()?)?;
                    if host.join("package.json").is_file() {
                        return Some(host);
                    }
                }
            } else if full.file_name().is_some_and(|n| n == "package.json") && to == workdir {
                return full.parent().map(Path::to_path_buf);
            }
        }
    }
    None
}
