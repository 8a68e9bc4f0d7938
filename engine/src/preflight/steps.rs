//! Steps of the runbook whose script, file, service or Compose file does not exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use domain::preflight::Weight;
use domain::runbook::Runbook;

use super::dockerfile::{Dockerfile, Stage};
use super::model::{Build, Service};
use super::repo::Package;
use super::words::{Simple, Word, joined, simple_commands};
use super::{Look, Told};

/// How deep scripts that run scripts are followed.
const DEPTH: usize = 6;

/// Looks at every step.
pub(super) fn look(look: &mut Look<'_>, runbook: &Runbook) {
    let made = made_by(runbook);
    let in_gates: BTreeSet<&str> =
        runbook.steps.iter().filter(|s| s.gate.is_some()).map(|s| s.command.as_str()).collect();
    for step in &runbook.steps {
        // A quick reference repeats what stands in the gates; there it is told.
        if step.manual || (step.gate.is_none() && in_gates.contains(step.command.as_str())) {
            continue;
        }
        let Some(commands) = simple_commands(&step.command) else { continue };
        for command in &commands {
            let from = From {
                gate: step.gate.clone(),
                file: look.runbook_name.clone(),
                line: step.line + command.line,
                what: format!("step {}", step.id),
            };
            let Some(cwd) = &command.cwd else { continue };
            let mut one = One { look: &mut *look, from: &from, made: &made };
            one.command(command, &Ground::Host(cwd.clone()), 0);
        }
    }
}

/// The files that some step makes: a later one may use them.
fn made_by(runbook: &Runbook) -> BTreeSet<PathBuf> {
    let mut made = BTreeSet::new();
    for command in runbook.steps.iter().filter_map(|s| simple_commands(&s.command)).flatten() {
        let Some(cwd) = &command.cwd else { continue };
        made.extend(command.writes.iter().filter_map(|w| joined(cwd, w)));
        let targets: Vec<&Word> = match command.program() {
            Some("cp" | "mv" | "ln" | "install") => command.args().last().into_iter().collect(),
            Some("touch" | "mkdir" | "tee") => command.args().iter().collect(),
            Some("git") if command.args().first().is_some_and(|w| w.text == "clone") => {
                command.args().last().into_iter().collect()
            }
            _ => vec![],
        };
        made.extend(targets.into_iter().filter(|w| w.certain).filter_map(|w| joined(cwd, &w.text)));
    }
    made
}

/// Where a finding belongs.
struct From {
    gate: Option<String>,
    file: String,
    line: usize,
    what: String,
}

/// Where a command runs.
enum Ground {
    /// On this machine, in a directory relative to the stack's.
    Host(PathBuf),
    /// In a container, where only the package that npm finds there is known.
    Container { service: String, package: Package },
}

struct One<'l, 'a> {
    look: &'l mut Look<'a>,
    from: &'l From,
    made: &'l BTreeSet<PathBuf>,
}

impl One<'_, '_> {
    fn tell(&mut self, kind: &'static str, message: String, hint: impl Into<String>) {
        let told =
            Told { file: self.from.file.clone(), line: self.from.line, kind, message, hint: hint.into() };
        self.look.tell(self.from.gate.clone(), Weight::Breaks, told);
    }

    /// Whether a path is there, or will be by the time it is needed.
    fn will_be_there(&self, cwd: &Path, path: &str) -> bool {
        let full = self.look.repo.at(cwd, path);
        let made = joined(cwd, path).is_some_and(|p| self.made.iter().any(|m| p.starts_with(m)));
        made || self.look.repo.exists(&full) || self.look.repo.is_made(&full)
    }

    fn command(&mut self, command: &Simple, ground: &Ground, depth: usize) {
        let Some(program) = command.program().map(str::to_owned) else { return };
        let args = command.args();
        if depth > DEPTH {
            return;
        }
        match (program.as_str(), ground) {
            ("npm", _) => self.npm(args, ground, depth),
            ("pnpm", _) => self.runner("pnpm", args, ground, depth),
            ("yarn", _) => self.runner("yarn", args, ground, depth),
            (_, Ground::Container { .. }) => {}
            ("docker", Ground::Host(cwd)) if args.first().is_some_and(|w| w.text == "compose") => {
                self.compose(&args[1..], cwd, depth);
            }
            ("docker-compose", Ground::Host(cwd)) => self.compose(args, cwd, depth),
            (
                "node" | "bash" | "sh" | "zsh" | "python" | "python3" | "ruby" | "tsx" | "ts-node",
                Ground::Host(cwd),
            ) => {
                self.interpreter(&program, args, cwd);
            }
            ("make", Ground::Host(cwd)) => self.make(args, cwd),
            ("cd", Ground::Host(cwd)) => {
                let target = args.first().filter(|w| w.certain && w.text != "-" && !w.text.starts_with('~'));
                if let Some(word) = target
                    && !self.will_be_there(cwd, &word.text)
                {
                    let message = format!("{} goes to {}, which does not exist", self.from.what, word.text);
                    self.tell(
                        "directory-missing",
                        message,
                        "Correct the path, or add the directory to the repository.",
                    );
                }
            }
            ("cp", Ground::Host(cwd)) => self.copy(args, cwd),
            (path, Ground::Host(cwd)) if path.contains('/') && !path.starts_with('/') => {
                self.own_program(path, cwd);
            }
            _ => {}
        }
    }

