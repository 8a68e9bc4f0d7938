//! Preflight: what cannot work, seen before anything runs. Reads runbook, repository, Compose files, Dockerfiles,
//! env file and its example together.
//!
//! It must be right on repositories that nobody here has seen. So it speaks only of what is certain: where an
//! expansion, an include or a build could make it otherwise, it says nothing. It runs nothing of the repository,
//! needs no Docker, and no value of the env file reaches a finding.

mod dockerfile;
mod env;
mod model;
mod repository;
mod services;
mod shell_commands;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::preflight::{Finding, Weight};
use domain::runbook::Runbook;

use model::Model;
use repository::Repo;
use runbook::{Config, Report, config};
use secrets::env_file::{EnvFile, EnvFileError};
use system::files::read_bounded;

/// What a look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// The findings: those that break first, then in order of gate, file and line.
    pub findings: Vec<Finding>,
    /// The files that were read or looked for; when one of them changes it is time to look again.
    pub looked_at: BTreeSet<PathBuf>,
}

/// Reports on a configuration and the runbook that it names, for `stagegate check`. Never fails: what cannot be read is
/// among the problems. Blocks.
pub fn report(path: &Path) -> Report {
    let reading = config::read(path);
    let findings = match (&reading.config, &reading.runbook) {
        (Some(config), Some(runbook)) => preflight(config, runbook).findings,
        _ => vec![],
    };
    Report::of_reading(reading, findings)
}

