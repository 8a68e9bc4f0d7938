//! Calls of npm, pnpm and yarn in a step: the package, and its script.

use std::path::Path;

use super::{From, Ground, One};
use crate::repository::Package;
use crate::shell_commands::simple_commands;
use shell::Word;

impl One<'_, '_> {
    pub(super) fn npm(&mut self, args: &[Word], ground: &Ground, depth: usize) {
        let Some(call) = NpmCall::read(args) else { return };
        let Some(root) = self.package_for(&call, ground) else { return };
        match call.command.as_str() {
            "ci" | "clean-install" => {
                let has_lock = ["package-lock.json", "npm-shrinkwrap.json"]
                    .iter()
                    .any(|f| self.look.repo.exists(&root.dir.join(f)));
                if !has_lock && matches!(ground, Ground::Host(_)) {
                    let message =
                        format!("{} runs npm ci, but there is no package-lock.json", self.from.what);
                    self.tell(
                        "lock-file-missing",
                        [],
                        message,
                        "Run npm install and commit the package-lock.json that it writes.",
                    );
                }
            }
            "run" | "run-script" | "rum" | "urn" | "test" | "t" => {
                let script = match call.command.as_str() {
                    "test" | "t" => Some("test".to_owned()),
                    _ => call.script.clone(),
                };
                let Some(script) = script else { return };
                for package in self.chosen(&call, root) {
                    self.script("npm run", &package, &script, ground, depth);
                }
            }
            _ => {}
        }
    }

    pub(super) fn runner(&mut self, program: &str, args: &[Word], ground: &Ground, depth: usize) {
        // Both also run programs of installed packages; only a name that no program can have is certain.
        let [run, script, ..] = args else { return };
        let named_like_a_script = program == "pnpm" || script.text.contains(':');
        if run.text != "run"
            || !run.certain
            || !script.certain
            || script.text.starts_with('-')
            || !named_like_a_script
        {
            return;
        }
        let call = NpmCall { command: "run".into(), script: Some(script.text.clone()), ..NpmCall::default() };
        if let Some(package) = self.package_for(&call, ground) {
            self.script(&format!("{program} run"), &package, &script.text, ground, depth);
        }
    }

    /// The package that npm uses; adds a finding when there is none.
    fn package_for(&mut self, call: &NpmCall, ground: &Ground) -> Option<Package> {
        let cwd = match ground {
            Ground::Container { package, .. } => return Some(package.clone()),
            Ground::Host(cwd) => cwd,
        };
        let dir = match &call.prefix {
            Some(prefix) => self.look.repo.at(cwd, prefix),
            None => self.look.repo.at(cwd, "."),
        };
        let found = self.look.repo.package_above(&dir);
        if found.is_none() && self.look.repo.exists(&dir) && !dir.join("package.json").exists() {
            let about = self.look.repo.name(&dir);
            let place = about.clone();
            let place = if place.is_empty() { "the directory of the stack".to_owned() } else { place };
            let message = format!("{} runs npm in {place}, but there is no package.json", self.from.what);
            self.tell(
                "package-missing",
                [&about],
                message,
                "Correct the directory of the command, or `directory` in [stack].",
            );
        }
        found
    }

    /// The packages that the call selects.
    fn chosen(&mut self, call: &NpmCall, root: Package) -> Vec<Package> {
        if call.workspaces.is_empty() {
            return vec![root];
        }
        // npm searches for workspaces from the root package that declares them.
        let Some(all) = self.look.repo.workspaces(&root) else { return vec![] };
        let mut chosen = Vec::new();
        for wanted in &call.workspaces {
            let path = root.dir.join(wanted.trim_start_matches("./").trim_end_matches('/'));
            match all.iter().find(|p| p.name == *wanted || p.dir == path) {
                Some(package) => chosen.push(package.clone()),
                None if all.iter().any(|p| p.dir.starts_with(&path)) => {}
                None => {
                    let message =
                        format!("{} uses the workspace {wanted}, but it does not exist", self.from.what);
                    self.tell(
                        "workspace-missing",
                        [wanted],
                        message,
                        "Add it to `workspaces` in package.json, or correct its name.",
                    );
                }
            }
        }
        chosen
    }

    fn script(&mut self, how: &str, package: &Package, script: &str, ground: &Ground, depth: usize) {
        let file = self.look.repo.name(&package.dir.join("package.json"));
        let Some((text, line)) = package.scripts.get(script) else {
            let (inside, container) = match ground {
                Ground::Container { service, .. } => {
                    (format!(" (in the container of {service})"), service.as_str())
                }
                Ground::Host(_) => (String::new(), ""),
            };
            let message =
                format!("{} runs {how} {script}{inside}, but {file} has no such script", self.from.what);
            self.tell(
                "script-missing",
                [how, script, container, &file],
                message,
                "Add the script to package.json, or correct its name.",
            );
            return;
        };
        let Some(commands) = simple_commands(text) else { return };
        let (gate, line) = (self.from.gate.clone(), *line);
        let (what, key) = (format!("the script {script}"), format!("script:{script}"));
        let from = From { gate, file, line, what, key };
        let base = package.dir.strip_prefix(&self.look.repo.root).map(Path::to_path_buf);
        for command in &commands {
            let ground = match ground {
                Ground::Container { service, .. } => {
                    Ground::Container { service: service.clone(), package: package.clone() }
                }
                Ground::Host(_) => match (&base, &command.cwd) {
                    (Ok(base), Some(cwd)) => Ground::Host(base.join(cwd)),
                    _ => continue,
                },
            };
            let mut one = One { look: &mut *self.look, from: &from, made: self.made };
            // npm adds the programs of installed packages to the path; only scripts and files can be checked.
            one.command(command, &ground, depth + 1);
        }
    }
}

/// A call of npm.
#[derive(Default)]
struct NpmCall {
    command: String,
    script: Option<String>,
    prefix: Option<String>,
    workspaces: Vec<String>,
}

impl NpmCall {
    /// `None` when a part of it is not certain, or when it allows the script to be missing.
    fn read(args: &[Word]) -> Option<NpmCall> {
        let mut call = NpmCall::default();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            if !word.certain {
                return None;
            }
            let text = word.text.as_str();
            if text == "--" {
                break;
            }
            let (option, given) = match text.split_once('=') {
                Some((option, value)) if option.starts_with('-') => (option, Some(value.to_owned())),
                _ => (text, None),
            };
            match option {
                "--if-present" | "-g" | "--global" | "--workspaces" | "-ws" | "--include-workspace-root" => {
                    return None;
                }
                "-w" | "--workspace" => {
                    call.workspaces
                        .push(given.or_else(|| words.next().filter(|w| w.certain).map(|w| w.text.clone()))?);
                }
                "--prefix" | "-C" => {
                    call.prefix =
                        Some(given.or_else(|| words.next().filter(|w| w.certain).map(|w| w.text.clone()))?);
                }
                _ if option.starts_with('-') => {}
                _ if call.command.is_empty() => call.command = text.to_owned(),
                _ if call.script.is_none() => call.script = Some(text.to_owned()),
                _ => {}
            }
        }
        Some(call)
    }
}
