//! Steps of the runbook that use a script, file, service or Compose file that does not exist.

mod compose;
mod npm;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use domain::preflight::Weight;
use domain::runbook::Runbook;

use super::dockerfile::Dockerfile;
use super::model::Build;
use super::repository::Package;
use super::shell_commands::{Simple, joined, simple_commands};
use super::{Look, Told};
use shell::Word;

/// How deep scripts that run scripts are followed.
const DEPTH: usize = 6;

/// Checks every step.
pub(super) fn look(look: &mut Look<'_>, runbook: &Runbook) {
    let made = made_by(runbook);
    let in_gates: BTreeSet<&str> =
        runbook.steps.iter().filter(|s| s.gate.is_some()).map(|s| s.command.as_str()).collect();
    for step in &runbook.steps {
        // A quick reference repeats steps of the gates; the finding belongs to the gate.
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
                key: format!("step:{}", step.id),
            };
            let Some(cwd) = &command.cwd else { continue };
            let mut one = One { look: &mut *look, from: &from, made: &made };
            one.command(command, &Ground::Host(cwd.clone()), 0);
        }
    }
}

/// The files that steps create: a later step may use them.
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

/// The step or script that a finding belongs to.
struct From {
    gate: Option<String>,
    file: String,
    line: usize,
    what: String,
    /// The same, for identities.
    key: String,
}

/// Where a command runs.
enum Ground {
    /// On this host, in a directory relative to the directory of the stack.
    Host(PathBuf),
    /// In a container: only the package that npm finds there is known.
    Container { service: String, package: Package },
}

struct One<'l, 'a> {
    look: &'l mut Look<'a>,
    from: &'l From,
    made: &'l BTreeSet<PathBuf>,
}

impl One<'_, '_> {
    /// A finding about `about` in this step or script.
    fn tell<const N: usize>(
        &mut self,
        kind: &'static str,
        about: [&str; N],
        message: String,
        hint: impl Into<String>,
    ) {
        let From { file, line, key, .. } = self.from;
        let about = std::iter::once(key.as_str()).chain(about).map(str::to_owned).collect();
        let told = Told { file: file.clone(), line: *line, kind, about, message, hint: hint.into() };
        self.look.tell(self.from.gate.clone(), Weight::Breaks, told);
    }

    /// Whether a path exists, or will exist when it is needed.
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
                    let message = format!(
                        "{} changes to the directory {}, but it does not exist",
                        self.from.what, word.text
                    );
                    self.tell(
                        "directory-missing",
                        [&word.text],
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
            let message = format!("{} runs {path}, but it does not exist", self.from.what);
            self.tell(
                "file-missing",
                [path],
                message,
                "Correct the path, or add the file to the repository.",
            );
            return;
        }
        let full = self.look.repo.at(cwd, path);
        use std::os::unix::fs::PermissionsExt as _;
        let runs =
            std::fs::metadata(&full).map_or(true, |m| m.is_dir() || m.permissions().mode() & 0o111 != 0);
        if !runs {
            let message = format!("{} runs {path}, but it is not executable", self.from.what);
            self.tell(
                "not-executable",
                [path],
                message,
                format!("Run chmod +x {path}, and commit the change."),
            );
        }
    }

    fn interpreter(&mut self, program: &str, args: &[Word], cwd: &Path) {
        // Options may replace the file (`-c`, `-e`, `-m`) or take a value; only a file as first argument is certain.
        let Some(file) = args.first().filter(|w| w.certain && !w.text.starts_with('-')) else { return };
        let looks_like_a_file = file.text.contains('/') || Path::new(&file.text).extension().is_some();
        if looks_like_a_file && !self.will_be_there(cwd, &file.text) {
            let message =
                format!("{} runs {program} {}, but the file does not exist", self.from.what, file.text);
            self.tell(
                "file-missing",
                [program, &file.text],
                message,
                "Correct the path, or add the file to the repository.",
            );
        }
    }

    fn copy(&mut self, args: &[Word], cwd: &Path) {
        let files: Vec<&Word> = args.iter().filter(|w| !w.text.starts_with('-')).collect();
        let Some((_, sources)) = files.split_last() else { return };
        for source in sources.iter().filter(|w| w.certain) {
            if !self.will_be_there(cwd, &source.text) {
                let message = format!("{} copies {}, but it does not exist", self.from.what, source.text);
                self.tell(
                    "file-missing",
                    ["cp", &source.text],
                    message,
                    "Correct the path, or add the file to the repository.",
                );
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
                self.tell(
                    "make-target-missing",
                    [],
                    message,
                    "Add the Makefile, or correct the directory of the command.",
                );
            }
            return;
        };
        // Included files and computed targets may define any target.
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
                self.tell(
                    "make-target-missing",
                    [target.as_str()],
                    message,
                    "Add the target, or correct its name.",
                );
            }
        }
    }
}

impl Look<'_> {
    /// The Dockerfile of a service and the directory of its build context; `None` when one of them is not certain.
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