    fn own_program(&mut self, path: &str, cwd: &Path) {
        if !self.will_be_there(cwd, path) {
            let message = format!("{} runs {path}, which does not exist", self.from.what);
            self.tell("file-missing", message, "Correct the path, or add the file to the repository.");
            return;
        }
        let full = self.look.repo.at(cwd, path);
        use std::os::unix::fs::PermissionsExt as _;
        let runs =
            std::fs::metadata(&full).map_or(true, |m| m.is_dir() || m.permissions().mode() & 0o111 != 0);
        if !runs {
            let message = format!("{} runs {path}, which is not executable", self.from.what);
            self.tell("not-executable", message, format!("chmod +x {path}, and commit that."));
        }
    }

    fn interpreter(&mut self, program: &str, args: &[Word], cwd: &Path) {
        // Options may take the place of a file (`-c`, `-e`, `-m`) or a value; only a file in first place is certain.
        let Some(file) = args.first().filter(|w| w.certain && !w.text.starts_with('-')) else { return };
        let looks_like_a_file = file.text.contains('/') || Path::new(&file.text).extension().is_some();
        if looks_like_a_file && !self.will_be_there(cwd, &file.text) {
            let message = format!("{} runs {program} {}, which does not exist", self.from.what, file.text);
            self.tell("file-missing", message, "Correct the path, or add the file to the repository.");
        }
    }

    fn copy(&mut self, args: &[Word], cwd: &Path) {
        let files: Vec<&Word> = args.iter().filter(|w| !w.text.starts_with('-')).collect();
        let Some((_, sources)) = files.split_last() else { return };
        for source in sources.iter().filter(|w| w.certain) {
            if !self.will_be_there(cwd, &source.text) {
                let message = format!("{} copies {}, which does not exist", self.from.what, source.text);
                self.tell("file-missing", message, "Correct the path, or add the file to the repository.");
            }
        }
    }

