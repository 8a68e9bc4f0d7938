//! Preflight: finds mistakes before anything runs. Reads the runbook, the repository, the Compose files, the
//! Dockerfiles, the env file and its example together.
//!
//! It must be right for any repository. So it reports only what is certain: where an expansion, an include or a build
//! could change the result, it reports nothing. It runs nothing from the repository, does not need Docker, and puts no
//! secret value of the env file into a finding.

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
use secrets::{EnvSource, EnvSourceError, EnvSyntaxError, EnvValues};
use system::files::read_bounded;

/// The result of a preflight.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// The findings: blocking ones first, then by gate, file and line.
    pub findings: Vec<Finding>,
    /// The files that were read or searched for. When one of them changes, the preflight must run again.
    pub looked_at: BTreeSet<PathBuf>,
}

/// Reports on a configuration and its runbook, for `stagegate check`. Never fails: a file that cannot be read is
/// reported as a problem. Blocks the thread.
pub fn report(path: &Path) -> Report {
    let reading = config::read(path);
    let findings = match (&reading.config, &reading.runbook) {
        (Some(config), Some(runbook)) => preflight(config, runbook).findings,
        _ => vec![],
    };
    Report::of_reading(reading, findings)
}

/// Runs the preflight. Blocks the thread: do not call it on an async thread.
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
    let env_file = config.stack.env_file.as_ref().map(|f| repo.at(Path::new(""), &f.display().to_string()));
    let env_source = EnvSource::declared(&root, env_file.as_deref());
    let (env_values, env_error) = match env_source.as_ref().map(|source| repo.values(source)) {
        Some(Ok(values)) => (Some(values), None),
        Some(Err(EnvSourceError::Invalid(error))) if !matches!(error, EnvSyntaxError::NotText { .. }) => {
            (None, Some(error))
        }
        // Whether it exists is a finding; one that cannot be read, or is not text, is reported where it is
        // needed.
        Some(Err(_)) | None => (None, None),
    };
    let model = Model::read(&files);
    let mut look = Look {
        gates: Gates::of(config, runbook),
        runbook_name: repo.name(&absolute(&config.runbook)),
        config_name: repo.name(&absolute(&config.path)),
        config_text: &config_text,
        env: env_values.as_ref().map(EnvValues::to_map).unwrap_or_default(),
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
        env_source,
        env_values,
        env_error,
        findings: vec![],
    };
    for name in missing {
        let (file, line) = (look.config_name.clone(), look.line_in_config("files"));
        let message = format!("the Compose file {name} does not exist");
        let hint = "Correct `files` in [stack], or add the file.".to_owned();
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

/// The input of a preflight, and its findings so far.
struct Look<'a> {
    repo: &'a Repo,
    gates: Gates,
    model: Model,
    runbook_name: String,
    config_name: String,
    config_text: &'a str,
    env_source: Option<EnvSource>,
    env_values: Option<EnvValues>,
    env_error: Option<EnvSyntaxError>,
    /// The values of the env source by name, to resolve variables. Findings show only ports, paths and image names of
    /// them.
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
    /// Its identity within kind and file: the names that it is about, in a fixed order. Two different findings of one
    /// kind differ in it. Texts for people must not be part of it.
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

    /// Whether a path is that of the declared env file.
    fn is_env_file(&self, path: &Path) -> bool {
        self.env_source.as_ref().and_then(EnvSource::own_file) == Some(path)
    }

    fn is_compose_file(&self, path: &Path) -> bool {
        self.compose_paths.iter().any(|p| p == path)
    }

    /// The line of a key in `stagegate.toml`, from 1.
    fn line_in_config(&self, key: &str) -> usize {
        let found = self.config_text.lines().position(|l| {
            l.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        found.map_or(1, |at| at + 1)
    }
}

/// The gates of findings that belong to no step.
#[derive(Debug, Clone, Default)]
struct Gates {
    /// The gate in which the env file is accepted.
    config: Option<String>,
    /// The gate in which the stack is first deployed.
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

/// Names after a `$` in `stagegate.toml`, and the variables of the steps.
fn used_elsewhere(config_text: &str, runbook: &Runbook) -> BTreeSet<String> {
    // Commands have operators of the shell that Compose does not know: only the names count.
    let name = |after: &str| {
        let after = after.strip_prefix('{').unwrap_or(after);
        after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
    };
    let mut used: BTreeSet<String> = config_text.split('$').skip(1).map(name).collect();
    used.extend(runbook.steps.iter().flat_map(|s| s.vars.iter().cloned()));
    used
}