/// Looks. Blocks: run it off the async threads.
pub fn preflight(config: &Config, runbook: &Runbook) -> Preflight {
    let root =
        std::path::absolute(&config.stack.directory).unwrap_or_else(|_| config.stack.directory.clone());
    let repo = Repo::new(&root);
    let runbook_text = read_bounded(&config.runbook, runbook::LARGEST).unwrap_or_default();
    let runbook_text = String::from_utf8_lossy(&runbook_text).into_owned();
    let config_text = read_bounded(&config.path, runbook::LARGEST).unwrap_or_default();
    let config_text = String::from_utf8(config_text).unwrap_or_default();
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut files = Vec::new();
    let mut missing = Vec::new();
    for file in &config.stack.files {
        let name = file.display().to_string();
        match repo.text(&repo.at(Path::new(""), &name)) {
            Some(text) => files.push((name, text)),
            None => missing.push(name),
        }
    }
    let env_path = config.stack.env_file.as_ref().map(|f| repo.at(Path::new(""), &f.display().to_string()));
    let env_text = env_path.as_ref().and_then(|p| repo.text(p));
    let (env_file, env_error) = match env_text.map(|t| EnvFile::parse(t.as_bytes())) {
        Some(Ok(file)) => (Some(file), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    let model = Model::read(&files);
    let mut look = Look {
        gates: Gates::of(config, runbook),
        runbook_name: repo.name(&absolute(&config.runbook)),
        config_name: repo.name(&absolute(&config.path)),
        config_text: &config_text,
        env: env_file.as_ref().map(EnvFile::to_map).unwrap_or_default(),
        example_path: config
            .stack
            .env_example
            .as_ref()
            .map(|f| repo.at(Path::new(""), &f.display().to_string())),
        used_elsewhere: used_elsewhere(&config_text, runbook),
        compose_paths: config
            .stack
            .files
            .iter()
            .map(|f| repo.at(Path::new(""), &f.display().to_string()))
            .collect(),
        repo: &repo,
        model,
        env_path,
        env_file,
        env_error,
        findings: vec![],
    };
    for name in missing {
        let (file, line) = (look.config_name.clone(), look.line_in_config("files"));
        let message = format!("the Compose file {name} does not exist");
        let hint = "Correct [stack] files, or add the file.".to_owned();
        look.model.complete = false;
        let gate = look.gates.compose.clone();
        look.tell(
            gate,
            Weight::Breaks,
            Told { file, line, kind: "compose-file-missing", about: vec![name], message, hint },
        );
    }
    steps::look(&mut look, runbook);
    env::look(&mut look, &runbook_text);
    services::look(&mut look);
    let mut findings = look.findings;
    findings.sort_by(|a, b| {
        (a.weight, &a.gate, &a.file, a.line, &a.message)
            .cmp(&(b.weight, &b.gate, &b.file, b.line, &b.message))
    });
    findings.dedup_by(|a, b| a.digest() == b.digest());
    Preflight { findings, looked_at: repo.looked_at() }
}

/// Everything that a look needs, and what it has found.
struct Look<'a> {
    repo: &'a Repo,
    gates: Gates,
    model: Model,
    runbook_name: String,
    config_name: String,
    config_text: &'a str,
    env_path: Option<PathBuf>,
    env_file: Option<EnvFile>,
    env_error: Option<EnvFileError>,
    /// The env file's values, for filling in. They reach no finding but ports, paths and image names.
    env: BTreeMap<String, String>,
    example_path: Option<PathBuf>,
    /// Keys that steps or checks use.
    used_elsewhere: BTreeSet<String>,
    compose_paths: Vec<PathBuf>,
    findings: Vec<Finding>,
}

/// A finding before its gate and weight are known.
struct Told {
    file: String,
    line: usize,
    kind: &'static str,
    /// Its identity within kind and file: what it is about, in an order that stays. Two findings of a kind that are
    /// not the same trouble differ in it; words for people have no place here.
    about: Vec<String>,
    message: String,
    hint: String,
}

/// The parts of an identity.
fn about<const N: usize>(parts: [&str; N]) -> Vec<String> {
    parts.map(str::to_owned).to_vec()
}

impl Look<'_> {
    fn tell(&mut self, gate: Option<String>, weight: Weight, told: Told) {
        let Told { file, line, kind, about, message, hint } = told;
        let kind = kind.to_owned();
        self.findings.push(Finding { gate, weight, kind, file, line, message, hint, about });
    }

    fn is_compose_file(&self, path: &Path) -> bool {
        self.compose_paths.iter().any(|p| p == path)
    }

    /// The line on which a key stands in `stagegate.toml`, from 1.
    fn line_in_config(&self, key: &str) -> usize {
        let found = self.config_text.lines().position(|l| {
            l.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        found.map_or(1, |at| at + 1)
    }
}

/// The gates that findings without a step of their own concern.
#[derive(Debug, Clone, Default)]
struct Gates {
    /// Where the env file is accepted.
    config: Option<String>,
    /// Where the stack is first brought up.
    compose: Option<String>,
}

impl Gates {
    fn of(config: &Config, runbook: &Runbook) -> Gates {
        let decision = domain::item::decision_gate(runbook);
        let usable = |gate: &str| decision.as_deref() != Some(gate);
        let env_name =
            config.stack.env_file.as_ref().and_then(|f| f.file_name()).map(|n| n.to_string_lossy());
        let names_it = |text: &str| env_name.as_ref().is_some_and(|n| text.contains(n.as_ref()));
        let first = runbook.gates.iter().map(|g| g.id.clone()).find(|g| usable(g));
        let by_criterion =
            runbook.criteria.iter().find(|c| usable(&c.gate) && names_it(&c.text)).map(|c| c.gate.clone());
        let deploying = runbook
            .steps
            .iter()
            .find(|s| s.deploys() && s.gate.as_deref().is_some_and(usable))
            .and_then(|s| s.gate.clone());
        let compose = deploying.or_else(|| runbook.gates.iter().map(|g| g.id.clone()).rfind(|g| usable(g)));
        Gates { config: by_criterion.or_else(|| compose.clone()).or(first), compose }
    }
}

/// Names in `${…}` of `stagegate.toml`, and the variables of the steps.
fn used_elsewhere(config_text: &str, runbook: &Runbook) -> BTreeSet<String> {
    let mut used: BTreeSet<String> = model::variables(config_text).into_iter().map(|v| v.name).collect();
    used.extend(runbook.steps.iter().flat_map(|s| s.vars.iter().cloned()));
    used
}