    fn make(&mut self, args: &[Word], cwd: &Path) {
        let mut dir = cwd.to_owned();
        let mut file: Option<String> = None;
        let mut targets = Vec::new();
        let mut words = args.iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "-C" => match words.next().filter(|w| w.certain).and_then(|w| joined(&dir, &w.text)) {
                    Some(there) => dir = there,
                    None => return,
                },
                "-f" => file = words.next().filter(|w| w.certain).map(|w| w.text.clone()),
                "-j" | "-k" | "-s" | "-B" | "-n" | "-i" => {}
                text if text.starts_with('-') => {
                    if !text.starts_with("-j") && !text.starts_with("--no-print") {
                        return;
                    }
                }
                text if text.contains('=') || !word.certain => {}
                text => targets.push(text.to_owned()),
            }
        }
        let names: Vec<String> = match file {
            Some(file) => vec![file],
            None => ["GNUmakefile", "makefile", "Makefile"].map(str::to_owned).to_vec(),
        };
        let texts = names.iter().find_map(|n| self.look.repo.text(&self.look.repo.at(&dir, n)));
        let Some(text) = texts else {
            if !self.will_be_there(&dir, names.last().map_or("Makefile", String::as_str)) {
                let message = format!("{} runs make, but there is no Makefile", self.from.what);
                self.tell("make-target-missing", message, "Add the Makefile, or correct the directory.");
            }
            return;
        };
        // Included files and computed targets may make anything.
        let open = text.lines().any(|l| {
            l.starts_with("include")
                || l.starts_with("-include")
                || l.contains("$(eval")
                || l.starts_with('$')
        });
        let rules: Vec<&str> = text
            .lines()
            .filter(|l| !l.starts_with(['\t', '#', ' ']))
            .filter_map(|l| l.split_once(':'))
            .filter(|(_, rest)| !rest.starts_with('='))
            .flat_map(|(targets, _)| targets.split_whitespace())
            .collect();
        if open || rules.iter().any(|r| r.contains(['%', '$'])) {
            return;
        }
        for target in targets.iter().filter(|t| !rules.contains(&t.as_str())) {
            if !self.will_be_there(&dir, target) {
                let message =
                    format!("{} runs make {target}, but the Makefile has no such target", self.from.what);
                self.tell("make-target-missing", message, "Add the target, or correct its name.");
            }
        }
    }

    fn npm(&mut self, args: &[Word], ground: &Ground, depth: usize) {
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
                    self.tell("lock-file-missing", message, "Commit the lock file that npm install writes.");
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

    fn runner(&mut self, program: &str, args: &[Word], ground: &Ground, depth: usize) {
        // Both also run programs of installed packages; only `run` with a name that no program has is certain.
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

    /// The package that npm works with; tells when there is none.
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
            let place = self.look.repo.name(&dir);
            let place = if place.is_empty() { "the stack's directory".to_owned() } else { place };
            let message = format!("{} runs npm in {place}, where there is no package.json", self.from.what);
            self.tell("package-missing", message, "Correct the directory of the command, or of [stack].");
        }
        found
    }

    /// The packages that the call is about.
    fn chosen(&mut self, call: &NpmCall, root: Package) -> Vec<Package> {
        if call.workspaces.is_empty() {
            return vec![root];
        }
        // npm looks for workspaces from the root that declares them.
        let Some(all) = self.look.repo.workspaces(&root) else { return vec![] };
        let mut chosen = Vec::new();
        for wanted in &call.workspaces {
            let path = root.dir.join(wanted.trim_start_matches("./").trim_end_matches('/'));
            match all.iter().find(|p| p.name == *wanted || p.dir == path) {
                Some(package) => chosen.push(package.clone()),
                None if all.iter().any(|p| p.dir.starts_with(&path)) => {}
                None => {
                    let message =
                        format!("{} names the workspace {wanted}, which does not exist", self.from.what);
                    self.tell("workspace-missing", message, "Add it to `workspaces`, or correct its name.");
                }
            }
        }
        chosen
    }

    fn script(&mut self, how: &str, package: &Package, script: &str, ground: &Ground, depth: usize) {
        let file = self.look.repo.name(&package.dir.join("package.json"));
        let Some((text, line)) = package.scripts.get(script) else {
            let inside = match ground {
                Ground::Container { service, .. } => format!(" (in the container of {service})"),
                Ground::Host(_) => String::new(),
            };
            let message =
                format!("{} runs {how} {script}{inside}, but {file} has no such script", self.from.what);
            self.tell("script-missing", message, "Add the script, or correct its name.");
            return;
        };
        let Some(commands) = simple_commands(text) else { return };
        let from =
            From { gate: self.from.gate.clone(), file, line: *line, what: format!("the script {script}") };
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
            // npm puts the programs of installed packages on the path; only scripts and files can be judged.
            one.command(command, &ground, depth + 1);
        }
    }

    fn compose(&mut self, args: &[Word], cwd: &Path, depth: usize) {
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
                            format!("{} names the Compose file {file}, which does not exist", self.from.what);
                        self.tell(
                            "compose-file-missing",
                            message,
                            "Correct the path, or add the file to the repository.",
                        );
                    }
                }
                ("--env-file", Some(file)) => {
                    let full = self.look.repo.at(cwd, &file);
                    // The stack's own env file is told once, where it belongs.
                    let told = self.look.env_path.as_ref() == Some(&full);
                    if !told && !self.will_be_there(cwd, &file) {
                        let message =
                            format!("{} names the env file {file}, which does not exist", self.from.what);
                        self.tell(
                            "env-file-missing",
                            message,
                            "Make the file before this step, or correct the path.",
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
        let hint = format!("The Compose file has: {}.", known.join(", "));
        let message =
            format!("{} uses docker compose {subcommand} with {name}, which is no service", self.from.what);
        self.tell("service-missing", message, hint);
        false
    }

    /// The package.json that npm finds in a service's container, when it can be known where it came from.
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

/// The host directory that a bind mount lays over `workdir`.
fn mounted(service: &Service, workdir: &Path) -> Option<String> {
    let (from, _) = service.binds.iter().rfind(|(_, to)| to == workdir)?;
    (!from.contains('$')).then(|| from.clone())
}

/// The directory of the context that `workdir/package.json` was copied from; `None` when that is not certain.
fn copied(chain: &[&Stage], context: &Path, workdir: &Path) -> Option<PathBuf> {
    if chain.iter().any(|s| s.unknown_files) {
        return None;
    }
    // Later copies lie over earlier ones; stages nearer to the end are later.
    let copies = chain.iter().flat_map(|s| s.copies.iter().rev());
    for copy in copies {
        let to = copy.to.as_ref()?;
        if !copy.certain {
            // `COPY package*.json ./` brings the file itself.
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
                // A directory's contents land in the target.
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

/// A call of npm.
#[derive(Default)]
struct NpmCall {
    command: String,
    script: Option<String>,
    prefix: Option<String>,
    workspaces: Vec<String>,
}

impl NpmCall {
    /// `None` when something in it is not certain, or it says itself that the script may be missing.
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

impl Look<'_> {
    /// A service's Dockerfile and the directory of its context; `None` when one of them is not certain.
    pub(super) fn dockerfile(&self, build: &Build) -> Option<(PathBuf, Dockerfile)> {
        let context = super::model::filled(&build.context, &self.env)?;
        if context.contains("://") || context.starts_with("git@") {
            return None;
        }
        let context = self.repo.at(Path::new(""), &context);
        if let Some(text) = &build.inline {
            return Some((context, Dockerfile::read(text)));
        }
        let name = match &build.dockerfile {
            Some((name, _)) => super::model::filled(name, &self.env)?,
            None => "Dockerfile".to_owned(),
        };
        let text = self.repo.text(&joined(&context, &name)?)?;
        Some((context, Dockerfile::read(&text)))
    }
}
